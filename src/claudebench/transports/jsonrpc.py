"""`POST /rpc`: JSON-RPC 2.0, single, batch and notification."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from claudebench.errors import ClaudeBenchError, LimitReached
from claudebench.rpc import envelope
from claudebench.rpc.context import Caller
from claudebench.rpc.dispatcher import internal
from claudebench.transports.response import JSON, POSITION, Response, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudebench.transports.entry import Enter, Entry

NO_CONTENT = Response(204, b"", ())
Message = envelope.Reply | envelope.Failure
Item = tuple[msgspec.Raw, envelope.Request | ClaudeBenchError]
QUERIES_AT_ONCE = 16
ANSWER_MAX = 4 * 1_048_576


async def answer(body: bytes, enter: Enter) -> Response:
    """Answer a request or a batch; a notification is answered with 204 and never with an error."""
    try:
        envelope.check_body(body)
        requests = envelope.read_batch(body) if body.lstrip()[:1] == b"[" else None
        entry = enter()
    except ClaudeBenchError as error:
        return Response(200, encode(envelope.failure(error, envelope.read_id(body))))
    if requests is not None:
        return await _batch(entry, requests)
    message = await _one(entry, body, _read(body))
    return _single(message) if message else NO_CONTENT


def _single(message: Message) -> Response:
    metadata = message.metadata if isinstance(message, envelope.Reply) else msgspec.UNSET
    if metadata is msgspec.UNSET:
        return Response(200, encode(message))
    return Response(200, encode(message), (JSON, (POSITION, metadata.position.encode())))


async def _batch(entry: Entry, bodies: list[msgspec.Raw]) -> Response:
    """Run the requests in order, changes in one write to the store; once the answer is full, no more are begun."""
    replies: list[bytes] = []
    size = 0
    for stretch in _stretches(entry, bodies):
        calls = (_one(entry, body, request, full=size > ANSWER_MAX) for body, request in stretch)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        encoded = [line for item, outcome in zip(stretch, outcomes, strict=True) if (line := _line(item[1], outcome))]
        replies += encoded
        size += sum(map(len, encoded))
    return Response(200, b"[" + b",".join(replies) + b"]") if replies else NO_CONTENT


def _line(request: envelope.Request | ClaudeBenchError, outcome: Message | BaseException | None) -> bytes:
    """Return the line of a call in the answer; one that went wrong in a way that nobody foresaw costs only itself."""
    if isinstance(outcome, BaseException):
        return _unforeseen(request, outcome)
    try:
        return encode(outcome) if outcome else b""
    except Exception as error:  # noqa: BLE001 - whatever it is, the other lines stand
        return _unforeseen(request, error)


def _unforeseen(request: envelope.Request | ClaudeBenchError, error: BaseException) -> bytes:
    name, id_ = (request.method, request.id) if isinstance(request, envelope.Request) else ("", None)
    found = internal(name, error)
    return b"" if id_ is msgspec.UNSET else encode(envelope.failure(found, id_))


def _stretches(entry: Entry, bodies: list[msgspec.Raw]) -> Iterator[list[Item]]:
    """Cut a batch after every 16 queries: only their answers can be large, and they are made all at once."""
    stretch: list[Item] = []
    queries = 0
    for body in bodies:
        request = _read(body)
        stretch.append((body, request))
        queries += isinstance(request, envelope.Request) and entry.dispatcher.is_query(request.method)
        if queries == QUERIES_AT_ONCE:
            yield stretch
            stretch, queries = [], 0
    yield stretch


def _read(body: bytes | msgspec.Raw) -> envelope.Request | ClaudeBenchError:
    try:
        return envelope.read_request(body)
    except ClaudeBenchError as error:
        return error


async def _one(
    entry: Entry, body: bytes | msgspec.Raw, request: envelope.Request | ClaudeBenchError, *, full: bool = False
) -> Message | None:
    if isinstance(request, ClaudeBenchError):
        return envelope.failure(request, envelope.read_id(body))
    reply_to = None if request.id is msgspec.UNSET else request.id
    try:
        if full:
            raise LimitReached("the answer to this batch is full; ask again for the rest", reason="answer")
        envelope.check_text(bytes(body))
        caller = Caller(entry.workspace, entry.role, request.metadata, "jsonrpc", entry.address)
        result, position = await entry.dispatcher.dispatch(request.method, request.params, caller)
        metadata = envelope.Position(position) if position else msgspec.UNSET
        message: Message = envelope.Reply("2.0", result, reply_to, metadata)
    except ClaudeBenchError as error:
        message = envelope.failure(error, reply_to)
    return None if request.id is msgspec.UNSET else message
