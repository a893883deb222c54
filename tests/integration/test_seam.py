"""A seam and its switches, by real processes on a real store: never two strategies at once, never half a switch."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import random
import signal
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.integration import seam_worker
from tests.integration.seam_worker import ALL_SCRIPTS, BOUNDS, BRIEF_MS, LONG_MS, NAMES, SEAM, key_of, seat_of

from claudebench.app import CATALOGUE
from claudebench.errors import Conflict, LimitReached, NotFound, Stale, TimedOut
from claudebench.events.log import EventLog
from claudebench.patterns.migration import Migration
from claudebench.patterns.seam import BEGIN, COMPLETE, GIVE_UP, SWITCH, UNDO, Phase, Place, Seams, State
from claudebench.store.connection import Address, Connection
from claudebench.store.lease import Leases
from claudebench.store.origin import Origin
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from multiprocessing.context import ForkServerProcess

    from claudebench.patterns.migration import Outcome
    from claudebench.patterns.seam import Step, View, Word
    from claudebench.patterns.seat import Seat
    from claudebench.store.lease import Held
    from claudebench.store.script import Script
    from claudebench.store.wire import Argument

A, B, C = NAMES
WITHIN_S = 30
_numbers = itertools.count(1)
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([seam_worker.__name__])


class Did(NamedTuple):
    """One line of the history."""

    what: str
    strategy: str
    epoch: int
    process: str


class Crew:
    """The members of a seam in a workspace, as processes or, where nobody is to be killed, as seats of this process."""

    def __init__(self, connection: Connection, workspace: str) -> None:
        """Take a connection past them."""
        self.connection, self.workspace = connection, workspace
        self.seams = Seams(connection)
        self.migration = Migration(self.seams, Leases(connection), "test", replace(BOUNDS, lease_ms=LONG_MS))
        self.processes: dict[str, ForkServerProcess] = {}
        self.seats: dict[str, Seat] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def fork(self, *names: str, lease_ms: int = LONG_MS) -> None:
        """Let processes be members."""
        for name in names:
            words = (self.connection.address.socket, self.workspace, name, lease_ms)
            self.processes[name] = _forks.Process(target=seam_worker.take_part, args=words, daemon=True)
            self.processes[name].start()

    def lead(self, target: str, halts: str) -> None:
        """Let another process lead a switch, up to a step."""
        words = (self.connection.address.socket, self.workspace, target, halts)
        self.processes["leader"] = _forks.Process(target=seam_worker.lead, args=words, daemon=True)
        self.processes["leader"].start()

    def sit(self, *names: str, lease_ms: int = LONG_MS) -> None:
        """Let this process be several members."""
        for name in names:
            self.seats[name] = seat_of(self.connection, self.workspace, name, lease_ms)
            self.tasks[name] = asyncio.create_task(self.seats[name].run())

    async def end(self) -> None:
        """End whoever is left."""
        for task in self.tasks.values():
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks.values())
        for process in self.processes.values():
            process.kill()
            await asyncio.to_thread(process.join)

    async def kill(self, name: str) -> None:
        """Kill one, and write that it is gone."""
        process = self.processes.pop(name)
        process.kill()
        await asyncio.to_thread(process.join)
        await self.note_gone(name)

    async def kill_leader(self) -> None:
        """Kill who leads, and let its lease be over."""
        await self.kill("leader")
        await self.connection.command("HSET", f"cb:{{{self.workspace}}}:role:switch:{SEAM}", "untilMs", 0)

    async def pause(self, name: str) -> None:
        """Let one stand still, and write that what it does from now on is late."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        await eventually(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        await self.connection.command("PING")
        await self.note_gone(name)

    def resume(self, name: str) -> None:
        """Let it go on."""
        os.kill(self.pid(name), signal.SIGCONT)

    def pid(self, name: str) -> int:
        """Return the number of a process."""
        pid = self.processes[name].pid
        assert pid
        return pid

    async def note_gone(self, name: str) -> None:
        """Write that one is alive no more."""
        await self.connection.command("RPUSH", key_of(self.workspace, "all"), f"gone - 0 {name}")

    async def fault(self, *faults: str) -> None:
        """Let things go wrong."""
        await self.connection.command("SADD", key_of(self.workspace, "faults"), *faults)

    async def mend(self) -> None:
        """Let nothing go wrong any more."""
        await self.connection.command("DEL", key_of(self.workspace, "faults"))

    async def switch(self, target: str, within_s: float = WITHIN_S) -> Outcome:
        """Lead a switch from here."""
        return await self.migration.switch(Origin(self.workspace), SEAM, target, within_s)

    async def view(self) -> View:
        """Return how the seam stands."""
        return await self.seams.show(self.workspace, SEAM)

    async def word(self) -> Word:
        """Return its word."""
        return (await self.view()).word

    async def is_in(self, phase: Phase) -> bool:
        """Whether the seam is in a phase."""
        return (await self.word()).phase is phase

    async def all_run(self, strategy: str, *names: str) -> bool:
        """Whether the seam is steady, and these, and nobody else, run its strategy."""
        view = await self.view()
        running = sorted(each.process for each in view.members) == sorted(names)
        is_steady = view.word.phase is Phase.STEADY and view.word.strategy == strategy
        return running and is_steady and not view.not_at(State.RUNNING)

    async def agree(self, *names: str) -> bool:
        """Whether these, and nobody else, run what is in force."""
        return await self.all_run((await self.word()).strategy, *names)

    async def runs(self, strategy: str, *names: str) -> None:
        """Wait until they do."""
        await eventually(lambda: self.all_run(strategy, *names), within_s=WITHIN_S)

    async def lines(self, what: str) -> list[str]:
        """Return a list that the processes write."""
        return [line.decode() for line in await self.connection.command("LRANGE", key_of(self.workspace, what), 0, -1)]

    async def did(self) -> list[Did]:
        """Return the history."""
        rows = (line.split() for line in await self.lines("all"))
        return [Did(what, strategy, int(epoch), process) for what, strategy, epoch, process in rows]

    async def started(self, process: str) -> list[str]:
        """Return what a member has started, in order."""
        return [each.strategy for each in await self.did() if each.process == process and each.what == "start"]

    async def told(self) -> list[tuple[str, str, str]]:
        """Return the events of the switches: what, from, to."""
        page = await EventLog(self.connection, CATALOGUE).page(self.workspace, "", 1000, ["pattern.switch.*"])
        return [(each.type.removeprefix("pattern.switch."), each.data["from"], each.data["to"]) for each in page.events]

    async def check(self) -> None:
        """Check by the order of the store that no two live members ever ran different strategies.

        One that stood still and does something again is alive again, with what it ran.
        """
        running: dict[str, tuple[str, int]] = {}
        last: dict[str, tuple[str, int]] = {}
        for did in await self.did():
            mine = (did.strategy, did.epoch)
            if did.what == "start":
                assert did.process not in running, f"{did} while it runs {running}"
                running[did.process] = last[did.process] = mine
            elif did.what == "work":
                assert last.get(did.process) == mine, f"{did} is late"
                running[did.process] = mine
            elif running.pop(did.process, None) and did.what == "stop":
                del last[did.process]
            assert len({strategy for strategy, _ in running.values()}) <= 1, f"{did} beside {running}"


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> Iterator[None]:
    """Let the process from which the others are forked learn all it needs, once."""
    first = _forks.Process(target=print)
    first.start()
    yield
    first.join()


