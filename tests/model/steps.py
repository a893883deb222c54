"""What can happen to a ledger, as Hypothesis draws it: commands by several workers, and time that passes or jumps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.plain_ledger import PlainLedger, Task

Draw = Any
WORKERS = ("ann", "bob", "cy")
KEYS = ("k1", "k2", "k3")
ROLES = {"ann": (), "bob": ("gpu",), "cy": ("gpu", "py")}
PATIENCE_MS = {"ann": 1_000, "bob": 5_000, "cy": 60_000}
TASKS_MAX = 8
OWNER, NOW = "<owner>", -1
MEANT: dict[str, Callable[[Task], bool]] = {
    "<first held>": lambda task: task.is_held,
    "<last held>": lambda task: task.is_held,
    "<first ready>": lambda task: task.is_ready,
    "<last finished>": lambda task: task.finished_ms > 0,
}
MINUTE, HOUR = 60_000, 3_600_000


@dataclass(frozen=True)
class Step:
    """One thing that happens; `actor` names itself with it, `key` makes it safe to repeat."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)
    actor: str = ""
    key: str = ""

    def __repr__(self) -> str:
        """Write it as a call."""
        given = self.args | {name: said for name in ("actor", "key") if (said := getattr(self, name))}
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def meant(self, ledger: PlainLedger) -> Step:
        """Return the step with the task, the owner and the epoch that it means now, where it does not say."""
        args = dict(self.args)
        if args.get("n") in MEANT:
            fitting = [n for n, task in ledger.tasks.items() if MEANT[args["n"]](task)]
            args["n"] = (fitting or [1])[-1 if "last" in args["n"] else 0]
        task = ledger.tasks.get(args.get("n", 0))
        if args.get("worker") == OWNER:
            args["worker"] = task.owner if task else ""
        if args.get("epoch") == NOW:
            args["epoch"] = task.epoch if task else 0
        return replace(self, args=args, actor=args.get("worker", self.actor))


_ATTEMPTS, _TEXTS, _PRIORITIES = (1, 2, 3), ("a", "ab", "b"), (0, 50, 50, 100)
_REQUIRES = ((), (), (), ("gpu",), ("gpu", "py"), ("py",))
_ORDERS = tuple(
    {"orderBy": by, "order": way} for by in ("createdAt", "updatedAt", "priority") for way in ("asc", "desc")
)
_FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"status": "pending"},
    {"assignedTo": "bob"},
    {"priority": 50},
    {"priorityMin": 50},
)
_SET: tuple[dict[str, Any], ...] = (
    {}, {}, {"priority": 0}, {"priority": 100, "text": "ab"}, {"text": "b"},
    {"metadata": {"x": []}}, {"metadata": {"y": 1}},
)  # fmt: skip
_MOVES = ("in_progress", "in_progress", "completed", "failed", "pending", None)
_RESULTS: tuple[dict[str, Any], ...] = ({}, {"result": {"ok": []}}, {"result": 0})

# Each draw costs, so what belongs together is drawn together.
_numbers = tuple(range(1, TASKS_MAX + 1))
_first, _last, _ready, _finished = MEANT
_workers, _either = st.sampled_from(WORKERS), st.booleans()
_held = st.sampled_from((*_numbers, *(_first, _last) * 6))
_free = st.sampled_from((*_numbers, *(_ready,) * 8))
_ended = st.sampled_from((*_numbers, *(_finished,) * 8))
_any = st.sampled_from((*_numbers, *(_first, _ready, _finished) * 3))
_fences = st.sampled_from(
    ((OWNER, NOW),) * 6 + ((OWNER, None), ("", None), ("", NOW), (OWNER, 0), ("", 1), (OWNER, 1), (OWNER, 2))
    + tuple((worker, epoch) for worker in WORKERS for epoch in (NOW, None))
)  # fmt: skip
_new = st.sampled_from(list(product(_TEXTS, _PRIORITIES, _REQUIRES, _ATTEMPTS)))
_depends_on = st.sampled_from(((), (), (1,), (2,), (3,), (4,), (1, 2), (2, 5), (3, 6), (5, 7)))
_claims = st.sampled_from(list(product((1, 1, 2, 4), (None, None, None, 500, 2_000, 60_000))))
_updates = st.sampled_from([{"status": move} | values for move, values in product(_MOVES, _SET)])
_registrations = st.sampled_from(list(product(WORKERS, (1, 2, 3), ("1", "1", "2"))))
_questions = st.sampled_from(
    [each | more | {"limit": most} for each, more, most in product(_ORDERS, _FILTERS, (2, 100))]
)
_times = st.sampled_from((1, 50, 500, 700, 1_500, 7_000))
_jumps = st.sampled_from((-10 * MINUTE, -5, 3_000, 31_000, 16 * MINUTE, 25 * HOUR))
_living = st.sampled_from(tuple(some for size in range(4) for some in combinations(WORKERS, size)))


