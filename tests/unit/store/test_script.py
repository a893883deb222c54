"""The loader: a Lua file's header is its signature, and what does not agree with it never reaches a store."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import claudebench
from claudebench.app import SCRIPTS
from claudebench.store.keys import KEYS
from claudebench.store.script import LINES_MAX, Script, ScriptError, Source

if TYPE_CHECKING:
    from collections.abc import Callable

    Load = Callable[[str], Script]

GOOD = """-- probe: shows what a script looks like.
-- Assessment: PROBE_SCRIPT
--
-- KEYS  meta task
-- ARGV  n field
-- Returns the field.
return redis.call('HGET', k_task(n), field) or redis.call('HGET', k_meta, field)
"""
_numbers = itertools.count(1)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Write a Lua file into a room of this test's own and load it."""

    def write(text: str) -> Script:
        room = f"room{next(_numbers)}"
        folder = tmp_path / room / "scripts"
        folder.mkdir(parents=True)
        (tmp_path / room / "__init__.py").touch()
        (folder / "probe.lua").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        return Script(room, "probe")

    return write


def test_a_header_is_read(load: Load) -> None:
    """Promise, predecessor and arguments of a script are those of its header."""
    script = load(GOOD)

    assert (script.name, script.promise) == ("probe", "shows what a script looks like.")
    assert (script.succeeds, script.argv, script.variadic) == ("PROBE_SCRIPT", ["n", "field"], False)
    assert script.title == f"{script.room}.probe"
    assert len(script.sha) == 40


def test_names_become_locals(load: Load) -> None:
    """Arguments become locals, keys are spelt where they stand, and nothing else is brought along."""
    text = load(GOOD).text

    assert text.splitlines()[:2] == ["local K = KEYS[1]", "local n, field = ARGV[1], ARGV[2]"]
    assert "k_" not in text
    assert KEYS["task"].lua(["n"]) in text
    assert KEYS["meta"].lua([]) in text
    assert "function" not in text


def test_flags_are_for_the_engine(load: Load) -> None:
    """A script that declares flags begins with the engine's shebang, another with none."""
    assert load(GOOD.replace("-- KEYS", "-- flags  allow-oom\n-- KEYS")).text.startswith("#!lua flags=allow-oom\n")
    assert not load(GOOD).text.startswith("#!")


def test_the_text_decides_the_hash(load: Load) -> None:
    """The same file has the same hash, another body another."""
    assert load(GOOD).sha == load(GOOD).sha
    assert load(GOOD).sha != load(GOOD.replace("'HGET', k_meta", "'HMGET', k_meta")).sha


def test_parts_come_before_their_users(load: Load) -> None:
    """A part that a script uses stands below what it needs, above the body, and without what nobody calls."""
    body = "local t = load_task(n)\nreturn rank(t) + given_ms"
    text = load(
        GOOD.replace("-- KEYS  meta task", "-- uses  task")
        .replace("n field", "n given_ms")
        .replace(GOOD.splitlines()[-1], body)
    ).text

    assert text.rstrip().endswith(body)
    assert text.count("local function load_task(") == text.count("local function rank(") == 1
    assert "function store_task" not in text


def test_a_conditional_part_is_a_block(load: Load) -> None:
    """What a part does only under its condition stands inside that condition, with all that only it calls."""
    text = load(
        GOOD.replace("-- KEYS", "-- uses  sweep\n-- KEYS").replace("n field\n", "n field given_ms actor meta\n")
    ).text

    inside = text[text.index("if sweep_is_due then") :]
    assert text.index("local function emit(") < text.index("if sweep_is_due then")
    assert "local function return_task(" in inside
    assert "local function return_task(" not in text.removesuffix(inside)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("-- probe: shows", "-- prone: shows"), "must begin with '-- probe"),
        (("-- KEYS  meta task", "-- KEYS  task"), r"differ on \['meta'\]"),
        (("-- KEYS  meta task", "-- KEYS  meta task ready"), r"differ on \['ready'\]"),
        (("-- KEYS  meta task\n", ""), "differ on"),
        (("k_meta", "k_mate"), "differ on"),
        (("k_task(n)", "'cb:x:task:' .. n"), r"differ on \['task'\]"),
        (("-- ARGV  n field", "-- ARGV  n field lease_ms"), "never uses its argument lease_ms"),
        (("-- Returns the field.", "-- The field."), "does not say what it returns"),
    ],
)
def test_header_and_body_must_agree(load: Load, change: tuple[str, str], complaint: str) -> None:
    """A key or argument that is declared and unused, or used and undeclared, is an error when the file is loaded."""
    with pytest.raises(ScriptError, match=complaint):
        load(GOOD.replace(*change))


