"""Idempotency keys over the wire: a change that is safe to repeat, whatever happened to its first answer."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from claudebench.errors import ClaudeBenchError, Conflict
from claudebench.testing import AsyncClient, Server, eventually
from claudebench.testing.server import answers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TIMES = 100


@pytest.fixture
async def client(shared: Server) -> AsyncIterator[AsyncClient]:
    """A client in a workspace of this test's own."""
    async with shared.client(workspace=uuid4().hex) as connected:
        yield connected


async def cut_off(server: Server, method: str, key: str, **params: Any) -> None:
    """Send a keyed command and cut the socket before its answer."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, "metadata": {"idempotencyKey": key}}
    raw = json.dumps(body).encode()
    host, port = server.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /rpc HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    writer.write(head.encode() + raw)
    with suppress(OSError):
        await writer.drain()
    writer.transport.abort()


async def test_a_hundred_repetitions_after_cut_sockets_are_one_change(server: Server) -> None:
    """However many repeat a command whose answers were cut off, it is done once, and all get the same answer."""
    await asyncio.gather(*(cut_off(server, "task.create", "k", text="once") for _ in range(TIMES)))

    async def again() -> Any:
        async with server.client() as client:
            return await client.call("task.create", {"idempotencyKey": "k"}, text="once"), client.position

    replies = await asyncio.gather(*(again() for _ in range(TIMES)))
    assert all(reply == replies[0] for reply in replies)
    async with server.client() as client:
        assert (await client.call("task.list"))["totalCount"] == 1


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("system.register", {"id": "w", "roles": []}),
    ("task.create", {"text": "a"}),
    ("task.update", {"id": "t-1", "updates": {"priority": 7}}),
    ("task.assign", {"taskId": "t-1", "instanceId": "w"}),
    ("task.unassign", {"id": "t-1"}),
    ("task.claim", {"workerId": "w", "maxTasks": 2}),
    ("task.renew", {"id": "t-1", "workerId": "w"}),
    ("task.release", {"id": "t-1", "workerId": "w"}),
    ("task.claim", {"workerId": "w"}),
    ("task.fail", {"id": "t-1", "workerId": "w", "retryable": True}),
    ("task.update", {"id": "t-1", "updates": {"status": "completed"}}),
    ("task.retry", {"id": "t-1"}),
    ("hook.post_tool", {"tool": "Bash", "result": {}}),
    ("hook.user_prompt", {"prompt": "p", "context": {}}),
    ("hook.todo_write", {"todos": []}),
    ("task.delete", {"id": "t-1"}),
    ("system.unregister", {"instanceId": "w"}),
]


async def test_every_changing_command_takes_a_key(client: AsyncClient) -> None:
    """Each is done once when it is sent twice: the same answer, the same position, and no second event."""
    for number, (method, params) in enumerate(CHANGES):
        key = {"idempotencyKey": f"k{number}"}
        first, position = await client.call(method, key, **params), client.position
        before = await newest(client)
        assert await client.call(method, key, **params) == first, method
        assert client.position == position, method
        assert await newest(client) == before, method


async def newest(client: AsyncClient) -> str:
    """Return the position of the newest event."""
    told: str = (await client.call("system.get_state"))["recentEvents"][0]["id"]
    return told


@pytest.mark.parametrize(
    ("method", "params", "about"),
    [
        ("task.create", {"text": "b"}, {}),
        ("task.create", {"text": "a", "priority": 1}, {}),
        ("task.create", {"text": "a"}, {"instanceId": "another"}),
        ("hook.user_prompt", {"prompt": "a", "context": {}}, {}),
    ],
    ids=["other text", "other priority", "other caller", "other command"],
)
async def test_a_key_belongs_to_one_call(
    client: AsyncClient, method: str, params: dict[str, Any], about: dict[str, Any]
) -> None:
    """The same key with another command, caller or value is a conflict that changes nothing."""
    await client.call("task.create", {"idempotencyKey": "k"}, text="a")
    before = await newest(client)
    with pytest.raises(Conflict) as refused:
        await client.call(method, {"idempotencyKey": "k", **about}, **params)

    assert refused.value.outcome == "not_done"
    assert await newest(client) == before


async def test_the_spelling_of_the_parameters_does_not_matter(client: AsyncClient) -> None:
    """The order of members and white space make no other call of it."""
    bodies = (b'{"text":"a","priority":5}', b'{ "priority" : 5, "text" : "a" }')
    replies = [
        await client.rpc(
            b'{"jsonrpc":"2.0","id":1,"method":"task.create","metadata":{"idempotencyKey":"k"},"params":' + each + b"}"
        )
        for each in bodies
    ]

    assert replies[0]["result"] == replies[1]["result"]


async def test_workspaces_share_no_keys(shared: Server) -> None:
    """The same key in another workspace is another key."""
    made, workspaces = [], [uuid4().hex, uuid4().hex]
    for workspace in workspaces:
        async with shared.client(workspace=workspace) as client:
            made.append(await client.call("task.create", {"idempotencyKey": "k"}, text=workspace))

    assert [task["text"] for task in made] == workspaces


async def test_a_refused_call_may_be_repeated(client: AsyncClient) -> None:
    """A refusal is no answer to keep: once the reason is gone the same key does it."""
    with pytest.raises(ClaudeBenchError):
        await client.call("task.claim", {"idempotencyKey": "k"}, workerId="w")
    await client.call("task.create", text="a")
    await client.call("system.register", id="w", roles=[])

    assert (await client.call("task.claim", {"idempotencyKey": "k"}, workerId="w"))["claimed"]


@pytest.mark.parametrize("fault", [Server.kill_store, None], ids=["the store", "the server"])
async def test_a_key_survives_a_kill(server: Server, fault: Callable[[Server], None] | None) -> None:
    """A change that was acknowledged before a kill is not done again after it."""
    async with server.client() as client:
        first = await client.call("task.create", {"idempotencyKey": "k"}, text="a")
        if fault:
            fault(server)
            await eventually(lambda: repeated(client))
        else:
            await server.kill()
            await server.start()
        await answers(server)
    async with server.client() as client:
        assert await client.call("task.create", {"idempotencyKey": "k"}, text="a") == first
        assert (await client.call("task.list"))["totalCount"] == 1


async def repeated(client: AsyncClient) -> Any:
    """Repeat the creation until it is answered."""
    with suppress(ClaudeBenchError):
        return await client.call("task.create", {"idempotencyKey": "k"}, text="a")
    return None
