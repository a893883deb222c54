"""uvicorn's HTTP/1.1 protocol, bounded before the body and with a short way for an answer that is known whole.

The parser keeps any amount of request line and headers, so this counts them. And uvicorn writes head and body one after
the other, two system calls and two segments for each answer; the ASGI extension `claudebench.response` writes them as
one (docs/adr/0011). The extension `claudebench.stream` writes to an answer that has no end (docs/adr/0027).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from claudebench.transports.wire import TAKE_WITHIN_S, bound_kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from claudebench.transports.response import Response

HEAD_MAX = 65_536
EXTENSION = "claudebench.response"
STREAM = "claudebench.stream"


class Http(HttpToolsProtocol):
    """Closes a socket whose request line and headers pass 64 KiB; offers the extension to every request."""

    _head_bytes = 0
    _in_head = True
    on_drain: Callable[[], None] | None = None

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not complete yet (asyncio calls this)."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_MAX:
            self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, and nothing of what a chunked body sends after it (the parser calls this)."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin the body (the parser calls this)."""
        self._in_head = False
        super().on_headers_complete()
        if self.cycle and self.cycle.scope is self.scope:
            offered = {EXTENSION: partial(respond, self.cycle), STREAM: partial(Stream, self, self.cycle)}
            self.scope["extensions"] = offered  # type: ignore[typeddict-item]

    def on_message_complete(self) -> None:
        """Begin the next head (the parser calls this)."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def resume_writing(self) -> None:
        """Go on (asyncio calls this)."""
        super().resume_writing()
        if self.on_drain:
            self.on_drain()


class Stream:
    """The body of one answer, written in chunks that are made already; nothing here waits."""

    def __init__(self, protocol: Http, cycle: RequestResponseCycle) -> None:
        """Take the answer; it is sent in chunks, and its head is sent by ASGI."""
        self._protocol = protocol
        self._cycle = cycle
        bound_kernel(cycle.transport)

    @property
    def on_drain(self) -> Callable[[], None] | None:
        """What is called when the peer takes more again."""
        return self._protocol.on_drain

    @on_drain.setter
    def on_drain(self, value: Callable[[], None] | None) -> None:
        self._protocol.on_drain = value

    @property
    def is_full(self) -> bool:
        """Whether the peer must take something before more is written."""
        return self._cycle.flow.write_paused

    def write(self, chunks: bytes) -> None:
        """Send whole chunks."""
        if not self._cycle.transport.is_closing():
            self._cycle.transport.write(chunks)

    def end(self) -> None:
        """End the answer and the connection, whatever is unsent: the peer may take it for 30 s."""
        self.write(b"0\r\n\r\n")
        self._cycle.transport.close()
        self._protocol.loop.call_later(TAKE_WITHIN_S, self.abort)

    def abort(self) -> None:
        """Give the connection up, with what is unsent."""
        self._cycle.transport.abort()


def respond(cycle: RequestResponseCycle, response: Response) -> bool:
    """Answer a request with one write; False, and nothing done, when the ordinary way must be gone.

    That is when the client does not read what it was sent (so that ASGI's `send` waits for it), has not sent its whole
    body, or is answered already.
    """
    if cycle.flow.write_paused or cycle.more_body or cycle.response_started or cycle.disconnected:
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.transport.write(_encoded(cycle, response))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


def _encoded(cycle: RequestResponseCycle, response: Response) -> bytes:
    pieces = [STATUS_LINE[response.status]]
    for name, value in (*cycle.default_headers, *response.headers):
        pieces += (name, b": ", value, b"\r\n")
    if not cycle.keep_alive:
        pieces.append(b"connection: close\r\n")
    pieces += (b"content-length: %d\r\n\r\n" % len(response.body), response.body)
    return b"".join(pieces)
