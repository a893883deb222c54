"""The tables of the record itself: whose it is, the events, and for each workspace up to where they are here.

A room's tables stand in its `record.py`; all of them are made by the files of `migrations/versions`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table, Text

METADATA = MetaData()

EVENTS = Table(
    "events",
    METADATA,
    Column("workspace", Text, primary_key=True),
    Column("ms", BigInteger, primary_key=True),  # the position of the event is ms-seq
    Column("seq", BigInteger, primary_key=True),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),  # JSON
    Column("meta", Text, nullable=False),  # JSON of the request's trace, or empty
    Column("lost", Boolean, nullable=False),  # recorded, and lost by the store afterwards
    sqlite_with_rowid=False,
)
POSITION = Table(
    "position",
    METADATA,
    Column("workspace", Text, primary_key=True),
    Column("id", Text, nullable=False),  # the last event that is recorded, as the log names it
    Column("gap", Text, nullable=False),  # the last event that went from the log unread, until it is rebuilt
    sqlite_with_rowid=False,
)
STORE = Table(
    "store",
    METADATA,
    Column("one", Integer, primary_key=True, autoincrement=False),  # 1: there is one row at most
    Column("id", Text, nullable=False),  # of the store that this is the record of
    sqlite_with_rowid=False,
)
AUDIT = Table(
    "audit",
    METADATA,
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