@asynccontextmanager
async def crew_at(store_socket: str) -> AsyncIterator[Crew]:
    """Members in a workspace of their own; none outlives it."""
    connection = Connection(Address(socket=store_socket), ALL_SCRIPTS)
    await connection.open()
    made = Crew(connection, f"seam{next(_numbers)}")
    try:
        yield made
        await made.check()
    finally:
        await made.end()
        await connection.close()


@pytest.fixture
async def crew(store_socket: str) -> AsyncIterator[Crew]:
    """The members of this test; in the end it is checked what they ran."""
    async with crew_at(store_socket) as made:
        yield made


async def test_rounds(crew: Crew) -> None:
    """From each strategy to each: all processes stop, then all start; each step is told."""
    crew.fork("a", "b", "c")
    await crew.runs(C, "a", "b", "c")
    rounds = [(C, A), (A, B), (B, C), (C, B), (B, A), (A, C)]
    for former, target in rounds:
        outcome = await crew.switch(target)
        assert (outcome.former, outcome.target, outcome.is_completed, outcome.reason) == (former, target, True, "")
        assert await crew.all_run(target, "a", "b", "c")

    steps = ("started", "switched", "completed")
    assert await crew.told() == [(step, *each) for each in rounds for step in steps]
    word = await crew.word()
    assert (word.epoch, word.target, word.former) == (len(rounds) * 2, "", "")
    for name in "abc":
        assert await crew.started(name) == [C, *(target for _, target in rounds)]


