"""What a task is: as it is stored (`Row`, `Doc`), as it is asked for, as it is answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from claudebench.events.model import Position
from claudebench.instances.model import Role
from claudebench.rpc.envelope import InstanceId
from claudebench.telemetry.time import iso

Status = Literal["pending", "in_progress", "completed", "failed"]
TaskId = Annotated[str, Meta(pattern=r"^t-[1-9][0-9]{0,13}$(?!\n)", description="t-<number>", extra={"prefix": "t-"})]
Text = Annotated[str, Meta(min_length=1, max_length=500)]
LeaseMs = Annotated[int, Meta(ge=100, le=86_400_000)]
Epoch = Annotated[int, Meta(ge=0)]
Cursor = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{4}-[1-9][0-9]{0,18}-[1-9][0-9]{0,13}$(?!\n)",
        description="the nextCursor of the page before",
    ),
]
TimeoutMs = Annotated[int, Meta(ge=0, le=60_000)]

RESULT_MAX = METADATA_MAX = 65_536
DEFAULT_PRIORITY, DEFAULT_ATTEMPTS = 50, 3


class Request(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A request that takes no member it does not name."""


class Create(Request):
    """task.create."""

    text: Text
    priority: Annotated[int, Meta(ge=0, le=100)] = DEFAULT_PRIORITY
    requires: Annotated[list[Role], Meta(max_length=8)] = []
    metadata: dict[str, Any] = {}
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = DEFAULT_ATTEMPTS
    depends_on: Annotated[list[TaskId], Meta(max_length=32)] = []


class Updates(Request):
    """What becomes of a task; absent is as it is. Keys of `metadata` are set one by one, never taken away."""

    text: Text | None = None
    status: Status | None = None
    priority: Annotated[int, Meta(ge=0, le=100)] | None = None
    metadata: dict[str, Raw] | None = None


class Update(Request):
    """task.update; `workerId` fences a status, named anew or again, as in task.claim and task.complete.

    An `epoch` that is no longer current fences everything.
    """

    id: TaskId
    updates: Updates
    worker_id: InstanceId | None = None
    epoch: Epoch | None = None


class One(Request):
    """task.delete, task.unassign, task.retry."""

    id: TaskId


class Get(Request):
    """task.get; `archived` asks the record, which also knows what was retired, once it has seen `after`."""

    id: TaskId
    archived: bool = False
    after: Position = ""
    timeout_ms: TimeoutMs = 5000


class List(Request):
    """task.list; the cursor of a page is in the page before it and is refused with another order or other filters.

    `archived` asks the record, which also knows what was retired, once it has seen `after`.
    """

    status: Status | None = None
    assigned_to: InstanceId | None = None
    priority: Annotated[int, Meta(ge=0, le=100)] | None = None
    priority_min: Annotated[int, Meta(ge=0, le=100)] | None = None
    text_prefix: Text | None = None
    order_by: Literal["createdAt", "updatedAt", "priority"] = "createdAt"
    order: Literal["asc", "desc"] = "desc"
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    archived: bool = False
    after: Position = ""
    timeout_ms: TimeoutMs = 5000
    cursor: Cursor | None = None


class Count(Request):
    """task.count."""


class Assign(Request):
    """task.assign."""

    task_id: TaskId
    instance_id: InstanceId


class Claim(Request):
    """task.claim."""

    worker_id: InstanceId
    max_tasks: Annotated[int, Meta(ge=1, le=10)] = 1
    lease_ms: LeaseMs | None = None


class Held(Request):
    """What a holder says of its task; `workerId` and `epoch` fence it."""

    id: TaskId | None = None
    task_id: TaskId | None = None
    worker_id: InstanceId | None = None
    epoch: Epoch | None = None

    def __post_init__(self) -> None:
        """Want exactly one of `id` and its other name `taskId`."""
        if (self.id is None) == (self.task_id is None):
            raise ValueError("Name the task once, as `id` or as `taskId`")

    @property
    def number(self) -> int:
        """The number in the id."""
        return number(self.id or self.task_id or "")

    @property
    def fence(self) -> tuple[str, str]:
        """Worker and epoch as a script takes them, '' where not given."""
        return self.worker_id or "", "" if self.epoch is None else str(self.epoch)


class Release(Held):
    """task.release."""


class Renew(Held):
    """task.renew."""

    lease_ms: LeaseMs = 60_000


class Complete(Held):
    """task.complete: without a result it is completed all the same."""

    result: Raw = msgspec.field(default_factory=Raw)


class Fail(Held):
    """task.fail."""

    error: Any = "failed"
    retryable: bool = False


class Row(msgspec.Struct, array_like=True):
    """The moving fields of a task, as `scripts/lib/task.lua` packs them (msgpack array)."""

    status: Status
    priority: int
    owner: str
    epoch: int
    attempts: int
    max_attempts: int
    sig: str
    lease_ms: int
    ready_ms: int
    created_ms: int
    updated_ms: int
    finished_ms: int
    returned: bool
    dead: bool
    deny: list[str]
    waiting: int = 0
    blocked: int = 0


