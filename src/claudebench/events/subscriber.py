"""Subscribers: functions that are told what happened, each event until it is handled, or is a dead letter.

    skipped   no pattern of the subscription matches
    try       the function runs, for `timeout_s` at most
    wait      after a try that failed: `first_s`, doubled each time, `most_s` at most; nothing overtakes the event
    handled   a try ended well
    dead      `retries` further tries failed too: a dead letter, and the next event of the partition goes on

Before each further try the store is asked whether the partition is still ours, and holds it longer for us: no try is
begun under a lease that may be over. Of one subscription at most `AT_ONCE` tries run in a process, those included that
were given up and do not end.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from claudebench.errors import ClaudeBenchError, Internal, InvalidParams, Stale
from claudebench.events.cursor import NAME, PARTITIONS, Cursors, partition_of
from claudebench.events.group import LEASE_MS, HandedOver
from claudebench.events.letters import RETRY_SIGN, DeadLetters, Letter
from claudebench.events.model import Trace
from claudebench.events.patterns import Patterns, compiled
from claudebench.store.origin import Origin
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from claudebench.events.cursor import Mark
    from claudebench.events.model import Event
    from claudebench.telemetry.span import Instrument

    Handler = Callable[["Event", "Delivery"], Awaitable[object]]

Outcome = Literal["handled", "dead", "skipped"]
RETRIES_MAX, DELAY_MAX_S, TIMEOUT_MAX_S = 100, 3600.0, 600.0
AT_ONCE = 16
ERROR_MAX = 500
GIVE_UP_S, AWAY_S = 1.0, 0.2
_DECLARED = "__claudebench_on__"
_Function = TypeVar("_Function", bound="Callable[..., Any]")
_failed = Sparse.to_log("warning")
_gave_up = Sparse.to_log("error")
_encode = msgspec.json.Encoder().encode


class NotNow(Exception):
    """A handler's word that its event cannot be handled now; before `after_s` seconds a further try is no use."""

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        """Take what is wrong, and for how long."""
        super().__init__(message)
        self.after_s = min(after_s, DELAY_MAX_S)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a further try: `first_s`, doubled each time, at most `most_s`."""

    first_s: float = 0.1
    most_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse bounds that are none."""
        if not 0 < self.first_s <= self.most_s <= DELAY_MAX_S:
            raise ValueError(f"backoff is (first, most) seconds, 0 < first <= most <= {DELAY_MAX_S:g}, not {self}")

    def delay_s(self, tries: int) -> float:
        """Return how long to wait after so many tries."""
        return min(self.first_s * 2.0 ** min(tries - 1, RETRIES_MAX), self.most_s)


@dataclass(frozen=True, slots=True)
class On:
    """What `on` declares about a function."""

    group: str
    patterns: tuple[str, ...]
    retries: int = 5
    backoff: Backoff = Backoff()
    timeout_s: float = 30.0
    partitions: int = PARTITIONS

    def __post_init__(self) -> None:
        """Refuse what no subscription can be."""
        if not NAME.match(self.group):
            raise ValueError(f"group={self.group[:80]!r} must be a name of [a-z0-9._-], of 1 to 64 characters")
        if not self.patterns:
            raise ValueError(f"{self.group}: name the events, such as @on('task.*')")
        if not 0 <= self.retries <= RETRIES_MAX:
            raise ValueError(f"{self.group}: retries lie in 0..{RETRIES_MAX}, not {self.retries}")
        if not 0 < self.timeout_s <= TIMEOUT_MAX_S:
            raise ValueError(f"{self.group}: timeout_s lies in 0..{TIMEOUT_MAX_S:g}, not {self.timeout_s}")
        if self.partitions not in (1, PARTITIONS):
            raise ValueError(f"{self.group}: partitions are {PARTITIONS}, or 1 for the order of the whole log")
        try:
            compiled(frozenset(self.patterns))
        except InvalidParams as error:
            raise ValueError(f"{self.group}: {error.message}") from None