FORWARD = (BEGIN, SWITCH, COMPLETE)
BACKWARD = (GIVE_UP, UNDO)


async def test_a_killed_leader_is_followed(crew: Crew) -> None:
    """Killed before and after each step in turn: another goes on to the end, and it is never half a switch."""
    crew.fork("a", "b", "c")
    await crew.runs(C, "a", "b", "c")
    former, others = C, itertools.cycle((A, B, C))
    for when, script in itertools.product(("before", "after"), (*FORWARD, *BACKWARD)):
        target = next(each for each in others if each != former)
        if script in BACKWARD:
            await crew.fault(f"b verify {target}")
        crew.lead(target, f"{when} {script.name}")
        await eventually(lambda: crew.lines("halted"), within_s=WITHIN_S)
        await crew.kill_leader()
        await crew.connection.command("DEL", key_of(crew.workspace, "halted"))
        is_to_be = script in FORWARD and (when, script) != ("before", BEGIN)
        former = target if is_to_be else former
        await crew.runs(former, "a", "b", "c")
        await crew.mend()
        await crew.check()

    kinds = [what for what, _, _ in await crew.told()]
    assert kinds.count("started") == kinds.count("completed") + kinds.count("rolled_back")
    assert (kinds.count("completed"), kinds.count("rolled_back")) == (5, 4)


@pytest.mark.parametrize(("what", "told"), [("start", "cannot start with ***"), ("verify", "cannot verify with ***")])
async def test_a_strategy_that_fails_is_rolled_back(crew: Crew, what: str, told: str) -> None:
    """Where it does not start, or does not work, at one member, it runs nowhere, and the former goes on everywhere."""
    crew.sit("a", "b", "c")
    await crew.runs(C, "a", "b", "c")
    await crew.fault(f"b {what} {A}")

    outcome = await crew.switch(A)

    assert (outcome.is_completed, outcome.reason) == (False, f"b failed: RuntimeError: {told}")
    await crew.runs(C, "a", "b", "c")
    assert [each for each, _, _ in await crew.told()] == ["started", "switched", "undoing", "rolled_back"]
    assert (await crew.word()).reason == outcome.reason


async def test_a_verify_that_hangs_has_failed(crew: Crew) -> None:
    """It is given up after its time."""
    crew.sit("a", "b")
    await crew.runs(C, "a", "b")
    await crew.fault("b hang verify")

    outcome = await crew.switch(A)
    await crew.mend()

    assert outcome.reason == "b failed: TimeoutError: it took more than 2 s"
    await crew.runs(C, "a", "b")


async def test_a_drain_that_hangs_is_cut(crew: Crew) -> None:
    """What does not drain in time is stopped, and the switch goes on."""
    crew.sit("a", "b")
    await crew.runs(C, "a", "b")
    await crew.fault("b hang drain")

    outcome = await crew.switch(A)

    assert outcome.is_completed
    assert await crew.all_run(A, "a", "b")


async def test_a_drain_that_takes_too_long_is_rolled_back(crew: Crew) -> None:
    """Given up before anything was switched: nobody ever started the target, and all go on as before."""
    crew.sit("a", "b")
    await crew.runs(C, "a", "b")
    await crew.fault("b hang stop")

    outcome = await crew.switch(A, within_s=1.5)

    assert (outcome.is_completed, outcome.reason) == (False, "it had not stopped in time at b")
    await crew.mend()
    await crew.runs(C, "a", "b")
    assert [each for each, _, _ in await crew.told()] == ["started", "rolled_back"]
    assert A not in await crew.started("a")


async def test_one_that_stood_still_runs_nothing_old(crew: Crew) -> None:
    """Paused beyond its lease, it does not keep the others; when it wakes it runs what is in force."""
    crew.fork("a", "c")
    crew.fork("b", lease_ms=BRIEF_MS)
    await crew.runs(C, "a", "b", "c")
    for target in (A, B):
        await crew.pause("b")
        outcome = await crew.switch(target)
        assert outcome.is_completed
        assert await crew.all_run(target, "a", "c")
        crew.resume("b")
        await crew.runs(target, "a", "b", "c")

    assert [strategy for strategy, _ in itertools.groupby(await crew.started("b"))] == [C, A, B]


