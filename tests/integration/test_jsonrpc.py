"""JSON-RPC 2.0 at `POST /rpc`: requests, notifications, batches, ids, metadata, positions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claudebench.testing import AsyncClient, Server
    from claudebench.testing.client import HttpAnswer

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def server(shared: Server) -> Server:
    """The server that other modules ask too."""
    return shared


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client in a workspace of this test's own, whose first task is t-1."""
    async with server.client(workspace=uuid4().hex) as connected:
        yield connected


def request(method: str, id_: object = 1, /, **params: object) -> dict[str, Any]:
    """Return a request."""
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


def notification(method: str, /, **params: object) -> dict[str, Any]:
    """Return a notification."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


async def post(client: AsyncClient, body: object) -> HttpAnswer:
    """Post a JSON-able body to the client's own workspace."""
    return await client.post(client.path, json.dumps(body).encode())


async def test_result_has_the_shape_of_the_standard(client: AsyncClient) -> None:
    """A result holds jsonrpc, result and id, and our metadata only where something changed."""
    changed = await post(client, request("task.create", 7, text="a"))
    asked = await post(client, request("task.get", 8, id="t-1"))

    assert set(changed.json) == {"jsonrpc", "result", "id", "metadata"}
    assert set(asked.json) == {"jsonrpc", "result", "id"}
    assert (changed.json["jsonrpc"], changed.json["id"], asked.json["id"]) == ("2.0", 7, 8)
    assert changed.headers["content-type"] == "application/json"


async def test_error_has_the_shape_of_the_standard(client: AsyncClient) -> None:
    """An error holds jsonrpc, error and id; the error a code, a message and data with the outcome."""
    answer = await post(client, request("task.get", 8, id="t-1"))

    assert set(answer.json) == {"jsonrpc", "error", "id"}
    assert set(answer.json["error"]) == {"code", "message", "data"}
    assert answer.json["error"]["data"]["outcome"] == "not_done"


@pytest.mark.parametrize("id_", ["a", "", "ü\n", 0, -1, 7, 2**53, 2**70, 1.5, None])
async def test_id_comes_back_as_it_was_sent(client: AsyncClient, id_: object) -> None:
    """An id is text, a number or null, and is echoed exactly, with a result as with an error."""
    done = await client.rpc(request("system.health", id_))
    refused = await client.rpc(request("task.get", id_, id="t-1"))

    assert (done["id"], refused["id"]) == (id_, id_)
    assert (type(done["id"]), "result" in done, "error" in refused) == (type(id_), True, True)


async def test_id_of_what_is_no_request_is_kept_where_it_can_be_read(client: AsyncClient) -> None:
    """A request without jsonrpc is refused under its own id, one with no readable id under null."""
    assert (await client.rpc({"id": "mine", "method": "system.health"}))["id"] == "mine"
    assert (await client.rpc({"id": [1], "method": "system.health"}))["id"] is None


@pytest.mark.parametrize("method", ["system.health", "system.get_state", "task.count"])
async def test_params_may_be_absent(client: AsyncClient, method: str) -> None:
    """A command that asks nothing runs without params."""
    assert "result" in await client.rpc({"jsonrpc": "2.0", "id": 1, "method": method})


async def test_a_notification_is_done_and_not_answered(client: AsyncClient) -> None:
    """A notification is met with 204 and no byte, and its change is made."""
    answer = await post(client, notification("task.create", text="quiet"))

    assert (answer.status, answer.body) == (204, b"")
    assert (await client.call("task.get", id="t-1"))["text"] == "quiet"


async def test_a_batch_of_notifications_is_204(client: AsyncClient) -> None:
    """Nothing is answered where every member is a notification, and all of them are done in order."""
    answer = await post(client, [notification("task.create", text=f"n{at}") for at in range(5)])

    assert (answer.status, answer.body) == (204, b"")
    assert [(await client.call("task.get", id=f"t-{at + 1}"))["text"] for at in range(5)] == [
        f"n{at}" for at in range(5)
    ]


async def test_effects_of_a_batch_come_in_the_order_of_the_array(client: AsyncClient) -> None:
    """A later member of a batch sees what an earlier one did: register, create, claim, complete, list."""
    answer = await post(
        client,
        [
            request("system.register", "register", id="w", roles=["worker"]),
            notification("task.create", text="first"),
            request("task.create", "create", text="second"),
            request("task.claim", "claim", workerId="w", maxTasks=2),
            request("task.complete", "complete", id="t-1", workerId="w", epoch=1),
            request("task.list", "list", status="in_progress"),
        ],
    )

    replies = {reply["id"]: reply.get("result") for reply in answer.json}
    assert set(replies) == {"register", "create", "claim", "complete", "list"}
    assert replies["create"]["id"] == "t-2"
    assert [task["id"] for task in replies["claim"]["tasks"]] == ["t-1", "t-2"]
    assert replies["complete"]["status"] == "completed"
    assert [task["id"] for task in replies["list"]["tasks"]] == ["t-2"]


async def test_bad_member_of_a_batch_hinders_no_other(client: AsyncClient) -> None:
    """What is no request, unknown or refused stands as an error in its place; the rest is done."""
    bad = [5, request("task.craete", "unknown"), request("task.create", "bad", text=""), notification("nothing")]

    answer = await post(client, [request("task.create", "a", text="a"), *bad, request("task.create", "b", text="b")])

    codes = {reply["id"]: reply.get("error", {}).get("code") for reply in answer.json}
    assert codes == {"a": None, None: -32600, "unknown": -32601, "bad": -32602, "b": None}
    assert (await client.call("task.count"))["pending"] == 2


