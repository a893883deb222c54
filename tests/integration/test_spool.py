"""Decisions while the store is away: kept, bounded, and on record exactly once when it is back."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from claudebench.app import CATALOGUE, SCRIPTS
from claudebench.errors import Unavailable
from claudebench.events.log import APPEND_ONCE, EventLog
from claudebench.events.spool import Spool
from claudebench.store.connection import Address, Connection
from claudebench.store.origin import Origin
from claudebench.testing import AsyncClient, Server, eventually
from claudebench.testing.server import answers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOME = Origin("spooled")


@pytest.fixture
async def connection(server: Server) -> AsyncIterator[Connection]:
    """A connection of the test's own to the server's store, impatient."""
    opened = Connection(Address(socket=str(server.data_dir / "store.sock")), SCRIPTS, timeout_s=0.3, silence_max_s=0.6)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def log(connection: Connection) -> EventLog:
    return EventLog(connection, CATALOGUE)


@pytest.fixture
async def spool(log: EventLog) -> AsyncIterator[Spool]:
    """A spool that replays."""
    made = Spool(log, size=500)
    replaying = asyncio.create_task(made.replay())
    yield made
    replaying.cancel()


def send(spool: Spool, number: int) -> asyncio.Future[bool]:
    """Send one decision that can be told from all others."""
    return spool.send(HOME, "hook.decided", "s-1", b'{"n":%d}' % number)


async def recorded(server: Server) -> Counter[int]:
    """Return how often each decision stands in the log."""
    found: Counter[int] = Counter()
    after, more = "", True
    async with server.client(workspace=HOME.workspace) as client:
        while more:
            page = await client.call("event.list", after=after, limit=1000)
            found.update(event["payload"]["n"] for event in page["events"])
            after, more = page["nextAfter"], page["hasMore"]
    return found


async def test_what_a_pause_held_up_is_recorded_once(server: Server, connection: Connection, spool: Spool) -> None:
    """Facts sent into a store that stands still, with sockets given up on the way, are each there once afterwards."""
    taken = [send(spool, number) for number in range(50)]
    assert all(await asyncio.gather(*taken))
    server.pause_store()
    sent = [send(spool, number) for number in range(50, 150)]
    generation = connection.generation
    assert not any(await asyncio.gather(*sent))
    await eventually(lambda: connection._wire is None)
    sent += [send(spool, number) for number in range(150, 200)]
    server.resume_store()
    await eventually(lambda: spool.waiting == 0)

    await answers(server)
    assert connection.generation > generation
    assert await recorded(server) == Counter(range(200))


async def test_what_a_killed_store_missed_is_recorded_once(server: Server, spool: Spool) -> None:
    """Facts sent while the store dies and comes back, again and again, are each there once afterwards."""
    number = 0
    for _ in range(3):
        sent = []
        for burst in range(10):
            sent += [send(spool, number + at) for at in range(10)]
            number += 10
            if burst == 5:
                server.kill_store()
            await asyncio.sleep(0)
        await asyncio.gather(*sent)
        await eventually(lambda: spool.waiting == 0)
        await answers(server)

    assert await recorded(server) == Counter(range(number))
    assert spool.dropped == 0


async def test_an_unknown_sending_is_not_repeated(log: EventLog, server: Server) -> None:
    """A fact whose sending was written and whose answer was lost is not written by the next sending."""
    fact = (HOME, "hook.decided", "s-1", b'{"n":1}')
    (first,) = await log.append_once(*fact, ("w.1", 1), ("", 0))
    (second,) = await log.append_once(*fact, ("w.2", 2), ("w.1", 1))
    (third,) = await log.append_once(*fact, ("w.3", 3), ("w.2", 2))

    assert (bool(first), second, third) == (True, b"", b"")
    assert await recorded(server) == Counter([1])


async def test_a_lost_sending_is_repeated(log: EventLog, server: Server) -> None:
    """A fact whose sending never arrived is written by the next, also when the writer got others through before."""
    fact = (HOME, "hook.decided", "s-1", b'{"n":1}')
    await log.append_once(HOME, "hook.decided", "s-1", b'{"n":0}', ("w.1", 1), ("", 0))
    (written,) = await log.append_once(*fact, ("w.2", 3), ("w.1", 2))

    assert written
    assert await recorded(server) == Counter([0, 1])


async def test_a_full_spool_drops_and_counts(log: EventLog, server: Server) -> None:
    """Past its bound a fact is dropped, counted, and never said to be recorded."""
    spool = Spool(log, size=5)
    server.pause_store()
    sent = [send(spool, number) for number in range(20)]
    assert spool.is_full
    assert not any(await asyncio.gather(*sent))

    assert (spool.waiting, spool.dropped) == (5, 15)


async def test_what_was_dropped_is_named_afterwards(log: EventLog, connection: Connection, server: Server) -> None:
    """When the store is back, an event of each workspace says how many were lost, from when to when, of which kinds."""
    times = iter(range(1_000, 2_000))
    spool = Spool(log, size=5, clock=lambda: float(next(times)))
    server.pause_store()
    sent = [spool.send(HOME, "hook.decided", "s-1", b'{"n":%d}' % number, "ask") for number in range(6)]
    await eventually(lambda: connection._wire is None)
    kinds = ["deny"] * 7 + ["ask"] * 2
    lost = [spool.send(HOME, "hook.decided", "s-1", b"{}", kind) for kind in kinds]
    lost.append(spool.send(Origin("elsewhere"), "hook.decided", "s-1", b"{}", "deny"))
    assert not any(await asyncio.gather(*sent, *lost))
    server.resume_store()
    replaying = asyncio.create_task(spool.replay())
    await eventually(lambda: spool.waiting == 0)
    await answers(server)
    replaying.cancel()

    assert spool.dropped == 11
    found = await events(server, HOME.workspace)
    numbers = {payload["n"] for _, payload in found[:-1]}
    assert len(numbers) == len(found) - 1
    assert len(numbers) >= 5, "the one whose outcome was unknown may be there"
    assert found[-1:] == [
        (
            "hook.unrecorded",
            {
                "count": 10,
                "unknown": 1,
                "firstAt": "1970-01-01T00:16:40.000Z",
                "lastAt": "1970-01-01T00:16:49.000Z",
                "decisions": {"deny": 7, "ask": 3},
            },
        ),
    ]
    ((type_, told),) = await events(server, "elsewhere")
    assert (type_, told["decisions"]) == ("hook.unrecorded", {"deny": 1})


async def events(server: Server, workspace: str) -> list[tuple[str, Any]]:
    """Return the events of a workspace: type and payload."""
    async with server.client(workspace=workspace) as client:
        page = await client.call("event.list", after="")
    return [(event["type"], event["payload"]) for event in page["events"]]


async def test_a_refusal_keeps_the_fact(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes nothing at once costs the caller nothing but the record's delay."""

    def away(*_: Any) -> Any:
        raise Unavailable

    spool = Spool(log)
    monkeypatch.setattr(log.connection, "run", away)

    assert await send(spool, 1) is False
    assert spool.waiting == 1


