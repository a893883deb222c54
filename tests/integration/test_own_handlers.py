"""Handlers of somebody's own in a running server: through every door, in the store, in the log, in the description."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest
import pytest_asyncio

from claudebench.errors import ClaudeBenchError, Conflict, InvalidParams, LimitReached
from claudebench.store.connection import Address, Connection
from claudebench.testing import AsyncClient, Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

APPS = Path(__file__).parents[1] / "fixtures" / "apps"
SOURCE = Path(__file__).parents[2] / "src"


def paths(*more: Path) -> dict[str, str]:
    """Return an environment in which the apps can be imported."""
    return {"PYTHONPATH": ":".join(map(str, (*more, APPS, SOURCE)))}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with the shelf."""
    data = tmp_path_factory.mktemp("own") / "data"
    async with serve(data, "--app", "shelf.handlers", env=paths()) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client in a workspace of this test's own."""
    async with server.client(workspace=uuid4().hex) as connected:
        yield connected


async def events(client: AsyncClient) -> list[dict[str, Any]]:
    """Return the events of the client's workspace."""
    found: list[dict[str, Any]] = (await client.call("event.list"))["events"]
    return found


async def test_a_handler_changes_its_own_state(client: AsyncClient) -> None:
    """One script changes the state and writes the event of the app; the answer carries the position of that event."""
    answer = await client.call("shelf.put", {"instanceId": "reader-1", "correlationId": "c-1"}, title="Emma")
    position = client.position

    (event,) = await events(client)
    assert answer == {"books": 1}
    assert (event["type"], event["subject"], event["payload"]) == ("x.shelf.put", "Emma", {"books": 1})
    assert (event["actor"], event["correlationId"]) == ("reader-1", "c-1")
    assert event["id"] == position
    assert await client.call("x.shelf.titles") == {"titles": ["Emma"]}


async def test_workspaces_are_apart(server: Server, client: AsyncClient) -> None:
    """What an app keeps in one workspace is not in another."""
    await client.call("shelf.put", title="Persuasion")

    async with server.client(workspace=uuid4().hex) as other:
        assert await other.call("x.shelf.titles") == {"titles": []}


async def test_its_keys_are_its_own(server: Server, client: AsyncClient) -> None:
    """All that an app writes lies under `x:<app>:` of the workspace, but for the log and what every change touches."""
    await client.call("shelf.put", {"idempotencyKey": "k"}, title="Emma")
    workspace = client.path.split("/")[2]

    store = Connection(Address(socket=str(server.data_dir / "store.sock")))
    await store.open()
    found = {key.decode().partition("}:")[2] for key in await store.command("KEYS", f"cb:{{{workspace}}}:*")}
    await store.close()

    assert found == {"x:shelf:books", "ev", "idem", "idemage"}


async def test_a_new_store_process_knows_its_scripts(server: Server, client: AsyncClient) -> None:
    """After the store was killed and started again, the scripts of apps are loaded like ours."""
    await client.call("shelf.put", title="Emma")
    server.kill_store()
    await eventually(lambda: has(client, "Emma"))

    assert await client.call("shelf.put", title="Persuasion") == {"books": 2}


async def has(client: AsyncClient, title: str) -> bool:
    """Whether a book is on the shelf, as far as the server can tell now."""
    with suppress(ClaudeBenchError):
        return title in (await client.call("x.shelf.titles"))["titles"]
    return False


async def test_it_is_reached_by_plain_http(server: Server, client: AsyncClient) -> None:
    """A command of an app is a path of its own, with problem+json for its refusals."""
    workspace = client.path.removesuffix("/rpc")
    put = await client.post(f"{workspace}/shelf/put", b'{"title":"Emma"}')
    titles = await client.post(f"{workspace}/x/shelf/titles", b"")
    refused = await client.post(f"{workspace}/shelf/put", b'{"title":"forbidden"}')

    assert (put.status, put.json, "claudebench-position" in put.headers) == (200, {"books": 1}, True)
    assert titles.json == {"titles": ["Emma"]}
    assert (refused.status, refused.json["code"], refused.json["reason"]) == (409, -32011, "taste")


async def test_its_parameters_are_checked(client: AsyncClient) -> None:
    """What does not fit the request of an app is named, with the nearest known name."""
    with pytest.raises(InvalidParams) as refused:
        await client.call("shelf.put", titel="Emma")

    (first, *_) = cast("list[Any]", refused.value.data["errors"])
    assert (first["path"], first["nearest"]) == ("titel", "title")


async def test_a_script_refuses_like_ours(client: AsyncClient) -> None:
    """What a script of an app refuses is one of the errors of the tree, and changes nothing."""
    await client.call("shelf.put", title="Emma", most=1)
    with pytest.raises(LimitReached) as refused:
        await client.call("shelf.put", title="Persuasion", most=1)

    assert refused.value.data == {"reason": "shelf", "limit": 1}
    assert len(await events(client)) == 1


async def test_a_key_makes_it_safe_to_repeat(client: AsyncClient) -> None:
    """A change of an app with an idempotency key happens once, and is answered twice."""
    about = {"idempotencyKey": "k-1"}
    first = (await client.call("shelf.put", about, title="Emma"), client.position)
    again = (await client.call("shelf.put", about, title="Emma"), client.position)

    assert first == again
    with pytest.raises(Conflict):
        await client.call("shelf.put", about, title="Persuasion")


