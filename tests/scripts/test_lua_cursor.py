"""Cursors: fair shares, fences, marks beside their effects, gaps, and what is behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec import Raw
from tests.scripts.ledger import HOUR, SECOND
from tests.scripts.test_lua_log import Log

from claudebench.errors import Conflict, LimitReached, NotFound, Stale
from claudebench.events.cursor import NEXT, Cursor, Cursors, Mark, partition_of
from claudebench.events.letters import DeadLetters, Letter
from claudebench.events.model import Event
from claudebench.events.trim import TRIM
from claudebench.store.keys import KEYS
from claudebench.store.script import Script, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.scripts.ledger import Ledger

LEASE_MS = 10 * SECOND
YEARS_MS = 10**13
COUNT = Script.of(
    "test",
    Source(
        "count",
        "-- count: an event is counted, once.\n-- uses  processed\n-- KEYS  own\n"
        "-- ARGV  group partition holder fence position subject\n-- Returns 1 if it was counted now, else 0.\n"
        "local refusal = not_holding(group, partition, holder, fence)\nif refusal then return refusal end\n"
        "if is_processed(group, partition, position) then return 0 end\n"
        "mark_processed(group, partition, position)\n"
        "redis.call('ZINCRBY', k_own('counted'), 1, subject)\nreturn 1\n",
        KEYS,
    ),
)


class Readers(Log):
    """The group `g` of a test's workspace, at the time that its ledger stands at."""

    def __init__(self, ledger: Ledger) -> None:
        """Take the ledger whose clock counts."""
        super().__init__(ledger)
        self.workspace = ledger.workspace
        self.cursors = Cursors(ledger.connection, lambda: str(ledger.now_ms))

    async def take(self, holder: str) -> list[Cursor]:
        """Take as somebody."""
        return (await self.cursors.take(self.workspace, "g", holder, LEASE_MS)).cursors

    async def commit(self, holder: str, cursor: Cursor, position: str) -> None:
        """Commit as somebody."""
        mark = Mark("g", cursor.partition, holder, cursor.fence, position)
        await self.cursors.commit(self.workspace, mark, LEASE_MS)

    async def rounds(self, holders: Iterable[str], times: int = 3) -> dict[str, int]:
        """Let each take and give back what is beyond its share, some times over; return how much each has."""
        held = {}
        for _ in range(times):
            for holder in holders:
                taken = await self.cursors.take(self.workspace, "g", holder, LEASE_MS)
                for cursor in taken.cursors[taken.share :]:
                    await self.cursors.release(self.workspace, Mark("g", cursor.partition, holder, cursor.fence, ""))
                held[holder] = min(taken.share, len(taken.cursors))
        return held

    async def trim(self, events_max: int = 0) -> tuple[int, int]:
        """Take one step of trimming by count."""
        gone, gaps = await self.ledger.connection.change(TRIM, self.ledger.origin(), YEARS_MS, events_max)
        return gone, gaps

    async def told(self) -> list[dict[str, object]]:
        """Return the gaps that were told."""
        return [event.payload for event in (await self.ledger.read()).of_type("cursor.gap")]


@pytest.fixture
async def readers(ledger: Ledger) -> Readers:
    """The group `g`, registered with 16 partitions."""
    made = Readers(ledger)
    await made.cursors.register(made.workspace, "g")
    return made


async def test_holders_share_alike(readers: Readers) -> None:
    """Whoever comes gets its part, whoever leaves or dies leaves it to the others, and everything is held again."""
    assert await readers.rounds("a") == {"a": 16}
    assert await readers.rounds("ab") == {"a": 8, "b": 8}
    assert sorted((await readers.rounds("abc")).values()) == [4, 6, 6]
    assert sum((await readers.rounds([f"h{n}" for n in range(20)] + ["a", "b", "c"])).values()) == 16

    for holder in ("a", "b", "c", *(f"h{n}" for n in range(1, 20))):
        await readers.cursors.leave(readers.workspace, "g", holder)
    assert await readers.rounds(["h0"]) == {"h0": 16}

    readers.ledger.now_ms += LEASE_MS
    assert await readers.rounds(["b", "c"]) == {"b": 8, "c": 8}


