"""The cursors are their plain model, whoever takes, pauses, commits late, leaves, and whatever is cut meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.model.plain_cursors import PlainCursors
from tests.scripts import invariants

from claudebench.app import CATALOGUE, SCRIPTS
from claudebench.errors import Conflict, NotFound, Stale
from claudebench.events.cursor import Cursor, Cursors, Mark
from claudebench.events.log import EventLog
from claudebench.events.trim import TRIM
from claudebench.store.connection import Address, Connection
from claudebench.store.keys import KEYS, prefix
from claudebench.store.origin import Origin
from claudebench.store.script import Text

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")
BEGINNING_MS = 1_800_000_000_000
LEASE_MS = 1_000
GROUPS = {"readers": 4, "single": 1}
FOREVER_MS = 10**13
HOLDERS = ("a", "b", "c")
AGO = st.one_of(st.integers(1, 40), st.integers(1, 6))
_numbers = itertools.count(1)

# What is planted: the script it goes into, what stands there, and what stands there instead.
BUGS = {
    "a fence is kept": ("cursor_take", "cursor[3] = cursor[3] + 1", "cursor[3] = cursor[3]"),
    "a held partition is taken": ("cursor_take", "tonumber(kept[4]) <= now_ms", "tonumber(kept[4]) <= now_ms + 500"),
    "more than its share": ("cursor_take", "if #mine >= share then break end", "if #mine > share then break end"),
    "the dead share": ("cursor_take", "'-inf', now_ms)", "'-inf', 0)"),
    "a stale commit counts": ("cursor_commit", "tonumber(kept[2]) == tonumber(fence)", "true"),
    "another's commit counts": ("cursor_commit", "kept[1] == holder and", "kept[1] and"),
    "a position moves back": ("cursor_commit", "if is_processed(group, partition, position) then return end", ""),
    "positions are text": ("trim", "tonumber(a_n) < tonumber(b_n)", "a_n < b_n"),
    "what is unread is trimmed": ("trim", "not (lowest and is_before(lowest, id))", "true"),
    "a gap is not told": ("trim", "if partitions > 0 and is_before(position, trimmed)", "if false"),
    "what is served ends": ("group_drop", "if holder then return", "if false then return"),
    "a gap stays noted": ("cursor_acknowledge", "if redis.call('HDEL',", "if redis.call('HEXISTS',"),
    "a late note counts": ("cursor_note", "if current > tonumber(term)", "if false"),
}


def some(found: list[T], ago: int) -> T:
    """Return what stands so many places before the end, or the first."""
    return found[-min(ago, len(found))]


class CursorMachine(RuleBasedStateMachine):
    """Three holders, two groups and a reader that keeps its position itself, on a log that is short."""

    connection: ClassVar[Connection]
    loop: ClassVar[asyncio.AbstractEventLoop]

    def __init__(self) -> None:
        """Take a workspace of this run's own."""
        super().__init__()
        self.workspace = f"c{next(_numbers)}"
        self.plain = PlainCursors(BEGINNING_MS, cap=2_000_000)
        self.cursors = Cursors(self.connection, lambda: str(self.plain.now_ms))
        self.log = EventLog(self.connection, CATALOGUE)
        self.believed: list[tuple[str, str, Cursor]] = []
        self.written: list[str] = ["0-0"]

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
                return "served"

        return self.loop.run_until_complete(answer())

    @initialize(cap=st.sampled_from([12, 2_000_000]))
    def begin(self, cap: int) -> None:
        """Let a test's clock and cap count, and register."""
        start = prefix(self.workspace)
        self.wait(self.connection.command("HSET", start + KEYS["meta"].tail, "test", 1))
        self.wait(self.connection.command("HSET", start + KEYS["evmeta"].tail, "max", cap))
        self.plain.cap = cap
        for group in GROUPS:
            self.register(group, "")

    @rule(count=st.integers(1, 30))
    def say(self, count: int) -> None:
        """Write some facts at once, so that several are of one millisecond."""
        origin = Origin(self.workspace, given_ms=str(self.plain.now_ms))
        for (position,) in self.wait(self._all([("x.test.said", "s")] * count, origin)):
            self.written.append(position.decode())
            self.plain.append(self.written[-1])

    async def _all(self, facts: list[tuple[str, str]], origin: Origin) -> list[Any]:
        return await asyncio.gather(*(self.log.append(origin, *fact, b"{}") for fact in facts))

    @rule(group=st.sampled_from(list(GROUPS)), holder=st.sampled_from(HOLDERS))
    def take(self, group: str, holder: str) -> None:
        """Let somebody take."""
        taken = self.wait(self.cursors.take(self.workspace, group, holder, LEASE_MS))
        wanted = self.plain.take(group, holder, LEASE_MS)
        if isinstance(taken, str):
            assert taken == wanted
            return
        assert (taken.share, [tuple(each) for each in taken.cursors]) == wanted
        self.believed += [(group, holder, each) for each in taken.cursors]

    @rule(who=AGO, what=AGO)
    def commit(self, who: int, what: int) -> None:
        """Let somebody commit, as it once took it, something that was written."""
        if not self.believed:
            return
        group, holder, cursor = some(self.believed, who)
        position = some(self.written, what)
        mark = Mark(group, cursor.partition, holder, cursor.fence, position)
        answer = self.wait(self.cursors.commit(self.workspace, mark, LEASE_MS))
        assert answer == self.plain.commit(mark, LEASE_MS)

    @rule(who=AGO)
    def release(self, who: int) -> None:
        """Let somebody release what it once took."""
        if self.believed:
            group, holder, cursor = some(self.believed, who)
            mark = Mark(group, cursor.partition, holder, cursor.fence, "")
            self.wait(self.cursors.release(self.workspace, mark))
            self.plain.release(mark)

    @rule(group=st.sampled_from(list(GROUPS)), holder=st.sampled_from(HOLDERS))
    def leave(self, group: str, holder: str) -> None:
        """Let somebody leave."""
        self.wait(self.cursors.leave(self.workspace, group, holder))
        self.plain.leave(group, holder)

    @rule(ms=st.sampled_from([1, 400, 600, 999, 1_000, 5_000, 100_000, -3_000, -1_000_000]))
    def pass_time(self, ms: int) -> None:
        """Let time pass, or run backwards."""
        self.plain.now_ms += ms

    @rule(events_max=st.sampled_from([0, 1, 5, 20]))
    def trim(self, events_max: int) -> None:
        """Take one step of trimming."""
        told, overtaken, to = len(self.plain.told), self.plain.overtaken(), self.plain.trimmed
        arguments = (str(self.plain.now_ms), "", "", FOREVER_MS, events_max)
        gone, gaps = self.wait(self.connection.run(TRIM, self.workspace, *arguments))
        for group, partition, position in overtaken:
            self.plain.gap(group, partition, position, to)
        for position in self._new(len(self.plain.told) - told):
            self.written.append(position)
            self.plain.append(position)
        assert gone == self.plain.trim(events_max)
        assert gaps == len(self.plain.gaps)

    @rule(term=st.integers(1, 3), what=AGO)
    def note(self, term: int, what: int) -> None:
        """Let a reader note the position that it keeps itself."""
        position = some(self.written, what)
        answer = self.wait(self.cursors.note(self.workspace, "record", f"h{term}", term, position))
        assert answer == self.plain.note("record", f"h{term}", term, position)

    @rule(group=st.sampled_from([*GROUPS, "record"]))
    def acknowledge(self, group: str) -> None:
        """Make up for the gaps of a group; that is told if there were any."""
        answer = self.wait(self.cursors.acknowledge(self._origin(), group))
        if not isinstance(answer, str) and answer.gaps:
            self._wrote(answer.position)
        assert (answer if isinstance(answer, str) else answer.gaps) == self.plain.acknowledge(group)

    @rule(group=st.sampled_from([*GROUPS, "record"]))
    def end(self, group: str) -> None:
        """Let the operator end a group; that is told, and refused while somebody serves it."""
        answer = self.wait(self.cursors.end(self._origin(), group))
        wanted = self.plain.end(group)
        assert (answer if isinstance(answer, str) else answer.partitions) == wanted
        if isinstance(wanted, int):
            self._wrote(answer.position)

    def _origin(self) -> Origin:
        return Origin(self.workspace, given_ms=str(self.plain.now_ms))

    def _wrote(self, position: str) -> None:
        self.written.append(position)
        self.plain.append(position)

    @rule(group=st.sampled_from([*GROUPS, "record"]))
    def drop(self, group: str) -> None:
        """Let a group end."""
        assert self.wait(self.cursors.drop(self.workspace, group)) == self.plain.drop(group)

    @rule(group=st.sampled_from(list(GROUPS)), start=st.sampled_from(["", "$"]))
    def register(self, group: str, start: str) -> None:
        """Let a group begin, once more or again."""
        self.wait(self.cursors.register(self.workspace, group, GROUPS[group], start))
        self.plain.register(group, GROUPS[group], start)

    def _new(self, count: int) -> list[str]:
        """Return the positions of the gaps that were just told."""
        found = self.wait(invariants.read(self.connection, self.workspace, self.written[-1]))
        assert [event.type for event in found.events] == ["cursor.gap"] * count
        told = [tuple(event.payload[name] for name in ("group", "partition", "from", "to")) for event in found.events]
        assert sorted(told) == sorted(self.plain.told[-count:] if count else [])
        return [event.position for event in found.events]

    def teardown(self) -> None:
        """Leave an empty store."""
        self.wait(self.connection.command("FLUSHDB"))

    @invariant()
    def check(self) -> None:
        """Compare all that is stored."""
        found = self.wait(invariants.read(self.connection, self.workspace))
        wrong = invariants.problems_now(found, set())
        assert not wrong, wrong
        plain, hashes = self.plain, found.hashes
        assert [event.position for event in found.events] == plain.log
        assert found.trimmed == plain.trimmed
        assert {name: int(count) for name, count in hashes.get("groups", {}).items()} == plain.groups
        for (group, partition), kept in plain.cursors.items():
            stored = hashes[f"group:{group}:{partition}"]
            until_ms = int(stored.get("untilMs", 0))
            assert (stored["pos"], stored["holder"], int(stored["fence"]), until_ms) == (
                *(kept.position, kept.holder, kept.fence, kept.until_ms),
            )
        gaps = {f"{group}:{p}": f"{after} {to}" for (group, p), (after, to) in plain.gaps.items()}
        assert hashes.get("gaps", {}) == gaps
        for group in GROUPS:
            assert found.indexes.get(f"holders:{group}", {}) == plain.holders.get(group, {})


