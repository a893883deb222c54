"""Decisions of the guard in the record: one row for each tool call that was judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import BigInteger, Column, Table, Text

from claudebench.record.bulk import Bulk
from claudebench.record.entry import clean
from claudebench.record.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from claudebench.record.entry import Entry

DECISIONS = Table(
    "hook_decisions",
    METADATA,
    Column("workspace", Text, primary_key=True),
    Column("ms", BigInteger, primary_key=True),  # the event, with what was judged, is ms-seq
    Column("seq", BigInteger, primary_key=True),
    Column("tool", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("rule_id", Text),
    Column("severity", Text),
    Column("reason", Text),
    Column("agent", Text),
    Column("session_id", Text),
    Column("instance_id", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
_PUT = Bulk(
    "INSERT INTO hook_decisions ({columns}) SELECT {columns} FROM {rows} WHERE true ON CONFLICT DO NOTHING",
    DECISIONS.columns,
)


class _Decided(msgspec.Struct, rename="camel"):
    """What an event says of a decision."""

    tool: str
    decision: str
    rule_id: str | None = None
    severity: str | None = None
    reason: str | None = None
    agent: str | None = None
    session_id: str | None = None


_decode = msgspec.json.Decoder(_Decided).decode


def apply(connection: Connection, workspace: str, events: Sequence[Entry]) -> None:
    """Add the decisions among these events."""
    _PUT.run(connection, [_row(workspace, each) for each in events if each.type == "hook.decided"])


def _row(workspace: str, event: Entry) -> tuple[Any, ...]:
    told = _decode(event.payload)
    said = (told.tool, told.decision, told.rule_id, told.severity, told.reason, told.agent, told.session_id)
    return (workspace, *event.position, *(each and clean(each) for each in said), event.actor, event.at_ms)
