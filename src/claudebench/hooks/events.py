"""What the events of this room carry."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from claudebench.events.model import EventType, Payload
from claudebench.hooks.requests import Todo


class Decided(Payload, kw_only=True):
    """A decision on a tool call, and the call: its `command`, its `paths`, or its `input` as JSON, secrets masked.

    `us` is how long it took to decide, in microseconds.
    """

    tool: str
    decision: Literal["allow", "deny", "ask", "rewrite"]
    rule_id: str | None
    severity: str | None
    reason: str | None
    rules_version: str
    agent: str | None
    cwd: str | None
    session_id: str | None
    tool_use_id: str | None
    us: int
    command: str | UnsetType = UNSET
    paths: list[str] | UnsetType = UNSET
    input: str | UnsetType = UNSET


class Unrecorded(Payload):
    """How many decisions are in no record; of `unknown` ones the store may have written some."""

    count: int
    unknown: int
    first_at: str
    last_at: str
    decisions: dict[str, int]


class ToolUsed(Payload):
    """A tool call that ended; `bytes` is the size of its result."""

    tool: str
    tool_use_id: str | None
    bytes: int


class Prompted(Payload):
    """A prompt, as its hash and length."""

    sha256: str
    characters: int


class TodosWritten(Payload):
    """A todo list."""

    todos: list[Todo]


EVENTS = (
    EventType("hook.decided", "the guard judged a tool call before it ran", Decided),
    EventType(
        "hook.unrecorded",
        "so many decisions are in no record: the store was away until the spool was full",
        Unrecorded,
    ),
    EventType("hook.tool_used", "a tool call ended", ToolUsed),
    EventType("hook.prompted", "a person or a program gave an agent a prompt", Prompted),
    EventType("hook.todos_written", "an agent wrote its todo list", TodosWritten),
)
