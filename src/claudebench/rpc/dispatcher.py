"""The one way in: look up, validate, run under one span; the answer is a result with its position, or an error."""

from __future__ import annotations

import secrets
from hashlib import sha256
from time import perf_counter_ns
from typing import TYPE_CHECKING

import msgspec
import structlog

from claudebench.errors import ClaudeBenchError, Internal, InvalidParams, Unauthorized
from claudebench.rpc.context import Answer, Caller, Context
from claudebench.rpc.issues import issues, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.events.log import EventLog
    from claudebench.rpc.refusals import Refusals
    from claudebench.rpc.registry import Bound, HandlerRegistry

log = structlog.get_logger("claudebench")
MESSAGE_MAX = 300
FINGERPRINT_BYTES = 16


class Dispatcher:
    """Runs commands."""

    def __init__(
        self,
        registry: HandlerRegistry,
        event_log: EventLog,
        given_ms: Callable[[], str],
        refusals: Refusals | None = None,
    ) -> None:
        """Take the registry, the log for own events, the source of injected time ('' in production), the refusals."""
        self.registry = registry
        self._refusals = refusals
        self.log = event_log
        self._given_ms = given_ms

    def given_ms(self) -> str:
        """Return the injected time in ms, '' in production."""
        return self._given_ms()

    def is_query(self, name: str) -> bool:
        """Tell whether a command is known and changes nothing."""
        return self.registry.is_query(name)

    async def dispatch(self, name: str, params: bytes | msgspec.Raw, caller: Caller) -> Answer:
        """Run the command `name` with `params`, the JSON of its request.

        Raises:
            ClaudeBenchError: one of ours, always; anything else becomes `Internal` with a reference to the log.
        """
        bound = self.registry.find(name, caller.door)
        started, code = perf_counter_ns(), 0
        try:
            return await self._run(bound, params, caller)
        except ClaudeBenchError as error:
            code = error.code
            if self._refusals:
                self._refusals.of_command(name, caller, error)
            raise
        except Exception as error:
            code = Internal.code
            raise internal(name, error) from error
        finally:
            bound.instrument.finish(started, caller.workspace, caller.metadata.traceparent, code)
            if self._refusals and bound.command.operator and caller.role == "operator" and caller.door:
                self._refusals.commanded(name, caller, code, changes=bound.command.changes)

    async def _run(self, bound: Bound, params: bytes | msgspec.Raw, caller: Caller) -> Answer:
        command = bound.command
        if command.operator and caller.role != "operator":
            raise Unauthorized(f"{command.name} is the operator's; send the token of the data directory")
        try:
            request = bound.decode(params)
        except (msgspec.DecodeError, RecursionError):
            found = issues(params, command.input)
            raise InvalidParams(told(found[0])[:MESSAGE_MAX], errors=found) from None
        context = Context(self, caller)
        if command.changes and caller.metadata.idempotency_key:
            context.fingerprint = fingerprint(command.name, caller, params)
        if bound.context_name:
            result = await bound.function(request, **{bound.context_name: context}, **bound.stores)
        else:
            result = await bound.function(request, **bound.stores)
        return Answer(result, context.position)


def fingerprint(name: str, caller: Caller, params: bytes | msgspec.Raw) -> bytes:
    """Return what makes a call the same call: its command, its caller and role, its parameters in one spelling."""
    spelt = msgspec.json.encode(msgspec.json.decode(params), order="sorted")
    said = (name, caller.metadata.instance_id, caller.role)
    return sha256(b"\0".join((*map(str.encode, said), spelt))).digest()[:FINGERPRINT_BYTES]


def internal(name: str, error: BaseException) -> Internal:
    """Log what nobody foresaw in the command or at the path `name`; return the error that refers to it."""
    reference = secrets.token_hex(4)
    log.error("internal error", command=name, reference=reference, exc_info=error)
    return Internal(reference=reference, outcome="unknown")
