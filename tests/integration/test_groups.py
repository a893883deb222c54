"""Groups in processes of their own: paused beyond the lease, killed, joined and left, every event once and in order."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
from collections import Counter, defaultdict
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest
from tests.integration.group_worker import GROUP, SLOW, history_of

from claudebench.app import CATALOGUE, SCRIPTS
from claudebench.errors import Unavailable
from claudebench.events.cursor import PARTITIONS, Cursors, partition_of
from claudebench.events.group import Group, Reader
from claudebench.events.log import EventLog
from claudebench.events.position import number
from claudebench.store.connection import Address, Connection
from claudebench.store.origin import Origin
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claudebench.events.cursor import Mark
    from claudebench.events.model import Event

LEASE_MS = 500
SUBJECTS = [f"s-{n}" for n in range(40)]
_numbers = itertools.count(1)


class Done(NamedTuple):
    """One line of the history."""

    partition: int
    position: str
    subject: str
    holder: str
    fence: int


@pytest.fixture
async def crew(store_socket: str) -> AsyncIterator[Crew]:
    """A group of processes in a workspace of this test's own; none outlives it."""
    connection = Connection(Address(socket=store_socket), SCRIPTS)
    await connection.open()
    async with Crew(connection, f"g{next(_numbers)}") as made:
        yield made
    await connection.close()


class Crew:
    """The processes of a group, and what was written for them."""

    def __init__(self, connection: Connection, workspace: str) -> None:
        """Take a connection past them."""
        self.connection, self.workspace = connection, workspace
        self.log, self.cursors = EventLog(connection, CATALOGUE), Cursors(connection)
        self.written: list[tuple[str, str]] = []
        self.processes: dict[str, asyncio.subprocess.Process] = {}

    async def __aenter__(self) -> Self:
        """Begin with nobody."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill who is left."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def start(self, *names: str) -> None:
        """Start processes."""
        words = ("-m", "tests.integration.group_worker", self.connection.address.socket, self.workspace)
        for name in names:
            self.processes[name] = await asyncio.create_subprocess_exec(
                sys.executable, *words, name, str(LEASE_MS), start_new_session=True
            )

    def signal(self, name: str, what: signal.Signals) -> None:
        """Signal one."""
        self.processes[name].send_signal(what)

    async def write(self, count: int = 200) -> None:
        """Write facts about all subjects in turn."""
        for subject in itertools.islice(itertools.cycle(SUBJECTS), count):
            (position,) = await self.log.append(Origin(self.workspace), "x.test.said", subject, b"{}")
            self.written.append((position.decode(), subject))

    async def holders(self) -> Counter[str]:
        """Return how much each holds whose lease runs."""
        lag = await self.cursors.lag(self.workspace, GROUP)
        return Counter(each.holder for each in lag if each.lease_ms)

    async def shared(self, *names: str) -> bool:
        """Whether these hold everything, and each about as much."""
        held = await self.holders()
        return (
            held.total() == PARTITIONS
            and held.keys() == set(names)
            and max(held.values()) <= -(-PARTITIONS // len(names))
        )

    async def lines(self, what: str) -> list[str]:
        """Return a list that the processes write."""
        found = await self.connection.command("LRANGE", history_of(self.workspace, what), 0, -1)
        return [line.decode() for line in found]

    async def begin_slow(self, name: str) -> str:
        """Write an event for a partition that one holds, wait until it has begun with it, and return its position."""
        lag = await self.cursors.lag(self.workspace, GROUP)
        held = {each.partition for each in lag if each.holder == name}
        subject = next(each for each in SUBJECTS if partition_of(each, PARTITIONS) in held)
        (told,) = await self.log.append(Origin(self.workspace), SLOW, subject, b"{}")
        position: str = told.decode()
        self.written.append((position, subject))

        async def has_begun() -> bool:
            return f"{name} {position}" in await self.lines("begun")

        await eventually(has_begun, within_s=60)
        return position

    async def were_refused(self, count: int) -> bool:
        """Whether so many late words were refused."""
        return len(await self.lines("refused")) >= count

    async def let_on(self, position: str) -> None:
        """Let whoever handles a slow event end it."""
        await self.connection.command("SADD", history_of(self.workspace, "let on"), position)

    async def done(self) -> list[Done]:
        """Return the history."""
        rows = (line.split() for line in await self.lines("all"))
        return [Done(int(p), position, subject, holder, int(fence)) for p, position, subject, holder, fence in rows]

    async def is_all_done(self) -> bool:
        """Whether everything written was handled."""
        return len(await self.done()) >= len(self.written)

    async def check(self) -> list[Done]:
        """Wait until all is done, and check: each event once, each partition in its order, fences that only grow."""
        await eventually(self.is_all_done, within_s=60)
        done = await self.done()
        assert Counter((each.position, each.subject) for each in done) == Counter(self.written)
        by_partition: dict[int, list[Done]] = defaultdict(list)
        for each in done:
            assert each.partition == partition_of(each.subject, PARTITIONS)
            by_partition[each.partition].append(each)
        for rows in by_partition.values():
            assert [number(each.position) for each in rows] == sorted(number(each.position) for each in rows)
            assert [each.fence for each in rows] == sorted(each.fence for each in rows)
            assert len({(each.fence, each.holder) for each in rows}) == len({each.fence for each in rows})
        return done


async def test_a_paused_holder_is_overtaken_and_refused(crew: Crew) -> None:
    """Stopped beyond its lease: others go on, what it had begun is refused when it wakes, it takes part again."""
    await crew.start("a", "b", "c")
    await eventually(lambda: crew.shared("a", "b", "c"), within_s=60)
    for turn in (1, 2, 3):
        await crew.write(100)
        begun = await crew.begin_slow("a")
        crew.signal("a", signal.SIGSTOP)
        await crew.let_on(begun)
        await crew.write(100)
        await eventually(lambda: crew.shared("b", "c"), within_s=30)
        await eventually(crew.is_all_done, within_s=60)
        crew.signal("a", signal.SIGCONT)
        await eventually(lambda: crew.shared("a", "b", "c"), within_s=30)
        await eventually(partial(crew.were_refused, turn), within_s=30)

    done = await crew.check()

    assert set(await crew.lines("refused")) == {"a"}, "another was refused"
    assert {each.holder for each in done} == {"a", "b", "c"}


async def test_a_killed_holder_is_followed(crew: Crew) -> None:
    """What it held is the others' when its lease is over; nothing is lost, nothing done twice."""
    await crew.start("a", "b")
    await eventually(lambda: crew.shared("a", "b"), within_s=60)
    await crew.write(600)
    crew.signal("a", signal.SIGKILL)
    await crew.start("c")
    await crew.write(200)
    await eventually(lambda: crew.shared("b", "c"), within_s=30)

    await crew.check()


