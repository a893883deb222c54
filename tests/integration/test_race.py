"""Fifty claimers race for a thousand tasks over HTTP, and a broken claim shows that the check can fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from tests.scripts.fleet import snapshot, store_of

from claudebench.errors import Conflict
from claudebench.store.keys import prefix

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from claudebench.store.connection import Connection
    from claudebench.testing import AsyncClient, Server

CLAIMERS, TASKS = 50, 1000


def handed_twice(handed: list[str]) -> list[str]:
    """Return the tasks that more than one claimer was given."""
    return [task for task, times in Counter(handed).items() if times > 1]


async def create_many(client: AsyncClient, count: int) -> dict[str, int]:
    """Create tasks of mixed priorities in one batch; return their priorities by id."""
    priorities = [(at * 37) % 101 for at in range(count)]
    batch = [
        {"jsonrpc": "2.0", "id": at, "method": "task.create", "params": {"text": "a task", "priority": priority}}
        for at, priority in enumerate(priorities)
    ]
    return {reply["result"]["id"]: reply["result"]["priority"] for reply in await client.rpc(batch)}


async def race(claimers: int, take: Callable[[int], Awaitable[str]]) -> list[str]:
    """Let claimers take one after the other until nothing is left, or too much came; return what they were given."""
    handed: list[str] = []

    async def one(at: int) -> None:
        while len(handed) < 2 * TASKS and (task := await take(at)):
            handed.append(task)

    await asyncio.gather(*map(one, range(claimers)))
    return handed


async def test_each_task_goes_to_exactly_one_claimer(server: Server, client: AsyncClient) -> None:
    """Fifty claimers on fifty sockets get a thousand tasks, each once, in the order of priority, then age."""
    made = await create_many(client, TASKS)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(CLAIMERS)]
        for at, each in enumerate(clients):
            await each.call("system.register", id=f"w{at}", roles=[], capacity=TASKS, deadAfterMs=60_000)

        async def take(at: int) -> str:
            claimed = await clients[at].call("task.claim", workerId=f"w{at}")
            return str(claimed.get("taskId", ""))

        handed = await race(CLAIMERS, take)

    assert handed_twice(handed) == []
    assert sorted(handed) == sorted(made)
    found = await snapshot(server)
    order = sorted(made, key=lambda task: (-made[task], int(task[2:])))
    assert found.subjects("task.claimed") == order
    owners = {event.subject: event.payload["assignedTo"] for event in found.of_type("task.claimed")}
    assert owners == {f"t-{n}": row.owner for n, row in found.tasks.items()}


async def test_many_at_once_go_to_exactly_one_claimer(server: Server, client: AsyncClient) -> None:
    """Claimers that take up to ten at a time and complete them share the work without a task done twice."""
    made = await create_many(client, 300)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(20)]

        async def work(at: int) -> list[str]:
            name, done = f"w{at}", []
            await clients[at].call("system.register", id=name, roles=[], capacity=10, deadAfterMs=60_000)
            while tasks := (await clients[at].call("task.claim", workerId=name, maxTasks=1 + at % 10))["tasks"]:
                for task in tasks:
                    await clients[at].call("task.complete", id=task["id"], workerId=name, epoch=task["epoch"])
                    done.append(task["id"])
            return done

        done = [task for each in await asyncio.gather(*map(work, range(20))) for task in each]

    assert sorted(done) == sorted(made)
    assert sorted((await snapshot(server)).subjects("task.completed")) == sorted(made)


async def test_one_task_and_fifty_assigners(server: Server, client: AsyncClient) -> None:
    """Of fifty who assign one task at the same time exactly one succeeds, the others are -32011."""
    task = (await client.call("task.create", text="a task"))["id"]
    for at in range(CLAIMERS):
        await client.call("system.register", id=f"w{at}", roles=[], deadAfterMs=60_000)

    async def assign(at: int) -> dict[str, Any] | None:
        async with server.client() as each:
            try:
                answer: dict[str, Any] = await each.call("task.assign", taskId=task, instanceId=f"w{at}")
            except Conflict:
                return None
            return answer

    winners = [answer for answer in await asyncio.gather(*map(assign, range(CLAIMERS))) if answer]

    assert len(winners) == 1
    assert (await snapshot(server)).tasks[1].owner == winners[0]["instanceId"]


async def test_one_task_completed_by_its_old_and_its_new_owner(server: Server, client: AsyncClient) -> None:
    """When a former owner and the present one complete at the same time, only the present one's word counts."""
    for name in ("old", "new"):
        await client.call("system.register", id=name, roles=[], capacity=100, deadAfterMs=60_000)
    await create_many(client, 20)
    late = [(await client.call("task.claim", workerId="old"))["task"] for _ in range(20)]
    for task in late:
        await client.call("task.unassign", id=task["id"])
    tasks = [(await client.call("task.claim", workerId="new"))["task"] for _ in range(20)]

    async def complete(name: str, task: dict[str, Any]) -> str:
        async with server.client() as each:
            reply = await each.rpc(
                {
                    "jsonrpc": "2.0",
                    "id": 1,
                    "method": "task.complete",
                    "params": {"id": task["id"], "workerId": name, "epoch": task["epoch"], "result": name},
                }
            )
        return "done" if "result" in reply else str(reply["error"]["code"])

    said = [complete("old", task) for task in late] + [complete("new", task) for task in tasks]
    answers = await asyncio.gather(*said)

    assert answers == ["-32012"] * 20 + ["done"] * 20
    results = {event.payload["result"] for event in (await snapshot(server)).of_type("task.completed")}
    assert results == {"new"}


# A claim as it must not be: look first, act later. What others do in between is not seen.
LOOK = "return redis.call('ZRANGE', ARGV[1] .. 'ready:', 0, 0)"
ACT = """
redis.call('ZREM', ARGV[1] .. 'ready:', ARGV[2])
return redis.call('HSET', ARGV[1] .. 'task:' .. ARGV[2], 'owner', ARGV[3])
"""


async def list_then_act(store: Connection, claimer: str) -> str:
    """Claim in two steps, as the earlier code did."""
    start = prefix("default")
    head = await store.command("EVAL", LOOK, 0, start)
    if not head:
        return ""
    await store.command("EVAL", ACT, 0, start, head[0], claimer)
    return f"t-{head[0].decode()}"


async def test_the_check_finds_a_broken_claim(server: Server, client: AsyncClient) -> None:
    """With a claim that lists and then acts, the same race hands tasks out twice, and the check says so."""
    await create_many(client, 200)
    async with store_of(server) as store:
        handed = await race(CLAIMERS, lambda at: list_then_act(store, f"w{at}"))

    assert handed_twice(handed) != []
    with pytest.raises(AssertionError, match="ready:"):
        await snapshot(server)
