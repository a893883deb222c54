"""`GET /ws`: events and commands over one socket; `frames.py` tells what is said."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING

from claudebench import __version__
from claudebench.errors import ClaudeBenchError, InvalidParams, InvalidRequest, Unavailable
from claudebench.events.patterns import compiled
from claudebench.rpc import envelope
from claudebench.rpc.dispatcher import internal
from claudebench.transports import frames, jsonrpc
from claudebench.transports.response import encode
from claudebench.transports.wire import SOCKET, UNSENT_MAX, text_frame

if TYPE_CHECKING:
    from claudebench.events.channel import Gap, Reader
    from claudebench.events.tailer import Tailer
    from claudebench.transports.entry import Enter
    from claudebench.transports.http import Message, Receive, Scope, Send
    from claudebench.transports.response import Response
    from claudebench.transports.sockets import Kind, Sockets
    from claudebench.transports.wire import WebSocket

PATH = "/ws"
SUBPROTOCOL = "claudebench"
BEARER = "bearer."
IN_FLIGHT_MAX = 16
GOING_AWAY, LAGGED = 1001, 4000


def with_token(headers: dict[bytes, bytes], offered: list[str]) -> dict[bytes, bytes]:
    """Return the headers with the token that a page could only say as a subprotocol."""
    found = [each.removeprefix(BEARER) for each in offered if each.startswith(BEARER)]
    if not found or b"authorization" in headers:
        return headers
    try:
        token = base64.urlsafe_b64decode(found[0] + "=" * (-len(found[0]) % 4))
    except (binascii.Error, ValueError):
        token = b""
    return {**headers, b"authorization": b"Bearer " + token}


async def refuse(response: Response, send: Send) -> None:
    """Answer an upgrade as any other request."""
    headers = [*response.headers, (b"content-length", str(len(response.body)).encode())]
    await send({"type": "websocket.http.response.start", "status": response.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": response.body})


async def answer(scope: Scope, receive: Receive, send: Send, enter: Enter, *, tailer: Tailer, sockets: Sockets) -> None:
    """Serve one socket until it ends.

    Raises:
        ClaudeBenchError: before it is open, what refuses it.
    """
    workspace = enter().workspace
    wire = scope.get("extensions", {}).get(SOCKET)
    if wire is None:
        raise Unavailable("this server cannot serve WebSockets", reason="server")
    position = await tailer.position(workspace)
    socket = Socket(wire, workspace, enter, tailer)
    sockets.enter(socket)
    try:
        chosen = SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        wire.write(frames.written(frames.Welcome(workspace, position, __version__)))
        await socket.serve(receive)
    finally:
        sockets.leave(socket)
        socket.leave()


class Socket:
    """One open socket: what it wants, and its commands under way."""

    kind: Kind = "websocket"
    shape = staticmethod(frames.event)

    def __init__(self, wire: WebSocket, workspace: str, enter: Enter, tailer: Tailer) -> None:
        """Take the wire, and how to come in."""
        self._wire = wire
        self._workspace = workspace
        self._enter = enter
        self._tailer = tailer
        self._reader: Reader | None = None
        self._wanted: frozenset[str] = frozenset()
        self._running: set[asyncio.Task[None]] = set()
        wire.on_drain = self._drained

    async def serve(self, receive: Receive) -> None:
        """Take frames until the socket ends; what its peer does not take holds up what it says."""
        while True:
            await self._wire.writable.wait()
            if len(self._running) >= IN_FLIGHT_MAX:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            message = await receive()
            if message["type"] != "websocket.receive":
                return
            try:
                await self._take(message)
            except ClaudeBenchError as error:
                self._wire.write(frames.error(error))

    def leave(self) -> None:
        """Listen no more; commands under way are carried out."""
        self._wire.on_drain = None
        if self._reader:
            self._reader.leave()
        self._reader = None

    # the transport of a reader

    @property
    def is_full(self) -> bool:
        """Whether the peer must take something first."""
        return self._wire.is_full

    def write(self, data: bytes) -> None:
        """Send frames."""
        self._wire.write(data)

    def tell_begin(self, position: str) -> None:
        """Say where the events begin."""
        self._wire.write(frames.written(frames.Subscribed(sorted(self._wanted), position)))

    def tell_gap(self, gap: Gap) -> None:
        """Say that events are missing."""
        self._wire.write(frames.written(frames.Gap(gap.begin, gap.trimmed, gap.last)))

    def cut(self, at: str) -> None:
        """Say that the peer lagged behind, and close."""
        self._wire.write(frames.written(frames.Lagged(at)))
        self._wire.end(LAGGED, "lagged")

    # an open socket of the process

    def go_away(self) -> None:
        """Close, since the server stops; a peer that does not read is not waited for."""
        self._wire.end(GOING_AWAY, "the server is going away")
        if self._wire.is_full:
            self._wire.transport.abort()

    async def settled(self) -> None:
        """Wait until no command is under way."""
        if self._running:
            await asyncio.wait(self._running)

    def _drained(self) -> None:
        if self._reader:
            self._reader.drained()

    async def _take(self, message: Message) -> None:
        text = message.get("text")
        if text is None:
            raise InvalidRequest("a frame is text, not binary")
        match frames.read(text.encode()):
            case frames.Subscribe(patterns, begin):
                await self._subscribe(patterns, begin or "")
            case frames.Unsubscribe(patterns):
                self._unsubscribe(patterns)
            case frames.Execute(request):
                self._run(bytes(request), bare=False)
            case frames.Bare(request):
                self._run(request, bare=True)
            case _:
                self._wire.write(frames.written(frames.Pong(self._at())))

    def _at(self) -> str:
        return self._reader.position if self._reader else ""

    async def _subscribe(self, patterns: list[str], begin: str) -> None:
        if not patterns:
            raise InvalidParams("name a pattern")
        wanted = self._wanted | frozenset(patterns)
        ready = compiled(wanted)
        if self._reader and begin:
            raise InvalidParams("`from` goes with the first subscription; unsubscribe, or open another socket")
        self._enter()
        before, self._wanted = self._wanted, wanted
        if self._reader:
            self._reader.want(ready)
            self.tell_begin(self._at())
            return
        try:
            self._reader = await self._tailer.join(self._workspace, self, ready, begin)
        except BaseException:
            self._wanted = before
            raise

    def _unsubscribe(self, patterns: list[str]) -> None:
        self._wanted = self._wanted - frozenset(patterns) if patterns else frozenset()
        if self._reader and self._wanted:
            self._reader.want(compiled(self._wanted))
        elif self._reader:
            self._reader.leave()
            self._reader = None
        self.tell_begin(self._at())

    def _run(self, request: bytes, *, bare: bool) -> None:
        task = asyncio.create_task(self._execute(request, bare=bare), name="socket command")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _execute(self, request: bytes, *, bare: bool) -> None:
        try:
            body = (await jsonrpc.answer(request, self._enter)).body
        except Exception as error:  # noqa: BLE001 - the last resort
            body = encode(envelope.failure(internal("execute", error), envelope.read_id(request)))
        if not body:
            return
        if self._wire.unsent > UNSENT_MAX:
            self._tailer.figures.lagged += 1
            at = self._at()
            self.leave()
            self.cut(at)
        else:
            self._wire.write(text_frame(body) if bare else frames.response(body))
