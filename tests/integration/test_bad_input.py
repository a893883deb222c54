"""Bad input over HTTP: every kind is refused with its exact code, and nothing of it is stored."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from claudebench.app import COMMANDS
from claudebench.testing import AsyncClient, Server, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY_MAX = 1_048_576
ANSWERED_WITHIN_S = 20.0
PEAK_MAX_MB = 150
MIB = 2**20


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One server for this module."""
    async with serve(tmp_path_factory.mktemp("bad-input") / "data") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client with a socket of its own, bounded in time."""
    async with server.client(within_s=ANSWERED_WITHIN_S) as connected:
        yield connected


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def nothing_stored(server: Server) -> AsyncIterator[None]:
    """Every test of this module leaves tasks and events of the default workspace as they were, but for refusals."""
    before = await stored(server)
    yield
    assert await stored(server) == before


async def stored(server: Server) -> tuple[dict[str, int], list[str], list[Any]]:
    """Return the counts of tasks, the events that are no refusal, and the instances."""
    async with server.client() as client:
        figures = await client.call("system.metrics")
        page = await client.call("event.list", limit=1000)
        present = await client.call("instance.list")
    facts = [event["id"] for event in page["events"] if event["type"] != "security.refused"]
    return figures["tasks"], facts, present["instances"]


def request(method: str, params: object, **more: object) -> bytes:
    """Return a request as JSON."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params, **more}).encode()


def create(**params: object) -> bytes:
    """Return the request of a task."""
    return request("task.create", {"text": "never stored", **params})


def raw(params: bytes) -> bytes:
    """Return the request of a task whose params are these bytes."""
    return b'{"jsonrpc":"2.0","id":1,"method":"task.create","params":' + params + b"}"


def nested(depth: int) -> bytes:
    """Return the request of a task that nests `depth` deep, itself and its params counted."""
    inner = depth - 3
    return raw(b'{"text":"never stored","metadata":{"x":' + b"[" * inner + b"]" * inner + b"}}")


