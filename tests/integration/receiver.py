"""A receiver of webhooks for tests: keeps what it got, answers as it is told, verifies by hand what it was sent."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

NO_CONTENT = "204 No Content"


@dataclass(frozen=True, slots=True)
class Got:
    """One request."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The message's id."""
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def subject(self) -> str:
        """What its event is about."""
        return str(self.json["data"]["subject"])


def is_signed(got: Got, secret: str) -> bool:
    """Whether one of the signatures is that of a secret, as the specification of Standard Webhooks has it."""
    key = base64.b64decode(secret[len("whsec_") :])
    content = b".".join((got.id.encode(), got.headers["webhook-timestamp"].encode(), got.body))
    wanted = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest())
    told = [each.split(",", 1) for each in got.headers["webhook-signature"].split(" ")]
    is_fresh = abs(time.time() - int(got.headers["webhook-timestamp"])) < 300
    return is_fresh and any(version == "v1" and value.encode() == wanted for version, value in told)


@dataclass
class Receiver:
    """What came, and what is answered: `answer` gets each request and returns status line, headers and body."""

    got: list[Got] = field(default_factory=list)
    answer: Callable[[Got], str] = lambda _: NO_CONTENT
    holds: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Where it is; the path is a secret, as those of some services are."""
        return f"{self.scheme}://127.0.0.1:{self.port}/hooks/path-s3cr3t?sig=query-s3cr3t"

    def about(self, type_: str) -> list[Got]:
        """Return what came of a type."""
        return [each for each in self.got if each.json["type"] == type_]

    def subjects(self) -> list[str]:
        """Return what the events were about."""
        return [each.subject for each in self.got]

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request and answer it once nothing holds it."""
        self.connections += 1
        with suppress(OSError, EOFError):
            line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
            got = Got(line, headers, await reader.readexactly(int(headers["content-length"])))
            self.got.append(got)
            await self.holds.wait()
            head, _, body = self.answer(got).partition("\n\n")
            lines = [*f"HTTP/1.1 {head}".split("\n"), f"Content-Length: {len(body.encode())}"]
            writer.write(("\r\n".join(lines) + f"\r\n\r\n{body}").encode())
            await writer.drain()
        writer.close()


@asynccontextmanager
async def receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver for the length of a block; it answers 204 unless told otherwise."""
    made = Receiver(scheme="https" if tls else "http")
    made.holds.set()
    server = await asyncio.start_server(made.take, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.holds.set()
        server.close()
        await server.wait_closed()
