"""What is asked of this room on the wire, and what it answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from claudebench.rpc.envelope import Name, NoInstanceId

Tool = Annotated[str, Meta(min_length=1, max_length=256)]


class HookRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A hook's call; the session and the folder it came from travel with it."""

    session_id: Name | None = None
    instance_id: NoInstanceId | None = None
    timestamp: int | float | str | None = None
    metadata: dict[str, Any] = {}
    cwd: Annotated[str, Meta(max_length=4096)] | None = None
    agent: Name | None = None
    tool_use_id: Name | None = None


class PreTool(HookRequest):
    """hook.pre_tool."""

    tool: Tool
    params: Any


class PostTool(HookRequest):
    """hook.post_tool."""

    tool: Tool
    result: Raw


class UserPrompt(HookRequest):
    """hook.user_prompt."""

    prompt: Annotated[str, Meta(min_length=1)]
    context: dict[str, Any]


class Todo(msgspec.Struct, rename="camel"):
    """One line of an agent's todo list."""

    content: Annotated[str, Meta(min_length=1)]
    status: Literal["pending", "in_progress", "completed"]
    active_form: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET


class TodoWrite(HookRequest):
    """hook.todo_write."""

    todos: Annotated[list[Todo], Meta(max_length=1000)]


class Decided(msgspec.Struct, rename="camel", kw_only=True):
    """A decision. `recorded` is whether its event was acknowledged before this answer left."""

    allow: bool
    decision: Literal["allow", "deny", "ask", "rewrite"]
    recorded: bool
    rules_version: str
    warnings: list[str]
    reason: str | UnsetType = UNSET
    rule_id: str | UnsetType = UNSET
    modified: Any = UNSET


class Processed(msgspec.Struct):
    """A hook was taken note of."""

    processed: bool


class Prompted(msgspec.Struct):
    """A prompt was taken note of, and is left as it is."""