NOT_JSON = {
    "truncated": b'{"jsonrpc":"2.0","id":1,"method":"system.health"',
    "empty": b"",
    "blank": b" \r\n\t ",
    "trailing comma": raw(b'{"text":"a",}'),
    "two values": request("system.health", {}) + b"{}",
    "single quotes": b"{'jsonrpc':'2.0'}",
    "NaN": raw(b'{"text":"a","metadata":{"x":NaN}}'),
    "Infinity": raw(b'{"text":"a","metadata":{"x":Infinity}}'),
    "-Infinity": raw(b'{"text":"a","metadata":{"x":-Infinity}}'),
    "byte order mark": b"\xef\xbb\xbf" + create(),
    "UTF-16": create().decode().encode("utf-16"),
    "raw NUL": raw(b'{"text":"a\x00b"}'),
    "raw newline": raw(b'{"text":"a\nb"}'),
    "bad UTF-8 in text": raw(b'{"text":"\xff\xfe"}'),
    "bad UTF-8 in a free member": b'{"jsonrpc":"2.0","id":1,"method":"system.health","more":"\xff"}',
    "bad UTF-8 in the method": b'{"jsonrpc":"2.0","id":1,"method":"task.create\xff","params":{"text":"a"}}',
    "bad UTF-8 in the id": b'{"jsonrpc":"2.0","id":"\xff","method":"task.create","params":{"text":"a"}}',
    "bad UTF-8 in a batch": b"[" + raw(b'{"text":"\xff"}') + b"]",
    "overlong UTF-8": raw(b'{"text":"\xc0\x80"}'),
    "encoded surrogate": raw(b'{"text":"\xed\xa0\x80"}'),
    "depth 65": nested(65),
    "depth 10,000": nested(10_000),
    "10,000 open brackets": b"[" * 10_000,
    "10,000 open objects": b'{"a":' * 10_000,
    "batch cut off": b"[" + create() + b",",
}
NO_REQUEST = {
    "number": b"5",
    "text": b'"task.create"',
    "null": b"null",
    "true": b"true",
    "empty object": b"{}",
    "empty batch": b"[]",
    "batch of 1,001": b"[" + b",".join([create()] * 1001) + b"]",
    "no jsonrpc": b'{"id":1,"method":"task.create","params":{"text":"a"}}',
    "jsonrpc 1.0": b'{"jsonrpc":"1.0","id":1,"method":"task.create","params":{"text":"a"}}',
    "jsonrpc number": b'{"jsonrpc":2.0,"id":1,"method":"task.create","params":{"text":"a"}}',
    "no method": b'{"jsonrpc":"2.0","id":1,"params":{"text":"a"}}',
    "method number": b'{"jsonrpc":"2.0","id":1,"method":5}',
    "method null": b'{"jsonrpc":"2.0","id":1,"method":null}',
    "id true": b'{"jsonrpc":"2.0","id":true,"method":"task.create","params":{"text":"a"}}',
    "id array": b'{"jsonrpc":"2.0","id":[1],"method":"task.create","params":{"text":"a"}}',
    "id object": b'{"jsonrpc":"2.0","id":{},"method":"task.create","params":{"text":"a"}}',
    "metadata array": create()[:-1] + b',"metadata":[]}',
    "metadata text": create()[:-1] + b',"metadata":"x"}',
    "instanceId number": request("task.create", {"text": "a"}, metadata={"instanceId": 5}),
    "instanceId with spaces": request("task.create", {"text": "a"}, metadata={"instanceId": "a b"}),
    "instanceId ends in a newline": request("task.create", {"text": "a"}, metadata={"instanceId": "a\n"}),
    "correlationId of 257": request("task.create", {"text": "a"}, metadata={"correlationId": "c" * 257}),
}
BAD_PARAMS = {
    "params array": request("task.create", ["a"]),
    "params empty array": request("task.create", []),
    "params null": request("task.create", None),
    "params text": request("task.create", "a"),
    "params number": request("task.create", 1),
    "params true": request("system.health", True),
    "no text": request("task.create", {}),
    "text null": create(text=None),
    "text number": create(text=5),
    "text array": create(text=["a"]),
    "text empty": create(text=""),
    "text of 501": create(text="x" * 501),
    "priority 1.5": create(priority=1.5),
    "priority -1": create(priority=-1),
    "priority 101": create(priority=101),
    "priority text": create(priority="5"),
    "priority true": create(priority=True),
    "priority null": create(priority=None),
    "priority 2**70": create(priority=2**70),
    "priority -2**70": create(priority=-(2**70)),
    "maxAttempts 0": create(maxAttempts=0),
    "maxAttempts 101": create(maxAttempts=101),
    "requires text": create(requires="python"),
    "requires of nine": create(requires=[f"r{n}" for n in range(9)]),
    "requires a comma": create(requires=["a,b"]),
    "requires a newline": create(requires=["a\n"]),
    "metadata array": create(metadata=[]),
    "metadata null": create(metadata=None),
    "metadata of 64 KiB and one": create(metadata={"x": "y" * (65_536 - 7)}),
    "number out of range": raw(b'{"text":"a","metadata":{"x":1e999}}'),
    "5,000 digits": raw(b'{"text":"a","metadata":{"x":' + b"1" * 5000 + b"}}"),
    "unknown field": create(colour="red"),
    "__proto__": create(__proto__={"isAdmin": True}),
    "constructor": create(constructor={"prototype": {}}),
    "NUL": create(text="a\0b"),
    "NUL in metadata": create(metadata={"x": ["\0"]}),
    "NUL in a key": create(metadata={"\0": 1}),
    "lone high surrogate": create(text="a\ud800b"),
    "lone low surrogate": create(text="a\udc00b"),
    "surrogates turned around": create(metadata={"x": "\udc00\ud800"}),
    "lone surrogate in a key": create(metadata={"\ud800": 1}),
    "key twice": raw(b'{"text":"a","text":"b"}'),
    "key twice, deep": raw(b'{"text":"a","metadata":{"x":[{"b":1,"b":1}]}}'),
    "key twice, once escaped": raw(b'{"text":"a","metadata":{"a":1,"\\u0061":2}}'),
    "key twice, spaced": raw(b'{"text":"a","metadata":{"a" :1,"a"\t:2,"b":"\\":"}}'),
    "method twice": b'{"jsonrpc":"2.0","id":1,"method":"system.health","method":"task.create","params":{"text":"a"}}',
    "id without t-": request("task.get", {"id": "7"}),
    "id t-0": request("task.get", {"id": "t-0"}),
    "id ends in a newline": request("task.get", {"id": "t-1\n"}),
    "id of twenty digits": request("task.get", {"id": "t-" + "9" * 20}),
    "id and taskId": request("task.complete", {"id": "t-1", "taskId": "t-1"}),
    "neither id nor taskId": request("task.complete", {}),
    "epoch -1": request("task.complete", {"id": "t-1", "epoch": -1}),
    "result over 64 KiB": request("task.complete", {"id": "t-1", "result": "x" * 65_536}),
    "error over 64 KiB": request("task.fail", {"id": "t-1", "error": "x" * 65_536}),
    "limit 0": request("task.list", {"limit": 0}),
    "limit 1001": request("task.list", {"limit": 1001}),
    "status unknown": request("task.list", {"status": "done"}),
    "cursor text": request("task.list", {"cursor": "abc"}),
    "cursor ends in a newline": request("task.list", {"cursor": "9\n"}),
    "cursor of the former shape": request("task.list", {"cursor": "3518437208883201-1"}),
    "cursor of another list": request("task.list", {"cursor": "0000-3518437208883201-1"}),
    "claim eleven": request("task.claim", {"workerId": "w", "maxTasks": 11}),
    "leaseMs 1": request("task.claim", {"workerId": "w", "leaseMs": 1}),
    "worker with a brace": request("task.claim", {"workerId": "w}"}),
    "register nobody": request("system.register", {"id": "", "roles": []}),
    "register a newline": request("system.register", {"id": "w\n", "roles": []}),
    "register a role's newline": request("system.register", {"id": "w", "roles": ["r\n"]}),
    "register 129": request("system.register", {"id": "w" * 129, "roles": []}),
    "register roles text": request("system.register", {"id": "w", "roles": "worker"}),
    "register 33 roles": request("system.register", {"id": "w", "roles": [f"r{n}" for n in range(33)]}),
    "register capacity 0": request("system.register", {"id": "w", "roles": [], "capacity": 0}),
    "register deadAfterMs 499": request("system.register", {"id": "w", "roles": [], "deadAfterMs": 499}),
    "hook tool empty": request("hook.pre_tool", {"tool": "", "params": {}}),
    "hook no params": request("hook.pre_tool", {"tool": "Bash"}),
    "todo unknown status": request("hook.todo_write", {"todos": [{"content": "a", "status": "cancelled"}]}),
    "todo empty": request("hook.todo_write", {"todos": [{"content": "", "status": "pending"}]}),
    "todo list of 1,001": request("hook.todo_write", {"todos": [{"content": "a", "status": "pending"}] * 1001}),
    "prompt empty": request("hook.user_prompt", {"prompt": "", "context": {}}),
}


