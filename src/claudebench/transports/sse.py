r"""`GET /events`: events as server-sent events, for `curl -N` and a browser's `EventSource`.

`?types=task.*,hook.*` says which (all without it), `?from=ID` behind which position they begin; a `Last-Event-ID`, with
which a browser connects again by itself, counts before it. Each event is `id:` its position, `event:` its type, `data:`
its JSON as `event.list` shows it. `event: gap` and `event: lagged` say what the frames of that name say on a WebSocket
(`frames.py`). Every 15 s a comment keeps the line open, with an `id:` that holds the position up to which everything
wanted was sent.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from claudebench.errors import InvalidParams, Unavailable, nearest
from claudebench.events.patterns import compiled
from claudebench.events.position import SHAPE
from claudebench.transports.frames import Gap as GapFrame
from claudebench.transports.frames import Lagged
from claudebench.transports.protocol import STREAM
from claudebench.transports.response import encode

if TYPE_CHECKING:
    from claudebench.events.channel import Gap, Reader
    from claudebench.events.patterns import Patterns
    from claudebench.events.ring import Frame
    from claudebench.events.tailer import Tailer
    from claudebench.transports.entry import Enter
    from claudebench.transports.http import Receive, Scope, Send
    from claudebench.transports.protocol import Stream
    from claudebench.transports.sockets import Kind, Sockets

PATH = "/events"
ASKED = ("types", "from")
RETRY_MS = 1_000
KEEP_ALIVE_S = 15.0
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_POSITION = re.compile(SHAPE)


async def answer(
    scope: Scope, receive: Receive, send: Send, enter: Enter, *, tailer: Tailer, sockets: Sockets, last_event_id: bytes
) -> None:
    """Send events until the caller is gone.

    Raises:
        ClaudeBenchError: before the first byte, what refuses the call.
    """
    patterns, begin = read(scope["query_string"], last_event_id)
    workspace = enter().workspace
    open_stream = scope.get("extensions", {}).get(STREAM)
    if open_stream is None:
        raise Unavailable("this server cannot stream", reason="server")
    await tailer.position(workspace)
    line = Line(open_stream())
    sockets.enter(line)
    try:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await line.serve(receive, tailer, workspace, patterns, begin)
    finally:
        sockets.leave(line)
        line.leave()


def read(query: bytes, last_event_id: bytes) -> tuple[Patterns, str]:
    """Return which events are wanted, and behind which position ('' for from now on).

    Raises:
        InvalidParams: a parameter is unknown or does not fit.
    """
    asked = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    for name, _ in asked:
        if name not in ASKED:
            raise InvalidParams(f"no parameter {name[:60]!r}", nearest=nearest(name, ASKED))
    types = [part for name, value in asked if name == "types" for part in value.split(",") if part]
    begin = last_event_id.decode("latin-1") or dict(asked).get("from", "")
    if begin and not _POSITION.match(begin):
        raise InvalidParams(f"a position is the id of an event, such as 1764000000000-0, not {begin[:60]!r}")
    return compiled(frozenset(types) or frozenset("*")), begin


def block(frame: Frame) -> bytes:
    """Return an event as it is sent, a chunk of its own."""
    return chunk(b"id: %b\nevent: %b\ndata: %b\n\n" % (frame.position.encode(), frame.type.encode(), _line(frame.json)))


def chunk(data: bytes) -> bytes:
    """Return bytes as a chunk of HTTP/1.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _line(json: bytes) -> bytes:
    """Return JSON as one line: what breaks it can only be blank space between its parts."""
    return json.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in json or b"\r" in json else json


class Line:
    """One open stream."""

    kind: Kind = "sse"
    shape = staticmethod(block)

    def __init__(self, stream: Stream) -> None:
        """Take the stream to write to."""
        self._stream = stream
        self._reader: Reader | None = None
        self._beat: asyncio.TimerHandle | None = None
        stream.on_drain = self._drained

    async def serve(self, receive: Receive, tailer: Tailer, workspace: str, patterns: Patterns, begin: str) -> None:
        """Listen until the stream ends."""
        self._reader = await tailer.join(workspace, self, patterns, begin)
        self._keep_alive()
        while (await receive())["type"] != "http.disconnect":
            pass

    def leave(self) -> None:
        """Listen no more."""
        self._stream.on_drain = None
        if self._beat:
            self._beat.cancel()
        if self._reader:
            self._reader.leave()

    @property
    def is_full(self) -> bool:
        """Whether the peer must take something first."""
        return self._stream.is_full

    def write(self, data: bytes) -> None:
        """Send chunks."""
        self._stream.write(data)

    def tell_begin(self, position: str) -> None:
        """Say how soon to come again, and where the events begin."""
        self._say(b"retry: %d\nid: %b\n\n" % (RETRY_MS, position.encode()))

    def tell_gap(self, gap: Gap) -> None:
        """Say that events are missing."""
        self._say(b"event: gap\ndata: %b\n\n" % encode(GapFrame(gap.begin, gap.trimmed, gap.last)))

    def cut(self, at: str) -> None:
        """Say that the peer lagged behind, and end."""
        self._say(b"event: lagged\ndata: %b\n\n" % encode(Lagged(at)))
        self._stream.end()

    def go_away(self) -> None:
        """End, since the server stops; a peer that does not read is not waited for."""
        self._say(b": the server is going away\n\n")
        self._stream.end()
        if self._stream.is_full:
            self._stream.abort()

    async def settled(self) -> None:
        """Do not wait: nothing comes in here."""

    def _say(self, text: bytes) -> None:
        self._stream.write(chunk(text))

    def _drained(self) -> None:
        if self._reader:
            self._reader.drained()

    def _keep_alive(self) -> None:
        if self._beat and self._reader and not self.is_full:
            self._say(b": keep-alive\nid: %b\n\n" % self._reader.position.encode())
        self._beat = asyncio.get_running_loop().call_later(KEEP_ALIVE_S, self._keep_alive)