async def test_a_killed_member_keeps_nobody(crew: Crew) -> None:
    """A switch waits for the end of its lease, no longer."""
    crew.fork("a")
    crew.fork("b", lease_ms=BRIEF_MS)
    await crew.runs(C, "a", "b")
    await crew.kill("b")

    assert (await crew.switch(A)).is_completed
    assert await crew.all_run(A, "a")


async def test_whatever_happens_to_whom(crew: Crew) -> None:
    """Members and leaders are killed, paused and resumed at random, strategies fail: it ends well, every time."""
    chance = random.Random(7)
    steps = [f"{when} {script.name}" for when in ("before", "after") for script in (*FORWARD, *BACKWARD)]
    crew.fork("m0", "m1", "m2", lease_ms=BRIEF_MS)
    for turn in range(8):
        names = sorted(crew.processes)
        target = chance.choice(NAMES)
        if chance.random() < 0.4:
            await crew.fault(f"{chance.choice(names)} {chance.choice(('start', 'verify', 'drain'))} {target}")
        crew.lead(target, chance.choice(steps))
        paused = chance.choice(names)
        await asyncio.sleep(chance.random() * 0.3)
        await crew.pause(paused)
        killed = chance.choice(names)
        await crew.kill(killed)
        await asyncio.sleep(chance.random() * 0.8)
        crew.fork(f"m{turn + 3}", lease_ms=BRIEF_MS)
        await crew.kill_leader()
        if paused != killed:
            crew.resume(paused)
        await crew.mend()
        await eventually(lambda: crew.agree(*crew.processes), within_s=WITHIN_S)
        await crew.check()


async def test_of_two_switches_at_once_one_is_refused(crew: Crew) -> None:
    """One is led to its end, the other has changed nothing."""
    crew.sit("a", "b")
    await crew.runs(C, "a", "b")

    ended = await asyncio.gather(crew.switch(A), crew.switch(B), return_exceptions=True)

    (refused,) = (each for each in ended if isinstance(each, BaseException))
    assert isinstance(refused, Conflict)
    assert [each for each, _, _ in await crew.told()] == ["started", "switched", "completed"]


async def test_what_is_in_force_is_not_switched_to(crew: Crew) -> None:
    """It is refused, also when nobody has ever switched, and leaves the lead free."""
    with pytest.raises(Conflict, match="in force"):
        await crew.switch(C)
    assert (await crew.switch(A)).is_completed
    with pytest.raises(Conflict, match="in force"):
        await crew.switch(A)
    assert (await crew.word()).epoch == 2


async def test_a_seam_without_members_is_switched_at_once(crew: Crew) -> None:
    """Nobody is waited for whose lease is over; who comes later runs what is in force."""
    await crew.seams.follow(crew.workspace, SEAM, "gone", 1, Place())

    async def is_over() -> bool:
        return not (await crew.view()).members

    await eventually(is_over)
    assert (await crew.switch(B)).is_completed
    crew.sit("a")
    await crew.runs(B, "a")
    assert await crew.started("a") == [B]


@pytest.mark.parametrize("phase", [Phase.DRAINING, Phase.VERIFYING, Phase.UNDOING])
async def test_one_that_joins_in_the_middle(crew: Crew, phase: Phase) -> None:
    """It runs nothing while others stop, and the target while it is verified; the switch waits for it too."""
    crew.sit("a", "b")
    await crew.runs(C, "a", "b")
    await crew.fault("b hang verify" if phase is Phase.VERIFYING else "b hang stop")
    if phase is Phase.UNDOING:
        await crew.mend()
        await crew.fault(f"a verify {A}")
        asking = asyncio.create_task(crew.switch(A))
        await eventually(lambda: crew.is_in(Phase.VERIFYING))
        await crew.fault("b hang stop")
    else:
        asking = asyncio.create_task(crew.switch(A))
    await eventually(lambda: crew.is_in(phase))
    crew.sit("d")
    state = State.RUNNING if phase is Phase.VERIFYING else State.STOPPED

    async def is_there() -> bool:
        view = await crew.view()
        place = Place(view.word.epoch, state)
        return view.word.phase is phase and ("d", place) in [(each.process, each.place) for each in view.members]

    await eventually(is_there)
    assert await crew.started("d") == ([A] if phase is Phase.VERIFYING else [])
    await crew.mend()

    outcome = await asking

    assert outcome.is_completed == (phase is not Phase.UNDOING)
    await crew.runs(outcome.target if outcome.is_completed else C, "a", "b", "d")