async def test_nobody_takes_what_is_held(readers: Readers) -> None:
    """Until the lease is over to the millisecond; then with a higher fence, at the position that was committed."""
    (position,) = await readers.say()
    first = await readers.take("a")
    await readers.commit("a", first[3], position)
    readers.ledger.now_ms += LEASE_MS - 1
    assert await readers.take("b") == []

    readers.ledger.now_ms += 1

    taken = await readers.take("b")
    assert {cursor.fence for cursor in taken} == {2}
    assert taken[3].position == position


async def test_a_late_commit_is_refused(readers: Readers) -> None:
    """Who was overtaken is refused, and moves nothing; who was only late still holds."""
    one, two = await readers.say(2)
    (held, *_) = await readers.take("a")
    readers.ledger.now_ms += HOUR
    await readers.commit("a", held, one)
    readers.ledger.now_ms += HOUR
    (taken, *_) = await readers.take("b")

    with pytest.raises(Stale):
        await readers.commit("a", held, two)

    assert taken.fence == 2
    assert [cursor.position for cursor in await readers.take("b")][held.partition] == one
    await readers.cursors.release(readers.workspace, Mark("g", held.partition, "a", held.fence, ""))
    assert held.partition in {cursor.partition for cursor in await readers.take("b")}


async def test_what_is_taken_whole(readers: Readers) -> None:
    """All partitions or none: while another holds a single one nothing is taken; whoever has some gets the rest."""

    async def whole(holder: str) -> list[Cursor]:
        return (await readers.cursors.take(readers.workspace, "g", holder, LEASE_MS, whole=True)).cursors

    held = await whole("a")
    assert len(held) == len(await whole("a")) == 16
    for cursor in held[1:]:
        await readers.cursors.release(readers.workspace, Mark("g", cursor.partition, "a", cursor.fence, ""))
    assert await whole("b") == []
    assert [cursor.fence for cursor in await whole("a")] == [1, *[2] * 15]
    readers.ledger.now_ms += LEASE_MS
    assert [cursor.fence for cursor in await whole("b")] == [2, *[3] * 15]


async def test_a_commit_holds_longer(readers: Readers) -> None:
    """Whoever commits lives."""
    (position,) = await readers.say()
    held = await readers.take("a")
    for _ in range(3):
        readers.ledger.now_ms += LEASE_MS - 1
        for cursor in held:
            await readers.commit("a", cursor, position)
        assert await readers.take("b") == []


async def test_an_effect_happens_once(readers: Readers) -> None:
    """Each event is delivered three times at once, and to who lost the partition; each is counted once."""
    positions = await readers.say(20)
    run, workspace = readers.ledger.connection.run, readers.workspace
    old = await readers.take("a")
    readers.ledger.now_ms += LEASE_MS
    counted = []
    for at, position in enumerate(positions):
        if at == 10:
            new = await readers.take("b")
        holder, (cursor, *_) = ("a", old) if at < 10 else ("b", new)
        mark = Mark("g", 0, holder, cursor.fence, position)
        counted += await asyncio.gather(*(run(COUNT, workspace, *mark.arguments, position) for _ in range(3)))
        if at >= 10:
            with pytest.raises(Stale):
                await run(COUNT, workspace, *Mark("g", 0, "a", old[0].fence, position).arguments, position)

    assert counted == [1, 0, 0] * 20
    assert set((await readers.ledger.read()).indexes["own:counted"].values()) == {1}
    await readers.commit("b", new[0], positions[-1])
    await readers.ledger.connection.command("DEL", f"cb:{{{workspace}}}:own:counted")


