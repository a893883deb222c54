"""An answer that is known whole, and the words it is made of."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

Header = tuple[bytes, bytes]

JSON = (b"content-type", b"application/json")
PROBLEM = (b"content-type", b"application/problem+json")
CLOSE = (b"connection", b"close")
POSITION = b"claudebench-position"
encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Response:
    """Status, body and headers; the length is added when it is sent."""

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = (JSON,)