def run(socket: str, examples: int, length: int, **more: Any) -> None:
    """Let the machine do so many sequences of so many steps on the store at a socket, which it empties after each."""
    with asyncio.Runner() as runner:
        opened = Connection(Address(socket=socket), SCRIPTS)
        runner.run(opened.open())
        machine = type("Machine", (CursorMachine,), {"connection": opened, "loop": runner.get_loop()})
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


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A bug in the script that holds the place for it."""
    name, old, new = BUGS[request.param]
    (script,) = [each for each in SCRIPTS if each.room == "events" and each.name == name]
    assert old in script.text, f"{old} stands nowhere"
    monkeypatch.setattr(script, "plain", Text(script.text.replace(old, new), script.latency))
    return str(request.param)


def test_the_cursors_are_their_model(store_socket: str) -> None:
    """After any sequence of steps every answer and every stored field is what the plain cursors say."""
    run(store_socket, 60, 60, derandomize=True, phases=[Phase.generate])


@pytest.mark.soak
def test_the_cursors_are_their_model_for_long(store_socket: str) -> None:
    """The same over many long sequences, which differ each time."""
    run(store_socket, int(os.environ.get("SOAK_RUNS", "200")), 200)


@pytest.mark.soak
@pytest.mark.parametrize("planted", BUGS, indirect=True)
def test_a_planted_bug_is_found(store_socket: str, planted: str) -> None:
    """The machine finds each of these bugs, if somebody plants it in the scripts."""
    with pytest.raises((AssertionError, Flaky)):  # which bug shows when depends on the ids that the store gives
        run(store_socket, 500, 120, phases=[Phase.generate])
