"""Instances in the record: each as it was last heard of, those that left too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw
from sqlalchemy import BigInteger, Column, Table, Text

from claudebench.record.bulk import Bulk
from claudebench.record.entry import text_of
from claudebench.record.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from claudebench.record.entry import Entry

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
_PUT = Bulk(
    "INSERT INTO instances ({columns}) SELECT {columns} FROM {rows} WHERE true "
    "ON CONFLICT (workspace, id) DO UPDATE SET "
    "state = excluded.state, changed_ms = excluded.changed_ms, ms = excluded.ms, seq = excluded.seq, "
    "incarnation = CASE WHEN excluded.incarnation > 0 THEN excluded.incarnation ELSE instances.incarnation END, "
    "registration = CASE WHEN excluded.registration <> '' THEN excluded.registration ELSE instances.registration END "
    "WHERE (instances.ms, instances.seq) < (excluded.ms, excluded.seq)",
    INSTANCES.columns,
)


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
