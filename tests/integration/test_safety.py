"""Who is let in: Host, Origin, content type, methods, tokens and roles; what is kept from others' eyes."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from claudebench.errors import ClaudeBenchError, Unauthorized
from claudebench.testing import AsyncClient, Server, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "a-token-of-at-least-sixteen"
HEALTH = b'{"jsonrpc":"2.0","id":1,"method":"system.health"}'
HOOK = b'{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls"}}'
FOREIGN_HOSTS = [
    "evil.example",
    "127.0.0.1.evil.example:7420",
    "evil.example:7420",
    "",
    "0.0.0.0",
    "127.0.0.2",
    "[::2]",
]
FOREIGN_ORIGINS = ["null", "http://evil.example", "https://127.0.0.1.evil.example", "http://127.0.0.1:1", "file://", ""]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server on loopback without a token."""
    async with serve(tmp_path_factory.mktemp("safety") / "data") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server that other machines can reach, with a token."""
    data = tmp_path_factory.mktemp("guarded") / "data"
    variables = {"CLAUDEBENCH_TOKEN": TOKEN, "CLAUDEBENCH_HOSTS": "bench.example, other.example"}
    async with serve(data, "--host", "0.0.0.0", env=variables) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client of the server without a token."""
    async with server.client() as connected:
        yield connected


async def statuses(client: AsyncClient, headers: dict[str, str]) -> dict[str, int]:
    """Return the status of every door with these headers."""
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    answers = {
        "rpc": await client.post("/rpc", HEALTH, headers),
        "workspace": await client.post("/w/other/rpc", HEALTH, headers),
        "hooks": await client.post("/hooks/claude-code", HOOK, headers),
        "health": await client.get("/health", headers),
        "live": await client.get("/health?live", headers),
        "metrics": await client.get("/metrics", headers),
        "nothing": await client.get("/nothing", headers),
        "upgrade": await client.get("/ws", headers | upgrade),
    }
    return {door: answer.status for door, answer in answers.items()}


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
async def test_foreign_host_is_refused_at_every_door(client: AsyncClient, host: str) -> None:
    """A Host that is not loopback's name is 403 everywhere, so that no rebound name of a page gets in."""
    assert set((await statuses(client, {"Host": host})).values()) == {403}


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
async def test_foreign_origin_is_refused_at_every_door(client: AsyncClient, origin: str) -> None:
    """An Origin that is not this server's, null and another port included, is 403 everywhere."""
    assert set((await statuses(client, {"Origin": origin})).values()) == {403}


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
async def test_own_names_are_let_in(server: Server, client: AsyncClient, name: str) -> None:
    """Loopback's own names are let in, with their own page's Origin as without one."""
    host = f"{name}:{server.port}"

    for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host.lower()}"}):
        answer = await client.post("/rpc", HEALTH, headers)
        assert (answer.status, answer.json["result"]["status"]) == (200, "healthy")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Host": "box.lan:7420"}, ("the Host header 'box.lan:7420'", "with CLAUDEBENCH_HOSTS=box.lan, or hosts in")),
        (
            {"Host": "127.0.0.1:9", "Origin": "http://box.lan"},
            ("the Origin header 'http://box.lan'", "open the page at http://127.0.0.1:9, or", "leave the header out"),
        ),
        ({"Host": ""}, ("there is no Host header",)),
    ],
    ids=["host", "origin", "no host"],
)
async def test_a_refusal_names_the_header_and_what_to_do(
    client: AsyncClient, headers: dict[str, str], said: tuple[str, ...]
) -> None:
    """Who is not let in is told which header it was, and what to set or to leave out."""
    detail = (await client.post("/rpc", HEALTH, headers)).json["detail"]

    assert [each for each in said if each not in detail] == []


async def test_origin_of_another_name_of_loopback_is_refused(server: Server, client: AsyncClient) -> None:
    """A page of localhost may not speak to 127.0.0.1: its Origin is another."""
    answer = await client.post("/rpc", HEALTH, {"Origin": f"http://localhost:{server.port}"})

    assert answer.status == 403


@pytest.mark.parametrize(
    "declared", ["text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"]
)
@pytest.mark.parametrize("door", ["/rpc", "/w/other/rpc", "/hooks/claude-code"])
async def test_post_needs_the_content_type_of_json(client: AsyncClient, door: str, declared: str) -> None:
    """Every content type that a page may send unasked is 415."""
    answer = await client.post(door, HEALTH, {"Content-Type": declared})

    assert (answer.status, answer.json["outcome"]) == (415, "not_done")


