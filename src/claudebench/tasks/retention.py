"""How long a finished task stays: so many days and so many of them, in every workspace, whoever finished it.

Every server looks, none is elected; a step that two take at once takes two steps' worth. A step is one short script,
and after each round the loop rests `RESTS` times as long as the round took, so retiring never crowds out the work.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from claudebench.errors import ClaudeBenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.store.workspaces import Workspaces
    from claudebench.tasks.store import TaskStore

STEPS_MAX = 80
EVERY_S, RESTS = 0.5, 10


@dataclass(frozen=True, slots=True)
class Retention:
    """The rounds of one server; `given_ms` injects time into a test store ('' in production)."""

    tasks: TaskStore
    workspaces: Workspaces
    given_ms: Callable[[], str] = str

    async def run(self) -> None:
        """Go round for ever; a store that is away is met again in the next round."""
        while True:
            began = monotonic()
            with suppress(ClaudeBenchError):
                for workspace in self.workspaces.known():
                    await self.retire(workspace)
            await asyncio.sleep(max(EVERY_S, RESTS * (monotonic() - began)))

    async def retire(self, workspace: str) -> None:
        """Take steps in one workspace until one finds no more to do, at most `STEPS_MAX`."""
        for _ in range(STEPS_MAX):
            if not await self.tasks.retire(workspace, self.given_ms()):
                return
