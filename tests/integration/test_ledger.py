"""The ledger through the front door: every guard with its code over HTTP, and one ledger behind several servers."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.scripts import invariants
from tests.scripts.fleet import store_of

from claudebench.errors import ClaudeBenchError, Conflict, LimitReached, NotFound, Stale
from claudebench.store.connection import Address, Connection
from claudebench.testing import eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from claudebench.testing import AsyncClient, Server

_numbers = itertools.count(1)
REDIS = shutil.which("redis-server")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One server for all tests of this file; each has a workspace of its own."""
    async with serve(tmp_path_factory.mktemp("shared") / "data") as running:
        yield running


@pytest.fixture
async def client(shared: Server) -> AsyncIterator[AsyncClient]:
    """A client in a fresh workspace, with two instances; afterwards everything that must hold is checked."""
    workspace = f"ledger-{next(_numbers)}"
    async with shared.client(workspace=workspace) as connected:
        for name in ("w", "other"):
            await connected.call("system.register", id=name, roles=[], capacity=3, deadAfterMs=60_000, bootId="b")
        yield connected
    async with store_of(shared) as store:
        await invariants.check(store, workspace)


async def create(client: AsyncClient, **params: Any) -> str:
    """Add a task and return its id."""
    return str((await client.call("task.create", text="a task", **params))["id"])


async def test_create_assign_complete(client: AsyncClient) -> None:
    """The order of the 2025 contract works: a task is created, assigned to a worker and completed by it, unclaimed."""
    task = await create(client)

    assigned = await client.call("task.assign", taskId=task, instanceId="w")
    assert (assigned["taskId"], assigned["instanceId"], assigned["epoch"]) == (task, "w", 1)
    assert (await client.call("task.get", id=task))["status"] == "pending"
    done = await client.call("task.complete", id=task, result={"ok": True})

    assert (done["id"], done["status"]) == (task, "completed")
    kept = await client.call("task.get", id=task)
    assert (kept["result"], kept["assignedTo"], kept["completedAt"]) == ({"ok": True}, "w", done["completedAt"])


async def test_create_claim_complete(client: AsyncClient) -> None:
    """A task is created, claimed and completed, and every change tells a later position than the one before."""
    positions = []
    task = await create(client, priority=0)
    positions.append(client.position)
    claimed = await client.call("task.claim", workerId="w")
    positions.append(client.position)
    await client.call("task.complete", taskId=task, workerId="w", epoch=claimed["task"]["epoch"])
    positions.append(client.position)

    assert (claimed["claimed"], claimed["taskId"], claimed["task"]["priority"]) == (True, task, 0)
    assert claimed["tasks"] == [claimed["task"]]
    assert positions == sorted(set(positions), key=lambda each: tuple(map(int, each.split("-"))))
    assert await client.call("task.claim", workerId="w") == {"claimed": False, "tasks": []}


async def test_a_tasks_own_metadata_comes_back(client: AsyncClient) -> None:
    """What a caller keeps in a task's metadata is answered unchanged by create, claim and get."""
    kept = {"n": [1, []], "empty": {}, "text": "ä\u0001", "metadata": {"n": None}}
    params = {"text": "a task", "metadata": kept}
    made = await client.rpc({"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": params})

    claimed = await client.call("task.claim", workerId="w")
    read = await client.call("task.get", id=made["result"]["id"])

    assert made["result"]["metadata"] == claimed["task"]["metadata"] == read["metadata"] == kept


@pytest.mark.parametrize("method", ["task.complete", "task.fail", "task.release", "task.renew"])
async def test_the_codes_of_the_guard(client: AsyncClient, method: str) -> None:
    """Whoever may not end, keep or give back a task is told so by its code: -32010, -32011, -32012."""
    task = await create(client)
    with pytest.raises(NotFound):
        await client.call(method, id="t-4711", workerId="w")
    with pytest.raises(Conflict):
        await client.call(method, id=task, workerId="w")
    await client.call("task.claim", workerId="w")
    with pytest.raises(Stale):
        await client.call(method, id=task, workerId="other")
    with pytest.raises(Stale) as refusal:
        await client.call(method, id=task, workerId="w", epoch=0)
    assert (refusal.value.data["current"], refusal.value.outcome) == (1, "not_done")

    await client.call(method, id=task, workerId="w", epoch=1)


