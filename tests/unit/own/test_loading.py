"""What an app brings, and everything that may be wrong with one: said at start, with its name, before the store."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claudebench.errors import SettingsError
from claudebench.hooks.registration import is_hook
from claudebench.own.loading import Apps, load_apps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Write = Callable[..., str]

HEAD = """
import msgspec
from claudebench import *

class Ask(msgspec.Struct): word: str = ""

class Told(msgspec.Struct): word: str = ""

def declare(name): return handler(name, pattern=Pattern.CENTRALIZED, consistency=Consistency.LINEARIZABLE)
"""
ONE = '@declare("{name}")\nasync def {function}(request: Ask) -> Told:\n    """Tell."""\n    return Told()\n'
STORE = """
class Store(OwnStore):
    app, keys, events = {app!r}, ({key}), ({event})

@declare("probe.ask")
async def ask(request: Ask, context: Context, store: Store) -> Told: return Told()
"""
LUA = "-- probe: p.\n-- KEYS  one\n-- ARGV  a\n-- Returns a.\nreturn redis.call('SET', k_one, a)\n"
TAKEN = {"task.create", "system.health"}
_numbers = itertools.count(1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder from which modules can be imported, and forget them afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def write(folder: Path) -> Write:
    """Write a package below HEAD and return its name."""

    def write(text: str = "", *, lua: str = "", name: str = "") -> str:
        package = name or f"probe{next(_numbers)}"
        (folder / package / "scripts").mkdir(parents=True)
        (folder / package / "__init__.py").write_text(HEAD + text)
        if lua:
            (folder / package / "scripts" / "probe.lua").write_text(lua)
        return package

    return write


def one(name: str, function: str = "ask") -> str:
    """Return a handler of this name."""
    return ONE.format(name=name, function=function)


def stored(app: str = "probe", key: str = "Key('one', 'one', 'string', ''),", event: str = "") -> str:
    """Return a store and a handler that asks for it."""
    return STORE.format(app=app, key=key, event=event)


def load(modules: str) -> Apps:
    """Load modules beside two commands of ours."""
    return load_apps(modules, TAKEN, is_hook)


def names(apps: Apps) -> list[str]:
    """Return the names of the commands."""
    return [command.name for command in apps.commands]


def distribute(folder: Path, **points: str) -> None:
    """Install a distribution of nothing but entry points."""
    info = folder / "probe_dist-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: probe-dist\nVersion: 1.5\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[claudebench.handlers]\n{lines}")


# -- what is found


def test_commands_hooks_and_scripts_are_found(write: Write) -> None:
    """A module brings what it declares: commands, hooks, and the scripts of the stores that its handlers ask for."""
    module = write(stored() + "@hook('pre_tool')\ndef judge(call): return None\n", lua=LUA)

    apps = load(module)

    assert names(apps) == ["probe.ask"]
    assert [function.__name__ for function in apps.hooks] == ["judge"]
    assert [script.title for script in apps.all_scripts()] == ["x.probe.probe"]


@pytest.mark.parametrize("name", ["notes.add", "notes.text.add", "x.notes.add", "x.task.create"])
def test_the_names_of_commands(write: Write, name: str) -> None:
    """An app names its commands by itself, by itself and a noun, or behind `x.`, where nothing of ours ever stands."""
    assert names(load(write(one(name)))) == [name]


def test_modules_are_several(write: Write) -> None:
    """Several modules are named with commas between them."""
    first, second = write(one("one.ask")), write(one("two.ask"))
    assert names(load(f"{first}, {second},")) == ["one.ask", "two.ask"]


def test_what_is_imported_is_not_brought(write: Write) -> None:
    """A handler that a module only imported belongs to the other module; one of a module below it is its own."""
    other = write(one("other.ask"))
    module = write(
        f"from {other} import ask as theirs\nfrom {{0}}.below import deep\n".replace("{0}", "around"), name="around"
    )
    (Path(sys.path[0]) / "around" / "below.py").write_text(HEAD + one("around.deep", "deep"))

    assert names(load(module)) == ["around.deep"]


def test_a_module_of_the_working_directory(write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module beside which the server is started is found, though nobody put it on the path."""
    module = write(one("notes.add"))
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(folder)])
    monkeypatch.chdir(folder)

    assert names(load(module)) == ["notes.add"]


