"""How long an event stays: so many days and so many of them, in every workspace, and until every group has handled it.

Every server looks, none is elected; a step that two take at once takes two steps' worth. A step is one short script,
and after each round the loop rests `RESTS` times as long as the round took, so trimming never crowds out the work.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from claudebench.errors import ClaudeBenchError
from claudebench.store.origin import Origin
from claudebench.store.script import Script
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.store.connection import Connection
    from claudebench.store.workspaces import Workspaces

TRIM = Script(__package__, "trim")
SCRIPTS = (TRIM,)

DAY_MS = 86_400_000
EVENTS_MAX = 500_000
STEPS_MAX = 80
EVERY_S, RESTS = 0.5, 10
_lost = Sparse.to_log("warning")


@dataclass(slots=True)
class Trimming:
    """The rounds of one server; `given_ms` injects time into a test store ('' in production).

    `gapped` holds the workspaces in which a group lost events that nobody has made up for.
    """

    connection: Connection
    workspaces: Workspaces
    retain_days: int
    given_ms: Callable[[], str] = str
    events_max: int = EVENTS_MAX
    gapped: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Go round for ever; a store that is away is met again in the next round."""
        while True:
            began = monotonic()
            with suppress(ClaudeBenchError):
                for workspace in self.workspaces.known():
                    await self.trim(workspace)
            await asyncio.sleep(max(EVERY_S, RESTS * (monotonic() - began)))

    async def trim(self, workspace: str) -> None:
        """Take steps in one workspace until one finds no more to do, at most `STEPS_MAX`."""
        for _ in range(STEPS_MAX):
            origin = Origin(workspace, given_ms=self.given_ms())
            gone, gaps = await self.connection.run(
                TRIM, workspace, *origin.head, self.retain_days * DAY_MS, self.events_max
            )
            self._note(workspace, gaps)
            if not gone:
                return

    def _note(self, workspace: str, gaps: int) -> None:
        """Know where gaps are; that there are some is said once, and again when there are others behind an end."""
        if not gaps:
            self.gapped.discard(workspace)
        elif workspace not in self.gapped:
            self.gapped.add(workspace)
            _lost("events went before a group had read them", see=f"claudebench event lag --workspace {workspace}")
