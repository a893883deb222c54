"""The commands on the server itself by example."""

from __future__ import annotations

from claudebench.errors import NotFound
from claudebench.rpc.examples import Example, Told

WRITE = ("task.create", {"text": "Write the release notes"})
CREATED = {
    "id": "1772355600000-0",
    "type": "task.created",
    "subject": "t-1",
    "payload": {"id": "t-1", "status": "pending", "priority": 50, "doc": {"text": "Write the release notes"}},
    "time": "2026-03-01T09:00:00.000Z",
}
TASK = {
    "id": "t-1",
    "text": "Write the release notes",
    "status": "pending",
    "priority": 50,
    "epoch": 0,
    "attempts": 0,
    "maxAttempts": 3,
    "requires": [],
    "metadata": {},
    "createdAt": "2026-03-01T09:00:00.000Z",
    "updatedAt": "2026-03-01T09:00:00.000Z",
    "dependsOn": [],
}
FIGURES = {"calls": 1, "p50Ms": 0.512, "p99Ms": 0.512}
SCRIPT = {"script": "TASK_CREATE", "sha": "8f14e45fceea167a5a36dedd4bea2543c5a0e7f2", "promise": "adds a task"}

TOLD = {
    "system.health": Told(
        (
            Example(
                "all is well",
                {},
                {
                    "status": "healthy",
                    "services": {"redis": True, "disk": True, "record": True},
                    "durability": "everysec (power loss: at most 2 s)",
                    "version": "0.1.0",
                },
            ),
        )
    ),
    "system.get_state": Told(
        (
            Example(
                "a workspace with one task",
                {},
                {"tasks": [TASK], "instances": [], "recentEvents": [CREATED]},
                given=(WRITE,),
            ),
        )
    ),
    "system.metrics": Told(
        (
            Example(
                "soon after the start",
                {},
                {
                    "eventsProcessed": 1,
                    "tasksCompleted": 0,
                    "memoryUsage": 61.3,
                    "tasks": {"pending": 1, "inProgress": 0, "completed": 0, "failed": 0, "deadLetters": 0},
                    "commands": [{"command": "task.create", "pattern": "centralized", "errors": {}, **FIGURES}],
                    "scripts": [{**SCRIPT, **FIGURES}],
                    "averageLatency": 0.45,
                    "sockets": dict.fromkeys(("webSockets", "streams", "deliveries", "lagged", "gaps", "pages"), 0),
                    "recordBehindMs": 0,
                },
                given=(WRITE,),
            ),
        )
    ),
    "event.list": Told(
        (
            Example(
                "every task that was created",
                {"types": ["task.created"], "limit": 10},
                {"events": [CREATED], "hasMore": False, "nextAfter": "1772355600000-0"},
                given=(WRITE,),
            ),
        )
    ),
    "event.emit": Told(
        (
            Example(
                "a build is done",
                {"type": "x.build.done", "subject": "build-7", "payload": {"ok": True}},
                {"id": "1772355600000-0"},
            ),
        )
    ),
    "event.lag": Told(
        (
            Example(
                "nobody reads yet",
                {},
                {"groups": [], "last": "1772355600000-0", "trimmed": ""},
                given=(WRITE,),
            ),
        ),
        refuses=(NotFound,),
    ),
}
