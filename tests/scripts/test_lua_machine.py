"""The ledger under any sequence of commands, deaths and clock steps that Hypothesis thinks of."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.scripts.ledger import MINUTE, Ledger, num

from claudebench.app import SCRIPTS
from claudebench.errors import ClaudeBenchError, Conflict, LimitReached, NotFound, Stale
from claudebench.store.connection import Address, Connection

if TYPE_CHECKING:
    from collections.abc import Coroutine

WORKERS = ("ann", "bob", "cy")
ROLES = {"ann": (), "bob": ("gpu",), "cy": ("gpu", "py")}
REFUSALS = (Conflict, LimitReached, NotFound, Stale)
_numbers = itertools.count(1)

workers = st.sampled_from(WORKERS)
tasks = st.integers(1, 6)
epochs = st.one_of(st.just(""), st.just("now"), st.integers(0, 6))


class LedgerMachine(RuleBasedStateMachine):
    """Three workers, a handful of tasks, one clock."""

    socket: ClassVar[str]

    def __init__(self) -> None:
        """Take a workspace of this run's own."""
        super().__init__()
        self.runner = asyncio.Runner()
        self.connection = Connection(Address(socket=self.socket), SCRIPTS)
        self.ledger = Ledger(self.connection, f"m{next(_numbers)}")
        self.completed: dict[int, tuple[str, int]] = {}
        self.epochs: dict[int, tuple[str, int]] = {}
        self.boots = itertools.count(1)

    def do(self, word: Coroutine[Any, Any, Any]) -> Any:
        """Run one command; a refusal is an answer too, None."""
        try:
            return self.runner.run(word)
        except REFUSALS as refusal:
            outcome = refusal.outcome
        assert outcome == "not_done"
        return None

    def epoch(self, n: int, named: int | str) -> int | str:
        """Return the epoch that a caller names: none, a guess, or the present one."""
        return self.epochs.get(n, ("", 0))[1] if named == "now" else named

    def buried(self) -> list[str]:
        """Return who was ever declared dead."""
        return list(self.runner.run(self.ledger.read()).subjects("instance.offline"))

    @initialize()
    def begin(self) -> None:
        """Register everyone."""
        self.runner.run(self.connection.open())
        self.runner.run(self.ledger.begin())
        for worker in WORKERS:
            self.register(worker, 2, restarted=True)

    @rule(worker=workers, capacity=st.integers(1, 4), restarted=st.booleans())
    def register(self, worker: str, capacity: int, *, restarted: bool) -> None:
        """Register, as the same boot or as another."""
        boot = str(next(self.boots)) if restarted else ""
        roles = ROLES[worker]
        dead_after_ms = 1000 if worker == "ann" else 5000
        answer = self.do(
            self.ledger.register(worker, roles=roles, capacity=capacity, dead_after_ms=dead_after_ms, boot=boot)
        )
        if restarted:
            assert answer
            assert self.do(self.ledger.beat(worker)).held == []

    @rule(worker=workers)
    def unregister(self, worker: str) -> None:
        """Leave."""
        self.do(self.ledger.unregister(worker))

    @rule(priority=st.sampled_from((0, 50, 100)), requires=st.sampled_from(((), ("gpu",), ("gpu", "py"))))
    def create(self, priority: int, requires: tuple[str, ...]) -> None:
        """Add a task."""
        self.do(self.ledger.create(priority=priority, requires=requires, max_attempts=3))

    @rule(worker=workers, claims_max=st.integers(1, 3), lease_ms=st.sampled_from((None, 500, 8000)))
    def claim(self, worker: str, claims_max: int, lease_ms: int | None) -> None:
        """Claim."""
        for task in self.do(self.ledger.claim(worker, claims_max, lease_ms)) or []:
            assert task.assigned_to == worker
            assert set(task.requires) <= set(ROLES[worker])
            assert num(task) not in self.completed

    @rule(n=tasks, worker=workers)
    def assign(self, n: int, worker: str) -> None:
        """Reserve."""
        self.do(self.ledger.assign(n, worker))

    @rule(n=tasks, worker=st.sampled_from(("", *WORKERS)), named=epochs, result=st.booleans())
    def complete(self, n: int, worker: str, named: int | str, *, result: bool) -> None:
        """Complete; what was acknowledged once is remembered for ever."""
        epoch, before = self.epoch(n, named), self.epochs.get(n)
        if self.do(self.ledger.complete(n, worker, epoch, result)) is None:
            return
        assert before
        assert worker in {"", before[0]}
        self.completed.setdefault(n, before)

    @rule(n=tasks, worker=st.sampled_from(("", *WORKERS)), named=epochs, retryable=st.booleans())
    def fail(self, n: int, worker: str, named: int | str, *, retryable: bool) -> None:
        """Fail, for good or to be tried again."""
        self.do(self.ledger.fail(n, worker, self.epoch(n, named), retryable=retryable))

    @rule(worker=workers)
    def fumble(self, worker: str) -> None:
        """Claim and fail at once, to be tried again."""
        for task in self.do(self.ledger.claim(worker)) or []:
            self.do(self.ledger.fail(num(task), worker, task.epoch, retryable=True))

    @rule(n=tasks, worker=workers, named=epochs)
    def release(self, n: int, worker: str, named: int | str) -> None:
        """Give back."""
        self.do(self.ledger.release(n, worker, self.epoch(n, named)))

    @rule(n=tasks, worker=workers, named=epochs, lease_ms=st.sampled_from((500, 8000)))
    def renew(self, n: int, worker: str, named: int | str, lease_ms: int) -> None:
        """Keep for longer."""
        self.do(self.ledger.renew(n, worker, self.epoch(n, named), lease_ms))

    @rule(n=tasks, denied=st.booleans())
    def unassign(self, n: int, *, denied: bool) -> None:
        """Take away."""
        self.do(self.ledger.unassign(n, denied=denied))

    @rule(n=tasks)
    def delete(self, n: int) -> None:
        """Delete; only what nobody holds goes."""
        if n not in self.completed:
            self.do(self.ledger.delete(n))

    @rule(ms=st.sampled_from((1, 100, 700, 1500, 4000, 6000, 31_000)), living=st.sets(workers))
    def live(self, ms: int, living: set[str]) -> None:
        """Let time pass, in which some beat and others are silent; none that beats is declared dead."""
        before = len(self.buried())
        self.do(self.ledger.advance(ms, sorted(living)))
        assert not living.intersection(self.buried()[before:])

    @rule(ms=st.sampled_from((-10 * MINUTE, -5, 3000, 10 * MINUTE)))
    def step(self, ms: int) -> None:
        """Let the clock jump."""
        self.ledger.now_ms += ms

    @invariant()
    def holds(self) -> None:
        """Check every index, the epochs and what was acknowledged."""
        found = self.runner.run(self.ledger.check())
        for n, row in found.tasks.items():
            owner, epoch = self.epochs.get(n, ("", 0))
            assert row.epoch > epoch or (row.epoch == epoch and row.owner == owner), f"t-{n} changed hands at {epoch}"
            self.epochs[n] = (row.owner, row.epoch)
        for n, owned in self.completed.items():
            assert (found.tasks[n].status, found.tasks[n].owner, found.tasks[n].epoch) == ("completed", *owned)

    def teardown(self) -> None:
        """Let the connection go."""
        self.runner.run(self.connection.close())
        self.runner.close()


def test_any_sequence_keeps_the_ledger_whole(store_socket: str) -> None:
    """No sequence of commands, deaths and clock steps breaks an index, an epoch or an acknowledged completion."""

    class Machine(LedgerMachine):
        socket = store_socket

    bounds = settings(
        max_examples=30,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Machine, settings=bounds)


def test_refusals_are_errors_of_the_tree() -> None:
    """Whatever the machine takes for a refusal is an error of ours, so that a failure of the store is not one."""
    assert all(issubclass(refusal, ClaudeBenchError) for refusal in REFUSALS)
