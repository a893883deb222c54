"""A load on a real server that remembers what was acknowledged to it, and asks afterwards whether that is still so."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from tests.scripts import invariants

from claudebench.errors import ClaudeBenchError, Conflict, NotFound, Stale, Unavailable
from claudebench.store.connection import Address, Connection
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.scripts.invariants import Snapshot

    from claudebench.testing import AsyncClient, Server

PATIENT_MS = 600_000
LOST = (OSError, EOFError, ClaudeBenchError)


@asynccontextmanager
async def store_of(server: Server) -> AsyncIterator[Connection]:
    """Connect to the store of a server, past the server."""
    url = dict(zip(server.options, server.options[1:], strict=False)).get("--redis-url")
    connection = Connection(Address.from_url(url) if url else Address(socket=str(server.data_dir / "store.sock")))
    await connection.open()
    try:
        yield connection
    finally:
        await connection.close()


async def snapshot(server: Server, workspace: str = "default", since: str = "") -> Snapshot:
    """Read a server's workspace and check what must always hold; up to `since` a former version wrote the events."""
    async with store_of(server) as connection:
        return await invariants.check(connection, workspace, since)


class Fleet:
    """Creators and workers on sockets of their own; they meet every fault by trying again, and forget nothing."""

    def __init__(self, server: Server, *, creators: int = 4, workers: int = 8) -> None:
        """Take the server that is about to suffer."""
        self.server = server
        self.created: set[str] = set()
        self.completed: Counter[str] = Counter()
        self.claims: Counter[tuple[str, int]] = Counter()
        self.errors: list[BaseException] = []
        self._ending = False
        self._names = [*(f"creator-{at}" for at in range(creators)), *(f"worker-{at}" for at in range(workers))]
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Begin the load."""
        self._running = [
            asyncio.create_task(self._create(name) if name.startswith("creator") else self._work(name))
            for name in self._names
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the load, whatever happened."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def move(self, server: Server) -> None:
        """Go on at another server, in the middle of whatever everybody does."""
        await self.__aexit__()
        self.server = server
        await self.__aenter__()

    async def goes_on(self, completions: int = 50) -> None:
        """Wait until that many more tasks are acknowledged as completed."""
        wanted = len(self.completed) + completions
        await eventually(lambda: self._broken() or len(self.completed) >= wanted, within_s=30)

    async def finish(self) -> Snapshot:
        """Create nothing more, let everything be worked off, and check that all promises were kept."""
        self._ending = True
        async with self.server.client() as client:
            await eventually(lambda: self._broken() or _is_worked_off(client), within_s=30)
        await self.__aexit__()
        found = await snapshot(self.server)
        self._check(found)
        return found

    def _broken(self) -> bool:
        for task in self._running:
            if task.done() and not task.cancelled():
                task.result()
        return False

    def _check(self, found: Snapshot) -> None:
        ends = Counter(found.subjects("task.completed"))
        assert self.created <= {f"t-{n}" for n in found.tasks}, "an acknowledged task is lost"
        assert {row.status for row in found.tasks.values()} == {"completed"}, "not every task was done"
        assert self.completed.keys() <= ends.keys(), "an acknowledged completion is lost"
        assert set(ends.values()) == {1}, "a task was done twice"
        assert set(self.claims.values()) == {1}, "a task was handed out twice at one epoch"

    async def _create(self, name: str) -> None:
        async with self.server.client() as client:
            while not self._ending:
                try:
                    self.created.add((await client.call("task.create", text=f"a task of {name}"))["id"])
                except LOST as error:
                    await self._recover(client, error)

    async def _work(self, name: str) -> None:
        async with self.server.client() as client:
            await self._join(client, name)
            while True:
                try:
                    task = await self._next(client, name)
                except LOST as error:
                    await self._recover(client, error)
                else:
                    await self._complete(client, name, task)

    async def _join(self, client: AsyncClient, name: str) -> None:
        await client.call("system.register", id=name, roles=[], capacity=1, deadAfterMs=PATIENT_MS, bootId="b")

    async def _next(self, client: AsyncClient, name: str) -> dict[str, Any]:
        """Return what the worker holds, which it may not know after a fault, else what it claims."""
        held = (await client.call("system.heartbeat", instanceId=name))["held"]
        while not held:
            held = (await client.call("task.claim", workerId=name))["tasks"]
            self.claims.update((task["id"], task["epoch"]) for task in held)
            await asyncio.sleep(0 if held else 0.02)
        task: dict[str, Any] = held[0]
        return task

    async def _complete(self, client: AsyncClient, name: str, task: dict[str, Any]) -> None:
        """Say it until it is acknowledged: said twice it is done once."""
        while task["id"] not in self.completed:
            try:
                await client.call("task.complete", id=task["id"], workerId=name, epoch=task["epoch"], result=name)
                self.completed[task["id"]] += 1
            except LOST as error:
                await self._recover(client, error)

    async def _recover(self, client: AsyncClient, error: BaseException) -> None:
        if isinstance(error, (Conflict, Stale, NotFound)):
            raise error
        self.errors.append(error)
        await eventually(client.is_healthy, within_s=60)

    @property
    def refusals(self) -> list[Unavailable]:
        """What the server said while its store was away."""
        return [error for error in self.errors if isinstance(error, Unavailable)]


async def _is_worked_off(client: AsyncClient) -> bool:
    counts: dict[str, int] = await client.call("task.count")
    return counts["pending"] == counts["inProgress"] == 0
