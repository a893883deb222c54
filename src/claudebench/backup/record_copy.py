"""Copies of the record as of one moment, while its server goes on writing: an SQLite file, or the rows of a PostgreSQL.

The rows are JSON lines: the revision of the tables first, then for each table its name and columns, and its rows.
"""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, inspect, literal, select, text

import claudebench.hooks.record
import claudebench.instances.record
import claudebench.tasks.record  # noqa: F401 - their tables
from claudebench.errors import BackupRefused, Unavailable
from claudebench.record.bulk import Bulk
from claudebench.record.database import Address, Database
from claudebench.record.migrating import newest
from claudebench.record.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Table

ROWS_FILE = "record.jsonl"
WORK_WITHIN_S = 3_600.0
ROWS_AT_ONCE = 1_000
RECORD_FILE = "record.db"
BUSY_S = 30.0
ANEW = "drop that database and create it anew (dropdb, createdb), or name another"


def copy_sqlite(source: Path, folder: Path) -> Path:
    """Copy an SQLite record, all of it as of one moment: a reader of its log keeps no writer waiting.

    Raises:
        Unavailable: it is damaged, or cannot be read; the message is the library's.
    """
    target = folder / RECORD_FILE
    try:
        with closing(sqlite3.connect(source, timeout=BUSY_S)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new, pages=-1)
            new.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise Unavailable(f"the record {source} cannot be copied, so no backup was written: {error}") from None
    target.chmod(0o600)
    return target


def check_sqlite(path: Path) -> None:
    """Look whether an SQLite file is whole.

    Raises:
        BackupRefused: it is not; the message is the library's.
    """
    if not path.stat().st_size:
        raise BackupRefused("the record in this backup is damaged: it is empty")
    try:
        with closing(sqlite3.connect(path)) as opened:
            (said,) = opened.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        raise BackupRefused(f"the record in this backup is damaged: {said}")


async def copy_rows(url: str, folder: Path) -> Path:
    """Copy the rows of a PostgreSQL's record, all of them as of one moment.

    Raises:
        Unavailable: it does not answer.
    """
    async with _opened(url) as database:
        await database.prepare()
        await database.read(partial(_write_rows, target=folder / ROWS_FILE))
    return folder / ROWS_FILE


def _write_rows(connection: Connection, target: Path) -> None:
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    encode = msgspec.json.Encoder().encode
    with target.open("wb") as file:
        file.write(encode({"revision": newest()}) + b"\n")
        for table in METADATA.sorted_tables:
            file.write(encode([str(table.name), [str(column.name) for column in table.columns]]) + b"\n")
            asked = select(table).execution_options(stream_results=True, yield_per=ROWS_AT_ONCE)
            for row in connection.execute(asked):
                file.write(encode(list(row)) + b"\n")


async def check_rows(url: str, source: Path) -> None:
    """Look whether copied rows may be put into a PostgreSQL, and change nothing there.

    Raises:
        BackupRefused: it is not empty, or the rows are of other tables than this version has.
        Unavailable: it does not answer.
    """
    with source.open("rb") as file:
        _refuse_other_tables(file)
    async with _opened(url) as database:
        await database.read(_refuse_filled)


async def put_rows(url: str, source: Path) -> None:
    """Put copied rows into a PostgreSQL whose record is empty, in one transaction.

    Raises:
        BackupRefused: it is not empty, or the rows are of other tables than this version has.
        Unavailable: it does not answer; the message says so when nobody knows whether they are in.
    """
    async with _opened(url) as database:
        await database.prepare()
        try:
            await database.run(partial(_read_rows, source=source))
        except Unavailable as error:
            if error.outcome == "unknown":
                error.args = (f"{error.message}; its rows may be in: {ANEW}",)
            raise


async def take_rows_back(url: str) -> None:
    """Empty a record that this restore has filled.

    Raises:
        Unavailable: the database does not answer.
    """
    async with _opened(url) as database:
        await database.run(_empty)


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    database = Database(Address(url=url), work_within_s=WORK_WITHIN_S, read_within_s=WORK_WITHIN_S)
    try:
        yield database
    finally:
        await database.close()


def _empty(connection: Connection) -> None:
    for table in reversed(METADATA.sorted_tables):
        connection.execute(delete(table))


def _refuse_filled(connection: Connection) -> None:
    there = set(inspect(connection).get_table_names())
    for table in METADATA.sorted_tables:
        if table.name in there and connection.execute(select(literal(1)).select_from(table).limit(1)).first():
            raise BackupRefused(f"the record at --database-url is not empty; a backup wants an empty one: {ANEW}")


def _refuse_other_tables(file: IO[bytes]) -> None:
    revision = msgspec.json.decode(file.readline()).get("revision")
    if revision != newest():
        raise BackupRefused(
            f"its record has revision {revision} and this version wants {newest()}; restore it with the version "
            "that made it, then upgrade"
        )


def _read_rows(connection: Connection, source: Path) -> None:
    _refuse_filled(connection)
    with source.open("rb") as file:
        _refuse_other_tables(file)
        for table, rows in _batches(map(msgspec.json.decode, file)):
            template = f"INSERT INTO {table.name} ({{columns}}) SELECT {{columns}} FROM {{rows}}"  # noqa: S608 - our names
            Bulk(template, table.columns).run(connection, rows)


def _batches(lines: Iterator[list[Any]]) -> Iterator[tuple[Table, list[tuple[Any, ...]]]]:
    """Yield the rows of a table, a thousand at a time; a line whose second member is a list begins a table."""
    table: Table | None = None
    rows: list[tuple[Any, ...]] = []
    for line in lines:
        if isinstance(line[1], list) or len(rows) == ROWS_AT_ONCE:
            if table is not None and rows:
                yield table, rows
            rows = []
        if isinstance(line[1], list):
            table = METADATA.tables[line[0]]
        else:
            rows.append(tuple(line))
    if table is not None and rows:
        yield table, rows
