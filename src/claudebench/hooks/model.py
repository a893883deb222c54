"""The words of this room: a call that wants to run, and what was decided about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudebench.hooks.rules import RuleSet  # noqa: TC004 - a circle; nobody decodes a call

Action = Literal["allow", "deny", "ask", "rewrite", "warn"]
Verdict = Literal["allow", "deny", "ask", "rewrite"]
Severity = Literal["critical", "high", "medium", "low"]
FailMode = Literal["deny", "allow", "ask"]

SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")
STRICTNESS: dict[Action, int] = {"deny": 4, "ask": 3, "rewrite": 2, "warn": 1, "allow": 0}


class ToolCall(msgspec.Struct, frozen=True):
    """One use of a tool, before it runs. `params` is a JSON value as the agent sent it.

    `rules` are those in force when it came in (else the decider's own), `root` is the root of its repository.
    """

    tool: str
    params: object
    cwd: str | None = None
    home: str | None = None
    agent: str | None = None
    session_id: str | None = None
    instance_id: str | None = None
    root: str | None = None
    rules: RuleSet | None = None

    @property
    def texts(self) -> list[str]:
        """The texts in the parameters, keys apart; a door has bounded their size and depth."""
        return list(_texts(self.params))

    def with_params(self, params: object) -> ToolCall:
        """Return the same call with other parameters: what a rewrite makes of it."""
        return msgspec.structs.replace(self, params=params)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


class Decision(msgspec.Struct, frozen=True):
    """What was decided, by which rule, and what the agent is told. `modified` is the whole rewritten `params`.

    `fail_mode` is what an allowed call comes to when its decision cannot be recorded, where a rule says so.
    """

    decision: Verdict
    reason: str | None = None
    rule_id: str | None = None
    modified: object | None = None
    warnings: tuple[str, ...] = ()
    severity: Severity | None = None
    fail_mode: FailMode | None = None

    @property
    def allow(self) -> bool:
        """Whether the tool may run now, perhaps with modified parameters."""
        return self.decision in ("allow", "rewrite")


ALLOW = Decision("allow")
