"""`POST /hooks/{agent}`: an agent's native hook JSON in, its native answer out.

An agent reads anything but a 2xx as "go on", so trouble with an event that waits for a decision is answered 200 with a
native refusal: the guard's own trouble never reads as yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.agents import claude_code
from claudebench.errors import ClaudeBenchError, InvalidParams, NotFound, ParseError, nearest
from claudebench.rpc import envelope
from claudebench.rpc.context import Caller
from claudebench.telemetry.sparse import Sparse
from claudebench.transports.http import Refused
from claudebench.transports.response import CLOSE, JSON, Response, encode

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from claudebench.agents.adapter import Adapter, Json
    from claudebench.transports.entry import Enter, Entry

_warn = Sparse.to_log("warning")
ADAPTERS: dict[str, Adapter] = {"claude-code": claude_code}
_decode = msgspec.json.Decoder().decode


def find_adapter(agent: str) -> Adapter:
    """Return the adapter of an agent.

    Raises:
        NotFound: with the nearest known agent, when there is one.
    """
    if agent not in ADAPTERS:
        raise NotFound(f"no adapter for the agent {agent[:40]!r}", nearest=nearest(agent[:40], ADAPTERS))
    return ADAPTERS[agent]


async def answer(adapter: Adapter, body: Awaitable[bytes], enter: Enter) -> Response:
    """Answer one hook event; whatever goes wrong, an event that waits for a decision is refused natively."""
    event: Any = None
    try:
        text = await body
        event = _read(text)
        envelope.check_text(text)
        return Response(200, encode(await _decide(adapter, event, enter())))
    except ClaudeBenchError as error:
        headers = (JSON, CLOSE) if isinstance(error, Refused) else (JSON,)
        return Response(200, encode(_trouble(adapter, event, error)), headers)


def _trouble(adapter: Adapter, event: Any, error: ClaudeBenchError) -> Json:
    _warn("hook not judged or recorded", error=error.message, code=error.code)
    if adapter.guards(event):
        return adapter.refusal(f"ClaudeBench could not judge this call: {error.message}")
    return {}


def _read(body: bytes) -> Json:
    envelope.check_body(body)
    try:
        event = _decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ParseError(str(error)) from None
    if not isinstance(event, dict):
        raise ParseError("a hook event is a JSON object")
    return event


async def _decide(adapter: Adapter, event: Json, entry: Entry) -> Json:
    if adapter.guards(event) and not isinstance(event.get("hook_event_name"), str):
        raise InvalidParams("the event does not say what it is")
    call = adapter.read(event)
    if call is None:
        return {}
    params = encode({name: value for name, value in call.params.items() if value is not None})
    caller = Caller(entry.workspace, entry.role, door="hooks", address=entry.address)
    result, _ = await entry.dispatcher.dispatch(call.command, params, caller)
    return adapter.answer(event, msgspec.to_builtins(result))
