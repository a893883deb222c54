"""`claudebench bench`: a fresh server measured row by row, beside what its store can do at all in the same round.

Machines are noisy, so what counts is a ratio taken within one round, and the median over the rounds. The load comes
from processes of their own that check every answer; a wrong one makes the exit code 1. A missed floor does not.
"""

from __future__ import annotations

import asyncio
import csv
import json as jsonlib
import os
import platform
import shutil
import socket
import statistics
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from claudebench import __version__
from claudebench.cli.bench_rows import EMPTY, FLOODED, IDLE, LIMIT, LOADED, LOADS, ROWS, STORED, WORDS, Figures, Row
from claudebench.errors import ClaudeBenchError
from claudebench.settings import PREFIX
from claudebench.store.engine import find_engine
from claudebench.testing.fill import Direct, create_words, creates, fill
from claudebench.testing.server import Server, serve

LIMIT_GUESS = 20_000
BODY_BYTES = 100 * 2**20
FLOOD_WITHIN_S = 10.0
WITHOUT = (
    "neither redis-benchmark nor valkey-benchmark is on PATH, so the limit is what our own Python client reaches, "
    "which may be less; type: apt-get install redis-tools"
)


class BenchFailed(ClaudeBenchError):
    """The benchmark could not run."""


@dataclass(slots=True)
class Bench:
    """One run of the benchmark: what is wanted, what was found so far."""

    seconds: float
    rounds: int
    rows: tuple[Row, ...]
    progress: Progress
    tool: str = field(default_factory=lambda: _tool() or "built-in")
    found: list[dict[str, Figures]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Run every round, each on servers of its own."""
        bar = self.progress.add_task("", total=self.rounds * len(self.rows))
        for number in range(1, self.rounds + 1):
            self.found.append({})
            with tempfile.TemporaryDirectory(prefix="claudebench-bench-") as folder:
                await Round(self, number, bar, Path(folder)).run()

    def medians(self) -> dict[str, Figures]:
        """Return, for each row, the median of each figure over the rounds."""
        return {row.name: _median([each[row.name] for each in self.found if row.name in each]) for row in self.rows}


@dataclass(slots=True)
class Round:
    """One round: a loaded server, then one that is started again."""

    bench: Bench
    number: int
    bar: Any
    folder: Path

    async def run(self) -> None:
        """Measure what is wanted."""
        if {LIMIT, *LOADS, IDLE, LOADED, FLOODED} & set(self.bench.rows):
            async with serve(self.folder / "loaded", "--limits", "off", env=_clean_environment()) as server:
                await self._loaded(server)
        if {EMPTY, STORED} & set(self.bench.rows):
            await self._restarted()

    async def _loaded(self, server: Server) -> None:
        self._note(IDLE, {"mb": server.resident_mb})
        for row in (LIMIT, *LOADS):
            if row in self.bench.rows:
                await self._load(server, row)
        self._note(LOADED, {"mb": server.resident_mb})
        if FLOODED in self.bench.rows:
            self._say(FLOODED)
            await asyncio.to_thread(flood, server.url)
            self._note(FLOODED, {"mb": server.resident_mb})

    async def _load(self, server: Server, row: Row) -> None:
        self._say(row)
        workspace = f"row-{ROWS.index(row)}"
        if row.stored:
            await asyncio.to_thread(_store, server, workspace, row.stored)
        before = _cpu_s(server)
        figures = await (self._limit(server) if row is LIMIT else self._talk(server, row, workspace))
        spent = [after - was for was, after in zip(before, _cpu_s(server), strict=True)]
        if requests := figures.get("requests"):
            costs = {name: cpu_s * 1e6 / requests for name, cpu_s in zip(("serverUs", "storeUs"), spent, strict=False)}
            figures |= {name: us for name, us in costs.items() if row is not LIMIT or name == "storeUs"}
        if row is not LIMIT and (limit := self.bench.found[-1][LIMIT.name].get("rate")):
            figures["ratio"] = figures["rate"] / limit
        self._note(row, figures)

    async def _limit(self, server: Server) -> Figures:
        if self.bench.tool == "built-in":
            return await self._command(LIMIT, "--store", str(_socket(server)))
        rate = self.bench.found[0].get(LIMIT.name, {}).get("rate", LIMIT_GUESS)
        return await benchmark(self.bench.tool, _socket(server), int(rate * self.bench.seconds))

    async def _talk(self, server: Server, row: Row, workspace: str) -> Figures:
        return await self._command(row, "--url", server.url, "--talk", row.talk, "--workspace", workspace)

    async def _command(self, row: Row, *words: str) -> Figures:
        sizes = ("--connections", str(row.connections), "--seconds", str(self.bench.seconds))
        answer = jsonlib.loads(await _output(sys.executable, "-m", "claudebench.testing.load", *words, *sizes))
        if error := answer.pop("error"):
            self.bench.wrong.append(f"{row.name}, round {self.number}: {error}")
        return {name: value for name, value in answer.items() if value is not None}

    async def _restarted(self) -> None:
        server = Server(self.folder / "restarted", env=_clean_environment())
        for row in (EMPTY, STORED):
            self._say(row)
            began = perf_counter()
            await server.start()
            try:
                self._note(row, {"seconds": perf_counter() - began})
                if row is EMPTY:
                    await asyncio.to_thread(_store, server, "default", STORED.stored)
            finally:
                await server.stop()

    def _say(self, row: Row) -> None:
        self.bench.progress.update(self.bar, description=f"round {self.number}/{self.bench.rounds} · {row.name}")

    def _note(self, row: Row, figures: Figures) -> None:
        if row in self.bench.rows:
            self.bench.found[-1][row.name] = {name: round(value, 3) for name, value in figures.items()}
            self.bench.progress.advance(self.bar)


def run(*, seconds: float, rounds: int, only: str | None, save: Path | None, json: bool) -> None:
    """Measure, print, save.

    Raises:
        BenchFailed: `only` names no row, or a benchmark tool failed.
        typer.Exit: with 1, when an answer was wrong.
    """
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, refresh_per_second=2, transient=True,
    ) as progress:  # fmt: skip
        bench = Bench(seconds, rounds, chosen(only), progress)
        asyncio.run(bench.run())
    document = report(bench)
    if save:
        save.parent.mkdir(parents=True, exist_ok=True)
        save.write_text(jsonlib.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(jsonlib.dumps(document)) if json else show(bench, document)
    if bench.wrong:
        raise typer.Exit(1)


def chosen(only: str | None) -> tuple[Row, ...]:
    """Return the rows whose name holds `only`, and the limit whenever one of them is a load."""
    rows = [row for row in ROWS if not only or only.lower() in row.name.lower()]
    if not rows:
        raise BenchFailed(f"no row's name holds {only!r}; there are: {'; '.join(row.name for row in ROWS)}")
    needs_limit = LIMIT not in rows and any(row in LOADS for row in rows)
    return (LIMIT, *rows) if needs_limit else tuple(rows)


def report(bench: Bench) -> dict[str, Any]:
    """Return everything that was found, as it is saved."""
    medians = bench.medians()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": __version__,
        "engine": str(find_engine()),
        "python": platform.python_version(),
        "machine": {"cpu": _cpu_model(), "cores": os.cpu_count(), "system": platform.platform()},
        "limitTool": bench.tool,
        "secondsPerRow": bench.seconds,
        "rows": [
            {
                "name": row.name,
                "floor": ", ".join(map(str, row.floor)),
                "goal": ", ".join(map(str, row.goal)),
                "met": row.met(medians[row.name]),
                "medians": medians[row.name],
                "rounds": [each[row.name] for each in bench.found if row.name in each],
            }
            for row in bench.rows
        ],
        "wrongAnswers": bench.wrong,
    }


def show(bench: Bench, document: dict[str, Any]) -> None:
    """Print the table for people."""
    table = Table("row", title=f"medians of {bench.rounds} rounds of {bench.seconds:g} s", title_justify="left")
    for name in ("per second", "p50 ms", "p99 ms", "ratio", "server µs", "store µs"):
        table.add_column(name, justify="right")
    for name in ("floor", "goal", "met"):
        table.add_column(name)
    for row in document["rows"]:
        figures = row["medians"]
        cells = (_cell(figures, "rate"), _cell(figures, "p50Ms"), _cell(figures, "p99Ms"), _cell(figures, "ratio"))
        costs = (_cell(figures, "serverUs"), _cell(figures, "storeUs"))
        table.add_row(row["name"], *cells, *costs, row["floor"], row["goal"], row["met"])
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table)
    console.print(_foot(bench, document), highlight=False)


def _cell(figures: Figures, name: str) -> str:
    if name == "rate" and name not in figures:
        return next(
            (WORDS[other].format(round(figures[other], 2)) for other in ("mb", "seconds") if other in figures), ""
        )
    if name not in figures:
        return ""
    return f"{figures[name]:,.0f}" if name in ("rate", "serverUs", "storeUs") else f"{figures[name]:.2f}"


def _foot(bench: Bench, document: dict[str, Any]) -> str:
    machine = document["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {document['engine']}, Python {document['python']}"
    lines = [
        "ratio: to the limit of the same round; server and store µs: their CPU per request",
        f"{where}; limit by {bench.tool}",
    ]
    if late := sum(each.get("unrecorded", 0) for row in document["rows"] for each in row["rounds"]):
        lines.append(f"{late:,.0f} tool calls were allowed before their event was acknowledged (`recorded: false`)")
    lines += [WITHOUT] if bench.tool == "built-in" else []
    lines += [f"WRONG ANSWER: {each}" for each in bench.wrong] or ["every answer was checked: none was wrong"]
    return "\n".join(lines)


async def benchmark(tool: str, path: Path, calls: int) -> Figures:
    """Run redis-benchmark or its like against the create script.

    Raises:
        BenchFailed: the tool failed, or the store answered it with errors.
    """
    words = [word.decode() if isinstance(word, bytes) else str(word) for word in create_words("bench")]
    output = await _output(tool, "-s", str(path), "-c", "64", "-n", str(calls), "--csv", "-e", *words)
    header, *rows = [line for line in csv.reader(output.splitlines()) if len(line) > 1]
    if header[:1] != ["test"] or len(rows) != 1:
        raise BenchFailed(f"{tool} said: {output[:500]}")
    told = dict(zip(header, rows[0], strict=True))
    names = {"rate": "rps", "p50Ms": "p50_latency_ms", "p95Ms": "p95_latency_ms", "p99Ms": "p99_latency_ms"}
    return {"requests": calls} | {name: float(told[column]) for name, column in names.items()}


def flood(url: str) -> None:
    """Send a body of 100 MB twice, once declared and once in chunks; the server is right to cut us off."""
    parts = urlsplit(url)
    head = f"POST /rpc HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    declared = f"{head}Content-Length: {BODY_BYTES}\r\n\r\n".encode()
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    piece = b"x" * 2**16
    for start, part in ((declared, piece), (chunked, b"%x\r\n%b\r\n" % (len(piece), piece))):
        _pour((parts.hostname or "", parts.port or 0), start, part, BODY_BYTES // len(piece))


def _pour(address: tuple[str, int], start: bytes, part: bytes, times: int) -> None:
    with suppress(OSError), socket.create_connection(address, timeout=FLOOD_WITHIN_S) as line:
        line.sendall(start)
        for _ in range(times):
            line.sendall(part)
        line.recv(4096)


async def _output(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=os.environ | _clean_environment()
    )
    try:
        output, said = await process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        raise
    if process.returncode:
        raise BenchFailed(f"{' '.join(words[:4])} ended with {process.returncode}: {said.decode()[-500:]}")
    return output.decode()


def _store(server: Server, workspace: str, count: int) -> None:
    with Direct(_socket(server)) as direct:
        fill(direct, creates(workspace, count))


def _socket(server: Server) -> Path:
    return Path(jsonlib.loads((server.data_dir / "lock").read_text())["store"]["socket"])


def _tool() -> str | None:
    return shutil.which("valkey-benchmark") or shutil.which("redis-benchmark")


def _clean_environment() -> dict[str, str]:
    """Return our settings of the environment, each emptied: the server is measured at its defaults."""
    return {name: "" for name in os.environ if name.startswith(PREFIX)}


def _cpu_s(server: Server) -> list[float]:
    """Return the CPU seconds that the server and its store have used; nothing where there is no /proc."""
    found = []
    for pid in (server.process.pid, server.store_pid):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
    return found


def _cpu_model() -> str:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def _median(rounds: list[Figures]) -> Figures:
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {name: statistics.median(each[name] for each in rounds if name in each) for name in names}
