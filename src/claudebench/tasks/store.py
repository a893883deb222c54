"""Tasks in the store: one method, one script, one transition."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.errors import InvalidParams
from claudebench.rpc.bounds import bound
from claudebench.rpc.context import Change
from claudebench.store.script import Script
from claudebench.tasks import model
from claudebench.tasks.model import Stored, read_task
from claudebench.telemetry.time import iso

if TYPE_CHECKING:
    from claudebench.store.connection import Connection
    from claudebench.store.origin import Origin
    from claudebench.store.wire import Argument

CREATE = Script(__package__, "create")
CLAIM = Script(__package__, "claim")
ASSIGN = Script(__package__, "assign")
RENEW = Script(__package__, "renew")
COMPLETE = Script(__package__, "complete")
FAIL = Script(__package__, "fail")
RELEASE = Script(__package__, "release")
UNASSIGN = Script(__package__, "unassign")
DELETE = Script(__package__, "delete")
GET = Script(__package__, "get")
LIST = Script(__package__, "list")
COUNTS = Script(__package__, "counts")
UPDATE = Script(__package__, "update")
RETRY = Script(__package__, "retry")
RETIRE = Script(__package__, "retire")
REINDEX = Script(__package__, "reindex")
SCRIPTS = (
    *(CREATE, CLAIM, ASSIGN, RENEW, COMPLETE, FAIL, RELEASE, UNASSIGN, UPDATE, RETRY, DELETE, GET, LIST, COUNTS),
    *(RETIRE, REINDEX),
)

QUEUE_MAX = 100_000
FINISHED_MAX = 200_000
DAY_MS = 86_400_000
RETAIN_DAYS = 7
STATUSES = "pending in_progress completed failed"
LEVEL = 1 << 46  # a rank is (100 - priority) * LEVEL + n
INDEXES = {"createdAt": "created", "updatedAt": "updated", "priority": "priority"}
_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class TaskStore:
    """The ledger of every workspace. `queue_max` bounds the pending tasks of each.

    A finished task stays `retain_days`, and at most `finished_max` of them stay.
    """

    connection: Connection
    queue_max: int = QUEUE_MAX
    retain_days: int = RETAIN_DAYS
    finished_max: int = FINISHED_MAX

    async def create(self, origin: Origin, doc: model.Doc, priority: int, max_attempts: int) -> Change[model.Task]:
        """Add a task."""
        text, sig = _encode(doc), ",".join(sorted(set(doc.requires)))
        waits_for = " ".join(dict.fromkeys(each[2:] for each in doc.depends_on))
        given = (text, priority, sig, max_attempts, self.queue_max, waits_for)
        position, n, row = await self.connection.change(CREATE, origin, *given)
        return Change(position.decode(), read_task(n, Stored(text, row)))

    async def claim(self, origin: Origin, claims_max: int, lease_ms: int | None) -> Change[model.Claimed]:
        """Hand up to `claims_max` tasks to the actor of `origin`."""
        reply = await self.connection.change(CLAIM, origin, claims_max, "" if lease_ms is None else lease_ms)
        fields = (reply[at : at + 5] for at in range(1, len(reply), 5))
        tasks = [read_task(n, Stored(doc, row, None, None, text, metadata)) for n, doc, row, text, metadata in fields]
        if not tasks:
            return Change("", model.Claimed(claimed=False, tasks=[]))
        return Change(reply[0].decode(), model.Claimed(claimed=True, tasks=tasks, task_id=tasks[0].id, task=tasks[0]))

    async def assign(self, origin: Origin, n: int, instance: str) -> Change[model.Assigned]:
        """Reserve a free task for `instance`."""
        position, epoch, at_ms = await self.connection.change(ASSIGN, origin, n, instance)
        return Change(position.decode(), model.Assigned(f"t-{n}", instance, iso(at_ms), epoch))

    async def renew(self, origin: Origin, n: int, fence: tuple[str, str], lease_ms: int) -> Change[model.Task]:
        """Keep a task for `lease_ms` from now."""
        return _task(await self.connection.change(RENEW, origin, n, *fence, lease_ms))

    async def complete(self, origin: Origin, n: int, fence: tuple[str, str], result: bytes) -> Change[model.Finished]:
        """Close a task; `result` is its JSON, empty for none."""
        kept = bound("result", result, model.RESULT_MAX)
        return _finished(n, await self.connection.change(COMPLETE, origin, n, *fence, kept))

    async def fail(
        self, origin: Origin, n: int, fence: tuple[str, str], error: object, *, retryable: bool
    ) -> Change[model.Finished]:
        """Close a task as failed, or free it again while attempts remain and it is `retryable`."""
        text = bound("error", _encode(error), model.RESULT_MAX)
        return _finished(n, await self.connection.change(FAIL, origin, n, *fence, text, int(retryable)))

    async def release(self, origin: Origin, n: int, fence: tuple[str, str]) -> Change[model.Task]:
        """Give a task back untouched."""
        return _task(await self.connection.change(RELEASE, origin, n, *fence))

    async def unassign(self, origin: Origin, n: int, *, denied: bool) -> Change[model.Task]:
        """Take a task from its holder, and deny it to that holder for a while."""
        return _task(await self.connection.change(UNASSIGN, origin, n, int(denied)))

    async def update(
        self, origin: Origin, n: int, updates: model.Updates, fence: tuple[str, str], *, operator: bool
    ) -> Change[model.Task]:
        """Give a task other values and move it, in one step or not at all."""
        return _task(
            await self.connection.change(
                UPDATE, origin, n, updates.status or "", *fence, *_patch(updates), int(operator)
            )
        )

    async def retry(self, origin: Origin, n: int, *, operator: bool) -> Change[model.Task]:
        """Let a finished task be done once more."""
        return _task(await self.connection.change(RETRY, origin, n, int(operator)))

    async def delete(self, origin: Origin, n: int) -> Change[model.Deleted]:
        """Remove a task that nobody holds."""
        (position,) = await self.connection.change(DELETE, origin, n)
        return Change(position.decode(), model.Deleted(f"t-{n}", deleted=True))

    async def get(self, workspace: str, n: int) -> model.Task:
        """Return one task."""
        return read_task(n, Stored(*await self.connection.run(GET, workspace, n)))

    async def list(self, workspace: str, asked: model.List) -> model.Page:
        """Return a page of the tasks that are asked for."""
        tag = _tag(asked)
        if asked.cursor is not None and not asked.cursor.startswith(f"{tag}-"):
            message = "this cursor is of another list; it goes on only with the order and the filters it was made for"
            raise InvalidParams(message, errors=[{"path": "cursor", "message": message}])
        total, exact, more, score, last, *fields = await self.connection.run(LIST, workspace, *_asked(asked))
        rows = (fields[at : at + 7] for at in range(0, len(fields), 7))
        tasks = [read_task(int(n), Stored(*stored)) for n, *stored in rows]
        page = model.Page(tasks=tasks, total_count=total, total_count_exact=bool(exact), has_more=bool(more))
        if not exact:
            page.total_count = len(tasks)
        if more:
            page.next_cursor = f"{tag}-{score.decode()}-{last.decode()}"
        return page

    async def retire(self, workspace: str, given_ms: str = "") -> int:
        """Let some finished tasks go whose time is over, or that are too many; return how many went."""
        retain_ms = self.retain_days * DAY_MS
        return int(await self.connection.run(RETIRE, workspace, given_ms, retain_ms, self.finished_max))

    async def counts(self, workspace: str) -> model.Counts:
        """Return how many tasks there are of each status."""
        return model.Counts(*await self.connection.run(COUNTS, workspace))


async def reindex(connection: Connection, workspace: str) -> None:
    """Bring every index of a workspace into line with its tasks: the migration from an older format."""
    at = 1
    while at:
        at = await connection.run(REINDEX, workspace, "", at)


def _tag(asked: model.List) -> str:
    """Return four hex digits that stand for the order and the filters of a list: its cursors begin with them."""
    filters = (asked.status, asked.assigned_to, asked.priority, asked.priority_min, asked.text_prefix)
    return sha256(_encode((asked.order_by, asked.order, *filters))).hexdigest()[:4]


def _asked(asked: model.List) -> tuple[Argument, ...]:
    """Return what the script of a list takes: its index, the range in it, the place to go on, the filters."""
    order, status, owner = INDEXES[asked.order_by], asked.status or "", asked.assigned_to or ""
    most, least = asked.priority, asked.priority if asked.priority_min is None else asked.priority_min
    low, high, wanted = "-inf", "+inf", ("", "")
    if order == "priority":
        low = "-inf" if most is None else str((100 - most) * LEVEL)
        high = "+inf" if least is None else f"({(101 - least) * LEVEL}"
    elif least is not None:
        wanted = (str(least), "100" if most is None else str(most))
    by_owner = owner and order == "created"
    _, score, n = (asked.cursor or "--").split("-")
    descending = (asked.order == "desc") != (order == "priority")
    prefix = "" if asked.text_prefix is None else _encode(asked.text_prefix)[:-1]
    return (
        status or STATUSES,
        order,
        owner,
        int(descending),
        low,
        high,
        score,
        n,
        asked.limit,
        status if by_owner else "",
        *wanted,
        prefix,
    )


def _patch(updates: model.Updates) -> tuple[Argument, ...]:
    """Return other values as the script takes them, and the members of the event that tell of them."""
    given = {name: value for name in ("text", "priority", "metadata") if (value := getattr(updates, name)) is not None}
    text = b"" if updates.text is None else _encode(updates.text)
    metadata = b""
    if updates.metadata is not None:
        bound("metadata", _encode(updates.metadata), model.METADATA_MAX)
        metadata = (
            _pack({key: bytes(value).decode() for key, value in updates.metadata.items()}) if updates.metadata else b""
        )
    changed = _encode({"changed": list(given), "patch": given})[1:-1] if given else b""
    error = _encode("failed")
    return ("" if updates.priority is None else updates.priority, text, metadata, changed, error)


def _task(reply: list[Any]) -> Change[model.Task]:
    position, n, *stored = reply
    return Change(position.decode(), read_task(n, Stored(*stored)))


def _finished(n: int, reply: list[Any]) -> Change[model.Finished]:
    position, status, at_ms = reply
    finished = model.Finished(f"t-{n}", status.decode())
    if at_ms:
        finished.completed_at = iso(at_ms)
    return Change(position.decode(), finished)
