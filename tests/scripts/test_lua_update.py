"""Updates: other values and single moves, in one step or not at all; and tasks that are done once more."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.scripts.ledger import MINUTE, Ledger

from claudebench.errors import ClaudeBenchError, Conflict, LimitReached, NotFound, Stale, Unauthorized


async def test_values_change_and_the_status_stays(ledger: Ledger) -> None:
    """Text, priority and single keys of the metadata change; what is not named stays as it is."""
    n = await ledger.create("before", priority=10)
    await ledger.update(n, metadata={"a": 1, "deep": {"x": [], "y": {}}})
    task = await ledger.update(n, text='after "quoted"', priority=0, metadata={"b": 2**60, "a": None})

    assert (task.text, task.priority, task.status) == ('after "quoted"', 0, "pending")
    expected: dict[str, Any] = {"a": None, "deep": {"x": [], "y": {}}, "b": 2**60}
    assert msgspec.json.decode(task.metadata) == expected
    assert msgspec.json.decode((await ledger.get(n)).metadata) == expected
    told = (await ledger.read()).of_type("task.updated")[-1].payload
    assert told["changed"] == ["text", "priority", "metadata"]


SAME: list[dict[str, Any]] = [
    {}, {"text": 'a "b"'}, {"priority": 10}, {"metadata": {}}, {"status": "pending"},
    {"text": 'a "b"', "priority": 10, "status": "pending"},
]  # fmt: skip


@pytest.mark.parametrize("values", SAME, ids=str)
async def test_an_update_to_what_is_there_changes_nothing(ledger: Ledger, values: dict[str, Any]) -> None:
    """No field given, or each with the value that the task has: not even the time moves, and no event is written."""
    n = await ledger.create('a "b"', priority=10)
    before, events = await ledger.get(n), len((await ledger.read()).events)
    ledger.now_ms += 5

    assert await ledger.update(n, **values) == before
    assert len((await ledger.read()).events) == events


@pytest.mark.parametrize(
    "values", [{"text": "other"}, {"metadata": {"k": {"deep": [2**60]}}}, {"priority": 99}], ids=str
)
async def test_an_update_said_again_changes_nothing(ledger: Ledger, values: dict[str, Any]) -> None:
    """The second time there is no event, back to the former value there is one."""
    n = await ledger.create(priority=10)
    await ledger.update(n, metadata={"k": 0, "other": 1})
    first = await ledger.update(n, **values)
    ledger.now_ms += 5

    assert await ledger.update(n, **values) == first
    assert len((await ledger.read()).of_type("task.updated")) == 2
    await ledger.update(n, text="a task", priority=10, metadata={"k": 0})
    assert len((await ledger.read()).of_type("task.updated")) == 3
    assert (await ledger.get(n)).text == "a task"


@pytest.mark.parametrize("text", ["a tas", "a task ", "a", 'a task"', 'a task","requires":[]'])
async def test_what_only_begins_like_the_text_is_another(ledger: Ledger, text: str) -> None:
    """A text is the same if all of it is."""
    n = await ledger.create("a task", requires=["r"])

    assert (await ledger.update(n, text=text)).text == text
    assert (await ledger.get(n)).text == text


async def test_a_move_beside_an_equal_value_is_only_a_move(ledger: Ledger) -> None:
    """The value that is there already adds no event to that of the move."""
    n = await ledger.create("a task")
    await ledger.update(n, text="a task", status="completed")

    assert [event.type for event in (await ledger.read()).events] == ["task.created", "task.completed"]


async def test_another_priority_is_another_place(ledger: Ledger) -> None:
    """A waiting, a reserved and a held task take the place that their new priority asks for."""
    low, high = await ledger.create(priority=10), await ledger.create(priority=90)
    await ledger.register("w")
    await ledger.update(low, priority=95)
    assert [task.id for task in await ledger.claim("w", 2)] == [f"t-{low}", f"t-{high}"]
    await ledger.update(low, priority=5)
    reserved = await ledger.create()
    await ledger.assign(reserved, "w")
    await ledger.update(reserved, priority=77)


async def test_metadata_is_bounded(ledger: Ledger) -> None:
    """Keys that were changed fill at most 64 KiB; past that nothing changes."""
    n = await ledger.create()
    await ledger.update(n, metadata={"a": "x" * 40_000})
    with pytest.raises(LimitReached):
        await ledger.update(n, text="not this", metadata={"b": "x" * 40_000})

    assert (await ledger.get(n)).text == "a task"
    await ledger.update(n, metadata={"a": "short", "b": "x" * 40_000})


MOVES = {
    ("pending", "in_progress"): None, ("pending", "completed"): None, ("pending", "failed"): None,
    ("in_progress", "completed"): None, ("in_progress", "failed"): None, ("in_progress", "pending"): Conflict,
    ("completed", "pending"): None, ("completed", "in_progress"): Conflict, ("completed", "failed"): Conflict,
    ("failed", "pending"): None, ("failed", "in_progress"): Conflict, ("failed", "completed"): Conflict,
}  # fmt: skip


@pytest.mark.parametrize(("start", "end", "error"), [(*move, error) for move, error in MOVES.items()])
async def test_only_these_moves_are_legal(
    ledger: Ledger, start: str, end: str, error: type[ClaudeBenchError] | None
) -> None:
    """Every pair of states: moved, or refused with nothing changed."""
    n = await ledger.create()
    if start != "pending":
        await ledger.update(n, status=start)
    before = await ledger.get(n)
    if error is None:
        assert (await ledger.update(n, status=end, text="moved")).status == end
    else:
        with pytest.raises(error):
            await ledger.update(n, status=end, text="moved")
        assert await ledger.get(n) == before


async def test_a_begun_task_is_the_named_callers(ledger: Ledger) -> None:
    """A caller that names itself holds the task as after a claim, under the guards of a claim."""
    n = await ledger.create(requires=["gpu"])
    await ledger.register("w", capacity=1)
    await ledger.register("strong", roles=["gpu"], capacity=1)
    for refused, error in (("nobody", NotFound), ("w", Conflict)):
        with pytest.raises(error):
            await ledger.update(n, worker=refused, status="in_progress")

    task = await ledger.update(n, worker="strong", status="in_progress")
    assert (task.assigned_to, task.epoch, task.attempts) == ("strong", 1, 1)
    with pytest.raises(LimitReached):
        await ledger.update(await ledger.create(), worker="strong", status="in_progress")
    with pytest.raises(Stale):
        await ledger.update(n, worker="w", status="completed")
    assert (await ledger.update(n, worker="strong", epoch=1, status="completed")).status == "completed"


async def test_a_task_begun_by_nobody_comes_back(ledger: Ledger) -> None:
    """Without a name it is nobody's for a quarter of an hour, anybody may end it, then it is free again."""
    n = await ledger.create()
    task = await ledger.update(n, status="in_progress")
    assert (task.assigned_to, task.attempts) == (msgspec.UNSET, 1)
    await ledger.advance(14 * MINUTE)
    assert (await ledger.get(n)).status == "in_progress"
    await ledger.advance(2 * MINUTE)
    assert (await ledger.get(n)).status == "pending"

    await ledger.update(n, status="in_progress")
    await ledger.complete(n)
    assert (await ledger.get(n)).status == "completed"


