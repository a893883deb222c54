"""The record of a running server: what it holds, how far it is, and that it equals the ledger to the row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.recorded import check, differences, is_level, rows, walk
from tests.integration.test_retention import backdate, finished, is_gone
from tests.scripts.fleet import Fleet, store_of

from claudebench.errors import InvalidParams, NotFound, TimedOut, Unauthorized, Unavailable
from claudebench.testing import AsyncClient, Server, eventually, serve

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.testing.postgres import Postgres


async def live(client: AsyncClient) -> None:
    """Let everything happen that can happen to a task, an instance and a tool call."""
    for name in ("one", "two"):
        await client.call("system.register", id=name, roles=["python"], bootId="a")
    ids = [(await client.call("task.create", text=f"task {at}", metadata={"at": at}))["id"] for at in range(8)]
    waits = [await client.call("task.create", text="waits", dependsOn=ids[at : at + 2]) for at in range(6)]
    held = (await client.call("task.claim", workerId="one", maxTasks=8))["tasks"]
    for task in held[:2]:
        await client.call("task.complete", id=task["id"], workerId="one", result={"by": "one", "none": None})
    await client.call("task.complete", id=held[2]["id"], workerId="one")
    await client.call("task.complete", id=held[3]["id"], workerId="one", result=None)
    await client.call("task.fail", id=held[4]["id"], workerId="one", error="no", retryable=True)
    await client.call("task.fail", id=held[5]["id"], workerId="one", error={"why": "broken"})
    await client.call("task.renew", id=held[6]["id"], workerId="one", leaseMs=60_000)
    await client.call("task.release", id=held[7]["id"], workerId="one")
    for status in ("completed", "failed"):
        id_ = (await client.call("task.create", text=status))["id"]
        await client.call("task.update", id=id_, updates={"status": status, "text": "é\u2028", "metadata": {"a": [1]}})
        await client.call("task.update", id=id_, updates={"priority": 7, "metadata": {"b": None}})
    await client.call("task.retry", id=held[5]["id"])
    await client.call("task.assign", taskId=held[7]["id"], instanceId="two")
    await client.call("task.delete", id=waits[-1]["id"])
    await client.call("task.create", text="dies with its owner", priority=100, maxAttempts=1)
    await client.call("task.claim", workerId="one")
    await client.call("system.register", id="one", roles=[], bootId="b")
    await client.call("system.unregister", instanceId="two")
    for command in ("ls", "rm -rf /"):
        await client.call("hook.pre_tool", tool="Bash", params={"command": command}, sessionId="s", instanceId="one")


async def begun(server: Server, client: AsyncClient) -> None:
    """Wait until the record has begun: what comes now it learns from events."""
    await client.call("task.create", text="the first", priority=0)
    await eventually(lambda: is_level(server))


async def test_the_record_is_the_ledger(server: Server, client: AsyncClient) -> None:
    """Whatever happens to tasks and instances, the record has it as the ledger has it, and every step of it once."""
    await begun(server, client)
    await live(client)
    await check(server)
    assert {state for (state,) in await rows(server, "SELECT state FROM instances")} == {"ACTIVE", "LEFT"}
    assert await rows(server, "SELECT decision, instance_id FROM hook_decisions ORDER BY ms, seq") == [
        ("allow", "one"),
        ("deny", "one"),
    ]


async def test_the_record_on_postgresql(tmp_path: Path, postgresql: Postgres) -> None:
    """A PostgreSQL holds the same record as a file does."""
    url = await postgresql.fresh()
    async with serve(tmp_path / "data", "--database-url", url) as server, server.client() as client:
        await begun(server, client)
        await live(client)
        await check(server, postgresql)


async def test_other_workspaces(server: Server) -> None:
    """Every workspace is recorded by itself, one with nothing but tool calls too."""
    async with server.client(workspace="other") as client:
        await client.call("hook.pre_tool", tool="Bash", params={"command": "ls"})
    async with server.client(workspace="third") as client:
        await client.call("task.create", text="a task")

    async def both() -> bool:
        return await rows(server, "SELECT workspace, type FROM events ORDER BY workspace") == [
            ("other", "hook.decided"),
            ("third", "task.created"),
        ]

    await eventually(both)
    assert await differences(server, "third") == []


@pytest.mark.parametrize("statement", [
    "UPDATE tasks SET status = 'completed' WHERE n = 1",
    "UPDATE tasks SET result = '1' WHERE n = 1",
    "DELETE FROM tasks WHERE n = 2",
    ("INSERT INTO tasks SELECT workspace, 99, status, priority, assigned_to, epoch, attempts, max_attempts, lease_ms, "
    "created_ms, updated_ms, finished_ms, dead_letter, waits_for, blocked, text, doc, metadata, result, error, "
    "deleted, ms, seq FROM tasks WHERE n = 1"),
    "UPDATE events SET payload = '{}' WHERE subject = 't-1'",
    "DELETE FROM events WHERE subject = 't-2'",
    ("INSERT INTO events SELECT workspace, ms, seq + 1000, type, subject, actor, at_ms, payload, meta, lost "
    "FROM events WHERE subject = 't-1'"),
    "UPDATE instances SET incarnation = 7",
    "DELETE FROM instances",
])  # fmt: skip
async def test_what_was_altered_is_found_and_mended(server: Server, client: AsyncClient, statement: str) -> None:
    """A row of the record that was altered, dropped or put in is found, and a rebuild makes it as it was."""
    for at in range(3):
        await client.call("task.create", text=f"task {at}")
    await client.call("system.register", id="w", roles=[])
    await client.call("task.create", text="the last")
    await eventually(lambda: is_level(server))
    await rows(server, statement)
    assert len(await differences(server)) == 1

    async with server.client(token=server.operator_token) as operator:
        await walk(operator, "record.rebuild")
    await check(server)


async def test_verify_while_everything_goes_on(server: Server) -> None:
    """A comparison under load finds nothing, however fast rows move under it."""
    async with Fleet(server, creators=2, workers=4) as fleet:
        await fleet.goes_on()
        assert await differences(server) == []


async def test_only_the_operator_compares(asking: AsyncClient) -> None:
    """How the record stands everybody may ask; comparing and rebuilding are the operator's."""
    await asking.call("record.status")
    for command in ("record.verify", "record.rebuild"):
        with pytest.raises(Unauthorized):
            await asking.call(command)


