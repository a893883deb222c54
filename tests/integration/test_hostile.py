"""One agent that means harm, and a machine that fails: neither takes the server from the others."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from claudebench.errors import InvalidParams
from claudebench.testing import eventually

if TYPE_CHECKING:
    from claudebench.testing import AsyncClient, Server

MB = 1_048_576
CREATE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": {"text": "a task"}}).encode()
HEAD = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


async def test_a_body_cut_short_is_not_executed(server: Server, client: AsyncClient) -> None:
    """A whole request inside a body that was announced longer and never came is not run."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HEAD + b"Content-Length: 500\r\n\r\n" + CREATE)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await client.call("task.create", text="after"))["id"] == "t-1"


async def test_trailers_of_a_chunked_body_are_not_kept(server: Server) -> None:
    """However much a client sends after the last chunk, the server's memory does not grow with it."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    before = server.resident_mb
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n" % (len(CREATE), CREATE))
    for at in range(64):
        writer.write(b"X-%d: %s\r\n" % (at, b"a" * MB))
        await writer.drain()
    assert server.resident_mb - before < 16
    writer.transport.abort()


async def test_unfinished_bodies_are_bounded_together(server: Server, client: AsyncClient) -> None:
    """Two hundred half-sent bodies of a megabyte do not add up in memory, and others are served meanwhile."""
    sockets = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(200)]
    for _, writer in sockets:
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % MB + b" " * (MB - 1))
    await asyncio.gather(*(writer.drain() for _, writer in sockets), return_exceptions=True)
    assert (await client.call("task.create", text="meanwhile"))["id"] == "t-1"
    assert server.resident_mb < 150
    for _, writer in sockets:
        writer.transport.abort()


async def test_an_answer_to_a_batch_is_bounded(server: Server, client: AsyncClient) -> None:
    """A small batch of large questions is answered up to a bound; the rest is refused before it is begun."""
    for _ in range(20):
        await client.call("task.create", text="large", metadata={"payload": "x" * 60_000})
    question = {"jsonrpc": "2.0", "id": 1, "method": "task.list"}
    answers = await client.rpc([question] * 300)
    refused = [answer["error"] for answer in answers if "error" in answer]
    assert len(answers) == 300
    assert {(each["code"], each["data"]["reason"], each["data"]["outcome"]) for each in refused} == {
        (-32013, "answer", "not_done")
    }
    assert server.resident_mb < 200


async def test_what_registers_is_bounded(client: AsyncClient) -> None:
    """A registration of more than 64 KiB is refused, so that a page of instances stays a page."""
    with pytest.raises(InvalidParams):
        await client.call("system.register", id="w", roles=[], metadata={"payload": "x" * 70_000})


async def test_naming_workspaces_keeps_nobody_from_being_watched(client: AsyncClient) -> None:
    """A thousand names of workspaces delay no sweep: a dead worker's task is free again all the same."""
    for at in range(1000):
        assert (await client.post(f"/w/name-{at}/rpc", CREATE)).status == 200
    await client.call("system.register", id="w", roles=[], deadAfterMs=500)
    await client.call("task.create", text="a task")
    await client.call("task.claim", workerId="w")

    async def is_free() -> bool:
        return str((await client.call("task.get", id="t-1"))["status"]) == "pending"

    await eventually(is_free)


async def test_a_data_directory_that_is_removed_is_noticed(server: Server, client: AsyncClient) -> None:
    """With its files gone the server says `disk: false`, takes nothing more, and still ends with 0."""
    await client.call("task.create", text="before")
    await asyncio.to_thread(shutil.rmtree, server.data_dir)

    async def says_so() -> bool:
        return (await client.call("system.health"))["services"]["disk"] is False

    await eventually(says_so)
    answer = await client.rpc(CREATE)
    assert (answer["error"]["code"], answer["error"]["data"]["reason"]) == (-32013, "disk")
    assert await server.stop() == 0


async def test_a_second_server_on_the_same_port_is_told_who_holds_it(server: Server) -> None:
    """A second `up` with the same port and directory learns the holder, not only that the port is taken."""
    words = ("-m", "claudebench", "up", "--port", str(server.port), "--data-dir", str(server.data_dir))
    second = await asyncio.create_subprocess_exec(sys.executable, *words, stderr=asyncio.subprocess.PIPE)
    _, said = await second.communicate()
    assert second.returncode == 1
    assert str(server.process.pid) in said.decode()


async def test_a_key_named_twice_does_not_hide_a_command(client: AsyncClient) -> None:
    """An event that names its input twice is denied: nobody knows which one would run."""
    twice = b'"tool_input":{"command":"rm -rf ~"},"tool_input":{"command":"ls"}'
    event = b'{"hook_event_name":"PreToolUse","tool_name":"Bash",%s}' % twice
    answer = (await client.post("/hooks/claude-code", event)).json
    assert answer["hookSpecificOutput"]["permissionDecision"] == "deny"
