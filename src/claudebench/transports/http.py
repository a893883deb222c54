"""HTTP under every door: the gate (Host, Origin, content type, token), the bounded body, the answer."""

from __future__ import annotations

import asyncio
import math
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from claudebench.errors import ClaudeBenchError, InvalidRequest, Unauthorized
from claudebench.settings import FILE, LOOPBACK, PREFIX
from claudebench.transports.protocol import EXTENSION
from claudebench.transports.response import CLOSE, PROBLEM, Header, Response, encode

if TYPE_CHECKING:
    from claudebench.rpc.context import Role
    from claudebench.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_MAX = 1_048_576
BODIES_MAX = 32 * BODY_MAX
DISCARD_MAX = 16 * BODY_MAX
DISCARD_WITHIN_S = 2.0
BODY_WITHIN_S = 30.0
NOT_MODIFIED = 304
DECIDE = (
    b"host", b"origin", b"content-length", b"authorization",
    b"idempotency-key", b"claudebench-instance", b"claudebench-session",
)  # fmt: skip


class Refused(ClaudeBenchError):
    """This request is not let in."""

    code = InvalidRequest.code

    def __init__(self, status: int, message: str, *, allow: str = "", kind: str = "") -> None:
        """Take the HTTP status, what a person reads, for 405 the methods that are answered, for 403 what is foreign."""
        super().__init__(message)
        self.http_status = status
        self.allow = allow
        self.kind = kind


class Gate:
    """Who is let in, and as what."""

    def __init__(self, settings: Settings, operator_token: Callable[[], str]) -> None:
        """Take the settings and where the operator's token is, once the server is ready."""
        self._takes_addresses = not settings.is_loopback
        self._names = LOOPBACK | {settings.host.lower(), *settings.hosts.lower().replace(",", " ").split()}
        self._token = settings.token or ""
        self._operator_token = operator_token

    def check(self, headers: Iterable[Header]) -> dict[bytes, bytes]:
        """Return the headers by name when they may come in.

        Raises:
            Refused: 403 for a foreign Host or Origin, 400 for a header that decides and stands there twice.
        """
        given = list(headers)
        found = dict(given)
        if len(found) != len(given) and (name := _twice(given, DECIDE)):
            raise Refused(400, f"the header {name} stands there twice; send it once")
        host = found.get(b"host", b"").decode("latin-1").lower()
        if not self._is_ours(_name(host)):
            raise Refused(403, _foreign(host), kind="host")
        origin = found.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower() not in (f"http://{host}", f"https://{host}"):
            raise Refused(403, _elsewhere(origin.decode("latin-1"), host), kind="origin")
        return found

    def _is_ours(self, name: str) -> bool:
        """Tell whether a Host name is ours; off loopback any address is, since no name can be rebound to it."""
        return name in self._names or (self._takes_addresses and _is_address(name))

    def role(self, headers: dict[bytes, bytes]) -> Role:
        """Return the role that the token of the call shows.

        Raises:
            Unauthorized: the token is wrong, or is missing where one is wanted.
        """
        given = headers.get(b"authorization", b"").decode("latin-1")
        if not given:
            if self._token:
                raise Unauthorized("send the server's token as 'Authorization: Bearer ...'")
            return "agent"
        scheme, _, token = given.partition(" ")
        if scheme.lower() == "bearer":
            if _same(token, self._operator_token()):
                return "operator"
            if self._token and _same(token, self._token):
                return "agent"
        raise Unauthorized("the token is not this server's")


def _foreign(host: str) -> str:
    if not host:
        return "there is no Host header; send the name or address that you connect to"
    return (
        f"the Host header {host[:100]!r} names another server; if it is this one, start it with "
        f"{PREFIX}HOSTS={_name(host)[:100]}, or hosts in {FILE}"
    )


def _elsewhere(origin: str, host: str) -> str:
    return (
        f"the Origin header {origin[:100]!r} is that of a page of another server; open the page at "
        f"http://{host[:100]}, or, if no page sends this, leave the header out"
    )


