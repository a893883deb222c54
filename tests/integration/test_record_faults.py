"""The record through every fault: servers and databases killed and paused, a store that forgot what it had said."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.integration.listening import Stream, stream
from tests.integration.recorded import check, differences, is_level, rows
from tests.integration.test_ledger import redis
from tests.scripts.fleet import Fleet, snapshot, store_of

from claudebench.errors import Unavailable
from claudebench.events.position import number
from claudebench.testing import Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from claudebench.testing import AsyncClient
    from claudebench.testing.postgres import Postgres


EXIT_WITHIN_S = 10


async def test_killed_under_load(server: Server) -> None:
    """A server killed under load leaves a record that equals the ledger to the row: no gap, no double."""
    async with Fleet(server) as fleet:
        for _ in range(3):
            await fleet.goes_on(30)
            await server.kill()
            await server.start()
        await fleet.finish()
    await check(server)


async def test_the_database_away_under_load(tmp_path: Path, postgresql: Postgres) -> None:
    """While PostgreSQL is away no command fails, health says so, and the record catches up once it is back."""
    url = await postgresql.fresh()
    async with serve(tmp_path / "data", "--database-url", url) as server, server.client() as client:
        async with Fleet(server) as fleet:
            await fleet.goes_on()
            postgresql.stop()
            try:
                await fleet.goes_on(200)
                await eventually(lambda: is_ill(client))
            finally:
                postgresql.start()
            await fleet.goes_on()
            await fleet.finish()
        assert fleet.errors == []
        await check(server, postgresql)
        assert (await client.call("system.health"))["status"] == "healthy"
    assert server.log_path.read_text().count("does not keep up") == 1


async def is_ill(client: AsyncClient) -> bool:
    """Whether health says that the record is not written."""
    told = await client.call("system.health")
    return bool(told["status"] == "degraded" and not told["services"]["record"])


async def test_stopped_while_its_database_hangs(tmp_path: Path, postgresql: Postgres) -> None:
    """A server whose database has stopped in its tracks serves, and still ends in time with 0 when it is asked to."""
    url = await postgresql.fresh()
    async with serve(tmp_path / "data", "--database-url", url) as server, server.client() as client:
        await client.call("task.create", text="before")
        await eventually(lambda: is_level(server))
        postgresql.pause()
        try:
            for at in range(100):
                await client.call("task.create", text=f"during {at}")
            async with asyncio.timeout(EXIT_WITHIN_S):
                assert await server.stop() == 0
        finally:
            postgresql.resume()
        await server.start()
        await check(server, postgresql)


async def test_started_without_its_database(tmp_path: Path, postgresql: Postgres) -> None:
    """A server whose database is away starts all the same, and records everything once it is there."""
    url = await postgresql.fresh()
    postgresql.stop()
    try:
        async with serve(tmp_path / "data", "--database-url", url) as server, server.client() as client:
            await client.call("task.create", text="a task")
            postgresql.start()
            await eventually(postgresql.answers)
            await check(server, postgresql)
    finally:
        if postgresql.process and postgresql.process.poll() is not None:
            postgresql.start()


async def test_a_stopped_server_is_level(server: Server) -> None:
    """A server killed right after a change has it recorded soon after the next start."""
    for at in range(5):
        async with server.client() as client:
            await client.call("task.create", text=f"task {at}")
        await server.kill()
        await server.start()
    await check(server)


@asynccontextmanager
async def fleet_of_two(tmp_path: Path, postgresql: Postgres) -> AsyncIterator[list[Server]]:
    """Two servers on one Redis and one PostgreSQL; the projector is the first."""
    url = await postgresql.fresh()
    async with redis(tmp_path) as store:
        options = ("--redis-url", store, "--database-url", url)
        async with serve(tmp_path / "one", *options) as one:
            await eventually(lambda: holder(one))
            key = {"CLAUDEBENCH_AUDIT_KEY": str(tmp_path / "one/audit.key")}
            async with serve(tmp_path / "two", *options, env=key) as two:
                yield [one, two]


async def holder(server: Server) -> str:
    """Return who is the projector."""
    async with server.client() as client:
        return str((await client.call("record.status"))["holder"])


@pytest.mark.soak
async def test_one_projector_at_a_time(tmp_path: Path, postgresql: Postgres) -> None:
    """Of two servers one records what both do; when it is killed, the other takes over and misses nothing."""
    async with fleet_of_two(tmp_path, postgresql) as (one, two):
        first = await holder(one)
        assert await holder(two) == first
        async with Fleet(two) as fleet:
            async with one.client() as client:
                await client.call("task.create", text="made at the other")
            await fleet.goes_on()
            await one.kill()
            await eventually(lambda: took_over(two, first), within_s=20)
            await fleet.goes_on()
            await fleet.finish()
        await check(two, postgresql)


async def took_over(server: Server, former: str) -> bool:
    """Whether another than `former` is the projector."""
    return await holder(server) not in {"", former}


async def test_a_projector_paused_beyond_its_lease(tmp_path: Path, postgresql: Postgres) -> None:
    """A projector that stood still beyond its lease, whatever it was about to write, doubles and loses nothing."""
    async with fleet_of_two(tmp_path, postgresql) as (one, two):
        async with Fleet(two) as fleet:
            held = await holder(two)
            await fleet.goes_on()
            os.kill(one.process.pid, signal.SIGSTOP)
            try:
                await eventually(lambda: took_over(two, held), within_s=20)
                await fleet.goes_on()
            finally:
                os.kill(one.process.pid, signal.SIGCONT)
            await fleet.goes_on()
            await fleet.finish()
        await check(two, postgresql)
        await check(one, postgresql)


# -- a store that forgot


def cut(server: Server, size: int) -> None:
    """Cut the store's log of writes back to a size, as a power loss does."""
    (log,) = (server.data_dir / "appendonlydir").glob("*.incr.aof")
    os.truncate(log, size)


