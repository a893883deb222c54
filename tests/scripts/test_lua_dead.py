"""Dead letters: written with their mark and their event, bounded, retried once for each word, dropped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.scripts.ledger import MINUTE
from tests.scripts.test_lua_cursor import LEASE_MS, Readers

from claudebench.errors import NotFound, Stale
from claudebench.events.cursor import Cursor, Mark
from claudebench.events.letters import DeadLetters, Letter
from claudebench.events.model import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.scripts.ledger import Ledger

LETTERS_MAX = 10_000
BEGIN = (0, "")


class Morgue(Readers):
    """The dead letters of the group `g`, whose partitions are `a`'s."""

    def __init__(self, ledger: Ledger) -> None:
        """Take the ledger whose clock counts."""
        super().__init__(ledger)
        self.letters = DeadLetters(ledger.connection, lambda: str(ledger.now_ms))
        self.cursor = Cursor(0, "", 0)

    def mark(self, position: str, holder: str = "a") -> Mark:
        """Return the mark of a holder in partition 0."""
        return Mark("g", 0, holder, self.cursor.fence, position)

    async def die(self, position: str, *, under: str = "", type_: str = "x.test.said", holder: str = "a") -> bool:
        """Give up on an event, delivered under its own position or that of a retry."""
        event = Event(id=position, type=type_, subject="s", payload=b"{}", time="now")  # type: ignore[arg-type]
        letter = Letter(event=event, error="RuntimeError: no", tries=3)
        return await self.letters.write(self.workspace, "g", self.mark(under or position, holder), letter, 0)

    async def dead(self) -> list[str]:
        """Return the ids of the dead letters."""
        page = await self.letters.page(self.workspace, "g", BEGIN, 1000)
        return [each.letter.event.id for each in page.kept]

    async def told_of(self, type_: str) -> Sequence[dict[str, object]]:
        """Return what events of a type carried."""
        return [event.payload for event in (await self.ledger.read()).of_type(type_)]


@pytest.fixture
async def morgue(ledger: Ledger) -> Morgue:
    """The group `g`, held by `a`."""
    made = Morgue(ledger)
    await made.cursors.register(made.workspace, "g", 1)
    (made.cursor,) = await made.take("a")
    return made


async def test_a_letter_its_event_and_its_mark_are_one(morgue: Morgue) -> None:
    """What is given up on is listed, told and processed; said again it changes nothing."""
    (position,) = await morgue.say()

    assert await morgue.die(position)
    assert not await morgue.die(position)

    (kept,) = (await morgue.letters.page(morgue.workspace, "g", BEGIN, 10)).kept
    assert (kept.at_ms, kept.letter.error, kept.letter.tries) == (morgue.ledger.now_ms, "RuntimeError: no", 3)
    (told,) = await morgue.told_of("event.dead")
    assert told == {"group": "g", "id": position, "type": "x.test.said", "error": "RuntimeError: no", "tries": 3}
    (lag,) = await morgue.cursors.lag(morgue.workspace, "g")
    assert lag.position == position


async def test_who_lost_the_partition_buries_nothing(morgue: Morgue) -> None:
    """A letter of somebody who was overtaken is refused, and leaves no trace."""
    (position,) = await morgue.say()
    morgue.ledger.now_ms += LEASE_MS
    await morgue.take("b")

    with pytest.raises(Stale):
        await morgue.die(position)

    assert await morgue.dead() == []
    assert await morgue.told_of("event.dead") == []


async def test_the_death_of_a_death_is_not_told(morgue: Morgue) -> None:
    """A subscriber that fails on `event.dead` makes no endless chain of it."""
    await morgue.die("1-1", type_="event.dead")

    assert await morgue.dead() == ["1-1"]
    assert await morgue.told_of("event.dead") == []


