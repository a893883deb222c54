"""`POST /hooks/{agent}`: an agent's native hook JSON in, its native answer out.

An agent reads anything but a 2xx as "go on", so trouble with an event that waits for a decision is answered 200 with a
native refusal: the guard's own trouble never reads as yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from claudebench.agents import claude_code
from claudebench.errors import ClaudeBenchError, NotFound, ParseError, nearest
from claudebench.rpc import envelope
from claudebench.rpc.context import Caller
from claudebench.transports.http import Response, encode

if TYPE_CHECKING:
    from claudebench.agents.adapter import Adapter, Json
    from claudebench.rpc.context import Role
    from claudebench.rpc.dispatcher import Dispatcher

log = structlog.get_logger("claudebench")
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


async def answer(dispatcher: Dispatcher, agent: str, body: bytes, workspace: str, role: Role) -> Response:
    """Answer one hook event."""
    adapter = find_adapter(agent)
    event: Any = None
    try:
        event = _read(body)
        return Response(200, encode(await _decide(dispatcher, adapter, event, Caller(workspace, role, door="hooks"))))
    except ClaudeBenchError as error:
        if not adapter.guards(event):
            log.warning("hook not recorded", agent=agent, error=error.message)
            return Response(200, b"{}")
        return Response(200, encode(adapter.refusal(f"ClaudeBench could not judge this call: {error.message}")))


def _read(body: bytes) -> Json:
    envelope.check_depth(body)
    try:
        event = _decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ParseError(str(error)) from None
    if not isinstance(event, dict):
        raise ParseError("a hook event is a JSON object")
    return event


async def _decide(dispatcher: Dispatcher, adapter: Adapter, event: Json, caller: Caller) -> Json:
    call = adapter.read(event)
    if call is None:
        return {}
    params = encode({name: value for name, value in call.params.items() if value is not None})
    envelope.check_text(params)
    result, _ = await dispatcher.dispatch(call.command, params, caller)
    return adapter.answer(event, msgspec.to_builtins(result))
