"""Listeners that remember where they were: over a WebSocket by an independent client, and over SSE by hand."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.client import ClientConnection

    from claudebench.testing import Server

WITHIN_S = 30.0


class Socket:
    """An open WebSocket of a test."""

    def __init__(self, line: ClientConnection) -> None:
        self.line = line

    async def say(self, **frame: Any) -> None:
        """Send one frame."""
        await self.line.send(json.dumps(frame))

    async def hear(self) -> dict[str, Any]:
        """Return the next frame."""
        async with asyncio.timeout(WITHIN_S):
            found: dict[str, Any] = json.loads(await self.line.recv())
        return found

    async def ask(self, **frame: Any) -> dict[str, Any]:
        """Send one frame and return the next that comes."""
        await self.say(**frame)
        return await self.hear()

    async def events(self, count: int) -> list[dict[str, Any]]:
        """Return the next events; nothing else may come between them."""
        told = [await self.hear() for _ in range(count)]
        assert {each["type"] for each in told} <= {"event"}, told
        return [each["event"] for each in told]


def address(server: Server, workspace: str = "") -> str:
    """Return where a server takes WebSockets."""
    path = f"/w/{workspace}/ws" if workspace else "/ws"
    return server.url.replace("http", "ws") + path


@asynccontextmanager
async def socket(server: Server, workspace: str = "", **options: Any) -> AsyncIterator[Socket]:
    """Open a WebSocket, past its welcome."""
    async with connect(address(server, workspace), **options) as line:
        opened = Socket(line)
        assert (await opened.hear())["type"] == "welcome"
        yield opened


@asynccontextmanager
async def subscribed(server: Server, *patterns: str, **about: Any) -> AsyncIterator[Socket]:
    """Open a WebSocket that has subscribed; `about` may say `from`."""
    async with socket(server) as opened:
        answer = await opened.ask(type="subscribe", patterns=patterns or ["*"], **about)
        assert answer["type"] == "subscribed"
        yield opened


class Stream:
    """An open event stream of a test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._text = b""

    async def block(self) -> dict[str, str]:
        """Return the next block by its fields; raises EOFError at the end."""
        async with asyncio.timeout(WITHIN_S):
            while b"\n\n" not in self._text:
                size = int(await self.reader.readuntil(b"\r\n"), 16)
                if size == 0:
                    raise EOFError
                self._text += (await self.reader.readexactly(size + 2))[:-2]
        block, _, self._text = self._text.partition(b"\n\n")
        fields = (line.partition(": ") for line in block.decode().split("\n"))
        return {name: value for name, _, value in fields}

    async def event(self) -> dict[str, Any]:
        """Return the next event; its id and type stand in it too."""
        block = await self.block()
        found: dict[str, Any] = json.loads(block["data"])
        assert (block["id"], block["event"]) == (found["id"], found["type"])
        return found


@asynccontextmanager
async def stream(server: Server, path: str = "/events", **headers: str) -> AsyncIterator[Stream]:
    """Open an event stream, past its beginning."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert b"text/event-stream" in head
        opened = Stream(reader, writer)
        assert "retry" in await opened.block()
        yield opened
    finally:
        writer.transport.abort()
