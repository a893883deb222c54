"""The ledger under any sequence of commands, deaths and clock steps that Hypothesis thinks of."""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.scripts.ledger import MINUTE, Ledger, num

from claudebench.app import SCRIPTS
from claudebench.errors import ClaudeBenchError, Conflict, LimitReached, NotFound, Stale
from claudebench.store.connection import Address, Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

WORKERS = ("ann", "bob", "cy")
ROLES = {"ann": (), "bob": ("gpu",), "cy": ("gpu", "py")}
REOPENING = ("again", "open")
REFUSALS = (Conflict, LimitReached, NotFound, Stale)
WORDS: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    "complete": lambda ledger, n, worker, epoch: ledger.complete(n, worker, epoch, result=True),
    "fail": lambda ledger, n, worker, epoch: ledger.fail(n, worker, epoch),
    "retry": lambda ledger, n, worker, epoch: ledger.fail(n, worker, epoch, retryable=True),
    "release": lambda ledger, n, worker, epoch: ledger.release(n, worker, epoch),
    "renew": lambda ledger, n, worker, epoch: ledger.renew(n, worker, epoch, 8000),
    "unassign": lambda ledger, n, _worker, _epoch: ledger.unassign(n),
    "deny": lambda ledger, n, _worker, _epoch: ledger.unassign(n, denied=True),
    "begin": lambda ledger, n, worker, epoch: ledger.update(n, worker=worker, epoch=epoch, status="in_progress"),
    "end": lambda ledger, n, worker, epoch: ledger.update(n, worker=worker, epoch=epoch, status="completed", text="x"),
    "drop": lambda ledger, n, worker, epoch: ledger.update(n, worker=worker, epoch=epoch, status="failed", priority=7),
    "patch": lambda ledger, n, _worker, _epoch: ledger.update(n, priority=n * 7, metadata={"n": n}),
    "again": lambda ledger, n, _worker, _epoch: ledger.retry(n),
    "open": lambda ledger, n, _worker, _epoch: ledger.update(n, status="pending", operator=True),
}
_numbers = itertools.count(1)

