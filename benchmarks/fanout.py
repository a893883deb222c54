"""One event to 500 sockets: on the server where it happened, and on another one of the same store.

    .venv/bin/python benchmarks/fanout.py --save benchmarks/results/fanout.json

Once more on the same server with one socket beside them that takes nothing at all: it must cost the others nothing.
Two loads on each server, every frame counted: single events, 20 a second, timed from the write of the command to the
receipt at each socket; and a burst that is written as fast as it goes, as deliveries a second. The limit beside them is
a bare writer in the same run: a process that writes bytes of the same length, made once, to 500 plain sockets with
nothing in between, its listeners the very same code; once frame by frame, as single events must be, and once 64 KiB at
a time, as a burst may be. Listeners and the writer of commands share one process of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import uvloop

from claudebench.events.channel import PORTION_BYTES
from claudebench.store.connection import Address, Connection
from claudebench.testing import AsyncClient, Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

GOAL = {"p50_ms": 15, "p99_ms": 60, "deliveries_s": 100_000}
MARK = b'"type":"event"'
EVERY_S = 0.05
DEAF_BYTES, DEAF_BEHIND = 4_096, 3_000
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SUBSCRIBE = b'{"type":"subscribe","patterns":["task.created"]}'
BARE = """
import asyncio, sys, uvloop
async def main():
    writers = []
    frame = b""
    async def commands(reader, writer):
        # A line is how many frames to write to every socket, and how many at a time; the first is the frame's length.
        frame = (b'"type":"event"').ljust(int(await reader.readline()), b"x")
        while line := await reader.readline():
            count, at_once = map(int, line.split())
            while count:
                some = frame * min(count, at_once)
                count -= min(count, at_once)
                for each in writers:
                    each.write(some)
                await asyncio.sleep(0)
    class Held(asyncio.Protocol):
        def connection_made(self, transport):
            writers.append(transport)
            transport.write(b"held")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Held, "127.0.0.1", 0, backlog=1024)
    control = await asyncio.start_server(commands, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], control.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""


