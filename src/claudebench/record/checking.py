"""The record compared with the store, and made anew from it: step by step, while everything goes on.

A step is a page of the log, or a part of what a room holds; it answers where the next begins, so nobody keeps a state
and whoever asks shows how far it has come. What the store no longer has, retired tasks and events that were trimmed, is
left as the record has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import and_, delete, or_, select, tuple_

from claudebench.record import writing
from claudebench.record.entry import START, id_of, position_of, text_of
from claudebench.record.room import Difference
from claudebench.record.tables import EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from claudebench.record.entry import Entry, Position
    from claudebench.record.projector import Projector
    from claudebench.record.room import Part, Room
    from claudebench.record.stream import Page

LOG = "events"
POSITION_OF_AN_EVENT = re.compile(r"(\d{1,16}-\d{1,16})?")
NUMBER_OF_A_TASK = re.compile(r"\d{0,14}")
PAGE = 500
TRIES = 5
WAIT_MS = 10_000
COLUMNS = ("type", "subject", "actor", "at_ms", "payload", "meta")


class Step(msgspec.Struct, rename="camel"):
    """What a step came to; `share` is how much of its section is done, `next` is absent after the last."""

    section: str
    share: float
    checked: int
    differences: list[Difference]
    next: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Checking:
    """Steps of a comparison, and of making a record anew."""

    projector: Projector

    def knows(self, at: str) -> bool:
        """Whether there is such a step."""
        section, rest = _section(at)
        if section == LOG:
            return POSITION_OF_AN_EVENT.fullmatch(rest) is not None
        return section in {each.name for each in self.projector.rooms} and NUMBER_OF_A_TASK.fullmatch(rest) is not None

    async def verify(self, workspace: str, at: str) -> Step:
        """Compare one part.

        Raises:
            TimedOut: the record does not come up to what is to be compared.
        """
        section, rest = _section(at)
        if section == LOG:
            page = await self._page(workspace, rest)
            found = await self.projector.database.read(partial(_differences, workspace=workspace, page=page))
            return self._logged(page, found)
        room = self._room(section)
        for _ in range(TRIES):
            part = await room.part(workspace, rest)
            await self.projector.wait(workspace, id_of(part.position), WAIT_MS)
            found, moved = await self.projector.database.read(
                partial(_compared, workspace=workspace, room=room, part=part)
            )
            if not moved:
                break
        return self._taken(room, part, found)

    async def rebuild(self, workspace: str, at: str) -> Step:
        """Make one part anew; after the last the record is sound.

        Raises:
            ClaudeBenchError: the record or the store cannot be had; the step may be repeated.
        """
        section, rest = _section(at)
        if section == LOG:
            page = await self._page(workspace, rest)
            work = partial(_replace, workspace=workspace, page=page, rooms=self.projector.rooms)
            await self.projector.database.run(work)
            return self._logged(page, [])
        room = self._room(section)
        part = await room.part(workspace, rest)
        await self.projector.wait(workspace, id_of(part.position), WAIT_MS)
        step = self._taken(room, part, [])
        await self.projector.mending.put(workspace, room, part, last=step.next is UNSET)
        return step

    async def _page(self, workspace: str, after: str) -> Page:
        page = await self.projector.stream.behind(workspace, after, PAGE)
        if page.raw:
            await self.projector.wait(workspace, page.raw[-1][0].decode(), WAIT_MS)
        return page

    def _logged(self, page: Page, found: list[Difference]) -> Step:
        entries = page.entries
        done, end = (entries[-1].position if entries else page.newest), page.newest
        is_last = page.is_whole
        first = self.projector.rooms[0].name
        step = Step(LOG, 1.0 if is_last else min(1.0, done[0] / max(end[0], 1)), len(entries), found)
        step.next = f"{first}:" if is_last else f"{LOG}:{id_of(done)}"
        return step

    def _taken(self, room: Room, part: Part, found: list[Difference]) -> Step:
        share = int(part.next) / max(part.last, 1) if part.next else 1.0
        step = Step(room.name, min(1.0, share), len(part.rows), found)
        names = [each.name for each in self.projector.rooms]
        following = names[names.index(room.name) + 1 :]
        if part.next:
            step.next = f"{room.name}:{part.next}"
        elif following:
            step.next = f"{following[0]}:"
        return step

    def _room(self, name: str) -> Room:
        return next(each for each in self.projector.rooms if each.name == name)


def _section(at: str) -> tuple[str, str]:
    section, _, rest = (at or f"{LOG}:").partition(":")
    return section, rest


def _within(page: Page) -> Any:
    """Return the condition for the events of the record that a page of the log stands for."""
    first = position_of(page.raw[0][0].decode())
    after = page.after if page.after != START and page.knows else (first[0], first[1] - 1)
    last = position_of(page.raw[-1][0].decode())
    behind = or_(EVENTS.c.ms > after[0], and_(EVENTS.c.ms == after[0], EVENTS.c.seq > after[1]))
    upto = or_(EVENTS.c.ms < last[0], and_(EVENTS.c.ms == last[0], EVENTS.c.seq <= last[1]))
    return and_(behind, upto, EVENTS.c.lost.is_(False))


def _differences(connection: Connection, workspace: str, page: Page) -> list[Difference]:
    if not page.raw:
        return []
    asked = select(EVENTS).where(EVENTS.c.workspace == workspace, _within(page))
    kept: dict[Position, Any] = {(row["ms"], row["seq"]): row for row in connection.execute(asked).mappings()}
    logged = {each.position: each for each in page.entries}
    found = [(at, _shown(logged.get(at)), _kept(kept.get(at))) for at in sorted(logged.keys() | kept.keys())]
    return [Difference("event", id_of(at), one, other) for at, one, other in found if one != other]


def _shown(event: Entry | None) -> dict[str, Any] | None:
    if event is None:
        return None
    told = (event.type, event.subject, event.actor, event.at_ms, text_of(event.payload), text_of(event.meta))
    return dict(zip(COLUMNS, told, strict=True))


def _kept(row: Any) -> dict[str, Any] | None:
    return {name: row[name] for name in COLUMNS} if row else None


def _compared(connection: Connection, workspace: str, room: Room, part: Part) -> tuple[list[Difference], bool]:
    return room.compare(connection, workspace, part)


def _replace(connection: Connection, workspace: str, page: Page, rooms: Sequence[Room]) -> None:
    """Put the events of a page down as the log has them, take out others, and let the rooms have them again."""
    entries = page.entries
    if not entries:
        return
    ids = [each.position for each in entries]
    foreign = tuple_(EVENTS.c.ms, EVENTS.c.seq).not_in(ids)
    connection.execute(delete(EVENTS).where(EVENTS.c.workspace == workspace, _within(page), foreign))
    writing.put(connection, workspace, entries)
    for room in rooms:
        room.apply(connection, workspace, entries)
