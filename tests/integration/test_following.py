"""One log followed over several servers and over what befalls the store: each event once, or a gap that is said."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.listening import Socket, socket, stream, subscribed
from tests.integration.test_ledger import REDIS, redis

from claudebench.errors import ClaudeBenchError
from claudebench.store.connection import Address, Connection
from claudebench.testing import eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from claudebench.testing import AsyncClient, Server

pytestmark = pytest.mark.skipif(REDIS is None, reason="redis-server is not on PATH")
EV, EVMETA = "cb:{default}:ev", "cb:{default}:evmeta"
CUTS = 50


@asynccontextmanager
async def fleet(folder: Path) -> AsyncIterator[tuple[Server, Server, Connection]]:
    """Two servers on one store, and a connection to it."""
    async with (
        redis(folder) as url,
        serve(folder / "one", "--redis-url", url) as one,
        serve(folder / "two", "--redis-url", url) as two,
    ):
        connection = Connection(Address.from_url(url))
        await connection.open()
        try:
            yield one, two, connection
        finally:
            await connection.close()


async def create(client: AsyncClient, count: int = 1) -> None:
    """Create tasks, one after the other."""
    for number in range(count):
        await client.call("task.create", text=f"task {number}")


async def test_an_event_of_one_server_is_seen_at_the_other(tmp_path: Path) -> None:
    """What happens at either server is told at the sockets and streams of both, in one order."""
    async with (
        fleet(tmp_path) as (one, two, _),
        one.client() as first,
        two.client() as second,
        subscribed(one) as here,
        subscribed(two) as there,
        stream(two) as streamed,
    ):
        for client in (first, second) * 5:
            await create(client)
        told = await here.events(10)
        assert told == await there.events(10)
        assert told == [await streamed.event() for _ in range(10)]
        assert told == (await first.call("event.list"))["events"]


class Follower:
    """Goes on from the last event it saw, at either server, until it is told to end."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self.seen: list[str] = []
        self.cuts = 0

    @property
    def position(self) -> str:
        """Where it goes on."""
        return self.seen[-1] if self.seen else "0-0"

    async def follow(self) -> None:
        """Follow for ever; each life at another server lasts for a few events."""
        choose = random.Random(type(self).__name__)
        while True:
            with suppress(EOFError, OSError):
                await self.live(self.servers[self.cuts % 2], choose.randrange(1, 40))
            self.cuts += 1

    async def live(self, server: Server, events: int) -> None:
        """Follow for so many events and leave in their midst."""
        raise NotImplementedError


class SocketFollower(Follower):
    """Follows over a WebSocket."""

    async def live(self, server: Server, events: int) -> None:
        """Follow for so many events and cut the line."""
        async with subscribed(server, **{"from": self.position}) as opened:
            for _ in range(events):
                self.seen += [each["id"] for each in await opened.events(1)]
            opened.line.transport.abort()


class StreamFollower(Follower):
    """Follows over server-sent events."""

    async def live(self, server: Server, events: int) -> None:
        """Follow for so many events and cut the line."""
        async with stream(server, Last_Event_ID=self.position) as opened:
            for _ in range(events):
                self.seen.append((await opened.event())["id"])


async def test_cut_and_resumed_fifty_times_across_two_servers(tmp_path: Path) -> None:
    """A WebSocket client and an SSE client, cut fifty times and resumed at the other server, see each event once."""
    async with fleet(tmp_path) as (one, two, _), one.client() as first, two.client() as second:
        followers: list[Follower] = [SocketFollower([one, two]), StreamFollower([two, one])]
        following = [asyncio.create_task(each.follow()) for each in followers]
        while min(each.cuts for each in followers) < CUTS:
            await asyncio.gather(create(first, 5), create(second, 5))
            assert not any(each.done() for each in following), [each for each in following if each.done()]
        listed = await listing(first)
        for each in followers:
            await eventually(partial(is_at, each, listed[-1]))
        for task in following:
            task.cancel()
        await asyncio.wait(following)
    assert followers[0].seen == listed
    assert followers[1].seen == listed


def is_at(follower: Follower, position: str) -> bool:
    """Whether it came so far."""
    return follower.position == position


async def listing(client: AsyncClient) -> list[str]:
    """Return the ids of all events, by the log's own pages."""
    found: list[str] = []
    more, after = True, ""
    while more:
        page = await client.call("event.list", after=after, limit=1000)
        more, after = page["hasMore"], page["nextAfter"]
        found += [each["id"] for each in page["events"]]
    return found


