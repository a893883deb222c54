"""A closed loop of load: N keep-alive connections, each asking again as soon as it is answered, every answer checked.

    python -m claudebench.testing.load --url http://127.0.0.1:7420 --talk create --connections 64 --seconds 3

It runs as a process of its own and prints one line of JSON; raw protocols and a C parser keep it far cheaper than the
server it measures (`loadUs` is its own CPU per request, the kernel's half of the socket included). With `--store
SOCKET` it calls the create script on the store's socket instead: the limit where no redis-benchmark is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from time import perf_counter_ns, process_time_ns
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import hiredis
import httptools
import uvloop

from claudebench.testing.fill import create_words, packed
from claudebench.testing.talks import TALKS, Door, Speaker, Talk, Tally, WrongAnswer, audit

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_SHARE, WARM_MAX_S = 0.2, 0.5
HANG_S = 30.0
OK = 200


class Line(asyncio.Protocol):
    """One connection: writes what its talk yields, hands each answer back, until the talk ends."""

    def __init__(self, talk: Talk[None]) -> None:
        """Take the talk; it begins when the connection stands."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._talk = talk
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to talk (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)
        self._answered(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note a cut (asyncio calls this)."""
        if not self.done.done():
            self.done.set_exception(WrongAnswer(f"the server cut a connection: {exc}"))

    def _answered(self, body: bytes | None) -> None:
        try:
            self._transport.write(self._talk.send(cast("bytes", body)))
        except StopIteration:
            self.done.set_result(None)
            self._transport.close()
        except WrongAnswer as error:
            self.done.set_exception(error)
            self._transport.abort()


class HttpLine(Line):
    """A connection that speaks HTTP."""

    def __init__(self, talk: Talk[None]) -> None:
        """Take the talk."""
        super().__init__(talk)
        self._parts: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser (asyncio calls this)."""
        self._parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body (the parser calls this)."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Hand the whole body on (the parser calls this)."""
        body = b"".join(self._parts)
        self._parts.clear()
        if self._parser.get_status_code() != OK:
            body = b'{"status":%d,"body":%b}' % (self._parser.get_status_code(), body or b"null")
        self._answered(body)


class StoreLine(Line):
    """A connection that speaks to the store itself."""

    def __init__(self, talk: Talk[None]) -> None:
        """Take the talk."""
        super().__init__(talk)
        self._reader = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        """Hand the reply on once it is whole (asyncio calls this)."""
        self._reader.feed(data)
        if (reply := self._reader.gets()) is not False:
            self._answered(reply)


def store_talk(tally: Tally) -> Talk[None]:
    """Call the create script and check that it answers a position."""
    words = packed(create_words(tally.workspace))
    while tally.goes_on():
        started = perf_counter_ns()
        tally.requests += 1
        reply: Any = yield words
        tally.finish(started)
        if type(reply) is not list or type(reply[0]) is not bytes:
            raise WrongAnswer(f"the create script answered {reply!r}")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the load and return its figures; `error` tells of the first wrong answer."""
    tally = Tally(options.workspace, options.seconds, min(WARM_MAX_S, options.seconds * WARM_SHARE))
    tally.asked = json.loads(options.asked)
    door = Door(urlsplit(options.url).netloc)
    gc.disable()
    began_ns, error = process_time_ns(), ""
    try:
        await _run(options, _lines(options, door, tally))
    except (WrongAnswer, OSError, TimeoutError) as wrong:
        error = str(wrong) or f"no answer within {HANG_S:.0f} s after the end"
    load_us = (process_time_ns() - began_ns) / 1000 / max(tally.requests, 1)
    if not error and not options.store:
        error = await _audit(options, door, tally)
    counts = {"requests": tally.requests, "unrecorded": tally.unrecorded}
    return figures(tally.samples, options.seconds) | counts | {"loadUs": round(load_us, 1), "error": error}


def _lines(options: argparse.Namespace, door: Door, tally: Tally) -> list[Callable[[], Line]]:
    if options.store:
        return [lambda: StoreLine(store_talk(tally))] * options.connections
    talk = TALKS[options.talk]
    return [lambda n=n: HttpLine(talk(Speaker(door, tally, n))) for n in range(options.connections)]  # type: ignore[misc]


async def _run(options: argparse.Namespace, lines: list[Callable[[], Line]]) -> None:
    protocols = await asyncio.gather(*(_connect(options, line) for line in lines))
    async with asyncio.timeout(options.seconds + HANG_S):
        await asyncio.gather(*(protocol.done for protocol in protocols))


async def _connect(options: argparse.Namespace, line: Callable[[], Line]) -> Line:
    loop = asyncio.get_running_loop()
    if options.store:
        return (await loop.create_unix_connection(line, options.store))[1]
    parts = urlsplit(options.url)
    return (await loop.create_connection(line, parts.hostname, parts.port))[1]


async def _audit(options: argparse.Namespace, door: Door, tally: Tally) -> str:
    try:
        await _run(options, [lambda: HttpLine(audit(Speaker(door, tally, 0)))])
    except (WrongAnswer, OSError, TimeoutError) as wrong:
        return str(wrong) or "the ledger was not counted in time"
    return ""


def figures(samples_ns: list[int], seconds: float) -> dict[str, Any]:
    """Return operations, their rate, and the quantiles of their latencies in milliseconds."""
    ordered = sorted(samples_ns)
    found: dict[str, Any] = {"operations": len(ordered), "rate": round(len(ordered) / seconds, 1)}
    for name, share in (("p50Ms", 0.5), ("p95Ms", 0.95), ("p99Ms", 0.99), ("maxMs", 1.0)):
        found[name] = round(ordered[min(int(share * len(ordered)), len(ordered) - 1)] / 1e6, 3) if ordered else None
    return found


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m claudebench.testing.load", description="a closed loop of load")
    parser.add_argument("--url", default="http://127.0.0.1:7420")
    parser.add_argument("--store", default="", help="socket of the store: call the create script there")
    parser.add_argument("--talk", choices=sorted(TALKS), default="create")
    parser.add_argument("--workspace", default="load")
    parser.add_argument("--asked", default="{}", help="what the talk `list` asks for, as JSON")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(measure(read_options()))) + "\n")
