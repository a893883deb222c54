"""A group at work in one process: its share of the partitions, one reader for all, each partition in its order.

    hold     every third of the lease: take, and give back what is beyond the share, each between two events
    read     page by page from the lowest place of all that is held; a partition takes what is behind its own place
    handle   one event at a time; what the handler raises is retried in place, so that nothing overtakes it
    commit   all partitions that moved on, in one step, every `COMMIT_EVERY_S`; where nothing came by, with the lease

Nothing is begun under a lease that may be over by this process's own clock: after a pause the partition waits until the
store has said again whose it is. What had begun before is refused when it commits, or marks (`Mark`), if another took
over. An event is delivered at least once; whoever wants to give up on one catches its errors and decides.

Where the events come from, and whether one may be begun now, are for a kind of group to say (`_read`, `_is_turn`): this
one reads pages of the log, and begins what is next in its partition.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from claudebench.errors import ClaudeBenchError, NotFound, Stale, TimedOut, Unavailable
from claudebench.events.cursor import OLDEST, PARTITIONS, Cursor, Mark, partition_of
from claudebench.events.letters import RETRIED
from claudebench.events.position import number
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from claudebench.events.cursor import Cursors, Taken
    from claudebench.events.letters import DeadLetters
    from claudebench.events.log import EventLog, Page
    from claudebench.events.model import Event

    Handler = Callable[[Event, Mark], Awaitable[object]]

LEASE_MS = 5_000
PAGE, QUEUE_MAX = 200, 1_000
POLL_S, COMMIT_EVERY_S = 0.1, 0.02
BACKOFF_S = (0.05, 0.2, 1.0, 5.0)
_failed = Sparse.to_log("error")


class HandedOver(Exception):
    """An event is not handled, and who takes its partition next goes on with it."""


@dataclass(slots=True, eq=False)
class Partition:
    """A partition in our hands.

    `seen` is how far the log was read for it, `handled` the last event handled, `committed` what the store knows;
    `is_live`: it is read no more, its events come by themselves; `asks`: dead letters of it may have to be delivered
    once more.
    """

    cursor: Cursor
    until_s: float
    seen: str
    committed: str
    handled: str = ""
    waiting: deque[Event] = field(default_factory=deque)
    busy_with: str = ""
    is_given: bool = False
    is_live: bool = False
    asks: bool = False
    work: asyncio.Event = field(default_factory=asyncio.Event)
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    renewed: asyncio.Event = field(default_factory=asyncio.Event)
    worker: asyncio.Task[None] | None = None

    @property
    def oldest(self) -> str:
        """The position of the first event that is not handled yet, '' for none."""
        return self.busy_with or (self.waiting[0].id if self.waiting else "")

    @property
    def is_busy(self) -> bool:
        """Whether an event is being handled."""
        return bool(self.busy_with)

    @property
    def is_idle(self) -> bool:
        """Whether all that was read is handled."""
        return not self.waiting and not self.is_busy

    def ask_again(self) -> None:
        """Look for dead letters that are to be delivered once more."""
        self.asks = True
        self.work.set()

    def renew(self, until_s: float) -> None:
        """Trust the lease until a time of this process's clock."""
        self.until_s = until_s
        self.renewed.set()
        self.renewed.clear()


def _none(_after: str, _limit: int) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Reader:
    """What a group is: its name in a workspace, what handles its events, and under which bounds.

    `wants` tells by its type whether an event is for it at all; `letters` is where its retries wait; `poll_s` is how
    often it looks by itself; what has begun may go on for `finish_s` when the group ends. `epoch` is that of the way in
    which events are delivered (`patterns/seam.py`), None where there is but one. `commits_at_once`: the store is told
    soon after an event is handled, not only when the lease is renewed. `recent` returns what this process has read of
    the log already, behind a position, or None: it is asked first by a group that was woken. `registers`: False where
    somebody else registers the group, and drops it. `let_go` is called when the group ends: who rests between two
    tries need not be waited for.
    """

    workspace: str
    name: str
    handler: Handler
    partitions: int = PARTITIONS
    start: str = OLDEST
    lease_ms: int = LEASE_MS
    wants: Callable[[str], bool] = bool
    letters: DeadLetters | None = None
    poll_s: float = POLL_S
    finish_s: float | None = 0.0
    epoch: int | None = None
    commits_at_once: bool = True
    registers: bool = True
    recent: Callable[[str, int], Page | None] = _none
    let_go: Callable[[], None] = lambda: None


