"""Events through each of the three ways to deliver: three servers, twenty subscribers, processes killed on the way.

    .venv/bin/python benchmarks/delivery.py [--events 100000] [--groups 20] [--save benchmarks/results/delivery.json]

For each way a fresh Valkey or Redis (append-only file, everysec) and three servers on it, all with the same app
(`benchmarks/delivery_app`), whose subscribers write each event down in a file. First single events, 20 a second, timed
from before the write to the beginning of the handler; then so many events as fast as they are handled (the writer is
never more than `AHEAD` ahead of the slowest subscriber), while one server is killed and started again, one stands still
for longer than its lease, and one is stopped and started. Then every line is counted: what was lost, what was handled
more than once, what came behind something newer of its partition, what behind anything newer at all. CPU is that of the
servers and of the store, for each delivery; the bytes are what the store received and sent, for each event.
The limit beside them is bare appends by our own script in the same run, pipelined, with nobody listening.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from claudebench import __version__
from claudebench.app import CATALOGUE, SCRIPTS
from claudebench.events.cursor import Cursors, partition_of
from claudebench.events.log import EventLog
from claudebench.events.position import number
from claudebench.patterns.label import Pattern
from claudebench.patterns.migration import Migration
from claudebench.patterns.seam import Seams
from claudebench.store.connection import Address, Connection
from claudebench.store.datadir import DataDir
from claudebench.store.engine import find_engine
from claudebench.store.lease import Leases
from claudebench.store.origin import Origin
from claudebench.store.server import EmbeddedStore
from claudebench.store.workspaces import Workspaces
from claudebench.testing import eventually
from claudebench.testing.server import Server, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from rich.progress import TaskID

WORKSPACE, SERVERS, KEYS, AHEAD, BATCH = "bench", 3, 500, 2_000, 50
STILL_S, QUIET_S, WITHIN_S, LIMIT_EVENTS = 8.0, 1.0, 3_600.0, 20_000
TICKS = os.sysconf("SC_CLK_TCK")
HERE = Path(__file__).parent


@dataclass(slots=True)
class Fleet:
    """Three servers on a store, and a connection that writes and looks."""

    store_pid: int
    servers: list[Server]
    connection: Connection
    folder: Path
    groups: int
    written: dict[str, str] = field(default_factory=dict)  # position -> subject
    spent: float = 0.0  # CPU of servers that ended
    last_lines: int = 0
    grew_s: float = 0.0
    given_up: int = 0

    @property
    def names(self) -> list[str]:
        """The groups."""
        return [f"bench{at:02}" for at in range(self.groups)]

    @property
    def outs(self) -> list[Path]:
        """Where the subscribers write."""
        return [self.folder / f"out{at}" for at in range(SERVERS)]

    def has_room(self) -> bool:
        """Tell whether the writer is not too far ahead, or nothing more comes: what is missing may be lost."""
        lines = self.lines()
        if lines != self.last_lines:
            self.last_lines, self.grew_s = lines, time.monotonic()
        missing = len(self.written) - lines // max(1, self.groups)
        if time.monotonic() > self.grew_s + QUIET_S:
            self.given_up = missing
        return missing - self.given_up < AHEAD

    async def write(self, count: int, log: EventLog) -> None:
        """Write events, in order per key."""
        names = [f"k{(len(self.written) + at) % KEYS}" for at in range(count)]
        payload = f'{{"at":{time.monotonic_ns()}}}'.encode()
        told = await asyncio.gather(*(log.append(Origin(WORKSPACE), "x.bench.said", each, payload) for each in names))
        self.written |= {position.decode(): name for (position, *_), name in zip(told, names, strict=True)}

    def lines(self) -> int:
        """Return how many deliveries were written down."""
        return sum(count_lines(out) for out in self.outs)

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds of the servers and of the store so far."""
        servers = self.spent + sum(cpu_of(each.process.pid) for each in self.servers)
        return {"servers": servers, "store": cpu_of(self.store_pid)}

    async def bytes(self) -> int:
        """Return how much the store received and sent."""
        info = (await self.connection.command("INFO", "stats")).decode()
        fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        return int(fields["total_net_input_bytes"]) + int(fields["total_net_output_bytes"])

    async def kill(self, at: int) -> None:
        """Kill a server."""
        self.spent += cpu_of(self.servers[at].process.pid)
        await self.servers[at].kill()

    async def stop(self, at: int) -> None:
        """Stop a server in order."""
        self.spent += cpu_of(self.servers[at].process.pid)
        await self.servers[at].stop()


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar that grows."""

    progress: Progress
    task: TaskID

    def show(self, done: int) -> None:
        """Show how much is done."""
        self.progress.update(self.task, completed=done)


def count_lines(path: Path) -> int:
    """Return how many lines a file has."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