def _twice(headers: list[Header], names: tuple[bytes, ...]) -> str:
    """Return the first of the names that stands there more than once, '' if none does."""
    found = (name for name in names if sum(name == each for each, _ in headers) > 1)
    return next(found, b"").decode().title()


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def want_json(headers: dict[bytes, bytes]) -> None:
    """Raise Refused (415) unless the body is declared to be JSON, which no page can do across origins unasked."""
    declared = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if declared != b"application/json":
        raise Refused(415, "send the body as application/json")


class Bodies:
    """The bodies under way, bounded one by one and together, in bytes and in time."""

    def __init__(self) -> None:
        """Begin with none."""
        self._bytes = 0

    async def read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """Return the body of a request.

        Raises:
            Refused: 413 above 1 MiB, found before or while it is read; 400 when it ends early; 408 when it takes more
                than 30 s; 503 when the bodies under way hold 32 MiB.
        """
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > BODY_MAX:
            await _discard(receive)
            raise Refused(413, f"a body has at most {BODY_MAX} bytes")
        message = _arrived(await receive())
        if not message.get("more_body"):
            return bytes(message.get("body", b""))
        return await self._read_on(message, receive)

    async def _read_on(self, message: Message, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                while True:
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    self._count(len(chunks[-1]), size)
                    if not message.get("more_body"):
                        return b"".join(chunks)
                    message = _arrived(await receive())
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {BODY_WITHIN_S:g} s") from None
        finally:
            self._bytes -= size

    def _count(self, more: int, size: int) -> None:
        self._bytes += more
        if size > BODY_MAX:
            raise Refused(413, f"a body has at most {BODY_MAX} bytes")
        if self._bytes > BODIES_MAX:
            raise Refused(503, "too many bodies are under way; try again")


async def _discard(receive: Receive) -> None:
    """Take what a caller goes on sending, as far as that is little, so that it is still there to read the refusal."""
    taken, more = 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_WITHIN_S):
            while more and taken < DISCARD_MAX:
                message = await receive()
                taken += len(message.get("body", b""))
                more = bool(message.get("more_body"))


def _arrived(message: Message) -> Message:
    if message["type"] == "http.disconnect":
        raise Refused(400, "the body ended early")
    return message


async def answer(response: Response, scope: Scope, send: Send) -> None:
    """Send a whole response, with one write where the server under us can and otherwise by plain ASGI."""
    at_once = scope.pop("extensions", {}).get(EXTENSION)  # which holds the request that holds the scope
    if at_once and CLOSE not in response.headers and at_once(response):
        return
    length = (b"content-length", str(len(response.body)).encode())
    headers = [*response.headers] if response.status == NOT_MODIFIED else [*response.headers, length]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def problem(error: ClaudeBenchError) -> Response:
    """Return an error as RFC 9457 problem+json; the socket of an oversized or uninvited body is closed.

    The fields of the error's data stand beside the standard's own; one that would hide one of those stands in `data`.
    """
    status = error.http_status if isinstance(error, Refused) else error.status
    detail: dict[str, Any] = {
        "type": f"/errors/{slug(type(error).__name__)}",
        "title": (type(error).__doc__ or "").strip().removesuffix("."),
        "status": status,
        "detail": error.message,
        "code": error.code,
        "outcome": error.outcome,
    }
    if hidden := {name: value for name, value in error.data.items() if name in detail}:
        detail["data"] = hidden
    return Response(status, encode(error.data | detail), tuple(_problem_headers(error, status)))


def _problem_headers(error: ClaudeBenchError, status: int) -> Iterator[Header]:
    yield PROBLEM
    if isinstance(error, Refused):
        yield CLOSE
        if error.allow:
            yield b"allow", error.allow.encode()
    if status == Unauthorized.status:
        yield b"www-authenticate", b"Bearer"
    if isinstance(after_ms := error.data.get("retryAfterMs"), int | float):
        yield b"retry-after", str(math.ceil(after_ms / 1000)).encode()


@cache
def slug(name: str) -> str:
    """Return the stable name of a kind of error in a URI, `not-found` for NotFound."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
