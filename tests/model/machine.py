"""The machine that does one thing after the other to the ledger and to its plain model, and compares them each time."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from tests.model.plain_ledger import PlainLedger, Task
from tests.model.real_ledger import RealLedger, told
from tests.model.steps import PATIENCE_MS, ROLES, TASKS_MAX, WORKERS, Step, steps
from tests.scripts import invariants

from claudebench.app import SCRIPTS
from claudebench.errors import ClaudeBenchError, Conflict, LimitReached, NotFound, Stale, Unauthorized
from claudebench.store.connection import Address, Connection
from claudebench.tasks.model import read_task

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.scripts.invariants import Snapshot

BEGINNING_MS = 1_800_000_000_000
TICK_MS = 1_900
REFUSALS = (Conflict, LimitReached, NotFound, Stale, Unauthorized)
_numbers = itertools.count(1)


class LedgerMachine(RuleBasedStateMachine):
    """Three workers, ten tasks at most, one clock; two ledgers, which must never differ."""

    connection: ClassVar[Connection]
    loop: ClassVar[asyncio.AbstractEventLoop]

    def __init__(self) -> None:
        """Take a workspace of this run's own."""
        super().__init__()
        self.plain = PlainLedger(BEGINNING_MS)
        self.real = RealLedger(self.connection, f"m{next(_numbers)}")
        self.said: dict[str, Step] = {}
        self.position = ""
        self.events: list[Any] = []
        self.once_completed: set[str] = set()

    @initialize()
    def begin(self) -> None:
        """Let everyone register, and add a few tasks."""
        self.wait(self.real.begin())
        for worker in WORKERS:
            about = {"roles": ROLES[worker], "capacity": 3, "dead_after_ms": PATIENCE_MS[worker], "boot": "1"}
            self.change(Step("register", {"instance": worker, **about}, worker))
        for priority, depends_on in ((50, ()), (100, ()), (50, (1,)), (50, ()), (0, (2, 3))):
            args = {"text": "a", "priority": priority, "requires": (), "depends_on": depends_on, "attempts": 2}
            self.change(Step("create", args))
        self.compare()

    @rule(step=steps())
    def happens(self, step: Step) -> None:
        """Let one thing happen to both, and compare all that they hold."""
        self.happen(step)
        self.compare()

    def happen(self, step: Step) -> None:
        """Let one thing happen to both."""
        self.plain.events, self.events = [], []
        match step.name:
            case "pass_time":
                self.pass_time(**step.args)
            case "jump":
                self.plain.now_ms += step.args["ms"]
                self.forget_the_gone()
            case "again":
                if step.args["key"] in self.said:
                    self.change(self.said[step.args["key"]])
            case "heartbeat":
                self.beat(step.args["instance"])
            case "count" | "walk":
                self.ask(step)
            case "get":
                self.ask(step.meant(self.plain))
            case "create" if self.plain.seq >= TASKS_MAX:
                pass
            case _:
                self.change(step.meant(self.plain))

    def change(self, step: Step) -> None:
        """Do a change on both; answer, refusal and position are the same."""
        if step.key:
            self.said[step.key] = step
        expected, answer = self.expected(step), self.answered(step)
        if isinstance(expected, type) or isinstance(answer, ClaudeBenchError):
            assert type(answer) is expected, f"{step} is answered {answer!r}, expected {expected}"
            assert answer.outcome == "not_done"
            return
        (given, position), (wanted, event) = answer, expected
        assert given == told(wanted), f"{step} is answered\n{given}, expected\n{wanted}"
        self.events.append((step, position, event))

    def expected(self, step: Step) -> Any:
        """Return what the plain ledger makes of a change: an answer, or the type of its refusal."""
        try:
            return self.plain.change(step)
        except REFUSALS as refusal:
            return type(refusal)

    def answered(self, step: Step) -> Any:
        """Return what the ledger makes of a change: its answer and position, or the refusal."""
        try:
            return self.wait(self.real.change(self.plain.now_ms, step))
        except REFUSALS as refusal:
            return refusal

    def ask(self, step: Step) -> None:
        """Ask both; what they answer is the same."""
        try:
            answer = self.wait(getattr(self.real, step.name)(**step.args))
        except NotFound:
            assert step.args["n"] not in self.plain.tasks
            return
        assert answer == told(getattr(self.plain, step.name)(**step.args)), str(step)

    def beat(self, instance: str) -> None:
        """Let an instance beat."""
        expected = self.plain.heartbeat(instance)
        assert self.wait(self.real.heartbeat(self.plain.now_ms, instance)) == expected

    def pass_time(self, ms: int, living: tuple[str, ...]) -> None:
        """Let time pass as it does in life: with ticks, and beats of whoever lives."""
        end_ms = self.plain.now_ms + ms
        while self.plain.now_ms < end_ms:
            self.plain.now_ms = min(self.plain.now_ms + TICK_MS, end_ms)
            for instance in living:
                self.beat(instance)
            self.sweep()
        self.forget_the_gone()

    def sweep(self) -> None:
        """Tick once."""
        self.plain.sweep()
        self.wait(self.real.sweep(self.plain.now_ms))

    def forget_the_gone(self) -> None:
        """Do what the store does by its own clock: forget who is OFFLINE for a day."""
        gone = self.plain.long_offline()
        for instance in gone:
            del self.plain.instances[instance]
            self.wait(self.real.forget(f"inst:{instance}"))
        if gone:
            self.sweep()

    def compare(self) -> None:
        """Hold everything that the store keeps against the plain ledger, and every index against the rows."""
        found: Snapshot = self.wait(self.real.read(self.position))
        self.once_completed |= set(found.subjects("task.completed"))
        wrong = invariants.problems_now(found, self.once_completed)
        assert not wrong, "\n".join(wrong)
        stored = [read_task(n, found.stored[n]) for n in sorted(found.tasks)]
        assert told(stored) == [self.plain.view(task) for task in self.plain.tasks.values()]
        for n, row in found.tasks.items():
            assert hidden_of(row) == hidden(self.plain.tasks[n]), f"t-{n}"
            assert standing(found, n) == (self.plain.tasks[n].waits, self.plain.tasks[n].stuck), f"t-{n}"
        self.compare_instances(found)
        self.compare_events(found)
        assert found.done == self.plain.done

    def compare_instances(self, found: Snapshot) -> None:
        """Hold the instances against those of the plain ledger."""
        alive, offline = found.indexes.get("alive", {}), found.indexes.get("offline", {})
        stored = {
            name: (int(record["incarnation"]), record["bootId"], alive.get(name, 0), offline.get(name, 0))
            for name, record in found.instances.items()
        }
        assert stored == {
            name: (each.incarnation, each.boot, each.deadline_ms, each.offline_ms)
            for name, each in self.plain.instances.items()
        }

    def compare_events(self, found: Snapshot) -> None:
        """Hold the new events against those of the plain ledger, and each answer's position against its event."""
        told_of = Counter((each.type, each.subject, state_of(each)) for each in found.events)
        assert told_of == Counter((type_, subject, state) for type_, subject, state in self.plain.events)
        at = {each.position: (each.type, each.subject) for each in found.events}
        for step, position, event in self.events:
            assert not event or at[position] == event, f"{step} is at {position}, {at.get(position)}"
        if found.events:
            self.position = found.events[-1].position

    def wait(self, answer: Coroutine[Any, Any, Any]) -> Any:
        """Wait for an answer of the store."""
        return self.loop.run_until_complete(answer)

    def teardown(self) -> None:
        """Take the workspace out of the store."""
        self.wait(self.real.empty())