@asynccontextmanager
async def fleet(groups: int, count: int = SERVERS) -> AsyncIterator[Fleet]:
    """Run a store, and servers with the app."""
    folder = Path(tempfile.mkdtemp(prefix="delivery-"))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        data_dir = stack.enter_context(DataDir(folder / "store"))
        store = EmbeddedStore(data_dir, durability="everysec", max_memory="8gb")
        await store.start()
        stack.push_async_callback(store.stop)
        connection = Connection(Address(socket=str(store.socket_path)), SCRIPTS)
        await connection.open()
        stack.push_async_callback(connection.close)
        connection.on_change = Workspaces(connection).enter
        servers = []
        for at in range(count):
            env = {"BENCH_OUT": str(folder / f"out{at}"), "BENCH_GROUPS": str(groups), "PYTHONPATH": f"{HERE}:src"}
            options = ("--redis-url", f"unix://{store.socket_path}", "--app", "delivery_app", "--workspace", WORKSPACE)
            servers.append(await stack.enter_async_context(serve(folder / f"s{at}", *options, env=env)))
        info = (await connection.command("INFO", "server")).decode()
        store_pid = int(info.partition("process_id:")[2].partition("\n")[0])
        yield Fleet(store_pid, servers, connection, folder, groups)


async def measure(way: Pattern, events: int, groups: int, singles: int, progress: Progress) -> dict[str, Any]:
    """Return what one way does."""
    async with fleet(groups) as found:
        log, seams = EventLog(found.connection, CATALOGUE), Seams(found.connection)
        await found.write(1, log)
        await eventually(lambda: all_there(seams), within_s=60)
        if way is not Pattern.HYBRID:
            outcome = await Migration(seams, Leases(found.connection), "bench").switch(Origin(WORKSPACE), "events", way)
            assert outcome.is_completed, outcome.reason
        await eventually(lambda: found.lines() == groups, within_s=60)
        await eventually(lambda: shared(found, way), within_s=60)
        bar = Bar(progress, progress.add_task(f"{way}: single events", total=singles))
        latency = await single(found, log, singles, bar)
        bar = Bar(progress, progress.add_task(f"{way}: {events:,} events", total=events))
        before, bytes_before, began = found.cpu(), await found.bytes(), time.monotonic()
        await flood(found, log, events, bar)
        took, after, bytes_after = time.monotonic() - began, found.cpu(), await found.bytes()
        deliveries = events * groups
        return {
            "way": way.value,
            **latency,
            "events": events,
            "deliveries": deliveries,
            "seconds": round(took, 1),
            "deliveries_s": round(deliveries / took),
            "cpu_us_servers": round((after["servers"] - before["servers"]) / deliveries * 1e6, 1),
            "cpu_us_store": round((after["store"] - before["store"]) / deliveries * 1e6, 1),
            "store_bytes_event": round((bytes_after - bytes_before) / events),
            **judged(found),
        }


async def all_there(seams: Seams) -> bool:
    """Tell whether every server serves the workspace."""
    view = await seams.show(WORKSPACE, "events")
    return sum(each.place.state == "running" for each in view.members) == SERVERS


async def shared(found: Fleet, way: Pattern) -> bool:
    """Tell whether every partition of every group is held, by as many as read under this way."""
    readers = 1 if way is Pattern.CENTRALIZED else SERVERS
    cursors = Cursors(found.connection)
    for group in found.names:
        holders = {each.holder for each in await cursors.lag(WORKSPACE, group)}
        if "" in holders or len(holders) != readers:
            return False
    return True


