"""How the subscribers of a process learn of events: three ways with one contract, one of them in force per workspace.

    hybrid        `HybridEventBus`       each process reads its share of the log, woken when something is written
    centralized   `CentralizedEventBus`  one process reads the log and hands each event to whoever handles it, in order
    distributed   `DistributedEventBus`  events are published as they are written, and nobody reads them back

The log is written under all three, and under all three a group's place in it is its cursors. So a way that ends hands
over to the next through the store alone: it begins nothing new, ends what has begun, and releases each partition with
what it handled. Whoever missed the end is fenced by the epoch that its cursors carry.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from claudebench.errors import ClaudeBenchError
from claudebench.events.group import Reader
from claudebench.events.letters import RETRIED
from claudebench.events.patterns import PATTERNS_MAX, compiled
from claudebench.events.subscriber import Delivering
from claudebench.patterns.label import Pattern
from claudebench.telemetry.span import Instrument
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from claudebench.events import channel
    from claudebench.events.cursor import Cursors
    from claudebench.events.group import Group, Handler
    from claudebench.events.letters import DeadLetters
    from claudebench.events.log import EventLog, Page
    from claudebench.events.patterns import Patterns
    from claudebench.events.ring import Frame
    from claudebench.events.subscriber import Subscription
    from claudebench.events.tailer import Tailer
    from claudebench.store.lease import Leases
    from claudebench.store.pubsub import PubSub

SEAM = "events"
AnyGroup = TypeVar("AnyGroup", bound="Group")
LOOK_EVERY_S, POLL_S, FINISH_S, AGAIN_AFTER_S = 0.25, 2.0, 3.0, 5.0
_ended = Sparse.to_log("error")


class EventBus(Protocol):
    """One way in which the subscriptions of a workspace are served in this process."""

    pattern: ClassVar[Pattern]

    @property
    def groups(self) -> Mapping[str, Group]:
        """The groups that work here, by name."""

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            ClaudeBenchError: the store does not answer.
        """

    async def verify(self) -> None:
        """Wait until every subscription is served, here or by whose turn it is; whoever asks bounds the wait."""

    async def drain(self) -> None:
        """Begin nothing new, and hand over what is held once what has begun is over, however long that takes."""

    async def stop(self) -> None:
        """Hand over what is held; what has begun may go on for `FINISH_S`."""


def _instruments() -> dict[Pattern, Instrument]:
    return {strategy: Instrument("events", strategy.value, span="delivery") for strategy in Pattern}


@dataclass(slots=True)
class Losses:
    """What distributed delivery lost here: events that found no room, and how often the channel was interrupted."""

    dropped: int = 0
    interruptions: int = 0


@dataclass(frozen=True, slots=True)
class Means:
    """What buses work with in this process; `mask` hides secrets in the errors that are told."""

    log: EventLog
    cursors: Cursors
    letters: DeadLetters
    leases: Leases
    tailer: Tailer
    pubsub: PubSub
    process: str
    mask: Callable[[str], str] = str
    instruments: Mapping[Pattern, Instrument] = field(default_factory=_instruments)
    losses: Losses = field(default_factory=Losses)

    def delivering(self, subscription: Subscription, workspace: str, strategy: Pattern) -> Delivering:
        """Return what brings events to a subscription."""
        instrument = self.instruments[strategy]
        about = (subscription, workspace, self.cursors, self.letters)
        return Delivering(*about, mask=self.mask, instrument=instrument)

    def reader(self, service: Service, subscription: Subscription, handler: Handler) -> Reader:
        """Return what a group of a subscription is under every strategy."""
        return Reader(
            service.workspace,
            subscription.group,
            handler,
            subscription.partitions,
            wants=subscription.wanted.match,
            letters=self.letters,
            poll_s=POLL_S,
            finish_s=FINISH_S,
            epoch=service.epoch,
            registers=subscription.registers,
        )

    def recent(self, subscription: Subscription, workspace: str) -> Callable[[str, int], Page | None]:
        """Return what tells of the log what this process has read of it already."""
        wants = subscription.wanted.match

        def is_for(type_: str) -> bool:
            return type_ == RETRIED or wants(type_)

        return lambda after, limit: self.tailer.recent(workspace, after, limit, is_for)


