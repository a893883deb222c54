"""Refusals and operator's commands on record: who was turned away, and what was done with the operator's token.

Nobody can flood the log by being refused. A caller, which is an address, has one event at once; what follows is
counted, and told when a second is over, then two, four, up to a minute, as long as it goes on. Sixteen callers are told
apart, the others share the place of one. A fact is sent by the spool, so it neither slows nor fails the refusal, and
while the spool is half full of more important ones it is only counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.errors import Blocked, ClaudeBenchError, Unauthorized
from claudebench.events.model import EventType, Payload, Trace
from claudebench.events.spool import SIZE
from claudebench.store.origin import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.events.spool import Spool
    from claudebench.rpc.context import Caller


class Noted(Payload, kw_only=True):
    """Calls of one caller, at the gate or to a command; what is empty is absent. `kinds` adds up to `count`."""

    caller: str
    outcome: str = ""
    count: int
    kinds: dict[str, int]
    code: int = 0
    message: str = ""
    path: str = ""
    command: str = ""


EVENTS = (
    EventType(
        "security.refused", "somebody was turned away: by Host, Origin, token, role, or by a hook; `count` times", Noted
    ),
    EventType("operator.commanded", "a command that is the operator's was run; `count` times", Noted),
)
CODES = frozenset({Unauthorized.code, Blocked.code})
CALLERS_MAX = 16
OTHERS = "others"
FIRST_S, LONGEST_S = 1.0, 60.0
TEXT_MAX = 200
STOP_WITHIN_S = 1.0
_OPERATOR = msgspec.json.encode(Trace(role="operator"))
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal, or one command of the operator's, as it is told."""

    type: str
    workspace: str
    caller: str
    kind: str
    code: int = 0
    message: str = ""
    path: str = ""
    command: str = ""
    instance: str = ""
    outcome: str = "refused"


@dataclass(slots=True)
class _Quiet:
    """A caller of whom something was told, and what came since."""

    interval_s: float = FIRST_S
    last: Refusal | None = None
    kinds: Counter[str] = field(default_factory=Counter)
    timer: asyncio.TimerHandle | None = None


class Refusals:
    """The refusals of one server; `call_later` is the event loop's, or a test's."""

    def __init__(
        self, spool: Spool, workspace: str, call_later: Callable[[float, Callable[[], None]], Any] | None = None
    ) -> None:
        """Take where facts are sent, and the workspace of those that belong to none."""
        self._spool = spool
        self._workspace = workspace
        self._later = call_later or asyncio.get_running_loop().call_later
        self._callers: dict[tuple[str, str, str], _Quiet] = {}

    def at_the_gate(self, error: ClaudeBenchError, kind: str, address: str, path: str) -> None:
        """Note one who was not let in; the workspace that the path names is nobody's to write to yet."""
        self.note(Refusal("security.refused", self._workspace, address, kind, error.code, error.message, path))

    def of_command(self, command: str, caller: Caller, error: ClaudeBenchError) -> None:
        """Note the end of a command when it is a refusal."""
        if error.code in CODES and caller.door:
            kind = "role" if error.code == Unauthorized.code else "hook"
            self.note(_noted("security.refused", command, caller, kind, code=error.code, message=error.message))

    def commanded(self, command: str, caller: Caller, code: int, *, changes: bool) -> None:
        """Note a command of the operator's: each one that changes something, of questions at most one a second."""
        told = _noted("operator.commanded", command, caller, "command", code=code, outcome="failed" if code else "done")
        if changes:
            self._send(told, Counter({told.kind: 1}))
        else:
            self.note(told)

    def note(self, told: Refusal) -> None:
        """Tell it now, or count it."""
        key = (told.type, told.workspace, told.caller)
        if key not in self._callers and len(self._callers) >= CALLERS_MAX:
            key = (told.type, self._workspace, OTHERS)
        quiet = self._callers.get(key)
        if quiet is None:
            quiet = self._callers[key] = _Quiet()
            quiet.timer = self._later(quiet.interval_s, lambda: self._over(key))
            if not self._is_busy:
                self._send(told, Counter({told.kind: 1}), key[2])
                return
        quiet.last = told
        quiet.kinds[told.kind] += 1

    @property
    def _is_busy(self) -> bool:
        return self._spool.waiting >= SIZE // 2

    async def stop(self) -> None:
        """Tell what was only counted, as far as the store still takes it."""
        sent = []
        for key, quiet in self._callers.items():
            if quiet.timer:
                quiet.timer.cancel()
            if quiet.last:
                sent.append(self._send(quiet.last, quiet.kinds, key[2]))
        self._callers.clear()
        if sent:
            await asyncio.wait(sent, timeout=STOP_WITHIN_S)

    def _over(self, key: tuple[str, str, str]) -> None:
        """Tell what was counted and be quiet for twice as long, or forget a caller of whom nothing came."""
        quiet = self._callers[key]
        if quiet.last is None:
            del self._callers[key]
            return
        quiet.interval_s = min(quiet.interval_s * 2, LONGEST_S)
        quiet.timer = self._later(quiet.interval_s, lambda: self._over(key))
        if not self._is_busy:
            last, kinds = quiet.last, quiet.kinds
            quiet.last, quiet.kinds = None, Counter()
            self._send(last, kinds, key[2])

    def _send(self, told: Refusal, kinds: Counter[str], caller: str = "") -> asyncio.Future[bool]:
        origin = Origin(told.workspace, told.instance, b"" if told.outcome == "refused" else _OPERATOR)
        payload = _encode(_payload(told, kinds, caller or told.caller))
        return self._spool.send(origin, told.type, told.command or told.kind, payload)


def _noted(type_: str, command: str, caller: Caller, kind: str, **more: Any) -> Refusal:
    instance = caller.metadata.instance_id
    return Refusal(type_, caller.workspace, caller.address, kind, command=command, instance=instance, **more)


def _payload(told: Refusal, kinds: Counter[str], caller: str) -> dict[str, Any]:
    """Return what is told, without what is empty."""
    said = {
        "caller": caller,
        "outcome": told.outcome,
        "count": kinds.total(),
        "kinds": kinds,
        "code": told.code,
        "message": told.message[:TEXT_MAX],
        "path": told.path[:TEXT_MAX],
        "command": told.command,
    }
    return {name: value for name, value in said.items() if value}
