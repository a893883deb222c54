"""A simulated coding agent: it registers, asks the guard, claims, works and completes until nothing is left.

Run as `python -m claudebench.cli.agent URL NAME`; it prints one JSON line per finished task. An agent told to hang
claims one task and then only waits, silent, to be killed with that task in its hands.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from time import perf_counter

from claudebench.cli.client import Client
from claudebench.errors import Unavailable

DEAD_AFTER_MS = 1000
IDLE_MAX = 200


def work(url: str, name: str, *, hang: bool) -> None:
    """Take tasks until none was free for a while."""
    client = Client(url, instance=name)
    client.call("system.register", id=name, roles=["worker"], bootId=str(os.getpid()), deadAfterMs=DEAD_AFTER_MS)
    idle = 0
    while idle < IDLE_MAX:
        began = perf_counter()
        claim = client.call("task.claim", workerId=name)
        if not claim["claimed"]:
            idle += 1
            signal.sigtimedwait((), 0.02)
            continue
        if hang:
            _hang(name, claim["taskId"])
        idle = 0
        _finish(client, name, claim["task"], began)
    client.call("system.unregister", instanceId=name)


def _finish(client: Client, name: str, task: dict[str, object], began: float) -> None:
    call = {"tool": "Bash", "params": {"command": f"echo working on {task['id']}"}}
    allowed = client.call("hook.pre_tool", **call)["allow"]
    client.call("task.complete", id=task["id"], workerId=name, epoch=task["epoch"], result={"by": name})
    print(json.dumps({"id": task["id"], "ms": (perf_counter() - began) * 1000, "allowed": allowed}), flush=True)


def _hang(name: str, task_id: str) -> None:
    print(json.dumps({"hanging": name, "id": task_id}), flush=True)
    signal.pause()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work(sys.argv[1], sys.argv[2], hang="--hang" in sys.argv)
    except Unavailable as error:
        sys.exit(error.message)
