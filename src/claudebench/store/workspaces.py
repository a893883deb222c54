"""Which workspaces there are, so that every server watches over the instances of each, after a restart too."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from claudebench.errors import ClaudeBenchError
from claudebench.store.format import NO_WORKSPACE
from claudebench.store.script import Script

if TYPE_CHECKING:
    import asyncio

    from claudebench.store.connection import Connection

ENTER = Script(__package__, "workspaces")
SCRIPTS = (ENTER,)


@dataclass(slots=True)
class Workspaces:
    """The workspaces of a store, as far as this server has heard of them."""

    connection: Connection
    names: set[str] = field(default_factory=set)
    unsaid: set[str] = field(default_factory=set)

    def enter(self, name: str) -> None:
        """Note a workspace; the note is on its way to the store before anything that the caller sends after it."""
        if name in self.names:
            return
        self.names.add(name)
        self.unsaid.add(name)
        with suppress(ClaudeBenchError):
            self.connection.run(ENTER, NO_WORKSPACE, name).add_done_callback(partial(self._said, name))

    async def learn(self) -> None:
        """Put into the store what did not get there, and learn what other servers put there."""
        for name in [*self.unsaid, ""]:
            known = await self.connection.run(ENTER, NO_WORKSPACE, name)
            self.names.update(each.decode() for each in known)
            self.unsaid.discard(name)

    def _said(self, name: str, noted: asyncio.Future[Any]) -> None:
        if not noted.cancelled() and noted.exception() is None:
            self.unsaid.discard(name)
