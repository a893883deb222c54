"""One suite over the three ways to deliver events: what is common to them, and what each alone keeps or breaks."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conformance.crew import MINE, QUICK
from tests.conformance.promises import PROMISES, table
from tests.conformance.worker import LET_ON, SLOW, history_of
from tests.integration import group_worker
from tests.integration.group_worker import ENTER

from claudebench.errors import Stale
from claudebench.events.cursor import Mark, partition_of
from claudebench.events.position import number
from claudebench.events.subscriber import Subscription
from claudebench.patterns.label import Pattern
from claudebench.store.origin import Origin
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.crew import Crew

    from claudebench.events.model import Event
    from claudebench.events.subscriber import Delivery

    Shows = Callable[[str, bool], None]

QUIET_S = 1.0  # how long it is waited for what may never come


class Noted:
    """A handler that notes what it is told, in the order in which it is done with it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.told: list[tuple[str, Event]] = []
        self.tries: list[str] = []
        self.marks: list[Mark] = []
        self.failing: set[str] = set()
        self.hanging: set[str] = set()
        self.let_on = asyncio.Event()

    async def __call__(self, event: Event, delivery: Delivery) -> None:
        """Note an event; fail or hang if it is to."""
        self.tries.append(event.subject)
        if event.subject in self.failing:
            raise RuntimeError("it is to fail")
        if event.subject in self.hanging:
            await self.let_on.wait()
        assert delivery.mark
        self.marks.append(delivery.mark)
        self.told.append((delivery.workspace, event))

    @property
    def subjects(self) -> list[str]:
        """What it was told of."""
        return [event.subject for _, event in self.told]

    def subscription(self, group: str = "g0", retries: int = 2) -> Subscription:
        """Return a subscription of it."""
        return Subscription(group, MINE, self, retries, QUICK, timeout_s=60)


def apart(first: str = "one") -> str:
    """Return a subject of another partition."""
    return next(
        each for each in (f"other{at}" for at in range(99)) if partition_of(each, 16) != partition_of(first, 16)
    )


async def test_what_is_delivered(crew: Crew, shows: Shows) -> None:
    """Two processes share a group: what was written, each once, in order per partition, nothing of elsewhere."""
    one, two, elsewhere = Noted(), Noted(), f"{crew.workspace}-2"
    await crew.prepare(elsewhere)
    for name, noted in (("one", one), ("two", two)):
        await crew.join(name, noted.subscription(), workspaces=[crew.workspace, elsewhere])
    await eventually(lambda: shared(crew))
    subjects = [f"s{at % 20}" for at in range(200)]
    for subject in subjects:
        await crew.say(subject)
        await crew.outside.say(elsewhere, f"not {subject}")
        await crew.say(subject, type_="x.else.said")
    await eventually(lambda: len(one.told) + len(two.told) >= 2 * len(subjects))

    told = [*one.told, *two.told]
    here = sorted((event for workspace, event in told if workspace == crew.workspace), key=lambda each: number(each.id))
    shows("no-invention", [each.subject for each in here] == subjects)
    shows("one-of-a-group", len({(workspace, each.id) for workspace, each in told}) == len(told) == 400)
    shows("isolation", all(each.subject.startswith("not") == (workspace == elsewhere) for workspace, each in told))
    shows("partition-order", is_in_order(one) and is_in_order(two))


async def shared(crew: Crew) -> bool:
    """Tell whether every partition of g0 is held: by all who serve it here, or by the one who reads for them."""
    holders = set((await crew.holders("g0")).values())
    names = {each.name for each in crew.inside if not each.is_over}
    return len(holders) == 1 and holders <= names if crew.way is Pattern.CENTRALIZED else holders == names


def is_in_order(noted: Noted) -> bool:
    """Tell whether events of one partition came in the order of their positions."""
    last: dict[tuple[str, int], tuple[int, int]] = {}
    for workspace, event in noted.told:
        at = (workspace, partition_of(event.subject, 16))
        if number(event.id) <= last.get(at, (0, 0)):
            return False
        last[at] = number(event.id)
    return True


async def test_one_ends_and_one_joins(crew: Crew, shows: Shows) -> None:
    """While events are written one process ends in order and another joins: each event is handled once."""
    notes = [Noted(), Noted(), Noted()]
    first = await crew.join("one", notes[0].subscription())
    await crew.join("two", notes[1].subscription())
    subjects = [f"s{at}" for at in range(300)]
    for at, subject in enumerate(subjects):
        await crew.say(subject)
        if at == 100:
            await first.leave()
        if at == 200:
            await crew.join("three", notes[2].subscription())

    def told() -> list[str]:
        return sorted(subject for each in notes for subject in each.subjects)

    await eventually(lambda: len(told()) >= len(subjects))
    await crew.say("last")
    await eventually(lambda: "last" in told())
    shows("clean-handover", told() == sorted([*subjects, "last"]))


