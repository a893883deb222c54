"""Centralised delivery: one process, the notifier, reads the log and pushes each event to whoever handles it, in order.

At least once, and in the order of the whole log: a group is told of an event when it is done with all before it. The
notifier of a group is who holds all its partitions. Any process that serves the group stands by, and takes them, all or
none, once the lease of `LEASE_MS` is over; their fences keep out the one before.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from claudebench.errors import ClaudeBenchError, Stale
from claudebench.events.bus import Means, Service, Serving
from claudebench.events.group import Group
from claudebench.events.position import number
from claudebench.events.pushing import Pushing, Silent
from claudebench.patterns.label import Pattern

if TYPE_CHECKING:
    from claudebench.events.cursor import Cursors, Mark, Taken
    from claudebench.events.group import Partition, Reader
    from claudebench.events.log import EventLog, Page
    from claudebench.events.model import Event
    from claudebench.events.position import Id
    from claudebench.events.subscriber import Delivering, Subscription

LEASE_MS = 2_000


class InOrderGroup(Group):
    """A group that begins an event when all before it, in every partition, are over."""

    def __init__(self, log: EventLog, cursors: Cursors, holder: str, reader: Reader, delivering: Delivering) -> None:
        """Take what a group takes, and what makes a dead letter of an event at which one process after another dies."""
        super().__init__(log, cursors, holder, reader)
        self._delivering = delivering
        self._silences: tuple[str, int] = ("", 0)  # the event that was given up last, and how often

    async def _take(self) -> Taken:
        reader = self._reader
        wanted = (reader.workspace, reader.name, self._holder, reader.lease_ms, reader.epoch)
        return await self._cursors.take(*wanted, whole=True)

    def _is_turn(self, partition: Partition) -> bool:
        if len(self.held) < self._reader.partitions:
            return False
        event = number(partition.waiting[0].id)
        return all(_is_past(other, event) for other in self.held.values() if other is not partition)

    async def _commit_idle(self) -> None:
        await super()._commit_idle()
        self._pass_turn()

    def _deal(self, page: Page, after: str) -> None:
        super()._deal(page, after)
        self._pass_turn()

    async def _handle(self, event: Event, partition: Partition, mark: Mark) -> None:
        try:
            await super()._handle(event, partition, mark)
        except Stale as error:
            if not (isinstance(error, Silent) and await self._is_buried(event, mark, error)):
                with suppress(ClaudeBenchError):
                    await self._release(partition)
                raise
            partition.busy_with = ""
        self._pass_turn()

    async def _is_buried(self, event: Event, mark: Mark, error: Silent) -> bool:
        """Give up on an event of which one process after another told nothing, as often as it may be tried."""
        former, count = self._silences
        self._silences = (event.id, count + 1 if former == event.id else 1)
        if self._silences[1] <= self._delivering.retries:
            return False
        await self._delivering.bury(event, mark, error, self._silences[1])
        return True

    def _pass_turn(self) -> None:
        """Wake whoever holds the oldest event that waits."""
        waiting = [each for each in self.held.values() if each.waiting]
        if waiting:
            min(waiting, key=lambda each: number(each.waiting[0].id)).turn.set()


def _is_past(partition: Partition, event: Id) -> bool:
    oldest = partition.oldest
    return number(oldest) > event if oldest else number(partition.seen) >= event


class CentralizedEventBus:
    """Handles what notifiers push here, and is, or stands by to be, the notifier of each group that is served here."""

    pattern: ClassVar[Pattern] = Pattern.CENTRALIZED

    def __init__(self, means: Means, service: Service) -> None:
        """Take what it works with, and what it serves."""
        self._means, self._service = means, service
        self._serving = Serving(service, self._group, means.tailer)
        self._pushing = Pushing(means, service.workspace, self._delivering, service.members)
        self._deliverings: dict[str, tuple[Subscription, Delivering]] = {}
        self.groups = self._serving.groups

    async def start(self) -> None:
        """Handle what is pushed here, and push what nobody else does.

        Raises:
            Unavailable: the store does not answer.
        """
        try:
            await self._pushing.begin()
            await self._serving.begin()
        except BaseException:
            self._pushing.end()
            raise

    async def verify(self) -> None:
        """Wait until every group was taken, or found taken."""
        await self._serving.ready()

    async def drain(self) -> None:
        """Push nothing new, wait for what was pushed and for what was pushed to us."""
        self._let_go()
        await self._serving.end(finish_s=None)
        await self._pushing.finish()
        self._pushing.end()

    async def stop(self) -> None:
        """Push nothing new; what was pushed to us is given up, and pushed to another."""
        self._let_go()
        try:
            await self._serving.end()
        finally:
            self._pushing.end()

    def _let_go(self) -> None:
        for _, delivering in self._deliverings.values():
            delivering.let_go()

    def _delivering(self, group: str) -> Delivering | None:
        """Return what handles the events of a group here, if it is served here now."""
        for subscription in self._service.subscriptions():
            if subscription.group == group:
                return self._handling(subscription)
        self._deliverings.pop(group, None)
        return None

    def _handling(self, subscription: Subscription) -> Delivering:
        known, delivering = self._deliverings.get(subscription.group, (None, None))
        if known != subscription or not delivering:
            delivering = self._means.delivering(subscription, self._service.workspace, self.pattern)
            self._deliverings[subscription.group] = (subscription, delivering)
        return delivering

    def _group(self, subscription: Subscription) -> InOrderGroup:
        means = self._means

        async def push(event: Event, mark: Mark) -> None:
            await self._pushing.push(event, mark)

        reader = means.reader(self._service, subscription, push)
        reader = replace(reader, lease_ms=LEASE_MS, recent=means.recent(subscription, self._service.workspace))
        return InOrderGroup(means.log, means.cursors, means.process, reader, self._handling(subscription))
