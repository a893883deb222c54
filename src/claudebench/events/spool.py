"""Facts that must not hold up whoever makes them: sent at once, kept and sent again when the store could not take them.

A fact is written once: each sending is numbered, and a sending whose outcome is unknown is named when it is repeated
(`append_once.lua`). At most `SIZE` facts wait; one more is dropped and counted, and `is_full` says so beforehand.
Once all that waited is written, an event in each workspace that lost some says how many, of which kinds and when.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, deque
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.errors import ClaudeBenchError
from claudebench.store.origin import Origin
from claudebench.telemetry.time import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.events.log import EventLog

SIZE = 10_000
REPLAYED_AT_ONCE = 64
AGAIN_AFTER_S = 0.1


class Fact(msgspec.Struct):
    """One event on its way; `writer` and `number` name its last sending while that may have been written."""

    origin: Origin
    type: str
    subject: str
    payload: bytes
    kind: str = ""
    writer: str = ""
    number: int = 0


class Gap(msgspec.Struct):
    """What one workspace lost between two times in seconds; of `unknown` ones the store may have written some."""

    first: float
    last: float
    unknown: int = 0
    kinds: Counter[str] = msgspec.field(default_factory=Counter)


class Spool:
    """The facts of one process that the log has not acknowledged."""

    def __init__(self, log: EventLog, size: int = SIZE, *, clock: Callable[[], float] = time) -> None:
        """Take the log, how many facts may wait, and the clock."""
        self.dropped = 0
        self._log = log
        self._size = size
        self._process = secrets.token_hex(8)
        self._number = 0
        self._in_flight = 0
        self._waiting: deque[Fact] = deque()
        self._gaps: dict[str, Gap] = {}  # by workspace
        self._clock = clock
        self._work = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many facts are not acknowledged: on their way, or kept to be sent again."""
        return len(self._waiting) + self._in_flight

    @property
    def is_full(self) -> bool:
        """Whether one more fact would be dropped should the store not take it."""
        return self.waiting >= self._size

    def send(self, origin: Origin, type_: str, subject: str, payload: bytes, kind: str = "") -> asyncio.Future[bool]:
        """Send a fact; the future tells whether the log has acknowledged it, or that it is kept for later."""
        fact = Fact(origin, type_, subject, payload, kind or type_)
        taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            sent = self._sent(fact)
        except ClaudeBenchError:
            self._keep(fact)
            taken.set_result(False)
            return taken
        self._in_flight += 1
        sent.add_done_callback(lambda done: self._settle(fact, done, taken))
        return taken

    async def replay(self) -> None:
        """Send what waits, oldest first, whenever the store takes it; runs until it is cancelled."""
        while True:
            await self._work.wait()
            batch = [self._waiting.popleft() for _ in range(min(REPLAYED_AT_ONCE, len(self._waiting)))]
            self._in_flight += len(batch)
            done = await asyncio.gather(*map(self._again, batch))
            self._in_flight -= len(batch)
            self._waiting.extendleft(fact for fact, ok in zip(reversed(batch), reversed(done), strict=True) if not ok)
            if not self._waiting and not self._name_gaps():
                self._work.clear()
            if not all(done):
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _again(self, fact: Fact) -> bool:
        with suppress(ClaudeBenchError):
            sent = self._sent(fact)
            await asyncio.wait((sent,))
            return self._acknowledged(fact, sent)
        return False

    def _sent(self, fact: Fact) -> asyncio.Future[Any]:
        """Hand a fact to the connection; a refusal to take it leaves the fact as it was."""
        number = self._number + 1
        writer = f"{self._process}.{self._log.connection.generation}"
        earlier = (fact.writer, fact.number)
        sent = self._log.append_once(fact.origin, fact.type, fact.subject, fact.payload, (writer, number), earlier)
        self._number, fact.writer, fact.number = number, writer, number
        return sent

    def _settle(self, fact: Fact, sent: asyncio.Future[Any], taken: asyncio.Future[bool]) -> None:
        self._in_flight -= 1
        acknowledged = self._acknowledged(fact, sent)
        if not acknowledged:
            self._keep(fact)
        if not taken.done():
            taken.set_result(acknowledged)

    def _acknowledged(self, fact: Fact, sent: asyncio.Future[Any]) -> bool:
        """Whether the log has the fact; a sending that surely wrote nothing is forgotten."""
        if sent.cancelled() or (error := sent.exception()) is None:
            return not sent.cancelled()
        if isinstance(error, ClaudeBenchError) and error.outcome == "not_done":
            fact.writer, fact.number = "", 0
        return False

    def _keep(self, fact: Fact) -> None:
        if self.waiting >= self._size:
            self._drop(fact)
            return
        self._waiting.append(fact)
        self._work.set()

    def _drop(self, fact: Fact) -> None:
        self.dropped += 1
        self._work.set()
        now = self._clock()
        gap = self._gaps.get(fact.origin.workspace)
        if gap is None:
            if len(self._gaps) >= self._size:
                return
            gap = self._gaps[fact.origin.workspace] = Gap(now, now)
        gap.last = now
        gap.unknown += bool(fact.writer)
        gap.kinds[fact.kind] += 1

    def _name_gaps(self) -> bool:
        """Let an event of each gap wait in its turn; return whether there was any."""
        gaps, self._gaps = self._gaps, {}
        self._waiting.extend(self._noted("hook.unrecorded", workspace, gap) for workspace, gap in gaps.items())
        return bool(gaps)

    def _noted(self, type_: str, workspace: str, gap: Gap) -> Fact:
        told = {
            "count": gap.kinds.total(),
            "unknown": gap.unknown,
            "firstAt": iso(int(gap.first * 1000)),
            "lastAt": iso(int(gap.last * 1000)),
            "decisions": gap.kinds,
        }
        return Fact(Origin(workspace), type_, "-", msgspec.json.encode(told))
