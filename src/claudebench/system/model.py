"""What the server tells about itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from claudebench.events.model import Event

HealthStatus = Literal["healthy", "degraded", "unhealthy"]


class Ask(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A question without parameters; what the 2025 bridge sends with any of them is known and not used."""

    session_id: str | None = None
    instance_id: str | None = None
    timestamp: int | float | str | None = None
    metadata: dict[str, Any] = {}


class Health(msgspec.Struct, omit_defaults=True):
    """Whether the server can do its work; `services` names only what this server uses."""

    status: HealthStatus
    services: dict[str, bool]
    durability: str = ""
    version: str = ""


class State(msgspec.Struct, rename="camel"):
    """The newest tasks, instances and events of the workspace."""

    tasks: list[Any]
    instances: list[Any]
    recent_events: list[Any]


class EventList(Ask):
    """event.list. `after` is a position, as events and changes name it; no type given means all."""

    after: Annotated[
        str, Meta(pattern=r"^(\d{1,20}-\d{1,20})?$", description="a position, such as 1700000000000-0, or empty")
    ] = ""
    types: Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=50)] = []
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Events(msgspec.Struct, rename="camel"):
    """A page of the log; `nextAfter` asks for the next."""

    events: list[Event]
    has_more: bool
    next_after: str


class CommandMetrics(msgspec.Struct, rename="camel"):
    """One command since this server started; latencies are upper bounds of their bucket."""

    command: str
    pattern: str
    calls: int
    p50_ms: float
    p99_ms: float
    errors: dict[str, int]


class ScriptMetrics(msgspec.Struct, rename="camel"):
    """One Lua script since this server started, timed at the socket."""

    script: str
    sha: str
    promise: str
    calls: int
    succeeds: str | UnsetType = UNSET
    p50_ms: float | UnsetType = UNSET
    p99_ms: float | UnsetType = UNSET


class SocketMetrics(msgspec.Struct, rename="camel"):
    """What goes out over WebSockets and event streams: how many are open, and what was sent since this server started.

    A `page` was read from the log for somebody whose next event was no longer in the ring.
    """

    web_sockets: int
    streams: int
    deliveries: int
    lagged: int
    gaps: int
    pages: int


class Metrics(msgspec.Struct, rename="camel"):
    """The names of the 2025 contract, then the detail; `memoryUsage` is this process in MB (resident).

    `recordBehindMs` is for how long there has been something to record, as far as this server knows.
    """

    events_processed: int
    tasks_completed: int
    memory_usage: float
    tasks: dict[str, int]
    commands: list[CommandMetrics]
    scripts: list[ScriptMetrics]
    sockets: SocketMetrics
    average_latency: float | UnsetType = UNSET
    record_behind_ms: int | UnsetType = UNSET


class CommandInfo(msgspec.Struct, rename="camel"):
    """One command as it was declared, with the JSON Schema of its input and output."""

    name: str
    summary: str
    pattern: str
    consistency: str
    changes: bool
    operator: bool
    doors: list[str]
    input: dict[str, Any]
    output: dict[str, Any]


class Commands(msgspec.Struct):
    """Every command of this server."""

    commands: list[CommandInfo]
