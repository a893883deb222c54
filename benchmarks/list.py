"""Pages of a hundred from a large ledger, in every order and by every filter, and what a task takes in memory.

    .venv/bin/python benchmarks/list.py [--tasks 100000] [--seconds 2] [--connections 16 64] [--save FILE]

One workspace is filled by our own scripts, pipelined on the store's socket: four of ten tasks pending, four completed,
one failed, one in progress of `w1`, priorities evenly from 0 to 100. The limit (our create script, called by
redis-benchmark over 64 connections) is taken anew before each group of rows; the ratio is to that. Each page is
checked: a hundred different tasks, in their order, and none that the filter does not want.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from claudebench import __version__
from claudebench.cli.bench import benchmark
from claudebench.instances.store import REGISTER
from claudebench.store.engine import find_engine
from claudebench.store.keys import prefix
from claudebench.tasks.store import UPDATE
from claudebench.testing.fill import Direct, create_words, fill, script_words
from claudebench.testing.server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudebench.testing.fill import Words

PAGE, LIMIT_CALLS, DAY_MS = 100, 20_000, 86_400_000
TOOL = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark") or ""
ORDERS = (("createdAt", "desc"), ("createdAt", "asc"), ("updatedAt", "desc"), ("priority", "desc"))
FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "pending": {"status": "pending"},
    "completed": {"status": "completed"},
    "of w1": {"assignedTo": "w1"},
    "priority 50": {"priority": 50},
    "at least 70": {"priorityMin": 70},
    "prefix, half of all": {"textPrefix": "even"},
}


def moves(numbers: list[int]) -> Iterator[Words]:
    """Return the commands that leave four of ten pending."""
    ends = {4: "completed", 5: "completed", 6: "completed", 7: "completed", 8: "failed", 9: "in_progress"}
    for n in numbers:
        if status := ends.get(n % 10):
            caller = "w1" if status == "in_progress" else ""
            yield script_words(UPDATE, "list", n, status, caller, *[""] * 7)


def creates(count: int) -> Iterator[Words]:
    """Return the commands that create tasks whose text begins in two ways."""
    for n in range(count):
        words = list(create_words("list", n, n * 37 % 101))
        words[7] = words[7].replace(b'"Fix', b'"even' if n % 2 else b'"odd')  # type: ignore[union-attr,arg-type]
        yield tuple(words)


def store(direct: Direct, count: int, progress: Progress) -> dict[str, float]:
    """Fill the workspace; return the bytes that a task takes when it is new, and where they go."""
    bar = progress.add_task("storing", total=count)
    before = direct.used_memory()
    numbers = fill(direct, creates(count), lambda done: progress.advance(bar, done))
    found = {"newTask": (direct.used_memory() - before) / count}
    for name in ("ev", "ready:", "ls:pending:created", "ls:pending:priority", "ls:pending:updated"):
        found[name] = direct.call("MEMORY", "USAGE", prefix("list") + name, "SAMPLES", 0) / count
    found["task"] = direct.call("MEMORY", "USAGE", f"{prefix('list')}task:{numbers[-1]}", "SAMPLES", 0)
    direct.call("SCRIPT", "LOAD", UPDATE.text)
    direct.call("EVALSHA", REGISTER.sha, 1, prefix("list"), "", "w1", "", b"{}", ",", count, DAY_MS, "")
    progress.update(progress.add_task("moving", total=None))
    list(direct.run(moves(numbers)))
    found["afterMoving"] = (direct.used_memory() - before) / count
    return {name: round(size, 1) for name, size in found.items()}


def check(page: dict[str, Any], asked: dict[str, Any]) -> None:
    """Raise AssertionError unless a page is what was asked for; a short one says that there is more."""
    tasks = page["tasks"]
    assert len({task["id"] for task in tasks}) == len(tasks), f"{asked}: a task is there twice"
    assert len(tasks) == PAGE or page["hasMore"], f"{asked}: {len(tasks)} tasks and no more"
    places = [task[asked["orderBy"]] for task in tasks]
    assert places == sorted(places, reverse=asked["order"] == "desc"), f"{asked}: not in order"
    for task in tasks:
        assert task["status"] == asked.get("status", task["status"]), asked
        assert task.get("assignedTo") == asked.get("assignedTo", task.get("assignedTo")), asked
        assert task["priority"] == asked.get("priority", task["priority"]), asked
        assert task["priority"] >= asked.get("priorityMin", 0), asked
        assert task["text"].startswith(asked.get("textPrefix", "")), asked


async def load(server: Server, asked: dict[str, Any], connections: int, seconds: float) -> dict[str, Any]:
    """Let a process of its own ask for one page again and again, and return its figures."""
    words = ("--url", server.url, "--talk", "list", "--workspace", "list", "--asked", json.dumps(asked))
    sizes = ("--connections", str(connections), "--seconds", str(seconds))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "claudebench.testing.load", *words, *sizes, stdout=asyncio.subprocess.PIPE
    )
    told: dict[str, Any] = json.loads((await process.communicate())[0])
    assert not told["error"], told["error"]
    return {name: told[name] for name in ("rate", "p50Ms", "p99Ms")}


async def rows(server: Server, socket: Path, options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    """Measure every filter in every order; the limit anew before each filter."""
    found: list[dict[str, Any]] = []
    bar = progress.add_task("listing", total=len(FILTERS) * len(ORDERS) * len(options.connections))
    for name, asked in FILTERS.items():
        limit = (await benchmark(TOOL, socket, LIMIT_CALLS))["rate"]
        for by, order in ORDERS:
            wanted = {"orderBy": by, "order": order, **asked}
            async with server.client(workspace="list") as client:
                page = await client.call("task.list", limit=PAGE, **wanted)
                check(page, wanted)
            for connections in options.connections:
                figures = await load(server, wanted, connections, options.seconds)
                row = {
                    "filter": name,
                    "order": f"{by} {order}",
                    "connections": connections,
                    "tasks": len(page["tasks"]),
                }
                found.append(row | figures | {"limit": limit, "ratio": round(figures["rate"] / limit, 3)})
                progress.advance(bar)
    return found


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Fill a server, list from it, and return everything that was found."""
    with tempfile.TemporaryDirectory(prefix="claudebench-list-") as folder, Progress(transient=True) as progress:
        async with serve(Path(folder) / "data", "--limits", "off") as server:
            socket = json.loads((server.data_dir / "lock").read_text())["store"]["socket"]
            with Direct(socket) as direct:
                memory = await asyncio.to_thread(store, direct, options.tasks, progress)
            found = await rows(server, Path(socket), options, progress)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": __version__,
        "engine": str(find_engine()),
        "python": platform.python_version(),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "loadAverageAtEnd": os.getloadavg()},
        "tasks": options.tasks,
        "secondsPerRow": options.seconds,
        "bytesPerTask": memory,
        "rows": found,
    }


def show(found: dict[str, Any]) -> None:
    """Print the figures for people."""
    print(f"{'filter':20} {'order':16} {'conns':>5} {'tasks':>5} {'/s':>7} {'p50 ms':>8} {'p99 ms':>8} {'ratio':>6}")
    for row in found["rows"]:
        what = f"{row['filter']:20} {row['order']:16} {row['connections']:5} {row['tasks']:5}"
        p50, p99 = (row[name] or float("nan") for name in ("p50Ms", "p99Ms"))
        print(f"{what} {row['rate']:7.0f} {p50:8.2f} {p99:8.2f} {row['ratio']:6.3f}")
    print(f"bytes a task: {found['bytesPerTask']}")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="pages of a hundred from a large ledger")
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--save", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    wanted = read_options()
    if not TOOL:
        sys.exit("neither redis-benchmark nor valkey-benchmark is on PATH; type: apt-get install redis-tools")
    result = asyncio.run(measure(wanted))
    if wanted.save:
        wanted.save.write_text(json.dumps(result, indent=1) + "\n")
    show(result)