# One rule draws every kind of step, with these weights: Hypothesis would else leave most rules out of most runs.
KINDS = (
    ("claim",) * 4 + ("say",) * 6 + ("create", "create", "assign", "live", "live", "boot", "step", "leave", "delete")
)
kinds = st.sampled_from(KINDS)
workers = st.sampled_from(WORKERS)
tasks = st.integers(1, 8)
callers = st.sampled_from(("owner", "owner", "owner", "owner", "", *WORKERS))
epochs = st.sampled_from(("now", "now", "now", "now", "", 0, 1, 2, 3))
words = st.sampled_from(tuple(WORDS))
choices = st.integers(0, 5)


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
        self.owners: dict[int, tuple[str, int]] = {}
        self.boots = itertools.count(1)

    @initialize()
    def begin(self) -> None:
        """Register everyone and add some tasks."""
        self.runner.run(self.connection.open())
        self.runner.run(self.ledger.begin())
        for worker in WORKERS:
            self.boot(worker, 1)
        for choice in range(4):
            self.create(choice)

    @rule(kind=kinds, worker=workers, n=tasks, caller=callers, named=epochs, word=words, choice=choices)
    def any_step(
        self, *, kind: str, worker: str, n: int, caller: str, named: int | str, word: str, choice: int
    ) -> None:
        """Do one of the things that can happen."""
        match kind:
            case "claim":
                self.claim(worker, choice)
            case "say":
                self.say(n, caller, named, word)
            case "create":
                self.create(choice)
            case "assign":
                self.do(self.ledger.assign(n, worker))
            case "live":
                self.live(choice, [each for each in WORKERS if each != worker or choice % 2])
            case "boot":
                self.boot(worker, choice)
            case "step":
                self.ledger.now_ms += (-10 * MINUTE, -5, 3000, 10 * MINUTE, 700, 100)[choice]
            case "leave":
                self.do(self.ledger.unregister(worker))
            case _ if n not in self.completed:
                self.do(self.ledger.delete(n))

    @invariant()
    def holds(self) -> None:
        """Check every index, the epochs and what was acknowledged."""
        found = self.runner.run(self.ledger.check())
        for n, row in found.tasks.items():
            owner, epoch = self.owners.get(n, ("", 0))
            assert row.epoch > epoch or (row.epoch == epoch and row.owner == owner), f"t-{n} changed hands at {epoch}"
            self.owners[n] = (row.owner, row.epoch)
        for n, owned in self.completed.items():
            assert (found.tasks[n].status, found.tasks[n].owner, found.tasks[n].epoch) == ("completed", *owned)

    def do(self, word: Coroutine[Any, Any, Any]) -> Any:
        """Run one command; a refusal is an answer too, None."""
        try:
            return self.runner.run(word)
        except REFUSALS as refusal:
            outcome = refusal.outcome
        assert outcome == "not_done"
        return None

    def boot(self, worker: str, choice: int) -> None:
        """Register, as another boot or as the same; another boot holds nothing."""
        boot = str(next(self.boots)) if choice % 2 else ""
        patience_ms = 1000 if worker == "ann" else 5000
        self.do(
            self.ledger.register(worker, roles=ROLES[worker], capacity=3, dead_after_ms=patience_ms, boot=boot),
        )
        if boot:
            assert self.do(self.ledger.beat(worker)).held == []

    def create(self, choice: int) -> None:
        """Add a task."""
        requires = ((), (), ("gpu",), ("gpu", "py"), (), ("py",))[choice]
        depends_on = ((), (), (1,), (), (2, 3), (5,))[choice]
        priority = (50, 100, 0)[choice % 3]
        self.do(self.ledger.create(priority=priority, requires=requires, max_attempts=3, depends_on=depends_on))

    def claim(self, worker: str, choice: int) -> None:
        """Claim; what is handed out fits its worker and was not completed."""
        claims_max, lease_ms = ((1, None), (1, 500), (2, None), (3, 8000), (1, None), (1, 2000))[choice]
        for task in self.do(self.ledger.claim(worker, claims_max, lease_ms)) or []:
            assert task.assigned_to == worker
            assert set(task.requires) <= set(ROLES[worker])
            assert num(task) not in self.completed

    def say(self, n: int, caller: str, named: int | str, word: str) -> None:
        """Say a word about a task; a completion that is acknowledged once is remembered for ever."""
        owner, epoch = self.owners.get(n, ("", 0))
        worker, fence = owner if caller == "owner" else caller, epoch if named == "now" else named
        answer = self.do(WORDS[word](self.ledger, n, worker, fence))
        if word in REOPENING and answer is not None:
            self.completed.pop(n, None)
        if word == "end" and answer is not None and answer.epoch == epoch:
            self.completed.setdefault(n, (owner, epoch))
        if word == "complete" and answer is not None:
            assert worker in {"", owner} or not owner
            assert fence in {"", epoch}
            self.completed.setdefault(n, (owner, epoch))

    def live(self, choice: int, living: list[str]) -> None:
        """Let time pass, in which some beat and others are silent; none that beats is declared dead."""
        before = len(self.buried())
        self.do(self.ledger.advance((1, 100, 700, 1500, 7000, 31_000)[choice], living))
        assert not set(living).intersection(self.buried()[before:])

    def buried(self) -> list[str]:
        """Return who was ever declared dead."""
        return list(self.runner.run(self.ledger.read()).subjects("instance.offline"))

    def teardown(self) -> None:
        """Let the connection go."""
        self.runner.run(self.connection.close())
        self.runner.close()


def test_any_sequence_keeps_the_ledger_whole(store_socket: str) -> None:
    """No sequence of commands, deaths and clock steps breaks an index, an epoch or an acknowledged completion."""

    class Machine(LedgerMachine):
        socket = store_socket

    bounds = settings(
        max_examples=40,
        stateful_step_count=40,
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


@pytest.mark.soak
def test_any_long_sequence_keeps_the_ledger_whole(store_socket: str) -> None:
    """The same over a thousand long sequences that differ each time."""

    class Machine(LedgerMachine):
        socket = store_socket

    bounds = settings(
        max_examples=int(os.environ.get("SOAK_RUNS", "1000")),
        stateful_step_count=200,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Machine, settings=bounds)
