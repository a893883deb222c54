"""Instances in the record: each as it was last heard of, those that left too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw
from sqlalchemy import BigInteger, Column, Table, Text, and_, delete, or_, select

from claudebench.record.bulk import Bulk
from claudebench.record.entry import position_of, text_of
from claudebench.record.room import Difference, Part
from claudebench.record.tables import METADATA
from claudebench.store.script import Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from claudebench.record.entry import Entry, Position
    from claudebench.store.connection import Connection as Store

ROWS = Script(__package__, "rows")
SCRIPTS = (ROWS,)
INSTANCES_MAX = 10_000

INSTANCES = Table(
    "instances",
    METADATA,
    Column("workspace", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),  # ACTIVE, OFFLINE or LEFT, as the last event has it
    Column("incarnation", BigInteger, nullable=False),
    Column("registration", Text, nullable=False),  # JSON
    Column("changed_ms", BigInteger, nullable=False),
    Column("ms", BigInteger, nullable=False),  # the last event that made this row is ms-seq
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
STATES = {
    "instance.registered": "ACTIVE",
    "instance.online": "ACTIVE",
    "instance.offline": "OFFLINE",
    "instance.unregistered": "LEFT",
}
_TEMPLATE = (
    "INSERT INTO instances ({columns}) SELECT {columns} FROM {rows} WHERE true "
    "ON CONFLICT (workspace, id) DO UPDATE SET "
    "state = excluded.state, changed_ms = excluded.changed_ms, ms = excluded.ms, seq = excluded.seq, "
    "incarnation = CASE WHEN excluded.incarnation > 0 THEN excluded.incarnation ELSE instances.incarnation END, "
    "registration = CASE WHEN excluded.registration <> '' THEN excluded.registration ELSE instances.registration END "
    "WHERE (instances.ms, instances.seq) "
)
_PUT = Bulk(_TEMPLATE + "< (excluded.ms, excluded.seq)", INSTANCES.columns)
_FILL = Bulk(_TEMPLATE + "<= (excluded.ms, excluded.seq)", INSTANCES.columns)


class _Told(msgspec.Struct):
    """What an event says of an instance."""

    incarnation: int = 0
    doc: Raw = Raw(b"")


_decode = msgspec.json.Decoder(_Told).decode


def apply(connection: Connection, workspace: str, events: Sequence[Entry]) -> None:
    """Bring the instances up to these events."""
    last: dict[str, tuple[str, int, str, Entry]] = {}
    for each in events:
        if state := STATES.get(each.type):
            told = _decode(each.payload)
            _, incarnation, registration, _ = last.get(each.subject, ("", 0, "", each))
            registration = text_of(bytes(told.doc)) or registration
            last[each.subject] = (state, told.incarnation or incarnation, registration, each)
    rows = [
        (workspace, id_, state, incarnation, registration, each.at_ms, *each.position)
        for id_, (state, incarnation, registration, each) in last.items()
    ]
    _PUT.run(connection, rows)


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """The room's copy of the instances."""

    store: Store
    name: str = "instances"

    def apply(self, connection: Connection, workspace: str, events: Sequence[Entry]) -> None:
        """Bring the instances up to these events."""
        apply(connection, workspace, events)

    def counter(self, connection: Connection, workspace: str) -> int:  # noqa: ARG002 - a room without numbers
        """Return 0."""
        return 0

    def highest(self, workspace: str) -> int:  # noqa: ARG002 - a room without numbers
        """Return 0."""
        return 0

    def forget(self, connection: Connection, workspace: str, after: Position) -> None:
        """Take out what only events behind a position have told."""
        behind = or_(INSTANCES.c.ms > after[0], and_(INSTANCES.c.ms == after[0], INSTANCES.c.seq > after[1]))
        connection.execute(delete(INSTANCES).where(INSTANCES.c.workspace == workspace, behind))

    async def part(self, workspace: str, at: str) -> Part:  # noqa: ARG002 - all of them are one part
        """Read every instance from the store."""
        position, *fields = await self.store.run(ROWS, workspace, INSTANCES_MAX)
        rows = {
            id_.decode(): ("OFFLINE" if offline else "ACTIVE", int(incarnation), text_of(doc))
            for id_, incarnation, doc, offline in (fields[i : i + 4] for i in range(0, len(fields), 4))
        }
        return Part(position_of(position.decode()), rows, first="", next=None, last=len(rows))

    def put(self, connection: Connection, workspace: str, part: Part) -> None:
        """Make the rows what the store has."""
        rows = [(workspace, id_, *row, part.position[0], *part.position) for id_, row in part.rows.items()]
        _FILL.run(connection, rows)

    def compare(self, connection: Connection, workspace: str, part: Part) -> tuple[list[Difference], bool]:
        """Return where the record differs from the store, and whether rows had moved on meanwhile."""
        kept = {row.id: row for row in connection.execute(select(INSTANCES).where(INSTANCES.c.workspace == workspace))}
        moved = {id_ for id_, row in kept.items() if (row.ms, row.seq) > part.position}
        found = [
            Difference("instance", id_, _shown(part.rows.get(id_)), _shown(_row(kept.get(id_))))
            for id_ in sorted(part.rows.keys() | {id_ for id_, row in kept.items() if row.state == "ACTIVE"})
            if id_ not in moved and part.rows.get(id_) != _row(kept.get(id_))
        ]
        return found, bool(moved)


def _row(row: Any) -> tuple[str, int, str] | None:
    return (row.state, row.incarnation, row.registration) if row else None


def _shown(row: tuple[str, int, str] | None) -> dict[str, Any] | None:
    return dict(zip(("state", "incarnation", "registration"), row, strict=True)) if row else None
