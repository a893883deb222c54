"""Twenty kills under load on each database, a PostgreSQL away for half a minute or too long, and what it took."""

from __future__ import annotations

import asyncio
from statistics import quantiles
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.recorded import check, differences, is_level, walk
from tests.integration.test_liveness import elapsed
from tests.scripts.fleet import Fleet, store_of

from claudebench.store.keys import KEYS, prefix
from claudebench.testing import eventually, serve

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.testing import Server
    from claudebench.testing.postgres import Postgres

pytestmark = pytest.mark.soak
KILLS, AWAY_S = 20, 30


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_killed_twenty_times(tmp_path: Path, request: pytest.FixtureRequest, kind: str) -> None:
    """A server killed twenty times under load leaves a record that equals the ledger to the row."""
    postgres: Postgres | None = request.getfixturevalue("postgresql") if kind == "postgresql" else None
    options = ("--database-url", await postgres.fresh()) if postgres else ()
    async with serve(tmp_path / "data", *options) as server:
        async with Fleet(server) as fleet:
            for _ in range(KILLS):
                await fleet.goes_on(50)
                await server.kill()
                await server.start()
            await fleet.finish()
        await check(server, postgres)
        async with server.client(token=server.operator_token, within_s=60) as operator:
            seen = await operator.call("audit.verify", limit=100_000, timeoutMs=30_000)
            assert (seen["intact"], seen["findings"]) == (True, [])


class Probe:
    """A client that creates a task every 20 ms and notes how long each took, under the name of what goes on."""

    def __init__(self, server: Server) -> None:
        self.server, self.phase = server, "before"
        self.took_ms: dict[str, list[float]] = {}
        self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        async with self.server.client(workspace="probe") as client:
            while True:
                phase, began = self.phase, monotonic()
                await client.call("task.create", text="a probe", priority=0)
                self.took_ms.setdefault(phase, []).append((monotonic() - began) * 1000)
                await asyncio.sleep(0.02)

    async def end(self) -> str:
        """Ask no more; return what each phase took."""
        assert not self._asking.done(), "a probe failed"
        self._asking.cancel()
        return ", ".join(f"{name} p99 {quantiles(each, n=100)[98]:.0f} ms" for name, each in self.took_ms.items())


async def test_half_a_minute_without_the_database(
    tmp_path: Path, postgresql: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    """While PostgreSQL is away for half a minute no command fails; then the record catches up and is the ledger."""
    url = await postgresql.fresh()
    async with serve(tmp_path / "data", "--database-url", url) as server:
        async with Fleet(server) as fleet:
            probe = Probe(server)
            await elapsed(AWAY_S / 3)
            postgresql.stop()
            probe.phase = "away"
            done = len(fleet.completed)
            await elapsed(AWAY_S)
            done, took = len(fleet.completed) - done, await probe.end()
            postgresql.start()
            await fleet.goes_on(100)
            await fleet.finish()
        began = monotonic()
        await eventually(lambda: is_level(server), within_s=120)
        level = monotonic() - began
        assert fleet.errors == []
        assert done > 0
        await check(server, postgresql)
    with capsys.disabled():
        print(f"\n{done} tasks done in {AWAY_S} s without the database; level {level:.1f} s after the load; {took}")  # noqa: T201


async def test_away_until_the_log_is_full(tmp_path: Path, postgresql: Postgres) -> None:
    """A database away until the log is over its hard cap: the gap is named, health says so, and a rebuild mends it."""
    url = await postgresql.fresh()
    async with serve(tmp_path / "data", "--database-url", url) as server, server.client() as client:
        await client.call("task.create", text="recorded")
        await eventually(lambda: is_level(server))
        async with store_of(server) as store:
            for name, member, value in (("meta", "test", 1), ("evmeta", "max", 500)):
                await store.command("HSET", prefix("default") + KEYS[name].tail, member, value)
        postgresql.stop()
        for at in range(700):
            await client.call("task.create", text=f"task {at}")
        postgresql.start()

        async def gaps() -> list[dict[str, Any]]:
            found = await client.call("event.list", types=["record.gap"], limit=1000)
            return list(found["events"])

        (gap,) = await eventually(gaps, within_s=60)
        assert (await client.call("system.health"))["status"] == "degraded"
        assert (await client.call("record.status"))["gap"] == gap["payload"]["to"]
        async with server.client(token=server.operator_token) as operator:
            await walk(operator, "record.rebuild")
        await eventually(client.is_healthy)
        assert await differences(server) == []
