"""A batch is written once, wholly, by whoever moves the position from where it begins; rows know their position."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, select

from claudebench.hooks.record import DecisionRecord
from claudebench.instances.record import InstanceRecord
from claudebench.record import writing
from claudebench.record.entry import Entry
from claudebench.record.room import Part
from claudebench.record.tables import EVENTS
from claudebench.record.writing import Batch, Overtaken
from claudebench.tasks.record import HISTORY, TASKS
from claudebench.tasks.recorded import TaskRecord

if TYPE_CHECKING:
    from claudebench.record.database import Database

STORE: Any = None
TASK = TaskRecord(STORE)
ROOMS = (TASK, InstanceRecord(STORE), DecisionRecord())


def event(number: int, type_: str, n: int, status: str, **more: Any) -> Entry:
    """Return an event of a task, at position 1-`number`."""
    moving = {
        "id": f"t-{n}", "status": status, "priority": 50, "assignedTo": "", "epoch": number, "attempts": 0,
        "maxAttempts": 3, "leaseMs": 0, "createdMs": 1, "updatedMs": number, "completedMs": 0, "deadLetter": False,
    }  # fmt: skip
    return Entry(1, number, type_, f"t-{n}", "w", number, json.dumps(moving | more).encode(), b"")


def created(number: int, n: int) -> Entry:
    """Return the event of a new task."""
    return event(number, "task.created", n, "pending", doc={"text": "a task", "metadata": {"a": 1}})


async def begin(database: Database) -> None:
    """Take the workspace up."""
    await database.run(partial(writing.begin, workspaces=["w"]))


async def write(database: Database, old: str, *entries: Entry) -> None:
    """Write a batch."""
    await database.run(lambda connection: writing.write(connection, Batch("w", old, entries), ROOMS))


async def one(database: Database, n: int) -> dict[str, Any]:
    """Return the row of a task."""

    def read(connection: Connection) -> dict[str, Any]:
        return dict(connection.execute(select(TASKS).where(TASKS.c.n == n)).mappings().one())

    return await database.read(read)


async def count(database: Database, table: Any) -> int:
    """Return how many rows a table has."""
    return len(await database.read(lambda connection: connection.execute(select(table)).all()))


async def test_a_batch_counts_once(database: Database) -> None:
    """Who begins where the position no longer is writes nothing, be it the same batch or another."""
    await begin(database)
    await write(database, "", created(1, 1))
    for stale in ("", "1-7"):
        with pytest.raises(Overtaken):
            await write(database, stale, created(2, 2))
    assert await count(database, EVENTS) == await count(database, TASKS) == await count(database, HISTORY) == 1
    assert await database.read(partial(writing.positions, workspaces=["w"])) == {"w": "1-1"}


async def test_one_batch_or_many(database: Database) -> None:
    """A task ends up the same whether its events come in one batch or one by one."""
    told = [
        created(1, 1),
        event(2, "task.updated", 1, "pending", patch={"text": "other", "metadata": {"b": [2]}}),
        event(3, "task.claimed", 1, "in_progress"),
        event(4, "task.completed", 1, "completed", result={"x": None}),
        event(5, "task.updated", 1, "completed", patch={"metadata": {"a": 3}}),
    ]
    await begin(database)
    await write(database, "", *told)
    at_once = await one(database, 1)
    again = [each._replace(ms=2, subject="t-2") for each in told]
    old = "1-5"
    for each in again:
        await write(database, old, each)
        old = each.id
    one_by_one = await one(database, 2)
    assert at_once | {"n": 2, "ms": 2} == one_by_one
    assert (at_once["text"], json.loads(at_once["metadata"])) == ("other", {"a": 3, "b": [2]})
    assert (at_once["status"], at_once["result"]) == ("completed", '{"x": null}')


async def test_a_row_read_later_stands(database: Database) -> None:
    """A row that was read from the ledger is moved by later events only, however old ones come after it."""
    await begin(database)
    await write(database, "", created(1, 1))
    row = {**(await one(database, 1)), "text": "as read", "status": "failed"}
    part = Part(
        (1, 5), {1: {name: row[name] for name in row if name not in {"workspace", "n", "ms", "seq"}}}, 1, None, 1
    )
    await database.run(lambda connection: TASK.put(connection, "w", part))
    await write(database, "1-1", event(2, "task.updated", 1, "pending", patch={"text": "old"}), created(3, 3))
    assert ((await one(database, 1))["text"], (await one(database, 1))["status"]) == ("as read", "failed")
    await write(database, "1-3", event(6, "task.updated", 1, "pending", patch={"text": "new"}))
    assert ((await one(database, 1))["text"], (await one(database, 1))["status"]) == ("new", "pending")


async def test_an_event_that_no_table_takes(database: Database) -> None:
    """An event that a room cannot take stays among the events and is counted; its neighbours are written."""
    await begin(database)
    entries = (created(1, 1), event(2, "task.claimed", 1, "in_progress", epoch=2**70), created(3, 3))
    batch = Batch("w", "", (*entries, Entry(1, 4, "task.claimed", "t-1", "", 4, b"no json", b"")))
    with pytest.raises(writing.BAD):
        await database.run(lambda connection: writing.write(connection, batch, ROOMS))
    refused = await database.run(lambda connection: writing.write_carefully(connection, batch, ROOMS))
    assert (refused, await count(database, EVENTS), await count(database, TASKS)) == (2, 4, 2)


async def test_text_that_is_no_text(database: Database) -> None:
    """NUL and what is no UTF-8 are replaced, since not every database takes them."""
    await begin(database)
    doc = {"text": "a\0b", "metadata": {"k": "c\0"}}
    odd = event(1, "task.created", 1, "pending", doc=doc)._replace(meta=b"\xff\0")
    await write(database, "", odd)
    assert (await one(database, 1))["text"] == "a\ufffdb"
