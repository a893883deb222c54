"""Lists: every filter and order, page by page, against a model in plain Python."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.scripts.ledger import Ledger, num

from claudebench.errors import InvalidParams
from claudebench.tasks import model

if TYPE_CHECKING:
    from collections.abc import Callable

    Wanted = Callable[[model.Task], bool]

FILTERS: dict[str, tuple[dict[str, Any], Wanted]] = {
    "all": ({}, lambda _: True),
    "pending": ({"status": "pending"}, lambda t: t.status == "pending"),
    "completed": ({"status": "completed"}, lambda t: t.status == "completed"),
    "of w1": ({"assignedTo": "w1"}, lambda t: t.assigned_to == "w1"),
    "in progress of w1": (
        {"assignedTo": "w1", "status": "in_progress"}, lambda t: t.assigned_to == "w1" and t.status == "in_progress",
    ),
    "priority 50": ({"priority": 50}, lambda t: t.priority == 50),
    "at least 70": ({"priorityMin": 70}, lambda t: t.priority >= 70),
    "pending at least 70": (
        {"priorityMin": 70, "status": "pending"}, lambda t: t.priority >= 70 and t.status == "pending",
    ),
    "prefix": ({"textPrefix": "even"}, lambda t: t.text.startswith("even")),
    "prefix with quotes": ({"textPrefix": 'odd "q'}, lambda t: t.text.startswith('odd "q')),
    "everything": (
        {"assignedTo": "w1", "status": "completed", "priorityMin": 10, "textPrefix": "even"},
        lambda t: (t.assigned_to, t.status) == ("w1", "completed") and t.priority >= 10 and t.text.startswith("even"),
    ),
}  # fmt: skip
ORDERS = [(by, way) for by in ("createdAt", "updatedAt", "priority") for way in ("asc", "desc")]


async def fill(ledger: Ledger, count: int = 120) -> list[model.Task]:
    """Make tasks of every kind, many of them in the same millisecond, and return them as they are."""
    chance = random.Random(7)
    for worker in ("w1", "w2"):
        await ledger.register(worker, capacity=1000)
    for number in range(count):
        await ledger.create(
            f"even {number}" if number % 2 == 0 else f'odd "q" {number}', priority=chance.choice([0, 10, 50, 70, 100])
        )
        ledger.now_ms += chance.choice([0, 0, 0, 1])
    for number in range(1, count + 1):
        move = chance.randrange(6)
        worker = chance.choice(["w1", "w2"])
        if move > 2:
            await ledger.update(number, worker=worker, status="in_progress")
        if move > 3:
            await ledger.update(number, worker=worker, status="completed")
        if move == 1:
            await ledger.update(number, text=f"even more {number}")
        ledger.now_ms += chance.choice([0, 0, 0, 1])
    return [await ledger.get(number) for number in range(1, count + 1)]


def sorted_by(tasks: list[model.Task], by: str, way: str) -> list[int]:
    """Return the numbers of tasks in an order; of one moment, as their ids are spelt."""
    keys: dict[str, Callable[[model.Task], Any]] = {
        "createdAt": num,
        "updatedAt": lambda task: (task.updated_at, str(num(task))),
        "priority": lambda task: (task.priority, -num(task)),
    }
    return [num(task) for task in sorted(tasks, key=keys[by], reverse=way == "desc")]


async def walk(ledger: Ledger, limit: int, **asked: Any) -> list[model.Page]:
    """Return every page."""
    pages = [await ledger.list(limit=limit, **asked)]
    while pages[-1].has_more:
        pages.append(await ledger.list(limit=limit, cursor=pages[-1].next_cursor, **asked))
    return pages


@pytest.mark.parametrize("name", FILTERS)
async def test_every_filter_in_every_order(ledger: Ledger, name: str) -> None:
    """Pages of seven join into exactly what the model says, and the total is exact or a lower bound."""
    asked, wanted = FILTERS[name]
    tasks = [task for task in await fill(ledger) if wanted(task)]
    for by, way in ORDERS:
        pages = await walk(ledger, 7, orderBy=by, order=way, **asked)
        found = [num(task) for page in pages for task in page.tasks]
        assert found == sorted_by(tasks, by, way), (by, way)
        assert all(page.total_count == len(tasks) for page in pages if page.total_count_exact), (by, way)
        assert all(page.total_count <= len(tasks) for page in pages), (by, way)


async def test_totals_are_exact_where_an_index_counts(ledger: Ledger) -> None:
    """All, of one status, of one holder, and of a range of priorities in their order."""
    await fill(ledger, 40)
    exact: list[dict[str, Any]] = [
        {}, {"status": "pending"}, {"assignedTo": "w1"}, {"priorityMin": 70, "orderBy": "priority"},
        {"priority": 50, "status": "pending", "orderBy": "priority"},
    ]  # fmt: skip

    assert all([(await ledger.list(**asked)).total_count_exact for asked in exact])
    assert not (await ledger.list(textPrefix="even")).total_count_exact


OTHERS: list[dict[str, Any]] = [
    {"orderBy": "updatedAt"}, {"orderBy": "priority"}, {"order": "asc"}, {"status": "pending"}, {"assignedTo": "w1"},
    {"priority": 50}, {"priorityMin": 50}, {"textPrefix": "even"},
]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS, ids=str)
async def test_a_cursor_of_another_list_is_refused(ledger: Ledger, other: dict[str, Any]) -> None:
    """A cursor goes on only in the order and with the filters it was made for; how long a page is may change."""
    await fill(ledger, 10)
    page = await ledger.list(limit=2)

    with pytest.raises(InvalidParams) as found:
        await ledger.list(cursor=page.next_cursor, **other)

    errors: Any = found.value.data["errors"]
    assert [each["path"] for each in errors] == ["cursor"]
    assert len((await ledger.list(limit=3, cursor=page.next_cursor)).tasks) == 3


async def test_what_does_not_move_is_seen_once(ledger: Ledger) -> None:
    """While others move under the walk, each task that does not is there exactly once, in every order."""
    tasks = await fill(ledger)
    still = {num(task) for task in tasks if num(task) % 3}
    for by, way in ORDERS:
        cursor: dict[str, Any] = {}
        found: list[int] = []
        while True:
            page = await ledger.list(limit=9, orderBy=by, order=way, **cursor)
            found += [num(task) for task in page.tasks]
            for number in range(3, len(tasks), 9):
                await ledger.update(number, priority=(number * 7 + len(found)) % 101)
            if not page.has_more:
                break
            cursor = {"cursor": page.next_cursor}
        assert sorted(number for number in found if number in still) == sorted(still), (by, way)


async def test_a_page_looks_at_so_many_and_no_more(ledger: Ledger) -> None:
    """A filter that nothing fits ends a page after 500 entries, says that there is more, and goes on from there."""
    for _ in range(1_100):
        await ledger.create()
    pages = await walk(ledger, 10, textPrefix="none")

    assert [len(page.tasks) for page in pages] == [0, 0, 0]


@pytest.mark.parametrize(
    "cursor",
    ["", "1", "a-1", "0-0", "-1", "1-1-1", "3518437208883201-1", "abcd-0-1", "abcd-1-0", "ABCD-1-1", "abcd-1-1\n"],
)
def test_a_wrong_cursor_is_refused(cursor: str) -> None:
    """What no page ever answered is no cursor."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"cursor": cursor}, model.List)
