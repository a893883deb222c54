"""The record's database: one thread that writes, one that reads, none of them the server's own.

SQLite (WAL, in the data directory) goes with the embedded store, PostgreSQL with a URL. Work is a plain function of a
SQLAlchemy connection and runs inside one transaction; a thread serves one after the other. PostgreSQL is spoken to by
asyncpg, on an event loop inside the thread, and `run_sync` lets the same functions work there.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from claudebench.errors import ClaudeBenchError, SettingsError, Unavailable
from claudebench.record.migrating import migrate
from claudebench.record.thread import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")
NONE = "none"
FILE = "record.db"
SCHEMES = ("postgresql", "postgres")
BUSY_S = 10.0
JOURNAL = "PRAGMA journal_mode = WAL"
STATEMENTS_MAX = 256
REFUSALS = ("22", "23", "54")
CONNECT_WITHIN_S, WORK_WITHIN_S, READ_WITHIN_S, CLOSE_WITHIN_S = 5.0, 60.0, 15.0, 2.0
RETRY_AFTER_MS = 1000
WRITER, READER = "record writer", "record reader"
PLANNER = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the record is: a file of SQLite, or the URL of a PostgreSQL."""

    file: Path | None = None
    url: str = ""

    @classmethod
    def from_settings(cls, database_url: str | None, data_dir: Path, *, embedded: bool) -> Address | None:
        """Read `--database-url`: None is the usual place, a file beside an embedded store and nowhere beside another.

        Raises:
            SettingsError: it is no URL of a PostgreSQL, and not `none`.
        """
        if database_url == NONE or (database_url is None and not embedded):
            return None
        if database_url is None:
            return cls(file=data_dir / FILE)
        try:
            parts = urlsplit(database_url)
            is_ours = (
                parts.scheme in SCHEMES and (parts.port or 1) and (parts.path.strip("/") or "dbname=" in parts.query)
            )
        except ValueError:
            is_ours = False
        if not is_ours:
            raise SettingsError(
                "--database-url must look like postgresql://user:password@host:5432/database, its password "
                "percent-encoded, or be none"
            )
        return cls(url=database_url)

    def __str__(self) -> str:
        """Show the address without its password."""
        if self.file:
            return str(self.file)
        parts = urlsplit(self.url)
        return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"


class RowRefused(ValueError):
    """The database is well, and refuses what it was given."""


def is_refusal(error: DBAPIError) -> bool:
    """Tell whether an error is about what was given, not about the database and the way to it."""
    state = getattr(error.orig, "sqlstate", None) or ""
    return isinstance(error, DataError | IntegrityError) or state.startswith(REFUSALS)


