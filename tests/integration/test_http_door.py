"""Commands as plain HTTP at `POST /{domain}/{action}`: answers, headers, problems, and the places of bad params."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from claudebench.app import COMMANDS, App
from claudebench.asgi import Doors
from claudebench.errors import TREE, UnknownCommand
from claudebench.patterns.label import Consistency, Pattern
from claudebench.rpc.command import Command, handler
from claudebench.rpc.issues import issues
from claudebench.rpc.registry import HandlerRegistry
from claudebench.settings import load
from claudebench.transports import commands
from claudebench.transports.http import slug

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from claudebench.testing import AsyncClient, Server
    from claudebench.testing.client import HttpAnswer

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STANDARD = {"type", "title", "status", "detail", "code", "outcome"}
BODY_MAX = 1_048_576


@pytest.fixture(scope="module")
def server(shared: Server) -> Server:
    """The server that other modules ask too."""
    return shared


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client in a workspace of this test's own, whose first task is t-1."""
    async with server.client(workspace=uuid4().hex) as connected:
        yield connected


async def post(
    client: AsyncClient, path: str, params: object = None, headers: dict[str, str] | None = None
) -> HttpAnswer:
    """Post to a path of the client's own workspace; None is an empty body."""
    body = params if isinstance(params, bytes) else b"" if params is None else json.dumps(params).encode()
    return await client.post(root(client) + path, body, headers)


def root(client: AsyncClient) -> str:
    """Return what stands before every path of the client's own workspace."""
    return client.path.removesuffix("/rpc")


async def stored(client: AsyncClient) -> tuple[Any, Any, Any]:
    """Return the counts of tasks and events of the client's workspace, and its instances."""
    figures = await client.call("system.metrics")
    return figures["tasks"], figures["eventsProcessed"], (await client.call("instance.list"))["instances"]


async def test_answer_is_the_result(client: AsyncClient) -> None:
    """A command answers 200 with its bare result as JSON."""
    made = await post(client, "/task/create", {"text": "a", "priority": 7})
    found = await post(client, "/task/get", {"id": "t-1"})

    assert (made.status, made.headers["content-type"]) == (200, "application/json")
    assert (made.json["id"], made.json["priority"], found.json) == ("t-1", 7, made.json)


async def test_position_of_a_change_is_a_header(client: AsyncClient) -> None:
    """A change tells the position of its event in a header; a query has none."""
    made = await post(client, "/task/create", {"text": "a"})
    asked = await post(client, "/task/get", {"id": "t-1"})

    (event,) = (await client.call("event.list"))["events"]
    assert (made.headers["claudebench-position"], "claudebench-position" in asked.headers) == (event["id"], False)


@pytest.mark.parametrize("path", ["/task/count", "/task/list", "/system/health", "/rpc/discover"])
async def test_an_empty_body_asks_without_params(client: AsyncClient, path: str) -> None:
    """No body at all is the same as an empty object."""
    bare, empty = await post(client, path), await post(client, path, {})

    assert (bare.status, bare.json) == (200, empty.json)


async def test_plain_path_is_the_default_workspace(server: Server, client: AsyncClient) -> None:
    """Without `/w/{workspace}` a command runs in the default workspace, with it in that one."""
    async with server.client() as other:
        made = await other.post("/task/create", b'{"text":"in the default"}')
        found = await other.call("task.get", id=made.json["id"])

    assert (found["text"], (await post(client, "/task/count")).json["pending"]) == ("in the default", 0)


async def test_an_empty_key_is_refused(client: AsyncClient) -> None:
    """A key that was to be filled in and is empty is an error, and nothing is stored."""
    answer = await post(client, "/task/create", {"text": "a"}, {"Idempotency-Key": ""})

    assert (answer.status, answer.json["code"]) == (400, -32600)
    assert (await client.call("task.count"))["pending"] == 0


@pytest.mark.parametrize("name", ["BAD", ""])
async def test_illegal_workspace_is_refused(client: AsyncClient, name: str) -> None:
    """A workspace whose name is none, or is empty, is 400 with the code of bad params."""
    answer = await client.post(f"/w/{name}/task/create", b'{"text":"a"}')

    assert (answer.status, answer.json["code"]) == (400, -32602)


