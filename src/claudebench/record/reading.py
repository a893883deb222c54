"""The record as commands ask for it: how it stands, and what it holds once it has seen a position."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from time import time
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from claudebench.errors import Unavailable
from claudebench.record import writing
from claudebench.record.checking import Checking
from claudebench.record.entry import id_of, position_of
from claudebench.record.projector import ROLE
from claudebench.store.format import NO_WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from claudebench.record.projector import Projector

T = TypeVar("T")
NOT_KEPT = "this server keeps no record; give it one with --database-url"


class Standing(msgspec.Struct, rename="camel", kw_only=True):
    """How the record of a workspace stands: up to which position of the log, and what is wrong."""

    database: str
    position: str
    log_end: str
    behind_ms: int
    holder: str
    term: int
    refused: int
    gap: str | UnsetType = UNSET
    trouble: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Record:
    """The record, or that there is none."""

    projector: Projector | None

    @property
    def kept(self) -> Projector:
        """The projector of this server.

        Raises:
            Unavailable: this server keeps no record.
        """
        if not self.projector:
            raise Unavailable(NOT_KEPT, reason="record")
        return self.projector

    @property
    def checking(self) -> Checking:
        """Comparisons with the store.

        Raises:
            Unavailable: this server keeps no record.
        """
        return Checking(self.kept)

    async def read(self, workspace: str, work: Callable[[Connection], T], after: str = "", timeout_ms: int = 0) -> T:
        """Do work that reads the record, once it has seen the event at `after`.

        Raises:
            TimedOut: it has not within `timeout_ms`.
            Unavailable: there is no record, or it cannot be had.
        """
        projector = self.kept
        await projector.database.prepare()
        if after:
            await projector.wait(workspace, after, timeout_ms)
        return await projector.database.read(work)

    async def standing(self, workspace: str) -> Standing:
        """Return how the record of a workspace stands.

        Raises:
            Unavailable: there is no record, or it cannot be had.
        """
        projector = self.kept
        found = await self.read(workspace, partial(writing.standing, workspace=workspace))
        id_, gap = found or ("", "")
        page = await projector.stream.behind(workspace, id_, 1)
        owner, term, left_ms = await projector.leases.show(NO_WORKSPACE, ROLE)
        unread_ms = position_of(page.raw[0][0].decode())[0] if page.raw else 0
        standing = Standing(
            database=str(projector.database.address),
            position=id_,
            log_end=id_of(page.newest),
            behind_ms=max(1, round(time() * 1000) - unread_ms) if unread_ms else 0,
            holder=owner if left_ms else "",
            term=term,
            refused=projector.figures.refused,
        )
        if gap:
            standing.gap = gap
        if projector.trouble:
            standing.trouble = projector.trouble
        return standing
