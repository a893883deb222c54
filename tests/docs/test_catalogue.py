"""The reference pages against the code: nothing declared is without a page, nothing on a page is undeclared."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from claudebench import errors
from claudebench.app import CATALOGUE, COMMANDS, SCRIPTS
from claudebench.cli.main import app
from claudebench.settings import Settings
from claudebench.store.keys import KEYS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "scripts" / "reference.py"


def _command_lines(command: Any, name: str) -> list[str]:
    below = getattr(command, "commands", None)
    return (
        [name] if below is None else [line for verb in below for line in _command_lines(below[verb], f"{name} {verb}")]
    )


PAGES = {
    "cli": _command_lines(get_command(app), "claudebench"),
    "commands": [command.name for command in COMMANDS],
    "errors": [error.__name__ for error in errors.TREE],
    "events": list(CATALOGUE.types),
    "keys": list(KEYS),
    "scripts": [script.title for script in SCRIPTS],
    "settings": list(Settings.model_fields),
}


def test_settings_are_shown_as_anyone_has_them() -> None:
    """Each setting that `up` has an option for names it, and no default is a path of the machine it was written on."""
    text = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    options = {each.opts[0] for each in get_command(app).commands["up"].params} - {"--json"}  # type: ignore[attr-defined]

    assert [each for each in options if f"| `{each}` |" not in text] == []
    assert "`/" not in text


def _writers() -> dict[str, set[str]]:
    writers: dict[str, set[str]] = runpy.run_path(str(REFERENCE))["writers"]()
    return writers


def test_every_event_written_is_in_the_catalogue() -> None:
    """An event type that a Lua file or a handler writes is declared in the catalogue."""
    undeclared = {name: files for name, files in _writers().items() if not CATALOGUE.admits(name)}
    assert not undeclared


def test_every_event_of_the_catalogue_is_written() -> None:
    """An event type that the catalogue promises is written by some file."""
    assert not CATALOGUE.types.keys() - _writers().keys()


@pytest.mark.parametrize("name", CATALOGUE.types)
def test_every_event_says_what_it_carries(name: str) -> None:
    """An event of ours has a payload type that takes no field it does not name."""
    payload = CATALOGUE.types[name].payload
    assert payload
    assert payload.__struct_config__.forbid_unknown_fields


@pytest.mark.parametrize(
    ("name", "payload"),
    [("task.vanished", b"{}"), ("task.deleted", b'{"id":"t-1","by":"w"}'), ("task.deleted", b"{}"), ("x.a", b"{")],
)
def test_what_is_not_declared_is_found(name: str, payload: bytes) -> None:
    """A type that nobody declared fails, as do a field too many, one too few, and what is no JSON."""
    with pytest.raises(ValueError, match=r"declared|unknown field|missing required|malformed|truncated"):
        CATALOGUE.check(name, payload)


@pytest.mark.parametrize("page", PAGES)
def test_every_declaration_has_its_place(page: str) -> None:
    """Each command, command line, error, event, key, script and setting stands on its reference page by name."""
    text = (ROOT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    absent = [name for name in PAGES[page] if f"`{name}`" not in text and f"## {name}\n" not in text]
    assert not absent


def test_the_reference_is_fresh() -> None:
    """The reference pages are what the code declares now."""
    done = subprocess.run([sys.executable, REFERENCE, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