async def test_idempotency_key_counts_at_both_doors(client: AsyncClient) -> None:
    """A change done once under a key is answered again with the same answer, here as at `/rpc`."""
    headers = {"Idempotency-Key": "once"}
    first = await post(client, "/task/create", {"text": "a"}, headers)
    again = await post(client, "/task/create", {"text": "a"}, headers)
    other = await client.call("task.create", {"idempotencyKey": "once"}, text="a")
    refused = await post(client, "/task/create", {"text": "b"}, headers)

    assert first.json == again.json == other
    assert (refused.status, refused.json["code"], refused.json["reason"]) == (409, -32011, "key")
    assert (await client.call("task.count"))["pending"] == 1


async def test_headers_tell_of_the_caller(client: AsyncClient) -> None:
    """The instance is the actor of the event, the session and the trace stand in it and the trace in the task."""
    headers = {"ClaudeBench-Instance": "agent-1", "ClaudeBench-Session": "session-1", "Traceparent": TRACE}
    made = await post(client, "/task/create", {"text": "a"}, headers)

    (event,) = (await client.call("event.list"))["events"]
    assert (event["actor"], made.json["traceparent"]) == ("agent-1", TRACE)
    assert (event["traceparent"], event["sessionId"]) == (TRACE, "session-1")


async def test_the_operators_token_counts(server: Server, client: AsyncClient) -> None:
    """The operator's token makes the operator, a wrong one is 401 and nothing is done."""
    await client.call("system.register", id="w", roles=[])
    await client.call("task.create", text="a")
    await client.call("task.claim", workerId="w")
    wrong = await post(client, "/task/unassign", {"id": "t-1"}, {"Authorization": "Bearer wrong"})
    held = (await client.call("task.get", id="t-1"))["assignedTo"]
    await post(client, "/task/unassign", {"id": "t-1"}, {"Authorization": f"Bearer {server.operator_token}"})

    assert (wrong.status, wrong.json["code"], wrong.headers["www-authenticate"]) == (401, -32002, "Bearer")
    assert (held, (await client.call("task.claim", workerId="w"))["claimed"]) == ("w", False)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
async def test_every_command_has_a_path(client: AsyncClient, command: Command) -> None:
    """Each command answers POST at its own path, and says so to whoever only looks."""
    asked = await client.get(root(client) + command.path)
    called = await post(client, command.path, [])

    assert (asked.status, asked.headers["allow"], asked.json["outcome"]) == (405, "POST", "not_done")
    assert (called.status, called.json["code"]) in {(400, -32602), (401, -32002)}


@pytest.mark.parametrize(
    ("verb", "path", "allow"),
    [("PUT", "/task/create", "POST"), ("DELETE", "/rpc", "POST"), ("GET", "/rpc", "POST"),
     ("GET", "/hooks/claude-code", "POST"), ("HEAD", "/task/create", "POST"), ("PATCH", "/health", "GET, HEAD"),
     ("POST", "/health", "GET, HEAD"), ("POST", "/openrpc.json", "GET, HEAD")],
)  # fmt: skip
async def test_other_verbs_are_told_which_are_answered(server: Server, verb: str, path: str, allow: str) -> None:
    """A verb that a path does not answer is 405, and `Allow` names those that it does."""
    head, _ = await raw(server, verb, path)

    assert (head.split()[1], f"allow: {allow}".encode() in head.split(b"\r\n")) == (b"405", True)


@pytest.mark.parametrize(("path", "status"), [("/health", 200), ("/openrpc.json", 200), ("/nothing", 404)])
async def test_head_is_get_without_a_body(server: Server, client: AsyncClient, path: str, status: int) -> None:
    """What can be got can be asked for its headers alone, the length of what it would be among them."""
    got = await client.get(path)
    head, body = await raw(server, "HEAD", path)

    assert (int(head.split()[1]), got.status, body) == (status, status, b"")
    assert f"content-length: {len(got.body)}".encode() in head.split(b"\r\n")


