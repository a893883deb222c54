"""The notifier is killed, again and again, while events are written one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from tests.conformance.switching import WITHIN_S, Load, check

from claudebench.testing import eventually

if TYPE_CHECKING:
    from tests.conformance.crew import Crew


@dataclass(slots=True)
class Kills:
    """Kills whoever is the notifier, and starts it again."""

    crew: Crew
    took_s: list[float] = field(default_factory=list)

    async def run(self, times: int) -> None:
        """Kill it so often under load; every event has its effect once, and in the order of the log."""
        names = ["one", "two", "three"]
        for name in names:
            await self.crew.spawn(name)
        load = Load(self.crew)
        load.begin()
        for _ in range(times):
            await self._kill(load, names)
        await load.end()
        entered = await load.entered()
        check(entered, load.written)
        positions = [position for _, position, _ in entered]
        assert positions == load.written, "the order of the whole log is kept"

    async def _kill(self, load: Load, names: list[str]) -> None:
        """Kill it, take the time until an event is handled that was written later, and start it again."""
        owner = await eventually(self._owner, within_s=WITHIN_S)
        at = names.index(owner)
        workers = self.crew.workers[-len(names) :]
        worker = workers[at]
        worker.kill()
        await worker.wait()
        killed_s, written = monotonic(), len(load.written)

        async def goes_on() -> bool:
            return len(await load.entered()) > written

        await eventually(goes_on, within_s=WITHIN_S)
        self.took_s.append(monotonic() - killed_s)
        self.crew.workers.remove(worker)
        await self.crew.spawn(owner)
        names.append(names.pop(at))

    async def _owner(self) -> str:
        lags = await self.crew.outside.cursors.lag(self.crew.workspace, "g0")
        holders = {each.holder for each in lags if each.lease_ms}
        return holders.pop() if len(holders) == 1 else ""