CASES = [
    pytest.param(body, code, id=f"{code} {name}")
    for code, bodies in ((-32700, NOT_JSON), (-32600, NO_REQUEST), (-32602, BAD_PARAMS))
    for name, body in bodies.items()
]


@pytest.mark.parametrize(("body", "code"), CASES)
async def test_bad_input_has_its_exact_code(client: AsyncClient, body: bytes, code: int) -> None:
    """A body that is no JSON, no request or has bad params is answered 200 with its code, and was not done."""
    answer = await client.post("/rpc", body)

    assert answer.status == 200, answer
    replies = answer.json if isinstance(answer.json, list) else [answer.json]
    assert [reply["error"]["code"] for reply in replies] == [code]
    assert all(reply["error"]["data"]["outcome"] == "not_done" for reply in replies)


async def test_depth_64_is_still_taken(client: AsyncClient) -> None:
    """Depth 64 is no error of depth: the request is judged by what it says."""
    assert (await client.rpc(nested(64)[:-1] + b',"metadata":5}'))["error"]["code"] == -32600


@pytest.mark.parametrize(
    ("field", "path", "near"), [("prioriti", "prioriti", "priority"), ("Text", "Text", "text"), ("zzz", "zzz", None)]
)
async def test_unknown_field_is_named_with_the_nearest(
    client: AsyncClient, field: str, path: str, near: str | None
) -> None:
    """An unknown field is refused by its path, with the nearest known one where there is one."""
    error = (await client.rpc(create(**{field: 1})))["error"]

    (issue,) = error["data"]["errors"]
    assert (issue["path"], issue.get("nearest")) == (path, near)
    assert field in issue["message"]


