"""claim: who gets which task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scripts.ledger import MINUTE, SECOND, num

from claudebench.errors import Conflict, LimitReached, NotFound

if TYPE_CHECKING:
    from tests.scripts.ledger import Ledger


async def test_highest_priority_first_then_oldest(ledger: Ledger) -> None:
    """Tasks are handed out by priority, and those of one priority in the order of their creation."""
    await ledger.register("w", capacity=100)
    made = [(await ledger.create(priority=priority), priority) for priority in (50, 0, 100, 50, 99, 0, 100)]

    handed = [num(await ledger.claimed("w")) for _ in made]

    assert handed == [n for n, priority in sorted(made, key=lambda each: (-each[1], each[0]))]
    assert await ledger.claim("w") == []


async def test_a_claim_starts_the_task(ledger: Ledger) -> None:
    """A claim makes the caller the owner, counts the attempt, raises the epoch by one and leaves one event."""
    await ledger.register("w")
    n = await ledger.create()

    task = await ledger.claimed("w")

    assert (task.status, task.assigned_to, task.attempts, task.epoch) == ("in_progress", "w", 1, 1)
    assert (await ledger.get(n)) == task
    assert (await ledger.read()).subjects("task.claimed") == [f"t-{n}"]


async def test_several_at_once_up_to_capacity(ledger: Ledger) -> None:
    """A claim for ten takes what capacity leaves, in order, and a full worker gets nothing."""
    await ledger.register("w", capacity=3)
    made = [await ledger.create() for _ in range(5)]

    assert [num(task) for task in await ledger.claim("w", 10)] == made[:3]
    assert await ledger.claim("w", 10) == []

    await ledger.complete(made[0], "w")
    assert [num(task) for task in await ledger.claim("w", 10)] == made[3:4]


async def test_a_lowered_capacity_counts_from_the_next_claim(ledger: Ledger) -> None:
    """A worker that registers again with less capacity keeps what it holds and gets nothing more."""
    await ledger.register("w", capacity=3)
    for _ in range(4):
        await ledger.create()
    await ledger.claim("w", 3)

    await ledger.register("w", capacity=1)

    assert await ledger.claim("w") == []
    assert len((await ledger.beat("w")).held) == 3


async def test_the_claimer_must_be_registered(ledger: Ledger) -> None:
    """Who never registered, or left, gets no task."""
    await ledger.create()
    with pytest.raises(NotFound):
        await ledger.claim("nobody")

    await ledger.register("w")
    await ledger.unregister("w")
    with pytest.raises(NotFound):
        await ledger.claim("w")


@pytest.mark.parametrize(
    ("roles", "may"),
    [
        ((), []),
        (("py",), [["py"]]),
        (("py", "gpu"), [["py"], ["gpu", "py"]]),
        (("p", "y", "gpupy", "python"), []),
        (("a.b", "axb"), [["a.b"]]),
    ],
)
async def test_roles_must_cover_what_a_task_requires(
    ledger: Ledger, roles: tuple[str, ...], may: list[list[str]]
) -> None:
    """A worker gets exactly the tasks whose required roles are all its own, compared as whole words."""
    await ledger.register("w", roles=roles, capacity=100)
    for requires in (["py"], ["gpu", "py"], ["a.b"], ["a", "b"]):
        await ledger.create(requires=requires)

    assert [task.requires for task in await ledger.claim("w", 10)] == may


async def test_the_best_of_all_role_queues_comes_first(ledger: Ledger) -> None:
    """Priority decides between queues of different roles, and a task that needs none counts among them."""
    await ledger.register("w", roles=("a", "b"), capacity=100)
    low = await ledger.create(priority=10, requires=["a"])
    high = await ledger.create(priority=90, requires=["b"])
    middle = await ledger.create(priority=50)

    assert [num(task) for task in await ledger.claim("w", 10)] == [high, middle, low]


async def test_own_reservation_keeps_its_epoch(ledger: Ledger) -> None:
    """Claiming what was reserved for the claimer starts it without a new epoch, in its order among the free ones."""
    await ledger.register("w")
    n, urgent = await ledger.create(), await ledger.create(priority=80)
    epoch = await ledger.assign(n, "w")

    assert num(await ledger.claimed("w")) == urgent
    task = await ledger.claimed("w")

    assert (num(task), task.epoch, task.attempts) == (n, epoch, 1)


async def test_a_full_worker_may_start_its_reservation(ledger: Ledger) -> None:
    """A reservation is part of the load already, so capacity does not keep its holder from it."""
    await ledger.register("w", capacity=1)
    n, _ = await ledger.create(), await ledger.create(priority=100)
    await ledger.assign(n, "w")

    assert [num(task) for task in await ledger.claim("w", 10)] == [n]


async def test_a_reservation_is_kept_from_others(ledger: Ledger) -> None:
    """Nobody but the one it is reserved for gets a reserved task."""
    await ledger.register("w")
    await ledger.register("thief")
    await ledger.assign(await ledger.create(), "w")

    assert await ledger.claim("thief", 10) == []


async def test_who_failed_a_task_waits_30_s_for_it(ledger: Ledger) -> None:
    """A task failed with a retry goes to another at once, and to who failed it after 30 s if nobody wanted it."""
    await ledger.register("w")
    await ledger.register("other")
    n = await ledger.create()
    await ledger.claim("w")
    assert await ledger.fail(n, "w", retryable=True) == "pending"

    assert await ledger.claim("w") == []
    await ledger.advance(30 * SECOND - 1, ["w", "other"])
    assert await ledger.claim("w") == []
    await ledger.advance(1, ["w", "other"])
    assert num(await ledger.claimed("w")) == n

    await ledger.fail(n, "w", retryable=True)
    assert num(await ledger.claimed("other")) == n


async def test_a_denied_task_hides_nothing_behind_it(ledger: Ledger) -> None:
    """Any number of denied tasks at the head of a queue is passed over for the first one that was not denied."""
    await ledger.register("w", capacity=100)
    denied = [await ledger.create(priority=90) for _ in range(20)]
    for _ in denied:
        await ledger.claim("w")
    for n in denied:
        await ledger.fail(n, "w", retryable=True)
    between = await ledger.create(priority=95)
    behind = [await ledger.create() for _ in range(3)]

    assert [num(task) for task in await ledger.claim("w", 10)] == [between, *behind]
    assert await ledger.claim("w", 10) == []


async def test_denial_lasts_through_a_second_owner(ledger: Ledger) -> None:
    """Every one of the last eight who failed a task is kept from it, the ninth before is not."""
    workers = [f"w{at}" for at in range(10)]
    for worker in workers:
        await ledger.register(worker)
    n = await ledger.create(max_attempts=100)
    for worker in workers[:9]:
        assert num(await ledger.claimed(worker)) == n
        await ledger.fail(n, worker, retryable=True)

    for worker in workers[1:9]:
        assert await ledger.claim(worker) == []
    assert num(await ledger.claimed(workers[0])) == n


async def test_a_lease_ends_when_it_says(ledger: Ledger) -> None:
    """A task claimed with a lease stays its owner's until then and is free for others from then on."""
    await ledger.register("w", dead_after_ms=10 * MINUTE)
    await ledger.register("other", dead_after_ms=10 * MINUTE)
    n = await ledger.create()
    await ledger.claimed("w", lease_ms=20 * SECOND)

    await ledger.advance(20 * SECOND - 1, ["w"])
    assert await ledger.claim("other") == []
    await ledger.advance(SECOND, ["w"])

    assert num(await ledger.claimed("other")) == n


