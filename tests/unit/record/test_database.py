"""The record's database: addresses, transactions, migrations, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, select, text

from claudebench.errors import SettingsError, StoreRefused, Unavailable
from claudebench.record.bulk import Bulk
from claudebench.record.database import Address, Database, make_file
from claudebench.record.migrating import VERSION_TABLE, migrate, newest, upgrade
from claudebench.record.tables import METADATA, POSITION
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.testing.postgres import Postgres

INSERT = Bulk("INSERT INTO position ({columns}) SELECT {columns} FROM {rows} WHERE true", POSITION.columns)


def count(connection: Connection) -> int:
    """Return how many positions there are."""
    return connection.scalar(select(func.count()).select_from(POSITION)) or 0


@pytest.mark.parametrize(
    ("given", "embedded", "wanted"),
    [
        (None, True, "/d/record.db"),
        (None, False, "None"),
        ("none", True, "None"),
        ("postgresql://u:secret@h/db", True, "h:5432/db"),
        ("postgres://u@h:6000/db", False, "h:6000/db"),
    ],
)
def test_where_the_record_is(given: str | None, embedded: bool, wanted: str) -> None:  # noqa: FBT001 - a case
    """The record is a file beside an embedded store, a PostgreSQL, or nowhere; its password is never shown."""
    assert str(Address.from_settings(given, Path("/d"), embedded=embedded)) == wanted


@pytest.mark.parametrize("url", ["mysql://h/db", "sqlite:///x.db", "postgresql://h", "postgresql://h:x/db", "h", ""])
def test_a_wrong_url(url: str) -> None:
    """What is no URL of a PostgreSQL with a database is refused with what to type."""
    with pytest.raises(SettingsError, match="must look like postgresql://"):
        Address.from_settings(url, Path("/d"), embedded=True)


async def test_servers_that_start_together(address: Address) -> None:
    """Five servers that start at once on one database migrate it once, and all find it ready."""
    together = [Database(address) for _ in range(5)]
    await asyncio.gather(*(each.prepare() for each in together))

    (revisions,) = {
        await each.read(lambda c: tuple(c.scalars(text(f"SELECT * FROM {VERSION_TABLE}")))) for each in together
    }
    assert revisions == (newest(),)
    await asyncio.gather(*(each.close() for each in together))


def test_the_file_appears_with_its_journal_chosen(tmp_path: Path) -> None:
    """Nobody ever sees the file without WAL: of servers that would choose it at once, some would be refused."""
    for _ in range(2):
        make_file(tmp_path / "record.db")
        with closing(sqlite3.connect(tmp_path / "record.db")) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert [each.name for each in tmp_path.iterdir()] == ["record.db"]


@pytest.mark.parametrize("way", [migrate, upgrade], ids=lambda each: each.__name__)
async def test_the_tables_are_what_the_code_thinks(address: Address, way: Callable[[Connection], None]) -> None:
    """What a server makes in an empty database, and what the migrations make, is what the tables in the code say."""

    def differences(connection: Connection) -> object:
        way(connection)
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

    empty = Database(address)
    assert await empty.run(differences) == []
    assert await empty.read(lambda c: list(c.scalars(text(f"SELECT * FROM {VERSION_TABLE}")))) == [newest()]
    await empty.close()


async def test_a_newer_record(database: Database) -> None:
    """A record that a newer version wrote is refused, with what to type."""
    await database.run(lambda c: c.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")))
    database.migrated = False
    with pytest.raises(StoreRefused, match="pip install --upgrade"):
        await database.prepare()


async def test_work_is_done_wholly_or_not_at_all(database: Database) -> None:
    """Work that fails halfway leaves nothing behind, and the next work finds a sound connection."""

    def fail(connection: Connection) -> None:
        INSERT.run(connection, [("a", "1-0", "")])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.run(fail)
    assert await database.run(count) == 0


async def test_many_rows_at_once(database: Database) -> None:
    """Any number of rows is written, whatever the statement's own bound is, and read beside the writer."""
    for number in (1, 255, 256, 257, 1000):
        rows = [(f"{number}-{at}", "1-0", "x" * 100) for at in range(number)]
        await database.run(lambda connection, rows=rows: INSERT.run(connection, rows))  # type: ignore[misc]
    assert await database.read(count) == 1 + 255 + 256 + 257 + 1000


async def test_the_file_is_its_owners(tmp_path: Path) -> None:
    """The file of the record can be read by its owner only, its log of writes too."""
    database = Database(Address(file=tmp_path / "record.db"))
    await database.prepare()
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("record.db", "record.db-wal")}
    await database.close()
    assert set(modes.values()) == {0o600}


async def test_nobody_answers() -> None:
    """A database that cannot be reached is an error of ours, that says so without the password."""
    database = Database(Address(url="postgresql://u:secret@127.0.0.1:1/db"))
    with pytest.raises(Unavailable, match="record's database") as refused:
        await database.prepare()
    assert "secret" not in str(refused.value)
    await database.close()


async def test_it_comes_back(postgresql: Postgres) -> None:
    """After a PostgreSQL was away, work is done again by the same database, without a restart."""
    database = Database(Address(url=await postgresql.fresh()))
    await database.prepare()
    postgresql.stop()
    with pytest.raises(Unavailable):
        await database.run(count)
    postgresql.start()
    await eventually(postgresql.answers)
    assert await database.run(count) == 0
    await database.close()


async def test_no_file_to_be_had(tmp_path: Path) -> None:
    """A file that is no database is an error of ours."""
    (tmp_path / "record.db").write_bytes(b"not a database, not at all" * 100)
    database = Database(Address(file=tmp_path / "record.db"))
    with pytest.raises(Unavailable, match="not a database"):
        await database.prepare()
    await database.close()