async def test_a_repeat_answers_the_stored_end(client: AsyncClient) -> None:
    """A completion said again by the same owner and epoch answers the same; the first result is kept."""
    task = await create(client)
    await client.call("task.claim", workerId="w")
    first = await client.call("task.complete", id=task, workerId="w", epoch=1, result=1)

    assert await client.call("task.complete", id=task, workerId="w", epoch=1, result=2) == first
    assert (await client.call("task.get", id=task))["result"] == 1
    for method in ("task.fail", "task.release", "task.renew"):
        with pytest.raises(Conflict):
            await client.call(method, id=task, workerId="w", epoch=1)


async def test_a_retry_goes_to_another(client: AsyncClient) -> None:
    """A task failed with a retry is pending, not for the one who failed it, and after three attempts a dead letter."""
    await client.call("system.register", id="third", roles=[], deadAfterMs=60_000)
    task = await create(client)
    for worker, after in (("w", "pending"), ("other", "pending"), ("third", "failed")):
        assert (await client.call("task.claim", workerId=worker))["taskId"] == task
        failed = await client.call("task.fail", id=task, workerId=worker, error={"why": worker}, retryable=True)
        assert failed["status"] == after
        assert ("completedAt" in failed) == (after == "failed")
        assert (await client.call("task.claim", workerId=worker))["claimed"] is False

    kept = await client.call("task.get", id=task)
    assert (kept["deadLetter"], kept["attempts"], kept["error"]) == (True, 3, {"why": "third"})
    assert (await client.call("task.count"))["deadLetters"] == 1


async def test_an_operators_unassign_denies(shared: Server, client: AsyncClient) -> None:
    """An agent's unassign leaves a task to anyone; an operator's keeps it from the one who had it."""
    task = await create(client)
    await client.call("task.claim", workerId="w")
    await client.call("task.unassign", id=task)
    assert (await client.call("task.claim", workerId="w"))["taskId"] == task

    workspace = client.path.split("/")[2]
    async with shared.client(token=shared.operator_token, workspace=workspace) as operator:
        await operator.call("task.unassign", id=task)

    assert (await client.call("task.claim", workerId="w"))["claimed"] is False
    assert (await client.call("task.claim", workerId="other"))["taskId"] == task


async def test_capacity_roles_and_strangers(client: AsyncClient) -> None:
    """Assigning to a full, unfit or unknown instance is -32013, -32011, -32010; a stranger's claim is -32010."""
    special = await create(client, requires=["gpu"])
    tasks = [await create(client) for _ in range(4)]
    with pytest.raises(Conflict, match="roles"):
        await client.call("task.assign", taskId=special, instanceId="w")
    with pytest.raises(NotFound):
        await client.call("task.assign", taskId=special, instanceId="nobody")
    with pytest.raises(NotFound):
        await client.call("task.claim", workerId="nobody")

    assert len((await client.call("task.claim", workerId="w", maxTasks=10))["tasks"]) == 3
    with pytest.raises(LimitReached):
        await client.call("task.assign", taskId=tasks[3], instanceId="w")
    assert (await client.call("task.claim", workerId="w"))["claimed"] is False


async def test_deleting(client: AsyncClient) -> None:
    """A held task is -32011 for a delete; a free one is gone, -32010 ever after."""
    task = await create(client)
    await client.call("task.claim", workerId="w")
    with pytest.raises(Conflict):
        await client.call("task.delete", id=task)
    await client.call("task.release", id=task, workerId="w")

    assert await client.call("task.delete", id=task) == {"id": task, "deleted": True}
    for method in ("task.get", "task.delete"):
        with pytest.raises(NotFound):
            await client.call(method, id=task)


async def test_workspaces_know_nothing_of_each_other(shared: Server, client: AsyncClient) -> None:
    """Tasks, numbers and instances of one workspace do not exist in another."""
    task = await create(client)
    async with shared.client(workspace="quite-another") as other:
        with pytest.raises(NotFound):
            await other.call("task.get", id=task)
        with pytest.raises(NotFound):
            await other.call("task.claim", workerId="w")
        assert await create(other) == "t-1"