async def test_a_group_begins_where_it_wants(readers: Readers) -> None:
    """At the oldest that there is, at the next, or at a position; once more is no change, another size is refused."""
    positions = await readers.say(5)
    for name, start, wanted in (
        ("old", "", "0-0"),
        ("new", NEXT, positions[-1]),
        ("there", positions[1], positions[1]),
    ):
        assert await readers.cursors.register(readers.workspace, name, 1, start)
        assert not await readers.cursors.register(readers.workspace, name, 1, "")
        taken = await readers.cursors.take(readers.workspace, name, "a", LEASE_MS)
        assert [cursor.position for cursor in taken.cursors] == [wanted]
    with pytest.raises(Conflict):
        await readers.cursors.register(readers.workspace, "g", 1)
    with pytest.raises(NotFound):
        await readers.cursors.take(readers.workspace, "nobody", "a", LEASE_MS)
    with pytest.raises(ValueError, match="a group is named"):
        await readers.cursors.register(readers.workspace, 'a"b')


async def test_so_many_groups_and_no_more(readers: Readers) -> None:
    """The thirty-third is refused, since each is asked before the log is trimmed."""
    for number in range(31):
        await readers.cursors.register(readers.workspace, f"g{number}", 1)
    with pytest.raises(LimitReached):
        await readers.cursors.register(readers.workspace, "one-more", 1)
    await readers.cursors.drop(readers.workspace, "g7")
    assert await readers.cursors.register(readers.workspace, "one-more", 1)


async def test_nothing_is_trimmed_that_somebody_has_yet_to_handle(readers: Readers) -> None:
    """The slowest cursor counts, also one whose position lives elsewhere; a group that ended counts no more."""
    positions = await readers.say(10)
    held = await readers.take("a")
    assert await readers.trim() == (0, 0)
    for cursor in held:
        await readers.commit("a", cursor, positions[6])
    await readers.cursors.note(readers.workspace, "record", "r", 1, positions[3])

    assert await readers.trim() == (4, 0)
    assert await readers.stored() == positions[4:]
    assert (await readers.log.span(readers.workspace)).trimmed == positions[3]

    await readers.cursors.note(readers.workspace, "record", "r", 1, positions[9])
    assert await readers.trim() == (3, 0)
    await readers.cursors.drop(readers.workspace, "g")
    assert await readers.trim() == (3, 0)
    assert await readers.stored() == []


async def test_events_stay_their_time(readers: Readers) -> None:
    """By time to the millisecond, or by count; the younger and fewer stay."""
    await readers.cursors.drop(readers.workspace, "g")
    first, second = (await readers.say())[0], (await readers.say())[0]
    while (beginning := first.partition("-")[0]) == second.partition("-")[0]:
        second = (await readers.say())[0]
    readers.ledger.now_ms = int(beginning) + HOUR
    change, origin = readers.ledger.connection.change, readers.ledger.origin()
    assert await change(TRIM, origin, HOUR, 1000) == [0, 0]

    (gone, _) = await change(TRIM, origin, HOUR - 1, 1000)

    stored = await readers.stored()
    assert gone >= 1
    assert (await readers.log.span(readers.workspace)).trimmed.partition("-")[0] == beginning
    assert {each.partition("-")[0] == beginning for each in stored} == {False}
    assert stored[-1] == second
    more = await readers.say(4)
    await readers.trim(3)
    assert await readers.stored() == more[1:]


