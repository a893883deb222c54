"""What can happen to delivery, as Hypothesis draws it; `ago` means what stands so many places before the newest."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Any

from hypothesis import strategies as st

from claudebench.patterns.seam import State

GROUPS = {"readers": 4, "single": 1}
KEYED = ("s0", "s1", "s2", "s3", "s4")
PROCESSES = ("a", "b", "c")
STRATEGIES = ("centralized", "distributed", "hybrid")
HOWS = ("commit", "effect", "die")
STEP_NAMES = ("begin", "switch", "complete", "give_up", "undo")


@dataclass(frozen=True)
class Act:
    """One thing that happens."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Write it as a call."""
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.args.items())})"


_ago = st.sampled_from((1, 1, 1, 2, 2, 3, 4, 5, 8, 13, 21, 34))
_seldom = st.sampled_from((1,) * 8 + (2, 2, 3))
_who, _group, _to = (
    st.sampled_from(PROCESSES),
    st.sampled_from(list(GROUPS)),
    st.sampled_from((*STRATEGIES, "distributed")),
)
_owner, _state = st.sampled_from(("m", "n")), st.sampled_from(list(State))
_mostly = st.sampled_from((True, True, False))
_hows = st.sampled_from(((), *((how,) for how in HOWS), *product(("effect", "die"), HOWS)))
_ms = st.sampled_from((1, 400, 400, 999, 1_000, 1_000, 1_500, 2_500, 100_000, -700, -3_000, -1_000_000))

# How often, beside the others; and with what.
ACTS: dict[str, tuple[int, dict[str, st.SearchStrategy[Any]]]] = {
    "say": (4, {"count": st.integers(1, 3), "key": st.sampled_from(KEYED)}),
    "take": (5, {"who": _who, "group": _group, "ago": _seldom}),
    "join": (4, {"who": _who}),
    "commit": (4, {"ago": _ago, "what": _ago, "who": st.sampled_from(("",) * 9 + PROCESSES)}),
    "commit_all": (2, {"ago": _ago, "what": _ago}),
    "release": (2, {"ago": _ago, "what": st.one_of(st.none(), _ago)}),
    "leave": (1, {"who": _who, "group": _group}),
    "have_effect": (3, {"ago": _ago, "what": _ago}),
    "die": (4, {"ago": _ago, "what": _ago}),
    "decide": (
        4,
        {"group": _group, "what": st.one_of(st.none(), _ago), "drops": st.sampled_from((False,) * 4 + (True,))},
    ),
    "ask_again": (6, {"ago": _ago, "hows": _hows}),
    "settle": (3, {"ago": _ago, "how": st.sampled_from(HOWS)}),
    "look": (3, {"who": _who, "state": _state}),
    "all_look": (3, {"state": st.sampled_from((State.STOPPED, State.RUNNING, State.RUNNING))}),
    "tell_late": (2, {"who": _who, "ago": _ago}),
    "resign": (1, {"who": _who}),
    "lead": (2, {"owner": _owner}),
    "lead_no_more": (1, {"ago": _seldom}),
    "step_on": (4, {"to": _to, "goes_on": _mostly}),
    "step_anyhow": (2, {"name": st.sampled_from(STEP_NAMES), "ago": _seldom, "read": _ago, "to": _to}),
    "switch": (3, {"steps": st.integers(1, 3), "to": _to, "goes_on": _mostly}),
    "pass_time": (4, {"ms": _ms}),
}
_kinds = st.sampled_from([name for name, (weight, _) in ACTS.items() for _ in range(weight)])


@st.composite
def acts(draw: Any) -> Act:
    """Draw one act; Hypothesis chooses among kinds by their weights."""
    name = draw(_kinds)
    return Act(name, {what: draw(how) for what, how in ACTS[name][1].items()})
