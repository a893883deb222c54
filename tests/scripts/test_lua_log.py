"""The log: its hard cap, what it says of what is gone, and pages that filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claudebench.app import CATALOGUE
from claudebench.events.log import EventLog
from claudebench.events.position import number
from claudebench.store.keys import KEYS, prefix

if TYPE_CHECKING:
    from tests.scripts.ledger import Ledger

OVERSHOT = 9  # only every tenth event of a millisecond looks at the cap
TYPE = "x.test.said"


class Log:
    """The log of a test's workspace."""

    def __init__(self, ledger: Ledger) -> None:
        """Take the workspace."""
        self.ledger = ledger
        self.log = EventLog(ledger.connection, CATALOGUE)

    async def cap(self, events: int) -> None:
        """Give the log another hard cap."""
        key = prefix(self.ledger.workspace) + KEYS["evmeta"].tail
        await self.ledger.connection.command("HSET", key, "max", events)

    async def say(self, count: int = 1, type_: str = TYPE, subject: str = "s", key: str = "") -> list[str]:
        """Append that many facts and return their positions."""
        origin = self.ledger.origin()
        sent = [self.log.append(origin, type_, subject, b"{}", key) for _ in range(count)]
        return [(await each)[0].decode() for each in sent]

    async def stored(self) -> list[str]:
        """Return the position of every event that there is."""
        return [event.id for event in (await self.log.page(self.ledger.workspace, "", 1000)).events]


@pytest.fixture
def log(ledger: Ledger) -> Log:
    """The log of this test's workspace."""
    return Log(ledger)


async def test_the_cap_holds_and_names_what_went(log: Log) -> None:
    """However many are written, the log stays below its cap, and `trimmed` is exactly the last that is gone."""
    await log.cap(50)
    written: list[str] = []
    for _ in range(40):
        written += await log.say(7)
        kept = await log.stored()
        gone = written[: len(written) - len(kept)]
        assert len(kept) <= 50 + OVERSHOT
        assert kept == written[len(gone) :]
        assert (await log.log.span(log.ledger.workspace)) == (gone[-1] if gone else "", written[-1])
    assert len(kept) < len(written)


async def test_a_two_thousandth_goes_at_once(log: Log) -> None:
    """At the cap a slice goes, so that the next events need not cut again."""
    await log.cap(4000)
    await log.say(4000)
    before = await log.ledger.connection.command("XLEN", f"cb:{{{log.ledger.workspace}}}:ev")
    while not (span := await log.log.span(log.ledger.workspace)).trimmed:
        await log.say()

    assert before <= 4000
    assert await log.ledger.connection.command("XLEN", f"cb:{{{log.ledger.workspace}}}:ev") == 3998
    assert number(span.trimmed) < number(span.last)


async def test_only_a_test_store_has_another_cap(log: Log) -> None:
    """The cap of a workspace that is no test's is what the code says, whatever stands in its keys."""
    await log.cap(5)
    await log.ledger.connection.command("HDEL", f"cb:{{{log.ledger.workspace}}}:{KEYS['meta'].tail}", "test")

    await log.say(60)

    assert len(await log.stored()) == 60
    await log.ledger.begin()


async def test_a_log_of_nothing(log: Log) -> None:
    """Before the first event there is neither an end nor anything gone; pages are empty and final."""
    assert await log.log.span(log.ledger.workspace) == ("", "")
    assert await log.log.page(log.ledger.workspace, "", 10) == ([], False, "", "")


async def test_a_filter_looks_further_than_its_limit(log: Log) -> None:
    """One of a type is found behind many of another; the next page goes on behind what was looked at."""
    await log.say(40)
    (wanted,) = await log.say(1, "x.other.said", "t")
    await log.say(3)

    for types, subject in ((["x.other.said"], ""), (["x.other.*"], ""), ([], "t"), (["x.none", "x.o*"], "t")):
        page = await log.log.page(log.ledger.workspace, "", 1, types, subject)
        assert [event.id for event in page.events] == [wanted]
    page = await log.log.page(log.ledger.workspace, "", 10, ["x.other.said"], "s")
    assert (page.events, page.more) == ([], False)
    assert page.next == (await log.log.span(log.ledger.workspace)).last
    assert len((await log.log.page(log.ledger.workspace, "", 1000, ["*"])).events) == 44


async def test_a_filter_looks_at_so_many(log: Log) -> None:
    """A page that filters stops after a thousand, says that more may follow, and where it stopped."""
    first = await log.say(1_200)
    (wanted,) = await log.say(1, "x.other.said")

    page = await log.log.page(log.ledger.workspace, "", 5, ["x.other.said"])
    assert (page.events, page.more, page.next) == ([], True, first[1_007])

    page = await log.log.page(log.ledger.workspace, page.next, 5, ["x.other.said"])
    assert ([event.id for event in page.events], page.more) == ([wanted], False)


async def test_a_partition_key_travels_with_its_event(log: Log) -> None:
    """It is in the envelope when it was given, and absent otherwise."""
    await log.say(1, key="project-7")
    await log.say(1)

    with_key, without = (await log.log.page(log.ledger.workspace, "", 10)).events

    assert (with_key.partition_key, without.partition_key) == ("project-7", "")


@pytest.mark.parametrize(("before", "behind"), [("", "0-1"), ("9-5", "10-0"), ("9-9", "9-10"), ("2-0", "2-1")])
def test_positions_are_numbers(before: str, behind: str) -> None:
    """What is later as text may be earlier as a number; '' is before all."""
    assert number(before) < number(behind)
