"""The log as the projector reads it: by pages, from behind a position that the log still has, or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from claudebench.record.entry import START, position_of, read_entry
from claudebench.store.origin import Origin
from claudebench.store.script import Script

if TYPE_CHECKING:
    from claudebench.record.entry import Entry, Position
    from claudebench.store.connection import Connection

BEHIND = Script(__package__, "behind")
BEFORE = Script(__package__, "before")
PAST = Script(__package__, "past")
TOLD = Script(__package__, "told")
SCRIPTS = (BEHIND, BEFORE, PAST, TOLD)


@dataclass(frozen=True, slots=True)
class Page:
    """What lies behind a position; `newest` is the end of the log, `trimmed` the last of what was cut from it."""

    after: Position
    trimmed: Position
    newest: Position
    raw: list[Any]
    knows: bool

    @property
    def entries(self) -> list[Entry]:
        """The entries, read when they are asked for."""
        return [read_entry(*each) for each in self.raw]

    @property
    def is_cut(self) -> bool:
        """Whether entries behind the position were cut from the log before they were read."""
        return self.after < self.trimmed

    @property
    def is_lost(self) -> bool:
        """Whether the log does not know the position, though it was never cut so far: the store was rolled back."""
        return not self.knows and self.after > self.trimmed

    @property
    def is_whole(self) -> bool:
        """Whether nothing follows what is here."""
        return position_of(self.raw[-1][0].decode()) >= self.newest if self.raw else True


@dataclass(frozen=True, slots=True)
class Stream:
    """The log of every workspace."""

    connection: Connection

    async def behind(self, workspace: str, after: str, limit: int) -> Page:
        """Return at most `limit` entries behind a position."""
        trimmed, newest, raw = await self.connection.run(BEHIND, workspace, after, limit)
        at = position_of(after)
        knows = at == START or (bool(raw) and raw[0][0].decode() == after)
        page = raw[1:] if knows and at != START else raw[:limit]
        return Page(at, position_of(trimmed.decode()), position_of(newest.decode()), page, knows)

    async def before(self, workspace: str, upto: Position, limit: int) -> list[Position]:
        """Return the positions of the entries up to `upto`, newest first."""
        ids = await self.connection.run(BEFORE, workspace, f"{upto[0]}-{upto[1]}", limit)
        return [position_of(each.decode()) for each in ids]

    async def past(self, workspace: str, position: Position, counter: int, *, sure: bool = True) -> bool:
        """Move the log and the counter of tasks past what is known; return whether the log was behind.

        It is not `sure` when the record cannot be asked: then more numbers are left out than a store can lose.
        """
        return bool(await self.connection.run(PAST, workspace, *position, counter, "sure" if sure else ""))

    async def tell(self, workspace: str, type_: str, place: str, payload: bytes) -> str:
        """Say once that something befell the log at this place; return the position of the event, or ''."""
        (position,) = await self.connection.run(TOLD, workspace, *Origin(workspace).head, type_, place, payload)
        return str(position.decode())
