"""Which store the record is of."""

from alembic import op
from sqlalchemy import Column, Integer, Text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make its table, of one row."""
    op.create_table(
        "store",
        Column("one", Integer, primary_key=True, autoincrement=False),
        Column("id", Text, nullable=False),
        sqlite_with_rowid=False,
    )
