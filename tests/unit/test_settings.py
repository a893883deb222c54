"""Settings: which source wins, what is refused, and that a mistyped name is answered with the nearest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from claudebench.errors import SettingsError
from claudebench.settings import load


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, and no CLAUDEBENCH_* variable."""
    for name in [name for name in os.environ if name.upper().startswith("CLAUDEBENCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_are_safe() -> None:
    """With nothing said the server listens on loopback only, needs no token there and syncs every second."""
    settings = load()

    assert (settings.host, settings.port, settings.is_loopback) == ("127.0.0.1", 7420, True)
    assert (settings.workspace, settings.durability, settings.limits) == ("default", "everysec", "on")
    assert (settings.token, settings.redis_url, settings.max_memory) == (None, None, None)
    assert settings.data_dir.is_absolute()


def test_options_beat_variables_beat_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each source fills only what the ones above it leave open."""
    (folder / "claudebench.toml").write_text('port = 1\nworkspace = "file"\ndurability = "always"\n')
    monkeypatch.setenv("CLAUDEBENCH_PORT", "2")
    monkeypatch.setenv("CLAUDEBENCH_WORKSPACE", "variable")

    settings = load(port=3)

    assert (settings.port, settings.workspace, settings.durability) == (3, "variable", "always")


def test_an_option_that_is_none_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """None from the command line leaves the choice to the variable."""
    monkeypatch.setenv("CLAUDEBENCH_PORT", "2")

    assert load(port=None).port == 2


def test_an_empty_variable_was_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable leaves the default."""
    monkeypatch.setenv("CLAUDEBENCH_REDIS_URL", "")

    assert load().redis_url is None


def test_port_0_is_a_choice() -> None:
    """0 asks for a free port and is not taken for nothing."""
    assert load(port=0).port == 0


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("CLAUDEBENCH_PROT", "CLAUDEBENCH_PORT"),
        ("CLAUDEBENCH_DATADIR", "CLAUDEBENCH_DATA_DIR"),
        ("CLAUDEBENCH_REDIS_URI", "CLAUDEBENCH_REDIS_URL"),
        ("CLAUDEBENCH_TOKENS", "CLAUDEBENCH_TOKEN"),
    ],
)
def test_unknown_variable_offers_the_nearest(monkeypatch: pytest.MonkeyPatch, name: str, offered: str) -> None:
    """A mistyped variable is an error that names the one that was meant."""
    monkeypatch.setenv(name, "1")

    with pytest.raises(SettingsError, match=rf"{name}, .*did you mean {offered}\?"):
        load()


def test_unknown_variable_like_nothing_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is near no guess is made."""
    monkeypatch.setenv("CLAUDEBENCH_ZZZZZZ", "1")

    with pytest.raises(SettingsError, match=r"CLAUDEBENCH_ZZZZZZ, which is no setting$"):
        load()


def test_variable_of_the_client_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLAUDEBENCH_URL is for the commands that call a server and does not hinder `up`."""
    monkeypatch.setenv("CLAUDEBENCH_URL", "http://127.0.0.1:7420")

    assert load().port == 7420


def test_unknown_key_of_the_file_offers_the_nearest(folder: Path) -> None:
    """A mistyped key is an error that names the file and the key that was meant."""
    (folder / "claudebench.toml").write_text("prot = 1\n")

    with pytest.raises(SettingsError, match=r"claudebench\.toml sets prot, .*did you mean port\?"):
        load()


def test_unknown_option_is_refused() -> None:
    """An option that is no setting does not pass."""
    with pytest.raises(SettingsError):
        load(prot=1)


@pytest.mark.parametrize("text", ["port = ", "port 1", "[[["])
def test_a_file_that_is_no_toml_is_refused(folder: Path, text: str) -> None:
    """A damaged file is an error that names it, not a server with defaults."""
    (folder / "claudebench.toml").write_text(text)

    with pytest.raises(SettingsError, match=r"claudebench\.toml is not valid TOML"):
        load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 65_536),
        ("port", "x"),
        ("durability", "never"),
        ("limits", "maybe"),
        ("workspace", "Bad"),
        ("workspace", ""),
        ("workspace", "a" * 41),
        ("workspace", "a\n"),
        ("token", "short"),
    ],
)
def test_values_that_do_not_fit_are_named(name: str, value: Any) -> None:
    """A value out of bounds is refused by the name of its setting."""
    with pytest.raises(SettingsError, match=rf"^{name} cannot be "):
        load(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("port", 70_000, "port cannot be 70000: it is a whole number from 0 to 65535"),
        ("retain_days", "x", "retain_days cannot be 'x': it is a whole number from 1 to 3650"),
        ("limits", "maybe", "limits cannot be 'maybe': it is on or off"),
        ("workspace", "A", "workspace cannot be 'A': it has 1 to 40 of a-z, 0-9 and -"),
        ("token", "short", "token cannot be what it is: it has 16 characters at least"),
        ("data_dir", Path(), "data_dir cannot be '': name a path"),
        ("redis_url", "", "redis_url cannot be '': name a store, or leave it out to use the one that comes with "),
    ],
)
def test_what_a_setting_takes_is_said(name: str, value: Any, said: str) -> None:
    """A value that does not fit is answered with those that do, in words."""
    with pytest.raises(SettingsError) as caught:
        load(**{name: value})
    assert caught.value.message.startswith(said)


def test_a_refused_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that does not fit is not printed: it may be most of a good one."""
    monkeypatch.setenv("CLAUDEBENCH_TOKEN", "hunter2")

    with pytest.raises(SettingsError) as caught:
        load()
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_another_address_than_loopback_needs_a_token(host: str) -> None:
    """What other machines can reach is refused without a token and taken with one."""
    with pytest.raises(SettingsError, match="CLAUDEBENCH_TOKEN"):
        load(host=host)
    assert not load(host=host, token="t" * 16).is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_none(host: str) -> None:
    """The names of loopback need no token."""
    assert load(host=host).is_loopback


def test_data_directory_becomes_absolute(folder: Path) -> None:
    """A relative folder is the one below where the server was started, and `~` is home."""
    assert load(data_dir=Path("here")).data_dir == folder / "here"
    assert load(data_dir=Path("~/there")).data_dir == Path.home() / "there"


def test_settings_do_not_change() -> None:
    """Settings are frozen once they are read."""
    settings = load()

    with pytest.raises(ValidationError):
        settings.port = 1
