"""Finds the apps of this server: modules named at start, and the entry points of installed distributions.

Nothing is registered by being imported: what is found are the values of the module, or what an entry point names.
"""

from __future__ import annotations

import inspect
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from claudebench.errors import SettingsError
from claudebench.events.subscriber import declared
from claudebench.own.calls import guarded
from claudebench.own.store import APP, OwnStore, scripts_of
from claudebench.own.subscribing import Subscriber, read_subscriber
from claudebench.rpc.command import Command
from claudebench.rpc.context import Context
from claudebench.store.script import Script, ScriptError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from importlib.metadata import EntryPoint

    from claudebench.events.model import EventType
    from claudebench.store.connection import Connection

GROUP = "claudebench.handlers"
COMMANDS_MAX, SUBSCRIBERS_MAX = 1_000, 24
PATHS = frozenset({"events", "health", "hooks", "mcp", "metrics", "rpc", "w", "ws", "x"})
PREFIX = "x."


class Found(NamedTuple):
    """A command, a hook, a subscriber or a store, and who brought it."""

    value: Any
    source: str


@dataclass(slots=True)
class Apps:
    """What the apps of a server brought."""

    commands: list[Command] = field(default_factory=list)
    hooks: list[Callable[..., Any]] = field(default_factory=list)
    subscribers: list[Subscriber] = field(default_factory=list)
    scripts: dict[type[OwnStore], dict[str, Script]] = field(default_factory=dict)

    @property
    def events(self) -> list[EventType]:
        """The events that they declare."""
        return [event for store in self.scripts for event in store.events]

    def stores(self, connection: Connection) -> dict[type, OwnStore]:
        """Return the store of every app, by its type.

        Raises:
            SettingsError: one cannot be made.
        """
        return {store: _made(store, connection, scripts) for store, scripts in self.scripts.items()}

    def all_scripts(self) -> list[Script]:
        """Return the scripts of every app."""
        return [script for found in self.scripts.values() for script in found.values()]


def _made(store: type[OwnStore], connection: Connection, scripts: dict[str, Script]) -> OwnStore:
    try:
        return store(connection, scripts)
    except Exception as error:
        raise SettingsError(f"{_named(store)} cannot be made: {type(error).__name__}: {error}") from error


def load_apps(modules: str, taken: Collection[str], is_hook: Callable[[object], bool]) -> Apps:
    """Return what the modules, named with commas between them, and the entry points bring.

    A module of the working directory is found, after those of the environment.

    Args:
        modules: the value of `--app`.
        taken: the names of this server's own commands.
        is_hook: tells a declared hook from any other function.

    Raises:
        SettingsError: something about an app is wrong; the message names the app and what.
    """
    apps = Apps()
    sources: dict[str, str] = {}
    for value, source in _once(_all_values(modules, is_hook)):
        if isinstance(value, Command):
            _take_command(apps, value, source, sources, taken)
        elif isinstance(value, type):
            _take_store(apps, value, source)
        elif declared(value):
            _take_subscriber(apps, read_subscriber(value, source))
        else:
            apps.hooks.append(value)
    return apps


def _once(found: Iterable[Found]) -> Iterator[Found]:
    """Leave out what was found before: an entry point may name what `--app` names too."""
    seen = set()
    for each in found:
        if id(each.value) not in seen:
            seen.add(id(each.value))
            yield each


def _all_values(modules: str, is_hook: Callable[[object], bool]) -> Iterator[Found]:
    names = list(filter(None, map(str.strip, modules.split(","))))
    if names and os.getcwd() not in sys.path:  # noqa: PTH109 - sys.path holds texts
        sys.path.append(os.getcwd())  # noqa: PTH109
    for name in names:
        source = f"--app {name}"
        _check_module(name, source)
        module = _import(lambda name=name: import_module(name), source)  # type: ignore[misc]
        yield from _values(module, source, is_hook)
    for point in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        source = _described(point)
        yield from _values(_import(point.load, source), source, is_hook)


