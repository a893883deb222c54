"""What the server tells about itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from claudebench.events.model import Event, Position
from claudebench.events.patterns import LENGTH_MAX, PATTERN
from claudebench.patterns.label import Pattern
from claudebench.rpc.envelope import NoInstanceId

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

    after: Position = ""
    types: Annotated[list[Annotated[str, Meta(max_length=LENGTH_MAX, pattern=PATTERN)]], Meta(max_length=50)] = []
    subject: Annotated[str, Meta(max_length=256, description="Only those about it")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Events(msgspec.Struct, rename="camel"):
    """A page of the log; `nextAfter` asks for the next.

    `trimmed` is there when events behind `after` are gone, up to the one that it names. `lost` is there when the log
    has no event at `after`, though it was never cut so far: the store lost it, and what is left before it ends there.
    """

    events: list[Event]
    has_more: bool
    next_after: str
    trimmed: str | UnsetType = UNSET
    lost: str | UnsetType = UNSET


class Emit(Ask, kw_only=True):
    """event.emit. Events of one partition key, or without one of one subject, keep their order for their readers."""

    type: Annotated[
        str,
        Meta(
            max_length=LENGTH_MAX,
            pattern=r"^x(\.[a-z0-9_]+)+$(?!\n)",
            description="a type of your own, x.<names>, such as x.build.done",
        ),
    ]
    subject: Annotated[str, Meta(min_length=1, max_length=256, description="What it is about")] = "-"
    payload: Annotated[dict[str, Any], Meta(description="What it carries, at most 64 KiB")] = {}
    partition_key: Annotated[str, Meta(max_length=256, description="What it is in order with")] = ""
    instance_id: NoInstanceId | None = None


class Emitted(msgspec.Struct):
    """An event that is in the log."""

    id: str


class EventLag(Ask):
    """event.lag; without a group all of them."""

    group: Annotated[str, Meta(max_length=64, description="A group, such as notify")] = ""


GroupName = Annotated[str, Meta(max_length=64, pattern=r"^[a-z0-9._-]*$(?!\n)", description="A group, such as notify")]
LetterPlace = Annotated[
    str,
    Meta(
        max_length=120,
        pattern=r"^([a-z0-9._-]{1,64} [0-9]{1,16} [0-9]{1,16}-[0-9]{1,16})?$(?!\n)",
        description="what a page said comes next",
    ),
]


class DeadList(Ask):
    """event.dead.list; `after` is what a former page called `nextAfter`."""

    group: GroupName = ""
    after: LetterPlace = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class DeadEvent(msgspec.Struct, rename="camel"):
    """An event that a group gave up on, with the last error and how often it was tried."""

    group: str
    id: str
    died_at: str
    error: str
    tries: int
    event: Event


class DeadEvents(msgspec.Struct, rename="camel"):
    """A page of dead letters, group by group, those first that died first."""

    letters: list[DeadEvent]
    has_more: bool
    next_after: str


class DeadMove(Ask):
    """event.dead.retry and event.dead.drop: one event of a group, or all that are dead now."""

    group: Annotated[
        str, Meta(max_length=64, pattern=r"^[a-z0-9._-]+$(?!\n)", description="The group that gave up, such as notify")
    ]
    id: Annotated[Position, Meta(description="The event")] = ""
    all: Annotated[bool, Meta(description="All that are dead letters of the group now.")] = False


class DeadMoved(msgspec.Struct):
    """How many dead letters were retried or dropped."""

    count: int


class OneGroup(Ask):
    """event.group.drop and event.group.acknowledge."""

    group: Annotated[
        str, Meta(max_length=64, pattern=r"^[a-z0-9._-]+$(?!\n)", description="The group of readers, such as notify")
    ]


class GroupDropped(msgspec.Struct):
    """A group that is gone, and how many dead letters and waiting retries went with it."""

    group: str
    partitions: int
    dead: int
    retrying: int


class GapsAcknowledged(msgspec.Struct):
    """How many gaps of a group were ended."""

    group: str
    gaps: int


Seam = Annotated[str, Meta(max_length=40, pattern=r"^[a-z-]+$(?!\n)", description="The seam, such as events")]
MaybeSeam = Annotated[str, Meta(max_length=40, pattern=r"^[a-z-]*$(?!\n)", description="A seam, such as events")]
Strategy = Annotated[Pattern, Meta(description="The strategy; A, B and C are understood")]


class PatternShow(Ask):
    """pattern.show; without a seam all of them."""

    seam: MaybeSeam = ""


class SeamMember(msgspec.Struct, rename="camel"):
    """A server process at a seam, and what it does at which epoch; without a word of it, it counts `until` then."""

    process: str
    state: str
    epoch: int
    until: str
    error: str | UnsetType = UNSET


class SeamView(msgspec.Struct, rename="camel"):
    """A seam: the strategy in force, and how far a switch is; `since` is when it came so far, absent before the first.

    `reason` is why the last switch was rolled back. `leader` leads a switch now.
    """

    seam: str
    strategy: str
    epoch: int
    phase: str
    members: list[SeamMember]
    target: str | UnsetType = UNSET
    former: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    since: str | UnsetType = UNSET
    leader: str | UnsetType = UNSET


class SeamViews(msgspec.Struct):
    """Every seam that was asked for."""

    seams: list[SeamView]


class PatternSwitch(Ask, kw_only=True):
    """pattern.switch. It is given up after `timeoutMs`, and rolled back."""

    seam: Seam
    to: Strategy
    timeout_ms: Annotated[
        int, Meta(ge=100, le=600_000, description="After how long it is given up and rolled back, in milliseconds")
    ] = 60_000


class Switched(msgspec.Struct, rename="camel"):
    """How a switch ended; `reason` is why it was rolled back."""

    seam: str
    from_: str = msgspec.field(name="from")
    to: str
    outcome: Literal["completed", "rolled_back"]
    took_ms: int
    reason: str | UnsetType = UNSET


class PatternHistory(Ask):
    """pattern.history. `after` is a position, as events and changes name it."""

    seam: MaybeSeam = ""
    after: Position = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class SwitchStep(msgspec.Struct, rename="camel"):
    """A step of a switch, as the log tells it; `epoch` is that from then on, `role` is `operator` or absent."""

    id: str
    time: str
    seam: str
    step: str
    from_: str = msgspec.field(name="from")
    to: str
    epoch: int
    reason: str | UnsetType = UNSET
    actor: str | UnsetType = UNSET
    role: str | UnsetType = UNSET


class SwitchSteps(msgspec.Struct, rename="camel"):
    """A page of steps; `nextAfter` asks for the next, and a page may be short of its limit, or empty, before the last.

    `trimmed` is there when events behind `after` are gone, up to the one that it names.
    """

    steps: list[SwitchStep]
    has_more: bool
    next_after: str
    trimmed: str | UnsetType = UNSET


class Share(msgspec.Struct, omit_defaults=True):
    """How many commands bear a label, and their share; `claimed` is that of the assessment, under the name it had."""

    label: str
    commands: int
    share: float
    letter: str | UnsetType = UNSET
    claimed: float | UnsetType = UNSET
    claimed_as: str | UnsetType = msgspec.field(name="claimedAs", default=UNSET)


class Shares(msgspec.Struct):
    """The labels of the commands of this server."""

    patterns: list[Share]
    consistency: list[Share]


class PartitionLag(msgspec.Struct, rename="camel"):
    """Where a group stands in one partition; `holder` is absent while nobody has it.

    `behind` counts what the log still holds for it, also of other partitions; `behindMs` is the age of the first.
    `gap` is what went from the log before the group had read it.
    """

    partition: int
    position: str
    fence: int
    behind: int
    behind_ms: int
    lease_ms: int
    holder: str | UnsetType = UNSET
    gap: str | UnsetType = UNSET


class GroupLag(msgspec.Struct, rename="camel"):
    """How far a group is; the most of its partitions. `behindExact` is false where `behind` is a lower bound.

    `dead` are its dead letters, `retrying` those to be delivered once more, `dropped` those that were too many.
    """

    group: str
    behind: int
    behind_exact: bool
    behind_ms: int
    partitions: list[PartitionLag]
    dead: int
    retrying: int
    dropped: int


class Lags(msgspec.Struct):
    """How far each group is; `last` is the end of the log, `trimmed` the last that was cut from it, '' for none."""

    groups: list[GroupLag]
    last: str
    trimmed: str


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
