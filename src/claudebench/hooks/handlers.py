"""Commands of the hooks: what an agent is about to do, did, was asked, or plans."""

from __future__ import annotations

import asyncio
import hashlib
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from claudebench.errors import ClaudeBenchError, TimedOut
from claudebench.events.log import EventLog
from claudebench.hooks import requests
from claudebench.hooks.chain import Chain
from claudebench.hooks.masking import masked
from claudebench.hooks.model import Decision, ToolCall
from claudebench.patterns.label import Consistency, Pattern
from claudebench.rpc.bounds import bound
from claudebench.rpc.command import handler
from claudebench.rpc.context import Context

if TYPE_CHECKING:
    from claudebench.store.origin import Origin

A, C = Pattern.CENTRALIZED, Pattern.HYBRID
ORDERED = Consistency.ORDERED
DOORS = frozenset({"jsonrpc", "hooks"})
RECORD_WITHIN_S = 0.02
TODOS_MAX = 262_144
_encode = msgspec.json.Encoder().encode


@handler("hook.pre_tool", pattern=A, consistency=ORDERED, changes=False, doors=DOORS)
async def pre_tool(request: requests.PreTool, context: Context, chain: Chain, log: EventLog) -> requests.Decided:
    """Judge a tool call before it runs: allow, deny, ask, or rewrite it."""
    started = perf_counter_ns()
    decision = await chain.decide(_call(request))
    payload = _encode(_decided(request, decision, (perf_counter_ns() - started) // 1000))
    recorded = await _record(log, context, request, payload, wait=decision.allow)
    return _answer(decision, recorded=recorded)


@handler("hook.post_tool", pattern=A, consistency=ORDERED, doors=DOORS)
async def post_tool(request: requests.PostTool, context: Context, log: EventLog) -> requests.Processed:
    """Note that a tool call ended."""
    payload = {"tool": request.tool, "toolUseId": request.tool_use_id, "bytes": len(bytes(request.result))}
    await _append(log, context, request, "hook.tool_used", payload)
    return requests.Processed()


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
    return requests.Processed()


COMMANDS = (pre_tool, post_tool, user_prompt, todo_write)


def _call(request: requests.PreTool) -> ToolCall:
    return ToolCall(
        tool=request.tool,
        params=request.params,
        cwd=request.cwd,
        agent=request.agent,
        session_id=request.session_id,
        instance_id=request.instance_id,
    )


def _origin(context: Context, request: requests.HookRequest) -> Origin:
    return context.origin(request.instance_id or "")


def _subject(request: requests.HookRequest) -> str:
    return request.session_id or request.instance_id or "-"


def _decided(request: requests.PreTool, decision: Decision, us: int) -> dict[str, Any]:
    return {
        "tool": request.tool,
        "decision": decision.decision,
        "ruleId": decision.rule_id,
        "severity": decision.severity,
        "reason": decision.reason and masked(decision.reason),  # a link of the chain may quote what it likes
        "sessionId": request.session_id,
        "toolUseId": request.tool_use_id,
        "us": us,
    }


async def _record(log: EventLog, context: Context, request: requests.PreTool, payload: bytes, *, wait: bool) -> bool:
    """Send the decision to the log; wait for it only where the agent may go on, and never for long."""
    try:
        appended = log.append(_origin(context, request), "hook.decided", _subject(request), payload)
        if not wait:
            appended.add_done_callback(_taken_note)
            return False
        giving_up = asyncio.get_running_loop().call_later(RECORD_WITHIN_S, _give_up, appended)
        try:
            await appended
        finally:
            giving_up.cancel()
    except ClaudeBenchError:
        return False
    return True


def _give_up(appended: asyncio.Future[Any]) -> None:
    if not appended.done():
        appended.set_exception(TimedOut("the event was not acknowledged in time", outcome="unknown"))


def _taken_note(appended: asyncio.Future[Any]) -> None:
    if not appended.cancelled():
        appended.exception()


def _answer(decision: Decision, *, recorded: bool) -> requests.Decided:
    return requests.Decided(
        allow=decision.allow,
        decision=decision.decision,
        recorded=recorded,
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
