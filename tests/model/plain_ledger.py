"""The ledger in plain Python: what the documents promise of every command, without a store and without an index.

It is written from `docs/explanation/ledger.md` and the stories of the rooms, slowly and plainly: every question is
answered by looking at all tasks. A refusal is raised before anything changes. `events` holds the facts of the command
under way, each with the state of its task after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from claudebench.errors import Conflict, LimitReached, NotFound, Stale, Unauthorized
from claudebench.telemetry.time import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.model.steps import Step

Json = dict[str, Any]
Fact = tuple[str, str, Any]
SWEEP_EVERY_MS, ABSENCE_MS, GRACE_MS = 50, 2_000, 5_000
DENIED_MS, DENIED_MAX = 30_000, 8
UNOWNED_LEASE_MS = 900_000
KEY_MS = DAY_MS = 86_400_000
NOTHING: Any = object()
NO_ATTEMPT_LEFT = "no attempt is left"


@dataclass
class Task:
    """A task, with every word that was said about it."""

    n: int
    text: str
    priority: int
    requires: tuple[str, ...]
    depends_on: tuple[int, ...]
    max_attempts: int
    created_ms: int
    updated_ms: int
    ready_ms: int
    status: str = "pending"
    owner: str = ""
    epoch: int = 0
    attempts: int = 0
    lease_ms: int = 0
    finished_ms: int = 0
    returned: bool = False
    dead: bool = False
    deny: list[str] = field(default_factory=list)
    waits: set[int] = field(default_factory=set)
    stuck: set[int] = field(default_factory=set)
    metadata: Json = field(default_factory=dict)
    result: Any = NOTHING
    error: Any = NOTHING

    @property
    def is_held(self) -> bool:
        """Whether somebody has it in hand, or it is reserved, or it was begun by nobody in particular."""
        return self.status == "in_progress" or (self.status == "pending" and self.owner != "")

    @property
    def is_ready(self) -> bool:
        """Whether it is free for whoever may take it."""
        return self.status == "pending" and not self.owner and not self.waits and not self.stuck

    @property
    def urgency(self) -> tuple[int, int]:
        """The more urgent sorts first: the higher priority, then the older."""
        return (-self.priority, self.n)


@dataclass
class Instance:
    """An instance; without a deadline it is OFFLINE."""

    roles: tuple[str, ...]
    capacity: int
    dead_after_ms: int
    boot: str
    deadline_ms: int
    incarnation: int = 1
    offline_ms: int = 0


class PlainLedger:
    """What a workspace holds, and what each command makes of it at the moment `now_ms`."""

    def __init__(self, now_ms: int) -> None:
        """Begin with nothing."""
        self.now_ms = now_ms
        self.seq = 0
        self.tasks: dict[int, Task] = {}
        self.instances: dict[str, Instance] = {}
        self.done: set[int] = set()
        self.keys: dict[str, tuple[str, Any, int]] = {}
        self.swept_ms: int | None = None
        self.grace_from_ms = 0
        self.events: list[Fact] = []

    # Commands. Each returns its answer and the type and subject of the event that it made, if any.

    def change(self, step: Step) -> Any:
        """Do a change: hear its caller, sweep, then answer as the first time if its key is known, else do it."""
        if step.name == "register":
            self.hear(step.actor, back=False)
        elif step.name != "unregister":
            self.hear(step.actor)
        self.sweep()
        if (kept := self.keys.get(step.key)) and kept[2] > self.now_ms:
            if kept[0] != repr(step):
                raise Conflict
            return kept[1]
        answer, event = getattr(self, step.name)(**step.args)
        if step.key:
            self.keys[step.key] = (repr(step), (answer, None), self.now_ms + KEY_MS)
        return answer, event

    def create(
        self, text: str, priority: int, requires: Iterable[str], depends_on: tuple[int, ...], attempts: int
    ) -> Any:
        """Add a task; what it depends on exists, or was completed once."""
        for n in depends_on:
            if n not in self.tasks and n not in self.done:
                raise NotFound
        self.seq += 1
        task = Task(
            self.seq, text, priority, tuple(requires), depends_on, attempts, self.now_ms, self.now_ms, self.now_ms
        )
        for n in depends_on:
            if n not in self.done:
                (task.stuck if self.tasks[n].status == "failed" else task.waits).add(n)
        self.tasks[task.n] = task
        return self._told(task, "task.created")

    def assign(self, n: int, instance: str) -> Any:
        """Reserve a free task."""
        task, to = self._task(n), self._instance(instance)
        if not task.is_ready or not to.deadline_ms or not set(task.requires) <= set(to.roles):
            raise Conflict
        self._below_capacity(instance)
        task.owner, task.epoch = instance, task.epoch + 1
        self._touched(task, "task.assigned")
        answer = {"taskId": f"t-{n}", "instanceId": instance, "assignedAt": iso(self.now_ms), "epoch": task.epoch}
        return answer, ("task.assigned", f"t-{n}")

    def claim(self, worker: str, claims_max: int, lease: int | None) -> Any:
        """Hand out the most urgent tasks that the worker may take: own reservations, then what is free and covered."""
        self._instance(worker)
        taken: list[Task] = []
        while len(taken) < claims_max and (task := self._next(worker)):
            self._begin(task, worker, self.now_ms + lease if lease else 0)
            taken.append(task)
        if not taken:
            return {"claimed": False, "tasks": []}, None
        tasks = [self.view(task) for task in taken]
        return (
            {"claimed": True, "tasks": tasks, "taskId": tasks[0]["id"], "task": tasks[0]},
            ("task.claimed", tasks[-1]["id"]),
        )

    def renew(self, n: int, worker: str, epoch: int | None, lease: int) -> Any:
        """Keep a task that is in progress for longer."""
        task = self._task(n)
        self._fence(task, worker, epoch)
        if task.status != "in_progress":
            raise Conflict
        task.lease_ms = self.now_ms + lease
        task.updated_ms = self.now_ms
        return self.view(task), None

    def complete(self, n: int, worker: str, epoch: int | None, result: Any = NOTHING) -> Any:
        """End a task that is held; said again by its owner at its epoch it is answered again."""
        task = self._task(n)
        if repeated := self._repeated(task, worker, epoch, "completed"):
            return repeated
        self._fence(task, worker, epoch)
        self._complete(task, result)
        return self._finished(task), ("task.completed", f"t-{n}")

    def fail(self, n: int, worker: str, epoch: int | None, *, retryable: bool) -> Any:
        """End a task as failed, or free it again while it is retryable and attempts remain; its owner is denied it."""
        task = self._task(n)
        if repeated := self._repeated(task, worker, epoch, "failed"):
            return repeated
        self._fence(task, worker, epoch)
        if retryable and task.attempts < task.max_attempts:
            self._deny(task)
            self._give_back(task)
            return self._finished(task), ("task.returned", f"t-{n}")
        self._fail(task, "it broke", dead=retryable)
        return self._finished(task), ("task.failed", f"t-{n}")

    def release(self, n: int, worker: str, epoch: int | None) -> Any:
        """Give a task back untouched, and its attempt with it."""
        task = self._task(n)
        self._fence(task, worker, epoch)
        return self._take_back(task)

    def unassign(self, n: int, *, denied: bool) -> Any:
        """Take a task from whoever holds it."""
        task = self._task(n)
        if not task.is_held or not task.owner:
            raise Conflict
        if denied:
            self._deny(task)
        return self._take_back(task)

    def update(
        self, n: int, worker: str, epoch: int | None, *, operator: bool, status: str | None = None, **values: Any
    ) -> Any:
        """Set values, and make at most one move."""
        task = self._task(n)
        if epoch is not None and epoch != task.epoch:
            raise Stale
        moves = status is not None and status != task.status
        if moves or (status not in {None, "pending"} and worker not in {"", task.owner}):
            self._may_move(task, status, worker, epoch, operator=operator)
        last = ""
        if self._set(task, values):
            self._touched(task, last := "task.updated")
        if moves:
            last = self._move(task, str(status), worker)
        return self.view(task), (last, f"t-{n}") if last else None

    def retry(self, n: int, *, operator: bool) -> Any:
        """Let a finished task be done once more."""
        task = self._task(n)
        self._may_reopen(task, operator=operator)
        self._reopen(task)
        return self.view(task), ("task.reopened", f"t-{n}")

    def delete(self, n: int) -> Any:
        """Remove a task that nobody holds."""
        task = self._task(n)
        if task.is_held:
            raise Conflict
        del self.tasks[n]
        self.events.append(("task.deleted", f"t-{n}", None))
        if n not in self.done:
            self._block(n, "gone")
        return {"id": f"t-{n}", "deleted": True}, ("task.deleted", f"t-{n}")

    def register(self, instance: str, roles: Iterable[str], capacity: int, dead_after_ms: int, boot: str) -> Any:
        """Note an instance; another boot ends the former incarnation, and what it held goes back."""
        known = self.instances.get(instance)
        made = Instance(tuple(roles), capacity, dead_after_ms, boot, self.now_ms + dead_after_ms)
        returned: list[int] = []
        if known:
            another = known.boot != boot
            made.incarnation = known.incarnation + (another or not known.deadline_ms)
            if another:
                returned = self._bury(instance)
        self.instances[instance] = made
        self.events.append(("instance.registered", instance, None))
        answer = {"registered": True, "incarnation": made.incarnation, "returned": [f"t-{n}" for n in returned]}
        return answer, ("instance.registered", instance)

    def unregister(self, instance: str) -> Any:
        """Let an instance leave; what it held goes back, with the attempts."""
        self._instance(instance)
        held = self.held(instance)
        for task in held:
            self._give_back(task, attempt_back=True)
        del self.instances[instance]
        self.events.append(("instance.unregistered", instance, None))
        answer = {"unregistered": True, "returned": [f"t-{task.n}" for task in held]}
        return answer, ("instance.unregistered", instance)

    def heartbeat(self, instance: str) -> Json:
        """Hear an instance, and tell it what it holds."""
        self.hear(instance)
        if instance not in self.instances:
            return {"alive": False, "held": []}
        held = [{"id": f"t-{task.n}", "epoch": task.epoch} for task in self.held(instance)]
        return {"alive": True, "held": held, "incarnation": self.instances[instance].incarnation}

    # Questions.

    def view(self, task: Task) -> Json:
        """Return a task as it is answered."""
        seen: Json = {
            "id": f"t-{task.n}", "text": task.text, "status": task.status, "priority": task.priority,
            "epoch": task.epoch, "attempts": task.attempts, "maxAttempts": task.max_attempts,
            "requires": list(task.requires), "metadata": task.metadata, "createdAt": iso(task.created_ms),
            "updatedAt": iso(task.updated_ms), "dependsOn": [f"t-{n}" for n in task.depends_on],
        }  # fmt: skip
        optional = {
            "assignedTo": task.owner, "waitsFor": len(task.waits | task.stuck), "blocked": bool(task.stuck),
            "leaseUntil": task.lease_ms and iso(task.lease_ms), "deadLetter": task.dead,
            "completedAt": task.finished_ms and iso(task.finished_ms),
        }  # fmt: skip
        seen |= {name: value for name, value in optional.items() if value}
        said = {"result": task.result, "error": task.error}
        return seen | {name: value for name, value in said.items() if value is not NOTHING}

    def get(self, n: int) -> Json:
        """Return one task."""
        return self.view(self._task(n))

    def count(self) -> Json:
        """Count the tasks of each status."""
        names = {"pending": "pending", "inProgress": "in_progress", "completed": "completed", "failed": "failed"}
        counts = {name: sum(task.status == status for task in self.tasks.values()) for name, status in names.items()}
        return counts | {"deadLetters": sum(task.dead for task in self.tasks.values())}

    def walk(self, asked: Json) -> list[Json]:
        """Return the tasks that are asked for, in their order."""
        return [self.view(task) for task in self._listed(asked)]

    def _listed(self, asked: Json) -> Iterator[Task]:
        order: dict[str, Callable[[Task], Any]] = {
            "createdAt": lambda task: task.n,
            "updatedAt": lambda task: (task.updated_ms, str(task.n)),
            "priority": lambda task: (task.priority, -task.n),
        }
        found = sorted(self.tasks.values(), key=order[asked["orderBy"]], reverse=asked["order"] == "desc")
        for task in found:
            has = {"status": task.status, "assignedTo": task.owner, "priority": task.priority}
            fits = all(asked.get(name) in {None, value} for name, value in has.items())
            if fits and task.priority >= asked.get("priorityMin", 0):
                yield task

    def held(self, instance: str) -> list[Task]:
        """Return what an instance holds, the most urgent first."""
        mine = (task for task in self.tasks.values() if task.is_held and task.owner == instance)
        return sorted(mine, key=lambda task: task.urgency)

    def state(self, instance: str) -> str:
        """Return how an instance is."""
        found = self.instances[instance]
        if not found.deadline_ms:
            return "OFFLINE"
        silent_ms = self.now_ms - (found.deadline_ms - found.dead_after_ms)
        return "SUSPECT" if silent_ms > 2 * found.dead_after_ms / 5 else "ACTIVE"

    def long_offline(self) -> list[str]:
        """Return who is OFFLINE for a day."""
        return [
            name for name, each in self.instances.items() if each.offline_ms and self.now_ms - each.offline_ms >= DAY_MS
        ]

    # Time.

    def hear(self, actor: str, *, back: bool = True) -> None:
        """Whoever names itself is heard of; from OFFLINE it comes back as a new incarnation."""
        found = self.instances.get(actor)
        if found and (found.deadline_ms or back):
            if not found.deadline_ms:
                found.incarnation += 1
                self.events.append(("instance.online", actor, None))
            found.deadline_ms, found.offline_ms = self.now_ms + found.dead_after_ms, 0

    def sweep(self) -> None:
        """Judge who was silent for too long, and which leases are over; never for the store's own absence."""
        silent_ms = self.now_ms - (self.now_ms - SWEEP_EVERY_MS if self.swept_ms is None else self.swept_ms)
        if 0 <= silent_ms < SWEEP_EVERY_MS:
            return
        if silent_ms > ABSENCE_MS or silent_ms < 0:
            self.grace_from_ms = self.now_ms
        if silent_ms < 0:
            self._hear_again()
        self.swept_ms = self.now_ms
        for instance, found in self.instances.items():
            patience_ms = min(GRACE_MS, found.dead_after_ms)
            if found.deadline_ms and max(found.deadline_ms, self.grace_from_ms + patience_ms) <= self.now_ms:
                found.deadline_ms, found.offline_ms = 0, self.now_ms
                self.events.append(("instance.offline", instance, None))
                for task in self.held(instance):
                    self._give_back(task)
        for task in list(self.tasks.values()):
            if task.lease_ms and max(task.lease_ms, self.grace_from_ms + GRACE_MS) <= self.now_ms:
                self._give_back(task)

    def _hear_again(self) -> None:
        """Where time ran backwards, nobody was heard of later than now."""
        for each in self.instances.values():
            each.deadline_ms = min(each.deadline_ms, self.now_ms + each.dead_after_ms)

    # Parts.

    def _task(self, n: int) -> Task:
        if n not in self.tasks:
            raise NotFound
        return self.tasks[n]

    def _instance(self, instance: str) -> Instance:
        if instance not in self.instances:
            raise NotFound
        return self.instances[instance]

    def _below_capacity(self, instance: str) -> None:
        if len(self.held(instance)) >= self.instances[instance].capacity:
            raise LimitReached

    def _fence(self, task: Task, worker: str, epoch: int | None) -> None:
        """Raise unless the caller is the owner at this epoch; who says neither is believed until a task came back."""
        named = bool(worker) or epoch is not None
        if epoch is not None and epoch != task.epoch:
            raise Stale
        if task.status in {"completed", "failed"} or (not task.is_held and not (named and task.returned)):
            raise Conflict
        if not task.is_held or (task.owner and worker not in {"", task.owner}):
            raise Stale
        if task.owner and task.returned and not named:
            raise Stale

    def _repeated(self, task: Task, worker: str, epoch: int | None, status: str) -> Any:
        named = bool(worker) or epoch is not None
        if task.status == status and named and worker in {"", task.owner} and epoch in {None, task.epoch}:
            return self._finished(task), None
        return None

    def _next(self, worker: str) -> Task | None:
        """Return the most urgent task that the worker may take; what it is denied only when there is nothing else."""
        roles, full = set(self.instances[worker].roles), len(self.held(worker)) >= self.instances[worker].capacity
        own = [task for task in self.held(worker) if task.status == "pending"]
        free = [task for task in self.tasks.values() if task.is_ready and set(task.requires) <= roles and not full]
        open_ = [task for task in free if worker not in task.deny]
        late = [task for task in free if worker in task.deny and task.ready_ms + DENIED_MS <= self.now_ms]
        return min(own + open_ or late, key=lambda task: task.urgency, default=None)

    def _begin(self, task: Task, worker: str, lease_ms: int) -> None:
        if task.owner != worker or not worker:
            task.owner, task.epoch = worker, task.epoch + 1
        task.status, task.attempts, task.lease_ms = "in_progress", task.attempts + 1, lease_ms
        self._touched(task, "task.claimed")

    def _complete(self, task: Task, result: Any) -> None:
        task.status, task.finished_ms, task.lease_ms, task.result = "completed", self.now_ms, 0, result
        task.error = NOTHING
        self.done.add(task.n)
        self._touched(task, "task.completed")
        for each in self.tasks.values():
            if task.n in each.waits | each.stuck:
                each.waits.discard(task.n)
                each.stuck.discard(task.n)
                each.updated_ms = self.now_ms
                if each.is_ready:
                    each.ready_ms = self.now_ms
                self._touched(each, "task.unblocked" if each.is_ready else "task.awaited")

    def _fail(self, task: Task, error: Any, *, dead: bool) -> None:
        task.status, task.finished_ms, task.lease_ms, task.dead, task.error = "failed", self.now_ms, 0, dead, error
        self._touched(task, "task.failed")
        self._block(task.n, "failed")

    def _block(self, n: int, reason: str) -> None:
        for each in self.tasks.values():
            if n in each.waits:
                each.waits.discard(n)
                each.stuck.add(n)
                each.updated_ms = self.now_ms
                self.events.append(("task.blocked", f"t-{each.n}", (f"t-{n}", reason)))

    def _give_back(self, task: Task, *, attempt_back: bool = False) -> None:
        """Free a task, with a new epoch; without an attempt left it is a dead letter instead."""
        if task.status == "in_progress" and attempt_back:
            task.attempts -= 1
        if task.status == "in_progress" and task.attempts >= task.max_attempts:
            self._fail(task, NO_ATTEMPT_LEFT, dead=True)
            return
        task.status, task.owner, task.epoch, task.lease_ms = "pending", "", task.epoch + 1, 0
        task.returned, task.ready_ms = True, self.now_ms
        self._touched(task, "task.returned")

    def _take_back(self, task: Task) -> Any:
        self._give_back(task, attempt_back=True)
        return self.view(task), ("task.returned", f"t-{task.n}")

    def _deny(self, task: Task) -> None:
        if task.owner:
            task.deny = [*(each for each in task.deny if each != task.owner), task.owner][-DENIED_MAX:]

    def _bury(self, instance: str) -> list[int]:
        held = self.held(instance)
        for task in held:
            self._give_back(task)
        return [task.n for task in held if task.status == "pending"]

    def _may_move(self, task: Task, status: str | None, worker: str, epoch: int | None, *, operator: bool) -> None:
        if status == "in_progress":
            self._may_begin(task, worker)
        elif status == "pending":
            self._may_reopen(task, operator=operator)
        elif task.status != "pending":
            self._fence(task, worker, epoch)
        elif status:
            self._may_end_pending(task, worker, epoch, status)

    def _may_end_pending(self, task: Task, worker: str, epoch: int | None, status: str) -> None:
        """Raise unless it is free and the caller names no worker, or it is reserved and the caller shows it is its."""
        if task.owner and not worker and epoch is None:
            raise Conflict
        if worker and worker != task.owner:
            raise Stale if task.returned else Conflict
        if task.owner:
            self._fence(task, worker, epoch)
        elif status == "completed" and (task.waits or task.stuck):
            raise Conflict

    def _may_begin(self, task: Task, worker: str) -> None:
        if task.status != "pending" or task.waits or task.stuck or task.owner not in {"", worker}:
            raise Conflict
        if worker and not task.owner:
            instance = self._instance(worker)
            denied = worker in task.deny and self.now_ms < task.ready_ms + DENIED_MS
            if denied or not set(task.requires) <= set(instance.roles):
                raise Conflict
            self._below_capacity(worker)

    def _may_reopen(self, task: Task, *, operator: bool) -> None:
        if task.status not in {"completed", "failed"}:
            raise Conflict
        if task.dead and not operator:
            raise Unauthorized

    def _move(self, task: Task, status: str, worker: str) -> str:
        if status == "in_progress":
            self._begin(task, worker, 0 if worker else self.now_ms + UNOWNED_LEASE_MS)
            return "task.claimed"
        if status == "completed":
            self._complete(task, NOTHING)
            return "task.completed"
        if status == "failed":
            self._fail(task, "failed", dead=False)
            return "task.failed"
        self._reopen(task)
        return "task.reopened"

    def _reopen(self, task: Task) -> None:
        task.status, task.owner, task.epoch, task.attempts = "pending", "", task.epoch + 1, 0
        task.finished_ms, task.dead, task.deny, task.ready_ms = 0, False, [], self.now_ms
        task.returned = True
        task.result = task.error = NOTHING
        self.done.discard(task.n)
        self._touched(task, "task.reopened")
        for each in self.tasks.values():
            if task.n in each.stuck:
                each.stuck.discard(task.n)
                each.waits.add(task.n)
                self._touched(each, "task.awaited")

    def _set(self, task: Task, values: Json) -> bool:
        before = (task.text, task.priority, task.metadata)
        task.text, task.priority = values.get("text", task.text), values.get("priority", task.priority)
        task.metadata = task.metadata | values.get("metadata", {})
        return before != (task.text, task.priority, task.metadata)

    def _finished(self, task: Task) -> Json:
        ended = {"completedAt": iso(task.finished_ms)} if task.finished_ms else {}
        return {"id": f"t-{task.n}", "status": task.status, **ended}

    def _touched(self, task: Task, type_: str) -> None:
        task.updated_ms = self.now_ms
        self.events.append((type_, f"t-{task.n}", (task.status, task.owner, task.epoch, task.attempts)))

    def _told(self, task: Task, type_: str) -> Any:
        self._touched(task, type_)
        return self.view(task), (type_, f"t-{task.n}")