async def test_what_was_cut_from_the_log_is_a_gap(tmp_path: Path) -> None:
    """Who resumes behind the trim is told so, and goes on with the first event that is left; at it, nothing is said."""
    async with fleet(tmp_path) as (one, two, store), one.client() as client:
        await create(client, 10)
        ids = await listing(client)
        await cut(store, ids[4])
        async with subscribed(two, **{"from": ids[2]}) as opened:
            assert await opened.hear() == {"type": "gap", "from": ids[2], "trimmed": ids[4]}
            assert [each["id"] for each in await opened.events(5)] == ids[5:]
        async with subscribed(two, **{"from": ids[4]}) as opened:
            assert [each["id"] for each in await opened.events(5)] == ids[5:]
        async with stream(one, f"/events?from={ids[0]}") as streamed:
            block = await streamed.block()
            assert (block["event"], f'"trimmed":"{ids[4]}"' in block["data"]) == ("gap", True)
            assert (await streamed.event())["id"] == ids[5]
        assert (await client.call("system.metrics"))["sockets"]["gaps"] == 1


async def cut(store: Connection, position: str) -> None:
    """Cut the log up to and with an event, as the trim does."""
    await store.command("XTRIM", EV, "MINID", "{}-{}".format(*bump(position)))
    await store.command("HSET", EVMETA, "trimmed", position)


def bump(position: str) -> tuple[int, int]:
    """Return the position right after one."""
    ms, number = map(int, position.split("-"))
    return ms, number + 1


async def test_what_lies_ahead_of_the_log_is_a_gap(tmp_path: Path) -> None:
    """Who resumes from a position that the log has not reached is told so, and goes on from its end."""
    async with fleet(tmp_path) as (one, _, __), one.client() as client:
        await create(client)
        last = client.position
        ahead = f"{int(last.split('-')[0]) + 60_000}-0"
        async with subscribed(one, **{"from": ahead}) as opened:
            assert await opened.hear() == {"type": "gap", "from": ahead, "last": last}
            await create(client)
            assert [each["id"] for each in await opened.events(1)] == [client.position]
        async with socket(one, "empty") as opened:
            answer = await opened.ask(type="subscribe", patterns=["*"], **{"from": ahead})
            assert (answer["type"], answer["at"]) == ("subscribed", "0-0")
            assert await opened.hear() == {"type": "gap", "from": ahead, "last": "0-0"}


async def test_a_store_that_comes_back_older_is_a_gap(tmp_path: Path) -> None:
    """When the log lost its tail, a socket is told behind which event, and then all that is written there."""
    async with fleet(tmp_path) as (one, _, store), one.client() as client, subscribed(one) as opened:
        await create(client, 10)
        ids = [each["id"] for each in await opened.events(10)]
        for lost in ids[7:]:
            await store.command("XDEL", EV, lost)
        await store.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert await opened.hear() == {"type": "gap", "from": ids[9], "last": ids[6]}
        await eventually(partial(creates, client))
        newest = await listing(client)
        assert [each["id"] for each in await opened.events(len(newest) - 7)] == newest[7:]


async def creates(client: AsyncClient) -> bool:
    """Whether a task can be created."""
    try:
        await create(client)
    except ClaudeBenchError:
        return False
    return True


async def test_far_behind_the_ring_is_read_from_the_log(tmp_path: Path) -> None:
    """Who begins further back than the ring reaches, while more happens, is told everything once, in order."""
    async with fleet(tmp_path) as (one, two, _), one.client() as client, subscribed(two, "nothing.*"):
        batch: list[dict[str, Any]] = [
            {"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": {"text": "x"}}
        ] * 1_000
        for _ in range(11):
            await client.rpc(batch)
        async with subscribed(two, **{"from": "0-0"}) as opened:
            told = asyncio.create_task(ids_of(opened, 13_000))
            await client.rpc(batch)
            await client.rpc(batch)
            assert await told == await listing(client)
        async with two.client() as other:
            assert (await other.call("system.metrics"))["sockets"]["pages"] > 0


async def ids_of(opened: Socket, count: int) -> list[str]:
    """Return the ids of the next events."""
    return [each["id"] for each in await opened.events(count)]