async def raw(server: Server, verb: str, path: str) -> tuple[bytes, bytes]:
    """Send a request without a body on a socket of its own and return head and body until the server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = (f"{verb} {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Content-Type: application/json")
    writer.write("\r\n".join((*lines, "Content-Length: 0", "Connection: close", "", "")).encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head, body


async def refusals(client: AsyncClient) -> dict[str, HttpAnswer]:
    """Return an answer for every kind of refusal that a healthy store gives."""
    await client.call("system.register", id="w", roles=[], capacity=1)
    for _ in range(3):
        await client.call("task.create", text="a")
    await client.call("task.claim", workerId="w")
    await client.call("task.unassign", id="t-1")
    await client.call("task.claim", workerId="w")
    return {
        "parse-error": await post(client, "/task/create", b"{"),
        "invalid-request": await post(client, "/task/create", {"text": "a"}, {"ClaudeBench-Instance": "a b"}),
        "invalid-params": await post(client, "/task/create", {"text": ""}),
        "unknown-command": await post(client, "/task/craete", {"text": "a"}),
        "not-found": await post(client, "/task/get", {"id": "t-99"}),
        "limit-reached": await post(client, "/task/assign", {"taskId": "t-2", "instanceId": "w"}),
        "unauthorized": await post(client, "/task/count", {}, {"Authorization": "Bearer x"}),
        "conflict": await post(client, "/task/complete", {"id": "t-2"}),
        "stale": await post(client, "/task/complete", {"id": "t-1", "workerId": "w", "epoch": 1}),
    }


async def test_errors_are_problems(client: AsyncClient) -> None:
    """Each refusal is problem+json with type, title, status, detail, code and outcome, and the status of its kind."""
    kinds = {slug(each.__name__): each for each in TREE}

    for name, answer in (await refusals(client)).items():
        kind, problem = kinds[name], answer.json
        assert (answer.status, answer.headers["content-type"]) == (kind.status, "application/problem+json"), name
        assert problem.keys() >= STANDARD
        assert (problem["type"], problem["title"]) == (f"/errors/{name}", kind.__doc__)
        assert (problem["status"], problem["code"], problem["outcome"]) == (kind.status, kind.code, "not_done")
        assert problem["detail"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("Idempotency-Key", "k" * 300, "must be text of 1 to 256 characters, not a text of 300"),
        ("ClaudeBench-Instance", "a b", "must be the id of an instance: 1 to 128 characters"),
    ],
)
async def test_a_header_that_does_not_fit_is_named(client: AsyncClient, name: str, value: str, said: str) -> None:
    """A header that carries metadata is refused by its own name, and nothing is said of JSON-RPC."""
    problem = (await post(client, "/task/count", {}, {name: value})).json

    assert (problem["status"], problem["code"]) == (400, -32600)
    assert problem["detail"].lower().startswith(f"the header {name.lower()}: ")
    assert said in problem["detail"]
    assert "JSON" not in problem["title"]


async def test_fields_of_the_error_stand_in_the_problem(client: AsyncClient) -> None:
    """What `error.data` holds stands beside the standard's members, and hides none of them."""
    found = {name: answer.json for name, answer in (await refusals(client)).items()}

    assert (found["stale"]["current"], found["limit-reached"]["reason"]) == (3, "capacity")
    assert (found["conflict"]["status"], found["conflict"]["data"]) == (409, {"status": "pending"})
    assert found["invalid-params"]["errors"][0]["path"] == "text"


async def test_before_it_is_ready_a_command_is_503(tmp_path: Path) -> None:
    """A server that is starting answers 503 with the seconds to wait, rounded up, at the path of a command."""
    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}"}

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/task/create",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
    }
    await Doors(App(load(data_dir=tmp_path / "data")))(scope, receive, send)

    start, body = answers
    problem = json.loads(body["body"])
    assert (start["status"], dict(start["headers"])[b"retry-after"]) == (503, b"1")
    assert (problem["code"], problem["reason"], problem["retryAfterMs"]) == (-32001, "starting", 250)