@pytest.mark.parametrize("at", ["nothing:", "tasks:x", "events:1", "tasks:-1"])
async def test_a_step_that_there_is_not(shared: Server, at: str) -> None:
    """A step that nobody named is refused."""
    async with shared.client(token=shared.operator_token) as operator:
        with pytest.raises(InvalidParams):
            await operator.call("record.verify", at=at)


async def test_retired_tasks_live_in_the_record(tmp_path: Path) -> None:
    """A task that left the ledger is got and listed with `archived`, and is no difference."""
    async with serve(tmp_path / "data", "--retain", "2") as server, server.client() as client:
        id_ = await finished(client, priority=90, metadata={"a": 1})
        stays = (await client.call("task.create", text="stays"))["id"]
        before = await client.call("task.get", id=id_)
        await backdate(server, [id_], 3)
        await eventually(lambda: is_gone(client, id_))

        assert await client.call("task.get", id=id_, archived=True, after=client.position) == before
        listed = await client.call("task.list", archived=True, orderBy="priority", order="desc")
        assert [task["id"] for task in listed["tasks"]] == [id_, stays]
        assert await differences(server) == []
        await check(server)


async def test_pages_of_the_archive(asking: AsyncClient) -> None:
    """An archived list is ordered, filtered and paged as a list of the ledger is, and each task comes once."""
    for at in range(25):
        await asking.call("task.create", text=f"{'ab'[at % 2]} {at}", priority=at % 5 * 10)
    position = asking.position
    for asked in (
        {},
        {"order": "asc"},
        {"orderBy": "priority"},
        {"orderBy": "priority", "order": "asc", "priorityMin": 20},
        {"orderBy": "updatedAt", "textPrefix": "a "},
        {"status": "pending", "priority": 10},
    ):
        ledger = await asking.call("task.list", **asked)
        found: list[Any] = []
        more: dict[str, Any] = {}
        while True:
            page = await asking.call("task.list", archived=True, after=position, limit=7, **asked, **more)
            found += page["tasks"]
            if not page["hasMore"]:
                break
            more = {"cursor": page["nextCursor"]}
        if asked.get("orderBy") == "updatedAt":
            assert sorted(task["id"] for task in found) == sorted(task["id"] for task in ledger["tasks"])
        else:
            assert found == ledger["tasks"]
        assert page["totalCount"] == len(ledger["tasks"])