def test_an_unknown_key_is_an_error(load: Load) -> None:
    """A key that keys.py does not spell cannot be declared."""
    with pytest.raises(ScriptError, match="no such key"):
        load(GOOD.replace("-- KEYS  meta task", "-- KEYS  mate task").replace("k_meta", "k_mate"))


@pytest.mark.parametrize(
    "command", ["KEYS", "SCAN", "EVAL", "EVALSHA", "FLUSHALL", "FLUSHDB", "keys", "Scan", "HSCAN", "ZSCAN"]
)
@pytest.mark.parametrize("call", ["redis.call('{}', 'x')", 'redis.pcall( "{}")'])
def test_forbidden_commands(load: Load, command: str, call: str) -> None:
    """A script that would walk the whole keyspace, run another or wipe the store is not loaded."""
    with pytest.raises(ScriptError, match="which no script may"):
        load(f"{GOOD}{call.format(command)}\n")


def test_a_script_has_at_most_60_lines(load: Load) -> None:
    """Sixty lines are taken, sixty-one are not."""
    lines = GOOD.splitlines()
    load("\n".join([*lines, *["-- more"] * (LINES_MAX - len(lines))]))
    with pytest.raises(ScriptError, match="more than 60 lines"):
        load("\n".join([*lines, *["-- more"] * (LINES_MAX + 1 - len(lines))]))


def test_an_unknown_part_is_an_error(load: Load) -> None:
    """A part that is not there is noticed when the file is loaded."""
    with pytest.raises(FileNotFoundError):
        load(GOOD.replace("-- KEYS", "-- uses  nothing_like_it\n-- KEYS"))


@pytest.mark.parametrize(("count", "fits"), [(0, False), (1, False), (2, True), (3, False)])
def test_the_number_of_arguments(load: Load, count: int, fits: bool) -> None:  # noqa: FBT001
    """A script takes exactly the arguments of its header."""
    script = load(GOOD)
    if fits:
        script.check_arity(count)
    else:
        with pytest.raises(TypeError, match="takes n field"):
            script.check_arity(count)


@pytest.mark.parametrize(("count", "fits"), [(0, False), (1, True), (2, True), (9, True)])
def test_a_last_ellipsis_takes_the_rest(load: Load, count: int, fits: bool) -> None:  # noqa: FBT001
    """With `...` at the end of its arguments a script takes any number more."""
    script = load(GOOD.replace("n field", "n ...").replace(", field)", ", ARGV[2])"))
    if fits:
        script.check_arity(count)
    else:
        with pytest.raises(TypeError):
            script.check_arity(count)


def test_every_part_keeps_the_form() -> None:
    """Each part of scripts/lib declares what it uses, as the scripts do."""
    folder = Path(claudebench.__file__).parent / "store" / "scripts" / "lib"
    parts = [Source(path.stem, path.read_text()) for path in sorted(folder.glob("*.lua"))]

    assert len(parts) > 10
    assert all(part.header[part.name] for part in parts)


def test_every_lua_file_is_loaded_by_the_app() -> None:
    """No script lies about unused: each file of a room is one of the app's, and titles and hashes are unique."""
    files = {
        path.relative_to(Path(claudebench.__file__).parent) for path in Path(claudebench.__file__).parent.rglob("*.lua")
    }
    rooms = {f"{path.parts[0]}.{path.stem}" for path in files if "lib" not in path.parts}

    assert {script.title for script in SCRIPTS} == rooms
    assert len({script.sha for script in SCRIPTS}) == len(SCRIPTS)
