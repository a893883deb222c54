"""Distributed delivery: each event is published as it is written, and whoever holds its partition handles it.

At most once, and nobody reads anything back: what is published while a process is gone, paused beyond its lease or cut
from the store is lost to its partitions, and so is what finds no room (`WAITING_MAX` of a partition, `BYTES_MAX` of a
group). A handler gets one try; what it fails at is a dead letter. The place in the log is noted when the lease is
renewed, and exactly when a partition is released: only what such a place leaves open is read, once, before events are
taken as they come. Where somebody went without releasing, the next begins at the end of the log.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import msgspec

from claudebench.events.bus import Losses, Means, Service, Serving
from claudebench.events.cursor import partition_of
from claudebench.events.group import Group
from claudebench.events.letters import RETRIED
from claudebench.events.log import event_of
from claudebench.events.position import BEGINNING, number
from claudebench.events.subscriber import key_of
from claudebench.patterns.label import Pattern
from claudebench.store.keys import KEYS, prefix
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from claudebench.events.cursor import Cursors, Mark, Taken
    from claudebench.events.group import Partition, Reader
    from claudebench.events.log import EventLog, Page
    from claudebench.events.model import Event
    from claudebench.events.subscriber import Subscription

WAITING_MAX, BYTES_MAX = 1_000, 16 * 1_048_576
OVERHEAD = 1_000  # bytes that an event takes beside its payload
_dropped = Sparse.to_log("warning")
_published = msgspec.msgpack.Decoder(list[str])


class LiveGroup(Group):
    """A group whose events come as they are published."""

    def __init__(self, log: EventLog, cursors: Cursors, holder: str, reader: Reader, losses: Losses) -> None:
        """Take what a group takes, and where losses are counted."""
        super().__init__(log, cursors, holder, reader)
        self._losses, self._bytes, self._heard = losses, 0, BEGINNING
        self._early: defaultdict[int, deque[Event]] = defaultdict(deque)

    def hear(self, event: Event) -> None:
        """Take an event that was published, if it falls to us."""
        reader, self._heard = self._reader, event.id
        if event.type == RETRIED and event.subject == reader.name:
            self._ask_again()
        if not reader.wants(event.type):
            return
        partition = self.held.get(partition_of(key_of(event), reader.partitions))
        if not partition or partition.is_given or number(event.id) <= number(partition.seen):
            return
        waiting = partition.waiting if partition.is_live else self._early[partition.cursor.partition]
        if len(waiting) >= WAITING_MAX or self._bytes >= BYTES_MAX:
            self._losses.dropped += 1
            _dropped("no room for an event that was published; it is lost", group=reader.name)
            return
        waiting.append(event)
        self._bytes += _weight(event)
        partition.work.set()

    async def _take(self) -> Taken:
        reader = self._reader
        wanted = (reader.workspace, reader.name, self._holder, reader.lease_ms, reader.epoch)
        return await self._cursors.take(*wanted, live=True)

    async def _read_page(self) -> Page | None:
        """Read what a released place left open; then take events as they come."""
        page = await super()._read_page()
        if page and not page.more:
            for partition in self.held.values():
                if self._is_read(partition) and number(partition.seen) >= number(page.next):
                    self._go_live(partition)
        return page

    def _go_live(self, partition: Partition) -> None:
        early = self._early.pop(partition.cursor.partition, ())
        partition.waiting.extend(event for event in early if number(event.id) > number(partition.seen))
        partition.is_live = True
        partition.work.set()

    async def _handle(self, event: Event, partition: Partition, mark: Mark) -> None:
        """Handle it, and have its room again."""
        await super()._handle(event, partition, mark)
        self._bytes -= _weight(event)

    async def _commit_idle(self) -> None:
        """Note how far each partition is, so that the log can be trimmed; count anew what waits."""
        self._early = defaultdict(deque, {at: kept for at, kept in self._early.items() if at in self.held})
        queues = (*(each.waiting for each in self.held.values()), *self._early.values())
        self._bytes = sum(_weight(event) for queue in queues for event in queue)
        await super()._commit_idle()

    def _reached(self, partition: Partition) -> str:
        """Count what was begun as handled: it is delivered at most once, though it be cut short."""
        return partition.busy_with or partition.handled

    def _place(self, partition: Partition) -> str:
        if partition.is_live:
            partition.seen = max(partition.seen, self._heard, key=number)
        return super()._place(partition)


def _weight(event: Event) -> int:
    return len(event.payload) + OVERHEAD


class DistributedEventBus:
    """Hears what is published in a workspace."""

    pattern: ClassVar[Pattern] = Pattern.DISTRIBUTED

    def __init__(self, means: Means, service: Service) -> None:
        """Take what it works with, and what it serves."""
        self._means, self._service = means, service
        self._serving = Serving(service, self._group)
        self._channel = prefix(service.workspace) + KEYS["live"].tail
        self.groups = self._serving.groups

    async def start(self) -> None:
        """Hear the channel, then take partitions: so nothing falls between what is read and what is heard.

        Raises:
            Unavailable: the store does not answer.
        """
        try:
            await self._means.pubsub.hear(self._channel, self._hear, self._interrupted)
            await self._serving.begin()
        except BaseException:
            self._means.pubsub.leave(self._channel)
            raise

    async def verify(self) -> None:
        """Wait until every group has its share."""
        await self._serving.ready()

    async def drain(self) -> None:
        """Release every partition with what it handled, once what has begun is over."""
        await self._serving.end(finish_s=None)
        self._means.pubsub.leave(self._channel)

    async def stop(self) -> None:
        """Release every partition with what it handled."""
        try:
            await self._serving.end()
        finally:
            self._means.pubsub.leave(self._channel)

    def _hear(self, data: bytes) -> None:
        try:
            position, *fields = _published.decode(data)
            event = event_of(position, [each.encode() for each in fields])
        except (msgspec.MsgspecError, ValueError, LookupError) as error:
            self._means.losses.dropped += 1
            _dropped("what was published is no event; it is left out", error=str(error))
            return
        for group in self.groups.values():
            group.hear(event)

    def _interrupted(self) -> None:
        self._means.losses.interruptions += 1

    def _group(self, subscription: Subscription) -> LiveGroup:
        means, workspace = self._means, self._service.workspace
        deliver = means.delivering(replace(subscription, retries=0), workspace, self.pattern).deliver
        reader = replace(means.reader(self._service, subscription, deliver), commits_at_once=False)
        return LiveGroup(means.log, means.cursors, means.process, reader, means.losses)
