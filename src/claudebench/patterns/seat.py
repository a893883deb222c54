"""A process's part at a seam: it follows the store's word, and brings what runs here into line with it.

    follow   every `tick_s` while not steady, else every `look_s`, and when woken: note the place, read the word
    work     steady, verifying: run the strategy of this epoch        draining: drain it, for a while, then stop
             undoing: stop it                                         no word to be trusted: stop it

A word is trusted for as long as this process is a member by its own clock, counted from before it asked: while the
store is away, what runs goes on, but no longer, since others may have switched meanwhile. It starts anew when the
store speaks again. A strategy that fails is told of in its place; while verifying that ends the switch, and while
steady it is tried again with back-off. What cannot be stopped is told in the log, and nothing else is started until it
has stopped.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from claudebench.errors import ClaudeBenchError
from claudebench.patterns.seam import FAULT_MAX, Phase, Place, State
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from claudebench.patterns.seam import Seams, Strategy, Word

BACKOFF_S = (0.1, 0.5, 2.0, 5.0)
CANCEL_WITHIN_S = 1.0
_failed, _undrained, _unstopped = (Sparse.to_log("error") for _ in range(3))
_away, _unled = Sparse.to_log("warning"), Sparse.to_log("warning")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a member counts without a word of it, how often it looks, and how long its strategy may take."""

    lease_ms: int = 5_000
    tick_s: float = 0.25
    look_s: float = 1.0
    drain_s: float = 20.0
    verify_s: float = 10.0
    stop_s: float = 5.0


@dataclass(slots=True)
class Running:
    """A strategy that was made for an epoch; `works` once it was started and verified."""

    name: str
    epoch: int
    strategy: Strategy
    works: bool = False


class Changed(Exception):
    """The word is another since this was begun."""


