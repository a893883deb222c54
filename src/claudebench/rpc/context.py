"""What a handler may do besides answering: know its caller, call another command, emit an event of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from claudebench.errors import ClaudeBenchError, InvalidParams, LimitReached
from claudebench.events.model import OWN_PREFIX, Trace
from claudebench.events.position import number
from claudebench.rpc.envelope import NO_METADATA, Metadata
from claudebench.store.origin import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from claudebench.events.log import EventLog

Role = Literal["agent", "operator"]
T = TypeVar("T")
CALLS_MAX = 1_000
_encode = msgspec.json.Encoder().encode


class Change(NamedTuple, Generic[T]):
    """What a store method answers that changed something: the position of its event, and the result."""

    position: str
    result: T


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as far as the door could tell; a call from inside the server has no door."""

    workspace: str = "default"
    role: Role = "agent"
    metadata: Metadata = NO_METADATA
    door: str = ""
    address: str = ""


class Answer(NamedTuple):
    """What a command came to."""

    result: Any
    position: str


class Runner(Protocol):
    """What a call in progress stands on."""

    log: EventLog

    def given_ms(self) -> str:
        """Return the injected time ('' in production)."""

    async def dispatch(self, name: str, params: bytes, caller: Caller) -> Answer:
        """Run another command."""


class Context:
    """One call in progress."""

    __slots__ = ("_changes", "_runner", "caller", "fingerprint", "position")

    def __init__(self, runner: Runner, caller: Caller) -> None:
        """Take what nested calls go through, and the caller they inherit."""
        self._runner = runner
        self.caller = caller
        self.position = ""
        self.fingerprint = b""
        self._changes = 0

    @property
    def workspace(self) -> str:
        """The workspace of the call."""
        return self.caller.workspace

    @property
    def is_operator(self) -> bool:
        """Whether the caller showed the operator's token."""
        return self.caller.role == "operator"

    @property
    def metadata(self) -> Metadata:
        """What the caller told of itself."""
        return self.caller.metadata

    @property
    def now(self) -> str:
        """The injected time in ms on a test store; empty in production, where the store's own clock decides."""
        return self._runner.given_ms()

    def origin(self, actor: str = "") -> Origin:
        """Return where a change of this call comes from; `actor` defaults to the instance the caller named."""
        once = (self._next_key(), self.fingerprint) if self.fingerprint else None
        return Origin(self.workspace, actor or self.metadata.instance_id, _trace(self.caller), self.now, once)

    def _next_key(self) -> str:
        """Return the caller's idempotency key for the first change of this call, one made of it for each further."""
        key, number = self.metadata.idempotency_key, self._changes
        self._changes += 1
        return f"{key}#{number}" if number else key

    def at(self, change: Change[T]) -> T:
        """Note the position of a change and return its result."""
        self.position = change.position
        return change.result

    async def call(self, command: str, **params: Any) -> Any:
        """Run another command for the same caller and return its result; the position of its change is this call's."""
        answer = await self._runner.dispatch(command, _encode(params), self._inside())
        self.position = max(self.position, answer.position, key=number)
        return answer.result

    async def call_many(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Any]:
        """Run several commands for the same caller, sent in one write and done in their order, each by itself.

        What one of them refuses stands in its place as a `ClaudeBenchError`: the others are done none the less, and
        whoever only saw an exception would not know which.

        Args:
            calls: the names and parameters, at most 1,000.

        Raises:
            LimitReached: there are more; nothing was sent.
        """
        if len(calls) > CALLS_MAX:
            raise LimitReached(f"{len(calls)} calls at once; at most {CALLS_MAX}", reason="calls", limit=CALLS_MAX)
        ready = [(command, _encode(params), self._inside()) for command, params in calls]
        return await asyncio.gather(*(self._attempt(*each) for each in ready))

    async def _attempt(self, command: str, params: bytes, inside: Caller) -> Any:
        try:
            answer = await self._runner.dispatch(command, params, inside)
        except ClaudeBenchError as error:
            return error
        self.position = max(self.position, answer.position, key=number)
        return answer.result

    def _inside(self) -> Caller:
        """Return the caller of a nested call, with a key of its own if this call has one."""
        inside = replace(self.caller, door="")
        if not self.fingerprint:
            return inside
        return replace(inside, metadata=msgspec.structs.replace(self.metadata, idempotency_key=self._next_key()))

    async def emit(self, type_: str, subject: str, payload: dict[str, Any], partition_key: str = "") -> str:
        """Append an event of your own, of a type that begins with `x.`, and return its position.

        Events of one `partition_key`, or without one of one subject, keep their order for whoever handles them.

        Raises:
            InvalidParams: the type does not begin with `x.`.
            ValueError: no store of an app declares it among its `events`.
        """
        if not type_.startswith(OWN_PREFIX):
            raise InvalidParams(f"own events begin with {OWN_PREFIX!r}, not {type_!r}")
        if type_ not in self._runner.log.catalogue.types:
            raise ValueError(f"no app declares the event type {type_!r} in its `events`")
        (position,) = await self._runner.log.append(self.origin(), type_, subject, _encode(payload), partition_key)
        self.position = position.decode()
        return self.position


def _trace(caller: Caller) -> bytes:
    told, role = caller.metadata, "operator" if caller.role == "operator" else ""
    if told is NO_METADATA and not role:
        return b""
    trace = Trace(told.correlation_id, told.causation_id, told.traceparent, told.session_id, role)
    encoded = _encode(trace)
    return b"" if encoded == b"{}" else encoded
