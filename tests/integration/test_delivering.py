"""Delivering on a real store: tries, time-outs, dead letters and retries, each partition in its order."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from claudebench.app import CATALOGUE, SCRIPTS
from claudebench.errors import Stale
from claudebench.events.cursor import Cursors, Mark
from claudebench.events.group import Group, Reader
from claudebench.events.letters import DeadLetters
from claudebench.events.log import EventLog
from claudebench.events.subscriber import AT_ONCE, Backoff, Delivering, Delivery, NotNow, Subscription
from claudebench.store.connection import Address, Connection
from claudebench.store.origin import Origin
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claudebench.events.model import Event

LEASE_MS = 500
MINE = ("x.test.*",)
QUICK = Backoff(0.001, 0.002)
_numbers = itertools.count(1)


class Told:
    """A subscriber that notes what it is told, and does what the test wants with it."""

    def __init__(self, connection: Connection, workspace: str) -> None:
        """Take the connection and a workspace of this test's own."""
        self.connection, self.workspace = connection, workspace
        self.log, self.cursors = EventLog(connection, CATALOGUE), Cursors(connection)
        self.letters = DeadLetters(connection)
        self.tries: list[tuple[str, int]] = []
        self.handled: list[str] = []
        self.failing: set[str] = set()
        self.hanging: set[str] = set()
        self.subscription = Subscription("g", MINE, self.hear, 2, QUICK, timeout_s=0.05, partitions=1)

    async def hear(self, event: Event, delivery: Delivery) -> None:
        """Note an event, and fail or hang if it is to."""
        self.tries.append((event.subject, delivery.tries))
        if event.subject in self.failing:
            raise RuntimeError("password=hunter22 is wrong")
        if event.subject in self.hanging:
            await asyncio.Event().wait()
        self.handled.append(event.subject)

    async def say(self, *subjects: str, type_: str = "x.test.said") -> list[str]:
        """Write events."""
        origin = Origin(self.workspace)
        return [(await self.log.append(origin, type_, each, b"{}"))[0].decode() for each in subjects]

    @asynccontextmanager
    async def listening(self, holder: str = "here", lease_ms: int = LEASE_MS) -> AsyncIterator[Group]:
        """Take part for the length of a block."""
        delivering = self.delivering()
        reader = Reader(
            self.workspace,
            "g",
            delivering.deliver,
            1,
            lease_ms=lease_ms,
            wants=self.subscription.wanted.match,
            letters=self.letters,
        )
        group = Group(self.log, self.cursors, holder, reader)
        running = asyncio.create_task(group.run())
        try:
            yield group
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    def delivering(self) -> Delivering:
        """Return what brings events here."""
        return Delivering(self.subscription, self.workspace, self.cursors, self.letters, mask=lambda text: text[:20])

    async def dead(self) -> list[tuple[str, int, str]]:
        """Return subject, tries and error of the dead letters."""
        page = await self.letters.page(self.workspace, "g", (0, ""), 100)
        return [(each.letter.event.subject, each.letter.tries, each.letter.error) for each in page.kept]


@pytest.fixture
async def told(store_socket: str) -> AsyncIterator[Told]:
    """A subscriber in a workspace of this test's own."""
    connection = Connection(Address(socket=store_socket), SCRIPTS)
    await connection.open()
    yield Told(connection, f"d{next(_numbers)}")
    await connection.close()


async def test_a_failing_event_dies_and_the_next_goes_on(told: Told) -> None:
    """Its tries come before the next event; then it is a dead letter, its error masked, and the next goes on."""
    told.failing = {"bad"}
    await told.say("one", "bad", "two")
    await told.say("other", type_="x.else.said")
    async with told.listening():
        await eventually(lambda: told.handled == ["one", "two"])

    assert told.tries == [("one", 1), ("bad", 1), ("bad", 2), ("bad", 3), ("two", 1)]
    assert await told.dead() == [("bad", 3, "RuntimeError: passwo")]
    figures = told.subscription.figures
    assert (figures.handled, figures.failed, figures.timed_out, figures.dead) == (2, 3, 0, 1)


