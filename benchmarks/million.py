"""Claims from a ledger of a million tasks, and past a hundred thousand that the claimer may not take.

    .venv/bin/python benchmarks/million.py [--tasks 1000000] [--blocked 100000] [--claims 2000] [--save FILE]

Four workspaces of one store: nothing but what is claimed; a million tasks; tasks of a foreign role at the head; tasks
denied to the claimer at the head. They are filled by our own scripts, pipelined on the store's socket, the bound of the
queue raised. Claims go over HTTP, one at a time, a hundred from each workspace in turn, so that noise hits all alike;
each is checked: it is the oldest task that the claimer may take.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import msgspec
from rich.progress import Progress

from claudebench.testing.fill import Direct, creates, denials, fill, register_words
from claudebench.testing.load import figures
from claudebench.testing.server import Server, serve

if TYPE_CHECKING:
    from claudebench.testing.client import AsyncClient

WORKER = "claimer"
URGENT, PLAIN = 100, 50
TURN, DEAD_AFTER_MS = 100, 3_600_000
LATENCIES = ("p50Ms", "p95Ms", "p99Ms", "maxMs")


@dataclass(slots=True)
class Case:
    """One workspace: the tasks that the claimer must get, in this order, and what its claims took."""

    expected: list[int]
    samples: list[int] = field(default_factory=list)
    script_us: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Return what is shown and saved."""
        told = figures(self.samples, 1)
        scripts = {"claims": len(self.samples), "scriptUs": round(statistics.median(self.script_us), 1)}
        return scripts | {name: told[name] for name in LATENCIES}


@dataclass(slots=True)
class Trial:
    """One store being filled and claimed from."""

    server: Server
    direct: Direct
    options: argparse.Namespace
    progress: Progress

    async def run(self) -> dict[str, Any]:
        """Fill four workspaces, claim from them in turns of `TURN`, and return their figures."""
        cases = {"empty": Case(await asyncio.to_thread(self._fill, "empty", self.options.claims))}
        before = self.direct.used_memory()
        cases["million"] = Case(await asyncio.to_thread(self._fill, "million", self.options.tasks))
        task_bytes = (self.direct.used_memory() - before) / self.options.tasks
        cases["foreign"] = Case(await asyncio.to_thread(self._fill_foreign))
        cases["denied"] = Case(await asyncio.to_thread(self._fill_denied))
        await self._take_turns(cases)
        found = {name: case.figures() for name, case in cases.items()}
        for case in found.values():
            case["p99Ratio"] = round(case["p99Ms"] / found["empty"]["p99Ms"], 2)
        found["million"]["bytesPerTask"] = round(task_bytes, 1)
        return found

    async def _take_turns(self, cases: dict[str, Case]) -> None:
        for start in self.progress.track(range(0, self.options.claims, TURN), description="claiming in turns"):
            for name, case in cases.items():
                async with self.server.client(workspace=name) as client:
                    await client.call("system.register", id=WORKER, roles=["worker"], deadAfterMs=DEAD_AFTER_MS)
                    self.direct.call("CONFIG", "RESETSTAT")
                    await self._claim(client, case, case.expected[start : start + TURN])
                    case.script_us.append(self._script_us())

    def _fill(self, workspace: str, count: int, priority: int = PLAIN, role: str = "") -> list[int]:
        bar = self.progress.add_task(f"{workspace}: storing {count:,}", total=count)
        return fill(
            self.direct, creates(workspace, count, priority, role), lambda done: self.progress.advance(bar, done)
        )

    def _fill_foreign(self) -> list[int]:
        self._fill("foreign", self.options.blocked, URGENT, "gpu")
        return self._fill("foreign", self.options.claims)

    def _fill_denied(self) -> list[int]:
        numbers = self._fill("denied", self.options.blocked, URGENT)
        bar = self.progress.add_task(f"denied: denying {len(numbers):,}", total=2 * len(numbers))
        self.direct.call(*register_words("denied", WORKER))
        fill(self.direct, denials("denied", numbers, WORKER), lambda done: self.progress.advance(bar, done))
        return self._fill("denied", self.options.claims)

    def _script_us(self) -> float:
        """Return the mean time of a script in the store since the last reset: claims, completes, the sweep's ticks."""
        lines = self.direct.call("INFO", "commandstats").decode().splitlines()
        line = next(line for line in lines if line.startswith("cmdstat_evalsha:"))
        return float(dict(pair.split("=") for pair in line.partition(":")[2].split(","))["usec_per_call"])

    async def _claim(self, client: AsyncClient, case: Case, expected: list[int]) -> None:
        for n in expected:
            started = perf_counter_ns()
            got = await client.call("task.claim", workerId=WORKER)
            case.samples.append(perf_counter_ns() - started)
            assert got.get("taskId") == f"t-{n}", f"claimed {got.get('taskId')}, not t-{n}"
            await client.call("task.complete", id=f"t-{n}", workerId=WORKER, epoch=got["task"]["epoch"])


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start a server, run the trial, return its figures."""
    with tempfile.TemporaryDirectory(prefix="claudebench-million-") as folder, Progress(transient=True) as progress:
        async with serve(Path(folder) / "data", "--limits", "off") as server:
            lock = json.loads((server.data_dir / "lock").read_text())
            with Direct(lock["store"]["socket"]) as direct:
                return await Trial(server, direct, options, progress).run()


def show(found: dict[str, Any]) -> None:
    """Print the figures for people."""
    print(f"{'case':10} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'p99 to empty':>13} {'script us':>10}")
    for name, case in found.items():
        times = " ".join(f"{case[figure]:8.3f}" for figure in ("p50Ms", "p99Ms", "maxMs"))
        print(f"{name:10} {times} {case['p99Ratio']:12.2f}x {case['scriptUs']:10.1f}")
    print(f"the store takes {found['million']['bytesPerTask']} bytes for a task, its event included")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="claims from a million tasks")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--blocked", type=int, default=100_000)
    parser.add_argument("--claims", type=int, default=2000)
    parser.add_argument("--save", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    wanted = read_options()
    result = asyncio.run(measure(wanted))
    show(result)
    if wanted.save:
        wanted.save.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