async def test_while_the_store_is_away_it_runs_no_longer_than_its_lease(crew: Crew) -> None:
    """What runs goes on until the lease is over by the process's own clock; it starts anew when the store is back."""
    crew.sit("a", lease_ms=BRIEF_MS)
    await crew.runs(C, "a")
    seat = crew.seats["a"]
    await crew.connection.command("CLIENT", "PAUSE", 2500, "ALL")
    assert seat.strategy == C
    await eventually(lambda: not seat.is_trusted)
    await eventually(lambda: not seat.strategy)

    async def has_started_anew() -> bool:
        return len(await crew.started("a")) > 1

    await eventually(has_started_anew)
    await crew.runs(C, "a")


async def test_a_strategy_that_fails_while_steady_is_tried_again(crew: Crew) -> None:
    """With back-off, until it works; meanwhile its place tells what is wrong."""
    await crew.fault(f"a start {C}")
    crew.sit("a")

    async def has_failed() -> bool:
        return [each.process for each in (await crew.view()).failed] == ["a"]

    await eventually(has_failed)
    await crew.mend()
    await crew.runs(C, "a")


async def test_who_leaves_is_not_waited_for(crew: Crew) -> None:
    """A member that ends stops what runs, and counts no more at once."""
    crew.sit("a", "b")
    await crew.runs(C, "a", "b")
    crew.tasks["b"].cancel()
    with suppress(asyncio.CancelledError):
        await crew.tasks["b"]

    assert await crew.all_run(C, "a")
    assert (await crew.did())[-1].what in {"stop", "work"}
    assert (await crew.switch(A)).is_completed


async def test_who_ends_and_cannot_stop_is_waited_for(crew: Crew) -> None:
    """It does not leave while its strategy may run: the others wait until its lease is over."""
    crew.sit("a")
    await crew.runs(C, "a")
    await crew.fault("a hang stop")
    crew.tasks["a"].cancel()
    with suppress(asyncio.CancelledError):
        await crew.tasks["a"]

    assert [each.process for each in (await crew.view()).members] == ["a"]
    await crew.mend()

    async def has_stopped() -> bool:
        return (await crew.did())[-1].what == "stop"

    await eventually(has_stopped)


async def test_the_first_member_says_what_the_default_is(crew: Crew) -> None:
    """Servers with different defaults follow one word; when nobody is left the next brings its own."""
    other = Seams(crew.connection, defaults={SEAM: A})
    first = await crew.seams.follow(crew.workspace, SEAM, "a", 5000, Place())
    second = await other.follow(crew.workspace, SEAM, "b", 5000, Place())
    assert (first.strategy, second.strategy) == (C, C)

    await crew.seams.leave(crew.workspace, SEAM, "a")
    await crew.seams.leave(crew.workspace, SEAM, "b")

    assert (await other.follow(crew.workspace, SEAM, "b", 5000, Place())).strategy == A


async def test_a_member_that_does_not_come_so_far_is_not_waited_for_for_ever(crew: Crew) -> None:
    """Verifying too long it is rolled back; an undoing that does not end is said, and goes on when it can."""
    quick = replace(BOUNDS, lease_ms=LONG_MS, verify_max_s=1, undo_max_s=0.3)
    migration = Migration(crew.seams, Leases(crew.connection), "test", quick)
    crew.sit("a")
    await crew.runs(C, "a")

    async def is_at(phase: Phase, place: Place) -> Word:
        word = await crew.seams.follow(crew.workspace, SEAM, "slow", 60_000, place)
        assert word.phase is phase
        return word

    asking = asyncio.create_task(migration.switch(Origin(crew.workspace), SEAM, A, 3))
    draining = await eventually(lambda: is_at(Phase.DRAINING, Place()))
    undoing = await eventually(lambda: is_at(Phase.UNDOING, Place(draining.epoch)))
    with pytest.raises(TimedOut, match="has not stopped yet at slow") as caught:
        await asking
    assert caught.value.outcome == "unknown"
    assert str(caught.value.data["reason"]).startswith("it was not running in time at ")
    assert await crew.is_in(Phase.UNDOING)

    await crew.seams.follow(crew.workspace, SEAM, "slow", 60_000, Place(undoing.epoch))
    await eventually(lambda: crew.is_in(Phase.STEADY))
    await crew.seams.leave(crew.workspace, SEAM, "slow")
    await crew.runs(C, "a")


