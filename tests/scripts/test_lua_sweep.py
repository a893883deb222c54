"""sweep: what the dead held goes back, within a budget, and nobody dies of the store's own absence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scripts.ledger import HOUR, MINUTE, SECOND, num

if TYPE_CHECKING:
    from tests.scripts.ledger import Ledger


async def test_ten_instances_at_a_time(ledger: Ledger) -> None:
    """One sweep buries at most ten instances; the next ones bury the rest, each with one event."""
    dead = [f"w{at:02}" for at in range(25)]
    for worker in dead:
        await ledger.register(worker)
        await ledger.create()
        await ledger.claim(worker)
    await ledger.advance(4 * SECOND)

    buried = []
    for _ in range(4):
        ledger.now_ms += SECOND + 1
        await ledger.sweep()
        buried.append(len((await ledger.check()).of_type("instance.offline")))

    assert buried == [10, 20, 25, 25]
    found = await ledger.read()
    assert sorted(found.subjects("instance.offline")) == dead
    assert {row.owner for row in found.tasks.values()} == {""}


async def test_a_hundred_tasks_at_a_time(ledger: Ledger) -> None:
    """A dead instance that held 150 tasks is emptied in two sweeps and declared offline once."""
    await ledger.register("w", capacity=150)
    for _ in range(150):
        await ledger.create()
    for _ in range(15):
        await ledger.claim("w", 10)
    await ledger.advance(4 * SECOND)

    free = []
    for _ in range(3):
        ledger.now_ms += SECOND
        await ledger.sweep()
        found = await ledger.check()
        free.append(sum(1 for row in found.tasks.values() if not row.owner))

    assert free == [100, 150, 150]
    assert await ledger.state("w") == "OFFLINE"
    assert found.subjects("task.returned") == [event.subject for event in found.of_type("task.returned")]
    assert len(set(found.subjects("task.returned"))) == 150


async def test_offline_is_told_once(ledger: Ledger) -> None:
    """However many sweeps it takes to empty a dead instance, its end is one event."""
    await ledger.register("w", capacity=150)
    for _ in range(150):
        await ledger.create()
    for _ in range(15):
        await ledger.claim("w", 10)

    await ledger.advance(10 * SECOND)

    assert (await ledger.read()).subjects("instance.offline") == ["w"]


async def test_who_comes_back_half_buried_holds_what_it_is_told(ledger: Ledger) -> None:
    """An instance heard of between two sweeps of its burial is a new incarnation, and holds what its beat says."""
    await ledger.register("w", capacity=150)
    for _ in range(150):
        await ledger.create()
    for _ in range(15):
        await ledger.claim("w", 10)
    await ledger.advance(4 * SECOND)
    ledger.now_ms += SECOND
    await ledger.sweep()
    assert await ledger.state("w") == "OFFLINE"

    beat = await ledger.beat("w")

    assert beat.incarnation == 2
    found = await ledger.check()
    assert sorted(held.id for held in beat.held) == sorted(f"t-{n}" for n, row in found.tasks.items() if row.owner)


async def test_leases_share_the_budget(ledger: Ledger) -> None:
    """One sweep takes back at most a hundred leases that are over, the next one the rest."""
    await ledger.register("w", capacity=150, dead_after_ms=HOUR)
    for _ in range(150):
        await ledger.create()
    for _ in range(15):
        await ledger.claim("w", 10, SECOND)

    free = []
    for _ in range(3):
        ledger.now_ms += SECOND
        await ledger.sweep()
        free.append(sum(1 for row in (await ledger.check()).tasks.values() if not row.owner))

    assert free == [100, 150, 150]


async def test_every_changing_command_sweeps(ledger: Ledger) -> None:
    """Without any tick, a claim finds the task of an owner that died: the sweep is part of the command."""
    await ledger.register("living", dead_after_ms=HOUR)
    await ledger.register("w")
    n = await ledger.create()
    await ledger.claim("w")

    for _ in range(5):
        ledger.now_ms += SECOND
        await ledger.create(priority=0)

    assert num(await ledger.claimed("living")) == n


async def test_a_sweep_twice_is_a_sweep_once(ledger: Ledger) -> None:
    """Sweeping again at the same moment, or with nobody dead, changes nothing."""
    await ledger.register("w")
    await ledger.create()
    await ledger.claim("w")
    await ledger.advance(6 * SECOND)
    before = await ledger.read()

    await ledger.sweep()
    await ledger.advance(10 * SECOND)

    after = await ledger.read()
    assert (after.tasks, after.events, after.instances) == (before.tasks, before.events, before.instances)


@pytest.mark.parametrize("absence_ms", [2001, 10 * SECOND, HOUR])
async def test_the_stores_absence_kills_nobody(ledger: Ledger, absence_ms: int) -> None:
    """When nothing swept for over 2 s, whoever beats again within its own deadAfterMs (at most 5 s) lives."""
    patience = {"quick": 1000, "worker": 5000, "slow": MINUTE}
    for worker, dead_after_ms in patience.items():
        await ledger.register(worker, dead_after_ms=dead_after_ms)
        await ledger.create()
        await ledger.claim(worker)

    ledger.now_ms += absence_ms
    await ledger.sweep()
    ledger.now_ms += 999
    await ledger.sweep()
    for worker in patience:
        await ledger.beat(worker)
    await ledger.advance(MINUTE, patience)

    found = await ledger.check()
    assert found.of_type("instance.offline") == []
    assert {row.owner for row in found.tasks.values()} == set(patience)


async def test_who_died_in_the_stores_absence_is_buried_after_the_grace(ledger: Ledger) -> None:
    """The grace is no pardon: who is still silent when it ends is offline, after 5 s at the latest."""
    await ledger.register("quick", dead_after_ms=1000)
    await ledger.register("worker", dead_after_ms=8000)
    ledger.now_ms += 10 * SECOND
    await ledger.sweep()

    await ledger.advance(900)
    assert (await ledger.read()).of_type("instance.offline") == []
    await ledger.advance(100)
    assert (await ledger.read()).subjects("instance.offline") == ["quick"]
    await ledger.advance(3900)
    assert (await ledger.read()).subjects("instance.offline") == ["quick"]
    await ledger.advance(100)
    assert (await ledger.read()).subjects("instance.offline") == ["quick", "worker"]


async def test_leases_wait_out_the_grace(ledger: Ledger) -> None:
    """A lease that ran out while the store was away can still be renewed for 5 s."""
    await ledger.register("w", dead_after_ms=HOUR)
    kept, lost = await ledger.create(priority=60), await ledger.create()
    await ledger.claim("w", 2, SECOND)
    ledger.now_ms += 10 * SECOND
    await ledger.sweep()

    await ledger.advance(4 * SECOND)
    await ledger.renew(kept, "w", 1, MINUTE)
    await ledger.advance(SECOND)

    assert ((await ledger.get(kept)).epoch, (await ledger.get(lost)).epoch) == (1, 2)


@pytest.mark.parametrize("step_ms", [10 * MINUTE, -10 * MINUTE, HOUR, -HOUR, -1])
async def test_a_clock_step_kills_nobody(ledger: Ledger, step_ms: int) -> None:
    """However far the clock jumps, forwards or back, whoever goes on beating lives and keeps its tasks."""
    patience = {"quick": 1000, "worker": 5000, "slow": MINUTE}
    for worker, dead_after_ms in patience.items():
        await ledger.register(worker, dead_after_ms=dead_after_ms)
        await ledger.create()
        await ledger.claim(worker)
    await ledger.advance(3 * SECOND, patience)

    ledger.now_ms += step_ms
    await ledger.sweep()
    await ledger.advance(2 * MINUTE, patience)

    found = await ledger.check()
    assert found.of_type("instance.offline") == []
    assert {row.owner for row in found.tasks.values()} == set(patience)


@pytest.mark.parametrize("step_ms", [10 * MINUTE, -10 * MINUTE])
@pytest.mark.parametrize("swept_first", [True, False])
async def test_a_clock_step_spares_nobody_either(ledger: Ledger, step_ms: int, swept_first: bool) -> None:  # noqa: FBT001
    """Who falls silent at a clock step is offline within its deadAfterMs and the grace, not ten minutes later."""
    await ledger.register("w", dead_after_ms=5000)
    await ledger.create()
    await ledger.claim("w")
    await ledger.advance(3 * SECOND, ["w"])

    ledger.now_ms += step_ms
    await (ledger.sweep() if swept_first else ledger.beat("w"))
    await ledger.advance(10 * SECOND + 1)

    assert (await ledger.check()).subjects("instance.offline") == ["w"]


async def test_a_clock_that_steps_again_and_again(ledger: Ledger) -> None:
    """A clock that jumps to and fro every few seconds kills nobody who beats."""
    await ledger.register("w", dead_after_ms=1000)
    await ledger.create()
    await ledger.claim("w")
    for step in (HOUR, -10 * MINUTE, 5 * SECOND, -3 * SECOND, -HOUR, 2 * HOUR):
        ledger.now_ms += step
        await ledger.advance(3 * SECOND, ["w"])

    found = await ledger.check()
    assert found.of_type("instance.offline") == []
    assert found.tasks[1].owner == "w"


async def test_the_long_dead_are_forgotten(ledger: Ledger) -> None:
    """A day after its end an OFFLINE instance is no longer listed, and its record has an expiry."""
    await ledger.register("w")
    await ledger.advance(6 * SECOND)
    assert await ledger.state("w") == "OFFLINE"
    ttl = await ledger.connection.command("PTTL", f"cb:{{{ledger.workspace}}}:inst:w")
    assert 0 < ttl <= 24 * HOUR

    await ledger.connection.command("DEL", f"cb:{{{ledger.workspace}}}:inst:w")
    ledger.now_ms += 25 * HOUR
    await ledger.sweep()

    assert (await ledger.check()).indexes.get("offline", {}) == {}


async def test_nobody_else_pays_for_a_clock_step(ledger: Ledger) -> None:
    """A death just before a clock step is noticed after it, and the task of the dead is claimable."""
    await ledger.register("living", dead_after_ms=5000)
    await ledger.register("dead", dead_after_ms=5000)
    n = await ledger.create()
    await ledger.claim("dead")
    ledger.now_ms += 10 * MINUTE

    await ledger.advance(11 * SECOND, ["living"])

    assert num(await ledger.claimed("living")) == n
