"""Where the record and the store do not meet, and how they are brought together again.

- The store was rolled back (power loss, fail-over): the record knows events that the log does not. Numbers and
  positions are moved past them, so that none is given away twice; an event names what was lost; rows that only lost
  events have made are taken out, and read anew from the store.
- The log was cut before it was read: an event names the gap, and health is degraded until the record is rebuilt.
- A record is filled from the ledger: the first time, after a roll-back, and when it is rebuilt. Such a row bears the
  position at which it was read, so what the log tells up to there does not count for it any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from sqlalchemy import and_, func, or_, select, tuple_, update

from claudebench.events.model import EventType, Payload
from claudebench.record.entry import START, id_of
from claudebench.record.tables import EVENTS, POSITION
from claudebench.record.writing import FILL, gaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection

    from claudebench.record.database import Database
    from claudebench.record.entry import Position
    from claudebench.record.room import Part, Room
    from claudebench.record.stream import Page, Stream


class LostEvent(msgspec.Struct):
    """An event that the store has no more."""

    id: str
    type: str
    subject: str


class RolledBack(Payload):
    """What lay behind `from`, up to `to`, is lost: `total` events, of which the first 100 are named."""

    from_: str = msgspec.field(name="from")
    to: str
    total: int
    lost: list[LostEvent]


class Gap(Payload):
    """What lay behind `from`, up to `to`, was never recorded."""

    from_: str = msgspec.field(name="from")
    to: str


FACTS = (
    EventType(
        "store.rolled_back",
        "the store has lost these events, which the record had seen; what they did is undone",
        RolledBack,
    ),
    EventType(
        "record.gap",
        "events were cut from the log before the record had read them; type: claudebench record rebuild",
        Gap,
    ),
)
NAMED_MAX = 100
LOOKED_AT = 1_000
log = structlog.get_logger("claudebench")
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Mending:
    """Brings record and store together."""

    stream: Stream
    database: Database
    rooms: Sequence[Room]

    async def lost(self, workspace: str, page: Page) -> str:
        """Put the record right after the store was rolled back; return the position from which to go on.

        Raises:
            ClaudeBenchError: the store or the record went away meanwhile; what is left to do is found again.
        """
        known = page.after
        await self.stream.past(workspace, known, await self.counter(workspace))
        fork = await self._fork(workspace, known)
        named = await self.database.read(partial(_lost_events, workspace=workspace, fork=fork))
        told = {"from": id_of(fork), "to": id_of(known), **named}
        if await self.stream.tell(workspace, "store.rolled_back", id_of(known), _encode(told)):
            log.error("the store has lost events that the record had seen", workspace=workspace, **told)
        await self.database.run(partial(self._take_out, workspace=workspace, fork=fork))
        await self.fill(workspace)
        return id_of(fork)

    async def cut(self, workspace: str, page: Page) -> str:
        """Note that events were cut from the log before they were read; return the position from which to go on.

        A gap that is noted is told already: that more of the same goes, while nothing is rebuilt, is no news.
        """
        told, noted = {"from": id_of(page.after), "to": id_of(page.trimmed)}, await self.database.read(gaps)
        if workspace not in noted and await self.stream.tell(
            workspace, "record.gap", id_of(page.trimmed), _encode(told)
        ):
            log.error(
                "events were cut from the log before they were recorded; type: claudebench record rebuild", **told
            )
        await self.database.run(partial(_note_gap, workspace=workspace, gap=page.trimmed))
        return id_of(page.trimmed)

    async def fill(self, workspace: str) -> None:
        """Read everything that the store holds of a workspace into the record, and clear what was noted of a gap."""
        for room in self.rooms:
            at: str | None = ""
            while at is not None:
                part = await room.part(workspace, at)
                at = part.next
                await self.put(workspace, room, part, last=at is None and room is self.rooms[-1])

    async def put(self, workspace: str, room: Room, part: Part, *, last: bool) -> None:
        """Put a part into the record; with the last one it is sound."""
        await self.database.run(partial(_put, workspace=workspace, room=room, part=part, last=last))

    async def counter(self, workspace: str) -> int:
        """Return the highest number of a task that the record knows."""
        return await self.database.read(partial(_counter, workspace=workspace, rooms=self.rooms))

    async def _fork(self, workspace: str, known: Position) -> Position:
        """Return the last position that the log and the record both have."""
        upto = known
        while found := await self.stream.before(workspace, upto, LOOKED_AT):
            both = await self.database.read(partial(_recorded, workspace=workspace, positions=found))
            if both != START:
                return both
            upto = _just_before(found[-1])
        return START

    def _take_out(self, connection: Connection, workspace: str, fork: Position) -> None:
        lost = and_(EVENTS.c.workspace == workspace, _behind(fork))
        connection.execute(update(EVENTS).where(lost).values(lost=True))
        for room in self.rooms:
            room.forget(connection, workspace, fork)
        here = POSITION.c.workspace == workspace
        connection.execute(update(POSITION).where(here).values(id=id_of(fork), gap=FILL))


def _behind(position: Position) -> ColumnElement[bool]:
    ms, seq = position
    return or_(EVENTS.c.ms > ms, and_(EVENTS.c.ms == ms, EVENTS.c.seq > seq))


def _just_before(position: Position) -> Position:
    ms, seq = position
    return (ms, seq - 1) if seq else (ms - 1, 2**63 - 1)


def _lost_events(connection: Connection, workspace: str, fork: Position) -> dict[str, Any]:
    """Return how many events behind the fork there are, and the first of them."""
    lost = and_(EVENTS.c.workspace == workspace, _behind(fork), EVENTS.c.lost.is_(False))
    total = connection.scalar(select(func.count()).select_from(EVENTS).where(lost)) or 0
    asked = select(EVENTS.c.ms, EVENTS.c.seq, EVENTS.c.type, EVENTS.c.subject).where(lost)
    first = connection.execute(asked.order_by(EVENTS.c.ms, EVENTS.c.seq).limit(NAMED_MAX))
    return {
        "total": total,
        "lost": [{"id": f"{ms}-{seq}", "type": type_, "subject": subject} for ms, seq, type_, subject in first],
    }


def _recorded(connection: Connection, workspace: str, positions: Sequence[Position]) -> Position:
    """Return the newest of these positions that the record has an event of."""
    wanted = tuple_(EVENTS.c.ms, EVENTS.c.seq).in_(positions)
    asked = select(EVENTS.c.ms, EVENTS.c.seq).where(EVENTS.c.workspace == workspace, wanted, EVENTS.c.lost.is_(False))
    found = connection.execute(asked.order_by(EVENTS.c.ms.desc(), EVENTS.c.seq.desc()).limit(1)).first()
    return (found.ms, found.seq) if found else START


def _note_gap(connection: Connection, workspace: str, gap: Position) -> None:
    connection.execute(update(POSITION).where(POSITION.c.workspace == workspace).values(id=id_of(gap), gap=id_of(gap)))


def _counter(connection: Connection, workspace: str, rooms: Sequence[Room]) -> int:
    return max((room.counter(connection, workspace) for room in rooms), default=0)


def _put(connection: Connection, workspace: str, room: Room, part: Part, *, last: bool) -> None:
    room.put(connection, workspace, part)
    if last:
        connection.execute(update(POSITION).where(POSITION.c.workspace == workspace).values(gap=""))
