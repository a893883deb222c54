"""`/events`: server-sent events as a browser and curl read them."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from tests.integration.listening import Stream, stream

from claudebench.testing import eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from claudebench.testing import AsyncClient, Server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server for all tests of this file that break nothing."""
    async with serve(tmp_path_factory.mktemp("streams") / "data") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client of the server."""
    async with server.client() as connected:
        yield connected


async def create(client: AsyncClient, count: int = 1) -> None:
    """Create tasks, one after the other."""
    for number in range(count):
        await client.call("task.create", text=f"task {number}")


async def test_events_are_streamed_as_the_log_lists_them(server: Server, client: AsyncClient) -> None:
    """Every event comes as a block whose id is its position, whose event is its type, whose data are its JSON."""
    await create(client)
    begin = client.position
    async with stream(server) as opened:
        await create(client, 3)
        told = [await opened.event() for _ in range(3)]
    assert told == (await client.call("event.list", after=begin))["events"]


async def test_types_choose(server: Server, client: AsyncClient) -> None:
    """`types` takes patterns, and may stand there more than once."""
    async with stream(server, "/events?types=instance.*&types=task.deleted,task.failed") as opened:
        await client.call("system.register", id="w", roles=[])
        task = (await client.call("task.create", text="x"))["id"]
        await client.call("task.delete", id=task)
        assert [(await opened.event())["type"] for _ in range(2)] == ["instance.registered", "task.deleted"]


async def test_the_last_event_id_counts_before_from(server: Server, client: AsyncClient) -> None:
    """A stream begins behind `from`, or behind the `Last-Event-ID` of a browser that connects again."""
    await create(client, 3)
    third = client.position
    await create(client)
    fourth = client.position
    await create(client)
    fifth = client.position
    async with stream(server, f"/events?from={third}") as opened:
        assert [(await opened.event())["id"] for _ in range(2)] == [fourth, fifth]
    async with stream(server, f"/events?from={third}", Last_Event_ID=fourth) as opened:
        assert (await opened.event())["id"] == fifth


async def test_workspaces_are_apart(server: Server, client: AsyncClient) -> None:
    """The stream of a workspace is under its path."""
    async with stream(server, "/w/apart/events") as opened, server.client(workspace="apart") as there:
        await create(client)
        await create(there)
        assert (await opened.event())["subject"] == "t-1"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/events?type=task.*", {}, 400),
        ("/events?types=no%20pattern", {}, 400),
        ("/events?types=" + ",".join(f"a.b{n}" for n in range(101)), {}, 400),
        ("/events?from=now", {}, 400),
        ("/events?from=1-1%0A", {}, 400),
        ("/events", {"Last-Event-ID": "x"}, 400),
        ("/w/NO/events", {}, 400),
        ("/other/events", {}, 404),
        ("/events/", {}, 404),
        ("/events", {"Authorization": "Bearer wrong"}, 401),
        ("/events", {"Origin": "http://evil.example"}, 403),
        ("/events", {"Host": "evil.example"}, 403),
    ],
)
async def test_refused_streams(client: AsyncClient, path: str, headers: dict[str, str], status: int) -> None:
    """What does not fit is refused before the first byte of a stream, as anywhere else."""
    answer = await client.get(path, headers)
    assert (answer.status, answer.json["status"]) == (status, status)


async def test_only_get(client: AsyncClient) -> None:
    """A stream is there for GET only, as is a socket; an upgrade is asked for."""
    for path in ("/events", "/ws", "/w/other/events"):
        answer = await client.post(path, b"{}")
        assert (answer.status, answer.headers["allow"]) == (405, "GET")
        assert (await client.request("PUT", path, b"", {})).status == 405
    assert (await client.get("/ws")).status == 426


async def test_a_stream_that_is_left_is_forgotten(server: Server, client: AsyncClient) -> None:
    """Once its caller is gone a stream counts no more."""

    async def streams() -> int:
        return int((await client.call("system.metrics"))["sockets"]["streams"])

    before = await streams()
    async with stream(server):
        assert await streams() == before + 1

    async def is_forgotten() -> bool:
        return await streams() == before

    await eventually(is_forgotten)


async def test_a_stopping_server_ends_its_streams(tmp_path: Path) -> None:
    """At SIGTERM a stream ends, also one that nobody reads, and the server does not wait for it."""
    async with serve(tmp_path / "data") as server, server.client() as client:
        async with stream(server) as opened, stream(server) as deaf:
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
            hearing = asyncio.create_task(heard_until_closed(opened.reader))
            text = json.dumps({"text": "x" * 400, "metadata": {"pad": "y" * 60_000}}).encode()
            for _ in range(60):
                await client.post("/task/create", text)
            assert await server.stop() == 0
            assert (await hearing).endswith(b"going away\n\n\r\n0\r\n\r\n")
        assert "exceeded" not in server.log_path.read_text()
        assert "ASGI" not in server.log_path.read_text()


async def heard_until_closed(reader: asyncio.StreamReader) -> bytes:
    """Return the end of what is said."""
    said = b""
    while more := await reader.read(65_536):
        said = (said + more)[-1_000:]
    return said


@pytest.mark.soak
async def test_a_reader_that_does_not_read_is_cut(tmp_path: Path) -> None:
    """A stream that takes nothing is told that it lagged, and where, and ends."""
    async with serve(tmp_path / "data") as server, server.client() as client, stream(server) as deaf:
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        create = {"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": {"text": "x" * 400}}

        async def is_cut() -> bool:
            """Make events until the deaf one is cut."""
            await client.rpc([create] * 1_000)
            return bool((await client.call("system.metrics"))["sockets"]["lagged"] == 1)

        await eventually(is_cut, within_s=120)
        deaf.writer.transport.resume_reading()  # type: ignore[attr-defined]
        blocks = await blocks_until_end(deaf)
    assert {each["event"] for each in blocks[:-1]} == {"task.created"}
    assert blocks[-1]["event"] == "lagged"
    assert json.loads(blocks[-1]["data"])["at"] == blocks[-2]["id"]


async def blocks_until_end(opened: Stream) -> list[dict[str, str]]:
    """Return what is still said on a stream."""
    blocks = []
    with suppress(EOFError):
        while True:
            blocks.append(await opened.block())
    return blocks