def _holder(draw: Draw, tasks: st.SearchStrategy[object] = _held) -> dict[str, Any]:
    worker, epoch = draw(_fences)
    return {"n": draw(tasks), "worker": worker, "epoch": epoch}


def _create(draw: Draw, key: str) -> Step:
    text, priority, requires, attempts = draw(_new)
    args = {"text": text, "priority": priority, "requires": requires, "attempts": attempts}
    return Step("create", {**args, "depends_on": draw(_depends_on)}, key=key)


def _claim(draw: Draw, key: str) -> Step:
    worker, (claims_max, lease) = draw(_workers), draw(_claims)
    return Step("claim", {"worker": worker, "claims_max": claims_max, "lease": lease}, worker, key)


def _register(draw: Draw, key: str) -> Step:
    worker, capacity, boot = draw(_registrations)
    about = {"roles": ROLES[worker], "capacity": capacity, "dead_after_ms": PATIENCE_MS[worker], "boot": boot}
    return Step("register", {"instance": worker, **about}, worker, key)


def _assign(draw: Draw, key: str) -> Step:
    instance = draw(_workers)
    return Step("assign", {"n": draw(_free), "instance": instance}, draw(st.sampled_from(("", "", instance))), key)


STEPS: dict[str, tuple[int, Callable[[Draw, str], Step]]] = {
    "create": (3, _create),
    "claim": (5, _claim),
    "complete": (3, lambda draw, key: Step("complete", _holder(draw) | draw(st.sampled_from(_RESULTS)), key=key)),
    "fail": (3, lambda draw, key: Step("fail", _holder(draw) | {"retryable": draw(_either)}, key=key)),
    "release": (1, lambda draw, key: Step("release", _holder(draw), key=key)),
    "renew": (1, lambda draw, _: Step("renew", _holder(draw) | {"lease": draw(st.sampled_from((500, 8_000)))})),
    "assign": (2, _assign),
    "unassign": (1, lambda draw, key: Step("unassign", {"n": draw(_held), "denied": draw(_either)}, key=key)),
    "update": (
        4,
        lambda draw, key: Step("update", _holder(draw, _any) | {"operator": draw(_either)} | draw(_updates), key=key),
    ),
    "retry": (1, lambda draw, key: Step("retry", {"n": draw(_ended), "operator": draw(_either)}, key=key)),
    "delete": (1, lambda draw, key: Step("delete", {"n": draw(_any)}, key=key)),
    "register": (2, _register),
    "unregister": (1, lambda draw, key: Step("unregister", {"instance": draw(_workers)}, key=key)),
    "heartbeat": (1, lambda draw, _: Step("heartbeat", {"instance": draw(_workers)})),
    "get": (1, lambda draw, _: Step("get", {"n": draw(_any)})),
    "count": (1, lambda *_: Step("count")),
    "walk": (1, lambda draw, _: Step("walk", {"asked": draw(_questions)})),
    "again": (2, lambda draw, _: Step("again", {"key": draw(st.sampled_from(KEYS))})),
    "pass_time": (4, lambda draw, _: Step("pass_time", {"ms": draw(_times), "living": draw(_living)})),
    "jump": (1, lambda draw, _: Step("jump", {"ms": draw(_jumps)})),
}
_kinds = st.sampled_from([each for each in product(STEPS, ("",) * 10 + KEYS) for _ in range(STEPS[each[0]][0])])


@st.composite
def steps(draw: Draw) -> Step:
    """Draw one step; Hypothesis chooses among kinds by their weights, and some changes bear a key."""
    name, key = draw(_kinds)
    return STEPS[name][1](draw, key)
