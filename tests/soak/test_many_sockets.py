"""Five hundred sockets, one of which does not read. By hand: pytest -m soak."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.integration.listening import subscribed
from tests.integration.test_websocket import heard_until_closed

from claudebench.testing import eventually, serve

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.testing import AsyncClient, Server

pytestmark = pytest.mark.soak
SOCKETS = 500
BURST = 500
GROWTH_MAX_MB = 120
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SUBSCRIBE = b'{"type":"subscribe","patterns":["task.*"]}'
EVENT = b'{"type":"event","event":{"id":"'
PING, PONG, TEXT = 0x89, 0x8A, 0x81
Position = tuple[int, int]


class Listener(asyncio.Protocol):
    """A socket that answers pings and checks the order of what it is told, cheaply."""

    def __init__(self) -> None:
        self.events = 0
        self.last: Position = (0, 0)
        self.told: list[bytes] = []
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        """Take whole frames."""
        self._rest += data
        if self._rest.startswith(b"HTTP/"):
            _, found, rest = self._rest.partition(b"\r\n\r\n")
            if not found:
                return
            self._rest = rest
            self._say(TEXT, SUBSCRIBE)
        at, size = 0, len(self._rest)
        while size - at >= 2:
            length, head = self._rest[at + 1], 2
            if length == 126:
                length, head = int.from_bytes(self._rest[at + 2 : at + 4], "big"), 4
            if size - at < head + length:
                break
            self._take(self._rest[at], self._rest[at + head : at + head + length])
            at += head + length
        self._rest = self._rest[at:]

    def _take(self, kind: int, text: bytes) -> None:
        if kind == PING:
            self._say(PONG, text)
        elif text.startswith(EVENT):
            ms, _, number = text[len(EVENT) : text.index(b'"', len(EVENT))].partition(b"-")
            position = (int(ms), int(number))
            assert position > self.last
            self.last = position
            self.events += 1
        else:
            self.told.append(text)

    def _say(self, kind: int, text: bytes) -> None:
        self.transport.write(bytes((kind, 0x80 | len(text))) + bytes(4) + text)


async def listen(server: Server) -> Listener:
    """Open a socket and wait until it has subscribed."""
    loop = asyncio.get_running_loop()
    _, listener = await loop.create_connection(Listener, "127.0.0.1", server.port)
    await eventually(lambda: len(listener.told) == 2)
    return listener


def have_all(listeners: list[Listener], count: int) -> bool:
    """Whether each was told so many events."""
    return all(each.events == count for each in listeners)


async def lagged(client: AsyncClient) -> int:
    """Return how many sockets were cut."""
    return int((await client.call("system.metrics"))["sockets"]["lagged"])


async def test_one_of_five_hundred_does_not_read(tmp_path: Path) -> None:
    """All others are told every event once, in order; the deaf one is cut as lagged; memory stays in its bound."""
    create: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": {"text": "x" * 200}}
    async with serve(tmp_path / "data", "--limits", "off") as server, server.client(within_s=120) as client:
        listeners = [await listen(server) for _ in range(SOCKETS - 1)]
        async with subscribed(server) as deaf:
            deaf.line.transport.pause_reading()
            before = server.resident_mb
            most, made = before, 0
            while not await lagged(client):
                await client.rpc([create] * BURST)
                made += BURST
                await eventually(partial(have_all, listeners, made), within_s=120)
                most = max(most, server.resident_mb)
            deaf.line.transport.resume_reading()
            heard, code = await heard_until_closed(deaf)
        assert not any(len(each.told) > 2 for each in listeners)
    assert (code, heard[-1]["type"]) == (4000, "lagged")
    assert heard[-1]["at"] == heard[-2]["event"]["id"]
    assert {each.last for each in listeners} == {listeners[0].last}
    sys.stdout.write(f"{made} events to {SOCKETS} sockets; memory {before:.0f} to {most:.0f} MB\n")
    assert most - before < GROWTH_MAX_MB