async def test_a_gap_is_told_once(readers: Readers) -> None:
    """What the hard cap takes from a stopped group is named, and noted until somebody has made up for it."""
    await readers.cap(20)
    positions = await readers.say(15)
    held = await readers.take("a")
    for cursor in held:
        await readers.commit("a", cursor, positions[9])
    await readers.say(60)
    await readers.trim(1000)
    trimmed = (await readers.log.span(readers.workspace)).trimmed
    _, gaps = await readers.trim(1000)

    told = await readers.told()
    assert gaps == 16
    assert [each["partition"] for each in told] == list(range(16))
    assert {each["from"] for each in told} == {positions[9]}
    assert all(str(each["to"]) <= trimmed for each in told)
    (lag, *_) = await readers.cursors.lag(readers.workspace, "g")
    assert lag.gap.startswith(f"{positions[9]} ")

    position, ended = await readers.cursors.acknowledge(readers.ledger.origin(), "g")
    assert ended == 16
    (event,) = (await readers.ledger.read()).of_type("event.gap_acknowledged")
    assert (event.position, event.payload) == (position, {"group": "g", "gaps": 16})
    _, gaps = await readers.trim(1000)
    assert gaps == 0
    trimmed = (await readers.log.span(readers.workspace)).trimmed
    assert {cursor.position for cursor in await readers.take("a")} == {trimmed}


async def test_a_gap_grows(readers: Readers) -> None:
    """A second report of a gap makes it longer and tells nothing new; one behind an acknowledgement is a new one."""
    await readers.say(1)
    for to in ("10-0", "20-0"):
        await readers.cursors.gap(readers.workspace, "g", 3, "5-0", to)
    (lag,) = [each for each in await readers.cursors.lag(readers.workspace, "g") if each.partition == 3]
    assert lag.gap == "5-0 20-0"
    await readers.cursors.acknowledge(readers.ledger.origin(), "g")
    await readers.cursors.gap(readers.workspace, "g", 3, "20-0", "30-0")

    assert [(each["from"], each["to"]) for each in await readers.told()] == [("5-0", "10-0"), ("20-0", "30-0")]


async def test_an_acknowledgement_passes_nothing_in_silence(readers: Readers) -> None:
    """Only the cursor that had a gap moves; without a gap nothing is changed or told, and no group is made up."""
    await readers.cap(20)
    await readers.say(60)
    await readers.cursors.gap(readers.workspace, "g", 3, "0-0", "9-9")

    assert (await readers.cursors.acknowledge(readers.ledger.origin(), "g")).gaps == 1
    trimmed = (await readers.log.span(readers.workspace)).trimmed
    lags = await readers.cursors.lag(readers.workspace, "g")
    assert {each.partition: each.position for each in lags if each.position != "0-0"} == {3: trimmed}
    assert not [each.gap for each in lags if each.gap]
    before = await readers.ledger.read()
    again = await readers.cursors.acknowledge(readers.ledger.origin(), "g")
    with pytest.raises(NotFound):
        await readers.cursors.acknowledge(readers.ledger.origin(), "nobody")
    assert (again.position, again.gaps) == (before.events[-1].position, 0)
    assert await readers.ledger.read() == before


async def test_the_operator_ends_a_group(readers: Readers) -> None:
    """A group that nobody serves goes with its letters, retries and gaps, as one event tells; the log is trimmed."""
    positions = await readers.say(5)
    letters = DeadLetters(readers.ledger.connection, lambda: str(readers.ledger.now_ms))
    for position in positions[:3]:
        letter = Letter(
            event=Event(id=position, type="x.a", subject="s", payload=Raw(b"{}"), time=""), error="", tries=1
        )
        await letters.write(readers.workspace, "g", None, letter, 7)
    await letters.retry(readers.ledger.origin(), "g", positions[0])
    await readers.cursors.gap(readers.workspace, "g", 3, "0-0", "9-9")
    assert (await readers.trim())[0] == 0

    ended = await readers.cursors.end(readers.ledger.origin(), "g")

    assert (ended.partitions, ended.dead, ended.retrying) == (16, 2, 1)
    found = await readers.ledger.check()
    (told,) = found.of_type("event.group_dropped")
    assert (told.position, told.subject) == (ended.position, "g")
    assert told.payload == {"group": "g", "partitions": 16, "dead": 2, "retrying": 1}
    of_groups = ("group", "holders", "gaps", "dead_events", "retry")
    assert not [key for key in found.keys if key.startswith(of_groups)]
    assert (await readers.trim())[0] == len(found.events)
    with pytest.raises(NotFound):
        await readers.cursors.end(readers.ledger.origin(), "g")