@pytest.mark.parametrize("how", ["retry", "update"])
async def test_a_retried_task_begins_again(ledger: Ledger, how: str) -> None:
    """Attempts, result and holder are gone, the epoch is not: a late word of before is refused."""
    await ledger.register("w")
    n = await ledger.create()
    task = await ledger.claimed("w")
    await ledger.complete(n, "w", task.epoch, {"ok": True})
    again = await ledger.retry(n) if how == "retry" else await ledger.update(n, status="pending")

    assert (again.status, again.attempts, again.epoch) == ("pending", 0, task.epoch + 1)
    assert (again.result, again.assigned_to, again.completed_at) == (msgspec.UNSET,) * 3
    with pytest.raises(Stale):
        await ledger.complete(n, "w", task.epoch)
    assert (await ledger.claimed("w")).epoch == task.epoch + 2


async def test_a_dead_letter_is_the_operators(ledger: Ledger) -> None:
    """Only the operator lets a dead letter be tried again; then it is none any more."""
    n = await ledger.create(max_attempts=1)
    await ledger.register("w")
    await ledger.claimed("w")
    await ledger.fail(n, "w", retryable=True)
    for refused in (ledger.retry(n, operator=False), ledger.update(n, status="pending")):
        with pytest.raises(Unauthorized):
            await refused

    assert (await ledger.retry(n)).dead_letter == msgspec.UNSET


async def test_what_is_not_finished_is_not_retried(ledger: Ledger) -> None:
    """A pending task is not retried, an unknown one not found."""
    with pytest.raises(Conflict):
        await ledger.retry(await ledger.create())
    with pytest.raises(NotFound):
        await ledger.retry(99)
    with pytest.raises(NotFound):
        await ledger.update(99, text="x")


def test_every_pair_of_states_is_covered() -> None:
    """The table above names each ordered pair of different states."""
    states: list[Any] = ["pending", "in_progress", "completed", "failed"]

    assert MOVES.keys() == {(a, b) for a in states for b in states if a != b}


@pytest.mark.parametrize(
    "asked", [{"status": "completed"}, {"status": "failed"}, {"status": "in_progress"}, {"text": "x"}]
)
async def test_a_late_word_changes_nothing(ledger: Ledger, asked: dict[str, Any]) -> None:
    """Who lost a task neither ends it, nor takes it again, nor changes it, at the epoch that it had."""
    await ledger.register("w")
    n = await ledger.create()
    held = await ledger.claimed("w")
    before = await ledger.unassign(n)
    with pytest.raises(Stale):
        await ledger.update(n, worker="w", epoch=held.epoch, **asked)

    assert await ledger.get(n) == before
    await ledger.update(n, epoch=before.epoch, **asked)