@pytest.mark.parametrize(
    ("path", "near"),
    [("/task/craete", "/task/create"), ("/tusk/create", "/task/create"), ("/task/create/", "/task/create"),
     ("/system/heart-beat", "/system/heartbeat"), ("/q/z", None), ("//", None)],
)  # fmt: skip
async def test_unknown_paths_are_told_the_nearest(client: AsyncClient, path: str, near: str | None) -> None:
    """An unknown command is 404 and names the nearest path, in the workspace that was asked."""
    answer = await post(client, path, {"text": "a"})

    assert (answer.status, answer.json["code"], answer.json["outcome"]) == (404, -32601, "not_done")
    assert answer.json.get("nearest") == (near and root(client) + near)


@pytest.mark.parametrize(
    "path",
    ["/task.create", "/task.create/", "/task/create.", "/task.create/x", "/x/task.create", "/task/__proto__",
     "/task/%00", "/task/create%0a", "/task/" + "x" * 5000, "/%2e%2e/rpc", "/TASK/CREATE", "/task/create/a/b"],
)  # fmt: skip
async def test_strange_paths_are_unknown(client: AsyncClient, path: str) -> None:
    """A path that is no command's own runs nothing and is not echoed whole."""
    before = await stored(client)
    answer = await post(client, path, {"text": "a"})

    assert (answer.status, answer.json["outcome"]) == (404, "not_done")
    assert len(answer.body) < 1000
    assert await stored(client) == before


class Asked(msgspec.Struct):
    """A request."""


def command(name: str, *doors: str) -> Command:
    """Return a command that is reached by these doors."""

    @handler(name, pattern=Pattern.CENTRALIZED, consistency=Consistency.DERIVED, doors=frozenset(doors))
    async def run(request: Asked) -> Asked:
        """Return what was asked."""
        return request

    return run


async def test_three_segments_are_a_command_too() -> None:
    """A command of three words is at a path of three segments, and at no other spelling of it."""
    registry = HandlerRegistry([command("system.quorum.vote", "http")], {})

    assert commands.is_path("/system/quorum/vote")
    assert commands.find(registry, "/system/quorum/vote") == "system.quorum.vote"
    for path in ("/system/quorum.vote", "/system.quorum/vote", "/system/quorum", "/system/quorum/vote/"):
        with pytest.raises(UnknownCommand):
            commands.find(registry, path)


async def test_what_has_no_such_door_is_unknown() -> None:
    """A command that is not declared for this door does not exist behind it."""
    registry = HandlerRegistry([command("task.secret", "jsonrpc")], {})

    with pytest.raises(UnknownCommand) as caught:
        commands.find(registry, "/task/secret")
    assert (caught.value.code, caught.value.status) == (-32601, 404)


def nested(depth: int) -> bytes:
    """Return the params of a task that nest `depth` deep, themselves counted."""
    inner = depth - 2
    return b'{"text":"a","metadata":{"x":' + b"[" * inner + b"]" * inner + b"}}"


NOT_JSON = {
    "truncated": b'{"text":"a"',
    "blank": b" \r\n",
    "trailing comma": b'{"text":"a",}',
    "two values": b'{"text":"a"}{}',
    "NaN": b'{"text":"a","metadata":{"x":NaN}}',
    "byte order mark": b'\xef\xbb\xbf{"text":"a"}',
    "bad UTF-8": b'{"text":"\xff"}',
    "encoded surrogate": b'{"text":"\xed\xa0\x80"}',
    "raw NUL": b'{"text":"a\x00b"}',
    "raw newline": b'{"text":"a\nb"}',
    "depth 65": nested(65),
    "depth 10,000": nested(10_000),
    "10,000 open brackets": b"[" * 10_000,
}
BAD_PARAMS = {
    "array": b"[]",
    "null": b"null",
    "text": b'"a"',
    "number": b"1",
    "no text": b"{}",
    "a request of /rpc": b'{"jsonrpc":"2.0","id":1,"method":"task.create","params":{"text":"a"}}',
    "unknown field": b'{"text":"a","colour":"red"}',
    "metadata of the call": b'{"text":"a","instanceId":"w"}',
    "NUL": b'{"text":"a\\u0000b"}',
    "NUL in a key": b'{"text":"a","metadata":{"\\u0000":1}}',
    "lone surrogate": b'{"text":"a\\ud800"}',
    "lone surrogate in a key": b'{"text":"a","metadata":{"\\udc00":1}}',
    "key twice": b'{"text":"a","text":"b"}',
    "key twice, once escaped": b'{"text":"a","metadata":{"a":1,"\\u0061":2}}',
    "key twice, spaced": b'{"text":"a","metadata":{"a" :1,"a"\t:2}}',
    "number out of range": b'{"text":"a","metadata":{"x":1e999}}',
    "5,000 digits": b'{"text":"a","metadata":{"x":' + b"1" * 5000 + b"}}",
}
BAD_HEADERS = {
    "instance with a space": {"ClaudeBench-Instance": "a b"},
    "instance of 129": {"ClaudeBench-Instance": "w" * 129},
    "session of 257": {"ClaudeBench-Session": "s" * 257},
    "key of 257": {"Idempotency-Key": "k" * 257},
    "traceparent of 257": {"Traceparent": "t" * 257},
    "no UTF-8": {"ClaudeBench-Instance": "caf\xe9"},
    "key twice": {"Idempotency-Key": "a", "idempotency-key": "b"},
    "instance twice": {"ClaudeBench-Instance": "a", "claudebench-instance": "b"},
}
CASES = [
    pytest.param(body, code, id=f"{code} {name}")
    for code, bodies in ((-32700, NOT_JSON), (-32602, BAD_PARAMS))
    for name, body in bodies.items()
]


