"""`GET /openrpc.json`: the whole API, to be kept and asked for again by its ETag."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from claudebench.transports.response import JSON, Response

if TYPE_CHECKING:
    from claudebench.rpc.openrpc import Api

REVALIDATE = (b"cache-control", b"no-cache")
ETAG_DIGITS = 16


def answer(api: Api, headers: dict[bytes, bytes]) -> Response:
    """Answer with the document, or with 304 to who has it."""
    tag = f'"{sha256(api.text).hexdigest()[:ETAG_DIGITS]}"'.encode()
    if _has(headers.get(b"if-none-match", b""), tag):
        return Response(304, b"", ((b"etag", tag), REVALIDATE))
    return Response(200, api.text, (JSON, (b"etag", tag), REVALIDATE))


def _has(given: bytes, tag: bytes) -> bool:
    """Tell whether an If-None-Match names the tag, strong or weak, or is `*`."""
    return given.strip() == b"*" or tag in (each.strip().removeprefix(b"W/") for each in given.split(b","))
