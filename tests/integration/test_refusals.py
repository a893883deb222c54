"""Refusals on record: who was turned away, how often, without a way to fill the log or to slow anybody down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from claudebench.app import CATALOGUE, SCRIPTS
from claudebench.errors import Unauthorized
from claudebench.events.log import EventLog
from claudebench.events.spool import Spool
from claudebench.rpc.refusals import CALLERS_MAX, OTHERS, Refusals
from claudebench.store.connection import Address, Connection
from claudebench.testing import AsyncClient, Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

WRONG = {"Authorization": "Bearer not-the-token"}
HEALTH = b'{"jsonrpc":"2.0","id":1,"method":"system.health"}'


async def told(server: Server, workspace: str = "") -> list[dict[str, Any]]:
    """Return every refusal on record, oldest first."""
    async with server.client(workspace=workspace) as client:
        return [each["payload"] for each in (await client.call("event.list", types=["security.refused"]))["events"]]


def counted(found: list[dict[str, Any]]) -> int:
    """Return how many refusals they stand for."""
    return sum(each["count"] for each in found)


class Timers:
    """An event loop's `call_later` whose time is the test's."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, run: Callable[[], None]) -> None:
        """Take what is to be run then."""
        self.due.append((self.now + seconds, run))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        while over := [each for each in self.due if each[0] <= self.now]:
            self.due = [each for each in self.due if each[0] > self.now]
            for _, run in over:
                run()


@pytest.fixture
async def log(server: Server) -> AsyncIterator[EventLog]:
    """A log over a connection of the test's own."""
    connection = Connection(Address(socket=str(server.data_dir / "store.sock")), SCRIPTS)
    await connection.open()
    yield EventLog(connection, CATALOGUE)
    await connection.close()


async def test_foreign_hosts_origins_and_tokens_are_on_record(server: Server, client: AsyncClient) -> None:
    """Each kind of refusal at the gate is told, counted when it repeats, under the server's own workspace."""
    await client.post("/w/elsewhere/rpc", HEALTH, {"Host": "evil.example"})
    await client.post("/rpc", HEALTH, {"Origin": "http://evil.example"})
    await client.post("/rpc", HEALTH, WRONG)
    await client.post("/task/list", b"{}", WRONG)
    await client.get("/metrics", WRONG)

    found = await eventually(lambda: when(server, 5))
    kinds: dict[str, int] = {}
    for each in found:
        for kind, count in each["kinds"].items():
            kinds[kind] = kinds.get(kind, 0) + count
    assert kinds == {"host": 1, "origin": 1, "token": 3}
    assert found[0] == {
        "caller": "127.0.0.1",
        "outcome": "refused",
        "count": 1,
        "kinds": {"host": 1},
        "code": -32600,
        "message": "the Host header 'evil.example' names another server; if it is this one, start it with "
        "CLAUDEBENCH_HOSTS=evil.example, or hosts in claudebench.toml",
        "path": "/w/elsewhere/rpc",
    }
    assert await told(server, "elsewhere") == []


async def when(server: Server, count: int) -> list[dict[str, Any]] | None:
    """Return what is told once it stands for so many refusals."""
    found = await told(server)
    return found if counted(found) == count else None


async def test_a_flood_of_refusals_is_counted(server: Server, client: AsyncClient) -> None:
    """A thousand refusals of one caller in a row become a handful of events that stand for all of them."""
    for _ in range(1000):
        assert (await client.post("/rpc", HEALTH, WRONG)).json["error"]["code"] == -32002

    found = await eventually(lambda: when(server, 1000), within_s=30)
    assert len(found) <= 6


async def test_a_refusal_needs_no_store(server: Server, client: AsyncClient) -> None:
    """While the store is away a refusal is answered as ever, and is on record once the store is back."""
    server.pause_store()
    answers = [await client.post("/rpc", HEALTH, WRONG) for _ in range(3)]
    server.resume_store()

    assert {each.json["error"]["code"] for each in answers} == {-32002}
    assert await eventually(lambda: when(server, 3))


async def test_what_was_only_counted_is_told_at_the_end(tmp_path: Path) -> None:
    """A server that is stopped first tells what it had only counted."""
    async with serve(tmp_path / "data") as server:
        async with server.client() as client:
            for _ in range(50):
                await client.post("/rpc", HEALTH, WRONG)
        await server.stop()
        await server.start()
        assert counted(await told(server)) == 50


async def test_one_caller_is_told_at_most_once_a_second(log: EventLog, server: Server) -> None:
    """One caller has an event at once and then at 1, 3, 7, 15, ... seconds; who is quiet is forgotten."""
    timers = Timers()
    refusals = Refusals(Spool(log), "watched", timers.call_later)
    at, seen = [], 0
    for tenth in range(200):
        refusals.at_the_gate(Unauthorized("no"), "token", "10.0.0.1", "/rpc")
        if (events := await settled(server, log)) > seen:
            at.append(tenth / 10)
            seen = events
        timers.advance(0.1)

    assert [round(each) for each in at] == [0, 1, 3, 7, 15]
    timers.advance(1000)
    timers.advance(1000)
    assert not timers.due
    assert counted(await told(server, "watched")) == 200


async def settled(server: Server, log: EventLog) -> int:
    """Return how many events the workspace `watched` has, once what was sent is written."""
    await log.connection.command("PING")
    return (await log.position("watched"))[1]


async def test_many_callers_share_a_place(log: EventLog, server: Server) -> None:
    """However many addresses are refused, no more than seventeen callers are told apart, and nothing is left out."""
    timers = Timers()
    refusals = Refusals(Spool(log), "watched", timers.call_later)
    for number in range(2000):
        refusals.at_the_gate(Unauthorized("no"), "token", f"10.0.{number // 250}.{number % 250}", "/rpc")
    assert len(timers.due) == CALLERS_MAX + 1
    timers.advance(1)
    await log.connection.command("PING")

    found = await told(server, "watched")
    assert counted(found) == 2000
    assert len(found) == CALLERS_MAX + 2
    assert sum(each["count"] for each in found if each["caller"] == OTHERS) == 2000 - CALLERS_MAX


async def test_a_busy_spool_is_left_alone(log: EventLog, server: Server) -> None:
    """While decisions wait for the store, refusals are only counted, so that they take no decision's place."""
    timers, spool = Timers(), Spool(log)
    spool._in_flight = 5_000
    refusals = Refusals(spool, "watched", timers.call_later)
    for _ in range(3):
        refusals.at_the_gate(Unauthorized("no"), "token", "10.0.0.1", "/rpc")
    timers.advance(1)
    assert await settled(server, log) == 0

    spool._in_flight = 0
    timers.advance(2)
    await asyncio.sleep(0)
    await log.connection.command("PING")
    assert [each["count"] for each in await told(server, "watched")] == [3]