class Listener(asyncio.Protocol):
    """One plain socket that counts frames; the moment of each receipt goes to `heard`."""

    def __init__(self, hello: bytes, opened_by: bytes, heard: Tally) -> None:
        self.hello, self.opened_by, self.heard = hello, opened_by, heard
        self.opened = asyncio.get_running_loop().create_future()
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self.transport = transport
        transport.write(self.hello)  # type: ignore[attr-defined]

    def say(self, text: bytes) -> None:
        """Send a short masked text frame, its mask all zero."""
        self.transport.write(b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Count the frames that begin in what came."""
        if not self.opened.done():
            self.rest += data
            if self.opened_by in self.rest:
                self.opened.set_result(None)
                self.rest = b""
            return
        whole = self.rest + data
        count = whole.count(MARK)
        self.rest = whole[-len(MARK) + 1 :]
        if count:
            self.heard.add(count)


class Tally:
    """What all listeners heard of one load."""

    def __init__(self) -> None:
        self.count = 0
        self.wanted = 0
        self.sent_ns = 0
        self.samples: list[int] = []
        self.full = asyncio.Event()

    def expect(self, frames: int) -> None:
        """Begin to count anew."""
        self.count, self.wanted = 0, frames
        self.sent_ns = time.monotonic_ns()
        self.full.clear()

    def add(self, count: int) -> None:
        """Note frames heard now."""
        self.samples.extend([time.monotonic_ns() - self.sent_ns] * count)
        self.count += count
        if self.count >= self.wanted:
            self.full.set()

    async def wait(self) -> None:
        """Wait until all were heard; more than that is an error."""
        async with asyncio.timeout(120):
            await self.full.wait()
        if self.count != self.wanted:
            raise SystemExit(f"{self.count} frames instead of {self.wanted}")


async def listen(port: int, count: int, heard: Tally, *, bare: bool = False) -> list[Listener]:
    """Open sockets, subscribed."""
    loop = asyncio.get_running_loop()
    hello, opened_by = (b"", b"held") if bare else (HANDSHAKE, b'"welcome"')
    opened = []
    for _ in range(count):
        _, each = await loop.create_connection(lambda: Listener(hello, opened_by, heard), "127.0.0.1", port)
        await each.opened
        if not bare:
            each.opened, each.opened_by = loop.create_future(), b'"subscribed"'
            each.say(SUBSCRIBE)
            await each.opened
        opened.append(each)
    return opened


@asynccontextmanager
async def deaf(server: Server, writes: Any, heard: Tally, sockets: int) -> AsyncIterator[None]:
    """Keep a socket open that takes no byte, far enough behind that the server has nothing more to give it to."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DEAF_BYTES)
    line.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(line, ("127.0.0.1", server.port))
    await loop.sock_sendall(line, HANDSHAKE + b"\x81" + bytes([0x80 | len(SUBSCRIBE)]) + bytes(4) + SUBSCRIBE)
    await eventually(lambda: is_there(server, sockets + 1))
    heard.expect(sockets * DEAF_BEHIND)
    await writes(DEAF_BEHIND)
    await heard.wait()
    try:
        yield
        assert await is_there(server, sockets + 1), "the deaf one was cut: it was not there all the time"
    finally:
        line.close()


async def is_there(server: Server, sockets: int) -> bool:
    """Tell whether so many sockets are open."""
    async with server.client() as client:
        found = (await client.call("system.metrics"))["sockets"]["webSockets"]
    return bool(found == sockets)


async def measure(name: str, write: Any, heard: Tally, asked: argparse.Namespace, pid: int) -> dict[str, Any]:
    """Return the figures of one place: single events, then a burst."""
    heard.samples = []
    for _ in range(asked.singles):
        heard.expect(asked.sockets)
        await write(1)
        await heard.wait()
        await asyncio.sleep(EVERY_S)
    cuts = quantiles(heard.samples, n=100)
    rates, cpu = [], []
    for _ in range(asked.rounds):
        before = cpu_s(pid)
        heard.expect(asked.sockets * asked.burst)
        await write(asked.burst)
        await heard.wait()
        took = (time.monotonic_ns() - heard.sent_ns) / 1e9
        rates.append(heard.wanted / took)
        cpu.append((cpu_s(pid) - before) / heard.wanted * 1e6)
    return {
        "where": name,
        "p50_ms": round(cuts[49] / 1e6, 2),
        "p99_ms": round(cuts[98] / 1e6, 2),
        "deliveries_s": round(median(rates)),
        "server_us": round(median(cpu), 2),
    }


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def writer_of(client: AsyncClient) -> Any:
    """Return what makes so many events over HTTP."""

    async def write(count: int) -> None:
        one = {"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": {"text": "an event for all"}}
        while count:
            some = min(count, 250)
            await client.rpc([one] * some if some > 1 else one)
            count -= some

    return write


@asynccontextmanager
async def bare_writer(frame_bytes: int, at_once: int, heard: Tally, sockets: int) -> AsyncIterator[tuple[Any, int]]:
    """Run the bare writer; yield what lets it write, and its process id."""
    process = subprocess.Popen([sys.executable, "-c", BARE], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert process.stdout
    port, control = map(int, process.stdout.readline().split())
    listeners = await listen(port, sockets, heard, bare=True)
    _, writer = await asyncio.open_connection("127.0.0.1", control)
    writer.write(b"%d\n" % frame_bytes)

    async def write(count: int) -> None:
        writer.write(b"%d %d\n" % (count, at_once))

    try:
        yield write, process.pid
    finally:
        for each in listeners:
            each.transport.close()
        writer.close()
        process.kill()
        process.wait()


@asynccontextmanager
async def store(folder: Path) -> AsyncIterator[str]:
    """Run a store of our own; yield its URL."""
    binary = shutil.which("valkey-server") or shutil.which("redis-server")
    if not binary:
        raise SystemExit("neither valkey-server nor redis-server is on PATH: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = (binary, "--port", str(port), "--dir", str(folder), "--appendonly", "yes", "--save", "")
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}"
        connection = Connection(Address.from_url(url))
        await connection.open()
        await connection.close()
        yield url
    finally:
        process.kill()
        await process.wait()


async def at(
    name: str, server: Server, writes_to: Server, asked: argparse.Namespace, *, with_deaf: bool = False
) -> dict[str, Any]:
    """Measure with all sockets at one server and the events made at another or the same."""
    heard = Tally()
    listeners = await listen(server.port, asked.sockets, heard)
    async with writes_to.client() as client:
        write = writer_of(client)
        heard.expect(asked.sockets)
        await write(1)
        await heard.wait()
        async with deaf(server, write, heard, asked.sockets) if with_deaf else nullcontext():
            found = await measure(name, write, heard, asked, server.process.pid)
        found["frame_bytes"] = await frame_bytes(client)
    for each in listeners:
        each.transport.close()
    return found


async def frame_bytes(client: AsyncClient) -> int:
    """Return about how long the frame of such an event is."""
    newest = (await client.call("system.get_state"))["recentEvents"][0]
    return len(json.dumps(newest, separators=(",", ":"))) + 30


async def run(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every place."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            store(Path(folder)) as url,
            serve(Path(folder) / "one", "--redis-url", url, "--limits", "off") as one,
            serve(Path(folder) / "two", "--redis-url", url, "--limits", "off") as two,
        ):
            rows = [
                await at("the same server", one, one, asked),
                await at("the same, one deaf", one, one, asked, with_deaf=True),
                await at("another server", two, one, asked),
            ]
    ours, size = list(rows), rows[0]["frame_bytes"]
    for name, at_once in (("bare, frame by frame", 1), ("bare, 64 KiB at a time", PORTION_BYTES // size)):
        heard = Tally()
        async with bare_writer(size, at_once, heard, asked.sockets) as (write, pid):
            rows.append(await measure(name, write, heard, asked, pid))
    *_, by_frame, in_bulk = rows
    for row in ours:
        row["p50_to_limit"] = round(row["p50_ms"] / by_frame["p50_ms"], 2)
        row["rate_to_limit"] = round(row["deliveries_s"] / in_bulk["deliveries_s"], 2)
    return rows


def main() -> None:
    """Measure, print, and save."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sockets", type=int, default=500)
    options.add_argument("--singles", type=int, default=200, help="single events that are timed")
    options.add_argument("--burst", type=int, default=1_000, help="events of a burst")
    options.add_argument("--rounds", type=int, default=3, help="bursts; the median counts")
    options.add_argument("--save", type=Path)
    asked = options.parse_args()
    rows = uvloop.run(run(asked))
    for row in rows:
        print(
            f"{row['where']:<23} p50 {row['p50_ms']:>7.2f} ms  p99 {row['p99_ms']:>7.2f} ms  "
            f"{row['deliveries_s']:>9,} deliveries/s  {row['server_us']:>5.2f} us of CPU each  "
            + (
                f"p50 {row['p50_to_limit']:.2f} x, rate {row['rate_to_limit']:.2f} x bare"
                if "p50_to_limit" in row
                else ""
            )
        )
    if asked.save:
        machine = {
            "python": sys.version.split()[0],
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "uvicorn": version("uvicorn"),
        }
        asked.save.write_text(json.dumps({"machine": machine, "goal": GOAL, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
