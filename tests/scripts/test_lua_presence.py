"""register, heartbeat, unregister, and the touch in every command: who is heard of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scripts.ledger import BEGINNING_MS, HOUR, MINUTE, SECOND, num

from claudebench.errors import NotFound, Stale

if TYPE_CHECKING:
    from tests.scripts.ledger import Ledger


async def test_registering_again_changes_what_it_says(ledger: Ledger) -> None:
    """The same boot registers again with new roles and keeps its incarnation and its tasks."""
    first = await ledger.register("w", boot="b")
    n, special = await ledger.create(), await ledger.create(requires=["gpu"])
    await ledger.claim("w", 10)

    again = await ledger.register("w", roles=["gpu"], boot="b")

    assert (first.incarnation, again.incarnation, again.returned) == (1, 1, [])
    assert [held.id for held in (await ledger.beat("w")).held] == [f"t-{n}"]
    assert num(await ledger.claimed("w")) == special


async def test_another_boot_ends_the_incarnation_before(ledger: Ledger) -> None:
    """A restarted worker gets a new incarnation and no ghost tasks; its old process's words are stale."""
    await ledger.register("w", boot="old")
    begun, reserved = await ledger.create(priority=60), await ledger.create()
    old = await ledger.claimed("w")
    await ledger.assign(reserved, "w")

    new = await ledger.register("w", boot="new")

    assert new.incarnation == 2
    assert sorted(new.returned) == [f"t-{begun}", f"t-{reserved}"]
    assert (await ledger.beat("w")).held == []
    with pytest.raises(Stale):
        await ledger.complete(begun, "w", old.epoch)
    assert (await ledger.get(begun)).attempts == 1
    assert (await ledger.get(reserved)).attempts == 0


async def test_a_thousand_ghosts_go_back_at_once(ledger: Ledger) -> None:
    """A restart returns everything that the old incarnation held, at the largest capacity there is."""
    await ledger.register("w", capacity=1000, boot="old")
    for _ in range(1000):
        await ledger.create()
    for _ in range(100):
        await ledger.claim("w", 10)

    assert len((await ledger.beat("w")).held) == 1000
    assert len((await ledger.register("w", capacity=1000, boot="new")).returned) == 1000
    assert (await ledger.beat("w")).held == []


async def test_without_a_boot_id_nothing_is_returned(ledger: Ledger) -> None:
    """A worker that does not say which boot it is keeps its tasks when it registers again."""
    await ledger.register("w", boot="")
    await ledger.create()
    await ledger.claim("w")

    assert (await ledger.register("w", boot="")).returned == []
    assert len((await ledger.beat("w")).held) == 1


async def test_a_heartbeat_tells_what_is_held(ledger: Ledger) -> None:
    """A heartbeat answers every task in the instance's hands with its epoch, and leaves no event."""
    await ledger.register("w")
    begun, reserved = await ledger.create(), await ledger.create()
    await ledger.claim("w")
    await ledger.assign(reserved, "w")
    events = (await ledger.read()).events

    beat = await ledger.beat("w")

    assert (beat.alive, beat.incarnation) == (True, 1)
    assert {held.id: held.epoch for held in beat.held} == {f"t-{begun}": 1, f"t-{reserved}": 1}
    assert (await ledger.read()).events == events


async def test_who_is_not_registered_is_told_so(ledger: Ledger) -> None:
    """A heartbeat of nobody's answers that it is not alive, and registers nobody."""
    beat = await ledger.beat("nobody")

    assert (beat.alive, beat.held) == (False, [])
    assert not (await ledger.read()).instances


async def test_leaving_returns_what_was_held(ledger: Ledger) -> None:
    """Who unregisters is gone, what it held is free with its attempt given back, its late word is stale."""
    await ledger.register("w")
    begun, reserved = await ledger.create(priority=60), await ledger.create()
    await ledger.claim("w", 1, MINUTE)
    await ledger.assign(reserved, "w")

    assert sorted(await ledger.unregister("w")) == [f"t-{begun}", f"t-{reserved}"]

    found = await ledger.check()
    assert {(row.owner, row.epoch, row.attempts) for row in found.tasks.values()} == {("", 2, 0)}
    assert found.instances == {}
    with pytest.raises(Stale):
        await ledger.complete(begun, "w", 1)
    with pytest.raises(NotFound):
        await ledger.unregister("w")


async def test_silence_is_suspect_then_offline(ledger: Ledger) -> None:
    """After two missed beats an instance is SUSPECT, at deadAfterMs OFFLINE, and its tasks are free."""
    await ledger.register("w", dead_after_ms=5000)
    n = await ledger.create()
    await ledger.claim("w")

    await ledger.advance(2000)
    assert await ledger.state("w") == "ACTIVE"
    await ledger.advance(1)
    assert await ledger.state("w") == "SUSPECT"
    await ledger.advance(2998)
    assert await ledger.state("w") == "SUSPECT"
    await ledger.advance(100)
    assert await ledger.state("w") == "OFFLINE"

    found = await ledger.check()
    assert (found.tasks[n].owner, found.tasks[n].epoch) == ("", 2)
    (event,) = found.of_type("instance.offline")
    assert event.payload == {"id": "w", "returned": [f"t-{n}"]}


