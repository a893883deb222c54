"""complete, fail, release, renew, unassign, delete: who may end, keep or give back a task."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.scripts.ledger import MINUTE, SECOND, num

from claudebench.errors import ClaudeBenchError, Conflict, NotFound, Stale

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.scripts.invariants import Snapshot
    from tests.scripts.ledger import Ledger

    Word = Callable[[Ledger, int, str, int | str], Awaitable[Any]]

WORDS: dict[str, Word] = {
    "complete": lambda ledger, n, worker, epoch: ledger.complete(n, worker, epoch, {"late": True}),
    "fail": lambda ledger, n, worker, epoch: ledger.fail(n, worker, epoch),
    "retry": lambda ledger, n, worker, epoch: ledger.fail(n, worker, epoch, retryable=True),
    "release": lambda ledger, n, worker, epoch: ledger.release(n, worker, epoch),
    "renew": lambda ledger, n, worker, epoch: ledger.renew(n, worker, epoch),
}
AFTERWARDS = {
    "complete": "completed",
    "fail": "failed",
    "retry": "pending",
    "release": "pending",
    "renew": "in_progress",
}
every_word = pytest.mark.parametrize("word", WORDS)


def kept(found: Snapshot) -> tuple[object, ...]:
    """Return what a refused word must not change: all but who was heard of when."""
    indexes = {key: index for key, index in found.indexes.items() if key != "alive"}
    return found.tasks, indexes, found.hashes, found.events


@asynccontextmanager
async def refused(ledger: Ledger, error: type[ClaudeBenchError]) -> AsyncIterator[None]:
    """Want an error, and that nothing changed."""
    before = kept(await ledger.read())
    with pytest.raises(error) as refusal:
        yield
    assert refusal.value.outcome == "not_done"
    assert kept(await ledger.read()) == before


async def taken_twice(ledger: Ledger) -> int:
    """Make a task that `late` held at epoch 1, that was taken back, and that `w` holds at epoch 3."""
    await ledger.register("w", dead_after_ms=10 * MINUTE)
    await ledger.register("late", dead_after_ms=10 * MINUTE)
    n = await ledger.create()
    await ledger.claimed("late")
    await ledger.unassign(n)
    assert (await ledger.claimed("w")).epoch == 3
    return n


@every_word
@pytest.mark.parametrize("fence", [("w", 1), ("w", ""), ("", 1), ("", "")])
async def test_the_holder_is_heard(ledger: Ledger, word: str, fence: tuple[str, int | str]) -> None:
    """Each word of the holder counts, named by worker, by epoch, by both, or by neither while it was never returned."""
    await ledger.register("w")
    n = await ledger.create()
    await ledger.claim("w")

    await WORDS[word](ledger, n, *fence)

    assert (await ledger.get(n)).status == AFTERWARDS[word]


@every_word
@pytest.mark.parametrize(
    "fence", [("late", 1), ("late", 3), ("late", ""), ("w", 1), ("w", 2), ("w", 4), ("", 1), ("", "")]
)
async def test_a_late_word_is_stale(ledger: Ledger, word: str, fence: tuple[str, int | str]) -> None:
    """After a return, a former owner, a wrong epoch, or neither name is -32012, tells the epoch and changes nothing."""
    n = await taken_twice(ledger)

    async with refused(ledger, Stale):
        await WORDS[word](ledger, n, *fence)

    with pytest.raises(Stale) as refusal:
        await WORDS[word](ledger, n, *fence)
    assert refusal.value.data["current"] == 3


@every_word
@pytest.mark.parametrize("fence", [("late", 1), ("late", ""), ("", 1), ("", "")])
async def test_a_word_about_a_returned_task_nobody_took(
    ledger: Ledger, word: str, fence: tuple[str, int | str]
) -> None:
    """A task that was taken back and waits is nobody's: the former owner is stale, an unnamed word is refused."""
    await ledger.register("late")
    n = await ledger.create()
    await ledger.claim("late")
    await ledger.release(n, "late", 1)

    async with refused(ledger, Stale if fence != ("", "") else Conflict):
        await WORDS[word](ledger, n, *fence)