async def test_a_deleted_task_is_no_archived_one(asking: AsyncClient) -> None:
    """A task that was deleted, and one that never was, are not found in the record either."""
    id_ = (await asking.call("task.create", text="short"))["id"]
    await asking.call("task.delete", id=id_)
    position = asking.position
    for asked, reason in ((id_, "gone"), ("t-77", "unknown")):
        with pytest.raises(NotFound) as refused:
            await asking.call("task.get", id=asked, archived=True, after=position)
        assert refused.value.data["reason"] == reason
    assert (await asking.call("task.list", archived=True))["tasks"] == []


async def test_a_read_waits_for_what_it_is_to_see(asking: AsyncClient) -> None:
    """A read of the record with `after` sees that change, and one that asks for what has not happened ends in time."""
    for at in range(20):
        id_ = (await asking.call("task.create", text=f"task {at}"))["id"]
        assert (await asking.call("task.get", id=id_, archived=True, after=asking.position or "0-1"))["text"]
    with pytest.raises(TimedOut) as late:
        await asking.call("task.get", id="t-1", archived=True, after="99999999999999-0", timeoutMs=50)
    assert late.value.data["position"]


async def test_no_record(tmp_path: Path) -> None:
    """Without a record the server works, says what is missing to who asks for it, and writes no file."""
    async with serve(tmp_path / "data", "--database-url", "none") as server, server.client() as client:
        await client.call("task.create", text="a task")
        for command in ("record.status", "task.list"):
            with pytest.raises(Unavailable, match="--database-url") as refused:
                await client.call(command, **({"archived": True} if command == "task.list" else {}))
            assert refused.value.data["reason"] == "record"
        assert "record" not in json.loads((await client.get("/health")).body)["services"]
        assert not (server.data_dir / "record.db").exists()


async def test_a_record_begun_late(tmp_path: Path) -> None:
    """A server that kept no record until now begins with what the ledger holds, though its log was cut."""
    async with serve(tmp_path / "data", "--database-url", "none") as server, server.client() as client:
        for at in range(5):
            await client.call("task.create", text=f"task {at}")
        async with store_of(server) as store:
            await store.command("XTRIM", "cb:{default}:ev", "MAXLEN", "2")
    async with serve(tmp_path / "data") as server:
        await eventually(lambda: is_level(server))
        assert await differences(server) == []
        assert await rows(server, "SELECT n, text FROM tasks ORDER BY n") == [(at + 1, f"task {at}") for at in range(5)]


async def test_the_log_waits_for_the_record(server: Server, client: AsyncClient) -> None:
    """The log knows how far it is recorded, so that nothing goes from it unread; who keeps no record lets it go."""
    await client.call("task.create", text="a task")
    position = client.position

    async def noted() -> list[tuple[str, str]]:
        groups = (await client.call("event.lag"))["groups"]
        return [(each["group"], each["partitions"][0]["position"]) for each in groups]

    async def is_noted() -> bool:
        return await noted() == [("record", position)]

    await eventually(is_noted)
    await server.stop()
    server.options = ("--database-url", "none")
    await server.start()
    client.cut()
    assert await noted() == []
