"""get, list, counts, and the log: what a reader is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scripts.ledger import MINUTE, num

from claudebench.app import CATALOGUE
from claudebench.errors import LimitReached, NotFound
from claudebench.events.log import EventLog
from claudebench.tasks import model

if TYPE_CHECKING:
    from tests.scripts.ledger import Ledger


async def one_of_each(ledger: Ledger) -> dict[str, int]:
    """Make one task of each status."""
    await ledger.register("w")
    made = {status: await ledger.create() for status in ("completed", "failed", "in_progress", "pending")}
    await ledger.claim("w", 3)
    await ledger.complete(made["completed"], "w")
    await ledger.fail(made["failed"], "w")
    return made


async def test_an_unknown_task_is_not_found(ledger: Ledger) -> None:
    """Reading a task that never was is -32010."""
    with pytest.raises(NotFound):
        await ledger.get(1)


async def test_counts_by_status(ledger: Ledger) -> None:
    """The counts name every status and the dead letters, zeros included."""
    assert await ledger.tasks.counts(ledger.workspace) == model.Counts(0, 0, 0, 0, 0)
    await one_of_each(ledger)
    assert await ledger.tasks.counts(ledger.workspace) == model.Counts(1, 1, 1, 1, 0)


@pytest.mark.parametrize("status", ["pending", "in_progress", "completed", "failed"])
async def test_a_list_of_one_status(ledger: Ledger, status: str) -> None:
    """A list of a status holds the tasks of that status and their exact number."""
    made = await one_of_each(ledger)

    page = await ledger.list(status=status, limit=10)

    assert [num(task) for task in page.tasks] == [made[status]]
    assert (page.total_count, page.has_more) == (1, False)


async def test_pages_join_into_the_whole(ledger: Ledger) -> None:
    """Pages, newest first, follow each other without gap or repeat, while tasks are added in between."""
    made = [await ledger.create() for _ in range(7)]
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = await ledger.list(**({"cursor": cursor} if cursor else {}), limit=3)
        seen += [num(task) for task in page.tasks]
        if not page.has_more:
            break
        cursor = str(page.next_cursor)
        await ledger.create("added in between")

    assert seen == made[::-1]


async def test_a_page_stops_at_a_mebibyte(ledger: Ledger) -> None:
    """A page ends early when it is about a MiB long, says so, and its cursor goes on where it stopped."""
    await ledger.register("w", capacity=100)
    made = [await ledger.create() for _ in range(40)]
    for n in made:
        await ledger.claim("w")
        await ledger.complete(n, "w", 1, "x" * 60_000)

    first = await ledger.list(status="completed", limit=1000)
    rest = await ledger.list(status="completed", limit=1000, cursor=first.next_cursor)

    assert first.has_more
    assert first.total_count == 40
    assert 10 < len(first.tasks) < 20
    assert [num(task) for task in (*first.tasks, *rest.tasks)][: len(first.tasks) + 5] == made[::-1][
        : len(first.tasks) + 5
    ]


async def test_every_change_answers_with_its_position(ledger: Ledger) -> None:
    """The position of an answer is the id of the event that the change made."""
    await ledger.register("w")
    n = await ledger.create()
    await ledger.claim("w")
    position = await ledger.complete(n, "w", 1)

    found = await ledger.read()
    assert position == found.of_type("task.completed")[0].position == found.events[-1].position
    assert [event.type for event in found.events] == [
        "instance.registered",
        "task.created",
        "task.claimed",
        "task.completed",
    ]


async def test_an_empty_claim_has_no_position(ledger: Ledger) -> None:
    """A claim that found nothing changed nothing, so it has no position and leaves no event."""
    await ledger.register("w")

    assert (await ledger.tasks.claim(ledger.origin("w"), 1, None)).position == ""
    assert len((await ledger.read()).events) == 1


async def test_the_log_knows_how_far_it_is(ledger: Ledger) -> None:
    """The log tells its last position and how many events were ever written, and shows the newest first."""
    log = EventLog(ledger.connection, CATALOGUE)
    assert await log.position(ledger.workspace) == ("", 0)
    await one_of_each(ledger)

    found = await ledger.read()
    assert await log.position(ledger.workspace) == (found.events[-1].position, len(found.events))
    assert len(list(await log.recent(ledger.workspace, 3))) == 3


async def test_a_full_store_still_lets_work_end(ledger: Ledger) -> None:
    """When the store's memory is full, creating is refused, while claimed work can be renewed, ended and given back."""
    await ledger.register("w", dead_after_ms=MINUTE)
    for _ in range(4):
        await ledger.create()
    await ledger.claim("w", 4)
    await ledger.connection.command("CONFIG", "SET", "maxmemory", "1mb")
    try:
        with pytest.raises(LimitReached) as refusal:
            await ledger.create()
        assert (refusal.value.outcome, refusal.value.data["reason"]) == ("not_done", "memory")
        assert (await ledger.beat("w")).alive
        await ledger.renew(1, "w", 1)
        await ledger.complete(1, "w", 1)
        await ledger.fail(2, "w", 1)
        await ledger.release(3, "w", 1)
        assert (await ledger.get(1)).status == "completed"
    finally:
        await ledger.connection.command("CONFIG", "SET", "maxmemory", "0")