class Database:
    """The record's database: `run` changes it, `read` does not, both in a transaction."""

    def __init__(
        self, address: Address, *, work_within_s: float = WORK_WITHIN_S, read_within_s: float = READ_WITHIN_S
    ) -> None:
        """Take the address, and for how long a transaction may take; the first work connects."""
        self.address = address
        self.migrated = False
        self._writer = _side(address, WRITER, "IMMEDIATE", work_within_s)
        self._reader = _side(address, READER, "DEFERRED", read_within_s)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do work that writes, after all such work handed over before; return what it returns.

        Raises:
            Unavailable: the database does not answer or refuses; nothing was written, or nobody knows (`unknown`).
        """
        return await self._writer.do(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do work that only reads, beside what is written; return what it returns.

        Raises:
            Unavailable: the database does not answer.
        """
        return await self._reader.do(work)

    async def prepare(self) -> None:
        """Bring the tables up to this version, whoever else does so at the same time.

        Raises:
            StoreRefused: a newer version wrote them.
            Unavailable: the database does not answer.
        """
        if not self.migrated:
            await self.run(migrate)
            self.migrated = True

    async def close(self) -> None:
        """Let the connections go, once what is under way is done; a database that hangs is left alone."""
        with suppress(ClaudeBenchError, TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await asyncio.gather(self._writer.close(), self._reader.close())


class _Side(Protocol):
    """A thread and its one connection."""

    async def do(self, work: Callable[[Connection], T]) -> T:
        """Run work in a transaction, in the thread."""

    async def close(self) -> None:
        """End the thread."""


def _side(address: Address, name: str, begin: str, within_s: float) -> _Side:
    pool = Worker(name)
    return _File(pool, address.file, begin) if address.file else _Remote(pool, address.url, name, within_s)


NO_DATABASE = "file is not a database"  # what SQLite says of garbage


async def _in(pool: Worker, work: Callable[[], T]) -> T:
    """Run work in the thread; that the database cannot be had becomes an error of ours, not that it refuses a row."""
    try:
        return await pool.do(work)
    except DBAPIError as error:
        message = str(error.orig).partition("\n")[0]
        if message == NO_DATABASE:
            message = f"{message}; move it away, and the record is made anew from what the store holds"
        if is_refusal(error):
            raise RowRefused(message) from error
        raise down(message, outcome="unknown" if error.connection_invalidated else "not_done") from error
    except (OSError, TimeoutError) as error:
        raise down(str(error) or "no answer in time", outcome="unknown") from error


def down(message: str, **data: Any) -> Unavailable:
    """Return the error for a record that cannot be had."""
    return Unavailable(f"the record's database: {message}", reason="record", retryAfterMs=RETRY_AFTER_MS, **data)


class _File:
    """SQLite, by the driver of the standard library."""

    def __init__(self, pool: Worker, path: Path, begin: str) -> None:
        self._pool, self._path, self._begin = pool, path, begin
        self._engine: Engine | None = None
        self._inode = 0

    async def do(self, work: Callable[[Connection], T]) -> T:
        return await _in(self._pool, partial(self._do, work))

    async def close(self) -> None:
        await _in(self._pool, self._dispose)
        self._pool.end()

    def _do(self, work: Callable[[Connection], T]) -> T:
        if self._engine is None:
            self._engine = _file_engine(self._path, self._begin)
            self._inode = self._path.stat().st_ino
        self._look()
        with self._engine.begin() as connection:
            return work(connection)

    def _look(self) -> None:
        """Refuse to write into a file that has no name any more: it would be gone with this process.

        Raises:
            OSError: the file was removed or replaced.
        """
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                return
        raise OSError(
            f"{self._path} was removed or replaced while in use; stop the server, put the file back if you have it, "
            "and start again: without it the record is made anew from what the store holds"
        )

    def _dispose(self) -> None:
        if self._engine:
            self._engine.dispose()


def _file_engine(path: Path, begin: str) -> Engine:
    make_file(path)
    engine = sqlalchemy.create_engine(
        sqlalchemy.URL.create("sqlite", database=str(path)),
        poolclass=sqlalchemy.pool.StaticPool,
        connect_args={"timeout": BUSY_S, "cached_statements": STATEMENTS_MAX},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute(JOURNAL)
        connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {begin}")

    return engine


def make_file(path: Path) -> None:
    """Let the file appear, its owner's alone, with its journal chosen.

    Of connections that choose it at once SQLite refuses some, whatever their time-out. So the file is made under
    another name, and the first to link it wins. One that is there is not touched: to close it anywhere in the process
    would end the locks of SQLite on it (https://sqlite.org/howtocorrupt.html, 2.2), and another program that opens and
    closes the file would then take the journal away from under us.
    """
    if path.exists():
        return
    fd, name = tempfile.mkstemp(prefix=f"{path.name}-", dir=path.parent)
    os.close(fd)
    try:
        with closing(sqlite3.connect(name)) as connection:
            connection.execute(JOURNAL)
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()


class _Remote:
    """PostgreSQL, by asyncpg on an event loop of the thread."""

    def __init__(self, pool: Worker, url: str, name: str, within_s: float) -> None:
        self._pool, self._url, self._name, self._within_s = pool, url, name, within_s
        self._runner = asyncio.Runner()
        self._engine: AsyncEngine | None = None

    async def do(self, work: Callable[[Connection], T]) -> T:
        return await _in(self._pool, lambda: self._runner.run(self._do(work)))

    async def close(self) -> None:
        await _in(self._pool, self._dispose)
        self._pool.end()

    async def _do(self, work: Callable[[Connection], T]) -> T:
        if self._engine is None:
            self._engine = _remote_engine(self._url, self._name)
        async with asyncio.timeout(self._within_s), self._engine.begin() as connection:
            return await connection.run_sync(work)

    def _dispose(self) -> None:
        if self._engine:
            self._runner.run(self._engine.dispose())
        self._runner.close()


def _remote_engine(url: str, name: str) -> AsyncEngine:
    import asyncpg  # noqa: PLC0415 - only who has a PostgreSQL pays for it
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    async def connect() -> Any:
        settings = {"application_name": f"claudebench {name}"} | (PLANNER if name == WRITER else {})
        return await asyncpg.connect(url, timeout=CONNECT_WITHIN_S, server_settings=settings)

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_size=1, max_overflow=0, pool_pre_ping=True
    )