@every_word
async def test_a_free_task_is_nobodys_to_end(ledger: Ledger, word: str) -> None:
    """A task that was never claimed is -32011, whoever speaks."""
    await ledger.register("w")
    n = await ledger.create()

    for fence in (("", ""), ("w", ""), ("w", 0)):
        async with refused(ledger, Conflict):
            await WORDS[word](ledger, n, *fence)


@every_word
async def test_an_unknown_task(ledger: Ledger, word: str) -> None:
    """A word about a task that does not exist is -32010."""
    async with refused(ledger, NotFound):
        await WORDS[word](ledger, 4711, "w", 1)


@pytest.mark.parametrize(
    ("end", "word"),
    [("complete", word) for word in WORDS if word != "complete"]
    + [("fail", word) for word in ("complete", "release", "renew")],
)
async def test_what_ended_stays(ledger: Ledger, end: str, word: str) -> None:
    """After the end no other word changes a task, not even its owner's: -32011."""
    await ledger.register("w")
    n = await ledger.create()
    await ledger.claim("w")
    await WORDS[end](ledger, n, "w", 1)

    for fence in (("w", 1), ("w", ""), ("", 1), ("", ""), ("other", 1)):
        async with refused(ledger, Conflict):
            await WORDS[word](ledger, n, *fence)


@pytest.mark.parametrize("end", ["complete", "fail"])
@pytest.mark.parametrize("fence", [("w", 1), ("w", ""), ("", 1)])
async def test_a_repeat_is_answered_and_not_done(ledger: Ledger, end: str, fence: tuple[str, int | str]) -> None:
    """The same owner's same word again answers the same end, adds no event and keeps the first result."""
    await ledger.register("w")
    n = await ledger.create()
    await ledger.claim("w")
    await (ledger.complete(n, *fence, result={"first": 1}) if end == "complete" else ledger.fail(n, *fence))
    before = kept(await ledger.read())

    ledger.now_ms += SECOND
    await WORDS[end](ledger, n, *fence)

    assert kept(await ledger.read()) == before


@pytest.mark.parametrize("end", ["complete", "fail"])
async def test_another_cannot_repeat(ledger: Ledger, end: str) -> None:
    """The owner's word from the mouth of another, with another epoch, or without a name is no repeat."""
    await ledger.register("w")
    n = await ledger.create()
    await ledger.claim("w")
    await WORDS[end](ledger, n, "w", 1)

    for fence, error in ((("other", 1), Conflict), (("", ""), Conflict), (("w", 2), Stale), (("w", 0), Stale)):
        async with refused(ledger, error):
            await WORDS[end](ledger, n, *fence)


@pytest.mark.parametrize("word", ["complete", "fail", "retry", "release"])
async def test_a_reservation_can_be_ended_by_its_holder(ledger: Ledger, word: str) -> None:
    """What was only reserved may be completed, failed or released by the one it is reserved for, and by no other."""
    await ledger.register("w")
    n = await ledger.create()
    await ledger.assign(n, "w")
    async with refused(ledger, Stale):
        await WORDS[word](ledger, n, "other", 1)

    await WORDS[word](ledger, n, "w", 1)

    assert (await ledger.get(n)).status == AFTERWARDS[word]
    assert (await ledger.get(n)).attempts == 0


async def test_a_reservation_has_no_lease_to_renew(ledger: Ledger) -> None:
    """A reserved task is not in progress, so there is nothing to renew: -32011."""
    await ledger.register("w")
    n = await ledger.create()
    await ledger.assign(n, "w")

    async with refused(ledger, Conflict):
        await ledger.renew(n, "w", 1)


@pytest.mark.parametrize("result", [0, False, "", None, [], {}, {"a": [1, 2]}])
async def test_every_result_is_kept_as_it_was_given(ledger: Ledger, result: object) -> None:
    """A task completes with any result or none, and empty lists stay lists."""
    await ledger.register("w")
    n = await ledger.create()
    await ledger.claim("w")

    await ledger.complete(n, "w", 1, result)

    task = await ledger.get(n)
    assert task.status == "completed"
    assert (await ledger.read()).of_type("task.completed")[0].payload["result"] == result


