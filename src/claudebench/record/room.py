"""What the record asks of a room: to take events, and to put its rows right by the ledger where events cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from claudebench.record.entry import Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from claudebench.record.entry import Entry


class Difference(msgspec.Struct, rename="camel"):
    """One thing that the record has otherwise than the store: `None` where one of them does not have it at all."""

    what: str
    id: str
    store: Any
    record: Any


class Part(msgspec.Struct):
    """A part of what a room keeps, read from the store at one moment: as of which position, and where it goes on."""

    position: Position
    rows: dict[Any, Any]
    first: Any
    next: Any
    last: Any = None


class Applies(Protocol):
    """Who makes something of events."""

    def apply(self, connection: Connection, workspace: str, events: Sequence[Entry]) -> None:
        """Bring the tables up to these events, in the transaction of the connection."""


class Room(Applies, Protocol):
    """A room that keeps a copy of what it holds."""

    @property
    def name(self) -> str:
        """Its name."""

    def counter(self, connection: Connection, workspace: str) -> int:
        """Return the highest number of a task that was ever recorded, 0 where a room has none."""

    def highest(self, workspace: str) -> int:
        """Return the same from memory, as of the last `counter` or batch."""

    def forget(self, connection: Connection, workspace: str, after: Position) -> None:
        """Take out what only events behind a position have told: the store has lost them."""

    async def part(self, workspace: str, at: str) -> Part:
        """Read a part of what the store holds, from `at` on; '' is the beginning."""

    def put(self, connection: Connection, workspace: str, part: Part) -> None:
        """Make the rows of a part what the store has, but for those that later events have moved on."""

    def compare(self, connection: Connection, workspace: str, part: Part) -> tuple[list[Difference], bool]:
        """Return where the record differs from a part, and whether rows had moved on meanwhile."""