async def test_every_bad_field_is_named(client: AsyncClient) -> None:
    """Several bad fields in one request are all named, so that nobody mends them one call at a time."""
    error = (await client.rpc(create(text="", priority="high", maxAttempts=0, colour="red")))["error"]

    assert {issue["path"] for issue in error["data"]["errors"]} == {"text", "priority", "maxAttempts", "colour"}


@pytest.mark.parametrize(
    ("method", "near"),
    [("task.craete", "task.create"), ("system.heartbeet", "system.heartbeat"), ("q", None), ("", None)],
)
async def test_unknown_method_is_answered_with_the_nearest(client: AsyncClient, method: str, near: str | None) -> None:
    """An unknown method is -32601 and offers the nearest known one where there is one."""
    error = (await client.rpc(request(method, {"text": "a"})))["error"]

    assert (error["code"], error["data"].get("nearest"), error["data"]["outcome"]) == (-32601, near, "not_done")


@pytest.mark.parametrize("method", ["__proto__", "task.create\0", "../task/create", "task.create\n", "m" * 50_000])
async def test_strange_methods_are_unknown(client: AsyncClient, method: str) -> None:
    """A method that is no name of ours is never run and never echoed whole."""
    answer = await client.post("/rpc", request(method, {"text": "a"}))

    assert answer.json["error"]["code"] in {-32601, -32602}
    assert len(answer.body) < 2000


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","method":"task.craete","params":{"text":"a"}}',
        b'{"jsonrpc":"2.0","method":"task.create","params":{"text":""}}',
        b'{"jsonrpc":"2.0","method":"task.create","params":[]}',
        b'{"jsonrpc":"2.0","method":"task.create","params":{"text":"a","text":"b"}}',
        b'[{"jsonrpc":"2.0","method":"task.craete"},{"jsonrpc":"2.0","method":"task.get","params":{"id":"t-9"}}]',
    ],
    ids=["unknown method", "bad params", "params array", "key twice", "batch"],
)
async def test_a_notification_is_never_answered(client: AsyncClient, body: bytes) -> None:
    """A notification that cannot be done is met with silence: 204 and no byte."""
    answer = await client.post("/rpc", body)

    assert (answer.status, answer.body) == (204, b"")


async def test_members_of_a_batch_that_are_no_requests_are_refused_one_by_one(client: AsyncClient) -> None:
    """Each member that is no object is -32600 with the id null, and the request beside them is answered."""
    replies = await client.rpc(b'[1,"a",null,[],true,{"jsonrpc":"2.0","id":"ok","method":"system.health"}]')

    assert [reply["id"] for reply in replies] == [None] * 5 + ["ok"]
    assert [reply["error"]["code"] for reply in replies[:5]] == [-32600] * 5


