"""The first tables: events, position, tasks, task_history, instances, hook_decisions."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, Text

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    _events()
    _tasks()
    _history()
    _rooms()


def _events() -> None:
    op.create_table(
        "events",
        Column("workspace", Text, primary_key=True),
        Column("ms", BigInteger, primary_key=True),
        Column("seq", BigInteger, primary_key=True),
        Column("type", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("payload", Text, nullable=False),
        Column("meta", Text, nullable=False),
        Column("lost", Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "position",
        Column("workspace", Text, primary_key=True),
        Column("id", Text, nullable=False),
        Column("gap", Text, nullable=False),
        sqlite_with_rowid=False,
    )


def _tasks() -> None:
    op.create_table(
        "tasks",
        Column("workspace", Text, primary_key=True),
        Column("n", BigInteger, primary_key=True),
        Column("status", Text, nullable=False),
        Column("priority", Integer, nullable=False),
        Column("assigned_to", Text, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("max_attempts", Integer, nullable=False),
        Column("lease_ms", BigInteger, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("updated_ms", BigInteger, nullable=False),
        Column("finished_ms", BigInteger, nullable=False),
        Column("dead_letter", Boolean, nullable=False),
        Column("waits_for", Integer, nullable=False),
        Column("blocked", Integer, nullable=False),
        Column("text", Text, nullable=False),
        Column("doc", Text, nullable=False),
        Column("metadata", Text),
        Column("result", Text),
        Column("error", Text),
        Column("deleted", Boolean, nullable=False),
        Column("ms", BigInteger, nullable=False),
        Column("seq", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _history() -> None:
    op.create_table(
        "task_history",
        Column("workspace", Text, primary_key=True),
        Column("n", BigInteger, primary_key=True),
        Column("ms", BigInteger, primary_key=True),
        Column("seq", BigInteger, primary_key=True),
        Column("type", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("assigned_to", Text, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("actor", Text, nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("reason", Text, nullable=False),
        sqlite_with_rowid=False,
    )


def _rooms() -> None:
    op.create_table(
        "instances",
        Column("workspace", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("state", Text, nullable=False),
        Column("incarnation", BigInteger, nullable=False),
        Column("registration", Text, nullable=False),
        Column("changed_ms", BigInteger, nullable=False),
        Column("ms", BigInteger, nullable=False),
        Column("seq", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hook_decisions",
        Column("workspace", Text, primary_key=True),
        Column("ms", BigInteger, primary_key=True),
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