async def test_one_ends_in_the_middle_of_an_event(crew: Crew, shows: Shows) -> None:
    """A handler is cut short since its process ends: the event is handled again elsewhere, or never twice."""
    one, two = Noted(), Noted()
    one.hanging = {"s"}
    first = await crew.join("one", one.subscription())
    await crew.say("s")
    await eventually(lambda: one.tries)
    await first.leave()
    await crew.join("two", two.subscription())
    await eventually(lambda: shared(crew))
    await crew.say("s")
    await eventually(lambda: two.told and is_level(crew))
    shows("at-most-once", len(two.told) == 1)


async def is_level(crew: Crew) -> bool:
    """Tell whether nothing lies before the group any more."""
    return not any(each.behind for each in await crew.outside.cursors.lag(crew.workspace, "g0"))


async def test_what_fails(crew: Crew, shows: Shows) -> None:
    """What fails at every try is a dead letter, the next goes on, and a dead letter can be delivered once more."""
    noted = Noted()
    noted.failing = {"bad"}
    process = await crew.join("one", noted.subscription(retries=2))
    await crew.say("bad", "good")
    await eventually(lambda: "good" in noted.subjects)

    async def letters() -> list[str]:
        page = await process.letters.page(crew.workspace, "g0", (0, ""), 10)
        return [each.letter.event.subject for each in page.kept]

    await eventually(letters)
    shows("retries", noted.tries.count("bad") == 3)
    noted.failing.clear()
    await process.letters.retry(Origin(crew.workspace), "g0")
    await eventually(lambda: "bad" in noted.subjects)
    shows("dead-letters", not await letters())


async def test_one_that_hangs(crew: Crew, shows: Shows) -> None:
    """A subscriber that hangs for good: what waits for it is bounded, writers and another subscriber go on."""
    stuck, free = Noted(), Noted()
    stuck.hanging = {"s"}
    process = await crew.join("one", stuck.subscription("g0"), free.subscription("g1"))
    count = 2_500
    for said in range(100, count + 1, 100):
        await asyncio.gather(*(crew.outside.say(crew.workspace, "s") for _ in range(100)))
        await eventually(partial(has_told, free, said))
    shows("back-pressure", not stuck.told)

    def waiting() -> int:
        places = [each.listening.places[crew.workspace] for each in crew.inside]
        return sum(len(each.waiting) for place in places for each in place.groups["g0"].held.values())

    assert waiting()
    shows("bounded-memory", waiting() <= 1_200)
    stuck.let_on.set()
    await process.leave()


def has_told(noted: Noted, count: int) -> bool:
    """Tell whether it was told of so many."""
    return len(noted.told) == count


async def test_one_that_was_taken_for_dead(crew: Crew, shows: Shows) -> None:
    """Its mark is refused once another has the partition."""
    one, two = Noted(), Noted()
    first = await crew.join("one", one.subscription())
    await crew.say("s")
    await eventually(lambda: one.marks)
    await first.leave()
    await crew.join("two", two.subscription())
    await crew.say("s")
    await eventually(lambda: two.marks)

    async def commits(mark: Mark) -> bool:
        try:
            await crew.outside.cursors.commit(crew.workspace, mark, 1_000)
        except Stale:
            return False
        return True

    shows("fenced", not await commits(one.marks[0]))


async def test_an_effect_that_is_asked_for_twice(crew: Crew, shows: Shows) -> None:
    """A handler writes its effect twice with one mark, and then fails if it may be tried again: it is there once."""
    effects = list[int]()

    async def handle(event: Event, delivery: Delivery) -> None:
        assert delivery.mark
        for _ in range(2):
            done: int = await crew.outside.connection.run(
                ENTER, crew.workspace, *delivery.mark.arguments, event.subject
            )
            effects.append(done)
        if delivery.tries == 1:
            raise RuntimeError("behind its effect")

    await crew.join("one", Subscription("g0", MINE, handle, 1, QUICK))
    await crew.say("s", "next")
    key = group_worker.history_of(crew.workspace, "all")

    async def entered() -> list[str]:
        lines = await crew.outside.connection.command("LRANGE", key, 0, -1)
        return sorted(line.decode().split()[2] for line in lines)

    tries = 1 if crew.way is Pattern.DISTRIBUTED else 2
    await eventually(lambda: len(effects) == 2 * 2 * tries)
    shows("effect-once", await entered() == ["next", "s"] and sum(effects) == 2)


