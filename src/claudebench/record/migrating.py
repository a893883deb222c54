"""The tables of the record, brought up to this version at start: made as the code has them, or migrated by Alembic.

Servers that start together stand in line: on PostgreSQL by an advisory lock, on SQLite by the write lock that every
transaction of the writer begins with. One that finds the newest revision, or nothing at all, does not import Alembic;
that both ways come to the same tables is for the tests to see.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, String, Table, inspect, text

from claudebench.errors import StoreRefused
from claudebench.record.tables import METADATA

if TYPE_CHECKING:
    from sqlalchemy import Connection

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x636C6175646562  # "claudeb": one number for every server
VERSION_TABLE = "record_version"


def newest() -> str:
    """Return the revision that this version wants: the name of the last file, up to its first `_`."""
    return max(path.name for path in (FOLDER / "versions").glob("[0-9]*.py")).partition("_")[0]


def migrate(connection: Connection) -> None:
    """Bring the tables up to this version, in the transaction of `connection`.

    Raises:
        StoreRefused: a newer version wrote them.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    found = _revision(connection)
    if found and found > newest():
        raise StoreRefused(
            f"the record has revision {found}, this version knows {newest()}; type: pip install --upgrade claudebench"
        )
    if not found:
        _make(connection)
    elif found != newest():
        upgrade(connection)


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table(VERSION_TABLE):
        return ""
    return str(connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) or "")  # noqa: S608 - our own name


def _make(connection: Connection) -> None:
    METADATA.create_all(connection)
    Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True)).create(connection)
    connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES (:revision)"), {"revision": newest()})  # noqa: S608


def upgrade(connection: Connection) -> None:
    """Go through the revisions that follow the one that is found, in the transaction of `connection`."""
    from alembic import command  # noqa: PLC0415 - nine megabytes that most starts need not hold
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
