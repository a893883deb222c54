"""Dependencies: a task waits for others, is freed when they complete, and blocked when one of them will not."""

from __future__ import annotations

import pytest
from tests.scripts.ledger import Ledger, num

from claudebench.errors import Conflict, LimitReached, NotFound

MANY = 250


async def done(ledger: Ledger, n: int) -> None:
    """Let somebody do a task."""
    await ledger.update(n, status="completed")


async def claimable(ledger: Ledger) -> list[int]:
    """Return what a worker gets, in order, and give it back."""
    await ledger.register("w", capacity=1000)
    taken = await ledger.claim("w", 10)
    for task in taken:
        await ledger.release(num(task), "w")
    return [num(task) for task in taken]


async def test_a_task_waits_until_all_are_completed(ledger: Ledger) -> None:
    """It is free with the last of them, and not before."""
    first, second = await ledger.create(), await ledger.create()
    waiting = await ledger.create(depends_on=[first, second])
    assert await claimable(ledger) == [first, second]

    await done(ledger, first)
    assert (await ledger.get(waiting)).waits_for == 1
    assert waiting not in await claimable(ledger)
    await done(ledger, second)
    assert await claimable(ledger) == [waiting]
    assert (await ledger.read()).subjects("task.unblocked") == [f"t-{waiting}"]


async def test_what_is_completed_already_is_not_waited_for(ledger: Ledger) -> None:
    """Also when it was deleted since: completion is remembered for ever."""
    first, second = await ledger.create(), await ledger.create()
    for n in (first, second):
        await done(ledger, n)
    await ledger.delete(first)

    assert (await ledger.get(await ledger.create(depends_on=[first, second]))).status == "pending"
    assert len(await claimable(ledger)) == 1


async def test_an_unknown_dependency_is_refused(ledger: Ledger) -> None:
    """A task depends on tasks that exist, so there is no circle; nothing is stored."""
    for number in (1, 4_294_967_296, 10**13):
        with pytest.raises(NotFound):
            await ledger.create(depends_on=[number])

    assert await ledger.total() == 0


@pytest.mark.parametrize("how", ["failed", "deleted"])
async def test_a_lost_dependency_blocks_with_its_reason(ledger: Ledger, how: str) -> None:
    """A dependent of a failed or deleted task says that it is blocked, and cannot be claimed."""
    first, other = await ledger.create(), await ledger.create()
    waiting = await ledger.create(depends_on=[first, other])
    if how == "failed":
        await ledger.update(first, status="failed")
    else:
        await ledger.delete(first)
    await done(ledger, other)

    task = await ledger.get(waiting)
    assert (task.waits_for, task.blocked) == (1, True)
    assert await claimable(ledger) == []
    (event,) = (await ledger.read()).of_type("task.blocked")
    assert (event.subject, event.payload["by"]) == (f"t-{waiting}", f"t-{first}")
    assert event.payload["reason"] == ("failed" if how == "failed" else "gone")


async def test_a_retried_dependency_unblocks(ledger: Ledger) -> None:
    """When what failed is to be done again, its dependents wait again, and are freed when it completes."""
    first = await ledger.create()
    await ledger.update(first, status="failed")
    waiting = await ledger.create(depends_on=[first])
    assert (await ledger.get(waiting)).blocked

    await ledger.retry(first)
    assert (await ledger.get(waiting)).waits_for == 1
    await done(ledger, first)
    assert await claimable(ledger) == [waiting]


async def test_many_dependents_are_freed_in_steps(ledger: Ledger) -> None:
    """The script that completes frees a hundred, the sweep the rest; the same for blocking and unblocking."""
    first = await ledger.create()
    waiting = [await ledger.create(depends_on=[first]) for _ in range(MANY)]
    await ledger.update(first, status="failed")
    await ledger.check()
    await ledger.advance(5_000)
    assert all(row.blocked for n, row in (await ledger.check()).tasks.items() if n != first)

    await ledger.retry(first)
    await done(ledger, first)
    await ledger.check()
    await ledger.advance(5_000)
    rows = (await ledger.check()).tasks
    assert all((rows[n].waiting, rows[n].blocked) == (0, 0) for n in waiting)


async def test_dependents_are_bounded(ledger: Ledger) -> None:
    """The 1,001st dependent of a task is refused."""
    first = await ledger.create()
    for _ in range(1_000):
        await ledger.create(depends_on=[first])
    with pytest.raises(LimitReached):
        await ledger.create(depends_on=[first])


async def test_a_waiting_task_is_not_handed_out_by_hand(ledger: Ledger) -> None:
    """Neither assign nor an update gives a waiting task to anybody."""
    waiting = await ledger.create(depends_on=[await ledger.create()])
    await ledger.register("w")
    with pytest.raises(Conflict):
        await ledger.assign(waiting, "w")
    with pytest.raises(Conflict):
        await ledger.update(waiting, worker="w", status="in_progress")


async def test_a_deleted_dependent_leaves_nothing(ledger: Ledger) -> None:
    """A waiting task can be deleted, and nobody waits for anything afterwards."""
    first = await ledger.create()
    await ledger.delete(await ledger.create(depends_on=[first]))

    assert (await ledger.check()).sets == {}


async def test_a_dead_letter_blocks(ledger: Ledger) -> None:
    """A task whose attempts are used up by deaths blocks those that wait for it."""
    first = await ledger.create(max_attempts=1)
    waiting = await ledger.create(depends_on=[first])
    await ledger.register("w")
    await ledger.claimed("w")
    await ledger.advance(20_000)

    assert (await ledger.get(first)).dead_letter
    assert (await ledger.get(waiting)).blocked
