"""What an app keeps in the store: one class that names its keys and events and runs its scripts."""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from claudebench.errors import Unavailable, nearest
from claudebench.events.model import EventType
from claudebench.own.lua import Bounds, read
from claudebench.store.keys import Key
from claudebench.store.script import Script, ScriptError
from claudebench.store.wire import unexpected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping
    from importlib.resources.abc import Traversable

    from claudebench.events.subscriber import Delivery
    from claudebench.rpc.context import Context
    from claudebench.store.connection import Connection
    from claudebench.store.wire import Argument

APP = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
SCRIPTS_MAX = 200
EFFECT_HEAD = ("given_ms", "actor", "meta", "group", "partition", "holder", "fence", "position")
_KEY_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_EVENT_NAME = re.compile(r"(?:\.[a-z][a-z0-9_]*)+\Z")
_TAIL = re.compile(r"(?:[A-Za-z0-9_.:-]|{[a-z][a-z0-9_]*})+\Z")


class OwnStore:
    """The state of an app. Subclass it, name the app, its keys and events; its Lua lies in `scripts/` beside the class.

    A method of yours runs one script. Ask for the class by type in a handler, and you are given it.
    """

    app: ClassVar[str] = ""
    keys: ClassVar[tuple[Key, ...]] = ()
    events: ClassVar[tuple[EventType, ...]] = ()

    def __init__(self, connection: Connection, scripts: Mapping[str, Script]) -> None:
        """Take the connection and the scripts, by the names of their files; the server does this."""
        self._connection = connection
        self._scripts = scripts

    async def change(self, script: str, context: Context, *arguments: Argument) -> list[Any]:
        """Run a script whose ARGV begin with `given_ms actor meta`, note its position, return the rest of its reply.

        Raises:
            ClaudeBenchError: what the script refuses, or the store's trouble.
            TypeError: there is no such script, or it does not answer `{position, ...}`.
        """
        found = self._find(script)
        if not found.changes:
            raise TypeError(f"{found.title} changes nothing: its ARGV must begin with given_ms actor meta")
        reply = await _answered(self._connection.change(found, context.origin(), *arguments))
        rest = _rest(found, reply)
        context.position = reply[0].decode() or context.position
        return rest

    async def effect(self, script: str, delivery: Delivery, *arguments: Argument) -> list[Any]:
        """Run a script that handles an event and marks it as processed in one atom; return the rest of its reply.

        Its ARGV begin with `given_ms actor meta group partition holder fence position`; it answers `{position, ...}`.

        Raises:
            Stale: the partition is another process's now, which handles the event.
            ClaudeBenchError: what the script refuses, or the store's trouble.
            TypeError: there is no such script, or it is not of this form, or nothing is marked in this delivery.
        """
        found = self._find(script)
        if tuple(found.argv[: len(EFFECT_HEAD)]) != EFFECT_HEAD:
            raise TypeError(f"{found.title} is no effect: its ARGV must begin with {' '.join(EFFECT_HEAD)}")
        if delivery.mark is None:
            raise TypeError(f"{found.title}: this delivery has no mark, since events are delivered at most once here")
        marked = (*delivery.mark.arguments, *arguments)
        return _rest(found, await _answered(self._connection.change(found, delivery.origin, *marked)))

    async def run(self, script: str, context: Context, *arguments: Argument) -> Any:
        """Run a script that only reads, and return its reply as the store answers it: bytes, integers, lists.

        Raises:
            ClaudeBenchError: what the script refuses, or the store's trouble.
            TypeError: there is no such script.
        """
        found = self._find(script)
        if found.changes:
            raise TypeError(f"{found.title} changes something; call `change`")
        return await _answered(self._connection.run(found, context.workspace, *arguments))

    def _find(self, script: str) -> Script:
        if script not in self._scripts:
            near = nearest(script, self._scripts)
            raise TypeError(f"{self.app} has no script {script!r}" + (f"; did you mean {near!r}?" if near else ""))
        return self._scripts[script]


def _rest(script: Script, reply: Any) -> list[Any]:
    if not isinstance(reply, list) or not reply or not isinstance(reply[0], bytes):
        raise TypeError(f"{script.title} must answer {{position, ...}}, not {reply!r:.100}")
    return reply[1:]


async def _answered(reply: Awaitable[Any]) -> Any:
    """Return a reply; a key of the wrong type, which in our scripts means another layout, is a fault of an app's."""
    try:
        return await reply
    except Unavailable as error:
        if error.data.get("reason") == "format" and error.outcome == "unknown":
            raise unexpected(error.message) from error
        raise


def own_prefix(app: str) -> str:
    """Return what every key of an app begins with, behind the prefix of the workspace."""
    return f"x:{app}:"


def scripts_of(store: type[OwnStore]) -> dict[str, Script]:
    """Return the scripts of an app, read and checked.

    Raises:
        ScriptError: the declaration of the store, or one of its scripts, does not hold.
    """
    bounds = _bounds(store)
    scripts = {
        name: Script.of(f"x.{store.app}", read(name, text, bounds)) for name, text in _texts(_folder(store.__module__))
    }
    if len(scripts) > SCRIPTS_MAX:
        raise ScriptError(f"{store.app} has {len(scripts)} scripts; at most {SCRIPTS_MAX} are loaded")
    return scripts


def _bounds(store: type[OwnStore]) -> Bounds:
    if not APP.match(store.app):
        raise ScriptError(f"app = {store.app!r} must be a name such as 'notes', of at most 40 letters, digits and _")
    if not isinstance(store.keys, (tuple, list)) or not isinstance(store.events, (tuple, list)):
        raise ScriptError("keys and events are tuples; one alone wants a comma behind it")
    for key in store.keys:
        if not isinstance(key, Key) or not _KEY_NAME.match(key.name) or not _TAIL.match(key.tail):
            raise ScriptError(f"{key!r} must be a Key whose tail is made of letters, digits, _.:- and {{parts}}")
    for event in store.events:
        if not isinstance(event, EventType) or not _EVENT_NAME.match(event.name.removeprefix(f"x.{store.app}")):
            raise ScriptError(f"{event!r} must be an EventType whose name is 'x.{store.app}.<fact>'")
    keys = {key.name: Key(key.name, own_prefix(store.app) + key.tail, key.type, key.meaning) for key in store.keys}
    if len(keys) != len(store.keys):
        raise ScriptError("two keys have one name")
    return Bounds(store.app, keys, frozenset(event.name for event in store.events))


def _folder(module: str) -> Traversable:
    """Return the folder of the scripts: in the package of a module, or beside a module that has none."""
    found = sys.modules[module]
    if found.__package__:
        return files(found.__package__) / "scripts"
    return Path(found.__file__ or ".").parent / "scripts"


def _texts(folder: Traversable) -> Iterator[tuple[str, str]]:
    if not folder.is_dir():
        return
    for each in sorted(folder.iterdir(), key=lambda found: found.name):
        if each.name.endswith(".lua"):
            try:
                yield each.name.removesuffix(".lua"), each.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ScriptError(f"{each.name} cannot be read: {error}") from None