@pytest.mark.parametrize("number", [2**63, 2**70, -(2**70), 10**300], ids=["2**63", "2**70", "-2**70", "10**300"])
async def test_huge_integers_in_metadata_are_kept_exactly(server: Server, number: int) -> None:
    """An integer that fits no machine word comes back digit by digit."""
    async with server.client(workspace="integers") as client:
        made = await client.rpc(request("task.create", {"text": "a", "metadata": {"n": number}}))
        task = await client.call("task.get", id=made["result"]["id"])

    assert made["result"]["metadata"] == task["metadata"] == {"n": number}


@pytest.mark.parametrize("name", ["BAD", "_", "a_b", "a.b", "a" * 41, "a%7Db", "a%0A", "%7B%7D", "caf%C3%A9"])
async def test_illegal_workspace_is_refused(client: AsyncClient, name: str) -> None:
    """A workspace whose name is not [a-z0-9-]{1,40} does not exist, whoever asks."""
    answer = await client.post(f"/w/{name}/rpc", create())

    error = answer.json.get("error", answer.json)
    assert error["code"] == -32602
    assert error.get("data", error)["outcome"] == "not_done"


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        ({"Content-Type": "text/plain", "Origin": "http://evil.example"}, {403, 415}),
        ({"Content-Type": "text/plain"}, {415}),
        ({"Content-Type": "application/x-www-form-urlencoded"}, {415}),
        ({"Origin": "null"}, {403}),
        ({"Host": "evil.example"}, {403}),
    ],
    ids=["text from another origin", "text", "form", "origin null", "foreign host"],
)
async def test_what_a_page_could_send_is_not_let_in(
    client: AsyncClient, headers: dict[str, str], statuses: set[int]
) -> None:
    """A request that a foreign page can make without asking is refused before it is read as a command."""
    answer = await client.post("/rpc", create(), headers)

    assert answer.status in statuses
    assert answer.json["outcome"] == "not_done"


@pytest.mark.parametrize("size", [1000, 65_000, 65_600, 70_000, 131_072, 300_000, 700_000, BODY_MAX])
async def test_every_body_up_to_a_mebibyte_is_answered(server: Server, size: int) -> None:
    """Whatever its size, a body up to 1 MiB gets an answer on its own socket and on a used one."""
    body = request("task.create", {"text": ""})
    body += b" " * (size - len(body))
    async with server.client(within_s=ANSWERED_WITHIN_S) as client:
        assert [(await client.rpc(body))["error"]["code"] for _ in range(3)] == [-32602] * 3


async def test_one_byte_over_a_mebibyte_is_413(client: AsyncClient) -> None:
    """A body of 1 MiB and one byte is refused by its declared length, with an outcome."""
    answer = await client.post("/rpc", create() + b" " * (BODY_MAX + 1 - len(create())))

    assert (answer.status, answer.json["outcome"]) == (413, "not_done")


@pytest.mark.parametrize("door", ["/rpc", "/w/other/rpc"])
@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
@pytest.mark.parametrize("size", [10 * MIB, 100 * MIB], ids=["10 MB", "100 MB"])
async def test_oversized_body_costs_nothing(server: Server, door: str, size: int, *, chunked: bool) -> None:
    """10 and 100 MB are answered 413, the socket is ended, and the server never holds more than 150 MB."""
    status = await asyncio.to_thread(send_oversized, server.port, door, size, chunked=chunked)

    assert status == 413
    assert peak_mb(server) < PEAK_MAX_MB
    async with server.client(within_s=ANSWERED_WITHIN_S) as client:
        assert await client.is_healthy()


