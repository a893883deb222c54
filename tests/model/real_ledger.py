"""The ledger itself, through its stores and scripts, with the words of the plain one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
from tests.scripts import invariants

from claudebench.instances import model as instance_model
from claudebench.instances.store import InstanceStore
from claudebench.store.keys import KEYS, prefix
from claudebench.store.origin import Origin
from claudebench.tasks import model as task_model
from claudebench.tasks.store import TaskStore

WHY_NONE_IS_LEFT = re.compile(rb'"[a-z ]+, and (no attempt is left)"')

if TYPE_CHECKING:
    from tests.model.steps import Step

    from claudebench.store.connection import Connection


class RealLedger:
    """One workspace of a real store, whose clock is in the test's hand."""

    def __init__(self, connection: Connection, workspace: str) -> None:
        """Take a connection with every script loaded."""
        self.connection, self.workspace = connection, workspace
        self.tasks, self.instances = TaskStore(connection), InstanceStore(connection)

    async def begin(self) -> None:
        """Make it a workspace whose clock tests may set."""
        await self.connection.command("HSET", f"{prefix(self.workspace)}{KEYS['meta'].tail}", "test", 1)

    async def forget(self, tail: str) -> None:
        """Take a key out of the store."""
        await self.connection.command("DEL", f"{prefix(self.workspace)}{tail}")

    async def empty(self) -> None:
        """Take everything out of the store."""
        await self.connection.command("FLUSHDB")

    async def change(self, now_ms: int, step: Step) -> tuple[Any, str]:
        """Do a change, and return its answer with its position."""
        once = (step.key, repr(step).encode()) if step.key else None
        origin = Origin(self.workspace, step.actor, b"", str(now_ms), once)
        change = await getattr(self, f"_{step.name}")(origin, **step.args)
        return told(change.result), change.position

    async def heartbeat(self, now_ms: int, instance: str) -> Any:
        """Beat once."""
        return told(await self.instances.heartbeat(Origin(self.workspace, instance, b"", str(now_ms))))

    async def sweep(self, now_ms: int) -> None:
        """Tick once."""
        await self.instances.sweep(Origin(self.workspace, "", b"", str(now_ms)))

    async def get(self, n: int) -> Any:
        """Return one task."""
        return told(await self.tasks.get(self.workspace, n))

    async def count(self) -> Any:
        """Count the tasks of each status."""
        return told(await self.tasks.counts(self.workspace))

    async def walk(self, asked: dict[str, Any]) -> Any:
        """Return every task that is asked for, page by page; each page says how many there are, or at least are."""
        pages: list[task_model.Page] = []
        while not pages or pages[-1].has_more:
            after = {"cursor": pages[-1].next_cursor} if pages else {}
            request = msgspec.convert(asked | after, task_model.List)
            pages.append(await self.tasks.list(self.workspace, request))
        found = [task for page in pages for task in page.tasks]
        for page in pages:
            assert len(page.tasks) <= asked["limit"]
            assert page.total_count == len(found) if page.total_count_exact else page.total_count <= len(found)
        return told(found)

    async def states(self, now_ms: int) -> dict[str, str]:
        """Return the state of each instance that is listed."""
        return {each.id: each.state for each in await self.instances.list(self.workspace, str(now_ms), 1000)}

    async def read(self, after: str) -> invariants.Snapshot:
        """Read all that the workspace holds, and the events behind a position."""
        return await invariants.read(self.connection, self.workspace, after)

    def _create(
        self,
        origin: Origin,
        *,
        text: str,
        priority: int,
        requires: tuple[str, ...],
        depends_on: tuple[int, ...],
        attempts: int,
    ) -> Any:
        doc = task_model.Doc(text, list(requires), [f"t-{n}" for n in depends_on])
        return self.tasks.create(origin, doc, priority, attempts)

    def _assign(self, origin: Origin, n: int, instance: str) -> Any:
        return self.tasks.assign(origin, n, instance)

    def _claim(self, origin: Origin, worker: str, claims_max: int, lease: int | None) -> Any:
        assert worker == origin.actor
        return self.tasks.claim(origin, claims_max, lease)

    def _renew(self, origin: Origin, n: int, worker: str, epoch: int | None, lease: int) -> Any:
        return self.tasks.renew(origin, n, fence(worker, epoch), lease)

    def _complete(self, origin: Origin, n: int, worker: str, epoch: int | None, **said: Any) -> Any:
        result = json.dumps(said["result"]).encode() if said else b""
        return self.tasks.complete(origin, n, fence(worker, epoch), result)

    def _fail(self, origin: Origin, n: int, worker: str, epoch: int | None, *, retryable: bool) -> Any:
        return self.tasks.fail(origin, n, fence(worker, epoch), "it broke", retryable=retryable)

    def _release(self, origin: Origin, n: int, worker: str, epoch: int | None) -> Any:
        return self.tasks.release(origin, n, fence(worker, epoch))

    def _unassign(self, origin: Origin, n: int, *, denied: bool) -> Any:
        return self.tasks.unassign(origin, n, denied=denied)

    def _update(self, origin: Origin, n: int, worker: str, epoch: int | None, *, operator: bool, **updates: Any) -> Any:
        asked = msgspec.json.decode(json.dumps(updates), type=task_model.Updates)
        return self.tasks.update(origin, n, asked, fence(worker, epoch), operator=operator)

    def _retry(self, origin: Origin, n: int, *, operator: bool) -> Any:
        return self.tasks.retry(origin, n, operator=operator)

    def _delete(self, origin: Origin, n: int) -> Any:
        return self.tasks.delete(origin, n)

    def _register(
        self, origin: Origin, *, instance: str, roles: tuple[str, ...], capacity: int, dead_after_ms: int, boot: str
    ) -> Any:
        assert instance == origin.actor
        return self.instances.register(origin, instance_model.Doc(list(roles), capacity, dead_after_ms), boot)

    def _unregister(self, origin: Origin, instance: str) -> Any:
        return self.instances.unregister(origin, instance)


def fence(worker: str, epoch: int | None) -> tuple[str, str]:
    """Return worker and epoch as a script takes them."""
    return worker, "" if epoch is None else str(epoch)


def told(result: Any) -> Any:
    """Return an answer as a caller reads it; why no attempt is left it reads there, and we do not."""
    return msgspec.json.decode(WHY_NONE_IS_LEFT.sub(rb'"\1"', msgspec.json.encode(result)))
