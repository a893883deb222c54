"""The projector: brings the record up to the log, batch by batch, at one server of the fleet.

It holds the role `projector` by a lease that it renews while it works. The lease only keeps servers out of each
other's way: what makes a batch count once is that its transaction moves the position from where the batch begins, so
one who was paused beyond its lease writes nothing twice.

It reads a page, and when the log has no more it lingers 50 ms, so a batch is worth its transaction; a workspace in
which nothing happens is looked at less and less often, once a second at least. What SQL refuses is tried again for as
long as it takes, and said once; no command waits for any of it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING

import structlog

from claudebench.errors import ClaudeBenchError, Stale, TimedOut
from claudebench.record import writing
from claudebench.record.entry import id_of, position_of
from claudebench.record.stream import PAST
from claudebench.record.writing import Batch, Overtaken
from claudebench.store.format import NO_WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from claudebench.events.cursor import Cursors
    from claudebench.record.database import Database
    from claudebench.record.entry import Position
    from claudebench.record.identity import Identity
    from claudebench.record.mending import Mending
    from claudebench.record.room import Applies, Room
    from claudebench.record.stream import Page, Stream
    from claudebench.record.trail import Trail
    from claudebench.store.lease import Held, Leases
    from claudebench.store.script import Script
    from claudebench.store.wire import Argument

log = structlog.get_logger("claudebench")
ROLE, GROUP = "projector", "record"
LEASE_MS = 5_000
RENEW_S, ASK_S = 1.0, 0.5
EVENTS_MAX = 1_000
LINGER_S, IDLE_MAX_S = 0.05, 1.0
AGAIN_S = (0.1, 0.2, 0.5, 1.0, 2.0)
LOOK_S = 0.02
KNOWN_WITHIN_S = 2.0
BEHIND_MAX_MS = 10_000
WATCHED_MAX = 50


@dataclass(slots=True)
class Reading:
    """How far a workspace is recorded, as this server knows it, since when not wholly, and when to look again."""

    id: str
    at_s: float = 0.0
    pause_s: float = LINGER_S
    behind_since_s: float | None = None

    @property
    def behind_ms(self) -> int:
        """For how long there has been something to record, 0 when all is recorded."""
        return 0 if self.behind_since_s is None else round((monotonic() - self.behind_since_s) * 1000)

    def saw(self, *, more: bool) -> None:
        """Note whether there is something to record."""
        if not more:
            self.behind_since_s = None
        elif self.behind_since_s is None:
            self.behind_since_s = monotonic()


@dataclass(slots=True)
class Figures:
    """What this projector has done since the server started."""

    events: int = 0
    batches: int = 0
    refused: int = 0
    busy_s: float = 0.0


@dataclass(slots=True)
class Projector:
    """The projector of one server; it works while it holds the role."""

    stream: Stream
    database: Database
    identity: Identity
    leases: Leases
    owner: str
    known: Callable[[], Sequence[str]]
    rooms: Sequence[Room]
    mending: Mending
    cursors: Cursors
    trail: Trail | None = None
    trouble: str = ""
    figures: Figures = field(default_factory=Figures)
    readings: dict[str, Reading] = field(default_factory=dict)
    gaps: dict[str, str] = field(default_factory=dict)
    held: Held | None = None
    _look_at_s: float = 0.0
    _tries: int = 0

    @property
    def behind_ms(self) -> int:
        """How far the workspace that is worst off lies behind, as far as this server knows."""
        return max((each.behind_ms for each in self.readings.values()), default=0)

    @property
    def keeps_up(self) -> bool:
        """Whether SQL answers, no gap waits to be rebuilt, and the record lies less than ten seconds behind."""
        return not self.trouble and not self.gaps and self.behind_ms < BEHIND_MAX_MS

    async def run(self) -> None:
        """Take the role whenever it is free and work under it; runs until it is cancelled."""
        try:
            while True:
                with suppress(ClaudeBenchError):
                    self.held = await self.leases.take(NO_WORKSPACE, ROLE, self.owner, LEASE_MS)
                    if self.held:
                        await self._work(self.held)
                    else:
                        await self._watch()
                await asyncio.sleep(ASK_S)
        finally:
            if self.held:
                with suppress(ClaudeBenchError):
                    await self.leases.release(self.held)

    async def first(self) -> list[tuple[Script, str, tuple[Argument, ...]]]:
        """Return what a store that was started anew is told before it serves: it goes on behind what is recorded."""
        own = [self.identity.again()] if self.identity.id else []
        try:
            async with asyncio.timeout(KNOWN_WITHIN_S):
                places = await self.database.read(partial(writing.places, rooms=self.rooms))
        except (ClaudeBenchError, TimeoutError):
            return [*own, *((PAST, name, (*place, "")) for name, place in self._remembered().items())]
        return [*own, *((PAST, name, (*place, "sure")) for name, place in places.items())]

    def _remembered(self) -> dict[str, tuple[int, int, int]]:
        """Return for each workspace the last position and the highest number that this server heard of."""
        places: dict[str, tuple[int, int, int]] = dict.fromkeys(self.known(), (0, 0, 0))
        for name, reading in self.readings.items():
            places[name] = (*position_of(reading.id), max(room.highest(name) for room in self.rooms))
        return places

    async def skip(self) -> None:
        """Leave numbers out in every workspace: nobody can say now which of them were given away already."""
        for name, (ms, seq, number) in self._remembered().items():
            await self.stream.past(name, (ms, seq), number, sure=False)

    async def wait(self, workspace: str, position: str, timeout_ms: int) -> None:
        """Wait until an event is recorded.

        Raises:
            TimedOut: it is not, within `timeout_ms`; the data tell how far the record has come.
            Unavailable: the record cannot be had.
        """
        wanted, deadline = position_of(position), monotonic() + timeout_ms / 1000
        while (found := await self._recorded(workspace)) < wanted:
            if monotonic() >= deadline:
                raise TimedOut(
                    "the record has not come so far",
                    position=id_of(found),
                    behindMs=max(0, round(time() * 1000) - wanted[0]),
                )
            await asyncio.sleep(LOOK_S)

    async def _recorded(self, workspace: str) -> Position:
        if self.held and workspace in self.readings:
            return position_of(self.readings[workspace].id)
        found = await self.database.read(partial(writing.positions, workspaces=[workspace]))
        return position_of(found.get(workspace, ""))

    def touch(self, workspace: str) -> None:
        """Hear that something happens in a workspace: one at rest is looked at soon."""
        reading = self.readings.get(workspace)
        if reading and reading.pause_s > LINGER_S:
            reading.pause_s, reading.at_s = LINGER_S, min(reading.at_s, monotonic() + LINGER_S)

    async def meet(self) -> None:
        """Move a store that was rolled back past what the record knows; who has the role also puts the two together.

        Raises:
            StoreRefused: the record is another store's.
            Unavailable: the record or the store cannot be had.
        """
        await self._prepare()
        for name, (ms, seq, number) in (await self.database.read(partial(writing.places, rooms=self.rooms))).items():
            await self.stream.past(name, (ms, seq), number)
        self.held = await self.leases.take(NO_WORKSPACE, ROLE, self.owner, LEASE_MS)
        if not self.held:
            return
        for workspace, id_ in (await self.database.read(writing.all_positions)).items():
            page = await self.stream.behind(workspace, id_, 1)
            if page.is_lost:
                await self.mending.lost(workspace, page)

    async def _prepare(self) -> None:
        """See to it that the tables are there and that they are this store's.

        Raises:
            StoreRefused: a newer version made them, or they are another's.
        """
        await self.database.prepare()
        await self.identity.check()

    async def _work(self, held: Held) -> None:
        """Record what there is, for as long as the role is ours."""
        self.readings.clear()
        renewing = asyncio.create_task(self._keep(held), name="projector lease")
        try:
            while not renewing.done():
                await self._round()
        finally:
            renewing.cancel()
            self.held = None
            self.readings.clear()

    async def _watch(self) -> None:
        """Learn how another server's projector keeps up."""
        try:
            await self._prepare()
            self.gaps = await self.database.read(writing.gaps)
            names = list(self.known())[:WATCHED_MAX]
            found = await self.database.read(partial(writing.positions, workspaces=names))
            for name in names:
                id_ = found.get(name, "")
                reading = self.readings.setdefault(name, Reading(id_))
                reading.id = id_
                reading.saw(more=bool((await self.stream.behind(name, id_, 1)).raw))
            self._recovered()
        except ClaudeBenchError as error:
            await self._failed(error)

    async def _keep(self, held: Held) -> None:
        """Hold the role until somebody else has it, or the store was away for a whole lease."""
        until = monotonic() + LEASE_MS / 1000
        while monotonic() < until:
            with suppress(ClaudeBenchError):
                if not await self.leases.renew(held):
                    return
                until = monotonic() + LEASE_MS / 1000
            await asyncio.sleep(RENEW_S)

    async def _round(self) -> None:
        """Record one batch of every workspace that is due; then rest until the next is."""
        try:
            await self._learn()
            for workspace, reading in list(self.readings.items()):
                if reading.at_s <= monotonic():
                    await self._advance(workspace, reading)
            self._recovered()
        except (Overtaken, Stale):
            self.readings.clear()
        except ClaudeBenchError as error:
            await self._failed(error)
        except Exception as error:
            log.exception("the record cannot be written, for a reason that nobody foresaw")
            await self._failed(error)
        due = min((each.at_s for each in self.readings.values()), default=monotonic() + LINGER_S)
        await asyncio.sleep(min(max(0.0, due - monotonic()), LINGER_S))

    async def _learn(self) -> None:
        """Take up the workspaces that we do not read yet, from where the record has come to."""
        await self._prepare()
        await self._look_at_gaps()
        fresh = [name for name in self.known() if name not in self.readings]
        if fresh:
            found = await self.database.run(partial(writing.begin, workspaces=fresh))
            for name, (id_, gap) in found.items():
                await self.mending.counter(name)
                if gap == writing.FILL:
                    await self.mending.fill(name)
                await self._note(name, id_)
                self.readings[name] = Reading(id_)

    async def _look_at_gaps(self) -> None:
        """Every second: learn which gaps are there; a rebuild, perhaps at another server, ends one."""
        if monotonic() >= self._look_at_s:
            self._look_at_s = monotonic() + RENEW_S
            self.gaps = await self.database.read(writing.gaps)

    async def _advance(self, workspace: str, reading: Reading) -> None:
        began = monotonic()
        page = await self.stream.behind(workspace, reading.id, EVENTS_MAX)
        reading.saw(more=bool(page.raw) or not page.knows)
        if page.is_lost:
            reading.id = await self.mending.lost(workspace, page)
        elif page.is_cut:
            reading.id = await self.mending.cut(workspace, page)
        elif page.raw:
            reading.id = await self._write(workspace, reading.id, page)
        if page.raw or not page.knows:
            await self._note(workspace, reading.id)
        reading.saw(more=not page.is_whole)
        busy = bool(page.raw)
        reading.pause_s = LINGER_S if busy else min(reading.pause_s * 2, IDLE_MAX_S)
        reading.at_s = monotonic() + (reading.pause_s if page.is_whole else 0.0)
        self.figures.busy_s += monotonic() - began

    async def _note(self, workspace: str, position: str) -> None:
        """Note behind the commit how far we are, so that nothing is trimmed unrecorded, and the head of the audit.

        At the beginning this is what whoever wrote before us has come to.

        Raises:
            Stale: another has the role by now.
        """
        if self.held:
            await self.cursors.note(workspace, GROUP, self.owner, self.held.term, position)
        if self.trail:
            await self.trail.note(workspace)

    async def _write(self, workspace: str, old: str, page: Page) -> str:
        takes: Sequence[Applies] = (*self.rooms, self.trail) if self.trail else self.rooms
        try:
            new = await self.database.run(partial(_write, workspace=workspace, old=old, page=page, rooms=takes))
        except writing.BAD:
            careful = partial(_write_carefully, workspace=workspace, old=old, page=page, rooms=takes)
            new, refused = await self.database.run(careful)
            self.figures.refused += refused
        self.figures.events += len(page.raw)
        self.figures.batches += 1
        return new

    async def _failed(self, error: Exception) -> None:
        """Say once what is wrong, and come again later."""
        if not self.trouble:
            log.warning("the record does not keep up with the log; commands go on, it catches up", error=str(error))
            self._tries = 0
        self.trouble = str(error)
        await asyncio.sleep(AGAIN_S[min(self._tries, len(AGAIN_S) - 1)])
        self._tries += 1

    def _recovered(self) -> None:
        if self.trouble:
            log.info("the record is written again")
        self.trouble = ""


def _write(connection: Connection, workspace: str, old: str, page: Page, rooms: Sequence[Applies]) -> str:
    batch = Batch(workspace, old, page.entries)
    writing.write(connection, batch, rooms)
    return batch.new


def _write_carefully(
    connection: Connection, workspace: str, old: str, page: Page, rooms: Sequence[Applies]
) -> tuple[str, int]:
    batch = Batch(workspace, old, page.entries)
    return batch.new, writing.write_carefully(connection, batch, rooms)
