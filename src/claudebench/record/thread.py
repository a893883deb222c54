"""A thread that does one piece of work after the other, and that nobody has to wait for at the end."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Worker:
    """One thread, started with its first work; what hangs in it when the process ends is left."""

    def __init__(self, name: str) -> None:
        """Take the name of the thread."""
        self.name = name
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread: Thread | None = None

    async def do(self, work: Callable[[], T]) -> T:
        """Do work after all that was handed over before, and return what it returns."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()
        done: Future[T] = Future()
        self._jobs.put((work, done))
        return await asyncio.wrap_future(done)

    def end(self) -> None:
        """Let the thread end once it has done what it has."""
        self._jobs.put(None)

    def _run(self) -> None:
        while job := self._jobs.get():
            work, done = job
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(work())
                except BaseException as error:  # noqa: BLE001 - it is whoever waits that it concerns
                    done.set_exception(error)
            del job, work, done