async def single(found: Fleet, log: EventLog, count: int, bar: Bar) -> dict[str, Any]:
    """Return how long single events take from before their write to each handler."""
    before = {out: count_lines(out) for out in found.outs}
    for said in range(count):
        await found.write(1, log)
        await asyncio.sleep(0.05)
        bar.show(said + 1)
    await eventually(lambda: found.lines() >= sum(before.values()) + count * found.groups, within_s=60)
    took = []
    for out in found.outs:
        for line in out.read_text().splitlines()[before[out] :]:
            _, _, handled, written, _ = line.split(" ")
            took.append((int(handled) - int(written)) / 1e6)
    cuts = quantiles(took, n=100)
    return {"p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}


async def flood(found: Fleet, log: EventLog, events: int, bar: Bar) -> None:
    """Write events as fast as the slowest subscriber takes them, and let processes be killed, stand still and stop."""
    begun = len(found.written)
    faults = asyncio.create_task(disturb(found, begun, events))
    while (said := len(found.written) - begun) < events:
        await found.write(min(BATCH, events - said), log)
        bar.show(said)
        await eventually(found.has_room, within_s=WITHIN_S)
    await faults
    bar.show(events)
    await settled(found)


async def disturb(found: Fleet, begun: int, events: int) -> None:
    """Kill one server at a fifth and start it again, let one stand still at two, stop and start one at three."""

    def is_at(share: float) -> bool:
        return len(found.written) - begun >= events * share

    await eventually(lambda: is_at(0.2), within_s=WITHIN_S)
    await found.kill(0)
    await found.servers[0].start()
    await eventually(lambda: is_at(0.4), within_s=WITHIN_S)
    os.kill(found.servers[1].process.pid, signal.SIGSTOP)
    await asyncio.sleep(STILL_S)
    os.kill(found.servers[1].process.pid, signal.SIGCONT)
    await eventually(lambda: is_at(0.6), within_s=WITHIN_S)
    await found.stop(2)
    await found.servers[2].start()


async def settled(found: Fleet) -> None:
    """Wait until every group is at the end of the log, and nothing more is written down."""
    cursors, last = Cursors(found.connection), max(found.written, key=number)

    async def is_at_end() -> bool:
        for group in found.names:
            for lag in await cursors.lag(WORKSPACE, group):
                if number(lag.position) < number(last) and lag.behind:
                    return False
        return True

    await eventually(is_at_end, within_s=WITHIN_S)
    while True:
        lines = found.lines()
        await asyncio.sleep(1)
        if found.lines() == lines:
            return


def judged(found: Fleet) -> dict[str, Any]:
    """Return what was lost, doubled and out of order, over all subscribers."""
    told: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for out in found.outs:
        for line in out.read_text().splitlines():
            group, position, handled, _, _ = line.split(" ")
            told[group].append((int(handled), position))
    wanted = set(found.written)
    lost = sum(len(wanted - {position for _, position in told[name]}) for name in found.names)
    doubled = sum(len(each) - len({position for _, position in each}) for each in told.values())
    invented = sum(position not in wanted for each in told.values() for _, position in each)
    orders = [first_tellings(each) for each in told.values()]
    return {
        "lost": lost,
        "doubled": doubled,
        "invented": invented,
        "out_of_partition_order": sum(overtaken(order, found.written) for order in orders),
        "out_of_log_order": sum(overtaken(order, None) for order in orders),
    }


def first_tellings(told: list[tuple[int, str]]) -> list[str]:
    """Return the positions in the order in which they were handled first."""
    seen: dict[str, None] = {}
    for _, position in sorted(told):
        seen.setdefault(position)
    return list(seen)


def overtaken(order: Sequence[str], subjects: dict[str, str] | None) -> int:
    """Count what was handled after something newer: of its partition, or, without subjects, of all."""
    newest: dict[int, tuple[int, int]] = {}
    count = 0
    for position in order:
        at, place = partition_of(subjects[position], 16) if subjects else 0, number(position)
        if place < newest.get(at, (0, 0)):
            count += 1
        else:
            newest[at] = place
    return count


async def limit() -> dict[str, Any]:
    """Return how fast bare appends are, with nobody there."""
    async with fleet(0, 0) as found:
        log = EventLog(found.connection, CATALOGUE)
        before, began = cpu_of(found.store_pid), time.monotonic()
        for _ in range(LIMIT_EVENTS // BATCH):
            await found.write(BATCH, log)
        took = time.monotonic() - began
        return {
            "appends_s": round(LIMIT_EVENTS / took),
            "cpu_us_store": round((cpu_of(found.store_pid) - before) / LIMIT_EVENTS * 1e6, 1),
        }


def shown(rows: list[dict[str, Any]], bare: dict[str, Any]) -> Table:
    """Return the figures as a table."""
    table = Table(title=f"bare appends {bare['appends_s']:,}/s, {bare['cpu_us_store']} us of the store")
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{each:,}" if isinstance(each, int) else str(each) for each in row.values()))
    return table


async def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--singles", type=int, default=200)
    parser.add_argument("--ways", nargs="+", type=Pattern, default=list(Pattern))
    parser.add_argument("--save", type=Path)
    chosen = parser.parse_args()
    console = Console(stderr=True, width=200)
    with Progress(console=console) as progress:
        bare = await limit()
        rows = [await measure(way, chosen.events, chosen.groups, chosen.singles, progress) for way in chosen.ways]
    Console(width=220).print(shown(rows, bare))
    if chosen.save:
        about = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "claudebench": __version__,
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "engine": str(find_engine()),
            "servers": SERVERS,
            "groups": chosen.groups,
        }
        chosen.save.write_text(json.dumps(about | {"bare": bare, "ways": rows}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