def test_the_script_is_the_one_that_is_sent() -> None:
    """The replaying script is loaded with every connection."""
    assert APPEND_ONCE in SCRIPTS


async def calls(client: AsyncClient, tool: str, params: dict[str, Any], times: int) -> list[dict[str, Any]]:
    """Ask the guard about many different calls at once, in batches."""
    answers: list[dict[str, Any]] = []
    for start in range(0, times, 500):
        batch = [
            {
                "jsonrpc": "2.0",
                "id": at,
                "method": "hook.pre_tool",
                "params": {"tool": tool, "params": {**params, "n": at}},
            }
            for at in range(start, min(start + 500, times))
        ]
        answers += [reply["result"] for reply in await client.rpc(batch)]
    return answers


async def test_a_full_spool_holds_dangerous_tools_back(server: Server, client: AsyncClient) -> None:
    """Once 10,000 decisions wait, shells and writers are denied, a deny stays one, other tools go on; then it heals."""
    server.pause_store()
    await eventually(lambda: is_away(client))
    await calls(client, "Read", {"file_path": "/srv/a"}, 10_100)

    (shell,) = await calls(client, "Bash", {"command": "ls"}, 1)
    (denied,) = await calls(client, "Bash", {"command": "rm -rf /"}, 1)
    (other,) = await calls(client, "Read", {"file_path": "/srv/a"}, 1)
    assert (shell["decision"], shell["ruleId"]) == ("deny", "unrecorded")
    assert (denied["decision"], denied["ruleId"]) == ("deny", "delete-whole")
    assert (other["decision"], other["recorded"]) == ("allow", False)
    assert "then repeat it" in shell["reason"]

    server.resume_store()
    await eventually(lambda: is_allowed(client))


async def is_away(client: AsyncClient) -> bool:
    """Whether the server has noticed that its store is silent."""
    return (await client.get("/health")).status == 503


async def is_allowed(client: AsyncClient) -> bool:
    """Whether a shell is allowed and on record."""
    (shell,) = await calls(client, "Bash", {"command": "ls"}, 1)
    return bool(shell["allow"] and shell["recorded"])
