"""`claudebench guard test`: a corpus of command lines, each judged and compared with the decision that it must get."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track

from claudebench.cli.rules import in_force
from claudebench.hooks.corpus import read
from claudebench.hooks.guard import Guard
from claudebench.hooks.masking import masked
from claudebench.hooks.model import ToolCall
from claudebench.hooks.rulebook import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from claudebench.hooks.corpus import Wanted

BAR_ABOVE = 200


def judge(file: Path, cwd: Path, *, json: bool) -> int:
    """Print every line that was decided otherwise than it must be; return the exit code."""
    wanted = read(text_of(file), str(file))
    guard = Guard(in_force(cwd).rules)
    judged = (_judged(guard, each) for each in _counted(wanted, json=json))
    failed = [each for each in judged if each is not None]
    if json:
        print(jsonlib.dumps({"file": str(file), "lines": len(wanted), "failed": failed}))
        return bool(failed)
    for each in failed:
        print(
            f"{each['decision']} ({each['ruleId'] or 'no rule'}), wanted {' or '.join(each['wanted'])}: {each['line']}"
        )
        if each["why"]:
            print(f"    because: {each['why']}")
    print(f"{len(wanted) - len(failed)} of {len(wanted)} lines decided as wanted")
    return bool(failed)


def _counted(wanted: list[Wanted], *, json: bool) -> Iterable[Wanted]:
    """Show a bar while many lines are judged, to a person only."""
    console = Console(stderr=True)
    if json or len(wanted) <= BAR_ABOVE or not console.is_terminal:
        return wanted
    return track(wanted, "judging", console=console, transient=True)


def _judged(guard: Guard, wanted: Wanted) -> dict[str, Any] | None:
    """Return how a line was decided if that is not what was wanted."""
    case = wanted.case
    decision = guard.decide(ToolCall("Bash", {"command": case.line}, cwd=case.cwd))
    if decision.decision in wanted.right:
        return None
    return {
        "line": masked(case.line),
        "why": case.why,
        "wanted": list(wanted.right),
        "decision": decision.decision,
        "ruleId": decision.rule_id,
        "reason": decision.reason,
    }