def written(server: Server) -> int:
    """Return how long the store's log of writes is."""
    (log,) = (server.data_dir / "appendonlydir").glob("*.incr.aof")
    return log.stat().st_size


async def lose_power(server: Server, size: int) -> None:
    """Kill server and store, and cut back what the disk had not got."""
    await server.kill()
    server.kill_store()
    cut(server, size)
    await server.start()


async def fork(server: Server, client: AsyncClient) -> tuple[int, list[str]]:
    """Do what stays, then what will be lost and is recorded; return where the two part, and the tasks of the latter."""
    await client.call("system.register", id="w", roles=[], capacity=100)
    for at in range(6):
        await client.call("task.create", text=f"stays {at}")
    await client.call("task.claim", workerId="w")
    await eventually(lambda: is_level(server))
    size = await eventually(lambda: settled(server))
    lost = [(await client.call("task.create", text=f"lost {at}"))["id"] for at in range(3)]
    await client.call("task.claim", workerId="w", maxTasks=3)
    await client.call("task.complete", id="t-1", workerId="w", result=1)
    await client.call("task.delete", id="t-6")
    await client.call("system.register", id="late", roles=[])
    await client.call("hook.pre_tool", tool="Bash", params={"command": "ls"})
    await eventually(lambda: is_level(server))
    return size, lost


async def first(opened: Stream, event: str) -> dict[str, Any]:
    """Return what the first frame of a kind holds."""
    while (block := await opened.block()).get("event") != event:
        pass
    return cast("dict[str, Any]", json.loads(block["data"]))


_sizes: dict[str, int] = {}


def settled(server: Server) -> int:
    """Return the size of the log of writes once it stands still."""
    before, _sizes[str(server.data_dir)] = _sizes.get(str(server.data_dir)), written(server)
    return written(server) if before == written(server) else 0


async def test_power_loss(server: Server, client: AsyncClient) -> None:
    """After a power loss no id is given away again, an event names what was lost, and the record is the ledger."""
    size, lost = await fork(server, client)
    known = await rows(server, "SELECT ms, seq, type, subject FROM events ORDER BY ms, seq")
    await lose_power(server, size)
    client.cut()

    found = await snapshot(server)
    stays = {each.position for each in found.events}
    gone = [(f"{ms}-{seq}", type_, subject) for ms, seq, type_, subject in known if f"{ms}-{seq}" not in stays]
    assert {"task.created", "task.completed", "task.deleted", "instance.registered"} <= {type_ for _, type_, _ in gone}
    (told,) = found.of_type("store.rolled_back")
    assert told.payload["total"] == len(gone)
    assert [(each["id"], each["type"], each["subject"]) for each in told.payload["lost"]] == gone
    fresh = (await client.call("task.create", text="new"))["id"]
    assert int(fresh[2:]) > max(int(id_[2:]) for id_ in lost)
    assert client.position > max(id_ for id_, _, _ in gone)
    await check(server)
    marked = await rows(server, "SELECT ms, seq FROM events WHERE lost ORDER BY ms, seq")
    assert [f"{ms}-{seq}" for ms, seq in marked] == [id_ for id_, _, _ in gone]

    left = max(stays - {told.position}, key=number)
    async with stream(server, **{"Last-Event-ID": gone[-1][0]}) as opened:
        assert await first(opened, "gap") == {"type": "gap", "from": gone[-1][0], "last": left}
    page = await client.call("event.list", after=gone[0][0])
    assert (page["lost"], page["events"][0]["type"]) == (left, "store.rolled_back")

    await server.kill()
    await server.start()
    assert len((await snapshot(server)).of_type("store.rolled_back")) == 1


