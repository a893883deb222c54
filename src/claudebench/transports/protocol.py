"""uvicorn's HTTP/1.1 protocol with a bound on what may come before the body: the parser itself keeps any amount."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX = 65_536


class BoundedHttp(HttpToolsProtocol):
    """Closes a socket whose request line and headers pass 64 KiB."""

    _head_bytes = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not complete yet (asyncio calls this)."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_MAX:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Begin the body (the parser calls this)."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Begin the next head (the parser calls this)."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()
