"""The audit: one chain of rows per workspace."""

from alembic import op
from sqlalchemy import BigInteger, Column, Text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make its table."""
    op.create_table(
        "audit",
        Column("workspace", Text, primary_key=True),
        Column("seq", BigInteger, primary_key=True),
        Column("id", Text, nullable=False, comment="the position of the event"),
        Column("at", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("action", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("detail", Text, nullable=False, comment="JSON, masked and bounded"),
        Column("key", Text, nullable=False, comment="the id of the key under mac"),
        Column("mac", Text, nullable=False),
        sqlite_with_rowid=False,
    )