class Seat:
    """This process at a seam of a workspace."""

    def __init__(
        self,
        seams: Seams,
        workspace: str,
        seam: str,
        process: str,
        make: Mapping[str, Callable[[int], Strategy]],
        *,
        lead: Callable[[str, str], Awaitable[object]] | None = None,
        mask: Callable[[str], str] = str,
        timing: Timing | None = None,
    ) -> None:
        """Take the seam, the name of this process, and what makes each strategy for an epoch.

        `lead` goes on with a switch that nobody leads; `mask` hides secrets in the errors that are told.
        """
        self.word: Word | None = None
        self.place = Place()
        self._seams, self._workspace, self._seam, self._process = seams, workspace, seam, process
        self._make, self._lead, self._mask = make, lead, mask
        self._timing = timing or Timing()
        self._until_s = float("-inf")
        self._running: Running | None = None
        self._leading: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._woken, self._changed, self._renewed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @property
    def strategy(self) -> str:
        """The strategy that works here, '' while none does."""
        return self._running.name if self._running and self._running.works else ""

    @property
    def is_trusted(self) -> bool:
        """Whether this process is a member by its own clock, so that its word counts."""
        return monotonic() < self._until_s

    def wake(self) -> None:
        """Look at the word now."""
        self._woken.set()

    async def run(self) -> None:
        """Take part until it is cancelled; then stop what runs, and leave; what does not stop counts for its lease."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(), name=f"follow {self._seam}")
                tasks.create_task(self._watch(), name=f"watch {self._seam}")
                tasks.create_task(self._work(), name=f"work at {self._seam}")
        finally:
            if self._leading:
                self._leading.cancel()
                await asyncio.wait((self._leading,))
            if await self._try_to_stop():
                with suppress(ClaudeBenchError):
                    await self._seams.leave(self._workspace, self._seam, self._process)

    # -- following

    async def _follow(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._look()
            except ClaudeBenchError as error:
                _away("the word of a seam cannot be read", seam=self._seam, error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rest_s()):
                    await self._woken.wait()

    def _rest_s(self) -> float:
        is_steady = self.word is not None and self.is_trusted and self.word.phase is Phase.STEADY
        return min(self._timing.look_s if is_steady else self._timing.tick_s, self._timing.lease_ms / 3000)

    async def _look(self) -> None:
        asked_s, lease_ms = monotonic(), self._timing.lease_ms
        word = await self._seams.follow(self._workspace, self._seam, self._process, lease_ms, self.place)
        former, was_trusted = self.word, self.is_trusted
        self.word, self._until_s = word, asked_s + lease_ms / 1000
        self._renewed.set()
        if not was_trusted or former is None or (former.epoch, former.phase) != (word.epoch, word.phase):
            self._changed.set()
        if word.phase is not Phase.STEADY:
            self._lead_on()

    def _lead_on(self) -> None:
        """See to it that somebody leads."""
        if self._lead and (self._leading is None or self._leading.done()):
            self._leading = asyncio.create_task(self._try_to_lead(self._lead), name=f"lead {self._seam}")

    async def _try_to_lead(self, lead: Callable[[str, str], Awaitable[object]]) -> None:
        try:
            await lead(self._workspace, self._seam)
        except ClaudeBenchError as error:
            _unled("a switch could not be led on from here", seam=self._seam, error=str(error))

    async def _watch(self) -> None:
        """Tell the work when its word is not to be trusted any more."""
        while True:
            if (left_s := self._until_s - monotonic()) > 0:
                await asyncio.sleep(left_s)
                continue
            self._renewed.clear()
            self._changed.set()
            await self._renewed.wait()

    # -- working

    async def _work(self) -> None:
        tries = 0
        while True:
            self._changed.clear()
            with suppress(Changed):
                await self._bring_into_line()
            is_failed = self.place.state is State.FAILED
            again_s = BACKOFF_S[min(tries, len(BACKOFF_S) - 1)] if is_failed and self._may_try_again else None
            tries = tries + 1 if is_failed else 0
            with suppress(TimeoutError):
                async with asyncio.timeout(again_s):
                    await self._changed.wait()

    @property
    def _may_try_again(self) -> bool:
        return self.word is not None and self.word.phase is Phase.STEADY

    async def _bring_into_line(self) -> None:
        word = self.word if self.is_trusted else None
        if word is None:
            await self._end()
            self._note(Place(self.place.epoch))
        elif not word.is_to_run:
            if word.phase is Phase.DRAINING:
                await self._drain()
            await self._end()
            self._note(Place(word.epoch))
        elif not (self._running and self._running.works and self._running.epoch == word.epoch):
            await self._end()
            await self._begin(word)

    def _note(self, place: Place) -> None:
        """Let the store know where we are, at once."""
        if self.place != place:
            self.place = place
            self.wake()

    async def _begin(self, word: Word) -> None:
        self._note(Place(word.epoch))
        try:
            running = self._running = self._made(word)
            await self._within(self._timing.verify_s, self._start(running.strategy))
        except Changed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the strategy does not work here
            _failed("a strategy failed", seam=self._seam, strategy=word.strategy, exc_info=error)
            await self._end()
            told = self._mask(f"{type(error).__name__}: {error}")[:FAULT_MAX].encode(errors="replace").decode()
            self._note(Place(word.epoch, State.FAILED, told))
        else:
            running.works = True
            self._note(Place(word.epoch, State.RUNNING))

    async def _start(self, strategy: Strategy) -> None:
        """Start and verify, unless the word was overtaken while the former strategy was stopped."""
        if self._changed.is_set() or not self.is_trusted:
            raise Changed
        await strategy.start()
        await strategy.verify()

    def _made(self, word: Word) -> Running:
        if word.strategy not in self._make:
            raise LookupError(f"this server has no strategy {word.strategy!r}")
        return Running(word.strategy, word.epoch, self._make[word.strategy](word.epoch))

    async def _drain(self) -> None:
        """Let what runs end its work, for a while."""
        if not (self._running and self._running.works):
            return
        try:
            await self._within(self._timing.drain_s, self._running.strategy.drain())
        except Changed:
            raise
        except Exception as error:  # noqa: BLE001 - it is stopped then
            _undrained("a strategy did not drain and is stopped", seam=self._seam, exc_info=error)

    async def _end(self) -> None:
        """Stop what runs, until it has stopped; it counts as running no more from now on."""
        if self.place.state is State.RUNNING:
            self._note(Place(self.place.epoch))
        while True:
            if await self._try_to_stop():
                return
            await asyncio.sleep(BACKOFF_S[0])

    async def _try_to_stop(self) -> bool:
        """Stop what runs, and wait for it, for a while; return whether it has stopped."""
        if not self._running:
            return True
        self._running.works = False
        stopping = self._stopping = self._stopping or asyncio.create_task(self._running.strategy.stop())
        await asyncio.wait((stopping,), timeout=self._timing.stop_s)
        if not stopping.done():
            _unstopped("a strategy takes long to stop", seam=self._seam)
            return False
        self._stopping = None
        if error := _retrieve(stopping):
            _unstopped("a strategy could not be stopped", seam=self._seam, exc_info=error)
            return False
        self._running = None
        return True

    async def _within(self, within_s: float, work: Coroutine[object, object, None]) -> None:
        """Do something for as long as the word stays as it is.

        Raises:
            Changed: the word is another; the work was cancelled.
            TimeoutError: it took too long.
        """
        task, change = asyncio.create_task(work), asyncio.create_task(self._changed.wait())
        task.add_done_callback(_retrieve)
        try:
            await asyncio.wait((task, change), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Changed if change.done() else TimeoutError(f"it took more than {within_s:g} s")
            if error := _retrieve(task):
                raise error
        finally:
            change.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait((task,), timeout=CANCEL_WITHIN_S)


def _retrieve(task: asyncio.Task[None]) -> BaseException | None:
    """Return what a task that is done has raised."""
    return RuntimeError("it cancelled itself") if task.cancelled() else task.exception()