async def test_a_hanging_handler_is_given_up(told: Told) -> None:
    """A try that does not end in time is cancelled and counted; the event dies as any that fails."""
    told.hanging = {"bad"}
    await told.say("bad", "two")
    async with told.listening():
        await eventually(lambda: told.handled == ["two"])

    ((subject, tries, error),) = await told.dead()
    assert (subject, tries, error[:12]) == ("bad", 3, "TimeoutError")
    assert told.subscription.figures.timed_out == 3


async def test_a_retry_is_delivered_once(told: Told) -> None:
    """What is asked for once more is delivered once for each time, and dies again when it fails again."""
    told.failing = {"bad"}
    (bad,) = await told.say("bad")
    async with told.listening():
        await eventually(told.dead)
        await told.letters.retry(Origin(told.workspace), "g", bad)
        await eventually(lambda: len(told.tries) == 6)
        await eventually(told.dead)
        told.failing.clear()
        await told.letters.retry(Origin(told.workspace), "g", bad)
        await eventually(lambda: told.handled)
        await told.say("two")
        await eventually(lambda: told.handled == ["bad", "two"])

    assert await told.letters.counts(told.workspace, "g") == (0, 0, 0)


async def test_a_retry_waits_for_whoever_comes(told: Told) -> None:
    """What nobody was there to deliver is delivered by the next who holds the partition, wherever its cursor stands."""
    told.failing = {"bad"}
    (bad,) = await told.say("bad")
    async with told.listening():
        await eventually(told.dead)
    told.failing.clear()
    moved = await told.letters.retry(Origin(told.workspace), "g", bad)
    (held,) = (await told.cursors.take(told.workspace, "g", "x", LEASE_MS)).cursors
    await told.cursors.commit(told.workspace, Mark("g", 0, "x", held.fence, moved.position), LEASE_MS)
    await told.cursors.leave(told.workspace, "g", "x")
    async with told.listening("another"):
        await eventually(lambda: told.handled == ["bad"])


async def test_who_lost_the_partition_tries_no_more(told: Told) -> None:
    """Between two tries the store is asked; who was overtaken stops and leaves no letter."""
    told.failing = {"bad"}
    await told.say("bad")
    await told.cursors.register(told.workspace, "g", 1)
    (event,) = (await told.log.page(told.workspace, "", 1)).events

    with pytest.raises(Stale):
        await told.delivering().deliver(event, Mark("g", 0, "nobody", 7, event.id))

    assert told.tries == [("bad", 1)]
    assert await told.dead() == []


async def test_a_stale_of_the_handler_is_a_failure(told: Told) -> None:
    """A handler that is refused with an old epoch of something else has failed; the partition is ours none the less."""

    async def stale(_event: Event, _delivery: Delivery) -> None:
        raise Stale("the epoch of a task")

    told.subscription = Subscription("g", MINE, stale, 1, QUICK, partitions=1)
    await told.say("one")
    async with told.listening():
        ((subject, tries, _),) = await eventually(told.dead)

    assert (subject, tries) == ("one", 2)


@pytest.mark.parametrize("wrong", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), RecursionError()])
async def test_whatever_a_handler_raises_is_a_failure(told: Told, wrong: BaseException) -> None:
    """Nothing that a handler raises ends more than its try."""

    async def raises(_event: Event, _delivery: Delivery) -> None:
        raise wrong

    told.subscription = Subscription("g", MINE, raises, 0, QUICK, partitions=1)
    await told.say("one")
    async with told.listening():
        ((_, _, error),) = await eventually(told.dead)

    assert error.startswith(type(wrong).__name__)


async def test_a_handler_that_cancels_itself_has_failed(told: Told) -> None:
    """The task that a handler cancels is its try's, not the partition's."""

    async def cancels(_event: Event, _delivery: Delivery) -> None:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.sleep(0)

    told.subscription = Subscription("g", MINE, cancels, 0, QUICK, partitions=1)
    await told.say("one", "two")
    async with told.listening():
        await eventually(lambda: told.subscription.figures.dead == 2)