async def test_assign_reserves(ledger: Ledger) -> None:
    """An assigned task is pending, belongs to the instance, counts as its load and has a new epoch."""
    await ledger.register("w")
    n = await ledger.create()

    assert await ledger.assign(n, "w") == 1

    task = await ledger.get(n)
    assert (task.status, task.assigned_to, task.attempts) == ("pending", "w", 0)
    assert [held.id for held in (await ledger.beat("w")).held] == [f"t-{n}"]


@pytest.mark.parametrize("state", ["reserved", "in_progress", "completed", "failed"])
async def test_assign_wants_a_free_task(ledger: Ledger, state: str) -> None:
    """A task that is reserved, begun or ended is not assigned again, not even to the same instance."""
    await ledger.register("w")
    await ledger.register("other")
    n = await ledger.create()
    if state == "reserved":
        await ledger.assign(n, "w")
    else:
        await ledger.claim("w")
    if state == "completed":
        await ledger.complete(n, "w")
    if state == "failed":
        await ledger.fail(n, "w")
    before = await ledger.get(n)

    for instance in ("w", "other"):
        with pytest.raises(Conflict):
            await ledger.assign(n, instance)

    assert await ledger.get(n) == before


async def test_assign_checks_the_instance(ledger: Ledger) -> None:
    """A task is assigned only to an instance that is known, alive, has room and has the roles."""
    n, special = await ledger.create(), await ledger.create(requires=["gpu"])
    with pytest.raises(NotFound):
        await ledger.assign(n, "nobody")
    with pytest.raises(NotFound):
        await ledger.assign(10**9, "nobody")

    await ledger.register("w", capacity=1)
    with pytest.raises(Conflict, match="roles"):
        await ledger.assign(special, "w")
    await ledger.assign(n, "w")
    with pytest.raises(LimitReached) as refusal:
        await ledger.assign(await ledger.create(), "w")
    assert refusal.value.data == {"reason": "capacity", "limit": 1}

    await ledger.register("dead")
    await ledger.advance(10 * SECOND, ["w"])
    with pytest.raises(Conflict, match="offline"):
        await ledger.assign(await ledger.create(), "dead")


async def test_create_numbers_and_queues(ledger: Ledger) -> None:
    """New tasks get numbers that only grow, begin free at epoch 0, and a number is never given out twice."""
    first, second = await ledger.create(), await ledger.create(priority=0)
    await ledger.delete(second)
    third = await ledger.create()

    assert (first, second, third) == (1, 2, 3)
    task = await ledger.get(first)
    assert (task.status, task.epoch, task.attempts, task.priority) == ("pending", 0, 0, 50)
    assert (await ledger.read()).subjects("task.created") == ["t-1", "t-2", "t-3"]


async def test_create_refuses_the_65th_set_of_roles(ledger: Ledger) -> None:
    """At most 64 different sets of roles wait at once; a known one, or one after a queue ran empty, is taken."""
    await ledger.register("w", roles=("r0",))
    for at in range(64):
        await ledger.create(requires=[f"r{at}"])
    with pytest.raises(LimitReached):
        await ledger.create(requires=["r64"])
    await ledger.create(requires=["r1"])

    await ledger.claim("w")
    await ledger.create(requires=["r64"])


async def test_create_refuses_a_full_queue(ledger: Ledger) -> None:
    """The queue takes as many pending tasks as its limit, reserved ones included, and no more until one is begun."""
    await ledger.register("w")
    small = type(ledger)(ledger.connection, ledger.workspace, queue_max=2)
    n = await small.create()
    await small.create()
    await small.assign(n, "w")
    with pytest.raises(LimitReached) as refusal:
        await small.create()
    assert refusal.value.data == {"reason": "queue", "limit": 2}

    await small.claim("w")
    await small.create()