def hidden(task: Task) -> tuple[Any, ...]:
    """Return what a task keeps and does not answer."""
    return (task.deny, task.returned, task.ready_ms if task.is_ready else 0)


def hidden_of(row: Any) -> tuple[Any, ...]:
    """Return the same of a stored task."""
    ready = row.status == "pending" and not row.owner and not row.waiting
    return (row.deny, row.returned, row.ready_ms if ready else 0)


def standing(found: Snapshot, n: int) -> tuple[set[int], ...]:
    """Return what a task waits for, and behind what it is stuck."""
    return tuple(
        {each for each in found.deps[n] if str(n) in found.sets.get(f"{how}:{each}", ())} for how in ("waits", "stuck")
    )


def state_of(event: invariants.Event) -> Any:
    """Return what an event tells of the state of its task."""
    told_of = event.payload
    if event.type == "task.blocked":
        return (told_of["by"], told_of["reason"])
    if not event.type.startswith("task.") or event.type == "task.deleted":
        return None
    return tuple(told_of[name] for name in ("status", "assignedTo", "epoch", "attempts"))


def run(socket: str, examples: int, length: int, **more: Any) -> None:
    """Let the machine do so many sequences of so many steps on the store at a socket, which it empties after each."""
    with asyncio.Runner() as runner:
        opened = Connection(Address(socket=socket), SCRIPTS)
        runner.run(opened.open())
        machine = type("Machine", (LedgerMachine,), {"connection": opened, "loop": runner.get_loop()})
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