@pytest.mark.parametrize(("body", "code"), CASES)
async def test_bad_bodies_have_their_exact_code(client: AsyncClient, body: bytes, code: int) -> None:
    """A body that is no JSON or does not fit is 400 with its code, and nothing of it is stored."""
    before = await stored(client)
    answer = await post(client, "/task/create", body)

    assert (answer.status, answer.json["code"], answer.json["outcome"]) == (400, code, "not_done")
    assert await stored(client) == before


async def test_depth_64_is_still_taken(client: AsyncClient) -> None:
    """Params that nest 64 deep are taken."""
    assert (await post(client, "/task/create", nested(64))).status == 200


@pytest.mark.parametrize("headers", BAD_HEADERS.values(), ids=BAD_HEADERS)
async def test_bad_headers_are_no_request(client: AsyncClient, headers: dict[str, str]) -> None:
    """A header of the call that does not fit, or stands there twice, is 400, and nothing is done."""
    before = await stored(client)
    answer = await post(client, "/task/create", {"text": "a"}, headers)

    assert (answer.status, answer.json["code"], answer.json["outcome"]) == (400, -32600, "not_done")
    assert await stored(client) == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 403), ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
     ({"Content-Type": "text/plain"}, 415), ({"Content-Type": ""}, 415),
     ({"Content-Type": "application/x-www-form-urlencoded"}, 415)],
)  # fmt: skip
@pytest.mark.parametrize("params", [{"text": "a"}, None], ids=["body", "no body"])
async def test_the_gate_is_the_same(client: AsyncClient, headers: dict[str, str], status: int, params: Any) -> None:
    """A foreign Host or Origin is 403 and another content type 415, with or without a body; nothing is done."""
    before = await stored(client)
    answer = await post(client, "/task/create", params, headers)

    assert (answer.status, answer.json["type"], answer.json["outcome"]) == (status, "/errors/refused", "not_done")
    assert await stored(client) == before


async def test_a_body_over_a_mebibyte_is_413(client: AsyncClient) -> None:
    """One byte over 1 MiB is refused, the mebibyte itself is judged by what it says."""
    over = await post(client, "/task/create", b'{"text":"a"}' + b" " * (BODY_MAX - 11))
    whole = await post(client, "/task/get", b'{"id":"t-1"}' + b" " * (BODY_MAX - 12))

    assert (over.status, over.json["outcome"], whole.status) == (413, "not_done", 404)