@dataclass(frozen=True, slots=True)
class Service:
    """What a bus serves: the subscriptions of a workspace as they are now, under an epoch of the seam.

    `members` tells the processes that serve the same workspace.
    """

    workspace: str
    epoch: int
    subscriptions: Callable[[], Sequence[Subscription]]
    members: Callable[[], Awaitable[Sequence[str]]]

    @property
    def wanted(self) -> Patterns:
        """What wakes the groups."""
        patterns = frozenset(pattern for each in self.subscriptions() for pattern in each.patterns) | {RETRIED}
        return compiled(patterns if len(patterns) <= PATTERNS_MAX else frozenset("*"))


def _nothing(_frame: Frame) -> bytes:
    return b"."


@dataclass(frozen=True, slots=True)
class Waker:
    """A listener on the log that only says that something is there."""

    wake: Callable[[], None]
    is_full: bool = False

    @property
    def shape(self) -> Callable[[Frame], bytes]:
        """How it wants its frames: not at all."""
        return _nothing

    def write(self, data: bytes) -> None:  # noqa: ARG002 - what it was is read from the log
        """Look: there is something."""
        self.wake()

    def tell_begin(self, position: str) -> None:
        """Take where it begins; the groups have places of their own."""

    def tell_gap(self, gap: channel.Gap) -> None:  # noqa: ARG002 - the groups find it themselves
        """Look: the log is not as it was."""
        self.wake()

    def cut(self, at: str) -> None:
        """End; a waker is never full, so never cut."""


@dataclass(slots=True)
class Serving(Generic[AnyGroup]):
    """A group for each subscription, begun and ended as subscriptions come and go; woken by `tailer`, if any."""

    service: Service
    make: Callable[[Subscription], AnyGroup]
    tailer: Tailer | None = None
    groups: dict[str, AnyGroup] = field(default_factory=dict)
    _served: dict[str, Subscription] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _keeper: asyncio.Task[None] | None = None
    _reader: channel.Reader | None = None

    async def begin(self) -> None:
        """Serve from now on."""
        await self._keep()
        self._keeper = asyncio.create_task(self._go_on(), name="subscriptions")

    async def ready(self) -> None:
        """Wait until every group was given its share once."""
        for group in list(self.groups.values()):
            await group.took.wait()

    async def end(self, *, finish_s: float | None = FINISH_S) -> None:
        """End every group; what has begun may go on for so long, None for as long as nobody calls this again."""
        if self._keeper:
            self._keeper.cancel()
        if self._reader:
            self._reader.leave()
        self._keeper = self._reader = None
        for group in self.groups.values():
            group.finish_s = finish_s
        await self._end(list(self._tasks))

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._keep()

    async def _keep(self) -> None:
        """Bring the groups into line with the subscriptions."""
        wanted = {each.group: each for each in self.service.subscriptions()}
        await self._end([name for name, served in self._served.items() if wanted.get(name) != served])
        fresh = wanted.keys() - self._tasks.keys()
        for name in fresh:
            group = self.groups[name] = self.make(wanted[name])
            self._served[name] = wanted[name]
            self._tasks[name] = asyncio.create_task(self._take_part(group, name), name=f"group {name}")
        if self.tailer and (fresh or not self._reader):
            await self._listen(self.tailer)

    async def _listen(self, tailer: Tailer) -> None:
        """Be woken by what the groups want; by a store that is away, later."""
        if self._reader:
            self._reader.want(self.service.wanted)
        else:
            with suppress(ClaudeBenchError):
                self._reader = await tailer.join(self.service.workspace, Waker(self._wake), self.service.wanted)

    def _wake(self) -> None:
        for group in self.groups.values():
            group.wake()

    async def _take_part(self, group: Group, name: str) -> None:
        """Run a group, and again a while after it could not: it has other partitions, or there are too many."""
        while True:
            try:
                await group.run()
            except* Exception as errors:  # noqa: BLE001 - whatever it is, it is said, and the others go on
                workspace, error = self.service.workspace, str(errors.exceptions[0])
                _ended("a subscriber cannot read the log", workspace=workspace, group=name, error=error)
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _end(self, names: Iterable[str]) -> None:
        ending = {name: self._tasks[name] for name in names}
        for task in ending.values():
            task.cancel()
        if ending:
            await asyncio.wait(ending.values())
        for name in ending:
            del self._tasks[name], self._served[name], self.groups[name]
