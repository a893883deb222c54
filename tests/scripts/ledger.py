"""A ledger of a test's own on a real store, with its clock in the test's hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from tests.scripts import invariants

from claudebench.instances import model as instance_model
from claudebench.instances.store import InstanceStore
from claudebench.store.keys import KEYS, prefix
from claudebench.store.origin import Origin
from claudebench.tasks import model as task_model
from claudebench.tasks.store import TaskStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from claudebench.store.connection import Connection

BEGINNING_MS = 1_800_000_000_000
STEP_MS = 1_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000


def num(task: task_model.Task | str) -> int:
    """Return the number of a task."""
    return int((task if isinstance(task, str) else task.id)[2:])


class Ledger:
    """The scripts of one workspace, called at the time `now_ms`, which only the test moves."""

    def __init__(self, connection: Connection, workspace: str, queue_max: int = 100_000) -> None:
        """Take the connection and the workspace."""
        self.connection, self.workspace = connection, workspace
        self.now_ms = BEGINNING_MS
        self.tasks = TaskStore(connection, queue_max)
        self.instances = InstanceStore(connection)

    async def begin(self) -> None:
        """Make it a workspace whose clock tests may set."""
        await self.connection.command("HSET", f"{prefix(self.workspace)}{KEYS['meta'].tail}", "test", 1)

    def origin(self, actor: str = "") -> Origin:
        """Return where a change at this moment comes from."""
        return Origin(self.workspace, actor, b"", str(self.now_ms))

    async def register(
        self,
        instance: str,
        *,
        roles: Iterable[str] = (),
        capacity: int = 10,
        dead_after_ms: int = 5000,
        boot: str = "1",
    ) -> instance_model.Registered:
        """Register an instance."""
        doc = instance_model.Doc(list(roles), capacity, dead_after_ms)
        change = await self.instances.register(self.origin(instance), doc, boot)
        registered: instance_model.Registered = change.result
        return registered

    async def unregister(self, instance: str) -> list[str]:
        """Let an instance leave and return what went back."""
        change = await self.instances.unregister(self.origin(instance), instance)
        returned: list[str] = change.result.returned
        return returned

    async def beat(self, instance: str) -> instance_model.Beat:
        """Beat once."""
        return await self.instances.heartbeat(self.origin(instance))

    async def sweep(self) -> None:
        """Tick once."""
        await self.instances.sweep(self.origin())

    async def advance(self, ms: int, living: Iterable[str] = ()) -> None:
        """Let `ms` pass as they pass in life: with ticks, and beats of whoever lives."""
        end_ms, alive = self.now_ms + ms, list(living)
        while self.now_ms < end_ms:
            self.now_ms = min(self.now_ms + STEP_MS, end_ms)
            for instance in alive:
                await self.beat(instance)
            await self.sweep()

    async def create(
        self,
        text: str = "a task",
        *,
        priority: int = 50,
        requires: Iterable[str] = (),
        max_attempts: int = 3,
        depends_on: Iterable[int] = (),
    ) -> int:
        """Add a task and return its number."""
        doc = task_model.Doc(text, list(requires), [f"t-{n}" for n in depends_on])
        return num((await self.tasks.create(self.origin(), doc, priority, max_attempts)).result)

    async def claim(self, worker: str, claims_max: int = 1, lease_ms: int | None = None) -> list[task_model.Task]:
        """Claim as `worker`."""
        claimed: task_model.Claimed = (await self.tasks.claim(self.origin(worker), claims_max, lease_ms)).result
        return claimed.tasks

    async def claimed(self, worker: str, lease_ms: int | None = None) -> task_model.Task:
        """Claim as `worker` and want exactly one task."""
        (task,) = await self.claim(worker, 1, lease_ms)
        return task

    async def assign(self, n: int, instance: str) -> int:
        """Reserve a task and return its epoch."""
        assigned: task_model.Assigned = (await self.tasks.assign(self.origin(), n, instance)).result
        return assigned.epoch

    async def complete(self, n: int, worker: str = "", epoch: int | str = "", result: Any = None) -> str:
        """Complete a task and return the position of the answer."""
        text = b"" if result is None else json.dumps(result).encode()
        return (await self.tasks.complete(self.origin(worker), n, (worker, str(epoch)), text)).position

    async def fail(self, n: int, worker: str = "", epoch: int | str = "", *, retryable: bool = False) -> str:
        """Fail a task and return its status afterwards."""
        fence = (worker, str(epoch))
        change = await self.tasks.fail(self.origin(worker), n, fence, "it broke", retryable=retryable)
        status: str = change.result.status
        return status

    async def release(self, n: int, worker: str = "", epoch: int | str = "") -> task_model.Task:
        """Release a task."""
        task: task_model.Task = (await self.tasks.release(self.origin(worker), n, (worker, str(epoch)))).result
        return task

    async def renew(self, n: int, worker: str = "", epoch: int | str = "", lease_ms: int = 60_000) -> task_model.Task:
        """Renew a task's lease."""
        fence = (worker, str(epoch))
        task: task_model.Task = (await self.tasks.renew(self.origin(worker), n, fence, lease_ms)).result
        return task

    async def unassign(self, n: int, *, denied: bool = False) -> task_model.Task:
        """Take a task from its holder."""
        task: task_model.Task = (await self.tasks.unassign(self.origin(), n, denied=denied)).result
        return task

    async def update(
        self, n: int, *, worker: str = "", epoch: int | str = "", operator: bool = False, **updates: Any
    ) -> task_model.Task:
        """Give a task other values, or move it."""
        asked = msgspec.json.decode(json.dumps(updates), type=task_model.Updates)
        change = await self.tasks.update(self.origin(worker), n, asked, (worker, str(epoch)), operator=operator)
        task: task_model.Task = change.result
        return task

    async def retry(self, n: int, *, operator: bool = True) -> task_model.Task:
        """Let a finished task be done once more."""
        task: task_model.Task = (await self.tasks.retry(self.origin(), n, operator=operator)).result
        return task

    async def list(self, **asked: Any) -> task_model.Page:
        """Return a page of tasks."""
        request = msgspec.json.decode(json.dumps(asked), type=task_model.List)
        return await self.tasks.list(self.workspace, request)

    async def total(self) -> int:
        """Return how many tasks there are."""
        return len((await self.read()).tasks)

    async def retire(self, *, retain_days: int = 7, finished_max: int = 200_000) -> int:
        """Take one step of retiring and return how many tasks went."""
        tasks = TaskStore(self.connection, retain_days=retain_days, finished_max=finished_max)
        return await tasks.retire(self.workspace, str(self.now_ms))

    async def delete(self, n: int) -> None:
        """Delete a task."""
        await self.tasks.delete(self.origin(), n)

    async def get(self, n: int) -> task_model.Task:
        """Return a task."""
        return await self.tasks.get(self.workspace, n)

    async def state(self, instance: str) -> str:
        """Return the state of an instance as the list shows it, '' when it is not listed."""
        listed = await self.instances.list(self.workspace, str(self.now_ms), 1000)
        return next((each.state for each in listed if each.id == instance), "")

    async def read(self) -> invariants.Snapshot:
        """Read the whole workspace."""
        return await invariants.read(self.connection, self.workspace)

    async def check(self) -> invariants.Snapshot:
        """Read the whole workspace and check what must always hold."""
        return await invariants.check(self.connection, self.workspace)
