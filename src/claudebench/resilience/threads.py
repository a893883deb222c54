"""Functions that may block, in a few threads of their own: given up when nobody waits, never more than stated."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS_MAX = 4  # of one function
QUEUED_MAX = 256


class Busy(Exception):
    """The calls before this one keep a function from looking at it."""


class _Asked:
    """A call on its way through a thread; its answer is what the function returned, or raised."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self.arguments = arguments
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[tuple[Any, BaseException | None]] = self.loop.create_future()
        self.began = False  # set by the thread before it looks whether anybody still waits
        self.hangs = False  # set by the loop when nobody waits any more


class Threaded:
    """A function in threads of its own: calls wait for a free one, unless all of them hang.

    A thread hangs whose call was given up. The threads are daemons, so one that hangs keeps no server from ending.
    """

    def __init__(self, function: Callable[..., Any], name: str = "hook") -> None:
        """Take the function, and what its threads are called."""
        self._function, self._name = function, name
        self._work: SimpleQueue[_Asked] = SimpleQueue()
        self._threads = 0
        self._asked = 0
        self._hung = 0

    async def call(self, *arguments: Any) -> Any:
        """Return what the function says.

        Raises:
            Busy: every thread hangs, or too many calls wait for one.
        """
        if self._hung >= THREADS_MAX or self._asked >= THREADS_MAX + QUEUED_MAX:
            raise Busy(f"{self._hung} of its {THREADS_MAX} threads hang, {self._asked} calls are on their way")
        asked = _Asked(arguments)
        self._asked += 1
        self._work.put(asked)
        self._start()
        try:
            answer, failure = await asked.answer
        except asyncio.CancelledError:
            asked.hangs = asked.began
            self._hung += asked.hangs
            raise
        if failure is not None:
            raise failure
        return answer

    def _start(self) -> None:
        """Start one more thread while there are more calls than threads."""
        if self._threads < min(self._asked, THREADS_MAX):
            self._threads += 1
            threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()

    def _run(self) -> None:
        while True:
            asked = self._work.get()
            answer: Any = None
            failure: BaseException | None = None
            asked.began = True
            if not asked.answer.cancelled():
                try:
                    answer = self._function(*asked.arguments)
                except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's to judge
                    failure = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                asked.loop.call_soon_threadsafe(self._done, asked, answer, failure)

    def _done(self, asked: _Asked, answer: Any, failure: BaseException | None) -> None:
        self._asked -= 1
        self._hung -= asked.hangs
        if not asked.answer.done():
            asked.answer.set_result((answer, failure))
