"""A hundred thousand tasks walked in every order and by every filter, while others move. By hand: pytest -m soak."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.scripts.test_lua_list import FILTERS, ORDERS

from claudebench.instances.store import REGISTER
from claudebench.store.keys import prefix
from claudebench.tasks.store import UPDATE
from claudebench.testing.fill import Direct, create_words, fill, script_words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claudebench.testing import AsyncClient, Server
    from claudebench.testing.fill import Words

pytestmark = pytest.mark.soak
TASKS = 100_000
MOVES_EVERY = 10
MOVERS = 4
DAY_MS = 86_400_000
PAGE = 1000


def store(server: Server) -> None:
    """Fill the ledger: of every ten, three pending, four completed, one failed, two in progress of w1 and w2."""
    ends = {
        3: "completed",
        4: "completed",
        5: "completed",
        6: "completed",
        7: "failed",
        8: "in_progress",
        9: "in_progress",
    }
    with Direct(json.loads((server.data_dir / "lock").read_text())["store"]["socket"]) as direct:
        numbers = fill(direct, (text(n) for n in range(TASKS)))
        direct.call("SCRIPT", "LOAD", UPDATE.text)
        for worker in ("w1", "w2"):
            head = ("EVALSHA", REGISTER.sha, 1, prefix("default"), "", worker, "")
            direct.call(*head, b"{}", ",", TASKS, DAY_MS, "")
        moves = ((n, ends.get(n // 10 % 10), f"w{1 + n % 2}") for n in numbers)
        list(direct.run(move_words(n, status, worker) for n, status, worker in moves if status))


def move_words(n: int, status: str, worker: str) -> Words:
    """Return the command that moves a task."""
    return script_words(UPDATE, "default", n, status, worker if status == "in_progress" else "", *[""] * 7)


def text(n: int) -> Words:
    """Return the command that creates a task whose text begins in one of two ways."""
    words = list(create_words("default", n, (0, 10, 50, 70, 100)[n % 5]))
    words[7] = json.dumps({"text": f"even {n}" if n % 2 == 0 else f'odd "q" {n}'}, separators=(",", ":"))
    return tuple(words)


@asynccontextmanager
async def movement(server: Server) -> AsyncIterator[list[int]]:
    """Let every tenth task be given other priorities, texts and states, again and again."""
    moved = [0]

    async def move(start: int) -> None:
        async with server.client() as client:
            while True:
                for n in range(start, TASKS, MOVES_EVERY * MOVERS):
                    moved[0] += 1
                    updates: dict[str, Any] = {"priority": moved[0] % 101, "text": f"even moved {moved[0]}"}
                    task = await client.call("task.update", id=f"t-{n}", updates=updates)
                    if task["status"] in {"completed", "failed"}:
                        await client.call("task.retry", id=f"t-{n}")

    movers = [asyncio.create_task(move(MOVES_EVERY * (at + 1))) for at in range(MOVERS)]
    yield moved
    for mover in movers:
        assert not mover.done(), mover.exception()
        mover.cancel()
    await asyncio.gather(*movers, return_exceptions=True)


async def walk(client: AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    """Return every task of every page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await client.call("task.list", limit=PAGE, **cursor, **asked)
        found += page["tasks"]
        if not page["hasMore"]:
            return found
        cursor = {"cursor": page["nextCursor"]}


def is_still(id_: str) -> bool:
    """Whether nobody moves a task."""
    return int(id_[2:]) % MOVES_EVERY != 0


async def test_every_walk_sees_what_does_not_move_exactly_once(server: Server, client: AsyncClient) -> None:
    """While a tenth of 100,000 tasks move, each walk finds each other task that it wants once, and in its order."""
    async with asyncio.timeout(600):
        await asyncio.to_thread(store, server)
        still = {task["id"]: task for task in await walk(client) if is_still(task["id"])}
    assert len(still) == TASKS - TASKS // MOVES_EVERY
    async with movement(server) as moved:
        for name, (asked, wanted) in FILTERS.items():
            expected = {id_ for id_, task in still.items() if wanted(as_model(task))}
            for by, order in ORDERS:
                before = moved[0]
                found = [task for task in await walk(client, orderBy=by, order=order, **asked) if is_still(task["id"])]
                assert len(found) == len(expected), (name, by, order)
                assert {task["id"] for task in found} == expected, (name, by, order)
                places = [task[by] for task in found]
                assert places == sorted(places, reverse=order == "desc"), (name, by, order)
                assert moved[0] > before, "nothing moved meanwhile"


def as_model(task: dict[str, Any]) -> Any:
    """Return an answered task as the filters of the scripts' tests read it."""
    names = {"status": "status", "priority": "priority", "text": "text", "assigned_to": "assignedTo"}
    return SimpleNamespace(**{ours: task.get(theirs) for ours, theirs in names.items()})