def test_installed_apps_are_found(write: Write, folder: Path) -> None:
    """An entry point brings a module, one handler, or a list of them; what is named twice is brought once."""
    whole = write(one("whole.ask"))
    single = write(one("single.ask") + one("single.other", "other"))
    several = write(one("several.ask") + one("several.other", "other") + "all_of_it = [ask, other]\n")
    distribute(folder, a=whole, b=f"{single}:ask", c=f"{several}:all_of_it")

    assert names(load(whole)) == ["whole.ask", "single.ask", "several.ask", "several.other"]


# -- what is wrong


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("import nothing_like_it", "cannot be imported: ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("this is no Python", "cannot be imported: SyntaxError"),
        ("", "declares nothing with @handler, @hook or @on"),
        ('@declare("probe.ask")\ndef ask(request: Ask) -> Told: ...', "probe.ask: a handler is an async function"),
        ('@declare("probe.ask")\nasync def ask(request) -> Told: ...', "probe.ask: annotate the request"),
        ('@declare("probe.ask")\nasync def ask(request: dict) -> Told: ...', "probe.ask: annotate the request"),
        ('@declare("probe.ask")\nasync def ask(request: Ask): ...', "probe.ask: annotate the request"),
        ('@declare("probe.ask")\nasync def ask(request: "Asked") -> Told: ...', "'Asked' is not defined"),
        ('@declare("probe.ask")\nasync def ask(request: Ask, n: int) -> Told: ...', "asks for <class 'int'>"),
        ('@declare("probe.ask")\nasync def ask(request: Ask) -> object: ...', "cannot be JSON"),
        ('@declare("Probe.ask")\nasync def ask(request: Ask) -> Told: ...', "'Probe.ask' with doors"),
        ("@hook('stop')\ndef judge(call): ...", ""),
        (one("task.create"), "task.create is a command of ClaudeBench"),
        (one("task.archive"), "the domain 'task' is ClaudeBench's; use your own, or x.task.<verb>"),
        (one("hooks.ask"), "the domain 'hooks' is ClaudeBench's"),
        (one("w.ask"), "the domain 'w' is ClaudeBench's"),
        (one("x.ask"), "x.ask must be named <app>.<verb>"),
        (one("probe.ask") + one("probe.ask", "other"), "probe.ask is declared twice: "),
    ],
)  # fmt: skip
def test_a_module_that_does_not_fit(write: Write, text: str, complaint: str) -> None:
    """What is wrong with a module is said with its name and, where there is one, the name of the command."""
    module = write(text)
    if not complaint:
        assert len(load(module).hooks) == 1
        return
    with pytest.raises(SettingsError) as refused:
        load(module)

    assert refused.value.message.startswith(f"--app {module}: ")
    assert complaint in refused.value.message


def test_a_module_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that cannot be found is named, with where it was looked for."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        SettingsError, match="--app nothing_like_it: cannot be imported: ModuleNotFoundError"
    ) as refused:
        load("nothing_like_it")
    assert refused.value.message.endswith(f"; looked for in {tmp_path} and what is installed")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../x", "write the name of a module, such as notes.handlers for notes/handlers.py"),
        ("./x.py", "write the name of a module"),
        ("/tmp/x", "write the name of a module"),
        ("a-b", "write the name of a module"),
        ("x.", "write the name of a module"),
        ("x.py", "write the name of the module, without .py: --app x"),
    ],
)
def test_what_names_no_module(name: str, said: str) -> None:
    """A path, or a name with an ending, is answered with what is wanted."""
    with pytest.raises(SettingsError) as refused:
        load(name)
    assert refused.value.message.startswith(f"--app {name}: {said}")


def test_two_modules_with_one_name(write: Write) -> None:
    """A command that two modules declare is refused, with both."""
    first, second = write(one("probe.ask")), write(one("probe.ask"))
    with pytest.raises(SettingsError, match=rf"--app {second}: .*probe\.ask is declared twice.*--app {first}"):
        load(f"{first},{second}")


