"""`POST /{domain}/{action}`: a command as plain HTTP, its params as the body, its result as the answer.

What `/rpc` carries in `metadata` are headers here, and an error is problem+json under a status of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudebench.errors import InvalidRequest, UnknownCommand
from claudebench.rpc import envelope
from claudebench.rpc.command import path_of
from claudebench.rpc.context import Caller
from claudebench.transports.response import JSON, POSITION, Response, encode

if TYPE_CHECKING:
    from claudebench.rpc.registry import HandlerRegistry
    from claudebench.transports.entry import Enter

DOOR = "http"
SEGMENTS = (2, 3)
SWAPPED = str.maketrans("/.", "./")
HEADERS = {
    b"idempotency-key": "idempotencyKey",
    b"claudebench-instance": "instanceId",
    b"claudebench-session": "sessionId",
    b"traceparent": "traceparent",
}
SPELT = {member: f"the header {header.decode().title()}" for header, member in HEADERS.items()}


async def answer(path: str, root: str, headers: dict[bytes, bytes], body: bytes, enter: Enter) -> Response:
    """Run the command at `path`, which stands under `root` ('' for the default workspace).

    Raises:
        ClaudeBenchError: the command's own, or what refuses the call before it.
    """
    envelope.check_body(body)
    params = envelope.read_params(body)
    metadata = envelope.read_metadata(_members(headers), SPELT)
    entry = enter()
    name = find(entry.dispatcher.registry, path, root)
    envelope.check_text(bytes(params))
    caller = Caller(entry.workspace, entry.role, metadata, DOOR, entry.address)
    result, position = await entry.dispatcher.dispatch(name, params, caller)
    return Response(200, encode(result), (JSON, (POSITION, position.encode())) if position else (JSON,))


def is_path(path: str) -> bool:
    """Tell whether a path could be a command's: two or three segments."""
    return path.count("/") in SEGMENTS


def find(registry: HandlerRegistry, path: str, root: str = "") -> str:
    """Return the name of the command at a path.

    Raises:
        UnknownCommand: with the path of the nearest known one, when there is one.
    """
    name = path[1:].translate(SWAPPED)
    try:
        registry.find(name, DOOR)
    except UnknownCommand as error:
        near = error.data.get("nearest")
        nearest = f"{root}{path_of(str(near))}" if near else None
        raise UnknownCommand(f"there is no command at {path[:100]!r}", nearest=nearest) from None
    return name


def _members(headers: dict[bytes, bytes]) -> dict[str, str]:
    try:
        return {name: headers[header].decode() for header, name in HEADERS.items() if header in headers}
    except UnicodeDecodeError:
        raise InvalidRequest("a header of the call is not UTF-8") from None
