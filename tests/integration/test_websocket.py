"""`/ws`: what is said over it, what is refused, and what becomes of it when things break."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.integration.listening import Socket, address, socket, subscribed
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from claudebench.testing import eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from claudebench.testing import AsyncClient, Server

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOKEN = "a-token-of-at-least-sixteen"
DEEP = '{"type":"ping","more":' + "[" * 65 + "]" * 65 + "}"
CREATE = {"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": {"text": "over a socket"}}
BAD_FRAMES = [
    ("", -32700),
    ("{", -32700),
    ("ping", -32700),
    ("null", -32600),
    ("7", -32600),
    ('"ping"', -32600),
    ("{}", -32600),
    ('{"type":null}', -32600),
    ('{"type":"Ping"}', -32600),
    ('{"type":"welcome"}', -32600),
    ('{"type":"ping","more":1}', -32600),
    (DEEP, -32700),
    ('{"type":"subscribe"}', -32600),
    ('{"type":"subscribe","patterns":"*"}', -32600),
    ('{"type":"subscribe","patterns":[]}', -32602),
    ('{"type":"subscribe","patterns":[1]}', -32600),
    ('{"type":"subscribe","patterns":[""]}', -32602),
    ('{"type":"subscribe","patterns":["**"]}', -32602),
    ('{"type":"subscribe","patterns":["task*"]}', -32602),
    ('{"type":"subscribe","patterns":["*.created"]}', -32602),
    ('{"type":"subscribe","patterns":["task.created\\n"]}', -32602),
    ('{"type":"subscribe","patterns":["task.\\u0000"]}', -32602),
    (json.dumps({"type": "subscribe", "patterns": ["a" * 101]}), -32602),
    (json.dumps({"type": "subscribe", "patterns": [f"a.b{n}" for n in range(101)]}), -32602),
    ('{"type":"subscribe","patterns":["*"],"from":"yesterday"}', -32600),
    ('{"type":"subscribe","patterns":["*"],"from":""}', -32600),
    ('{"type":"subscribe","patterns":["*"],"from":17}', -32600),
    ('{"type":"subscribe","patterns":["*"],"from":"1-1\\n"}', -32600),
    ('{"type":"execute"}', -32600),
    ('{"action":"flush"}', -32600),
    ('{"action":"subscribe","events":["no pattern"]}', -32602),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server for all tests of this file that break nothing."""
    async with serve(tmp_path_factory.mktemp("sockets") / "data") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client of the server."""
    async with server.client() as connected:
        yield connected


async def create(client: AsyncClient, count: int = 1) -> list[str]:
    """Create tasks, one after the other; return their ids."""
    return [(await client.call("task.create", text=f"task {n}"))["id"] for n in range(count)]


async def test_events_are_told_as_the_log_lists_them(server: Server, client: AsyncClient) -> None:
    """A subscriber is told every event after its subscription, in order, each as `event.list` shows it."""
    async with subscribed(server) as opened:
        at = (await opened.ask(type="ping"))["at"]
        await create(client, 5)
        told = await opened.events(5)
        listed = (await client.call("event.list", after=at))["events"]
        assert told == listed
        assert await opened.ask(type="ping") == {"type": "pong", "at": told[-1]["id"]}


async def test_the_welcome(server: Server, client: AsyncClient) -> None:
    """The first frame names the workspace, the newest position of its log and the version."""
    async with connect(address(server, "elsewhere")) as line:
        welcome = await Socket(line).hear()
        assert (welcome["workspace"], welcome["position"]) == ("elsewhere", "0-0")
    await create(client)
    async with connect(address(server)) as line:
        welcome = await Socket(line).hear()
        assert (welcome["workspace"], welcome["position"]) == ("default", client.position)


async def test_patterns_choose(server: Server, client: AsyncClient) -> None:
    """Only what a pattern names is told: a type, a kind, or all; what is unsubscribed comes no more."""
    async with subscribed(server, "task.completed") as opened:
        await client.call("system.register", id="w", roles=[])
        await create(client)
        task = (await client.call("task.claim", workerId="w"))["taskId"]
        await client.call("task.complete", id=task, workerId="w")
        assert [each["type"] for each in await opened.events(1)] == ["task.completed"]

        answer = await opened.ask(type="subscribe", patterns=["task.*", "instance.*"])
        assert answer["patterns"] == ["instance.*", "task.*", "task.completed"]
        await client.call("system.unregister", instanceId="w")
        assert [each["type"] for each in await opened.events(1)] == ["instance.unregistered"]

        answer = await opened.ask(type="unsubscribe", patterns=["task.*"])
        assert answer["patterns"] == ["instance.*", "task.completed"]
        await create(client)
        assert (await opened.ask(type="ping"))["type"] == "pong"

        assert await opened.ask(type="unsubscribe") == {"type": "subscribed", "patterns": [], "at": ""}
        await create(client)
        assert (await opened.ask(type="ping"))["type"] == "pong"


async def test_from_begins_behind_a_position(server: Server, client: AsyncClient) -> None:
    """A subscription from a position gets what the log holds behind it, and goes on with what happens, each once."""
    await create(client)
    before = client.position
    await create(client, 300)
    async with subscribed(server, **{"from": before}) as opened:
        await create(client, 5)
        newest = client.position
        told = await opened.events(305)
    listed: list[Any] = (await client.call("event.list", after=before, limit=1000))["events"]
    assert told == listed

    async with subscribed(server, **{"from": newest}) as opened:
        await create(client)
        assert [each["id"] for each in await opened.events(1)] == [client.position]


async def test_from_goes_with_the_first_subscription(server: Server) -> None:
    """A later `from` is refused, since it would tell things twice; after unsubscribing it is a first one again."""
    async with server.client(workspace="first") as client, socket(server, "first") as opened:
        await create(client, 2)
        await opened.ask(type="subscribe", patterns=["task.*"])
        refused = await opened.ask(type="subscribe", patterns=["hook.*"], **{"from": "1-1"})
        assert refused["error"]["code"] == -32602
        await opened.ask(type="unsubscribe")
        assert (await opened.ask(type="subscribe", patterns=["task.*"], **{"from": "0-0"}))["at"] == "0-0"
        assert (await opened.hear())["event"]["type"] == "task.created"


async def test_workspaces_are_apart(server: Server, client: AsyncClient) -> None:
    """A socket of one workspace hears nothing of another, and its commands act in its own."""
    async with socket(server, "apart") as opened:
        await opened.ask(type="subscribe", patterns=["*"])
        await create(client)
        answer = await opened.ask(type="execute", request=CREATE)
        told = [answer, await opened.hear()]
        assert [each["event"]["subject"] for each in told if each["type"] == "event"] == ["t-1"]
        assert [each["response"]["result"]["id"] for each in told if each["type"] == "response"] == ["t-1"]


async def test_commands_answer_as_over_rpc(server: Server, client: AsyncClient) -> None:
    """A command over a socket has the results, positions and errors of `POST /rpc`; batches and silence too."""
    asked: list[Any] = [
        {"jsonrpc": "2.0", "id": 1, "method": "task.get", "params": {"id": (await create(client))[0]}},
        {"jsonrpc": "2.0", "id": 2, "method": "task.get", "params": {"id": "t-999999"}},
        {"jsonrpc": "2.0", "id": 3, "method": "task.gte"},
        {"jsonrpc": "2.0", "id": "x", "method": "task.create", "params": {"text": ""}},
        {"jsonrpc": "1.0", "id": 4, "method": "system.health"},
        {"jsonrpc": "2.0", "id": 5, "method": "task.create", "params": {"text": "nul \u0000"}},
        [{"jsonrpc": "2.0", "id": 6, "method": "task.count"}, {"jsonrpc": "2.0", "id": 7, "method": "nope"}],
        [],
    ]
    async with socket(server) as opened:
        for request in asked:
            expected = await client.rpc(request)
            assert await opened.ask(type="execute", request=request) == {"type": "response", "response": expected}
            if request:
                await opened.line.send(json.dumps(request))
                assert await opened.hear() == expected
        await opened.say(type="execute", request={"jsonrpc": "2.0", "method": "task.create", "params": {"text": "x"}})
        assert (await opened.ask(type="ping"))["type"] == "pong"
        key = {"idempotencyKey": "once", "instanceId": "me"}
        first = await opened.ask(type="execute", request={**CREATE, "metadata": key})
        again = await opened.ask(type="execute", request={**CREATE, "metadata": key})
        assert first == again
        assert first["response"]["metadata"]["position"]


async def test_many_commands_at_once(server: Server) -> None:
    """Two hundred commands sent without waiting are all answered, each under its id."""
    async with socket(server) as opened:
        for number in range(200):
            await opened.say(type="execute", request={**CREATE, "id": number})
        answers = [(await opened.hear())["response"] for _ in range(200)]
    assert {each["id"] for each in answers} == set(range(200))
    assert len({each["result"]["id"] for each in answers}) == 200


async def test_the_former_speech_is_understood(server: Server, client: AsyncClient) -> None:
    """What clients of the 2025 server say is understood: subscribe, unsubscribe, execute, ping by `action`."""
    async with socket(server) as opened:
        answer = await opened.ask(action="subscribe", events=["task.*"])
        assert (answer["type"], answer["patterns"]) == ("subscribed", ["task.*"])
        await create(client)
        assert (await opened.hear())["event"]["type"] == "task.created"
        assert (await opened.ask(action="ping", timestamp=1))["type"] == "pong"
        assert (await opened.ask(action="unsubscribe", events=["task.*"]))["patterns"] == []
        assert (await opened.ask(action="execute", request=CREATE))["result"]["text"] == "over a socket"


@pytest.mark.parametrize(("frame", "code"), BAD_FRAMES)
async def test_a_bad_frame_does_nothing(server: Server, client: AsyncClient, frame: str, code: int) -> None:
    """What is no frame is answered with an error that says so, does nothing, and leaves the socket as it was."""
    before = await client.call("task.count")
    async with socket(server) as opened:
        await opened.line.send(frame)
        answer = await opened.hear()
        assert (answer["type"], answer["error"]["code"]) == ("error", code)
        assert answer["error"]["message"]
        assert answer["error"]["data"]["outcome"] == "not_done"
        assert await opened.ask(type="ping") == {"type": "pong", "at": ""}
    assert await client.call("task.count") == before


async def test_binary_is_refused(server: Server) -> None:
    """A binary frame is answered with an error, whatever it holds."""
    async with socket(server) as opened:
        await opened.line.send(b'{"type":"ping"}')
        assert (await opened.hear())["error"]["code"] == -32600


async def test_what_no_frame_may_be_closes(server: Server) -> None:
    """Over 1 MiB, over 1,024 fragments, or no UTF-8 closes the socket with its code, and the log has no traceback."""
    async with socket(server) as opened:
        opened.line.transport.write(b"\x81\xff" + (1_048_577).to_bytes(8, "big"))
        assert (await heard_until_closed(opened))[1] == 1009
    async with socket(server) as opened:
        opened.line.transport.write(b"\x01\x80" + bytes(4) + (b"\x00\x80" + bytes(4)) * 1_030)
        assert (await heard_until_closed(opened))[1] == 1008
    async with socket(server) as opened:
        await opened.line.send(b"\xff\xfe", text=True)
        assert (await heard_until_closed(opened))[1] == 1007
    async with socket(server) as opened:
        await opened.line.send(json.dumps({"type": "execute", "request": CREATE, "x": "y" * 1_048_400}))
        assert (await opened.hear())["type"] == "error"
    assert "Traceback" not in server.log_path.read_text()


async def refused(server: Server, path: str = "/ws", **options: Any) -> int:
    """Return the status with which an upgrade is refused."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect(server.url.replace("http", "ws") + path, **options):
            pass
    body: dict[str, Any] = json.loads(caught.value.response.body or b"{}")
    assert body["status"] == caught.value.response.status_code
    assert body["detail"]
    return int(body["status"])