async def test_a_batch_of_a_thousand_is_done_in_order(client: AsyncClient) -> None:
    """A thousand creates in one batch are a thousand tasks, numbered as they stand in the array."""
    answer = await post(client, [request("task.create", at, text=f"n{at}") for at in range(1000)])

    made = {reply["id"]: reply["result"] for reply in answer.json}
    assert [made[at]["id"] for at in range(1000)] == [f"t-{at + 1}" for at in range(1000)]
    assert [made[at]["text"] for at in (0, 499, 999)] == ["n0", "n499", "n999"]


async def test_a_batch_of_one_is_answered_as_a_batch(client: AsyncClient) -> None:
    """One request in an array gets one reply in an array."""
    assert [reply["id"] for reply in await client.rpc([request("system.health", 3)])] == [3]


async def test_position_stands_in_reply_and_header(client: AsyncClient) -> None:
    """The position of a change is the id of its event, in metadata and in the header ClaudeBench-Position."""
    answer = await post(client, request("task.create", text="a"))

    position = answer.json["metadata"]["position"]
    state = await client.call("system.get_state")
    assert answer.headers["claudebench-position"] == position == state["recentEvents"][0]["id"]
    assert state["recentEvents"][0]["type"] == "task.created"


async def test_each_reply_of_a_batch_has_its_own_position(client: AsyncClient) -> None:
    """Positions in a batch rise in the order of its effects."""
    answer = await post(client, [request("task.create", at, text="a") for at in range(3)])

    positions = [reply["metadata"]["position"] for reply in sorted(answer.json, key=lambda reply: int(reply["id"]))]
    halves = [tuple(map(int, position.split("-"))) for position in positions]
    assert halves == sorted(set(halves))
    assert len(halves) == 3


async def test_free_members_of_metadata_are_ignored(client: AsyncClient) -> None:
    """Members of metadata that we do not know, and the bridge's timestamp, hinder nothing."""
    metadata = {"eventType": "task.create", "timestamp": 1732392000000, "mine": {"deep": [1]}}

    assert "result" in await client.rpc(request("task.create", text="a") | {"metadata": metadata})


async def test_trace_and_correlation_travel_with_the_task(client: AsyncClient) -> None:
    """What the caller says of the call stands on the task and on its event."""
    metadata = {"traceparent": TRACE, "correlationId": "c-1", "instanceId": "agent-1", "sessionId": "s-1"}
    await client.call("task.create", metadata, text="a")

    task = await client.call("task.get", id="t-1")
    (event,) = (await client.call("system.get_state"))["recentEvents"]
    assert (task["traceparent"], task["correlationId"]) == (TRACE, "c-1")
    assert (event["traceparent"], event["correlationId"], event["actor"], event["sessionId"]) == (
        TRACE, "c-1", "agent-1", "s-1",
    )  # fmt: skip


async def test_workspaces_do_not_see_each_other(server: Server) -> None:
    """A task of one workspace does not exist in another, nor in the default one."""
    async with server.client(workspace="left") as left, server.client(workspace="right") as right:
        await left.call("task.create", text="a")
        assert (await left.call("task.count"))["pending"] == 1
        assert (await right.call("task.count"))["pending"] == 0


async def refusals(client: AsyncClient) -> dict[str, Any]:
    """Provoke every refusal of the ledger and return the errors by name."""
    await client.call("system.register", id="w", roles=[])
    await client.call("task.create", text="a")
    await client.call("task.claim", workerId="w")
    await client.call("task.create", text="free")
    asks = {
        "not found": request("task.get", id="t-9"),
        "unknown claimer": request("task.claim", workerId="nobody"),
        "unknown assignee": request("task.assign", taskId="t-2", instanceId="nobody"),
        "conflict": request("task.complete", id="t-2"),
        "held": request("task.delete", id="t-1"),
        "stale": request("task.complete", id="t-1", workerId="w", epoch=7),
        "unknown command": request("task.nothing"),
        "params": request("task.create"),
    }
    answers = {name: await post(client, ask) for name, ask in asks.items()}
    assert {answer.status for answer in answers.values()} == {200}
    return {name: answer.json["error"] for name, answer in answers.items()}


async def test_refusals_have_their_codes_and_status_200(client: AsyncClient) -> None:
    """Every refusal of the ledger is HTTP 200 with its own code, and says that nothing was done."""
    errors = await refusals(client)

    assert {name: error["code"] for name, error in errors.items()} == {
        "not found": -32010,
        "unknown claimer": -32010,
        "unknown assignee": -32010,
        "conflict": -32011,
        "held": -32011,
        "stale": -32012,
        "unknown command": -32601,
        "params": -32602,
    }
    assert {error["data"]["outcome"] for error in errors.values()} == {"not_done"}
    assert errors["stale"]["data"]["current"] == 1


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [("/w/BAD/rpc", {}, -32602), ("/rpc", {"Authorization": "Bearer wrong"}, -32002)],
    ids=["illegal workspace", "wrong token"],
)
async def test_refusals_before_the_dispatcher_are_status_200_too(
    client: AsyncClient, path: str, headers: dict[str, str], code: int
) -> None:
    """A JSON-RPC client reads a JSON-RPC error: only 204, 403, 413, 415 and 503 are not 200."""
    answer = await client.post(path, json.dumps(request("system.health")).encode(), headers)

    assert answer.status == 200
    assert answer.json["error"]["code"] == code


async def test_one_socket_serves_many_requests(client: AsyncClient) -> None:
    """A socket is kept alive across results, errors, batches and notifications."""
    await post(client, request("system.health"))
    line = client._streams

    for body in (request("nothing"), [request("system.health")], notification("nothing"), [], "x"):
        await post(client, body)

    assert line is not None
    assert client._streams is line