async def test_a_lead_is_held_for_as_long_as_it_takes(crew: Crew) -> None:
    """A switch that lasts longer than the lease of its leader stays in its hands."""
    crew.sit("a", "b")
    await crew.runs(C, "a", "b")
    await crew.fault("a hang stop")
    bounds = replace(BOUNDS, lease_ms=BRIEF_MS * 2)
    migration = Migration(crew.seams, Leases(crew.connection), "test", bounds)
    asking = asyncio.create_task(migration.switch(Origin(crew.workspace), SEAM, A))
    await eventually(lambda: crew.is_in(Phase.DRAINING))
    term = (await crew.view()).term
    lasts_ms = bounds.lease_ms * 1.3

    async def lasts() -> bool:
        view = await crew.view()
        return view.now_ms - view.word.since_ms > lasts_ms

    await eventually(lasts)
    assert (await crew.view()).term == term
    await crew.mend()
    assert (await asking).is_completed


async def test_what_does_not_stop_keeps_the_next_from_starting(crew: Crew) -> None:
    """A stop that fails is tried again; until it has stopped nothing else runs there, and the switch waits."""
    crew.sit("a")
    await crew.runs(C, "a")
    await crew.fault(f"a stop {C}")
    asking = asyncio.create_task(crew.switch(A))
    await eventually(lambda: crew.is_in(Phase.DRAINING))
    tries = crew.seats["a"]
    await eventually(lambda: not tries.strategy)
    assert not asking.done()
    await crew.mend()

    assert (await asking).is_completed
    assert await crew.started("a") == [C, A]


async def test_a_word_that_was_overtaken_is_not_followed(crew: Crew) -> None:
    """What was to be started when another word came, while the former took long to stop, is never started."""
    crew.sit("a")
    await crew.runs(C, "a")
    await crew.fault("a hang drain", "a hang stop")
    seat = crew.seats["a"]
    given_up = await crew.switch(A, within_s=0.2)
    await eventually(lambda: seat.word and seat.word.epoch == given_up.epoch)
    asking = asyncio.create_task(crew.switch(B))
    await eventually(lambda: seat.word and seat.word.phase is Phase.DRAINING)
    await crew.mend()

    assert (await asking).is_completed
    assert await crew.started("a") == [C, B]


async def test_a_server_without_the_strategy_has_failed(crew: Crew) -> None:
    """One that knows no such strategy says so in its place, and the switch is rolled back."""
    crew.sit("a", "b")
    await crew.runs(C, "a", "b")
    del crew.seats["b"]._make[A]  # type: ignore[attr-defined]

    outcome = await crew.switch(A)

    assert outcome.reason == "b failed: LookupError: this server has no strategy 'centralized'"
    await crew.runs(C, "a", "b")


class Losing(Seams):
    """Seams whose steps are taken, and whose answers get lost."""

    async def step(self, script: Script, origin: Origin, held: Held, word: Word, *further: Argument) -> Step:
        """Take a step and do not say so."""
        await super().step(script, origin, held, word, *further)
        raise TimedOut("no answer", outcome="unknown")


async def test_a_lost_answer_is_looked_for(crew: Crew) -> None:
    """A step whose answer got lost is not taken twice: the word says that it was taken."""
    crew.sit("a", "b")
    await crew.runs(C, "a", "b")
    migration = Migration(Losing(crew.connection), Leases(crew.connection), "test", BOUNDS)

    outcome = await migration.switch(Origin(crew.workspace), SEAM, A)

    assert (outcome.is_completed, outcome.former, outcome.target) == (True, C, A)
    assert [each for each, _, _ in await crew.told()] == ["started", "switched", "completed"]


class Late(Seams):
    """Seams whose leader stands still before a step until another has taken over."""

    async def step(self, script: Script, origin: Origin, held: Held, word: Word, *further: Argument) -> Step:
        """Take a step too late."""
        if script is SWITCH:
            leases = Leases(self.connection)
            await eventually(lambda: leases.take(held.workspace, held.role, "another", 5000))
        return await super().step(script, origin, held, word, *further)