PLACES: list[tuple[str, dict[str, Any], list[tuple[str, str | None]]]] = [
    ("task.create", {"text": "", "priority": "high", "maxAttempts": 0, "colour": "red"},
     [("text", None), ("priority", None), ("maxAttempts", None), ("colour", None)]),
    ("task.create", {"prioriti": 1, "requires": ["ok", "a b", 5]},
     [("prioriti", "priority"), ("requires[1]", None), ("requires[2]", None), ("text", None)]),
    ("task.create", {"text": "a", "requires": [*"abcdefgh", "i j"]}, [("requires", None), ("requires[8]", None)]),
    ("task.create", {"text": "a", "dependsOn": ["t-1", "7", "t-0"]}, [("dependsOn[1]", "t-7"), ("dependsOn[2]", None)]),
    ("task.create", {"text": "a", "max_attempts": 1}, [("max_attempts", "maxAttempts")]),
    ("task.update", {"id": "7", "updates": {"priority": 101, "text": "", "staus": "x", "status": "complete"}},
     [("id", "t-7"), ("updates.priority", None), ("updates.text", None), ("updates.staus", "status"),
      ("updates.status", "completed")]),
    ("task.update", {"id": "t-1", "updates": []}, [("updates", None)]),
    ("task.update", {"id": "t-1"}, [("updates", None)]),
    ("task.complete", {}, [("", None)]),
    ("task.complete", {"idd": "t-1"}, [("idd", "id")]),
    ("task.list", {"orderBy": "createdat", "limit": 0, "status": 5},
     [("orderBy", "createdAt"), ("limit", None), ("status", None)]),
    ("hook.todo_write", {"todos": [{"content": "a", "status": "pending"}, {"content": "", "status": "pnding"}, {}]},
     [("todos[1].content", None), ("todos[1].status", "pending"), ("todos[2].content", None),
      ("todos[2].status", None)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "params", "places"), PLACES, ids=[f"{at} {each[0]}" for at, each in enumerate(PLACES)]
)
async def test_every_wrong_place_is_named(
    client: AsyncClient, name: str, params: dict[str, Any], places: list[tuple[str, str | None]]
) -> None:
    """Both doors name every wrong place by its path, in order, with the nearest known word where there is one."""
    before = await stored(client)
    plain = (await post(client, "/" + name.replace(".", "/"), params)).json["errors"]
    rpc = (await client.rpc({"jsonrpc": "2.0", "id": 1, "method": name, "params": params}))["error"]["data"]["errors"]

    assert [(each["path"], each.get("nearest")) for each in plain] == places
    assert plain == rpc
    assert all(each["message"] for each in plain)
    assert await stored(client) == before


async def test_at_most_twenty_places_are_named(client: AsyncClient) -> None:
    """Of a thousand wrong places twenty are named, the first."""
    answer = await post(client, "/hook/todo_write", {"todos": [{"content": ""}] * 500})

    found = [each["path"] for each in answer.json["errors"]]
    assert found == [f"todos[{at}].{field}" for at in range(10) for field in ("content", "status")]


async def test_names_and_messages_are_bounded(client: AsyncClient) -> None:
    """A wrong name or word of a hundred thousand characters is not echoed whole."""
    long = "x" * 100_000
    answer = await post(client, "/task/list", {long: 1, "limit": long, "status": long})

    assert [each["path"][:6] for each in answer.json["errors"]] == ["xxxxxx", "limit", "status"]
    assert len(answer.body) < 2000


class Left(msgspec.Struct, tag="left", forbid_unknown_fields=True):
    """One member of a union."""

    size: int


class Right(msgspec.Struct, tag="right", forbid_unknown_fields=True):
    """The other."""

    names: dict[str, list[int]]


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What unions and dicts may hold."""

    side: Left | Right | None = None
    parts: list[Left | Right] = []


@pytest.mark.parametrize(
    ("params", "paths"),
    [({"side": {"type": "left", "size": "a", "names": {}}}, ["side.size", "side.names"]),
     ({"side": {"type": "right", "names": {"a": [1], "b": ["x"], "c": 5}}}, ["side.names.b[0]", "side.names.c"]),
     ({"side": {"type": "up"}}, ["side.type"]),
     ({"side": 5, "parts": [{"type": "left"}, 7]}, ["side", "parts[0].size", "parts[1]"])],
)  # fmt: skip
async def test_unions_and_dicts_are_looked_into(params: dict[str, Any], paths: list[str]) -> None:
    """A place inside a dict, or inside the member of a union that was meant, is named as deep as it lies."""
    assert [each["path"] for each in issues(json.dumps(params).encode(), Wanted)] == paths