def send_oversized(port: int, door: str, size: int, *, chunked: bool) -> int:
    """Send a body for as long as the server takes it, then read to the end; return the status."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    head = f"POST {door} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    piece = b"x" * 65_536
    piece = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWERED_WITHIN_S) as line:
        try:
            line.sendall(head.encode())
            for _ in range(size // 65_536):
                line.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return int(read_to_end(line).split(maxsplit=2)[1])


def read_to_end(line: socket.socket) -> bytes:
    """Read until the other side ends the socket, by whatever means."""
    found = b""
    try:
        while data := line.recv(65_536):
            found += data
    except ConnectionResetError:
        pass
    return found


def peak_mb(server: Server) -> float:
    """Return the most that the server process ever held, in MB."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise LookupError("VmHWM")


async def test_endless_headers_end_the_socket(server: Server) -> None:
    """Headers that never end are cut, not collected."""

    def send() -> bytes:
        with socket.create_connection(("127.0.0.1", server.port), timeout=ANSWERED_WITHIN_S) as line:
            try:
                line.sendall(b"GET /health HTTP/1.1\r\n")
                for _ in range(1000):
                    line.sendall(b"X-More: " + b"x" * 65_536 + b"\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass
            return read_to_end(line)

    answer = await asyncio.to_thread(send)

    assert not answer or answer.split()[1] in {b"400", b"413", b"431"}
    assert peak_mb(server) < PEAK_MAX_MB


TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
FIELDS = sorted({field for command in COMMANDS for field in command.input.__struct_encode_fields__})
METHODS = [command.name for command in COMMANDS]
LIKELY = st.sampled_from(["t-1", "t-2", "t-9999", "w", "pending", 1, 0, 50, "9", ["worker"], {"command": "ls"}, "Bash"])
CALLS = st.fixed_dictionaries(
    {
        "jsonrpc": st.just("2.0"),
        "id": st.integers(0, 9),
        "method": st.sampled_from([*METHODS, "task.update", "nothing"]),
        "params": st.dictionaries(st.sampled_from(FIELDS), LIKELY | JSON, max_size=4),
    }
)
MANGLED = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | JSON, "method": st.sampled_from(METHODS) | JSON},
    optional={
        "id": JSON,
        "params": JSON,
        "metadata": st.dictionaries(st.sampled_from(["instanceId", "sessionId", "traceparent", "x"]), JSON) | JSON,
    },
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(body=CALLS | MANGLED | st.lists(CALLS | MANGLED | JSON, max_size=8))
async def test_no_json_makes_an_internal_error(server: Server, body: object) -> None:
    """Whatever JSON is sent, in whatever method, the answer is ours: 200 or 204, and never -32603."""
    async with server.client(workspace="fuzz", within_s=ANSWERED_WITHIN_S) as client:
        answer = await client.post("/w/fuzz/rpc", json.dumps(body).encode())

    assert answer.status in {200, 204}, answer
    replies = json.loads(answer.body or b"[]")
    for reply in replies if isinstance(replies, list) else [replies]:
        assert reply.get("error", {}).get("code") != -32603, reply


@pytest.mark.parametrize("method", METHODS)
async def test_no_command_fails_for_want_of_params(server: Server, method: str) -> None:
    """Every command that exists answers empty params with a result or with what it misses."""
    async with server.client(workspace="fuzz", token=server.operator_token) as client:
        reply = await client.rpc(request(method, {}))

    assert reply.get("error", {}).get("code") in {None, -32602}


@settings(max_examples=100, derandomize=True, deadline=None)
@given(body=st.binary(max_size=60) | st.text(alphabet='{}[]":,\\ut0-9eE+.\x00 ', max_size=60).map(str.encode))
async def test_no_bytes_make_an_internal_error(server: Server, body: bytes) -> None:
    """Whatever bytes are sent, the answer is a JSON-RPC error or, for a notification, nothing."""
    async with server.client(within_s=ANSWERED_WITHIN_S) as client:
        answer = await client.post("/w/fuzz/rpc", body)

    assert answer.status in {200, 204}, answer
    assert b"-32603" not in answer.body