def _check_module(name: str, source: str) -> None:
    """Refuse what is no name of a module: a path, for one."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise SettingsError(f"{source}: write the name of a module, such as notes.handlers for notes/handlers.py")
    if name.endswith(".py"):
        raise SettingsError(f"{source}: write the name of the module, without .py: --app {name.removesuffix('.py')}")


def _described(point: EntryPoint) -> str:
    whose = f"{point.dist.name} {point.dist.version}" if point.dist else "an installed distribution"
    return f"{whose} (entry point {point.name} = {point.value})"


def _import(load: Callable[[], Any], source: str) -> Any:
    try:
        return load()
    except (Exception, SystemExit) as error:
        shown = f"{type(error).__name__}: {error}".rstrip(": ")
        where = f"; looked for in {os.getcwd()} and what is installed" if isinstance(error, ModuleNotFoundError) else ""  # noqa: PTH109
        raise SettingsError(f"{source}: cannot be imported: {shown}{where}") from error


def _values(named: Any, source: str, is_hook: Callable[[object], bool]) -> Iterator[Found]:
    """Yield what a module, one declared thing, or several of them bring."""
    if isinstance(named, ModuleType):
        inside = [each for each in vars(named).values() if _is_declared(each, is_hook) and _is_from(named, each)]
        if all(isinstance(each, type) for each in inside):
            raise SettingsError(f"{source}: declares nothing with @handler, @hook or @on")
    else:
        inside = list(named) if isinstance(named, (list, tuple)) else [named]
    for each in inside:
        if not _is_declared(each, is_hook):
            raise SettingsError(
                f"{source}: names {each!r:.100}, which is no module and not declared with @handler, @hook or @on"
            )
        yield Found(each, source)


def _is_declared(value: Any, is_hook: Callable[[object], bool]) -> bool:
    with suppress(Exception):  # a value of somebody's module may raise whatever it is asked
        is_store = isinstance(value, type) and issubclass(value, OwnStore) and value is not OwnStore
        return isinstance(value, Command) or is_store or (callable(value) and (is_hook(value) or bool(declared(value))))
    return False


def _is_from(module: ModuleType, value: Any) -> bool:
    """Whether a value was made in this module or below it, not merely imported; a store may lie beside it."""
    home = value.function.__module__ if isinstance(value, Command) else value.__module__
    around = module.__name__.partition(".")[0] if isinstance(value, type) else module.__name__
    return home == around or home.startswith(f"{around}.")


def _take_command(apps: Apps, command: Command, source: str, sources: dict[str, str], taken: Collection[str]) -> None:
    if command.name in sources:
        raise SettingsError(
            f"{source}: {command.name} is declared twice: {_place(command)}; the other is of {sources[command.name]}"
        )
    _check_name(command.name, source, taken)
    _check_types(command, source)
    for wanted in command.wants.values():
        if isinstance(wanted, type) and issubclass(wanted, OwnStore):
            _take_store(apps, wanted, source)
        elif wanted is not Context:
            raise SettingsError(
                f"{source}: {command.name} asks for {wanted!r}; a handler of an app is given a Context and its own "
                "stores, and reaches anything else by context.call"
            )
    sources[command.name] = source
    apps.commands.append(guarded(command))
    if len(apps.commands) > COMMANDS_MAX:
        raise SettingsError(f"{source}: more than {COMMANDS_MAX} commands of apps")


def _take_subscriber(apps: Apps, subscriber: Subscriber) -> None:
    for other in apps.subscribers:
        if other.on.group == subscriber.on.group:
            raise SettingsError(
                f"{subscriber.source}: the group {other.on.group!r} has two subscribers, {other.place} for "
                f"{', '.join(other.on.patterns)} and {subscriber.place} for {', '.join(subscriber.on.patterns)}; "
                "give one of them another group"
            )
    for store in subscriber.stores:
        _take_store(apps, store, subscriber.source)
    apps.subscribers.append(subscriber)
    if len(apps.subscribers) > SUBSCRIBERS_MAX:
        raise SettingsError(f"{subscriber.source}: more than {SUBSCRIBERS_MAX} subscribers of apps")


def _place(command: Command) -> str:
    function = inspect.unwrap(command.function)
    return f"{function.__module__}.{getattr(function, '__qualname__', '?')}"


def _check_name(name: str, source: str, taken: Collection[str]) -> None:
    own = name.removeprefix(PREFIX)
    domain = own.partition(".")[0]
    if "." not in own or not APP.match(domain):
        raise SettingsError(f"{source}: {name} must be named <app>.<verb>, <app>.<noun>.<verb> or x.<app>.<verb>")
    if name in taken:
        raise SettingsError(f"{source}: {name} is a command of ClaudeBench; choose another name")
    if name.startswith(PREFIX):
        return
    if domain in domains_of(taken):
        raise SettingsError(
            f"{source}: {name}: the domain {domain!r} is ClaudeBench's; use your own, or x.{domain}.<verb>"
        )


def domains_of(names: Iterable[str]) -> frozenset[str]:
    """Return the domains that no app may have: those of our commands, and what our paths begin with."""
    return PATHS | {name.partition(".")[0] for name in names}


def _check_types(command: Command, source: str) -> None:
    try:
        for type_ in (command.input, command.output):
            msgspec.json.Decoder(type_)
        msgspec.json.schema_components((command.input, command.output))
    except (TypeError, NameError) as error:
        raise SettingsError(f"{source}: {command.name}: its request or answer cannot be JSON: {error}") from None


def _take_store(apps: Apps, store: type[OwnStore], source: str) -> None:
    if store in apps.scripts:
        return
    for other in apps.scripts:
        if other.app == store.app:
            raise SettingsError(f"{source}: the app {store.app!r} has two stores: {_named(other)} and {_named(store)}")
    try:
        apps.scripts[store] = scripts_of(store)
    except ScriptError as error:
        raise SettingsError(f"{source}: {_named(store)}: {error}") from None


def _named(store: type[OwnStore]) -> str:
    return f"{store.__module__}.{store.__qualname__}"
