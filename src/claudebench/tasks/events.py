"""What the events of this room carry: most the moving fields of the task as they are after the change."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from claudebench.events.model import EventType, Payload
from claudebench.tasks.model import Status


class Moved(Payload, kw_only=True):
    """The moving fields of a task; `leaseMs` and `completedMs` are 0 for none, `waitsFor` is absent for nobody."""

    id: str
    status: Status
    priority: int
    assigned_to: str
    epoch: int
    attempts: int
    max_attempts: int
    lease_ms: int
    created_ms: int
    updated_ms: int
    completed_ms: int
    dead_letter: bool
    waits_for: int | UnsetType = UNSET
    blocked: int | UnsetType = UNSET


class Fixed(Payload, kw_only=True):
    """The fields of a task that no transition moves; what is not given is absent."""

    text: str
    requires: list[str] | UnsetType = UNSET
    depends_on: list[str] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    correlation_id: str | UnsetType = UNSET
    traceparent: str | UnsetType = UNSET


class Created(Moved):
    """A new task; `doc` are the fields that no transition moves."""

    doc: Fixed


class Completed(Moved):
    """A completion; `fenced` is whether an epoch stood by it, `resultGiven` is false where nobody gave the null."""

    fenced: bool
    result: Raw
    result_given: bool | UnsetType = UNSET


class Failed(Moved):
    """A failure: by the holder's word (`fenced`, `error`), or because its owner is gone (`from`, `reason`)."""

    fenced: bool | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    from_: str | UnsetType = msgspec.field(name="from", default=UNSET)
    reason: str | UnsetType = UNSET


class Returned(Moved):
    """A task that is free again: `from` whom, and why; with the error when it failed and has attempts left."""

    reason: str
    from_: str | UnsetType = msgspec.field(name="from", default=UNSET)
    error: Raw | UnsetType = UNSET


class Updated(Moved):
    """Other values; `changed` names them, absent when nothing changed."""

    changed: list[str] | UnsetType = UNSET
    patch: dict[str, Any] | UnsetType = UNSET


class Waiting(Moved):
    """A task that waits, or waited, for others; `by` is the one of which there is news, `reason` the news."""

    by: str
    reason: Literal["pending", "in_progress", "completed", "failed", "gone"]


class Deleted(Payload):
    """A task that is gone."""

    id: str


EVENTS = (
    EventType("task.created", "a task was added, free for whoever may take it", Created),
    EventType("task.assigned", "a task was reserved for one instance", Moved),
    EventType("task.claimed", "an instance began a task; its epoch fences everyone before it", Moved),
    EventType("task.completed", "the holder said that the task is done", Completed),
    EventType("task.failed", "the holder said that it failed, or no attempt was left", Failed),
    EventType(
        "task.returned",
        "a task is free again: released, unassigned, failed with a retry, or its owner is gone",
        Returned,
    ),
    EventType("task.updated", "the text, the priority or keys of the metadata of a task have other values", Updated),
    EventType("task.reopened", "a finished task is to be done once more", Moved),
    EventType("task.unblocked", "everything that a task waited for is completed", Waiting),
    EventType(
        "task.awaited", "something that a task waits for is completed, or can be again; it waits for more", Waiting
    ),
    EventType("task.blocked", "something that a task waits for failed or was deleted", Waiting),
    EventType("task.deleted", "a task was removed", Deleted),
)