async def test_everything_is_lost(server: Server, client: AsyncClient) -> None:
    """A store that comes back empty begins behind what the record knows."""
    size, lost = await fork(server, client)
    assert size
    await lose_power(server, 0)
    client.cut()
    fresh = (await client.call("task.create", text="new"))["id"]
    assert int(fresh[2:]) > max(int(id_[2:]) for id_ in lost)
    await check(server)


async def test_a_store_that_forgot_while_the_server_runs(server: Server, client: AsyncClient) -> None:
    """A store that comes back under a running server without its last writes gives no id away twice either."""
    size, lost = await fork(server, client)
    os.kill(server.process.pid, signal.SIGSTOP)
    server.kill_store()
    cut(server, size)
    os.kill(server.process.pid, signal.SIGCONT)
    fresh = await eventually(lambda: made(client), within_s=30)
    assert int(fresh[2:]) > max(int(id_[2:]) for id_ in lost)

    async def is_told() -> bool:
        return len((await snapshot(server)).of_type("store.rolled_back")) == 1

    await eventually(is_told)
    await check(server)


async def made(client: AsyncClient) -> str:
    """Return the id of a new task, '' while the store is away."""
    reply = await client.rpc({"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": {"text": "new"}})
    return str(reply.get("result", {}).get("id", ""))


async def test_a_record_that_is_removed_is_missed(server: Server, client: AsyncClient) -> None:
    """A file that is taken away under a running server is bad health with what to do; it is made anew at the start."""
    await client.call("task.create", text="a")
    await eventually(lambda: is_level(server))
    (server.data_dir / "record.db").unlink()
    await eventually(lambda: is_ill(client))
    with pytest.raises(Unavailable, match="was removed or replaced while in use"):
        await client.call("record.status")
    await client.call("task.create", text="b")

    await server.stop()
    await server.start()
    client.cut()
    await eventually(client.is_healthy)
    assert await differences(server) == []


async def test_a_cut_log_is_a_named_gap(server: Server, client: AsyncClient) -> None:
    """What was cut from the log before it was read is named, health is degraded, and a rebuild mends it."""
    await client.call("task.create", text="before")
    await eventually(lambda: is_level(server))
    await server.kill()
    async with store_of(server) as store:
        for _ in range(3):
            await store.command("XADD", "cb:{default}:ev", "*", "type", "x.noise", "subject", "-", "actor", "", "at", 1,
                                "payload", "{}", "meta", "")  # fmt: skip
        newest = (await store.command("XREVRANGE", "cb:{default}:ev", "+", "-", "COUNT", 1))[0][0]
        await store.command("XTRIM", "cb:{default}:ev", "MAXLEN", 0)
        await store.command("HSET", "cb:{default}:evmeta", "trimmed", newest)
    await server.start()
    client.cut()
    await eventually(lambda: is_ill(client))
    assert [each.type for each in (await snapshot_events(server))] == ["record.gap"]
    standing = await client.call("record.status")
    assert standing["gap"] == newest.decode()

    async with server.client(token=server.operator_token) as operator:
        at: Any = ""
        while at is not None:
            at = (await operator.call("record.rebuild", at=at)).get("next")
    await eventually(client.is_healthy)

    async def is_well() -> bool:
        return not await is_ill(client)

    await eventually(is_well)
    assert await differences(server) == []


async def snapshot_events(server: Server) -> list[Any]:
    """Return the log of a server."""
    from tests.scripts import invariants

    async with store_of(server) as connection:
        return (await invariants.read(connection, "default")).events


# -- a record of another store


@pytest.mark.soak
async def test_a_record_of_another_store_is_left_alone(tmp_path: Path, postgresql: Postgres) -> None:
    """A store with nothing takes a record only when told so, and goes on behind it; one with its own never does."""
    url, other = await postgresql.fresh(), await postgresql.fresh()
    folders = [tmp_path / name for name in ("first", "second", "third")]
    async with serve(folders[0], "--database-url", url) as server, server.client() as client:
        await client.call("task.create", text="a")
        await eventually(lambda: is_level(server))

    with pytest.raises(RuntimeError, match="start once with CLAUDEBENCH_ADOPT_RECORD=true"):
        async with serve(folders[1], "--database-url", url):
            pass
    adopts = {"CLAUDEBENCH_ADOPT_RECORD": "true"}
    async with serve(folders[1], "--database-url", url, env=adopts) as server, server.client() as client:
        assert int((await client.call("task.create", text="b"))["id"][2:]) > 1

    async with serve(folders[2], "--database-url", other) as server, server.client() as client:
        await client.call("task.create", text="c")
    with pytest.raises(RuntimeError, match="the record of another store than this one"):
        async with serve(folders[2], "--database-url", url, env=adopts):
            pass
