"""Processes that serve a workspace in one way: some in the test's own process, some real ones that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING

from tests.conformance.worker import BEGUN, HANDLED, history_of
from tests.integration.group_worker import ENTER
from tests.integration.serving import Process

from claudebench.events.subscriber import Backoff, Subscription
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.patterns.label import Pattern

QUICK = Backoff(0.01, 0.02)
MINE = ("x.test.*",)


class Crew:
    """The processes of a test; `outside` writes and looks, and serves nothing."""

    def __init__(self, socket: str, workspace: str, way: Pattern) -> None:
        """Take where the store listens, a workspace of the test's own, and how its events are delivered."""
        self.socket, self.workspace, self.way = socket, workspace, way
        self.outside = Process(socket, "outside", [], (ENTER,))
        self.inside: list[Process] = []
        self.workers: list[asyncio.subprocess.Process] = []

    async def prepare(self, workspace: str = "") -> None:
        """Let events of the workspace, or of another, be delivered in that way; nobody has a part in it yet."""
        if not workspace:
            await self.outside.begin()
        view = await self.outside.seams.show(workspace or self.workspace, "events")
        if view.word.strategy != self.way:
            await self.outside.switch(workspace or self.workspace, self.way)

    async def join(self, name: str, *subscriptions: Subscription, workspaces: Sequence[str] = ()) -> Process:
        """Let a process serve."""
        process = Process(self.socket, name, subscriptions)
        process.known.extend(workspaces or [self.workspace])
        await process.begin()
        self.inside.append(process)
        for workspace in process.known:
            await process.serves(workspace, self.way)
        return process

    async def spawn(self, name: str, groups: int = 1) -> asyncio.subprocess.Process:
        """Start a real process that serves groups g0, g1 ... and wait until it does."""
        arguments = (self.socket, self.workspace, name, str(groups))
        worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.conformance.worker", *arguments)
        self.workers.append(worker)

        async def is_running() -> bool:
            view = await self.outside.seams.show(self.workspace, "events")
            return any(each.process == name and each.place.state == "running" for each in view.members)

        await eventually(is_running, within_s=30)
        return worker

    async def say(self, *subjects: str, type_: str = "x.test.said") -> None:
        """Write events."""
        for subject in subjects:
            await self.outside.say(self.workspace, subject, type_)

    async def handled(self, group: str = "g0") -> list[str]:
        """Return the subjects that handlers of the real processes ended, in their order."""
        return await self._history(HANDLED, group)

    async def begun(self, group: str = "g0") -> list[str]:
        """Return the subjects that handlers of the real processes began."""
        return await self._history(BEGUN, group)

    async def counted(self, group: str = "g0") -> Counter[str]:
        """Return how often each subject was handled."""
        return Counter(await self.handled(group))

    async def holders(self, group: str) -> dict[int, str]:
        """Return who holds each partition."""
        return {each.partition: each.holder for each in await self.outside.cursors.lag(self.workspace, group)}

    async def end(self) -> None:
        """Let all of them end."""
        for worker in self.workers:
            if worker.returncode is None:
                os.kill(worker.pid, signal.SIGCONT)
                worker.kill()
            await worker.wait()
        for process in self.inside:
            await process.end()
        await self.outside.end()

    async def _history(self, what: str, group: str) -> list[str]:
        key = history_of(self.workspace, what, group)
        return [each.decode() for each in await self.outside.connection.command("LRANGE", key, 0, -1)]
