"""What a server process is to its subscribers, without its doors: connections, a tailer, a seat in each workspace."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from claudebench.app import CATALOGUE, SCRIPTS
from claudebench.events import log as event_log
from claudebench.events.bus import Means
from claudebench.events.cursor import Cursors
from claudebench.events.letters import DeadLetters
from claudebench.events.listening import Listening
from claudebench.events.log import EventLog
from claudebench.events.tailer import Tailer
from claudebench.patterns.migration import Migration
from claudebench.patterns.seam import Seams
from claudebench.store.connection import Address, Connection
from claudebench.store.lease import Leases
from claudebench.store.origin import Origin
from claudebench.store.pubsub import PubSub
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.events.group import Group
    from claudebench.events.subscriber import Subscription
    from claudebench.patterns.migration import Outcome
    from claudebench.store.script import Script


class Process:
    """The subscribers of a process; `known` are the workspaces that it serves."""

    def __init__(
        self, socket: str, name: str, subscriptions: Sequence[Subscription], scripts: Sequence[Script] = ()
    ) -> None:
        """Take where the store listens, the name of the process, and what it serves."""
        self.name = name
        self.connection = Connection(Address(socket=socket), (*SCRIPTS, *scripts))
        self.following = Connection(Address(socket=socket), event_log.SCRIPTS)
        self.pubsub = PubSub(Address(socket=socket))
        self.log, self.cursors = EventLog(self.connection, CATALOGUE), Cursors(self.connection)
        self.letters, self.leases = DeadLetters(self.connection), Leases(self.connection)
        self.tailer, self.seams = Tailer(self.log, self.following), Seams(self.connection)
        self.migration = Migration(self.seams, self.leases, name)
        self.known: list[str] = []
        self.is_over = False
        means = Means(
            self.log, self.cursors, self.letters, self.leases, self.tailer, self.pubsub, name, lambda text: text[:80]
        )
        self.listening = Listening(subscriptions, means, self.seams, lambda: self.known, self.migration.go_on)
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Connect, and serve."""
        await self.connection.open()
        await self.following.open()
        runs = (self.pubsub.run(), self.tailer.run(), self.listening.run())
        self._tasks = [asyncio.create_task(each) for each in runs]

    async def leave(self) -> None:
        """Let the subscribers end."""
        self.is_over = True
        await _ended(self._tasks[-1])

    async def end(self) -> None:
        """Stop as a server does: the subscribers first."""
        for task in reversed(self._tasks):
            await _ended(task)
        await self.following.close()
        await self.connection.close()

    def group(self, workspace: str, name: str) -> Group:
        """Return a group that works here."""
        return self.listening.places[workspace].groups[name]

    async def say(self, workspace: str, subject: str, type_: str = "x.test.said") -> str:
        """Write an event; return its position."""
        position: bytes = (await self.log.append(Origin(workspace), type_, subject, b"{}"))[0]
        return position.decode()

    async def switch(self, workspace: str, to: str) -> Outcome:
        """Let events be delivered in another way."""
        return await self.migration.switch(Origin(workspace), "events", to)

    async def serves(self, workspace: str, strategy: str = "hybrid") -> None:
        """Wait until events are delivered here in a way."""

        def is_there() -> bool:
            place = self.listening.places.get(workspace)
            return place is not None and place.seat.strategy == strategy

        await eventually(is_there)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
