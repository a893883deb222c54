"""The machine that does one thing after the other to delivery and its plain model, and asks for what is promised."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from tests.model.delivery_acts import GROUPS, KEYED, PROCESSES, Act, acts
from tests.model.plain_delivery import ENDING, LIVE, STEPS, WHOLE, PlainDelivery, StepName
from tests.scripts import invariants

from claudebench.app import CATALOGUE, SCRIPTS
from claudebench.errors import Conflict, NotFound, Stale
from claudebench.events.cursor import Cursor, Cursors, Lag, Mark, partition_of
from claudebench.events.letters import DeadLetters, Letter
from claudebench.events.log import EventLog
from claudebench.events.model import Event
from claudebench.events.position import number
from claudebench.patterns.seam import BEGIN, COMPLETE, GIVE_UP, SWITCH, UNDO, Place, Seams, State, View, Word, role
from claudebench.store.connection import Address, Connection
from claudebench.store.keys import KEYS, prefix
from claudebench.store.lease import Held, Leases
from claudebench.store.origin import Origin
from claudebench.store.script import Script, Source

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from claudebench.events.letters import Again, Counts, LetterPage

T = TypeVar("T")
BEGINNING_MS = 1_800_000_000_000
LEASE_MS, MEMBER_MS, LEAD_MS = 1_000, 1_500, 2_000
SEAM = "events"
SCRIPT_OF: dict[StepName, Script] = {
    "begin": BEGIN,
    "switch": SWITCH,
    "complete": COMPLETE,
    "give_up": GIVE_UP,
    "undo": UNDO,
}
_numbers = itertools.count(1)
EFFECT = Script.of(
    "test",
    Source(
        "effect",
        "-- effect: an event has its effect, once.\n-- uses  processed\n-- KEYS  own\n"
        "-- ARGV  group partition holder fence position\n-- Returns 1 if it had it now, else 0.\n"
        "local refusal = not_holding(group, partition, holder, fence)\nif refusal then return refusal end\n"
        "if is_processed(group, partition, position) then return 0 end\n"
        "mark_processed(group, partition, position)\n"
        "redis.call('ZINCRBY', k_own('effects'), 1, group .. ' ' .. position)\nreturn 1\n",
        KEYS,
    ),
)


def some(found: list[T], ago: int) -> T:
    """Return what stands so many places before the end, or the first."""
    return found[-min(ago, len(found))]


def same(found: object, wanted: object, what: str) -> None:
    """Hold what was found against what the plain model says."""
    assert found == wanted, f"{what}: found {found}, expected {wanted}"


class Belief(NamedTuple):
    """What a holder was told when it took a partition, and the epoch under which it took it."""

    group: str
    holder: str
    cursor: Cursor
    epoch: int

    def mark(self, position: str) -> Mark:
        """Return the mark of a position."""
        return Mark(self.group, self.cursor.partition, self.holder, self.cursor.fence, position)


@dataclass(slots=True)
class Process:
    """A process as it sees itself: words that it read, where it is, and until when it trusts its word."""

    name: str
    word: Word | None = None
    place: Place = field(default_factory=Place)
    until_ms: int = 0
    ways: list[Word] = field(default_factory=list)
    told: list[Place] = field(default_factory=list)

    def come(self, state: State, now_ms: int) -> Place:
        """Go where the word that was read leads, up to a state, as a seat does."""
        if self.word is None or now_ms >= self.until_ms:
            self.place = Place(self.place.epoch)
        elif not self.word.is_to_run:
            self.place = Place(self.word.epoch) if state is State.STOPPED else self.place
        elif self.place != Place(self.word.epoch, State.RUNNING):
            self.place = Place(self.word.epoch, state, "no" if state is State.FAILED else "")
        self.told.append(self.place)
        return self.place

    def read(self, word: Word, until_ms: int) -> None:
        """Take a word, which is trusted for a while."""
        self.word, self.until_ms = word, until_ms
        if word.is_to_run and word.epoch not in {way.epoch for way in self.ways}:
            self.ways.append(word)

    def runs(self, now_ms: int) -> bool:
        """Whether a strategy runs here."""
        return self.place.state is State.RUNNING and now_ms < self.until_ms


class Seen(NamedTuple):
    """What the store shows after a rule."""

    lags: dict[tuple[str, int], Lag]
    view: View
    marked: dict[str, int]


class DeliveryMachine(RuleBasedStateMachine):
    """Three processes that are holders and members, two groups, two leaders, one seam."""

    connection: ClassVar[Connection]
    loop: ClassVar[asyncio.AbstractEventLoop]

    def __init__(self) -> None:
        """Take a workspace of this run's own."""
        super().__init__()
        self.workspace = f"d{next(_numbers)}"
        self.plain = PlainDelivery(BEGINNING_MS, cap=2_000_000)

        def now() -> str:
            return str(self.plain.now_ms)

        self.cursors, self.letters = Cursors(self.connection, now), DeadLetters(self.connection, now)
        self.seams, self.leases = Seams(self.connection, now), Leases(self.connection, now)
        self.log = EventLog(self.connection, CATALOGUE)
        self.elapsed_ms = 0  # by the clocks of the processes, which never run backwards
        self.processes = {name: Process(name) for name in PROCESSES}
        self.believed: list[Belief] = []
        self.again: list[tuple[Belief, str]] = []
        self.leads: list[Held] = []
        self.words: list[Word] = []
        self.written: list[str] = ["0-0"]
        self.events: list[tuple[str, str]] = []
        self.seen: Seen | None = None
        self.ways: dict[int, str] = {}
        self.misreported: set[str] = set()  # of whom the store heard last what was true before
        self.unreleased: set[tuple[str, int]] = set()
        self.passed: defaultdict[tuple[str, int, int], set[str]] = defaultdict(set)
        self.marked: Counter[tuple[str, str]] = Counter()

    def wait(self, done: Awaitable[Any]) -> Any:
        """Run until it is done, and return its answer or its refusal in a word."""

        async def answer() -> Any:
            try:
                return await done
            except Stale:
                return "stale"
            except NotFound:
                return "unknown"
            except Conflict:
                return "conflict"

        return self.loop.run_until_complete(answer())

    @property
    def origin(self) -> Origin:
        """Where a change comes from, now."""
        return Origin(self.workspace, given_ms=str(self.plain.now_ms))

    @initialize()
    def begin(self) -> None:
        """Let a test's clock count, register, write some events, and let everyone join."""
        self.wait(self.connection.command("HSET", prefix(self.workspace) + KEYS["meta"].tail, "test", 1))
        for group, partitions in GROUPS.items():
            self.wait(self.cursors.register(self.workspace, group, partitions))
            self.plain.register(group, partitions, "")
        for key in KEYED:
            self.say(1, key)
        self.check()
        for who in PROCESSES:
            self.join(who)
        self.check()

    @rule(act=acts())
    def happens(self, act: Act) -> None:
        """Let one thing happen to both, compare all that can be read, and ask for what was promised."""
        getattr(self, act.name)(**act.args)
        self.check()

    # -- the log and its cursors

    def say(self, count: int, key: str) -> None:
        """Write events of one partition key."""
        for _ in range(count):
            (position,) = self.wait(self.log.append(self.origin, "x.test.said", "s", b"{}", key))
            self.written.append(position.decode())
            self.events.append((self.written[-1], key))
            self.plain.append(self.written[-1])

    def take(self, who: str, group: str, ago: int) -> None:
        """Let somebody take, under an epoch that it read, as the strategy of that epoch takes."""
        way = some(self.processes[who].ways, ago)
        live, whole = way.strategy == LIVE, way.strategy == WHOLE
        taken = self.wait(self.cursors.take(self.workspace, group, who, LEASE_MS, way.epoch, live=live, whole=whole))
        wanted = self.plain.take(group, who, LEASE_MS, way.epoch, live=live, whole=whole)
        if isinstance(taken, str):
            same(taken, wanted, f"{who} takes {group} under {way}")
            return
        same((taken.share, [tuple(each) for each in taken.cursors]), wanted, f"{who} takes {group} under {way}")
        for cursor in taken.cursors:
            self.believed.append(Belief(group, who, cursor, way.epoch))
            self.only_jumps_to_the_end(group, cursor)
            (self.unreleased.add if live else self.unreleased.discard)((group, cursor.partition))

    def join(self, who: str) -> None:
        """Let somebody look at the word, go where it leads, and take what the strategy in force wants."""
        self.look(who, State.RUNNING)
        self.look(who, State.RUNNING)
        for group in GROUPS:
            self.take(who, group, 1)

    def commit(self, ago: int, what: int, who: str) -> None:
        """Let somebody commit, as it once took it, or as another did, something that was written."""
        if self.believed:
            belief = some(self.believed, ago)
            self.commit_as(belief._replace(holder=who or belief.holder), some(self.written, what))

    def commit_as(self, belief: Belief, position: str) -> None:
        """Let somebody commit an event or a retry."""
        mark = belief.mark(position)
        answer = self.wait(self.cursors.commit(self.workspace, mark, LEASE_MS))
        same(answer, self.plain.commit(mark, LEASE_MS), f"the commit of {mark}")
        if answer is None:
            self.passes(belief)

    def commit_all(self, ago: int, what: int) -> None:
        """Let somebody commit, in one word, all that it ever took of a group under that epoch."""
        if not self.believed:
            return
        one, position = some(self.believed, ago), some(self.written, what)
        alike = [each for each in self.believed if (each.group, each.holder) == (one.group, one.holder)]
        beliefs = list({each.cursor.partition: each for each in alike if each.epoch == one.epoch}.values())
        marks = [each.mark(position) for each in beliefs]
        answer = self.wait(self.cursors.commit_all(self.workspace, marks, LEASE_MS))
        lost = {mark.partition for mark in marks if self.plain.commit(mark, LEASE_MS) == "stale"}
        same(answer, lost, f"what is lost of {marks}")
        for each in beliefs:
            if each.cursor.partition not in lost:
                self.passes(each)

    def release(self, ago: int, what: int | None) -> None:
        """Let somebody release what it once took, handled up to something that was written, or to what is known."""
        if not self.believed:
            return
        belief = some(self.believed, ago)
        mark = belief.mark(some(self.written, what) if what else "")
        held = self.plain.holds(mark.group, mark.partition, mark.holder, mark.fence)
        self.wait(self.cursors.release(self.workspace, mark))
        self.plain.release(mark)
        if held:
            self.unreleased.discard((mark.group, mark.partition))

    def leave(self, who: str, group: str) -> None:
        """Let somebody leave a group."""
        self.wait(self.cursors.leave(self.workspace, group, who))
        self.plain.leave(group, who)

    def have_effect(self, ago: int, what: int) -> None:
        """Let an event of somebody's partition have its effect, beside the mark."""
        if (found := self.event_of(ago, what)) is not None:
            self.effect_as(*found)

    def effect_as(self, belief: Belief, position: str) -> None:
        """Let an event or a retry have its effect."""
        mark = belief.mark(position)
        answer = self.wait(self.connection.run(EFFECT, self.workspace, *mark.arguments))
        same(answer, self.plain.effect(mark), f"the effect of {mark}")
        if answer == 1:
            self.passes(belief)
            self.marked[mark.group, position] += 1

    def event_of(self, ago: int, what: int) -> tuple[Belief, str] | None:
        """Return what somebody took, and an event of that partition."""
        if not self.believed:
            return None
        belief = some(self.believed, ago)
        count = GROUPS[belief.group]
        mine = [at for at, key in self.events if partition_of(key, count) == belief.cursor.partition]
        return (belief, some(mine, what)) if mine else None

    # -- dead letters

    def die(self, ago: int, what: int) -> None:
        """Let somebody give up on an event of its partition."""
        if (found := self.event_of(ago, what)) is not None:
            self.die_as(*found)

    def die_as(self, belief: Belief, position: str) -> None:
        """Let somebody give up on an event, or on a retry of it."""
        mark, id_ = belief.mark(position), position.partition("!")[0]
        event = Event(id=id_, type="x.test.said", subject="s", payload=b"{}", time="now")  # type: ignore[arg-type]
        letter = Letter(event=event, error="no", tries=3)
        answer = self.wait(self.letters.write(self.workspace, mark.group, mark, letter, mark.partition))
        same(answer, self.plain.die(mark, id_), f"the death of {mark}")
        if answer is True:
            self.passes(belief)
            self.marked[mark.group, position] += 1

    def decide(self, group: str, what: int | None, drops: bool) -> None:  # noqa: FBT001 - drawn
        """Let the operator have a letter, or all, retried or dropped."""
        dead = [event for _, _, event in self.plain.dead(group)]
        event = some(dead or [position for position, _ in self.events], what) if what else ""
        act = self.letters.drop if drops else self.letters.retry
        answer = self.wait(act(self.origin, group, event))
        wanted = self.plain.forget(group, event) if drops else self.plain.retry(group, event)
        same(answer if isinstance(answer, str) else (answer.moved, answer.left), wanted, f"the letters of {group}")

    def ask_again(self, ago: int, hows: tuple[str, ...]) -> None:
        """Let somebody ask what it is to handle once more, and settle it so many times."""
        asked = [each for each in self.believed if self.plain.next(each.group, each.cursor.partition)]
        if not asked:
            return
        belief = some(asked, ago)
        position = self.plain.next(belief.group, belief.cursor.partition)
        assert position
        self.again.append((belief, position))
        for how in hows:
            self.settle(1, how)

    def settle(self, ago: int, how: str) -> None:
        """Let somebody settle a retry that it was given, now or long ago."""
        if self.again:
            {"commit": self.commit_as, "effect": self.effect_as, "die": self.die_as}[how](*some(self.again, ago))

    # -- the seam

    def look(self, who: str, state: State) -> None:
        """Let a member note where it is, and read the word."""
        process = self.processes[who]
        word = self.follow(who, process.come(state, self.elapsed_ms))
        self.misreported.discard(who)
        process.read(word, self.elapsed_ms + MEMBER_MS)
        self.words.append(word)

    def all_look(self, state: State) -> None:
        """Let all read the word and go where it leads."""
        for who in PROCESSES:
            self.look(who, state)
            self.look(who, state)

    def tell_late(self, who: str, ago: int) -> None:
        """Let the store hear once more, or late, where a member was; the answer reaches nobody."""
        self.follow(who, some(self.processes[who].told, ago))
        self.misreported.add(who)

    def follow(self, who: str, place: Place) -> Word:
        """Let a process be a member at a place."""
        word: Word = self.wait(self.seams.follow(self.workspace, SEAM, who, MEMBER_MS, place))
        same(word, self.plain.follow(who, MEMBER_MS, place), f"what {who} reads")
        return word

    def resign(self, who: str) -> None:
        """Let a member stop what runs, and leave the seam."""
        process = self.processes[who]
        process.place, process.until_ms = Place(process.place.epoch), 0
        self.wait(self.seams.leave(self.workspace, SEAM, who))
        self.plain.leave_seam(who)

    def lead(self, owner: str) -> None:
        """Let somebody take the lead."""
        held = self.wait(self.leases.take(self.workspace, role(SEAM), owner, LEAD_MS))
        term = self.plain.take_lead(owner, LEAD_MS)
        same(held.term if held else None, term, f"the term of {owner}")
        if held:
            self.leads.append(held)

    def lead_no_more(self, ago: int) -> None:
        """Let somebody let go the lead that it has, or once had."""
        if self.leads:
            held = some(self.leads, ago)
            self.wait(self.leases.release(held))
            self.plain.release_lead(held.owner, held.term)

    def step_on(self, to: str, *, goes_on: bool) -> None:
        """Let who leads take the step that is due, or else give up."""
        if not self.leads or not self.plain.leads(self.leads[-1].owner, self.leads[-1].term):
            self.lead("m")
        due = [name for name, phase in STEPS if phase is self.plain.word.phase]
        if self.leads:
            self.step(due[0 if goes_on else -1], self.leads[-1], self.plain.word, to)

    def switch(self, steps: int, to: str, *, goes_on: bool) -> None:
        """Let a leader lead on, and all follow, for so many steps, of which the first goes on or gives up."""
        for at in range(steps):
            self.step_on(to, goes_on=goes_on or at > 0)
            self.check()
            self.all_look(State.RUNNING)
            self.all_look(State.RUNNING if self.plain.word.is_to_run else State.STOPPED)

    def step_anyhow(self, name: StepName, ago: int, read: int, to: str) -> None:
        """Let somebody that leads, or once led, take any step from a word that it once read."""
        if self.leads:
            self.step(name, some(self.leads, ago), some(self.words, read), to)

    def step(self, name: StepName, held: Held, word: Word, to: str) -> None:
        """Take a step."""
        further = {"begin": to, "give_up": f"too slow for {to}"}.get(name)
        words = (further,) if further else ()
        answer = self.wait(self.seams.step(SCRIPT_OF[name], self.origin, held, word, *words))
        wanted = self.plain.step(name, held.owner, held.term, word.epoch, further or "")
        same(answer if isinstance(answer, str) else answer.epoch, wanted, f"{name} by {held} from {word}")

    def pass_time(self, ms: int) -> None:
        """Let time pass, or the clock of the store run backwards."""
        self.plain.now_ms += ms
        self.elapsed_ms += max(0, ms)

    # -- what was promised, whatever the plain model says

    def only_jumps_to_the_end(self, group: str, cursor: Cursor) -> None:
        """Who takes finds the position as it was, or the end of the log where a live holder did not release."""
        assert self.seen
        if cursor.position != self.seen.lags[group, cursor.partition].position:
            assert (group, cursor.partition) in self.unreleased, f"{cursor} jumped, and nobody was live"
            assert cursor.position == self.written[-1], f"{cursor} jumped elsewhere than to the end"

    def passes(self, belief: Belief) -> None:
        """No two holders pass under one fence, and nobody under an epoch that is over."""
        cursor, word = belief.cursor, self.plain.word
        who = self.passed[belief.group, cursor.partition, cursor.fence]
        who.add(belief.holder)
        assert len(who) == 1, f"{who} passed under {cursor}"
        assert belief.epoch >= word.epoch - (word.phase in ENDING), f"{belief} passed at {word}"

    def nothing_goes_back(self, now: Seen) -> None:
        """No position goes back, no fence and no epoch falls."""
        if self.seen is None:
            return
        for key, lag in now.lags.items():
            former = self.seen.lags[key]
            assert number(lag.position) >= number(former.position), f"{key} went back"
            assert lag.fence >= former.fence, f"the fence of {key} fell"
            assert lag.holder in {"", former.holder} or lag.fence > former.fence, f"{key} changed hands under one fence"
        assert now.view.word.epoch >= self.seen.view.word.epoch, "the epoch fell"

    def nothing_happens_twice(self, now: Seen) -> None:
        """An event, and each retry of it, is marked as processed beside one effect or one death of a group at most."""
        twice = [each for each, count in self.marked.items() if count > 1]
        assert not twice, f"{twice} happened twice"
        assert set(now.marked.values()) <= {1}, f"an effect was had twice: {now.marked}"

    def one_strategy_runs(self, now: Seen) -> None:
        """An epoch has one strategy, and live members that noted that they run, or do run, run one strategy."""
        word = now.view.word
        if word.is_to_run:
            assert self.ways.setdefault(word.epoch, word.strategy) == word.strategy, "an epoch has two strategies"
        running = {each.name: each.place for each in self.processes.values() if each.runs(self.elapsed_ms)}
        assert running.keys() <= {each.process for each in now.view.members}, "who runs is no member"
        noted = {each.process: each.place for each in now.view.members if each.process not in self.misreported}
        places = [*running.values(), *(place for place in noted.values() if place.state is State.RUNNING)]
        strategies = {self.ways[place.epoch] for place in places}
        assert len(strategies) <= 1, f"{strategies} run at once"

    # -- comparing

    def check(self) -> None:
        """Compare all that can be read, and ask for what was promised."""
        found, view, *groups = self.wait(self._all())
        self.compare_log(found)
        wrong = [*invariants._cursors(found), *invariants._letters(found), *invariants._seams(found)]
        wrong += invariants._events(found)
        assert not wrong, wrong
        for group, shown in zip(GROUPS, groups, strict=True):
            self.compare_group(group, *shown)
            same(
                found.indexes.get(f"holders:{group}", {}), self.plain.holders.get(group, {}), f"the holders of {group}"
            )
        self.compare_seam(view)
        lags = {(lag.group, lag.partition): lag for lags, *_ in groups for lag in lags}
        now = Seen(lags, view, found.indexes.get("own:effects", {}))
        same(now.marked, self.plain.counted, "the effects")
        for promise in (self.nothing_goes_back, self.nothing_happens_twice, self.one_strategy_runs):
            promise(now)
        self.seen = now

    async def _all(self) -> list[Any]:
        return await asyncio.gather(
            invariants.read(self.connection, self.workspace, self.written[-1]),
            self.seams.show(self.workspace, SEAM),
            *(self._of(group) for group in GROUPS),
        )

    async def _of(self, group: str) -> Any:
        return await asyncio.gather(
            self.cursors.lag(self.workspace, group),
            self.letters.page(self.workspace, group, (0, ""), 1_000),
            self.letters.counts(self.workspace, group),
            *(self.letters.next(self.workspace, group, p) for p in range(GROUPS[group])),
        )

    def compare_log(self, found: invariants.Snapshot) -> None:
        """Hold what was told against what the plain model told."""
        same([(event.type, event.subject) for event in found.events], self.plain.facts, "what was told")
        self.plain.facts = []
        for event in found.events:
            self.written.append(event.position)
            self.plain.append(event.position)

    def compare_group(
        self, group: str, lags: list[Lag], page: LetterPage, counts: Counts, *again: Again | None
    ) -> None:
        """Hold cursors, letters and retries against the plain model."""
        same([tuple(each) for each in lags], self.plain.lag(group), f"the cursors of {group}")
        kept = [(each.at_ms, each.partition, each.letter.event.id) for each in page.kept]
        same(kept, self.plain.dead(group), f"the letters of {group}")
        same(counts, (len(kept), self.plain.waiting(group), 0), f"the counts of {group}")
        nexts = [self.plain.next(group, p) for p in range(GROUPS[group])]
        same([each.position if each else None for each in again], nexts, f"the retries of {group}")

    def compare_seam(self, view: View) -> None:
        """Hold the word, the members and the lead against the plain model."""
        lead, now_ms = self.plain.lead, self.plain.now_ms
        same(view.word, self.plain.word, "the word")
        same(view.members, self.plain.live(), "the members")
        told = (view.leader, view.term, view.leader_left_ms)
        same(told, (lead.owner, lead.term, max(0, lead.until_ms - now_ms)), "the lead")

    def teardown(self) -> None:
        """Leave an empty store."""
        self.wait(self.connection.command("FLUSHDB"))


def run(socket: str, examples: int, length: int, **more: Any) -> None:
    """Let the machine do so many sequences of so many steps on the store at a socket, which it empties after each."""
    with asyncio.Runner() as runner:
        opened = Connection(Address(socket=socket), SCRIPTS)
        runner.run(opened.open())
        machine = type("Machine", (DeliveryMachine,), {"connection": opened, "loop": runner.get_loop()})
        bounds = settings(
            max_examples=examples,
            stateful_step_count=length,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            **more,
        )
        try:
            run_state_machine_as_test(machine, settings=bounds)
        finally:
            runner.run(opened.close())
