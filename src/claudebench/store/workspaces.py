"""Which workspaces there are, so that every server watches over the instances of each, after a restart too."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from claudebench.errors import ClaudeBenchError
from claudebench.store.format import NO_WORKSPACE
from claudebench.store.script import Script

if TYPE_CHECKING:
    import asyncio

    from claudebench.store.connection import Connection

ENTER = Script(__package__, "workspaces")
SCRIPTS = (ENTER,)
LEARN_EVERY_S = 30.0


@dataclass(slots=True)
class Workspaces:
    """The workspaces of a store in which anything was ever changed, as far as this server has heard of them.

    Those without instances rest: they are looked at again every 30 s, or when somebody registers there through us.
    """

    connection: Connection
    _known: set[str] = field(default_factory=set)
    _awake: set[str] = field(default_factory=set)
    _unsaid: set[str] = field(default_factory=set)
    _learn_at: float = 0.0

    def enter(self, name: str) -> None:
        """Note a workspace; the note is on its way to the store before anything that the caller sends after it."""
        if name in self._awake:
            return
        self._awake.add(name)
        self._known.add(name)
        self._unsaid.add(name)
        with suppress(ClaudeBenchError):
            self.connection.run(ENTER, NO_WORKSPACE, name).add_done_callback(partial(self._said, name))

    def awake(self) -> list[str]:
        """Return the workspaces that want to be swept."""
        return list(self._awake)

    def known(self) -> list[str]:
        """Return every workspace heard of, those at rest included."""
        return list(self._known)

    def rest(self, name: str) -> None:
        """Leave a workspace alone for a while: it has neither instances nor leases."""
        self._awake.discard(name)

    async def learn(self) -> None:
        """Every 30 s: put into the store what did not get there, and learn what is there."""
        if monotonic() < self._learn_at:
            return
        for name in list(self._unsaid):
            await self.connection.run(ENTER, NO_WORKSPACE, name)
            self._unsaid.discard(name)
        stored = [each.decode() for each in await self.connection.run(ENTER, NO_WORKSPACE, "")]
        self._known.update(stored)
        self._awake.update(stored)
        self._learn_at = monotonic() + LEARN_EVERY_S

    def _said(self, name: str, noted: asyncio.Future[Any]) -> None:
        if not noted.cancelled() and noted.exception() is None:
            self._unsaid.discard(name)