async def test_one_joins_and_one_leaves_without_a_pause(crew: Crew) -> None:
    """A share is handed over between two events, so that nobody is refused; who leaves lets all go at once."""
    await crew.start("a")
    await crew.write(300)
    await eventually(lambda: crew.shared("a"), within_s=60)
    await crew.start("b")
    await crew.write(300)
    await eventually(lambda: crew.shared("a", "b"), within_s=60)
    await crew.write(200)
    crew.signal("a", signal.SIGTERM)
    assert await crew.processes["a"].wait() == 0
    await eventually(lambda: crew.shared("b"), within_s=30)

    await crew.check()

    assert await crew.lines("refused") == []


async def test_a_failing_event_is_tried_again_in_its_place(crew: Crew) -> None:
    """Whatever a handler raises, nothing of the partition overtakes the event; other partitions go on."""
    seen: dict[int, list[str]] = defaultdict(list)
    fails = 3

    async def handle(event: Event, mark: Mark) -> None:
        nonlocal fails
        if mark.partition == 0 and fails:
            fails -= 1
            raise Unavailable("not now")
        seen[mark.partition].append(event.id)

    await crew.write(100)
    group = Group(crew.log, crew.cursors, "here", Reader(crew.workspace, GROUP, handle, lease_ms=LEASE_MS))
    running = asyncio.create_task(group.run())
    await eventually(lambda: sum(map(len, seen.values())) == 100)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert fails == 0
    for partition, ids in seen.items():
        assert ids == [id_ for id_, subject in crew.written if partition_of(subject, PARTITIONS) == partition]
    assert await crew.holders() == Counter()
    assert {each.behind for each in await crew.cursors.lag(crew.workspace, GROUP)} >= {0}


async def test_a_partition_that_nothing_comes_by_moves_on(crew: Crew) -> None:
    """All cursors reach the end of the log, also of partitions without events, so that nothing holds trimming up."""

    async def handle(_event: Event, _mark: Mark) -> None:
        return

    async def at_the_end() -> bool:
        lag = await crew.cursors.lag(crew.workspace, GROUP)
        return {each.position for each in lag} == {crew.written[-1][0]}

    await crew.write(1)
    group = Group(crew.log, crew.cursors, "here", Reader(crew.workspace, GROUP, handle, lease_ms=LEASE_MS))
    running: asyncio.Task[Any] = asyncio.create_task(group.run())
    await eventually(at_the_end)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_group_that_was_dropped_while_it_was_away_begins_again(crew: Crew) -> None:
    """Who serves a group and finds it gone registers it anew; it reads from the oldest event that there is."""
    seen: list[str] = []

    async def handle(event: Event, _mark: Mark) -> None:
        seen.append(event.id)

    await crew.write(5)
    group = Group(crew.log, crew.cursors, "here", Reader(crew.workspace, GROUP, handle, lease_ms=LEASE_MS))
    running: asyncio.Task[Any] = asyncio.create_task(group.run())
    await eventually(lambda: len(seen) == 5)
    await crew.cursors.drop(crew.workspace, GROUP)

    async def is_back() -> bool:
        return (await crew.holders()).total() == PARTITIONS

    await eventually(is_back)
    await crew.write(5)
    await eventually(lambda: {id_ for id_, _ in crew.written} <= set(seen))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
