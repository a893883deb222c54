"""Facts that must not hold up whoever makes them: sent at once, kept and sent again when the store could not take them.

A fact is written once: each sending is numbered, and a sending whose outcome is unknown is named when it is repeated
(`append_once.lua`). At most `SIZE` facts wait; one more is dropped and counted, and `is_full` says so beforehand.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.errors import ClaudeBenchError

if TYPE_CHECKING:
    from claudebench.events.log import EventLog
    from claudebench.store.origin import Origin  # noqa: TC004 - never decoded

SIZE = 10_000
REPLAYED_AT_ONCE = 64
AGAIN_AFTER_S = 0.1


class Fact(msgspec.Struct):
    """One event on its way; `writer` and `number` name its last sending while that may have been written."""

    origin: Origin
    type: str
    subject: str
    payload: bytes
    writer: str = ""
    number: int = 0


class Spool:
    """The facts of one process that the log has not acknowledged."""

    def __init__(self, log: EventLog, size: int = SIZE) -> None:
        """Take the log, and how many facts may wait."""
        self.dropped = 0
        self._log = log
        self._size = size
        self._process = secrets.token_hex(8)
        self._number = 0
        self._in_flight = 0
        self._waiting: deque[Fact] = deque()
        self._work = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many facts are not acknowledged: on their way, or kept to be sent again."""
        return len(self._waiting) + self._in_flight

    @property
    def is_full(self) -> bool:
        """Whether one more fact would be dropped should the store not take it."""
        return self.waiting >= self._size

    def send(self, origin: Origin, type_: str, subject: str, payload: bytes) -> asyncio.Future[bool]:
        """Send a fact; the future tells whether the log has acknowledged it, or that it is kept for later."""
        fact = Fact(origin, type_, subject, payload)
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
            if not self._waiting:
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
            self.dropped += 1
            return
        self._waiting.append(fact)
        self._work.set()
