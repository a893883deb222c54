"""Hooks of somebody's own: functions declared with `@hook` that an app brings."""

from __future__ import annotations

import asyncio
import inspect
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from claudebench.errors import SettingsError
from claudebench.hooks.chain import Busy, Link, declared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from claudebench.hooks.model import Decision, ToolCall

THREADS_MAX = 4  # of one hook
QUEUED_MAX = 256
ASKED_KINDS = ("pre_tool",)


def is_hook(value: object) -> bool:
    """Tell a declared hook from any other value."""
    return declared(value) is not None


def links_of(functions: Iterable[Callable[[ToolCall], Any]]) -> list[Link]:
    """Return the links that declared functions are.

    A function that is not async runs in a thread, so that it can be given up at its time-out and holds nobody up; each
    has a few threads of its own.

    Raises:
        SettingsError: nobody asks hooks of that kind.
    """
    return [_link(function) for function in functions]


def _link(function: Callable[[ToolCall], Any]) -> Link:
    found = declared(function)
    if found and found.kind not in ASKED_KINDS:
        raise SettingsError(f"--app {function.__module__}: nobody asks hooks of the kind {found.kind!r} yet")
    link = Link.of(function)
    if not inspect.iscoroutinefunction(function):
        link.decide = Threaded(function).decide
    return link


class _Asked:
    """A call on its way through a thread; its answer is what the function returned, or raised."""

    def __init__(self, call: ToolCall) -> None:
        self.call = call
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[tuple[Decision | None, BaseException | None]] = self.loop.create_future()
        self.began = False  # set by the thread before it looks whether anybody still waits
        self.hangs = False  # set by the loop when nobody waits any more


class Threaded:
    """A function in threads of its own: calls wait for a free one, unless all of them hang.

    A thread hangs whose call was given up. The threads are daemons, so one that hangs keeps no server from ending.
    """

    def __init__(self, function: Callable[[ToolCall], Decision | None]) -> None:
        self._function = function
        self._work: SimpleQueue[_Asked] = SimpleQueue()
        self._threads = 0
        self._asked = 0
        self._hung = 0

    async def decide(self, call: ToolCall) -> Decision | None:
        """Return what the function says.

        Raises:
            Busy: every thread hangs, or too many calls wait for one.
        """
        if self._hung >= THREADS_MAX or self._asked >= THREADS_MAX + QUEUED_MAX:
            raise Busy(f"{self._hung} of its {THREADS_MAX} threads hang, {self._asked} calls are on their way")
        asked = _Asked(call)
        self._asked += 1
        self._work.put(asked)
        self._start()
        try:
            decision, failure = await asked.answer
        except asyncio.CancelledError:
            asked.hangs = asked.began
            self._hung += asked.hangs
            raise
        if failure is not None:
            raise failure
        return decision

    def _start(self) -> None:
        """Start one more thread while there are more calls than threads."""
        if self._threads < min(self._asked, THREADS_MAX):
            self._threads += 1
            threading.Thread(target=self._run, name=f"hook-{self._threads}", daemon=True).start()

    def _run(self) -> None:
        while True:
            asked = self._work.get()
            decision: Decision | None = None
            failure: BaseException | None = None
            asked.began = True
            if not asked.answer.cancelled():
                try:
                    decision = self._function(asked.call)
                except BaseException as error:  # noqa: BLE001 - whatever it is, the hook's fail mode decides
                    failure = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                asked.loop.call_soon_threadsafe(self._done, asked, decision, failure)

    def _done(self, asked: _Asked, decision: Decision | None, failure: BaseException | None) -> None:
        self._asked -= 1
        self._hung -= asked.hangs
        if not asked.answer.done():
            asked.answer.set_result((decision, failure))