@pytest.mark.parametrize(
    ("text", "lua", "complaint"),
    [
        (stored(app=""), "", "app = '' must be a name"),
        (stored(app="No"), "", "app = 'No' must be a name"),
        (stored(app="a" * 41), "", "must be a name"),
        (stored(app="a:b"), "", "must be a name"),
        (stored(key="Key('one', \"o'ne\", 'string', ''),"), "", "must be a Key"),
        (stored(key="Key('one', 'o{', 'string', ''),"), "", "must be a Key"),
        (stored(key="Key('One', 'one', 'string', ''),"), "", "must be a Key"),
        (stored(key="'one',"), "", "must be a Key"),
        (stored(key="Key('one', 'a', '', ''), Key('one', 'b', '', ''),"), "", "two keys have one name"),
        (stored(event="EventType('x.other.done', ''),"), "", "must be an EventType"),
        (stored(event="EventType('task.done', ''),"), "", "must be an EventType"),
        (stored(event="EventType('x.probe.', ''),"), "", "must be an EventType"),
        (stored(event="'x.probe.done',"), "", "must be an EventType whose name is 'x.probe.<fact>'"),
        (stored(event="EventType('x.probe.done', '')"), "", "keys and events are tuples"),
        (stored(key="Key('one', 'one', 'string', '')"), "", "keys and events are tuples"),
        (stored(), LUA.replace("k_one", "'cb:{default}:meta'"), "probe.lua: SET wants a key of the app"),
        (stored(key=""), LUA, "no such key ['one']"),
        (stored(), "return 1", "must begin with '-- probe"),
        (stored(), LUA + "-- more\n" * 60, "more than 60 lines"),
    ],
)
def test_a_store_that_does_not_fit(write: Write, text: str, lua: str, complaint: str) -> None:
    """What is wrong with the keys, events or scripts of an app is said with the name of its store."""
    module = write(text, lua=lua)
    with pytest.raises(SettingsError) as refused:
        load(module)

    assert refused.value.message.startswith(f"--app {module}: {module}.Store: ")
    assert complaint in refused.value.message


def test_a_script_that_is_no_text(write: Write, folder: Path) -> None:
    """A script that is not UTF-8 is named."""
    module = write(stored())
    (folder / module / "scripts" / "probe.lua").write_bytes(b"-- probe: \xff\n")
    with pytest.raises(SettingsError, match=r"probe\.lua cannot be read"):
        load(module)


def test_a_store_that_cannot_be_made(write: Write) -> None:
    """A store whose constructor fails is named."""
    module = write(stored().replace("    app,", "    def __init__(self): ...\n    app,"))
    with pytest.raises(SettingsError, match=rf"{module}\.Store cannot be made: TypeError"):
        load(module).stores(None)  # type: ignore[arg-type]


def test_a_value_that_raises_when_asked_is_passed_over(write: Write) -> None:
    """A module may hold values that answer nothing outside their time; they are not ours."""
    asked = "    def __getattr__(self, name): raise RuntimeError\n    def __call__(self): ...\n"
    module = write(f"class Touchy:\n{asked}touchy = Touchy()\n" + one("probe.ask"))

    assert names(load(module)) == ["probe.ask"]


def test_one_app_has_one_store(write: Write) -> None:
    """Two stores that name one app would write each other's keys; both are named."""
    first = write(stored())
    second = write(stored().replace("probe.ask", "probe.other"))
    with pytest.raises(SettingsError, match=rf"'probe' has two stores: {first}\.Store and {second}\.Store"):
        load(f"{first},{second}")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("nothing_like_it", "cannot be imported: ModuleNotFoundError"),
        ("{0}:absent", "cannot be imported: AttributeError"),
        ("{0}:Ask", "names <class"),
        ("{0}:several", "names 5"),
        ("{0}:OwnStore", "names <class"),
    ],
)
def test_an_entry_point_that_does_not_fit(write: Write, folder: Path, value: str, complaint: str) -> None:
    """A broken entry point fails the start, and the message names the distribution and its version."""
    module = write(one("probe.ask") + "several = (ask, 5)\n")
    distribute(folder, mine=value.format(module))
    with pytest.raises(SettingsError) as refused:
        load("")

    assert refused.value.message.startswith("probe-dist 1.5 (entry point mine = ")
    assert complaint in refused.value.message
