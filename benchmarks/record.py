"""What the record costs: rows a second, its CPU at full create load, and how many creates there are without it.

    .venv/bin/python benchmarks/record.py [--rounds 3] [--seconds 3] [--events 100000] [--postgres] [--save FILE]

Each round takes the limit anew (our create script, called by redis-benchmark over 64 connections), then lets 64
connections create tasks on a server with a record and on one without; the server that begins changes from round to
round, and medians count. The CPU of the writer's thread is read from /proc, beside that of the server's own thread.
Then a log of so many events is written past a server that is away, and the time is taken until all of it is recorded.
Every answer is checked, and at the end that the record has all that the log has.
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
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from claudebench import __version__
from claudebench.cli.bench import benchmark
from claudebench.store.engine import find_engine
from claudebench.testing import eventually
from claudebench.testing.fill import Direct, creates, fill
from claudebench.testing.postgres import Postgres, postgres
from claudebench.testing.server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS, LIMIT_CALLS, WORKSPACE = 64, 20_000, "load-0"  # the first workspace of the talk `create`
WITHIN_S = 600
TICKS = os.sysconf("SC_CLK_TCK")
TOOL = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark") or ""


def threads(server: Server) -> dict[str, float]:
    """Return the CPU seconds of the server's own thread and of all its others, which are the record's."""
    pid = server.process.pid
    found = {"server": 0.0, "record": 0.0}
    for each in Path(f"/proc/{pid}/task").iterdir():
        fields = (each / "stat").read_text().rpartition(")")[2].split()
        found["server" if int(each.name) == pid else "record"] += (int(fields[11]) + int(fields[12])) / TICKS
    return found


async def load(server: Server, seconds: float) -> dict[str, Any]:
    """Let a process of its own create tasks, and return its figures."""
    words = ("--url", server.url, "--talk", "create", "--connections", str(CONNECTIONS), "--seconds", str(seconds))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "claudebench.testing.load", *words, stdout=asyncio.subprocess.PIPE
    )
    told: dict[str, Any] = json.loads((await process.communicate())[0])
    assert not told["error"], told["error"]
    return told


async def level(server: Server) -> dict[str, Any]:
    """Wait until all is recorded, and return how the record stands."""

    async def is_level() -> Any:
        async with server.client(workspace=WORKSPACE) as client:
            told = await client.call("record.status")
        return told if told["logEnd"] and told["position"] == told["logEnd"] else None

    found: dict[str, Any] = await eventually(is_level, within_s=WITHIN_S)
    return found


async def creating(options: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """Create tasks on a server of its own; the limit of its store is taken first."""
    with tempfile.TemporaryDirectory(prefix="claudebench-record-") as folder:
        async with serve(Path(folder) / "data", "--limits", "off", *options) as server:
            socket = json.loads((server.data_dir / "lock").read_text())["store"]["socket"]
            limit = (await benchmark(TOOL, Path(socket), LIMIT_CALLS))["rate"]
            before = threads(server)
            told = await load(server, seconds)
            if "none" not in options:
                await level(server)
            spent = {name: threads(server)[name] - cpu for name, cpu in before.items()}
            return {
                "limit": limit,
                "rate": told["rate"],
                "ratio": round(told["rate"] / limit, 3),
                "p99Ms": told["p99Ms"],
                "serverUs": round(spent["server"] / told["requests"] * 1e6, 1),
                "recordUs": round(spent["record"] / told["requests"] * 1e6, 1),
                "residentMb": round(server.resident_mb, 1),
            }


async def catching_up(options: tuple[str, ...], events: int) -> dict[str, Any]:
    """Write a log past a server that is away, and time how it is recorded."""
    with tempfile.TemporaryDirectory(prefix="claudebench-record-") as folder:
        async with serve(Path(folder) / "data", *options) as server:
            socket = json.loads((server.data_dir / "lock").read_text())["store"]["socket"]
            async with server.client(workspace=WORKSPACE) as client:
                await client.call("task.create", text="the first")
            await level(server)
            await server.kill()
            with Direct(socket) as direct:
                await asyncio.to_thread(fill, direct, creates(WORKSPACE, events))
            await server.start()
            before, began = threads(server), perf_counter()
            await level(server)
            took = perf_counter() - began
            spent = threads(server)["record"] - before["record"]
            return {"events": events, "eventsPerS": round(events / took), "recordUs": round(spent / events * 1e6, 1)}


def kinds(running: Postgres | None) -> Iterator[tuple[str, Any]]:
    """Yield every kind of record, and how the options of a server with it are made."""

    async def sqlite() -> tuple[str, ...]:
        return ()

    async def none() -> tuple[str, ...]:
        return ("--database-url", "none")

    yield "sqlite", sqlite
    yield "none", none
    if running:

        async def remote() -> tuple[str, ...]:
            return ("--database-url", await running.fresh())

        yield "postgresql", remote


async def measure(options: argparse.Namespace, running: Postgres | None) -> dict[str, Any]:
    """Run all rounds and return everything that was found."""
    rounds: dict[str, list[dict[str, Any]]] = {}
    every = list(kinds(running))
    with Progress(transient=True) as progress:
        bar = progress.add_task("creating", total=options.rounds * len(every))
        for number in range(options.rounds):
            for name, make in every[:: 1 if number % 2 else -1]:
                rounds.setdefault(name, []).append(await creating(await make(), options.seconds))
                progress.advance(bar)
        rows = [
            {"record": name, **(await catching_up(await make(), options.events))}
            for name, make in every
            if name != "none"
        ]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": __version__,
        "engine": str(find_engine()),
        "python": platform.python_version(),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "loadAverageAtEnd": os.getloadavg()},
        "creating": {
            name: {field: median(each[field] for each in found) for field in found[0]} for name, found in rounds.items()
        },
        "rounds": rounds,
        "catchingUp": rows,
    }


def show(found: dict[str, Any]) -> None:
    """Print the figures for people."""
    print(f"{'record':12} {'creates/s':>9} {'limit/s':>8} {'ratio':>6} {'p99 ms':>7} {'server µs':>9} {'record µs':>9}")
    for name, row in found["creating"].items():
        cpu = f"{row['serverUs']:9.1f} {row['recordUs']:9.1f}"
        print(f"{name:12} {row['rate']:9.0f} {row['limit']:8.0f} {row['ratio']:6.3f} {row['p99Ms']:7.2f} {cpu}")
    for row in found["catchingUp"]:
        print(f"{row['record']:12} catches up {row['eventsPerS']} events/s, {row['recordUs']} µs of CPU each")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="what the record costs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL too, started for this")
    parser.add_argument("--save", type=Path)
    return parser.parse_args()


def main() -> None:
    """Measure, print, save."""
    wanted = read_options()
    if not TOOL:
        sys.exit("neither redis-benchmark nor valkey-benchmark is on PATH; type: apt-get install redis-tools")
    if wanted.postgres:
        with postgres() as running:
            result = asyncio.run(measure(wanted, running))
    else:
        result = asyncio.run(measure(wanted, None))
    if wanted.save:
        wanted.save.write_text(json.dumps(result, indent=1) + "\n")
    show(result)


if __name__ == "__main__":
    main()
