"""What a request costs in each layer: the server's CPU per request, divided by where py-spy finds it.

    .venv/bin/python benchmarks/layers.py --talk create

The CPU per request is taken without the profiler; its samples only divide it. A sample belongs to the innermost frame
of its stack that a layer claims, so what the standard library does for the guard counts as the guard's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from claudebench.testing.server import Server, serve
from claudebench.testing.talks import TALKS

WAITING = "a thread that waits"
LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (WAITING, ("threading.py",)),
    ("the thread that syncs the store's file", ("claudebench/store/sync.py",)),
    ("answer: uvicorn's send and its two writes", ("Cycle.send", "answer (claudebench/transports/http.py")),
    ("uvicorn and httptools: parse, scope, cycle", ("uvicorn/", "claudebench/transports/protocol.py")),
    ("gate, body, doors", ("claudebench/transports/http.py", "claudebench/asgi.py")),
    ("envelope: decode and checks", ("claudebench/rpc/envelope.py",)),
    ("JSON-RPC door, encode", ("claudebench/transports/jsonrpc.py",)),
    ("dispatch, validate, span", ("claudebench/rpc/", "claudebench/telemetry/")),
    ("handler and store method", ("hooks/handlers.py", "hooks/requests.py", "claudebench/tasks/", "claudebench/events/",
                                  "claudebench/instances/", "claudebench/system/", "store/origin.py")),
    ("guard: shell, paths, rules", ("claudebench/hooks/",)),
    ("multiplexer: pack, write, parse, settle", ("claudebench/store/",)),
    ("event loop, reads, task switches", ("asyncio/", "uvloop")),
)  # fmt: skip


FUNCTIONS_SHOWN = 15


async def measure(options: argparse.Namespace) -> None:
    """Run the load without and with the profiler, and print the budget."""
    with tempfile.TemporaryDirectory(prefix="claudebench-layers-") as folder:
        async with serve(Path(folder) / "data", "--limits", "off") as server:
            before = _cpu_us(server)
            plain = await _load(server, options, "plain")
            request_us = (_cpu_us(server) - before) / plain["requests"]
            raw = Path(folder) / "raw"
            await asyncio.gather(_load(server, options, "profiled"), _profile(server, options.seconds, raw))
            print(f"{options.talk}, {options.connections} connections: {plain['rate']:,.0f}/s")
            show(raw.read_text(), request_us)


def show(raw: str, request_us: float) -> None:
    """Print the microseconds of each layer, the dearest functions below it."""
    layers: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if layer(frames) == WAITING:
            continue
        layers[layer(frames)] += int(count)
        functions[frames[-1].rpartition(":")[0] + ")"] += int(count)
    share = request_us / layers.total()
    print(f"{request_us:7.1f} µs  the server's CPU for a request")
    _print(layers, share, len(LAYERS) + 1)
    print("\nthe dearest functions")
    _print(functions, share, FUNCTIONS_SHOWN)


def _print(samples: Counter[str], share: float, at_most: int) -> None:
    for name, count in samples.most_common(at_most):
        print(f"{count * share:7.1f} µs  {name}")


def layer(frames: list[str]) -> str:
    """Return the layer of the innermost frame that one claims."""
    for frame in reversed(frames):
        for name, marks in LAYERS:
            if any(mark in frame for mark in marks):
                return name
    return "other"


async def _load(server: Server, options: argparse.Namespace, workspace: str) -> dict[str, float]:
    words = ("--talk", options.talk, "--connections", str(options.connections), "--seconds", str(options.seconds))
    where = ("--url", server.url, "--workspace", workspace)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "claudebench.testing.load", *where, *words, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    found: dict[str, float] = json.loads(output)
    return found


async def _profile(server: Server, seconds: float, raw: Path) -> None:
    spy = str(Path(sys.executable).with_name("py-spy"))
    words = ("record", "--pid", str(server.process.pid), "-d", str(max(int(seconds), 1)), "-r", "400", "-f", "raw")
    process = await asyncio.create_subprocess_exec(
        spy, *words, "-o", str(raw), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    await process.wait()


def _cpu_us(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="the server's CPU for a request, by layer")
    parser.add_argument("--talk", choices=sorted(TALKS), default="create")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(measure(read_options()))
