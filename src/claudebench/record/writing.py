"""One batch in one transaction: the position moves, the events are put down, and each room takes what is its own.

A batch that a room cannot take is written again event by event, each behind a savepoint; an event that is refused even
so stays in `events` and is counted, so that one bad event holds up nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import structlog
from sqlalchemy import Column, Text, select
from sqlalchemy.exc import DBAPIError

from claudebench.record.bulk import Bulk
from claudebench.record.database import is_refusal
from claudebench.record.entry import position_of, text_of
from claudebench.record.tables import EVENTS, POSITION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from claudebench.record.entry import Entry
    from claudebench.record.room import Applies, Room

FILL = "fill"
log = structlog.get_logger("claudebench")
_VALUES = ", ".join(f"{each.name} = excluded.{each.name}" for each in EVENTS.columns if not each.primary_key)
_PUT = Bulk(
    "INSERT INTO events ({columns}) SELECT {columns} FROM {rows} WHERE true "
    f"ON CONFLICT (workspace, ms, seq) DO UPDATE SET {_VALUES}",
    EVENTS.columns,
)
_BEGIN = Bulk(
    "INSERT INTO position ({columns}) SELECT {columns} FROM {rows} WHERE true ON CONFLICT DO NOTHING", POSITION.columns
)
_MOVE = Bulk(
    "UPDATE position SET id = v.new FROM {rows} WHERE position.workspace = v.workspace AND position.id = v.old",
    [Column(name, Text) for name in ("workspace", "old", "new")],
)
BAD = (msgspec.MsgspecError, ValueError, TypeError, LookupError, OverflowError)


class Overtaken(Exception):
    """Somebody else moved the position meanwhile."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one workspace, all that the log holds behind the position `old`."""

    workspace: str
    old: str
    entries: Sequence[Entry]

    @property
    def new(self) -> str:
        """The position after them."""
        return self.entries[-1].id


def begin(connection: Connection, workspaces: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return how far each of these workspaces is recorded, and its gap; one that is new is to be filled."""
    _BEGIN.run(connection, [(workspace, "", FILL) for workspace in workspaces])
    asked = select(POSITION).where(POSITION.c.workspace.in_(workspaces))
    return {row.workspace: (row.id, row.gap) for row in connection.execute(asked)}


def all_positions(connection: Connection) -> dict[str, str]:
    """Return how far every workspace is recorded."""
    return {row.workspace: row.id for row in connection.execute(select(POSITION))}


def places(connection: Connection, rooms: Sequence[Room]) -> dict[str, tuple[int, int, int]]:
    """Return of every workspace the last position that is recorded, as two numbers, and the highest of a task."""
    return {
        workspace: (*position_of(id_), max((room.counter(connection, workspace) for room in rooms), default=0))
        for workspace, id_ in all_positions(connection).items()
    }


def standing(connection: Connection, workspace: str) -> tuple[str, str] | None:
    """Return how far a workspace is recorded, and its gap; None when nothing of it is."""
    row = connection.execute(select(POSITION).where(POSITION.c.workspace == workspace)).first()
    return (row.id, row.gap) if row else None


def gaps(connection: Connection) -> dict[str, str]:
    """Return up to where the log was cut unread, by workspace, until it is rebuilt."""
    asked = select(POSITION).where(POSITION.c.gap.not_in(("", FILL)))
    return {row.workspace: row.gap for row in connection.execute(asked)}


def positions(connection: Connection, workspaces: Sequence[str]) -> dict[str, str]:
    """Return how far each of these workspaces is recorded, as far as it is."""
    asked = select(POSITION.c.workspace, POSITION.c.id).where(POSITION.c.workspace.in_(workspaces))
    return {row.workspace: row.id for row in connection.execute(asked)}


def put(connection: Connection, workspace: str, entries: Sequence[Entry]) -> None:
    """Put events down, over what stands there."""
    _PUT.run(connection, [(workspace, *_row(each)) for each in entries])


def write(connection: Connection, batch: Batch, rooms: Sequence[Applies]) -> None:
    """Write a batch.

    Raises:
        Overtaken: the position is not where the batch begins.
    """
    _move(connection, batch)
    put(connection, batch.workspace, batch.entries)
    for room in rooms:
        room.apply(connection, batch.workspace, batch.entries)


def write_carefully(connection: Connection, batch: Batch, rooms: Sequence[Applies]) -> int:
    """Write a batch event by event; return how many of them a room could not take.

    Raises:
        Overtaken: the position is not where the batch begins.
    """
    _move(connection, batch)
    put(connection, batch.workspace, batch.entries)
    return sum(not _takes(connection, batch.workspace, each, room) for each in batch.entries for room in rooms)


def _takes(connection: Connection, workspace: str, event: Entry, room: Applies) -> bool:
    try:
        with connection.begin_nested():
            room.apply(connection, workspace, [event])
    except (*BAD, DBAPIError) as error:
        if isinstance(error, DBAPIError) and not is_refusal(error):
            raise
        log.exception("an event is in the record and in no room's table", type=event.type, id=event.id)
        return False
    return True


def _move(connection: Connection, batch: Batch) -> None:
    (moved,) = _MOVE.results(connection, [(batch.workspace, batch.old, batch.new)])
    if moved.rowcount != 1:
        raise Overtaken


def _row(event: Entry) -> tuple[object, ...]:
    return (*event[:6], text_of(event.payload), text_of(event.meta), False)
