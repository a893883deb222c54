"""Commands of the hooks: what an agent is about to do, did, was asked, or plans."""

from __future__ import annotations

import asyncio
import hashlib
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from claudebench.events.log import EventLog
from claudebench.events.spool import Spool
from claudebench.hooks import requests
from claudebench.hooks.chain import Chain
from claudebench.hooks.masking import masked
from claudebench.hooks.model import Decision, ToolCall
from claudebench.hooks.normalised import recorded as recorded_call
from claudebench.hooks.rulebook import Rulebook
from claudebench.hooks.tools import kind_of
from claudebench.patterns.label import Consistency, Pattern
from claudebench.rpc.bounds import bound
from claudebench.rpc.command import DEFAULT_DOORS, handler
from claudebench.rpc.context import Context

if TYPE_CHECKING:
    from claudebench.hooks.model import FailMode
    from claudebench.hooks.rulebook import Ground
    from claudebench.store.origin import Origin

A, C = Pattern.CENTRALIZED, Pattern.HYBRID
ORDERED = Consistency.ORDERED
DOORS = DEFAULT_DOORS | {"hooks"}
RECORD_WITHIN_S = 0.02
TODOS_MAX = 262_144
UNRECORDED = (
    "the store has been away so long that no more decisions can be kept for the record, so this call is held back. "
    "Wait until the server is well again (claudebench up; GET /health), then repeat it."
)
_encode = msgspec.json.Encoder().encode


@handler("hook.pre_tool", pattern=A, consistency=ORDERED, changes=False, doors=DOORS)
async def pre_tool(
    request: requests.PreTool, context: Context, chain: Chain, rulebook: Rulebook, spool: Spool
) -> requests.Decided:
    """Judge a tool call before it runs: allow, deny, ask, or rewrite it."""
    started = perf_counter_ns()
    call = _call(request, await rulebook.at(request.cwd))
    decision = _recordable(await chain.decide(call), call, spool)
    payload = _encode(_decided(request, call, decision, (perf_counter_ns() - started) // 1000))
    taken = spool.send(_origin(context, request), "hook.decided", _subject(request), payload, decision.decision)
    recorded = await _within(taken, RECORD_WITHIN_S) if decision.allow else False
    return _answer(decision, call, recorded=recorded)


@handler("hook.post_tool", pattern=A, consistency=ORDERED, doors=DOORS)
async def post_tool(request: requests.PostTool, context: Context, log: EventLog) -> requests.Processed:
    """Note that a tool call ended."""
    payload = {"tool": request.tool, "toolUseId": request.tool_use_id, "bytes": len(bytes(request.result))}
    await _append(log, context, request, "hook.tool_used", payload)
    return requests.Processed(processed=True)


@handler("hook.user_prompt", pattern=A, consistency=ORDERED, doors=DOORS)
async def user_prompt(request: requests.UserPrompt, context: Context, log: EventLog) -> requests.Prompted:
    """Note that an agent was given a prompt; its text is kept as a hash only."""
    digest = hashlib.sha256(request.prompt.encode()).hexdigest()
    await _append(log, context, request, "hook.prompted", {"sha256": digest, "characters": len(request.prompt)})
    return requests.Prompted()


@handler("hook.todo_write", pattern=C, consistency=ORDERED, doors=DOORS)
async def todo_write(request: requests.TodoWrite, context: Context, log: EventLog) -> requests.Processed:
    """Note an agent's todo list."""
    bound("todos", _encode(request.todos), TODOS_MAX)
    await _append(log, context, request, "hook.todos_written", {"todos": request.todos})
    return requests.Processed(processed=True)


COMMANDS = (pre_tool, post_tool, user_prompt, todo_write)


def _call(request: requests.PreTool, ground: Ground) -> ToolCall:
    return ToolCall(
        tool=request.tool,
        params=request.params,
        cwd=request.cwd,
        agent=request.agent,
        session_id=request.session_id,
        instance_id=request.instance_id,
        root=ground.root,
        rules=ground.rules,
    )


def _recordable(decision: Decision, call: ToolCall, spool: Spool) -> Decision:
    """Return the decision, or what its fail mode makes of an allowed call that cannot be put on record."""
    if not decision.allow or not spool.is_full:
        return decision
    usual: FailMode = "allow" if kind_of(call.tool, call.params) == "other" else "deny"
    mode = decision.fail_mode or usual
    return decision if mode == "allow" else Decision(mode, UNRECORDED, "unrecorded", severity="high")


def _origin(context: Context, request: requests.HookRequest) -> Origin:
    return context.origin(request.instance_id or "")


def _subject(request: requests.HookRequest) -> str:
    return request.session_id or request.instance_id or "-"


def _decided(request: requests.PreTool, call: ToolCall, decision: Decision, us: int) -> dict[str, Any]:
    return {
        "tool": request.tool,
        "decision": decision.decision,
        "ruleId": decision.rule_id,
        "severity": decision.severity,
        "reason": decision.reason and masked(decision.reason),  # a link of the chain may quote what it likes
        "rulesVersion": _version(call),
        "agent": request.agent,
        "cwd": request.cwd,
        "sessionId": request.session_id,
        "toolUseId": request.tool_use_id,
        "us": us,
        **recorded_call(call),
    }


def _version(call: ToolCall) -> str:
    return call.rules.version if call.rules else ""


async def _within(taken: asyncio.Future[bool], seconds: float) -> bool:
    """Wait for an acknowledgement, and never for long: what comes later is on record all the same."""
    giving_up = asyncio.get_running_loop().call_later(seconds, _give_up, taken)
    try:
        return await taken
    finally:
        giving_up.cancel()


def _give_up(taken: asyncio.Future[bool]) -> None:
    if not taken.done():
        taken.set_result(False)


def _answer(decision: Decision, call: ToolCall, *, recorded: bool) -> requests.Decided:
    return requests.Decided(
        allow=decision.allow,
        decision=decision.decision,
        recorded=recorded,
        rules_version=_version(call),
        warnings=list(decision.warnings),
        reason=UNSET if decision.reason is None else decision.reason,
        rule_id=UNSET if decision.rule_id is None else decision.rule_id,
        modified=UNSET if decision.modified is None else decision.modified,
    )


async def _append(
    log: EventLog, context: Context, request: requests.HookRequest, type_: str, payload: dict[str, Any]
) -> None:
    (position,) = await log.append(_origin(context, request), type_, _subject(request), _encode(payload))
    context.position = position.decode()
