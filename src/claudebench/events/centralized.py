"""Centralised delivery: one process, the notifier, reads the log and pushes each event to whoever handles it, in order.

At least once, and in the order of the whole log: a group is told of an event when it is done with all before it. Any
process that takes part may become the notifier: it is a role with a lease (`store/lease.py`), and the next takes it
within `LEASE_MS` of the end of the one before. It begins once it holds every partition of a group.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from claudebench.errors import ClaudeBenchError, Stale
from claudebench.events.bus import FINISH_S, Means, Service, Serving
from claudebench.events.group import Group
from claudebench.events.position import number
from claudebench.events.pushing import Pushing
from claudebench.patterns.label import Pattern
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from claudebench.events.cursor import Mark
    from claudebench.events.group import Partition
    from claudebench.events.log import Page
    from claudebench.events.model import Event
    from claudebench.events.position import Id
    from claudebench.events.subscriber import Delivering, Subscription
    from claudebench.store.lease import Held

ROLE = "notifier"
LEASE_MS = 2_000
RENEW_EVERY_S, ASK_EVERY_S = 0.5, 0.25
_away = Sparse.to_log("warning")


class InOrderGroup(Group):
    """A group that begins an event when all before it, in every partition, are over."""

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
        except Stale:
            with suppress(ClaudeBenchError):
                await self._release(partition)
            raise
        self._pass_turn()

    def _pass_turn(self) -> None:
        """Wake whoever holds the oldest event that waits."""
        waiting = [each for each in self.held.values() if each.waiting]
        if waiting:
            min(waiting, key=lambda each: number(each.waiting[0].id)).turn.set()


def _is_past(partition: Partition, event: Id) -> bool:
    oldest = partition.oldest
    return number(oldest) > event if oldest else number(partition.seen) >= event


class CentralizedEventBus:
    """Handles what the notifier pushes here, and stands ready to be the notifier."""

    pattern: ClassVar[Pattern] = Pattern.CENTRALIZED

    def __init__(self, means: Means, service: Service) -> None:
        """Take what it works with, and what it serves."""
        self._means, self._service = means, service
        self._serving = Serving(service, self._group, means.tailer)
        self._pushing = Pushing(means, service.workspace, self._delivering, service.members)
        self._standing: asyncio.Task[None] | None = None
        self._held: Held | None = None
        self.groups = self._serving.groups

    @property
    def is_notifier(self) -> bool:
        """Whether this process reads the log for all."""
        return self._held is not None

    async def start(self) -> None:
        """Handle what is pushed here, and be the notifier if nobody is.

        Raises:
            Unavailable: the store does not answer.
        """
        try:
            await self._pushing.begin()
        except BaseException:
            self._pushing.end()
            raise
        self._standing = asyncio.create_task(self._stand(), name=ROLE)

    async def verify(self) -> None:
        """Wait until somebody is the notifier; if it is this process, until it has every partition."""
        owner = ""
        while not owner:
            owner, _, _ = await self._means.leases.show(self._service.workspace, ROLE)
            await asyncio.sleep(0 if owner else ASK_EVERY_S)
        if owner == self._means.process:
            await self._serving.ready()

    async def drain(self) -> None:
        """Push nothing new, wait for what was pushed and for what was pushed to us."""
        await self._abdicate(finish_s=None)
        await self._pushing.finish()
        self._pushing.end()

    async def stop(self) -> None:
        """Push nothing new; what was pushed to us is given up, and pushed to another."""
        await self._abdicate(finish_s=FINISH_S)
        self._pushing.end()

    async def _stand(self) -> None:
        """Become the notifier when nobody is; be it for as long as the lease is ours."""
        means, workspace = self._means, self._service.workspace
        while True:
            try:
                self._held = await means.leases.take(workspace, ROLE, means.process, LEASE_MS)
                if self._held:
                    await self._reign(self._held)
            except ClaudeBenchError as error:
                _away("nobody can be the notifier now", workspace=workspace, error=str(error))
            await asyncio.sleep(ASK_EVERY_S)

    async def _reign(self, held: Held) -> None:
        until_s = monotonic() + LEASE_MS / 1000
        await self._serving.begin()
        try:
            while monotonic() < until_s:
                await asyncio.sleep(RENEW_EVERY_S)
                asked_s = monotonic()
                with suppress(ClaudeBenchError):
                    if not await self._means.leases.renew(held):
                        return
                    until_s = asked_s + LEASE_MS / 1000
        finally:
            self._held = None
            await self._serving.end(finish_s=0)

    async def _abdicate(self, finish_s: float | None) -> None:
        held = self._held
        if held:
            await self._serving.end(finish_s=finish_s)
        if self._standing:
            self._standing.cancel()
            await asyncio.wait((self._standing,))
        if held:
            with suppress(ClaudeBenchError):
                await self._means.leases.release(held)

    def _delivering(self, group: str) -> Delivering | None:
        for subscription in self._service.subscriptions():
            if subscription.group == group:
                return self._means.delivering(subscription, self._service.workspace, self.pattern)
        return None

    def _group(self, subscription: Subscription) -> InOrderGroup:
        means = self._means

        async def push(event: Event, mark: Mark) -> None:
            await self._pushing.push(event, mark)

        reader = means.reader(self._service, subscription, push)
        reader = replace(reader, lease_ms=LEASE_MS, recent=means.recent(subscription, self._service.workspace))
        return InOrderGroup(means.log, means.cursors, means.process, reader)