async def test_a_named_caller_is_heard_of(client: AsyncClient) -> None:
    """A change of an app in which an instance names itself is a heartbeat: it brings one back that was offline."""
    await client.call("system.register", id="reader-1", roles=[], deadAfterMs=500)
    await eventually(lambda: is_last(client, "instance.offline"))

    await client.call("shelf.put", {"instanceId": "reader-1"}, title="Emma")

    assert [each["type"] for each in await events(client)][-2:] == ["instance.online", "x.shelf.put"]


async def is_last(client: AsyncClient, type_: str) -> bool:
    """Whether the newest event is of this type."""
    return bool((await events(client))[-1]["type"] == type_)


async def test_an_event_without_a_script(client: AsyncClient) -> None:
    """A handler may append a declared event of its app to the log."""
    await client.call("shelf.readers.note", {"instanceId": "reader-1"}, title="Emma")
    position = client.position

    (event,) = await events(client)
    assert (event["type"], event["payload"]) == ("x.shelf.read", {"by": "reader-1"})
    assert event["id"] == position


async def test_it_is_described_like_ours(client: AsyncClient) -> None:
    """The commands of an app stand in both descriptions of the API, and its scripts among the figures."""
    methods = {each["name"]: each for each in (await client.call("rpc.discover"))["methods"]}
    listed = {each["name"]: each for each in (await client.call("system.discover"))["commands"]}
    scripts = {each["script"] for each in (await client.call("system.metrics"))["scripts"]}

    assert methods["shelf.put"]["summary"] == listed["shelf.put"]["summary"] == "Put a book on the shelf."
    assert methods["x.shelf.titles"]["x-claudebench"]["http"] == "/x/shelf/titles"
    assert {"x.shelf.put", "x.shelf.titles"} <= scripts


# -- apps that cannot be started


@pytest.mark.parametrize(
    ("lua", "complaint"),
    [
        ("return {emit('x.shelf.put', title, '{}'", "a script of an app does not compile: x.shelf.put: "),
        ("return redis.call('GET', 'cb:{default}:meta')", "--app broken.handlers: broken.store.Shelf: put.lua"),
    ],
)
async def test_a_broken_app_fails_the_start(tmp_path: Path, lua: str, complaint: str) -> None:
    """What is wrong with an app is one line of standard error and the exit code 2, and no store is left running."""
    broken = shutil.copytree(APPS / "shelf", tmp_path / "broken")
    header = [line for line in (broken / "scripts" / "put.lua").read_text().splitlines() if line.startswith("--")]
    (broken / "scripts" / "put.lua").write_text("\n".join([*header, "local books = k_books .. most", lua]))
    server = Server(tmp_path / "data", "--app", "broken.handlers", env=paths(tmp_path))

    with pytest.raises(RuntimeError, match="the server ended with 2"):
        await server.start()

    (said,) = [line for line in server.log_path.read_text().splitlines() if line.startswith("claudebench: ")]
    assert said.startswith(f"claudebench: {complaint}")
    assert not running_with(str(server.data_dir))


def running_with(word: str) -> list[str]:
    """Return the command lines of the processes that name a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes().decode(errors="replace").replace("\0", " "))
    return [line for line in found if word in line]


# -- several calls at once


async def test_many_calls_are_done_in_their_order(client: AsyncClient) -> None:
    """Several commands of other rooms are done in one go and answered in order; a refusal stands in its place."""
    answer = await client.call("shelf.plan", texts=["one", "", "three"])
    position = client.position

    assert answer == {"tasks": ["t-1", "t-2"], "refused": [-32602]}
    tasks = await client.call("task.list", order="asc")
    assert [each["text"] for each in tasks["tasks"]] == ["one", "three"]
    assert (await events(client))[-1]["id"] == position


async def test_nobody_comes_between_many_calls(server: Server) -> None:
    """Several commands leave in one write: those of two callers at once do not mix."""
    workspace = uuid4().hex

    async def plan(number: int) -> list[int]:
        async with server.client(workspace=workspace) as client:
            found = await client.call("shelf.plan", texts=[f"{number}"] * 200)
            return [int(each.removeprefix("t-")) for each in found["tasks"]]

    plans = await asyncio.gather(*map(plan, range(4)))

    assert [each == list(range(each[0], each[0] + 200)) for each in plans] == [True] * 4
    assert sorted(number for each in plans for number in each) == list(range(1, 801))


async def test_many_calls_repeated_are_done_once(client: AsyncClient) -> None:
    """Each of several calls has a key made of the caller's, so that a repetition changes nothing."""
    about = {"idempotencyKey": "plan-1"}
    first = await client.call("shelf.plan", about, texts=["one", "two"])
    again = await client.call("shelf.plan", about, texts=["one", "two"])

    assert first == again == {"tasks": ["t-1", "t-2"], "refused": []}
    assert (await client.call("task.count"))["pending"] == 2


async def test_many_calls_are_bounded(client: AsyncClient) -> None:
    """A thousand are taken; of a thousand and one none is done."""
    assert len((await client.call("shelf.plan", texts=["x"] * 1000))["tasks"]) == 1000
    with pytest.raises(LimitReached) as refused:
        await client.call("shelf.plan", texts=["x"] * 1001)

    assert refused.value.data == {"reason": "calls", "limit": 1000}
    assert (await client.call("task.count"))["pending"] == 1000