async def test_a_group_that_is_served_does_not_end(readers: Readers) -> None:
    """While somebody holds a partition, or shares without one, the refusal names it and changes nothing."""
    await readers.take("a")
    await readers.say()
    before = await readers.ledger.read()
    with pytest.raises(Conflict, match="served by a") as caught:
        await readers.cursors.end(readers.ledger.origin(), "g")
    assert caught.value.data["holder"] == "a"
    assert await readers.ledger.read() == before

    await readers.cursors.leave(readers.workspace, "g", "a")
    await readers.cursors.register(readers.workspace, "one", 1)
    for holder in ("a", "b"):
        await readers.cursors.take(readers.workspace, "one", holder, LEASE_MS)
    await readers.cursors.leave(readers.workspace, "one", "a")
    with pytest.raises(Conflict, match="served by b"):
        await readers.cursors.end(readers.ledger.origin(), "one")
    assert (await readers.cursors.end(readers.ledger.origin(), "g")).partitions == 16


async def test_a_group_of_the_dead_ends(readers: Readers) -> None:
    """A lease that is over keeps no group, nor one that a clock run backwards made longer than any is."""
    await readers.take("a")
    readers.ledger.now_ms += LEASE_MS - 1
    with pytest.raises(Conflict):
        await readers.cursors.end(readers.ledger.origin(), "g")
    readers.ledger.now_ms += 1
    assert (await readers.cursors.end(readers.ledger.origin(), "g")).partitions == 16

    await readers.cursors.register(readers.workspace, "g")
    await readers.take("a")
    readers.ledger.now_ms -= HOUR
    assert (await readers.cursors.end(readers.ledger.origin(), "g")).partitions == 16


async def test_a_late_reader_notes_nothing(readers: Readers) -> None:
    """A position that lives elsewhere is noted under the term of a lease; a lower term is refused."""
    await readers.cursors.note(readers.workspace, "record", "a", 2, "5-0")
    with pytest.raises(Stale) as caught:
        await readers.cursors.note(readers.workspace, "record", "b", 1, "9-0")
    assert caught.value.data["current"] == 2
    (lag,) = await readers.cursors.lag(readers.workspace, "record")
    assert (lag.position, lag.holder, lag.fence) == ("5-0", "a", 2)
    assert await readers.cursors.groups(readers.workspace) == {"g": 16, "record": 0}


async def test_what_is_behind_is_counted(readers: Readers) -> None:
    """To the event while it is little, as a lower bound when it is much; the age is that of the first."""
    await readers.cursors.register(readers.workspace, "one", 1)
    positions = await readers.say(7)
    (cursor,) = (await readers.cursors.take(readers.workspace, "one", "a", LEASE_MS)).cursors
    mark = Mark("one", 0, "a", cursor.fence, positions[2])
    await readers.cursors.commit(readers.workspace, mark, LEASE_MS)
    readers.ledger.now_ms = int(positions[3].partition("-")[0]) + 1234

    (lag,) = await readers.cursors.lag(readers.workspace, "one")
    assert (lag.behind, lag.is_exact, lag.behind_ms, lag.holder) == (4, True, 1234, "a")
    (every, *_) = await readers.cursors.lag(readers.workspace, "g")
    assert (every.behind, every.holder, every.lease_ms) == (7, "", 0)

    await readers.say(1_500)
    (lag,) = await readers.cursors.lag(readers.workspace, "one")
    assert (lag.behind, lag.is_exact) == (1_000, False)


def test_the_partition_is_that_of_redis_cluster() -> None:
    """A key always falls into the same partition, by the CRC16 of Redis Cluster (0x31C3 for 123456789)."""
    assert partition_of("123456789", 1 << 16) == 0x31C3
    assert len({partition_of(f"t-{n}", 16) for n in range(500)}) == 16
    assert {partition_of(f"t-{n}", 1) for n in range(9)} == {0}