class Doc(msgspec.Struct, rename="camel", omit_defaults=True):
    """The fields that no transition moves."""

    text: str
    requires: list[str] = []
    depends_on: list[str] = []
    metadata: Raw = Raw(b"{}")
    correlation_id: str = ""
    traceparent: str = ""


class Task(msgspec.Struct, rename="camel", kw_only=True):
    """A task as it is answered. `waitsFor` is how many dependencies are not completed; blocked: some never will be."""

    id: str
    text: str
    status: Status
    priority: int
    epoch: int
    attempts: int
    max_attempts: int
    requires: list[str]
    metadata: Raw
    created_at: str
    updated_at: str
    depends_on: list[str]
    waits_for: int | UnsetType = UNSET
    blocked: bool | UnsetType = UNSET
    assigned_to: str | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    lease_until: str | UnsetType = UNSET
    dead_letter: bool | UnsetType = UNSET
    completed_at: str | UnsetType = UNSET
    correlation_id: str | UnsetType = UNSET
    traceparent: str | UnsetType = UNSET


class Page(msgspec.Struct, rename="camel"):
    """A page of tasks; `totalCount` counts all that are asked for, or as many at least where it is not exact."""

    tasks: list[Task]
    total_count: int
    total_count_exact: bool
    has_more: bool
    next_cursor: str | UnsetType = UNSET


class Claimed(msgspec.Struct, rename="camel"):
    """What a claim came to; `taskId` and `task` repeat the first of `tasks`."""

    claimed: bool
    tasks: list[Task]
    task_id: str | UnsetType = UNSET
    task: Task | UnsetType = UNSET


class Assigned(msgspec.Struct, rename="camel"):
    """A reservation."""

    task_id: str
    instance_id: str
    assigned_at: str
    epoch: int


class Finished(msgspec.Struct, rename="camel"):
    """How a task stands after its holder's last word; a retried one is pending and has no `completedAt`."""

    id: str
    status: Status
    completed_at: str | UnsetType = UNSET


class Deleted(msgspec.Struct):
    """A task that is gone."""

    id: str
    deleted: bool


class Counts(msgspec.Struct, rename="camel"):
    """How many tasks there are of each status."""

    pending: int
    in_progress: int
    completed: int
    failed: int
    dead_letters: int


def number(task_id: str) -> int:
    """Return the number of an id, `t-7` -> 7."""
    return int(task_id[2:])


_decode_row = msgspec.msgpack.Decoder(Row).decode
_decode_doc = msgspec.json.Decoder(Doc).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_raws = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_changed = msgspec.msgpack.Decoder(dict[str, str]).decode
_encode = msgspec.json.Encoder().encode


class Stored(NamedTuple):
    """The fields of a task's hash: `text` and `metadata` hold what was changed since it was created."""

    doc: bytes
    row: bytes
    result: bytes | None = None
    error: bytes | None = None
    text: bytes | None = None
    metadata: bytes | None = None


def read_task(n: int, stored: Stored) -> Task:
    """Join what the store keeps of a task into the answer."""
    fixed, moving = _decode_doc(stored.doc), _decode_row(stored.row)
    task = Task(
        id=f"t-{n}",
        text=_decode_text(stored.text) if stored.text else fixed.text,
        status=moving.status,
        priority=moving.priority,
        epoch=moving.epoch,
        attempts=moving.attempts,
        max_attempts=moving.max_attempts,
        requires=fixed.requires,
        depends_on=fixed.depends_on,
        metadata=_merged(fixed.metadata, stored.metadata) if stored.metadata else fixed.metadata,
        created_at=iso(moving.created_ms),
        updated_at=iso(moving.updated_ms),
    )
    add_optional(task, fixed, moving)
    if stored.result:
        task.result = Raw(stored.result)
    if stored.error:
        task.error = Raw(stored.error)
    return task


def _merged(metadata: Raw, changed: bytes) -> Raw:
    return Raw(
        _encode(_decode_raws(metadata) | {key: Raw(value.encode()) for key, value in _decode_changed(changed).items()})
    )


class Standing(NamedTuple):
    """What of a task's moving fields is answered only when it says something."""

    owner: str
    waiting: int
    blocked: int
    lease_ms: int
    finished_ms: int
    dead: bool


def add_optional(task: Task, fixed: Doc, moving: Row | Standing) -> None:
    """Give a task the fields that say something of it."""
    if moving.owner:
        task.assigned_to = moving.owner
    if moving.waiting:
        task.waits_for = moving.waiting
    if moving.blocked:
        task.blocked = True
    if moving.lease_ms:
        task.lease_until = iso(moving.lease_ms)
    if moving.finished_ms:
        task.completed_at = iso(moving.finished_ms)
    if moving.dead:
        task.dead_letter = True
    if fixed.correlation_id:
        task.correlation_id = fixed.correlation_id
    if fixed.traceparent:
        task.traceparent = fixed.traceparent