async def test_an_unfenced_end_is_told_as_such(ledger: Ledger) -> None:
    """The event of an end says whether an epoch fenced it."""
    await ledger.register("w")
    for epoch in (1, ""):
        n = await ledger.create()
        await ledger.claim("w")
        await ledger.complete(n, "w", epoch)

    assert [event.payload["fenced"] for event in (await ledger.read()).of_type("task.completed")] == [True, False]


async def test_a_failure_without_retry_is_final(ledger: Ledger) -> None:
    """A task failed without a retry is failed, keeps its error, and is no dead letter."""
    await ledger.register("w")
    n = await ledger.create()
    await ledger.claim("w")

    assert await ledger.fail(n, "w", 1) == "failed"

    found = await ledger.read()
    assert found.tasks[n].status == "failed"
    assert not found.tasks[n].dead
    assert bytes((await ledger.get(n)).error or b"") == b'"it broke"'


async def test_attempts_run_out(ledger: Ledger) -> None:
    """After as many retried failures as it has attempts, a task is failed and a dead letter, and nobody gets it."""
    workers = ["a", "b", "c", "d"]
    for worker in workers:
        await ledger.register(worker)
    n = await ledger.create(max_attempts=3)

    for worker, after in zip(workers, ("pending", "pending", "failed"), strict=False):
        assert num(await ledger.claimed(worker)) == n
        assert await ledger.fail(n, worker, retryable=True) == after

    found = await ledger.read()
    assert (found.tasks[n].attempts, found.tasks[n].dead) == (3, True)
    assert list(found.indexes["dead"]) == [str(n)]
    assert await ledger.claim("d") == []


async def test_deaths_count_as_attempts(ledger: Ledger) -> None:
    """A task whose owners die three times is a dead letter; one that was released three times is not."""
    killer, spared = await ledger.create(priority=100, max_attempts=3), await ledger.create(max_attempts=3)
    await ledger.register("living", capacity=1, dead_after_ms=10 * MINUTE)
    for at in range(3):
        await ledger.register(f"w{at}", capacity=1)
        assert num(await ledger.claimed(f"w{at}")) == killer
        assert num(await ledger.claimed("living")) == spared
        await ledger.release(spared, "living")
        await ledger.advance(6 * SECOND, ["living"])

    found = await ledger.read()
    assert (found.tasks[killer].status, found.tasks[killer].dead) == ("failed", True)
    assert (found.tasks[spared].status, found.tasks[spared].attempts) == ("pending", 0)


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("how", ["release", "unassign"])
async def test_a_task_given_back_is_as_new(ledger: Ledger, how: str, begun: bool) -> None:  # noqa: FBT001
    """A released or unassigned task is free with a new epoch and its attempt given back, for its old owner too."""
    await ledger.register("w")
    n = await ledger.create()
    await (ledger.claim("w") if begun else ledger.assign(n, "w"))

    back = await (ledger.release(n, "w", 1) if how == "release" else ledger.unassign(n))

    assert (back.status, back.epoch, back.attempts) == ("pending", 2, 0)
    assert (await ledger.read()).tasks[n].owner == ""
    assert (await ledger.claimed("w")).epoch == 3


async def test_an_operator_unassigns_and_denies(ledger: Ledger) -> None:
    """What an operator takes from an instance goes to another first, and back to it after 30 s."""
    await ledger.register("w", dead_after_ms=10 * MINUTE)
    await ledger.register("other", dead_after_ms=10 * MINUTE)
    n = await ledger.create()
    await ledger.claim("w")

    await ledger.unassign(n, denied=True)

    assert await ledger.claim("w") == []
    assert num(await ledger.claimed("other")) == n
    await ledger.unassign(n)
    await ledger.advance(30 * SECOND)
    assert num(await ledger.claimed("w")) == n


