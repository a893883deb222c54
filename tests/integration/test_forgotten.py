"""A store that forgot its last writes, however it and its servers come back: no number of a task is given twice."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.integration.recorded import is_level
from tests.integration.test_ledger import REDIS, free_port

from claudebench.errors import ClaudeBenchError
from claudebench.store.connection import Address, Connection
from claudebench.testing import AsyncClient, Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from claudebench.testing.postgres import Postgres


@dataclass
class Forgetful:
    """A Redis of the test's own, which keeps its writes in a file that can be cut back while it is down."""

    folder: Path
    port: int
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(exist_ok=True)
        assert REDIS
        words = f"--port {self.port} --dir {self.folder} --appendonly yes --save".split()
        self.process = await asyncio.create_subprocess_exec(REDIS, *words, "", stdout=asyncio.subprocess.DEVNULL)
        connection = Connection(Address.from_url(self.url))
        await connection.open()
        await connection.close()

    def size(self) -> int:
        """Return how long its file is."""
        return next(self.folder.glob("appendonlydir/*.incr.aof")).stat().st_size

    async def forget(self, size: int) -> None:
        """Kill it and leave so much of its file."""
        assert self.process
        self.process.kill()
        await self.process.wait()
        os.truncate(next(self.folder.glob("appendonlydir/*.incr.aof")), size)


@asynccontextmanager
async def forgetful(folder: Path) -> AsyncIterator[Forgetful]:
    """Run such a store for the length of a block."""
    store = Forgetful(folder, free_port())
    await store.start()
    try:
        yield store
    finally:
        assert store.process
        if store.process.returncode is None:
            store.process.kill()
        await store.process.wait()


async def made(server: Server, count: int) -> set[str]:
    """Create tasks, whatever it takes, and return their ids."""

    async def one(client: AsyncClient) -> str:
        try:
            return str((await client.call("task.create", text="a task"))["id"])
        except (ClaudeBenchError, OSError):
            client.cut()
            return ""

    async with server.client() as client:
        return {await eventually(lambda: one(client), within_s=30) for _ in range(count)}


async def is_level_at_last(server: Server) -> bool:
    """Whether all is recorded, by a server whose database may not answer yet."""
    try:
        return await is_level(server)
    except ClaudeBenchError:
        return False


async def started_anew(server: Server, other: Server, store: Forgetful, database: Postgres, size: int) -> Server:
    """Both servers and the store are killed; one is back before the lease of the one that recorded is over."""
    await asyncio.gather(server.kill(), other.kill())
    await store.forget(size)
    await store.start()
    await other.start()
    return other


async def survived(server: Server, other: Server, store: Forgetful, database: Postgres, size: int) -> Server:
    """The server that recorded is killed with the store; the other goes on and meets the store again."""
    await server.kill()
    await store.forget(size)
    await store.start()
    return other


async def with_no_database(server: Server, other: Server, store: Forgetful, database: Postgres, size: int) -> Server:
    """A server starts on what is left of the store while the record cannot be asked."""
    await asyncio.gather(server.stop(), other.stop())
    await store.forget(size)
    await store.start()
    database.stop()
    await other.start()
    return other


@pytest.mark.skipif(not REDIS, reason="needs redis-server")
@pytest.mark.parametrize(
    "comes_back",
    [started_anew, *(pytest.param(each, marks=pytest.mark.soak) for each in (survived, with_no_database))],
    ids=lambda each: each.__name__,
)
async def test_no_number_is_given_twice(tmp_path: Path, postgresql: Postgres, comes_back: object) -> None:
    """What was acknowledged, recorded and then lost by the store is no other task's number."""
    assert callable(comes_back)
    key = {"CLAUDEBENCH_AUDIT_KEY": str(tmp_path / "audit.key")}
    async with forgetful(tmp_path / "redis") as store:
        options = ("--redis-url", store.url, "--database-url", await postgresql.fresh())
        async with serve(tmp_path / "one", *options, env=key) as server:
            await made(server, 3)
            await eventually(lambda: is_level(server))
            async with serve(tmp_path / "two", *options, env=key) as other:
                size = store.size()
                before = await made(server, 5)
                await eventually(lambda: is_level(server))
                try:
                    left = await comes_back(server, other, store, postgresql, size)
                    after = await made(left, 5)
                finally:
                    if comes_back is with_no_database:
                        postgresql.start()
                        await eventually(postgresql.answers)
                assert not before & after
                await eventually(lambda: is_level_at_last(left), within_s=30)
                assert not before & await made(left, 1)
