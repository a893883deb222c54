"""retire: what ended stays its time and leaves no trace but its completion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scripts.ledger import HOUR, MINUTE

from claudebench.errors import NotFound

if TYPE_CHECKING:
    from tests.scripts.ledger import Ledger

DAY = 24 * HOUR


async def done(ledger: Ledger, status: str = "completed", **asked: object) -> int:
    """Make a task, end it now and return its number."""
    n = await ledger.create(**asked)  # type: ignore[arg-type]
    await ledger.update(n, status=status)
    return n


async def stored(ledger: Ledger) -> set[int]:
    """Check the workspace and return which tasks it holds."""
    return set((await ledger.check()).tasks)


async def test_a_finished_task_stays_its_time(ledger: Ledger) -> None:
    """To the millisecond, by the store's clock; one that is not finished stays however old it is."""
    old = {await done(ledger), await done(ledger, "failed")}
    young = await ledger.create()
    await ledger.register("w", dead_after_ms=10 * DAY)
    held = (await ledger.claim("w"))[0].id
    ledger.now_ms += 7 * DAY - 1
    assert await ledger.retire() == 0
    assert await stored(ledger) == old | {young}

    ledger.now_ms += 1

    assert await ledger.retire() == 2
    assert await stored(ledger) == {young}
    assert (await ledger.get(young)).id == held


async def test_a_repeat_retires_nothing(ledger: Ledger) -> None:
    """What is done is done; nothing of the workspace moves."""
    await done(ledger)
    ledger.now_ms += 8 * DAY
    await ledger.retire()
    before = await ledger.read()

    assert await ledger.retire() == 0

    assert await ledger.read() == before


async def test_so_many_and_no_more(ledger: Ledger) -> None:
    """Above the bound the oldest by their end go, however young they are."""
    first, second, third = [await ledger.create() for _ in range(3)]
    for n in (second, third, first):
        ledger.now_ms += 1
        await ledger.update(n, status="completed")

    assert await ledger.retire(finished_max=2) == 1
    assert await stored(ledger) == {first, third}
    assert await ledger.retire(finished_max=2) == 0


async def test_so_many_at_a_time(ledger: Ledger) -> None:
    """A step takes at most twenty-five, the oldest first, and the next goes on from there."""
    numbers = [await done(ledger) for _ in range(60)]
    ledger.now_ms += 8 * DAY
    await done(ledger)

    steps = [await ledger.retire() for _ in range(4)]

    assert steps == [25, 25, 10, 0]
    assert await stored(ledger) == {numbers[-1] + 1}


async def test_every_trace_goes(ledger: Ledger) -> None:
    """Of tasks that were held, failed for good, denied, changed and failed while they waited, nothing stays behind."""
    await ledger.register("w", dead_after_ms=30 * DAY)
    waited_for = await ledger.create(priority=0)
    waiting = await ledger.create(depends_on=[waited_for])
    dead, changed = await ledger.create(max_attempts=1), await ledger.create()
    for task in await ledger.claim("w", 2):
        await ledger.fail(int(task.id[2:]), "w", task.epoch, retryable=True)
    await ledger.unassign((await ledger.assign(changed, "w")) and changed, denied=True)
    await ledger.update(changed, status="completed", metadata={"a": 1}, text="other", priority=9)
    await ledger.update(waiting, status="failed")
    assert (await ledger.get(dead)).dead_letter
    ledger.now_ms += 8 * DAY

    assert await ledger.retire() == 3

    found = await ledger.check()
    assert set(found.tasks) == {waited_for}
    assert not [key for key in found.indexes if key.startswith(("own:", "dead", "finished", "denied:"))]
    assert found.sets == {}


async def test_what_is_opened_again_stays(ledger: Ledger) -> None:
    """A task that is tried again is not finished, and its time begins anew when it ends once more."""
    n = await done(ledger)
    ledger.now_ms += 6 * DAY
    await ledger.retry(n)
    ledger.now_ms += 2 * DAY
    assert await ledger.retire() == 0
    await ledger.update(n, status="completed")
    ledger.now_ms += 6 * DAY
    assert await ledger.retire() == 0
    assert await stored(ledger) == {n}


async def test_a_change_of_a_finished_task_does_not_keep_it(ledger: Ledger) -> None:
    """Its end counts, not the last word about it."""
    n = await done(ledger)
    ledger.now_ms += 6 * DAY
    await ledger.update(n, text="another word")
    ledger.now_ms += 2 * DAY

    assert await ledger.retire() == 1


async def test_completion_is_remembered_for_ever(ledger: Ledger) -> None:
    """A task may depend on one that was completed and retired; it is free at once."""
    n = await done(ledger)
    ledger.now_ms += 8 * DAY
    await ledger.retire()

    later = await ledger.create(depends_on=[n])

    assert (await ledger.get(later)).depends_on == [f"t-{n}"]
    await ledger.register("w")
    assert [task.id for task in await ledger.claim("w")] == [f"t-{later}"]


async def test_dependents_that_are_not_told_yet_are_freed_all_the_same(ledger: Ledger) -> None:
    """More dependents than one script frees: their dependency is retired before the sweep has told the rest."""
    n = await ledger.create()
    for _ in range(250):
        await ledger.create(depends_on=[n])
    await ledger.update(n, status="completed")
    assert await ledger.retire(finished_max=0) == 1
    assert sum(row.waiting for row in (await ledger.check()).tasks.values()) == 150

    await ledger.advance(MINUTE // 10)

    assert not any(row.waiting for row in (await ledger.check()).tasks.values())


async def test_a_failed_dependency_that_is_retired_blocks_for_ever(ledger: Ledger) -> None:
    """Its dependents stay blocked as behind a deleted one, nothing new may depend on it, and they can still end."""
    n = await ledger.create()
    blocked = await ledger.create(depends_on=[n])
    await ledger.update(n, status="failed")
    ledger.now_ms += 8 * DAY
    await ledger.retire()

    assert (await ledger.get(blocked)).blocked is True
    with pytest.raises(NotFound):
        await ledger.create(depends_on=[n])
    await ledger.delete(blocked)
    assert (await ledger.check()).sets == {}


async def test_what_is_gone_is_told_from_what_never_was(ledger: Ledger) -> None:
    """The answer says what the ledger can know: whether there was such a task, and whether it was completed."""
    gone = {await done(ledger): "completed", await done(ledger, "failed"): None}
    ledger.now_ms += 8 * DAY
    await ledger.retire()

    for n, status in gone.items():
        with pytest.raises(NotFound) as caught:
            await ledger.get(n)
        assert (caught.value.data["reason"], caught.value.data.get("status")) == ("gone", status)
    with pytest.raises(NotFound) as caught:
        await ledger.get(3)
    assert caught.value.data == {"reason": "unknown"}


async def test_an_empty_workspace_is_left_empty(ledger: Ledger) -> None:
    """Looking writes nothing."""
    before = await ledger.connection.command("DBSIZE")

    assert await ledger.retire() == 0

    assert await ledger.connection.command("DBSIZE") == before