def on(
    *patterns: str,
    group: str | None = None,
    retries: int = 5,
    backoff: tuple[float, float] = (0.1, 30.0),
    timeout_s: float = 30.0,
    partitions: int = PARTITIONS,
) -> Callable[[_Function], _Function]:
    """Declare a function as a subscriber of events. It stays what it is; nothing is registered anywhere.

    Args:
        patterns: which events: `*`, `task.*`, `task.created`.
        group: the name under which its place in the log is kept; by default that of module and function.
        retries: how many further tries there are before the event is a dead letter.
        backoff: seconds before the first further try, doubled with each, and the most.
        timeout_s: how long one try may take.
        partitions: 16, or 1 for the order of the whole log, one event at a time.

    Raises:
        ValueError: a name, a pattern or a bound does not hold.
    """

    def declare(function: _Function) -> _Function:
        name = f"{function.__module__}.{getattr(function, '__qualname__', '')}".lower() if group is None else group
        setattr(function, _DECLARED, On(name, patterns, retries, Backoff(*backoff), timeout_s, partitions))
        return function

    return declare


def declared(function: object) -> On | None:
    """Return what `on` declared about a function, if it did."""
    found = getattr(function, _DECLARED, None)
    return found if isinstance(found, On) else None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try at one event: where, for whom, the how-manieth, and the mark of whoever holds the partition."""

    workspace: str
    group: str
    tries: int
    mark: Mark | None
    origin: Origin

    @property
    def is_retry(self) -> bool:
        """Whether the event was a dead letter and somebody asked for it once more."""
        return self.mark is not None and RETRY_SIGN in self.mark.position


@dataclass(slots=True)
class Figures:
    """What a subscription did in this process since it started; `failed` counts tries."""

    handled: int = 0
    failed: int = 0
    timed_out: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Subscription:
    """A handler and what it was declared with, in this process.

    `registers` is False where somebody else registers and drops its group, so that none comes back that was dropped.
    """

    group: str
    patterns: tuple[str, ...]
    handler: Handler
    retries: int = 5
    backoff: Backoff = Backoff()
    timeout_s: float = 30.0
    partitions: int = PARTITIONS
    registers: bool = True
    figures: Figures = field(default_factory=Figures, compare=False)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE), compare=False)

    @classmethod
    def of(cls, declared_: On, handler: Handler) -> Subscription:
        """Return the subscription that was declared, with what is called."""
        told = declared_
        return cls(told.group, told.patterns, handler, told.retries, told.backoff, told.timeout_s, told.partitions)

    @property
    def wanted(self) -> Patterns:
        """The patterns, ready to be asked."""
        return compiled(frozenset(self.patterns))


class Delivering:
    """Brings events to one subscription in one workspace, one after the other as it is asked to."""

    def __init__(
        self,
        subscription: Subscription,
        workspace: str,
        cursors: Cursors,
        letters: DeadLetters,
        *,
        mask: Callable[[str], str] = str,
        instrument: Instrument | None = None,
    ) -> None:
        """Take the subscription, where cursors and dead letters are kept, what hides secrets in errors, what times."""
        self._subscription, self._workspace = subscription, workspace
        self._cursors, self._letters, self._mask = cursors, letters, mask
        self._wanted, self._instrument = subscription.wanted, instrument
        self._leaving = asyncio.Event()

    @property
    def retries(self) -> int:
        """How many further tries there are."""
        return self._subscription.retries

    def let_go(self) -> None:
        """Begin no further try: who takes the partition next begins the event anew."""
        self._leaving.set()

    async def deliver(self, event: Event, mark: Mark | None = None) -> Outcome:
        """Try until it is handled or dead.

        Raises:
            Stale: the partition is another's now; whatever was done of the event, it is that one's.
            HandedOver: a try failed, and further ones are for who takes the partition next.
        """
        if not self._wanted.match(event.type):
            return "skipped"
        subscription, tries = self._subscription, 0
        while True:
            tries += 1
            error = await self._timed(event, mark, tries)
            if error is None:
                subscription.figures.handled += 1
                return "handled"
            if isinstance(error, Stale):
                await self._hold(mark)
            self._note(event, error, tries)
            if tries > subscription.retries:
                return await self.bury(event, mark, error, tries)
            later_s = error.after_s if isinstance(error, NotNow) else 0.0
            await self._rest(max(subscription.backoff.delay_s(tries), later_s))
            await self._hold(mark)

    async def _rest(self, delay_s: float) -> None:
        """Wait before a further try.

        Raises:
            HandedOver: there is to be none here.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._leaving.wait()
        if self._leaving.is_set():
            raise HandedOver

    async def _timed(self, event: Event, mark: Mark | None, tries: int) -> BaseException | None:
        started_ns = perf_counter_ns()
        error = await self._try(event, mark, tries)
        if self._instrument:
            self._instrument.finish(started_ns, self._workspace, event.traceparent, Internal.code if error else 0)
        return error

    async def _try(self, event: Event, mark: Mark | None, tries: int) -> BaseException | None:
        """Run the handler once; return what it raised."""
        subscription = self._subscription
        async with self._slot(mark) as held:
            origin = Origin(self._workspace, "", _trace(event), self._cursors.given_ms())
            delivery = Delivery(self._workspace, subscription.group, tries, mark, origin)
            running = asyncio.create_task(_called(subscription.handler, event, delivery), name=subscription.group)
            held.append(running)
            try:
                await asyncio.wait((running,), timeout=subscription.timeout_s)
            finally:
                in_time = running.done()
                if not in_time:
                    running.cancel()
                    await asyncio.wait((running,), timeout=GIVE_UP_S)
            if not in_time:
                subscription.figures.timed_out += 1
                return TimeoutError(f"it did not end within {subscription.timeout_s:g} s and was given up")
            return asyncio.CancelledError("it cancelled itself") if running.cancelled() else running.result()

    @asynccontextmanager
    async def _slot(self, mark: Mark | None) -> AsyncIterator[list[asyncio.Task[Any]]]:
        """Wait until one more may run; a task that was given up and goes on keeps its slot until it ends."""
        slots, held = self._subscription.slots, list[asyncio.Task[Any]]()
        had_to_wait = slots.locked()
        await slots.acquire()
        try:
            if had_to_wait:
                await self._hold(mark)
            yield held
        finally:
            if held and not held[0].done():
                held[0].add_done_callback(lambda _: slots.release())
            else:
                slots.release()

    async def _hold(self, mark: Mark | None) -> None:
        """Ask whether the partition is still ours, and hold it longer.

        Raises:
            Stale: it is not.
        """
        if mark:
            unmoved = replace(mark, position="")
            await _surely(lambda: self._cursors.commit(self._workspace, unmoved, LEASE_MS))

    def _note(self, event: Event, error: BaseException, tries: int) -> None:
        self._subscription.figures.failed += 1
        shown = self._shown(error)
        _failed("a subscriber failed", group=self._subscription.group, event_id=event.id, tries=tries, error=shown)

    async def bury(self, event: Event, mark: Mark | None, error: BaseException, tries: int) -> Outcome:
        """Make a dead letter of an event after so many tries, unless it was handled meanwhile.

        Raises:
            Stale: the partition is another's now.
        """
        group, workspace = self._subscription.group, self._workspace
        letter = Letter(event=event, error=self._shown(error), tries=tries)
        partition = mark.partition if mark else partition_of(key_of(event), self._subscription.partitions)
        if not await _surely(lambda: self._letters.write(workspace, group, mark, letter, partition)):
            return "handled"
        self._subscription.figures.dead += 1
        _gave_up("a subscriber gave up on an event", group=group, event_id=event.id, error=letter.error)
        return "dead"

    def _shown(self, error: BaseException) -> str:
        """Return what went wrong, without obvious secrets, in bounds."""
        try:
            said = f": {error}"
        except Exception:  # noqa: BLE001 - an error of somebody's may fail to say what it is
            said = ""
        told = self._mask(f"{type(error).__name__}{said}".rstrip(": ")[: ERROR_MAX * 4])[:ERROR_MAX]
        return told.encode(errors="replace").decode()


def key_of(event: Event) -> str:
    """Return what an event is in order with."""
    return event.partition_key or event.subject


def _trace(event: Event) -> bytes:
    return _encode(Trace(correlation_id=event.correlation_id, causation_id=event.id, traceparent=event.traceparent))


async def _called(handler: Handler, event: Event, delivery: Delivery) -> BaseException | None:
    """Call the handler; whatever it raises is returned, so that it ends nothing but its try."""
    try:
        await handler(event, delivery)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit too
        return error
    return None


T = TypeVar("T")


async def _surely(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the store until it answers.

    Raises:
        Stale: the partition changed hands.
    """
    while True:
        try:
            return await ask()
        except Stale:
            raise
        except ClaudeBenchError:
            await asyncio.sleep(AWAY_S)