async def test_a_command_in_which_it_names_itself_is_a_beat(ledger: Ledger) -> None:
    """Claims, renewals and ends keep their caller alive as heartbeats do, refused ones too."""
    await ledger.register("w", dead_after_ms=5000)
    n = await ledger.create()
    await ledger.claim("w")
    for _ in range(4):
        await ledger.advance(3 * SECOND)
        await ledger.renew(n, "w", 1)
        await ledger.advance(3 * SECOND)
        assert await ledger.claim("w") == []
        await ledger.advance(3 * SECOND)
        with pytest.raises(Stale):
            await ledger.complete(n, "w", 7)
    await ledger.complete(n, "w", 1)

    assert await ledger.state("w") == "ACTIVE"
    assert (await ledger.read()).of_type("instance.offline") == []


@pytest.mark.parametrize("how", ["heartbeat", "claim", "renew", "register"])
async def test_a_late_word_comes_before_the_judgement(ledger: Ledger, how: str) -> None:
    """Who speaks after its deadline but before anybody swept is alive: the caller is touched before it is judged."""
    await ledger.register("w", boot="b")
    n = await ledger.create()
    await ledger.claim("w")
    await ledger.advance(4900)

    ledger.now_ms += 200
    match how:
        case "heartbeat":
            await ledger.beat("w")
        case "claim":
            await ledger.claim("w")
        case "renew":
            await ledger.renew(n, "w", 1)
        case "register":
            assert (await ledger.register("w", boot="b")).incarnation == 1
    await ledger.sweep()

    found = await ledger.check()
    assert found.of_type("instance.offline") == []
    assert found.tasks[n].owner == "w"


@pytest.mark.parametrize("how", ["heartbeat", "claim", "register"])
async def test_who_was_offline_comes_back(ledger: Ledger, how: str) -> None:
    """Any word of an OFFLINE instance brings it back as a new incarnation, without its old tasks, and is told once."""
    await ledger.register("w", boot="b")
    n = await ledger.create()
    await ledger.claim("w")
    await ledger.advance(6 * SECOND)
    assert await ledger.state("w") == "OFFLINE"

    if how == "heartbeat":
        beat = await ledger.beat("w")
        assert (beat.alive, beat.incarnation, beat.held) == (True, 2, [])
        beat = await ledger.beat("w")
        assert beat.incarnation == 2
    elif how == "claim":
        assert num(await ledger.claimed("w")) == n
    else:
        assert (await ledger.register("w", boot="b")).incarnation == 2

    assert await ledger.state("w") == "ACTIVE"
    found = await ledger.check()
    told = found.subjects("instance.online") if how != "register" else found.subjects("instance.registered")[1:]
    assert told == ["w"]
    with pytest.raises(Stale):
        await ledger.complete(n, "w", 1)


async def test_a_task_held_for_an_hour_is_not_taken(ledger: Ledger) -> None:
    """As long as its owner lives, a task without a lease is never taken back for being long."""
    await ledger.register("w")
    await ledger.register("other")
    n = await ledger.create()
    await ledger.claim("w")

    await ledger.advance(HOUR, ["w", "other"])

    assert await ledger.claim("other") == []
    await ledger.complete(n, "w", 1)
    found = await ledger.check()
    assert (found.tasks[n].status, found.tasks[n].epoch) == ("completed", 1)
    assert found.of_type("instance.offline") == []


async def test_an_instance_thinks_as_long_as_it_said(ledger: Ledger) -> None:
    """DeadAfterMs is each instance's own: a thinking agent outlives a worker beside it."""
    await ledger.register("agent", dead_after_ms=600_000)
    await ledger.register("worker")

    await ledger.advance(599 * SECOND)
    assert (await ledger.state("agent"), await ledger.state("worker")) == ("SUSPECT", "OFFLINE")
    await ledger.advance(2 * SECOND)
    assert await ledger.state("agent") == "OFFLINE"


async def test_a_given_time_is_taken_only_on_a_test_store(ledger: Ledger) -> None:
    """A workspace without the mark of a test goes by the store's clock, whatever time a call brings."""
    real = type(ledger)(ledger.connection, f"{ledger.workspace}-real")
    real.now_ms = 1
    await real.register("w")
    n = await real.create()
    await real.claim("w")

    found = await real.check()
    assert found.tasks[n].created_ms > BEGINNING_MS - 10 * 365 * 24 * HOUR
    assert found.tasks[n].created_ms != 1


async def test_a_dead_letter_is_not_named_as_free(ledger: Ledger) -> None:
    """A restart names what is free again; what had no attempt left is not."""
    await ledger.register("w")
    last, again = await ledger.create(max_attempts=1), await ledger.create()
    await ledger.claim("w", 2)

    assert (await ledger.register("w", boot="2")).returned == [f"t-{again}"]
    assert (await ledger.get(last)).dead_letter


async def test_a_list_is_as_long_as_its_limit(ledger: Ledger) -> None:
    """The limit is that of the whole list: who is heard of comes first, who went OFFLINE only where there is room."""
    for worker in ("gone-1", "gone-2", "gone-3", "here-1", "here-2", "here-3"):
        await ledger.register(worker)
    await ledger.advance(MINUTE, ("here-1", "here-2", "here-3"))

    async def listed(limit: int) -> list[str]:
        found = await ledger.instances.list(ledger.workspace, str(ledger.now_ms), limit)
        return [each.state for each in found]

    assert await listed(2) == ["ACTIVE"] * 2
    assert await listed(4) == ["ACTIVE"] * 3 + ["OFFLINE"]
    assert await listed(100) == ["ACTIVE"] * 3 + ["OFFLINE"] * 3
