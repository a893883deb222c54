"""`POST /rpc`: JSON-RPC 2.0, single, batch and notification."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from claudebench.errors import ClaudeBenchError
from claudebench.rpc import envelope
from claudebench.rpc.context import Caller
from claudebench.transports.response import JSON, Response, encode

if TYPE_CHECKING:
    from claudebench.transports.entry import Enter, Entry

POSITION = b"claudebench-position"
NO_CONTENT = Response(204, b"", ())
Message = envelope.Reply | envelope.Failure


async def answer(body: bytes, enter: Enter) -> Response:
    """Answer a request or a batch; a notification is answered with 204 and never with an error."""
    try:
        envelope.check_body(body)
        requests = envelope.read_batch(body) if body.lstrip()[:1] == b"[" else None
        entry = enter()
    except ClaudeBenchError as error:
        return Response(200, encode(envelope.failure(error, envelope.read_id(body))))
    if requests is None:
        message = await _one(entry, body)
        return _single(message) if message else NO_CONTENT
    messages = await asyncio.gather(*(_one(entry, each) for each in requests))
    replies = [message for message in messages if message]
    return Response(200, encode(replies)) if replies else NO_CONTENT


def _single(message: Message) -> Response:
    metadata = message.metadata if isinstance(message, envelope.Reply) else msgspec.UNSET
    if metadata is msgspec.UNSET:
        return Response(200, encode(message))
    return Response(200, encode(message), (JSON, (POSITION, metadata.position.encode())))


async def _one(entry: Entry, body: bytes | msgspec.Raw) -> Message | None:
    try:
        request = envelope.read_request(body)
    except ClaudeBenchError as error:
        return envelope.failure(error, envelope.read_id(body))
    reply_to = None if request.id is msgspec.UNSET else request.id
    try:
        envelope.check_text(bytes(body))
        caller = Caller(entry.workspace, entry.role, request.metadata, "jsonrpc")
        result, position = await entry.dispatcher.dispatch(request.method, request.params, caller)
        metadata = envelope.Position(position) if position else msgspec.UNSET
        message: Message = envelope.Reply("2.0", result, reply_to, metadata)
    except ClaudeBenchError as error:
        message = envelope.failure(error, reply_to)
    return None if request.id is msgspec.UNSET else message
