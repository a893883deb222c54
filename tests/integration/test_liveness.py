"""Who lives and who does not, by the clock of a real store: workers killed, restarted, paused stores."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

import pytest
from tests.scripts.fleet import snapshot

from claudebench.errors import ClaudeBenchError, Stale
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claudebench.testing import AsyncClient, Server

WORKER = """
import asyncio, sys
from claudebench.testing import AsyncClient

async def main(url, name, dead_after_ms):
    client = AsyncClient(url)
    await client.call("system.register", id=name, roles=[], deadAfterMs=dead_after_ms, bootId=f"b{id(client)}")
    task = (await client.call("task.claim", workerId=name))["task"]
    print(task["id"], task["epoch"], flush=True)
    while True:
        await client.call("system.heartbeat", instanceId=name)
        await asyncio.sleep(dead_after_ms / 5000)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@asynccontextmanager
async def worker(
    server: Server, name: str, dead_after_ms: int
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, int]]:
    """Run a worker in a process of its own, which claims one task and then only beats."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, server.url, name, str(dead_after_ms), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        task, epoch = (await process.stdout.readline()).decode().split()
        yield process, task, int(epoch)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Beating:
    """Instances of this process that register, take a task each and beat, each in its own rhythm of the same length."""

    def __init__(self, server: Server, names: list[str], dead_after_ms: int, *, beats: float = 5) -> None:
        """Take their names and how often they beat in their deadAfterMs."""
        self.every_s = dead_after_ms / 1000 / beats
        self.server, self.names, self.dead_after_ms = server, names, dead_after_ms
        self.beats = dict.fromkeys(names, 0)
        self.held: dict[str, list[dict[str, Any]]] = {}
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Register, claim and begin to beat."""
        async with self.server.client() as client:
            for name in self.names:
                await client.call("system.register", id=name, roles=[], deadAfterMs=self.dead_after_ms, bootId="b")
                await client.call("task.create", text=f"for {name}")
                await client.call("task.claim", workerId=name)
        lag_s = self.every_s / len(self.names)
        self._running = [asyncio.create_task(self._beat(name, at * lag_s)) for at, name in enumerate(self.names)]
        await self.beaten(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Fall silent."""
        for each in self._running:
            each.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def beaten(self, times: int) -> None:
        """Wait until everyone's heartbeat was answered that many times more."""
        wanted = {name: beats + times for name, beats in self.beats.items()}
        await eventually(lambda: all(self.beats[name] >= wanted[name] for name in self.names), within_s=30)

    async def _beat(self, name: str, lag_s: float) -> None:
        await asyncio.sleep(lag_s)
        async with self.server.client() as client:
            while True:
                try:
                    self.held[name] = (await client.call("system.heartbeat", instanceId=name))["held"]
                    self.beats[name] += 1
                except (OSError, EOFError, ClaudeBenchError):
                    client.cut()
                await asyncio.sleep(self.every_s)


async def elapsed(seconds: float) -> None:
    """Wait for as long as a fault shall last."""
    until = monotonic() + seconds
    await eventually(lambda: monotonic() >= until, within_s=seconds + 10)


async def claim(client: AsyncClient, name: str) -> dict[str, Any] | None:
    """Claim one task, or None."""
    task: dict[str, Any] | None = (await client.call("task.claim", workerId=name)).get("task")
    return task


async def register(client: AsyncClient, name: str, *, dead_after_ms: int = 60_000, boot: str = "b") -> dict[str, Any]:
    """Register an instance without roles."""
    answer: dict[str, Any] = await client.call(
        "system.register", id=name, roles=[], deadAfterMs=dead_after_ms, bootId=boot
    )
    return answer


async def test_a_killed_workers_task_goes_to_another(server: Server, client: AsyncClient) -> None:
    """At the defaults a killed worker's task is claimable within 6 s, and its late complete is -32012."""
    await client.call("task.create", text="a task")
    await register(client, "living")
    async with worker(server, "w", 5000) as (process, task, epoch):
        assert await claim(client, "living") is None
        process.kill()
        await process.wait()

        taken = await eventually(lambda: claim(client, "living"), within_s=6)

    assert (taken["id"], taken["epoch"]) == (task, epoch + 2)
    before = await client.call("task.get", id=task)
    for fence in ({"workerId": "w", "epoch": epoch}, {"epoch": epoch}, {"workerId": "w"}, {}):
        with pytest.raises(Stale):
            await client.call("task.complete", id=task, result="too late", **fence)
    assert await client.call("task.get", id=task) == before
    found = await snapshot(server)
    assert found.of_type("instance.offline")[0].payload == {"id": "w", "returned": [task]}


async def test_a_stopped_worker_that_wakes_up(server: Server, client: AsyncClient) -> None:
    """A worker frozen past its deadline loses its task; awake again it is a new incarnation and holds nothing."""
    await client.call("task.create", text="a task")
    await register(client, "living")
    async with worker(server, "w", 500) as (process, task, _):
        process.send_signal(signal.SIGSTOP)
        assert (await eventually(lambda: claim(client, "living")))["id"] == task
        process.send_signal(signal.SIGCONT)

        async def online() -> bool:
            return "w" in (await snapshot(server)).subjects("instance.online")

        await eventually(online)
        beat = await client.call("system.heartbeat", instanceId="w")

    assert (beat["alive"], beat["incarnation"], beat["held"]) == (True, 2, [])


async def test_a_paused_store_kills_nobody(server: Server) -> None:
    """A store that stands still for longer than their deadAfterMs kills no instance that goes on beating after it."""
    async with Beating(server, [f"w{at}" for at in range(10)], 2500, beats=1.5) as fleet:
        held = dict(fleet.held)
        server.pause_store()
        await elapsed(3)
        server.resume_store()
        await fleet.beaten(2)

        assert fleet.held == held
    found = await snapshot(server)
    assert found.of_type("instance.offline") == []
    assert {row.epoch for row in found.tasks.values()} == {1}


async def test_a_server_that_was_away_kills_nobody(server: Server) -> None:
    """While no server runs nobody can beat; after its return those who beat live, and those who do not are noticed."""
    async with Beating(server, [f"w{at}" for at in range(3)], 1000) as fleet:
        async with server.client() as client:
            await register(client, "dead", dead_after_ms=1000)
        await server.kill()
        await elapsed(2.5)
        await server.start()
        await fleet.beaten(10)

        async def noticed() -> bool:
            return (await snapshot(server)).subjects("instance.offline") == ["dead"]

        await eventually(noticed)
        assert all(len(held) == 1 for held in fleet.held.values())


async def test_a_restarted_worker_gets_no_ghosts(server: Server, client: AsyncClient) -> None:
    """A worker restarted under its id is told what went back, holds nothing, and its old process is -32012."""
    for _ in range(3):
        await client.call("task.create", text="a task")
    await register(client, "w", boot="first")
    tasks = (await client.call("task.claim", workerId="w", maxTasks=3))["tasks"]

    again = await register(client, "w", boot="second")

    assert (again["incarnation"], sorted(again["returned"])) == (2, sorted(task["id"] for task in tasks))
    assert (await client.call("system.heartbeat", instanceId="w"))["held"] == []
    for task in tasks:
        with pytest.raises(Stale):
            await client.call("task.complete", id=task["id"], workerId="w", epoch=task["epoch"])
    assert {row.owner for row in (await snapshot(server)).tasks.values()} == {""}


async def test_leases_by_the_stores_clock(server: Server, client: AsyncClient) -> None:
    """Of two leased tasks the renewed one is kept and the other is taken back, though their owner lives."""
    for name in ("w", "other"):
        await register(client, name)
    for _ in range(2):
        await client.call("task.create", text="a task")
    kept, lost = (await client.call("task.claim", workerId="w", maxTasks=2, leaseMs=1000))["tasks"]

    async def taken() -> dict[str, Any] | None:
        fence = {"workerId": "w", "epoch": kept["epoch"]}
        assert (await client.call("task.renew", id=kept["id"], leaseMs=1000, **fence))["status"] == "in_progress"
        return await claim(client, "other")

    task = await eventually(taken)

    assert task["id"] == lost["id"]
    with pytest.raises(Stale):
        await client.call("task.renew", id=lost["id"], workerId="w", epoch=lost["epoch"])
    assert (await client.call("task.get", id=kept["id"]))["epoch"] == kept["epoch"]


async def test_workspaces_are_swept_each(server: Server, client: AsyncClient) -> None:
    """A death in one workspace is noticed there, without any command in it, and is nobody's business elsewhere."""
    async with server.client(workspace="beside") as beside:
        await beside.call("task.create", text="a task")
        await register(beside, "w", dead_after_ms=500)
        await claim(beside, "w")
        await register(client, "w")

        async def noticed() -> list[str]:
            return (await snapshot(server, "beside")).subjects("instance.offline")

        assert await eventually(noticed, within_s=5) == ["w"]
    assert (await snapshot(server)).of_type("instance.offline") == []


async def test_a_restarted_server_still_sweeps_every_workspace(server: Server) -> None:
    """After a restart a death in a workspace that nobody has asked for since is noticed all the same."""
    async with server.client(workspace="beside") as beside:
        await beside.call("task.create", text="a task")
        await register(beside, "w", dead_after_ms=500)
        await claim(beside, "w")
    await server.kill()
    await server.start()

    async def noticed() -> list[str]:
        return (await snapshot(server, "beside")).subjects("instance.offline")

    assert await eventually(noticed, within_s=5) == ["w"]
