"""uvicorn's WebSocket protocol, bounded, with a short way for frames that are made already.

ASGI sends one message at a time: each is encoded, wrapped and written for each socket anew. What goes to hundreds of
sockets is the same bytes, so the ASGI extension `claudebench.socket` is the protocol itself, which writes them as they
are (docs/adr/0027). What a peer does not take is bounded: `is_full` says when it is enough, `end` gives it 30 s more.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from asyncio import BaseTransport, Transport
    from collections.abc import Callable
    from typing import Any

    from websockets.frames import Frame
    from websockets.http11 import Request

SOCKET = "claudebench.socket"
MESSAGE_MAX = 1_048_576
FRAGMENTS_MAX = 1_024
UNSENT_MAX = 1_048_576
KERNEL_BYTES = 262_144
TAKE_WITHIN_S = 30.0
NOT_TEXT, TOO_MANY = 1007, 1008
SHORT, MIDDLE = 126, 65_536


class WebSocket(WebSocketsSansIOProtocol):
    """One WebSocket; `on_drain` is called when it takes more again."""

    on_drain: Callable[[], None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether the peer must take something before more is written."""
        return not self.writable.is_set()

    @property
    def unsent(self) -> int:
        """How many bytes the peer has not taken, beside what the kernel holds."""
        return self.transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Send whole frames."""
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.transport.write(frames)

    def end(self, code: int, reason: str) -> None:
        """Close, whatever is unsent: the peer may take it for 30 s."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(TAKE_WITHIN_S, self.transport.abort)

    def connection_made(self, transport: BaseTransport) -> None:
        """Bound what the kernel keeps for a peer that does not read (asyncio calls this)."""
        super().connection_made(transport)
        bound_kernel(cast("Transport", transport))

    def handle_connect(self, event: Request) -> None:
        """Offer the extension (the parser calls this)."""
        super().handle_connect(event)
        if not self.close_sent:
            cast("dict[str, Any]", self.scope["extensions"])[SOCKET] = self

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment; a message has at most 1,024, also of no bytes (the parser calls this)."""
        if len(self.frames) >= FRAGMENTS_MAX:
            self.conn.fail(TOO_MANY, "a message has too many fragments")
            self.handle_parser_exception()
        else:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; one of text that is no UTF-8 ends the socket, without a traceback in the log."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self.frames = []
            self.conn.fail(NOT_TEXT, "text is UTF-8")
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Close after what is no WebSocket (the parser calls this); before the handshake nothing is said."""
        if self.conn.close_sent is None:
            self.transport.close()
        else:
            super().handle_parser_exception()

    def keepalive_timeout(self) -> None:
        """Give up a peer that answers no ping, and what it has not taken."""
        super().keepalive_timeout()
        self.transport.abort()

    def resume_writing(self) -> None:
        """Go on (asyncio calls this)."""
        super().resume_writing()
        if self.on_drain:
            self.on_drain()


def _is_utf8(data: bytes) -> bool:
    try:
        data.isascii() or data.decode()
    except UnicodeDecodeError:
        return False
    return True


def bound_kernel(transport: Transport) -> None:
    """Let the kernel keep at most 256 KiB (twice that, as it counts) for a peer that does not read."""
    if line := transport.get_extra_info("socket"):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)


def text_frame(text: bytes) -> bytes:
    """Return a text message as one frame of a server."""
    size = len(text)
    if size < SHORT:
        return b"\x81%c%b" % (size, text)
    if size < MIDDLE:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), text)