async def test_a_late_word_reopens_nothing(ledger: Ledger) -> None:
    """What was ended by another is not begun anew at the epoch of a former owner."""
    await ledger.register("w")
    n = await ledger.create()
    held = await ledger.claimed("w")
    await ledger.unassign(n)
    await ledger.update(n, status="completed")
    with pytest.raises(Stale):
        await ledger.update(n, worker="w", epoch=held.epoch, status="pending")


async def test_a_denied_task_is_not_begun(ledger: Ledger) -> None:
    """Who failed a task does not begin it by an update either, for half a minute; what is reserved for it, it does."""
    await ledger.register("w", dead_after_ms=60 * MINUTE)
    n = await ledger.create()
    await ledger.claimed("w")
    await ledger.fail(n, "w", retryable=True)
    with pytest.raises(Conflict):
        await ledger.update(n, worker="w", status="in_progress")

    await ledger.assign(n, "w")
    assert (await ledger.update(n, worker="w", status="in_progress")).assigned_to == "w"
    await ledger.fail(n, "w", 3, retryable=True)
    ledger.now_ms += 30_000
    assert (await ledger.update(n, worker="w", status="in_progress")).assigned_to == "w"


@pytest.mark.parametrize("first", ["a", ""])
async def test_a_begun_task_has_one_claimer(ledger: Ledger, first: str) -> None:
    """Who begins what another began, or nobody, is refused as a second claim; the owner is answered again."""
    n = await ledger.create()
    for each in ("a", "b"):
        await ledger.register(each)
    begun = await ledger.update(n, worker=first, status="in_progress")
    with pytest.raises(Conflict):
        await ledger.update(n, worker="b", status="in_progress", text="mine")

    assert await ledger.get(n) == begun
    again = await ledger.update(n, worker=first, epoch=begun.epoch, status="in_progress")
    assert (again.assigned_to, again.epoch, again.attempts) == (begun.assigned_to, begun.epoch, 1)


@pytest.mark.parametrize("end", ["completed", "failed"])
async def test_what_another_ended_is_not_ended_again(ledger: Ledger, end: str) -> None:
    """A foreign worker is refused as by complete and fail; the owner that ended it is answered again."""
    n = await ledger.create()
    for each in ("a", "b"):
        await ledger.register(each)
    await ledger.update(n, worker="a", status="in_progress")
    await ledger.update(n, worker="a", status=end)
    with pytest.raises(Conflict):
        await ledger.update(n, worker="b", status=end)

    assert (await ledger.update(n, worker="a", epoch=1, status=end)).assigned_to == "a"


@pytest.mark.parametrize("end", ["completed", "failed"])
async def test_who_does_not_hold_a_pending_task_does_not_end_it(ledger: Ledger, end: str) -> None:
    """A worker that names itself ends neither what it never held nor, stale, what it lost; the nameless caller does."""
    await ledger.register("w")
    n = await ledger.create()
    with pytest.raises(Conflict):
        await ledger.update(n, worker="w", status=end)
    await ledger.claimed("w")
    free = await ledger.unassign(n)
    for epoch in ("", free.epoch):
        with pytest.raises(Stale):
            await ledger.update(n, worker="w", epoch=epoch, status=end)

    assert await ledger.get(n) == free
    assert (await ledger.update(n, status=end)).status == end


@pytest.mark.parametrize("end", ["completed", "failed"])
async def test_a_reserved_task_is_ended_by_its_instance(ledger: Ledger, end: str) -> None:
    """Nobody in particular and no other worker ends what is reserved; a former owner is stale."""
    for each in ("a", "b"):
        await ledger.register(each)
    n = await ledger.create()
    await ledger.assign(n, "a")
    for worker in ("", "b"):
        with pytest.raises(Conflict):
            await ledger.update(n, worker=worker, status=end)
    await ledger.unassign(n)
    await ledger.assign(n, "b")
    for worker, error in (("", Conflict), ("a", Stale)):
        with pytest.raises(error):
            await ledger.update(n, worker=worker, status=end)

    assert (await ledger.update(n, worker="b", epoch=3, status=end)).status == end


async def test_what_waits_for_others_is_not_completed(ledger: Ledger) -> None:
    """A task is not done before what it depends on, nor once that failed; to fail it is allowed."""
    first = await ledger.create()
    n = await ledger.create(depends_on=[first])
    with pytest.raises(Conflict):
        await ledger.update(n, status="completed")
    await ledger.update(first, status="failed")
    with pytest.raises(Conflict):
        await ledger.update(n, status="completed")

    assert (await ledger.update(n, status="failed")).status == "failed"
