"""Hybrid delivery: each process reads its share of the log, woken as soon as something is written.

At least once, in order per partition, resumable at any time; an event that nobody could handle waits in the log.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from claudebench.events.bus import Means, Service, Serving
from claudebench.events.group import Group
from claudebench.patterns.label import Pattern

if TYPE_CHECKING:
    from claudebench.events.subscriber import Subscription


class HybridEventBus:
    """Reads for this process what falls to it."""

    pattern: ClassVar[Pattern] = Pattern.HYBRID

    def __init__(self, means: Means, service: Service) -> None:
        """Take what it works with, and what it serves."""
        self._means, self._service = means, service
        self._serving = Serving(service, self._group, means.tailer)
        self.groups = self._serving.groups

    async def start(self) -> None:
        """Begin to read."""
        await self._serving.begin()

    async def verify(self) -> None:
        """Wait until every group has its share."""
        await self._serving.ready()

    async def drain(self) -> None:
        """Release every partition, once what has begun is over."""
        await self._serving.end(finish_s=None)

    async def stop(self) -> None:
        """Release every partition."""
        await self._serving.end()

    def _group(self, subscription: Subscription) -> Group:
        means, workspace = self._means, self._service.workspace
        delivering = means.delivering(subscription, workspace, self.pattern)
        reader = means.reader(self._service, subscription, delivering.deliver)
        reader = replace(reader, recent=means.recent(subscription, workspace), let_go=delivering.let_go)
        return Group(means.log, means.cursors, means.process, reader)