async def test_the_order_of_the_whole_log(crew: Crew, shows: Shows) -> None:
    """An event of another partition overtakes one that takes long, or waits for it."""
    noted, other = Noted(), apart("slow")
    noted.hanging = {"slow"}
    await crew.join("one", noted.subscription())
    await crew.say("slow")
    await eventually(lambda: noted.tries == ["slow"])
    await crew.say(other)
    within_s = QUIET_S if crew.way is Pattern.CENTRALIZED else 15
    try:
        await eventually(lambda: noted.subjects == [other], within_s=within_s)
        overtook = True
    except AssertionError:
        overtook = False
    noted.let_on.set()
    await eventually(lambda: len(noted.told) == 2)
    shows("log-order", not overtook and noted.subjects == ["slow", other])


async def test_what_was_written_while_nobody_was_there(crew: Crew, shows: Shows) -> None:
    """The only process is killed; what is written before the next comes is delivered, or lost."""
    first = await crew.spawn("one")
    await crew.say("before")
    await eventually(lambda: has_handled(crew, "before"))
    first.kill()
    await first.wait()
    await crew.say("meanwhile")
    noted = Noted()
    await crew.join("two", noted.subscription())
    await eventually(lambda: shared(crew), within_s=30)
    await crew.say("after")
    await eventually(lambda: "after" in noted.subjects, within_s=30)
    shows("catches-up", "meanwhile" in noted.subjects)


async def has_handled(crew: Crew, subject: str) -> bool:
    """Tell whether a real process is done with an event."""
    return subject in await crew.handled()


async def test_a_process_is_killed(crew: Crew, shows: Shows) -> None:
    """One of two processes is killed in the middle of events, while more are written."""
    workers = [await crew.spawn("one"), await crew.spawn("two")]
    await eventually(lambda: spread(crew), within_s=30)
    names = [f"slow{at}" for at in range(40)]
    holders = await crew.holders("g0")
    await crew.say(*names, type_=SLOW)
    await eventually(crew.begun)
    victim = killed_for(crew, holders, (await crew.begun())[0])
    others = [f"s{at}" for at in range(200)]
    theirs = (
        others
        if crew.way is Pattern.CENTRALIZED
        else [each for each in others if holders[partition_of(each, 16)] != victim]
    )
    workers[["one", "two"].index(victim)].kill()
    await crew.outside.connection.command("SADD", history_of(crew.workspace, LET_ON, "g0"), *names)
    await crew.say(*others)
    went_on = await eventually(partial(goes_on, crew, theirs, victim))
    shows("no-single-reader", went_on == "others")
    await eventually(partial(is_settled, crew, [*names, *others]), within_s=40)
    begun = await crew.begun()
    shows("at-least-once", set(await crew.handled()) == {*names, *others})
    shows("at-most-once", len(begun) == len(set(begun)))


async def spread(crew: Crew) -> bool:
    """Tell whether all partitions are held, by both where both read."""
    holders = set((await crew.holders("g0")).values())
    return holders == {"one", "two"} or (crew.way is Pattern.CENTRALIZED and len(holders) == 1 and "" not in holders)


def killed_for(crew: Crew, holders: dict[int, str], begun: str) -> str:
    """Return who handles what has begun and, where that is another, reads for all."""
    return holders[0] if crew.way is Pattern.CENTRALIZED else holders[partition_of(begun, 16)]


async def has_all(crew: Crew, subjects: list[str]) -> bool:
    """Tell whether real processes are done with all these."""
    return set(subjects) <= set(await crew.handled())


async def goes_on(crew: Crew, subjects: list[str], victim: str) -> str:
    """Tell what comes first: the others are done with all these, or nobody is waited for any more."""
    is_waited_for = victim in (await crew.holders("g0")).values()
    if await has_all(crew, subjects) and is_waited_for:
        return "others"
    return "" if is_waited_for else "takeover"


async def is_settled(crew: Crew, subjects: list[str]) -> bool:
    """Tell whether all is handled, or, where events may be lost, whether one that is written now is."""
    if crew.way is not Pattern.DISTRIBUTED:
        return await has_all(crew, subjects)
    holders = set((await crew.holders("g0")).values())
    return len(holders) == 1 and not (await crew.outside.cursors.lag(crew.workspace, "g0"))[0].behind


def test_the_docs_say_what_was_seen() -> None:
    """The table of the docs is the one that this suite would write."""
    promised = table({(name, way): way in each.kept_by for name, each in PROMISES.items() for way in Pattern})
    assert promised in Path("docs/reference/delivery.md").read_text()
