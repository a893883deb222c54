"""The commands on tasks by example, and what each may refuse."""

from __future__ import annotations

from typing import Any

from claudebench.errors import NotFound, Stale
from claudebench.rpc.examples import Example, Told

CREATED, LATER, LEASE_END = "2026-03-01T09:00:00.000Z", "2026-03-01T09:00:05.000Z", "2026-03-01T09:01:05.000Z"
CREATE = ("task.create", {"text": "Write the release notes"})
REGISTER = ("system.register", {"id": "worker-1", "roles": ["python"]})
CLAIM = ("task.claim", {"workerId": "worker-1"})
HOLDER = {"id": "t-1", "workerId": "worker-1", "epoch": 1}
COMPLETE = ("task.complete", {**HOLDER, "result": {"file": "NOTES.md"}})
CLAIMED = (REGISTER, CREATE, CLAIM)


def _task(**other: Any) -> dict[str, Any]:
    """Return a task as it is answered, with other fields than those of a new one."""
    return {
        "id": "t-1",
        "text": "Write the release notes",
        "status": "pending",
        "priority": 50,
        "epoch": 0,
        "attempts": 0,
        "maxAttempts": 3,
        "requires": [],
        "metadata": {},
        "createdAt": CREATED,
        "updatedAt": other.pop("at", CREATED),
        "dependsOn": [],
        **other,
    }


BEGUN = _task(status="in_progress", epoch=1, attempts=1, assignedTo="worker-1", at=LATER)

TOLD = {
    "task.create": Told(
        (
            Example(
                "a task for who knows Python",
                {
                    "text": "Write the release notes",
                    "priority": 80,
                    "requires": ["python"],
                    "metadata": {"branch": "main"},
                },
                _task(priority=80, requires=["python"], metadata={"branch": "main"}),
            ),
            Example(
                "a task that waits for another",
                {"text": "Publish the release notes", "dependsOn": ["t-1"]},
                _task(id="t-2", text="Publish the release notes", dependsOn=["t-1"], waitsFor=1),
                given=(CREATE,),
            ),
        ),
        refuses=(NotFound,),
    ),
    "task.get": Told((Example("one task", {"id": "t-1"}, _task(), given=(CREATE,)),), refuses=(NotFound,)),
    "task.list": Told(
        (
            Example(
                "the most urgent one that nobody has begun",
                {"status": "pending", "orderBy": "priority", "limit": 1},
                {
                    "tasks": [_task()],
                    "totalCount": 2,
                    "hasMore": True,
                    "totalCountExact": True,
                    "nextCursor": "219d-3518437208883201-1",
                },
                given=(CREATE, CREATE),
            ),
        )
    ),
    "task.count": Told(
        (
            Example(
                "what there is",
                {},
                {"pending": 1, "inProgress": 0, "completed": 0, "failed": 0, "deadLetters": 0},
                given=(CREATE,),
            ),
        )
    ),
    "task.assign": Told(
        (
            Example(
                "reserved for one worker",
                {"taskId": "t-1", "instanceId": "worker-1"},
                {"taskId": "t-1", "instanceId": "worker-1", "assignedAt": LATER, "epoch": 1},
                given=(REGISTER, CREATE),
            ),
        ),
        refuses=(NotFound,),
    ),
    "task.unassign": Told(
        (Example("taken from its holder", {"id": "t-1"}, _task(epoch=2, at=LATER), given=CLAIMED),),
        refuses=(NotFound,),
    ),
    "task.claim": Told(
        (
            Example(
                "the most urgent task",
                {"workerId": "worker-1"},
                {"claimed": True, "tasks": [BEGUN], "taskId": "t-1", "task": BEGUN},
                given=(REGISTER, CREATE),
            ),
            Example("nothing to do", {"workerId": "worker-1"}, {"claimed": False, "tasks": []}, given=(REGISTER,)),
        ),
        refuses=(NotFound,),
    ),
    "task.renew": Told(
        (
            Example(
                "held for another minute", {**HOLDER, "leaseMs": 60_000}, BEGUN | {"leaseUntil": LEASE_END}, CLAIMED
            ),
        ),
        refuses=(NotFound, Stale),
    ),
    "task.complete": Told(
        (
            Example(
                "done, with a result",
                {**HOLDER, "result": {"file": "NOTES.md"}},
                {"id": "t-1", "status": "completed", "completedAt": LATER},
                given=CLAIMED,
            ),
        ),
        refuses=(NotFound, Stale),
    ),
    "task.fail": Told(
        (
            Example(
                "failed, and free again for another attempt",
                {**HOLDER, "error": "the changes cannot be read", "retryable": True},
                {"id": "t-1", "status": "pending"},
                given=CLAIMED,
            ),
        ),
        refuses=(NotFound, Stale),
    ),
    "task.release": Told(
        (Example("given back untouched", HOLDER, _task(epoch=2, at=LATER), given=CLAIMED),),
        refuses=(NotFound, Stale),
    ),
    "task.update": Told(
        (
            Example(
                "more urgent, with a reviewer",
                {"id": "t-1", "updates": {"priority": 90, "metadata": {"reviewer": "ada"}}},
                _task(priority=90, metadata={"reviewer": "ada"}, at=LATER),
                given=(CREATE,),
            ),
        ),
        refuses=(NotFound, Stale),
    ),
    "task.retry": Told(
        (Example("done once more", {"id": "t-1"}, _task(epoch=2, at=LATER), given=(*CLAIMED, COMPLETE)),),
        refuses=(NotFound,),
    ),
    "task.delete": Told(
        (Example("removed", {"id": "t-1"}, {"id": "t-1", "deleted": True}, given=(CREATE,)),), refuses=(NotFound,)
    ),
}
