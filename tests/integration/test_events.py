"""The log over the wire: lists that filter, events of one's own, readers that lag, what is trimmed, what is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.scripts.fleet import store_of
from tests.scripts.ledger import HOUR

from claudebench.app import CATALOGUE
from claudebench.errors import Conflict, InvalidParams, NotFound, Unauthorized
from claudebench.events.cursor import Cursors, Mark
from claudebench.events.log import EventLog
from claudebench.store.keys import KEYS, prefix
from claudebench.testing import eventually

if TYPE_CHECKING:
    from claudebench.testing import AsyncClient, Server

EV = prefix("default") + KEYS["ev"].tail
OLD = ("type", "x.old.said", "subject", "s", "actor", "", "at", "1", "payload", "{}", "meta", "")


async def made(client: AsyncClient, count: int = 3) -> list[str]:
    """Make tasks and complete the first; return their ids."""
    ids = [(await client.call("task.create", text="a")).get("id") for _ in range(count)]
    await client.call("task.update", id=ids[0], updates={"status": "completed"})
    return ids


async def types(client: AsyncClient, **asked: Any) -> list[str]:
    """Return the types of the events that are asked for."""
    return [event["type"] for event in (await client.call("event.list", **asked))["events"]]


async def test_a_list_chooses_by_pattern_and_subject(asking: AsyncClient) -> None:
    """`task.*`, `*`, single types and a subject choose; several patterns are joined."""
    first, *_ = await made(asking)
    await asking.call("system.register", id="w", roles=[])

    assert await types(asking, types=["task.*"]) == ["task.created"] * 3 + ["task.completed"]
    assert await types(asking, types=["instance.*", "task.completed"]) == ["task.completed", "instance.registered"]
    assert len(await types(asking, types=["*"])) == 5
    assert await types(asking, subject=first) == ["task.created", "task.completed"]
    assert await types(asking, types=["task.created"], subject=first) == ["task.created"]
    assert await types(asking, types=["x.nobody.yet"]) == []


@pytest.mark.parametrize(
    ("asked", "near"), [("task.complete", "task.completed"), ("tsk.*", "task.*"), ("zzz", None), ("task*", None)]
)
async def test_a_type_that_no_event_has_is_told(asking: AsyncClient, asked: str, near: str | None) -> None:
    """A misspelt type is refused with the one that was meant, for an empty list would read as "nothing happened"."""
    with pytest.raises(InvalidParams) as caught:
        await asking.call("event.list", types=["task.created", asked])

    told: Any = caught.value.data["errors"]
    (issue,) = told
    assert issue["path"] == "types[1]"
    assert issue.get("nearest") == near


async def test_an_event_of_ones_own(asking: AsyncClient) -> None:
    """It is in the log as it was told, by whom it was told, and a repetition with its key is not told again."""
    told: dict[str, Any] = {"type": "x.build.done", "subject": "build-7", "payload": {"ok": True, "files": [1, None]}}
    about = {"idempotencyKey": "k", "instanceId": "ci"}
    first = await asking.call("event.emit", about, partitionKey="p", **told)
    again = await asking.call("event.emit", about, partitionKey="p", **told)
    with pytest.raises(Conflict):
        await asking.call("event.emit", about, **told)

    (event,) = (await asking.call("event.list", types=["x.*"]))["events"]
    assert first == again == {"id": event["id"]}
    assert {name: event[name] for name in told} == told
    assert (event["actor"], event["partitionKey"]) == ("ci", "p")


@pytest.mark.parametrize(
    "told",
    [
        {"type": "task.completed"},
        {"type": "x"},
        {"type": "x.A"},
        {"type": "x.a", "payload": [1]},
        {"type": "x.a", "payload": {"a": "x" * 65_536}},
        {"type": "x.a", "subject": ""},
        {"type": "x.a", "subject": "s" * 257},
    ],
)
async def test_what_cannot_be_told(asking: AsyncClient, told: dict[str, Any]) -> None:
    """Only types that begin with `x.`, an object of at most 64 KiB, a subject; nothing is written otherwise."""
    with pytest.raises(InvalidParams):
        await asking.call("event.emit", **told)

    assert await types(asking) == []


async def test_every_event_carries_what_its_type_says(server: Server, client: AsyncClient) -> None:
    """What the commands of all rooms leave in the log is declared, to the field."""
    await client.call("system.register", id="w", roles=["docs"], capacity=3, capabilities={"a": 1})
    first, second, third = await made(client)
    await client.call("task.assign", taskId=second, instanceId="w")
    await client.call("task.claim", workerId="w", maxTasks=2)
    await client.call("task.fail", id=second, workerId="w", error={"why": "red"}, retryable=True)
    await client.call("task.fail", id=third, workerId="w", error="red")
    await client.call("task.update", id=first, updates={"text": "b", "metadata": {"a": [1]}})
    await client.call("task.retry", id=first)
    await client.call("hook.pre_tool", tool="Bash", params={"command": "rm -rf /"})
    await client.call("hook.pre_tool", tool="Write", params={"file_path": "/tmp/a", "content": "a"}, sessionId="s")
    await client.call("hook.pre_tool", tool="Other", params={"a": 1})
    await client.call("hook.post_tool", tool="Bash", result={"ok": True}, toolUseId="t")
    await client.call("hook.user_prompt", prompt="hello", context={})
    await client.call("hook.todo_write", todos=[{"content": "a", "status": "pending", "activeForm": "doing"}])
    await client.call("system.unregister", instanceId="w")

    async def log() -> list[dict[str, Any]]:
        return list((await client.call("event.list", limit=1000))["events"])

    await eventually(lambda: _has(log, "hook.decided", 3))
    async with store_of(server) as connection:
        page = await EventLog(connection, CATALOGUE).page("default", "", 1000)
    for event in page.events:
        CATALOGUE.check(event.type, bytes(event.payload))
    assert {event.type.partition(".")[0] for event in page.events} == {"task", "instance", "hook"}


async def _has(log: Any, type_: str, count: int) -> bool:
    return len([event for event in await log() if event["type"] == type_]) >= count


async def test_a_list_says_what_is_gone(server: Server, client: AsyncClient) -> None:
    """Old events leave a running server by themselves, and whoever asks for them is told up to where they are gone."""
    async with store_of(server) as connection:
        for n in range(1, 31):
            await connection.command("XADD", EV, f"{n}-0", *OLD)
        await client.call("task.create", text="a")

        async def is_trimmed() -> bool:
            return bool(await connection.command("XLEN", EV) == 1)

        await eventually(is_trimmed)
    for after in ("", "7-0", "29-0"):
        page = await client.call("event.list", after=after)
        assert ([event["type"] for event in page["events"]], page["trimmed"]) == (["task.created"], "30-0")
    assert "trimmed" not in await client.call("event.list", after="30-0")


async def test_readers_hold_trimming_up_and_are_seen(server: Server, client: AsyncClient) -> None:
    """What a group has yet to handle stays, and `event.lag` says how much that is, since when, and who holds it."""
    async with store_of(server) as connection:
        cursors = Cursors(connection)
        for n in range(1, 11):
            await connection.command("XADD", EV, f"{n}-0", *OLD)
        await cursors.register("default", "digest", 1)
        (cursor,) = (await cursors.take("default", "digest", "me", 60_000)).cursors
        await client.call("task.create", text="a")
        await cursors.commit("default", Mark("digest", 0, "me", cursor.fence, "4-0"), 60_000)

        async def is_trimmed() -> bool:
            return bool(await connection.command("XLEN", EV) == 7)

        await eventually(is_trimmed)
        await cursors.note("default", "record", "them", 3, "5-0")
    told = await client.call("event.lag")
    digest, record = told["groups"]

    assert told["trimmed"] == "4-0"
    assert (digest["group"], digest["behind"], digest["behindExact"]) == ("digest", 7, True)
    assert digest["behindMs"] > HOUR
    (partition,) = digest["partitions"]
    assert (partition["position"], partition["holder"], partition["fence"]) == ("4-0", "me", 1)
    assert (record["group"], record["behind"], record["partitions"][0]["fence"]) == ("record", 6, 3)
    (only,) = (await client.call("event.lag", group="record"))["groups"]
    assert only["partitions"][0]["position"] == "5-0"
    with pytest.raises(NotFound) as caught:
        await client.call("event.lag", group="records")
    assert caught.value.data["nearest"] == "record"


async def test_a_gap_is_bad_health_until_somebody_made_up_for_it(server: Server, client: AsyncClient) -> None:
    """When the hard cap overtook a group: an event names it, health is degraded, and well again when acknowledged."""

    async def log_is_well() -> bool:
        return bool((await client.call("system.health"))["services"]["log"])

    assert await log_is_well()
    async with store_of(server) as connection:
        cursors = Cursors(connection)
        await cursors.register("default", "digest", 1)
        evmeta, meta = (prefix("default") + KEYS[name].tail for name in ("evmeta", "meta"))
        await connection.command("HSET", evmeta, "max", 10)
        await connection.command("HSET", meta, "test", 1)
        while not (await EventLog(connection, CATALOGUE).span("default")).trimmed:
            await client.call("task.create", text="a")

        async def is_told() -> bool:
            return bool(await types(client, types=["cursor.gap"]))

        await eventually(is_told)
        (event,) = (await client.call("event.list", types=["cursor.gap"]))["events"]
        assert (event["payload"]["group"], event["payload"]["from"]) == ("digest", "0-0")
        await eventually(lambda: _not(log_is_well))
        assert (await client.call("system.health"))["status"] == "degraded"

        await connection.command("HSET", evmeta, "max", 1_000)
        with pytest.raises(Unauthorized):
            await client.call("event.group.acknowledge", group="digest")
        client.token = server.operator_token
        with pytest.raises(Conflict, match="claudebench record rebuild"):
            await client.call("event.group.acknowledge", group="record")
        with pytest.raises(NotFound) as caught:
            await client.call("event.group.acknowledge", group="digets")
        assert caught.value.data["nearest"] == "digest"
        assert not await log_is_well()
        assert await client.call("event.group.acknowledge", group="digest") == {"group": "digest", "gaps": 1}
        assert await client.call("event.group.acknowledge", group="digest") == {"group": "digest", "gaps": 0}
        assert await types(client, types=["event.gap_acknowledged"]) == ["event.gap_acknowledged"]
        await eventually(log_is_well)


async def _not(condition: Any) -> bool:
    return not await condition()