@pytest.mark.parametrize("origin", ["null", "http://evil.example", "http://127.0.0.1:1", "file://"])
async def test_a_foreign_page_is_refused(server: Server, origin: str) -> None:
    """No page of another origin opens a socket, as none may post; a page of ours does."""
    assert await refused(server, additional_headers={"Origin": origin}) == 403
    async with socket(server, additional_headers={"Origin": server.url}) as opened:
        assert (await opened.ask(type="ping"))["type"] == "pong"


async def test_refused_upgrades(server: Server, client: AsyncClient) -> None:
    """An upgrade elsewhere is 404, to a workspace of no name 400, with a wrong token 401; a plain GET is 426."""
    assert await refused(server, "/rpc") == 404
    assert await refused(server, "/wss") == 404
    assert await refused(server, "/w/NO/ws") == 400
    assert await refused(server, additional_headers={"Authorization": "Bearer wrong"}) == 401
    assert await refused(server, subprotocols=["claudebench", "bearer.d3Jvbmc"]) == 401
    assert await refused(server, subprotocols=["claudebench", "bearer.*"]) == 401
    assert (await client.get("/ws")).status == 426


async def test_a_page_says_its_token_as_a_subprotocol(tmp_path: Path) -> None:
    """Where a token is wanted a page offers it as `bearer.` and base64url; it is never chosen, and gives its role."""
    async with serve(tmp_path / "data", env={"CLAUDEBENCH_TOKEN": TOKEN}) as server:
        assert await refused(server) == 401
        for token in (TOKEN, server.operator_token):
            spelt = urlsafe_b64encode(token.encode()).decode().rstrip("=")
            async with connect(address(server), subprotocols=["claudebench", f"bearer.{spelt}"]) as line:  # type: ignore[list-item]
                assert line.subprotocol == "claudebench"
                assert (await Socket(line).hear())["type"] == "welcome"
        async with socket(server, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as opened:
            assert (await opened.ask(type="ping"))["type"] == "pong"
        assert TOKEN not in server.log_path.read_text()


async def test_sockets_are_bounded(tmp_path: Path) -> None:
    """One socket or stream more than the setting allows is refused with 503; when one is closed there is room."""
    async with serve(tmp_path / "data", env={"CLAUDEBENCH_MAX_SOCKETS": "2"}) as server, server.client() as client:
        async with socket(server), socket(server):
            assert await refused(server) == 503
            assert (await client.get("/events")).status == 503
            figures = (await client.call("system.metrics"))["sockets"]
            assert (figures["webSockets"], figures["streams"]) == (2, 0)

        async def opens() -> bool:
            try:
                async with socket(server):
                    return True
            except InvalidStatus:
                return False

        assert await eventually(opens)
        assert b'claudebench_sockets_open{kind="websocket"}' in (await client.get("/metrics")).body


@pytest.mark.soak
async def test_a_stopping_server_says_so(tmp_path: Path) -> None:
    """At SIGTERM every socket is closed with 1001 once its commands are answered; one that does not read is cut."""
    async with serve(tmp_path / "data") as server, server.client() as client:
        async with subscribed(server) as opened, subscribed(server) as deaf:
            deaf.line.transport.pause_reading()
            hearing = asyncio.create_task(heard_until_closed(opened))
            text = json.dumps({"text": "x" * 400, "metadata": {"pad": "y" * 60_000}}).encode()
            for _ in range(60):
                await client.post("/task/create", text)
            await opened.say(type="execute", request=CREATE)
            assert await server.stop() == 0
            heard, code = await hearing
        assert code == 1001
        assert [each["type"] for each in heard if each["type"] != "event"] == ["response"]
        assert "exceeded" not in server.log_path.read_text()


async def heard_until_closed(opened: Socket) -> tuple[list[dict[str, Any]], int]:
    """Return what a socket says until it is closed, and the code."""
    heard = []
    try:
        while True:
            heard.append(await opened.hear())
    except ConnectionClosed as closed:
        return heard, closed.rcvd.code if closed.rcvd else 0


async def test_a_reader_that_does_not_read_is_cut(tmp_path: Path) -> None:
    """A socket that takes nothing is told that it lagged, and where, and cut; the others are told everything."""
    async with serve(tmp_path / "data") as server, server.client() as client:
        async with subscribed(server) as opened, subscribed(server) as deaf:
            deaf.line.transport.pause_reading()
            made: list[dict[str, Any]] = []

            async def is_cut() -> bool:
                """Make events until the deaf one is cut."""
                batch = [{**CREATE, "id": n, "params": {"text": "x" * 400}} for n in range(1_000)]
                await client.rpc(batch)
                made.extend(await opened.events(1_000))
                return bool((await client.call("system.metrics"))["sockets"]["lagged"] == 1)

            await eventually(is_cut, within_s=120)
            deaf.line.transport.resume_reading()
            heard, code = await heard_until_closed(deaf)
        assert code == 4000
        events, (lagged,) = heard[:-1], heard[-1:]
        assert [each["event"]["id"] for each in events] == [each["id"] for each in made[: len(events)]]
        assert lagged == {"type": "lagged", "at": events[-1]["event"]["id"]}
        assert len(made) > len(events)


@pytest.mark.soak
async def test_answers_that_nobody_takes_are_bounded(tmp_path: Path) -> None:
    """A socket that asks and does not read holds a few MiB of answers at most, and then it is not heard either."""
    async with serve(tmp_path / "data") as server, server.client() as client:
        text = json.dumps({"text": "x" * 400, "metadata": {"pad": "y" * 60_000}}).encode()
        for _ in range(16):
            await client.post("/task/create", text)
        before = server.resident_mb
        async with socket(server) as deaf:
            deaf.line.transport.pause_reading()
            ask = {"jsonrpc": "2.0", "id": 1, "method": "task.list", "params": {"limit": 1000}}
            asking = asyncio.create_task(ask_on(deaf, ask))

            async def is_held_up() -> bool:
                calls = (await client.call("system.metrics"))["commands"]
                return any(each["command"] == "task.list" and each["calls"] >= 8 for each in calls)

            await eventually(is_held_up)
            assert await client.is_healthy()
            asking.cancel()
            assert server.resident_mb - before < 100


async def ask_on(deaf: Socket, ask: dict[str, Any]) -> None:
    """Ask the same two hundred times."""
    for _ in range(200):
        await deaf.say(type="execute", request=ask)


async def test_the_store_is_killed_under_a_subscriber(tmp_path: Path) -> None:
    """When the store dies and comes back, a subscribed socket stays and is told every event once, in order."""
    async with (
        serve(tmp_path / "data", "--durability", "always") as server,
        server.client() as client,
        subscribed(server) as opened,
    ):
        heard: list[str] = []
        hearing = asyncio.create_task(hear_on(opened, heard))
        for number in range(1, 5):
            await client.rpc([{**CREATE, "id": n} for n in range(50)])
            server.kill_store()
            await eventually(partial(makes_a_task, client))
            await eventually(partial(has, heard, number * 51))
        listed = (await client.call("event.list", limit=1000))["events"]
        await eventually(partial(has, heard, len(listed)))
        hearing.cancel()
    assert heard == [each["id"] for each in listed]


def has(heard: list[str], count: int) -> bool:
    """Whether so much was heard."""
    return len(heard) >= count


async def makes_a_task(client: AsyncClient) -> bool:
    """Whether the store takes a task."""
    answer = await client.rpc(CREATE)
    return "result" in answer


async def hear_on(opened: Socket, heard: list[str]) -> None:
    """Note the ids of all events."""
    while True:
        heard += [each["id"] for each in await opened.events(1)]