async def test_those_that_do_not_end_are_bounded(told: Told) -> None:
    """Tries that were given up and go on keep their slots: no more than sixteen ever run."""
    running, most, ends = 0, 0, asyncio.Event()

    async def stays(_event: Event, _delivery: Delivery) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        while not ends.is_set():
            with suppress(asyncio.CancelledError):
                await ends.wait()
        running -= 1

    told.subscription = Subscription("g", MINE, stays, 0, QUICK, timeout_s=0.01, partitions=1)
    (position,) = await told.say("one")
    (event,) = (await told.log.page(told.workspace, "", 1)).events
    delivering = [asyncio.create_task(told.delivering().deliver(event)) for _ in range(AT_ONCE * 2)]
    try:
        await eventually(lambda: told.subscription.figures.timed_out == AT_ONCE)
        assert running == most == AT_ONCE
    finally:
        ends.set()
    await asyncio.gather(*delivering)

    assert most == AT_ONCE
    assert position


async def test_a_group_lets_what_has_begun_end(told: Told) -> None:
    """A group that is ended begins nothing new; what has begun ends, for `finish_s`, and its place is kept."""
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(event: Event, _delivery: Delivery) -> None:
        begun.set()
        await goes_on.wait()
        told.handled.append(event.subject)

    told.subscription = Subscription("g", MINE, slow, 0, QUICK, partitions=1)
    one, _ = await told.say("one", "two")
    reader = Reader(told.workspace, "g", told.delivering().deliver, 1, lease_ms=LEASE_MS, finish_s=30)
    group = Group(told.log, told.cursors, "here", reader)
    running = asyncio.create_task(group.run())
    await begun.wait()
    running.cancel()
    await eventually(lambda: all(each.is_given for each in group.held.values()))
    goes_on.set()
    with suppress(asyncio.CancelledError):
        await running

    assert told.handled == ["one"]
    (lag,) = await told.cursors.lag(told.workspace, "g")
    assert (lag.position, lag.holder) == (one, "")


async def test_who_says_not_now_is_asked_later(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that says for how long a further try is no use is left alone so long, within bounds."""
    slept = list[float]()

    async def noting(_delivering: Delivering, delay_s: float) -> None:
        slept.append(delay_s)

    async def refuse(_event: Event, _delivery: Delivery) -> None:
        raise NotNow("not now", after_s=[7.0, 1e9][len(slept)])

    monkeypatch.setattr(Delivering, "_rest", noting)
    told.subscription = Subscription("g", MINE, refuse, 2, QUICK, partitions=1)
    (id_,) = await told.say("one")
    event = (await told.log.page(told.workspace, "", 1)).events[0]
    assert event.id == id_
    assert await told.delivering().deliver(event) == "dead"
    assert slept[:2] == [7.0, 3600.0]


async def test_an_error_that_no_text_holds(told: Told) -> None:
    """An error whose words cannot be written makes a dead letter too, with a mark where they were."""

    async def fail(_event: Event, _delivery: Delivery) -> None:
        raise ValueError("\ud800 here")

    told.subscription = Subscription("g", MINE, fail, 0, QUICK, partitions=1)
    await told.say("bad", "next")
    async with told.listening():
        await eventually(lambda: all_dead(told, 2))
    assert (await told.dead())[0] == ("bad", 1, "ValueError: ? here")


async def all_dead(told: Told, count: int) -> bool:
    """Tell whether there are so many dead letters."""
    return len(await told.dead()) == count


async def test_what_rests_is_handed_over(told: Told) -> None:
    """A group that ends does not wait for the rest between two tries: the event stays before who is next."""

    async def fail(event: Event, _delivery: Delivery) -> None:
        told.tries.append((event.subject, 1))
        if event.subject == "bad":
            raise RuntimeError("not yet")

    told.subscription = Subscription("g", MINE, fail, 5, Backoff(3_000, 3_000), partitions=1)
    await told.say("good", "bad")
    delivering = told.delivering()
    reader = Reader(told.workspace, "g", delivering.deliver, 1, finish_s=None, let_go=delivering.let_go)
    group = Group(told.log, told.cursors, "here", reader)
    running = asyncio.create_task(group.run())
    await eventually(lambda: told.tries[-1:] == [("bad", 1)])
    running.cancel()
    await asyncio.wait((running,))
    (lag,) = await told.cursors.lag(told.workspace, "g")
    assert (lag.holder, lag.behind) == ("", 1)
