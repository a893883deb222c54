"""The subscribers of one server process: in every workspace that it knows, served in the way that is in force there.

A workspace is joined once it has something to serve. At most `GROUPS_MAX` groups are served by a process; workspaces
beyond are left out, which is logged. When it ends, all finish what has begun, together.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from claudebench.errors import ClaudeBenchError
from claudebench.events.bus import SEAM, Service
from claudebench.events.centralized import CentralizedEventBus
from claudebench.events.distributed import DistributedEventBus
from claudebench.events.hybrid import HybridEventBus
from claudebench.patterns.seat import Seat, Timing
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from claudebench.events.bus import EventBus, Means
    from claudebench.events.group import Group
    from claudebench.events.subscriber import Subscription
    from claudebench.patterns.seam import Seams

BUSES: Final = (CentralizedEventBus, DistributedEventBus, HybridEventBus)
GROUPS_MAX = 512
LOOK_EVERY_S, MEMBERS_EVERY_S = 0.25, 1.0
_left_out = Sparse.to_log("error")
_ended = Sparse.to_log("error")


@dataclass(slots=True)
class Members:
    """The processes that serve a workspace, asked for at most once a second."""

    seams: Seams
    workspace: str
    found: Sequence[str] = ()
    until_s: float = 0.0

    async def __call__(self) -> Sequence[str]:
        """Return them; one may have gone meanwhile.

        Raises:
            ClaudeBenchError: the store does not answer.
        """
        if monotonic() >= self.until_s:
            view = await self.seams.show(self.workspace, SEAM)
            self.found = [each.process for each in view.members]
            self.until_s = monotonic() + MEMBERS_EVERY_S
        return self.found


class Place:
    """A workspace that this process serves: its seat at the seam, and the bus that was made last."""

    def __init__(self, listening: Listening, workspace: str) -> None:
        """Take the process, and which workspace."""
        self.subscriptions: Sequence[Subscription] = ()
        self.bus: EventBus | None = None
        self._means, self._workspace = listening.means, workspace
        self._members = Members(listening.seams, workspace)
        make = {bus.pattern.value: partial(self._made, bus) for bus in BUSES}
        self.seat = Seat(
            listening.seams,
            workspace,
            SEAM,
            listening.means.process,
            make,
            lead=listening.lead,
            mask=listening.means.mask,
            timing=listening.timing,
        )
        self.task = asyncio.create_task(self.seat.run(), name=f"seat of {workspace}")

    @property
    def groups(self) -> Mapping[str, Group]:
        """The groups that work here, by name."""
        return self.bus.groups if self.bus else {}

    def _made(self, bus: Callable[[Means, Service], EventBus], epoch: int) -> EventBus:
        service = Service(self._workspace, epoch, lambda: self.subscriptions, self._members)
        self.bus = bus(self._means, service)
        return self.bus


@dataclass(slots=True)
class Listening:
    """The subscribers of this process.

    `lead` goes on with a switch that nobody leads; `further` tells the subscriptions that a workspace has beside those
    of all.
    """

    subscriptions: Sequence[Subscription]
    means: Means
    seams: Seams
    known: Callable[[], list[str]]
    lead: Callable[[str, str], Awaitable[object]] | None = None
    further: Callable[[str], Awaitable[Sequence[Subscription]]] | None = None
    timing: Timing | None = None
    places: dict[str, Place] = field(default_factory=dict)

    async def run(self) -> None:
        """Listen until it is cancelled; then let what has begun end, for a while."""
        if not self.subscriptions and not self.further:
            return
        try:
            while True:
                for workspace in self.known():
                    await self._try_to_serve(workspace)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            tasks = [place.task for place in self.places.values()]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _try_to_serve(self, workspace: str) -> None:
        """Serve a workspace, later if the store is away; what else goes wrong is said, and harms no other workspace."""
        try:
            await self._serve(workspace)
        except ClaudeBenchError:
            return
        except Exception as error:  # noqa: BLE001 - see above
            _ended("a workspace cannot be served", workspace=workspace, exc_info=error)

    async def _serve(self, workspace: str) -> None:
        """Serve what there is to serve in a workspace now."""
        place = self.places.get(workspace)
        subscriptions = [*self.subscriptions]
        if self.further:
            subscriptions += await self.further(workspace)
        if not place and not subscriptions:
            return
        others = sum(len(each.subscriptions) for name, each in self.places.items() if name != workspace)
        if others + len(subscriptions) > GROUPS_MAX:
            _left_out("too many workspaces for the subscribers of one server", workspace=workspace)
            return
        if not place:
            place = self.places[workspace] = Place(self, workspace)
            place.task.add_done_callback(partial(_say_if_failed, workspace))
        place.subscriptions = subscriptions

    def groups(self) -> Iterator[tuple[str, str, Group]]:
        """Yield the groups that work here, each with its workspace and name."""
        for workspace, place in self.places.items():
            for name, group in place.groups.items():
                yield workspace, name, group

    def lags_s(self) -> Iterator[tuple[str, float]]:
        """Yield each subscription, and how long ago the oldest event was written that it has yet to handle here."""
        now_ms = int(time() * 1000)
        lags: dict[str, float] = {each.group: 0.0 for each in self.subscriptions}
        for _, name, group in self.groups():
            lags[name] = max(lags.get(name, 0.0), group.behind_ms(now_ms) / 1000)
        yield from lags.items()


def _say_if_failed(workspace: str, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        _ended("the subscribers of a workspace ended", workspace=workspace, exc_info=error)
