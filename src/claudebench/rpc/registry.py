"""The registry: every command by its name, with the stores its handler asks for bound by type, once, at start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.errors import UnknownCommand, nearest
from claudebench.rpc.context import Context
from claudebench.telemetry.span import Instrument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from claudebench.rpc.command import Command, Function


@dataclass(slots=True)
class Bound:
    """A command ready to run: its decoder, its handler with stores filled in, its instrument."""

    command: Command
    decode: Any
    function: Function
    stores: dict[str, Any]
    context_name: str
    instrument: Instrument


class HandlerRegistry:
    """All commands of this server (the assessment's HandlerRegistry)."""

    def __init__(self, commands: Iterable[Command], stores: Mapping[type, Any]) -> None:
        """Bind every command to the instances in `stores`, keyed by their types.

        Raises:
            TypeError: a name is declared twice, or a handler asks for a type that nobody provides.
        """
        self._bound: dict[str, Bound] = {}
        for command in commands:
            if command.name in self._bound:
                raise TypeError(f"the command {command.name} is declared twice")
            self._bound[command.name] = _bind(command, stores)

    def find(self, name: str, door: str = "") -> Bound:
        """Return the bound command, if it may be reached by `door`.

        Raises:
            UnknownCommand: with the nearest known name, when there is one.
        """
        bound = self._bound.get(name)
        if bound is None or (door and door not in bound.command.doors):
            raise UnknownCommand(f"unknown command {name[:100]!r}", nearest=nearest(name[:100], self._bound))
        return bound

    def is_query(self, name: str) -> bool:
        """Tell whether a command is known and changes nothing."""
        return name in self._bound and not self._bound[name].command.changes

    def all(self) -> list[Bound]:
        """Return every command, by name."""
        return [self._bound[name] for name in sorted(self._bound)]


def _bind(command: Command, stores: Mapping[type, Any]) -> Bound:
    filled, context_name = {}, ""
    for name, wanted in command.wants.items():
        if wanted is Context:
            context_name = name
        elif wanted in stores:
            filled[name] = stores[wanted]
        else:
            raise TypeError(f"{command.name} asks for {wanted!r}, which nobody provides")
    return Bound(
        command=command,
        decode=msgspec.json.Decoder(command.input).decode,
        function=command.function,
        stores=filled,
        context_name=context_name,
        instrument=Instrument(command.name, command.pattern.value),
    )
