"""A small asyncio client: one keep-alive socket, raw answers where a test wants them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from claudebench.errors import from_wire

CALL_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class AsyncClient:
    """Talks to one server over one socket, one request at a time; it is opened when first used and after a cut."""

    def __init__(self, url: str, *, token: str = "", workspace: str = "", within_s: float = CALL_WITHIN_S) -> None:
        """Take the server's address; every request must be answered `within_s` seconds."""
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.token = token
        self.path = f"/w/{workspace}/rpc" if workspace else "/rpc"
        self.within_s = within_s
        self.position = ""
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        """Do nothing yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let the socket go."""
        self.cut()

    def cut(self) -> None:
        """Cut the socket, whatever is under way."""
        if self._streams:
            self._streams[1].transport.abort()
        self._streams = None

    async def call(self, method: str, about: dict[str, Any] | None = None, /, **params: Any) -> Any:
        """Run a command and return its result; `position` holds that of the change.

        `about` is the metadata of the call itself, beside its `params`.

        Raises:
            ClaudeBenchError: the server's error, by its code.
            OSError: the server cannot be reached, or cut the socket.
        """
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, "metadata": about or {}}
        reply = (await self.post(self.path, json.dumps(request).encode())).json
        if "result" in reply:
            self.position = reply.get("metadata", {}).get("position", "")
            return reply["result"]
        raise from_wire(reply.get("error", reply))

    async def rpc(self, body: bytes | object) -> Any:
        """Post a raw or a JSON-able body to the RPC door and return the decoded answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return (await self.post(self.path, data)).json

    async def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> HttpAnswer:
        """Post a body as JSON; `headers` overrules."""
        given = {"Content-Type": "application/json", "Content-Length": str(len(body))} | (headers or {})
        return await self.request("POST", path, body, given)

    async def get(self, path: str, headers: dict[str, str] | None = None) -> HttpAnswer:
        """Get a path."""
        return await self.request("GET", path, b"", headers or {})

    async def is_healthy(self) -> bool:
        """Whether the server says that it is healthy."""
        return (await self.get("/health")).status == 200  # noqa: PLR2004 - OK

    async def request(self, verb: str, path: str, body: bytes, headers: dict[str, str]) -> HttpAnswer:
        """Send one request with exactly these headers beside Host and the token."""
        all_headers = {"Host": f"{self.host}:{self.port}"} | headers
        if self.token:
            all_headers.setdefault("Authorization", f"Bearer {self.token}")
        head = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
        try:
            async with asyncio.timeout(self.within_s):
                reader, writer = await self._open()
                writer.write(f"{verb} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
                return await self._read(reader)
        except BaseException:
            self.cut()
            raise

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.host, self.port, limit=2**26)
        return self._streams

    async def _read(self, reader: asyncio.StreamReader) -> HttpAnswer:
        status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.cut()
        return HttpAnswer(int(status_line.split()[1]), headers, body)
