"""Decisions of the guard in the record: one row for each tool call that was judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import BigInteger, Column, Table, Text, and_, delete, or_

from claudebench.record.bulk import Bulk
from claudebench.record.entry import START, clean
from claudebench.record.room import Difference, Part
from claudebench.record.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from claudebench.record.entry import Entry, Position

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


class DecisionRecord:
    """The room's decisions; the store keeps none, so there is nothing to compare them with but the log."""

    name = "hook_decisions"

    def apply(self, connection: Connection, workspace: str, events: Sequence[Entry]) -> None:
        """Add the decisions among these events."""
        apply(connection, workspace, events)

    def counter(self, connection: Connection, workspace: str) -> int:  # noqa: ARG002 - a room without numbers
        """Return 0."""
        return 0

    def highest(self, workspace: str) -> int:  # noqa: ARG002 - a room without numbers
        """Return 0."""
        return 0

    def forget(self, connection: Connection, workspace: str, after: Position) -> None:
        """Take out what the store has lost."""
        behind = or_(DECISIONS.c.ms > after[0], and_(DECISIONS.c.ms == after[0], DECISIONS.c.seq > after[1]))
        connection.execute(delete(DECISIONS).where(DECISIONS.c.workspace == workspace, behind))

    async def part(self, workspace: str, at: str) -> Part:  # noqa: ARG002 - there is none
        """Return an empty part."""
        return Part(START, {}, first="", next=None)

    def put(self, connection: Connection, workspace: str, part: Part) -> None:
        """Do nothing."""

    def compare(self, connection: Connection, workspace: str, part: Part) -> tuple[list[Difference], bool]:  # noqa: ARG002
        """Find nothing."""
        return [], False