async def test_who_lost_the_lead_is_told_so(crew: Crew) -> None:
    """Its step is refused, and it ends with that another goes on."""
    crew.sit("a")
    await crew.runs(C, "a")
    migration = Migration(Late(crew.connection), Leases(crew.connection), "test", BOUNDS)

    with pytest.raises(Stale, match="another process goes on") as caught:
        await migration.switch(Origin(crew.workspace), SEAM, A)

    assert caught.value.outcome == "unknown"


class Overtaken(Seams):
    """Seams whose leader sees nothing of a switch before another has led it to its end."""

    async def show(self, workspace: str, seam: str) -> View:
        """Look too late."""
        if (await super().show(workspace, seam)).word.phase is not Phase.STEADY:
            other = Migration(Seams(self.connection), Leases(self.connection), "another", BOUNDS)
            await eventually(lambda: other.go_on(workspace, seam))
        return await super().show(workspace, seam)


async def test_who_slept_through_a_switch_does_not_answer_for_it(crew: Crew) -> None:
    """What another has led to its end, that other tells; whoever began it says that another went on."""
    migration = Migration(Overtaken(crew.connection), Leases(crew.connection), "test", BOUNDS)

    with pytest.raises(Stale, match="another process goes on"):
        await migration.switch(Origin(crew.workspace), SEAM, A)

    assert [each for each, _, _ in await crew.told()] == ["started", "switched", "completed"]


async def test_steps_are_refused_that_are_not_due(crew: Crew) -> None:
    """From another phase or epoch, of another leader, while a member is not there yet: nothing changes."""
    leases, origin = Leases(crew.connection), Origin(crew.workspace)
    held = await leases.take(crew.workspace, "switch:events", "me", 60_000)
    assert held
    steady = await crew.word()
    for script, further in ((SWITCH, ()), (COMPLETE, ()), (GIVE_UP, ("why",)), (UNDO, ())):
        with pytest.raises(Conflict):
            await crew.seams.step(script, origin, held, steady, *further)
    await crew.seams.step(BEGIN, origin, held, steady, A)
    draining = await crew.word()
    await crew.seams.follow(crew.workspace, SEAM, "slow", 60_000, Place(steady.epoch))
    later = replace(draining, epoch=draining.epoch + 1)
    refused = ((BEGIN, draining, (B,), "current"), (SWITCH, later, (), "current"), (SWITCH, draining, (), "process"))
    for script, word, further, about in refused:
        with pytest.raises(Conflict) as caught:
            await crew.seams.step(script, origin, held, word, *further)
        assert about in caught.value.data
    await leases.release(held)
    with pytest.raises(Stale):
        await crew.seams.step(GIVE_UP, origin, held, draining, "why")

    assert await crew.word() == draining


async def test_a_member_too_many_is_refused(crew: Crew) -> None:
    """At most 1,000 live members, by names and leases within their bounds, at seams that there are."""
    members, places = (f"cb:{{{crew.workspace}}}:{kind}:events" for kind in ("members", "places"))
    names = [f"m{number}" for number in range(1000)]

    async def are_to_be_until(ms: str) -> None:
        await crew.connection.command("ZADD", members, *itertools.chain.from_iterable((ms, name) for name in names))

    await are_to_be_until("9e15")
    await crew.connection.command(
        "HSET", places, *itertools.chain.from_iterable((name, "0 stopped ") for name in names)
    )
    with pytest.raises(LimitReached):
        await crew.seams.follow(crew.workspace, SEAM, "late", 5000, Place())
    view = await crew.view()
    assert (len(view.members), max(each.until_ms for each in view.members) <= view.now_ms + 60_000) == (1000, True)
    await are_to_be_until("1")
    await crew.seams.follow(crew.workspace, SEAM, "late", 5000, Place())
    assert [await crew.connection.command(*words) for words in (("ZCARD", members), ("HLEN", places))] == [1, 1]
    for process, lease_ms in (("", 5000), ("x" * 65, 5000), ("a b", 5000), ("a", 0), ("a", 60_001)):
        with pytest.raises(ValueError, match="no member"):
            await crew.seams.follow(crew.workspace, SEAM, process, lease_ms, Place())
    with pytest.raises(NotFound):
        await crew.seams.show(crew.workspace, "event")