class Group:
    """This process's part in a group."""

    def __init__(self, log: EventLog, cursors: Cursors, holder: str, reader: Reader) -> None:
        """Take the log, its cursors, the name of this process, and what is to be read."""
        self.held: dict[int, Partition] = {}
        self.took = asyncio.Event()
        self.finish_s = reader.finish_s
        self._log, self._cursors, self._holder, self._reader = log, cursors, holder, reader
        self._lease_s = reader.lease_ms / 1000
        self._woken, self._is_woken = asyncio.Event(), False
        self._moved = asyncio.Event()
        self._handing_over: set[asyncio.Task[None]] = set()
        self._ending: dict[int, asyncio.Task[None]] = {}  # by partition, who worked on it before

    def wake(self) -> None:
        """Look at the log now: something was written, or there is room again."""
        self._woken.set()

    async def run(self) -> None:
        """Take part until it is cancelled; then let go what is held. A store that is away is met again.

        Raises:
            ExceptionGroup: the group exists with other partitions, or there are too many groups.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hold(), name=f"hold {self._reader.name}")
                tasks.create_task(self._read(), name=f"read {self._reader.name}")
                tasks.create_task(self._commit_what_moved(), name=f"commit {self._reader.name}")
        finally:
            try:
                await self._finish()
            finally:
                await self._leave()

    async def _finish(self) -> None:
        """Begin nothing new, and let what has begun end, for a while; without a bound until this is cancelled."""
        self._reader.let_go()
        for partition in self.held.values():
            self._begin_no_more(partition)
        workers = [each.worker for each in self.held.values() if each.worker and each.is_busy]
        if workers and self.finish_s != 0:
            await asyncio.wait(workers, timeout=self.finish_s)

    async def _leave(self) -> None:
        for partition in list(self.held.values()):
            await self._stop(partition)
        with suppress(ClaudeBenchError):
            await self._cursors.leave(self._reader.workspace, self._reader.name, self._holder)

    def _begin_no_more(self, partition: Partition) -> None:
        partition.is_given = True
        partition.waiting.clear()
        partition.work.set()
        partition.turn.set()

    def behind_ms(self, now_ms: int) -> int:
        """Return how old the oldest event is that waits here, or is being handled; 0 for none."""
        oldest = (each.oldest for each in self.held.values() if each.oldest)
        return max((now_ms - number(each)[0] for each in oldest), default=0)

    # -- holding

    async def _hold(self) -> None:
        await self._register()
        while True:
            try:
                asked_s = monotonic()
                self._keep(await self._take(), asked_s + self._lease_s)
                self.took.set()
                await self._commit_idle()
            except NotFound:  # it was dropped while we did not hold it; served, it begins again
                await self._register()
            except ClaudeBenchError:
                pass
            await asyncio.sleep(self._lease_s / 3)

    async def _take(self) -> Taken:
        reader = self._reader
        return await self._cursors.take(reader.workspace, reader.name, self._holder, reader.lease_ms, reader.epoch)

    async def _register(self) -> None:
        reader = self._reader
        while reader.registers:
            try:
                await self._cursors.register(reader.workspace, reader.name, reader.partitions, reader.start)
            except (Unavailable, TimedOut):
                await asyncio.sleep(POLL_S)
            else:
                return

    def _keep(self, taken: Taken, until_s: float) -> None:
        """Bring what we work on into line with what we hold."""
        held = {cursor.partition: cursor for cursor in taken.cursors}
        for number_, partition in list(self.held.items()):
            if number_ not in held or held[number_].fence != partition.cursor.fence:
                self._lose(partition)
        for number_, cursor in held.items():
            if number_ not in self.held:
                self._begin(cursor, until_s)
            self.held[number_].renew(until_s)
        kept = [each for each in self.held.values() if not each.is_given]
        for partition in kept[taken.share :]:
            self._give_back(partition)

    def _begin(self, cursor: Cursor, until_s: float) -> None:
        partition = Partition(cursor, until_s, cursor.position, cursor.position)
        former = self._ending.pop(cursor.partition, None)
        partition.worker = asyncio.create_task(self._work(partition, former), name=f"partition {cursor.partition}")
        self.held[cursor.partition] = partition
        self.wake()
        if self._reader.letters:
            partition.ask_again()

    def _lose(self, partition: Partition) -> None:
        """Work on it no more; another does, or will."""
        if self.held.get(partition.cursor.partition) is partition:
            del self.held[partition.cursor.partition]
        if partition.worker and partition.worker is not asyncio.current_task():
            partition.worker.cancel()
            self._ending[partition.cursor.partition] = partition.worker

    def _give_back(self, partition: Partition) -> None:
        """Let go what is beyond our share, once what has begun is over."""
        self._begin_no_more(partition)
        task = asyncio.create_task(self._hand_over(partition), name="hand over")
        self._handing_over.add(task)
        task.add_done_callback(self._handing_over.discard)

    async def _hand_over(self, partition: Partition) -> None:
        if partition.worker:
            await asyncio.wait((partition.worker,))
        with suppress(ClaudeBenchError):
            await self._release(partition)
        self._lose(partition)

    async def _release(self, partition: Partition) -> None:
        reader = self._reader
        await self._cursors.release(reader.workspace, self._mark(partition, self._reached(partition)))

    def _reached(self, partition: Partition) -> str:
        """Return up to where whoever is next need not handle anything; '' for no further than the store knows."""
        return partition.handled

    async def _stop(self, partition: Partition) -> None:
        self._lose(partition)
        if partition.worker:
            await asyncio.wait((partition.worker,))
        with suppress(ClaudeBenchError):
            await self._release(partition)

    # -- reading

    async def _read(self) -> None:
        while True:
            self._is_woken = self._woken.is_set()
            self._woken.clear()
            page = None
            with suppress(ClaudeBenchError):
                page = await self._read_page()
            if not (page and page.more):
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._reader.poll_s):  # 3.11's wait_for may swallow a cancellation
                        await self._woken.wait()

    async def _read_page(self) -> Page | None:
        """Read on for all that is held; None when there is no room, or nothing to read for."""
        reading = [each for each in self.held.values() if self._is_read(each)]
        if not reading or any(len(each.waiting) >= QUEUE_MAX for each in reading):
            return None
        after = min((each.seen for each in reading), key=number)
        page = self._reader.recent(after, PAGE) if self._is_woken else None
        page = page or await self._log.page(self._reader.workspace, after, PAGE)
        for partition in list(self._behind(after)):
            if number(partition.seen) < number(page.trimmed):
                await self._tell_gap(partition, page.trimmed)
        self._deal(page, after)
        return page

    def _is_read(self, partition: Partition) -> bool:
        """Tell whether the log is read for a partition."""
        return not partition.is_given and not partition.is_live

    def _behind(self, after: str) -> Iterator[Partition]:
        """Yield what a page read from there is for; what was taken meanwhile may have to begin earlier."""
        return (each for each in self.held.values() if number(each.seen) >= number(after) and self._is_read(each))

    async def _tell_gap(self, partition: Partition, to: str) -> None:
        reader, at = self._reader, partition.cursor.partition
        await self._cursors.gap(reader.workspace, reader.name, at, partition.seen, to)

    def _deal(self, page: Page, after: str) -> None:
        reading = {each.cursor.partition: each for each in self._behind(after)}
        for event in page.events:
            if event.type == RETRIED and event.subject == self._reader.name:
                self._ask_again()
            if not self._reader.wants(event.type):
                continue
            at = partition_of(event.partition_key or event.subject, self._reader.partitions)
            partition = reading.get(at)
            if partition and number(event.id) > number(partition.seen):
                partition.waiting.append(event)
                partition.work.set()
        for partition in reading.values():
            partition.seen = max(partition.seen, page.trimmed, page.next, key=number)

    def _ask_again(self) -> None:
        for partition in self.held.values():
            partition.ask_again()

    # -- handling

    async def _work(self, partition: Partition, former: asyncio.Task[None] | None) -> None:
        """Handle what waits until the partition is lost or given back; begin when who worked on it before has ended."""
        if former:
            await asyncio.wait((former,))
        try:
            while not partition.is_given:
                await self._empty(partition)
                self.wake()
                partition.work.clear()
                if not partition.is_given:
                    await partition.work.wait()
        except Stale:
            self._lose(partition)
        except HandedOver:
            partition.busy_with = ""

    async def _empty(self, partition: Partition) -> None:
        """Handle what waits, one after the other, and between two events one that is to be delivered once more."""
        while not partition.is_given and (partition.waiting or partition.asks):
            await self._trust(partition)
            if partition.asks:
                await self._handle_again(partition)
            if not partition.waiting:
                continue
            if not self._is_turn(partition):
                partition.turn.clear()
                await partition.turn.wait()
                continue
            event = partition.waiting.popleft()
            await self._handle(event, partition, self._mark(partition, event.id))
            partition.handled = event.id
            if self._reader.commits_at_once:
                self._moved.set()

    def _is_turn(self, partition: Partition) -> bool:  # noqa: ARG002 - for the kinds of group that mind
        """Tell whether the first that waits may be begun now; who says no wakes it by `turn`."""
        return True

    async def _trust(self, partition: Partition) -> None:
        """Wait until the lease is known to run, should it be over by our own clock."""
        while monotonic() >= partition.until_s:
            await partition.renewed.wait()

    async def _handle_again(self, partition: Partition) -> None:
        """Handle a dead letter that somebody wants to see once more, if there is one."""
        reader = self._reader
        assert reader.letters, "only a group with letters looks for them"
        partition.asks = False
        try:
            again = await reader.letters.next(reader.workspace, reader.name, partition.cursor.partition)
        except ClaudeBenchError:
            partition.asks = True
            await asyncio.sleep(POLL_S)
            return
        if again is None:
            return
        partition.asks = True
        mark = self._mark(partition, again.position)
        await self._handle(again.event, partition, mark)
        await self._settle(mark)

    async def _settle(self, mark: Mark) -> None:
        """Tell the store that a retry is handled, and tell it again until it knows."""
        while True:
            try:
                await self._cursors.commit(self._reader.workspace, mark, self._reader.lease_ms)
            except Stale:
                raise
            except ClaudeBenchError:
                await asyncio.sleep(POLL_S)
            else:
                return

    async def _handle(self, event: Event, partition: Partition, mark: Mark) -> None:
        tries, partition.busy_with = 0, event.id
        while True:
            try:
                await self._reader.handler(event, mark)
            except (Stale, HandedOver):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing may overtake this event
                _failed("a handler of events failed and is tried again", group=self._reader.name, exc_info=error)
            else:
                partition.busy_with = ""
                return
            await asyncio.sleep(BACKOFF_S[min(tries, len(BACKOFF_S) - 1)])
            if partition.is_given:
                raise Stale("the partition is given back")
            await self._trust(partition)
            tries += 1

    async def _commit_what_moved(self) -> None:
        """Tell the store how far we are, one word for all partitions at a time."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            held = self.held.values()
            await self._commit({each: each.handled for each in held if number(each.handled) > number(each.committed)})
            await asyncio.sleep(COMMIT_EVERY_S)

    async def _commit(self, places: dict[Partition, str]) -> None:
        """Tell the store how far partitions are; one that is away is told next time."""
        if not places:
            return
        asked_s, reader = monotonic(), self._reader
        marks = [self._mark(partition, position) for partition, position in places.items()]
        try:
            lost = await self._cursors.commit_all(reader.workspace, marks, reader.lease_ms)
        except ClaudeBenchError:
            return
        for partition, position in places.items():
            if partition.cursor.partition in lost:
                self._lose(partition)
            else:
                partition.committed = position
                partition.renew(asked_s + self._lease_s)

    async def _commit_idle(self) -> None:
        """Move on where nothing of the partition came by, so that the log can be trimmed."""
        await self._commit({each: position for each in self.held.values() if (position := self._place(each))})

    def _place(self, partition: Partition) -> str:
        """Return how far a partition is, '' where the store knows, or another is about to take it."""
        position = partition.seen if partition.is_idle else partition.handled
        return position if position != partition.committed and not partition.is_given else ""

    def _mark(self, partition: Partition, position: str) -> Mark:
        cursor = partition.cursor
        return Mark(self._reader.name, cursor.partition, self._holder, cursor.fence, position)
