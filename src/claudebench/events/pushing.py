"""What the notifier and the processes that handle events tell each other, published in the store.

    push     notifier -> a process      handle this event, under this mark
    working  process -> notifier        every second, while the handler runs
    told     process -> notifier        handled, dead or skipped; or refused: the partition changed hands, nobody here
                                        handles that group, or it could not be tried

What is published may be lost. So an event whose process says nothing for `SILENCE_MAX_S` is given up, its partition is
released, and the event is pushed once more under another fence: the former try can mark nothing any more.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Literal
from zlib import crc32

import msgspec

from claudebench.errors import ClaudeBenchError, Stale, Unavailable
from claudebench.events.cursor import Mark
from claudebench.events.group import HandedOver
from claudebench.events.model import Event
from claudebench.store.keys import KEYS, prefix
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from claudebench.events.bus import Means
    from claudebench.events.subscriber import Delivering

WORKING_EVERY_S, SILENCE_MAX_S, STALLED_S = 1.0, 5.0, 2.0
_unreadable = Sparse.to_log("error")
_untold = Sparse.to_log("error")
_encode = msgspec.json.Encoder().encode
Answer = Literal["handled", "dead", "skipped", "stale", "unknown", "failed"]
NOT_HERE: Answer = "unknown"
NUMBER_BITS = 62  # where the numbers of a notifier begin, so that an answer to one before it is nobody's


class Silent(Stale):
    """Nobody tells what becomes of an event that was pushed."""


class Push(msgspec.Struct, tag="push", frozen=True):
    """An event, its mark, and who is to be told under which number."""

    number: int
    notifier: str
    mark: Mark
    event: Event


class Working(msgspec.Struct, tag="working", frozen=True):
    """The handler runs."""

    number: int


class Told(msgspec.Struct, tag="told", frozen=True):
    """What became of a push."""

    number: int
    answer: Answer


_message = msgspec.json.Decoder(Push | Working | Told)


@dataclass(slots=True)
class _Asked:
    """A push that waits for its answer, and when its process was last heard."""

    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    heard_s: float = field(default_factory=monotonic)


class Pushing:
    """One process's end: it pushes events, and handles those that are pushed to it."""

    def __init__(
        self,
        means: Means,
        workspace: str,
        handling: Callable[[str], Delivering | None],
        members: Callable[[], Awaitable[Sequence[str]]],
    ) -> None:
        """Take the workspace, what handles the events of a group here, and what tells the processes that take part."""
        self._means, self._workspace, self._handling, self._members = means, workspace, handling, members
        self._numbers = itertools.count(secrets.randbits(NUMBER_BITS))
        self._asked: dict[int, _Asked] = {}
        self._running: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._handled: dict[int, Push] = {}  # those that were pushed here and are being handled
        self._watching: asyncio.Task[None] | None = None

    @property
    def channel(self) -> str:
        """Where this process hears the others."""
        return self._channel_of(self._means.process)

    async def begin(self) -> None:
        """Hear the others from now on.

        Raises:
            Unavailable: the store does not answer.
        """
        await self._means.pubsub.hear(self.channel, self._hear)
        self._watching = asyncio.create_task(self._watch(), name="pushes")

    async def finish(self) -> None:
        """Wait until what was pushed to us is handled."""
        if running := list(self._running.values()):
            await asyncio.wait(running)

    def end(self) -> None:
        """Hear nobody any more; what is being handled is given up."""
        self._means.pubsub.leave(self.channel)
        if self._watching:
            self._watching.cancel()
        for task in self._running.values():
            task.cancel()

    async def push(self, event: Event, mark: Mark) -> None:
        """Have an event handled by some process.

        Raises:
            Stale: the partition changed hands, or is handed over.
            Silent: whoever was to handle the event tells nothing any more.
            Unavailable: no process handles the group now.
        """
        for process in _in_turn(mark.group, await self._members()):
            answer = await self._ask(process, event, mark)
            if answer == "stale":
                raise Stale("the partition changed hands")
            if answer not in {NOT_HERE, "failed"}:
                return
        raise Unavailable("no process handles the group now", reason="group")

    async def _ask(self, process: str, event: Event, mark: Mark) -> Answer:
        """Push to one process and wait for what it tells.

        Raises:
            Silent: it tells nothing any more.
        """
        number, asked = next(self._numbers), _Asked()
        self._asked[number] = asked
        try:
            pushed = Push(number, self._means.process, mark, event)
            if not await self._say(process, pushed):
                return NOT_HERE
            return await asked.answer
        finally:
            del self._asked[number]

    async def _watch(self) -> None:
        """Tell every notifier that its pushes are being handled; give up those of ours of which nobody tells."""
        while True:
            began_s = monotonic()
            await asyncio.sleep(WORKING_EVERY_S)
            with suppress(ClaudeBenchError):
                words = [self._say(push.notifier, Working(push.number)) for push in self._handled.values()]
                await asyncio.gather(*words, return_exceptions=True)
            if monotonic() > began_s + STALLED_S:
                continue  # we were deaf ourselves: what came meanwhile is not read yet
            for asked in self._asked.values():
                if monotonic() > asked.heard_s + SILENCE_MAX_S and not asked.answer.done():
                    asked.answer.set_exception(Silent("the process that was to handle the event fell silent"))

    def _say(self, process: str, message: Push | Working | Told) -> asyncio.Future[int]:
        return self._means.log.connection.command("PUBLISH", self._channel_of(process), _encode(message))

    def _channel_of(self, process: str) -> str:
        return prefix(self._workspace) + KEYS["push"].tail.replace("{process}", process)

    def _hear(self, data: bytes) -> None:
        try:
            message = _message.decode(data)
        except msgspec.DecodeError as error:
            _unreadable("what a notifier or a process said cannot be read", error=str(error))
            return
        if isinstance(message, Push):
            self._take(message)
        elif asked := self._asked.get(message.number):
            asked.heard_s = monotonic()
            if isinstance(message, Told) and not asked.answer.done():
                asked.answer.set_result(message.answer)

    def _take(self, push: Push) -> None:
        """Handle a push; of one partition the last alone, since whoever pushed the one before gave it up."""
        at = (push.mark.group, push.mark.partition)
        former = self._running.get(at)
        if former:
            former.cancel()
        task = self._running[at] = asyncio.create_task(self._answer(push, former), name=f"pushed {at[0]}")
        task.add_done_callback(lambda done: self._running.pop(at) if self._running.get(at) is done else None)

    async def _answer(self, push: Push, former: asyncio.Task[None] | None) -> None:
        if former:
            await asyncio.wait((former,))
        self._handled[id(push)] = push
        try:
            answer = await self._handle(push)
        finally:
            del self._handled[id(push)]
        with suppress(ClaudeBenchError):
            await self._say(push.notifier, Told(push.number, answer))

    async def _handle(self, push: Push) -> Answer:
        delivering = self._handling(push.mark.group)
        if not delivering:
            return NOT_HERE
        try:
            return await delivering.deliver(push.event, push.mark)
        except (Stale, HandedOver):
            return "stale"
        except Exception as error:  # noqa: BLE001 - whatever it is, the notifier is told, and tries again
            _untold("an event that was pushed could not be tried", group=push.mark.group, exc_info=error)
            return "failed"


def _in_turn(group: str, processes: Sequence[str]) -> list[str]:
    """Return the processes in an order of the group's own, so that groups spread over them."""
    return sorted(processes, key=lambda process: crc32(f"{group} {process}".encode()))