async def test_unassign_wants_an_owner(ledger: Ledger) -> None:
    """Nothing is taken from nobody, nor from a task that ended: -32011; an unknown task is -32010."""
    await ledger.register("w")
    n = await ledger.create()
    async with refused(ledger, Conflict):
        await ledger.unassign(n)
    await ledger.claim("w")
    await ledger.complete(n, "w")
    async with refused(ledger, Conflict):
        await ledger.unassign(n)
    async with refused(ledger, NotFound):
        await ledger.unassign(4711)


@pytest.mark.parametrize("state", ["free", "denied", "completed", "failed", "dead"])
async def test_what_nobody_holds_can_be_deleted(ledger: Ledger, state: str) -> None:
    """A task that is free or ended is deleted with every trace but its events, and stays gone."""
    await ledger.register("w")
    n = await ledger.create(max_attempts=1 if state == "dead" else 3)
    if state != "free":
        await ledger.claim("w", 1, 60_000)
    if state == "completed":
        await ledger.complete(n, "w", 1, "done")
    elif state != "free":
        await ledger.fail(n, "w", 1, retryable=state != "failed")

    await ledger.delete(n)

    found = await ledger.read()
    assert not found.tasks
    assert {key for key in found.indexes if not key.startswith("alive")} == set()
    with pytest.raises(NotFound):
        await ledger.get(n)
    async with refused(ledger, NotFound):
        await ledger.delete(n)


@pytest.mark.parametrize("begun", [True, False])
async def test_what_somebody_holds_is_not_deleted(ledger: Ledger, begun: bool) -> None:  # noqa: FBT001
    """A task in progress or reserved is -32011 for a delete."""
    await ledger.register("w")
    n = await ledger.create()
    await (ledger.claim("w") if begun else ledger.assign(n, "w"))

    async with refused(ledger, Conflict):
        await ledger.delete(n)


async def test_renewing_keeps_a_task(ledger: Ledger) -> None:
    """A lease that is renewed in time is kept as long as it is renewed, and taken back when it is not."""
    await ledger.register("w", dead_after_ms=10 * MINUTE)
    n = await ledger.create()
    await ledger.claimed("w", lease_ms=10 * SECOND)

    for _ in range(5):
        await ledger.advance(9 * SECOND, ["w"])
        await ledger.renew(n, "w", 1, 10 * SECOND)
    assert (await ledger.get(n)).epoch == 1

    await ledger.advance(10 * SECOND, ["w"])
    task = await ledger.get(n)
    assert (task.status, task.epoch, task.attempts) == ("pending", 2, 1)
    async with refused(ledger, Stale):
        await ledger.renew(n, "w", 1)


async def test_a_renewal_gives_a_lease_to_a_task_without_one(ledger: Ledger) -> None:
    """A task claimed for as long as its owner lives has a deadline from its first renewal on."""
    await ledger.register("w", dead_after_ms=10 * MINUTE)
    n = await ledger.create()
    await ledger.claimed("w")
    await ledger.advance(8 * MINUTE, ["w"])

    await ledger.renew(n, "w", 1, SECOND)
    await ledger.advance(2 * SECOND, ["w"])

    assert (await ledger.get(n)).status == "pending"


async def test_ending_a_leased_task_ends_its_lease(ledger: Ledger) -> None:
    """A task completed within its lease is not touched when the lease would have ended."""
    await ledger.register("w", dead_after_ms=10 * MINUTE)
    n = await ledger.create()
    await ledger.claimed("w", lease_ms=SECOND)
    await ledger.complete(n, "w", 1)
    before = (await ledger.read()).events

    await ledger.advance(MINUTE, ["w"])

    assert (await ledger.read()).events == before


async def test_what_nobody_held_is_denied_to_nobody(ledger: Ledger) -> None:
    """A task that was begun by nobody in particular and failed is kept from nobody."""
    n = await ledger.create()
    await ledger.update(n, status="in_progress")
    await ledger.fail(n, retryable=True)

    assert (await ledger.check()).tasks[n].deny == []
