"""Tasks in the store: one method, one script, one transition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.rpc.bounds import bound
from claudebench.rpc.context import Change
from claudebench.store.script import Script
from claudebench.tasks import model
from claudebench.tasks.model import read_task
from claudebench.telemetry.time import iso

if TYPE_CHECKING:
    from claudebench.store.connection import Connection
    from claudebench.store.origin import Origin

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
SCRIPTS = (CREATE, CLAIM, ASSIGN, RENEW, COMPLETE, FAIL, RELEASE, UNASSIGN, DELETE, GET, LIST, COUNTS)

QUEUE_MAX = 100_000
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class TaskStore:
    """The ledger of every workspace. `queue_max` bounds the pending tasks of each."""

    connection: Connection
    queue_max: int = QUEUE_MAX

    async def create(self, origin: Origin, doc: model.Doc, priority: int, max_attempts: int) -> Change[model.Task]:
        """Add a task."""
        text, sig = _encode(doc), ",".join(sorted(set(doc.requires)))
        position, n, row = await self._change(CREATE, origin, text, priority, sig, max_attempts, self.queue_max)
        return Change(position.decode(), read_task(n, text, row))

    async def claim(self, origin: Origin, claims_max: int, lease_ms: int | None) -> Change[model.Claimed]:
        """Hand up to `claims_max` tasks to the actor of `origin`."""
        reply = await self._change(CLAIM, origin, claims_max, "" if lease_ms is None else lease_ms)
        tasks = [read_task(n, doc, row) for n, doc, row in zip(reply[1::3], reply[2::3], reply[3::3], strict=True)]
        if not tasks:
            return Change("", model.Claimed(claimed=False, tasks=[]))
        return Change(reply[0].decode(), model.Claimed(claimed=True, tasks=tasks, task_id=tasks[0].id, task=tasks[0]))

    async def assign(self, origin: Origin, n: int, instance: str) -> Change[model.Assigned]:
        """Reserve a free task for `instance`."""
        position, epoch, at_ms = await self._change(ASSIGN, origin, n, instance)
        return Change(position.decode(), model.Assigned(f"t-{n}", instance, iso(at_ms), epoch))

    async def renew(self, origin: Origin, n: int, fence: tuple[str, str], lease_ms: int) -> Change[model.Task]:
        """Keep a task for `lease_ms` from now."""
        return _task(await self._change(RENEW, origin, n, *fence, lease_ms))

    async def complete(self, origin: Origin, n: int, fence: tuple[str, str], result: bytes) -> Change[model.Finished]:
        """Close a task; `result` is its JSON, empty for none."""
        kept = bound("result", result, model.RESULT_MAX)
        return _finished(n, await self._change(COMPLETE, origin, n, *fence, kept))

    async def fail(
        self, origin: Origin, n: int, fence: tuple[str, str], error: object, *, retryable: bool
    ) -> Change[model.Finished]:
        """Close a task as failed, or free it again while attempts remain and it is `retryable`."""
        text = bound("error", _encode(error), model.RESULT_MAX)
        return _finished(n, await self._change(FAIL, origin, n, *fence, text, int(retryable)))

    async def release(self, origin: Origin, n: int, fence: tuple[str, str]) -> Change[model.Task]:
        """Give a task back untouched."""
        return _task(await self._change(RELEASE, origin, n, *fence))

    async def unassign(self, origin: Origin, n: int, *, denied: bool) -> Change[model.Task]:
        """Take a task from its holder, and deny it to that holder for a while."""
        return _task(await self._change(UNASSIGN, origin, n, int(denied)))

    async def delete(self, origin: Origin, n: int) -> Change[model.Deleted]:
        """Remove a task that nobody holds."""
        (position,) = await self._change(DELETE, origin, n)
        return Change(position.decode(), model.Deleted(f"t-{n}"))

    async def get(self, workspace: str, n: int) -> model.Task:
        """Return one task."""
        return read_task(n, *await self.connection.run(GET, workspace, n))

    async def list(self, workspace: str, status: str, cursor: str | None, limit: int) -> model.Page:
        """Return a page of the tasks of `status` ('all' for any), newest first, below `cursor`."""
        before = f"({cursor}" if cursor else "+inf"
        total, more, *fields = await self.connection.run(LIST, workspace, status, before, limit)
        rows = (fields[at : at + 5] for at in range(0, len(fields), 5))
        tasks = [read_task(int(n), *stored) for n, *stored in rows]
        page = model.Page(tasks=tasks, total_count=total, has_more=bool(more))
        if more:
            page.next_cursor = tasks[-1].id[2:]
        return page

    async def counts(self, workspace: str) -> model.Counts:
        """Return how many tasks there are of each status."""
        return model.Counts(*await self.connection.run(COUNTS, workspace))

    def _change(self, script: Script, origin: Origin, *arguments: Any) -> Any:
        return self.connection.run(script, origin.workspace, *origin.head, *arguments)


def _task(reply: list[Any]) -> Change[model.Task]:
    position, n, doc, row = reply
    return Change(position.decode(), read_task(n, doc, row))


def _finished(n: int, reply: list[Any]) -> Change[model.Finished]:
    position, status, at_ms = reply
    finished = model.Finished(f"t-{n}", status.decode())
    if at_ms:
        finished.completed_at = iso(at_ms)
    return Change(position.decode(), finished)
