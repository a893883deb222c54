"""Claude Code (2.1): hook events in, `hookSpecificOutput` out.

`allow` is answered with an empty object, "no opinion", so that the user's own permission rules still apply: a guard
forbids, it does not permit. A rewrite is `updatedInput` without a permission, for the same reason: the client applies
it and then asks its own rules about the rewritten call (seen with 2.1.330).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claudebench.agents.adapter import HookCall, Json

if TYPE_CHECKING:
    from collections.abc import Callable

_FROM = {"session_id": "sessionId", "cwd": "cwd", "tool_use_id": "toolUseId"}


def _common(event: Json) -> Json:
    known = {ours: event[theirs] for theirs, ours in _FROM.items() if event.get(theirs) is not None}
    return {**known, "agent": "claude-code"}


def _pre_tool(event: Json) -> HookCall:
    return _hook("hook.pre_tool", event, tool=event.get("tool_name"), params=event.get("tool_input"))


def _post_tool(event: Json) -> HookCall:
    tool, given = event.get("tool_name"), event.get("tool_input")
    if tool == "TodoWrite" and isinstance(given, dict):
        return _hook("hook.todo_write", event, todos=given.get("todos"))
    return _hook("hook.post_tool", event, tool=tool, result=event.get("tool_response"))


def _failed_tool(event: Json) -> HookCall:
    return _hook("hook.post_tool", event, tool=event.get("tool_name"), result={"error": event.get("error")})


def _prompt(event: Json) -> HookCall:
    return _hook("hook.user_prompt", event, prompt=event.get("prompt"), context={"source": event.get("source")})


def _hook(command: str, event: Json, **params: Any) -> HookCall:
    return HookCall(command, {**params, **_common(event)})


_READERS: dict[str, Callable[[Json], HookCall]] = {
    "PreToolUse": _pre_tool,
    "PostToolUse": _post_tool,
    "PostToolUseFailure": _failed_tool,
    "UserPromptSubmit": _prompt,
}


def read(event: Json) -> HookCall | None:
    """Turn a native event into a command, or None for an event that we have no opinion on."""
    reader = _READERS.get(event["hook_event_name"])
    return reader(event) if reader else None


def answer(event: Json, result: Json) -> Json:
    """Turn a command's result into the native answer."""
    if event.get("hook_event_name") != "PreToolUse":
        return {}
    decision, warnings = result["decision"], result["warnings"]
    output: Json = {}
    if decision in ("deny", "ask"):
        output = {"permissionDecision": decision, "permissionDecisionReason": result["reason"]}
    elif decision == "rewrite":
        output = {"updatedInput": result["modified"]}
        warnings = [result["reason"], *warnings]
    if warnings:
        output["additionalContext"] = "\n".join(warnings)
    return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **output}} if output else {}


def refusal(reason: str) -> Json:
    """Deny a tool call."""
    output = {"hookEventName": "PreToolUse", "permissionDecision": "deny", "permissionDecisionReason": reason}
    return {"hookSpecificOutput": output}


def guards(event: Any) -> bool:
    """Tell whether the event waits for a decision; what cannot be read is taken for one."""
    name = event.get("hook_event_name") if isinstance(event, dict) else None
    return not isinstance(name, str) or name == "PreToolUse"