async def test_a_caller_that_hangs_up(shared: Server, client: AsyncClient) -> None:
    """Callers that cut their sockets in mid-call harm nobody: the change is done once or not at all."""
    for at in range(20):
        async with shared.client(workspace=client.path.split("/")[2]) as hasty:
            call = asyncio.create_task(hasty.call("task.create", text=f"hasty {at}"))
            await asyncio.sleep(0)
            hasty.cut()
            await asyncio.gather(call, return_exceptions=True)
    task = await create(client)

    page = await client.call("task.list", limit=1000)
    assert page["tasks"][0]["id"] == task
    assert len({each["text"] for each in page["tasks"]}) == len(page["tasks"]) == page["totalCount"]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[str]:
    """Run a Redis of the test's own and return its URL."""
    assert REDIS
    port = free_port()
    words = (
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
        "--save",
        "",
        "--requirepass",
        "pass word",
    )
    process = await asyncio.create_subprocess_exec(REDIS, *words, stdout=asyncio.subprocess.DEVNULL)
    try:
        url = f"redis://:pass%20word@127.0.0.1:{port}/0"
        connection = Connection(Address.from_url(url))
        await connection.open()
        await connection.close()
        yield url
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.mark.skipif(REDIS is None, reason="redis-server is not on PATH")
async def test_an_external_redis(tmp_path: Path) -> None:
    """With --redis-url the same ledger runs on a Redis that is already there, and leaves it running."""
    async with redis(tmp_path) as url:
        async with serve(tmp_path / "data", "--redis-url", url) as server, server.client() as client:
            await client.call("system.register", id="w", roles=[])
            task = await create(client)
            assert (await client.call("task.claim", workerId="w"))["taskId"] == task
            await client.call("task.complete", id=task, workerId="w", epoch=1)
            assert "external" in server.ready["durability"]
            assert await client.is_healthy()
            assert await server.stop() == 0
        connection = Connection(Address.from_url(url))
        await connection.open()
        found = await invariants.check(connection, "default")
        await connection.close()
    assert found.tasks[1].status == "completed"


@pytest.mark.skipif(REDIS is None, reason="redis-server is not on PATH")
async def test_two_servers_share_a_ledger(tmp_path: Path) -> None:
    """Two servers on one Redis are one fleet: what one creates the other hands out, each task once; one may die."""
    async with (
        redis(tmp_path) as url,
        serve(tmp_path / "one", "--redis-url", url) as one,
        serve(tmp_path / "two", "--redis-url", url) as two,
        one.client() as first,
        two.client() as second,
    ):
        for client, name in ((first, "w1"), (second, "w2")):
            await client.call("system.register", id=name, roles=[], capacity=100, deadAfterMs=1000)
        made = [await create(client) for client in (first, second) for _ in range(20)]

        async def work(client: AsyncClient, name: str) -> list[str]:
            taken = []
            while (claimed := await client.call("task.claim", workerId=name))["claimed"]:
                taken.append(claimed["taskId"])
            return taken

        taken = await asyncio.gather(work(first, "w1"), work(second, "w2"))
        assert sorted(taken[0] + taken[1]) == sorted(made)
        await one.kill()

        async def takes_over() -> bool:
            """Beat as w2, whose server lives, until what the silent w1 held comes to it."""
            await client_takes(second, taken[1])
            return len(taken[1]) == len(made)

        await eventually(takes_over)


async def client_takes(client: AsyncClient, taken: list[str]) -> None:
    """Claim once and remember what came."""
    claimed = await client.call("task.claim", workerId="w2", maxTasks=10)
    taken.extend(task["id"] for task in claimed["tasks"])


@pytest.mark.skipif(REDIS is None, reason="redis-server is not on PATH")
async def test_an_external_redis_that_goes_away(tmp_path: Path) -> None:
    """A server whose external store is gone says -32001 and lives; nothing is made up in its place."""
    async with (
        redis(tmp_path) as url,
        serve(tmp_path / "data", "--redis-url", url) as server,
        server.client() as client,
    ):
        task = await create(client)
        connection = Connection(Address.from_url(url))
        await connection.open()
        with pytest.raises(ClaudeBenchError):
            await connection.command("SHUTDOWN", "NOSAVE")
        await connection.close()

        async def refused() -> bool:
            reply = await client.rpc({"jsonrpc": "2.0", "id": 1, "method": "task.get", "params": {"id": task}})
            data = reply["error"]["data"]
            return bool(reply["error"]["code"] == -32001 and data["outcome"] == "not_done" and data["retryAfterMs"])

        assert await eventually(refused)
        assert (await client.get("/health")).status == 503
        assert server.process.returncode is None