async def test_letters_are_bounded_and_the_oldest_go(morgue: Morgue) -> None:
    """Beyond 10,000 the oldest are dropped and counted; that is told at once, and then once a minute at most."""
    for at in range(1, LETTERS_MAX + 6, 500):
        await asyncio.gather(*(morgue.die(f"{n}-1") for n in range(at, min(at + 500, LETTERS_MAX + 6))))
        morgue.ledger.now_ms += 1
    counts = await morgue.letters.counts(morgue.workspace, "g")
    gone = "1-1" not in await morgue.dead()
    morgue.ledger.now_ms += MINUTE
    await morgue.die("20000-1")

    assert counts == (LETTERS_MAX, 0, 5)
    assert gone
    told = await morgue.told_of("event.dead_dropped")
    assert [(each["count"], each["reason"]) for each in told] == [(1, "full"), (5, "full")]


async def test_a_retry_is_delivered_once_under_a_mark_of_its_own(morgue: Morgue) -> None:
    """A letter that is retried is none any more, and waits until it is processed under its mark, or dead again."""
    one, two = await morgue.say(2)
    await morgue.die(one)
    await morgue.die(two)
    moved = await morgue.letters.retry(morgue.ledger.origin(), "g", one)
    assert (moved.moved, moved.left) == (1, 1)
    with pytest.raises(NotFound):
        await morgue.letters.retry(morgue.ledger.origin(), "g", one)

    again = await morgue.letters.next(morgue.workspace, "g", 0)
    assert again
    assert again.event.id == one
    assert await morgue.die(one, under=again.position)
    assert await morgue.letters.next(morgue.workspace, "g", 0) is None
    assert not await morgue.die(one, under=again.position)
    await morgue.letters.retry(morgue.ledger.origin(), "g", one)
    third = await morgue.letters.next(morgue.workspace, "g", 0)
    assert third
    assert third.position != again.position
    await morgue.commit("a", morgue.cursor, third.position)

    assert await morgue.letters.next(morgue.workspace, "g", 0) is None
    assert await morgue.dead() == [two]
    (lag,) = await morgue.cursors.lag(morgue.workspace, "g")
    assert lag.position == two


async def test_all_are_retried_or_dropped_in_steps(morgue: Morgue) -> None:
    """A step takes a hundred, the oldest first, and no letter that died after the first step began."""
    for n in range(1, 251):
        await morgue.die(f"{n}-1")
    first = await morgue.letters.drop(morgue.ledger.origin(), "g")
    morgue.ledger.now_ms += 1
    await morgue.die("999-1")
    second = await morgue.letters.retry(morgue.ledger.origin(), "g", upto_ms=first.upto_ms)
    third = await morgue.letters.drop(morgue.ledger.origin(), "g", upto_ms=first.upto_ms)
    fourth = await morgue.letters.drop(morgue.ledger.origin(), "g", upto_ms=first.upto_ms)

    assert [(each.moved, each.left) for each in (first, second, third, fourth)] == [
        (100, 150),
        (100, 50),
        (50, 0),
        (0, 0),
    ]
    assert await morgue.dead() == ["999-1"]
    assert await morgue.letters.counts(morgue.workspace, "g") == (1, 100, 0)


async def test_pages_go_on_behind_a_letter(morgue: Morgue) -> None:
    """Each letter is on one page, also those that died in one millisecond."""
    ids = [f"{n}-1" for n in range(10, 35)]
    for id_ in ids:
        await morgue.die(id_)
    seen, behind, more = [], BEGIN, True
    while more:
        page = await morgue.letters.page(morgue.workspace, "g", behind, 10)
        seen += [each.letter.event.id for each in page.kept]
        behind, more = (page.kept[-1].at_ms, page.kept[-1].letter.event.id), page.more

    assert seen == ids


async def test_nothing_is_left_of_a_group(morgue: Morgue) -> None:
    """A group that is dropped takes its letters and retries with it."""
    await morgue.die("1-1")
    await morgue.die("2-1")
    await morgue.letters.retry(morgue.ledger.origin(), "g", "1-1")

    await morgue.cursors.drop(morgue.workspace, "g")

    assert await morgue.letters.counts(morgue.workspace, "g") == (0, 0, 0)
    assert await morgue.letters.next(morgue.workspace, "g", 0) is None