@pytest.mark.parametrize("declared", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
async def test_json_may_be_declared_in_any_spelling(client: AsyncClient, declared: str) -> None:
    """Case and parameters of the content type do not matter."""
    assert (await client.post("/rpc", HEALTH, {"Content-Type": declared})).status == 200


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_verbs_are_refused(client: AsyncClient, verb: str) -> None:
    """No verb but GET and POST does anything; a preflight is promised nothing."""
    answer = await client.request(verb, "/rpc", b"", {"Content-Length": "0"})

    assert answer.status == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("given", ["Bearer wrong", "Bearer ", "bearer", "Basic YTpi", "Bearer n\xe9", "x" * 5000])
@pytest.mark.parametrize("kind", ["server", "guarded"])
async def test_wrong_token_is_unauthorized(kind: str, given: str, server: Server, guarded: Server) -> None:
    """A token that is not this server's is -32002 and nothing is done, even where none is needed."""
    async with {"server": server, "guarded": guarded}[kind].client() as client:
        answer = await client.post("/rpc", HEALTH, {"Authorization": given})

    error = answer.json.get("error", answer.json)
    assert (error["code"], error.get("data", error)["outcome"]) == (-32002, "not_done")


async def test_a_server_with_a_token_wants_it_everywhere(guarded: Server) -> None:
    """Without the token every door but health is closed, the hooks by a native refusal; with it all are open."""
    async with guarded.client() as client:
        with pytest.raises(Unauthorized):
            await client.call("system.health")
        assert (await client.get("/metrics")).status == 401
        hook = await client.post("/hooks/claude-code", HOOK)
        assert (hook.status, "deny" in hook.body.decode()) == (200, True)
        assert (await client.get("/health")).status == 200
    async with guarded.client(token=TOKEN) as client:
        assert (await client.call("system.health"))["status"] == "healthy"
        assert (await client.get("/metrics")).status == 200
        assert (await client.post("/hooks/claude-code", HOOK)).status == 200


async def test_a_server_with_a_token_refuses_foreign_origins_too(guarded: Server) -> None:
    """A page of another origin is not let in, whatever it knows."""
    async with guarded.client(token=TOKEN) as client:
        assert (await client.post("/rpc", HEALTH, {"Origin": "http://evil.example"})).status == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [("bench.example", 200), ("BENCH.example:7420", 200), ("192.0.2.7:7420", 200), ("[2001:db8::1]:7420", 200),
     ("localhost", 200), ("evil.example", 403), ("bench.example.evil.example", 403), ("", 403)],
)  # fmt: skip
async def test_off_loopback_only_addresses_and_given_names_are_hosts(guarded: Server, host: str, status: int) -> None:
    """Off loopback a Host is an address, or a name of CLAUDEBENCH_HOSTS: another name could be rebound to us."""
    async with guarded.client(token=TOKEN) as client:
        assert (await client.post("/rpc", HEALTH, {"Host": host})).status == status


@pytest.mark.parametrize("kind", ["server", "guarded"])
async def test_the_token_makes_the_operator(kind: str, server: Server, guarded: Server) -> None:
    """The operator's unassign denies the task to its holder; an agent's lets it be claimed again at once."""
    running = {"server": server, "guarded": guarded}[kind]
    agent_token = TOKEN if kind == "guarded" else ""
    roles = {"agent": agent_token, "operator": running.operator_token}

    reclaimed = {}
    for role, token in roles.items():
        async with running.client(token=token, workspace=role) as client:
            await client.call("system.register", id="w", roles=[])
            task = await client.call("task.create", text="a")
            await client.call("task.claim", workerId="w")
            await client.call("task.unassign", id=task["id"])
            reclaimed[role] = (await client.call("task.claim", workerId="w"))["claimed"]

    assert reclaimed == {"agent": True, "operator": False}


async def test_operator_token_is_for_its_owner_only(server: Server) -> None:
    """The token's file is 0600, long enough not to be guessed, and lies in a folder that is 0700."""
    path = server.data_dir / "token"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700
    assert len(server.operator_token) >= 32


async def test_operator_token_outlives_the_server(tmp_path: Path) -> None:
    """The token is made once per data directory and stays when the server starts again."""
    async with serve(tmp_path / "data") as running:
        first = running.operator_token
    async with serve(tmp_path / "data") as running:
        assert running.operator_token == first


async def test_tokens_are_told_to_nobody(guarded: Server) -> None:
    """Neither token stands in the ready line, the log, the lock, the metrics or the list of commands."""
    async with guarded.client(token=TOKEN) as client:
        shown = [json.dumps(guarded.ready), (guarded.data_dir / "lock").read_text()]
        shown += [(guarded.data_dir.parent / "data.log").read_text(), (await client.get("/metrics")).body.decode()]
        shown += [json.dumps(await client.call(method)) for method in ("system.metrics", "system.discover")]

    assert not [text for text in shown if TOKEN in text or guarded.operator_token in text]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
async def test_another_address_than_loopback_needs_a_token(tmp_path: Path, host: str) -> None:
    """A server that others could reach does not start without a token, and says which setting is missing."""
    with pytest.raises(RuntimeError, match=r"ended with 2: .*CLAUDEBENCH_TOKEN"):
        async with serve(tmp_path / "data", "--host", host):
            pass

    assert not (tmp_path / "data").exists()


async def test_a_short_token_is_no_token(tmp_path: Path) -> None:
    """A token that can be guessed is refused at start."""
    with pytest.raises(RuntimeError, match=r"ended with 2: .*token"):
        async with serve(tmp_path / "data", "--host", "0.0.0.0", env={"CLAUDEBENCH_TOKEN": "short"}):
            pass


async def test_errors_show_no_internals(client: AsyncClient) -> None:
    """No refusal shows a path of the server, a traceback, or a key of the store."""
    bodies = [b"{", b"[]", HEALTH.replace(b"health", b"helth"), b'{"jsonrpc":"2.0","id":1,"method":"task.get"}']
    answers = [await client.post("/rpc", body) for body in bodies] + [await client.get("/nothing")]

    shown = b"".join(answer.body for answer in answers)
    assert not [word for word in (b"Traceback", b".py", b"cb:{", b"/src/") if word in shown]


async def test_the_client_raises_our_errors(client: AsyncClient) -> None:
    """An error of the server is raised as the same class with its outcome."""
    with pytest.raises(ClaudeBenchError) as caught:
        await client.call("task.get", id="t-404")

    assert (caught.value.code, caught.value.outcome) == (-32010, "not_done")
