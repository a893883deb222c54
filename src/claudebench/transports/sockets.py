"""Every open WebSocket and event stream of this process: how many there may be, and their end when it stops."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from claudebench.errors import Unavailable

if TYPE_CHECKING:
    from typing import Literal

    Kind = Literal["websocket", "sse"]

DRAIN_WITHIN_S = 2.0
RETRY_AFTER_MS = 1_000


class Held(Protocol):
    """An open socket."""

    kind: Kind

    def go_away(self) -> None:
        """Say that the server is going away, and end at once."""

    async def settled(self) -> None:
        """Wait until nothing that came in over it is under way."""


class Sockets:
    """The open sockets of a process."""

    def __init__(self, most: int) -> None:
        """Take how many there may be."""
        self._most = most
        self._held: set[Held] = set()
        self._draining = False

    def check(self) -> None:
        """Raise Unavailable when one more may not be opened."""
        if self._draining:
            raise Unavailable("the server is going away", retryAfterMs=RETRY_AFTER_MS, reason="stopping")
        if len(self._held) >= self._most:
            raise Unavailable(
                f"{self._most} sockets are open, which is all that this server may have (max_sockets)",
                retryAfterMs=RETRY_AFTER_MS,
                reason="sockets",
            )

    def enter(self, socket: Held) -> None:
        """Hold one more.

        Raises:
            Unavailable: there are as many as there may be, or the server stops.
        """
        self.check()
        self._held.add(socket)

    def leave(self, socket: Held) -> None:
        """Forget one."""
        self._held.discard(socket)

    def counts(self) -> Counter[str]:
        """Return how many of each kind are open."""
        return Counter(each.kind for each in self._held)

    async def drain(self) -> None:
        """End them all: at once, or, where commands are under way, after those, within 2 s."""
        self._draining = True
        held = list(self._held)
        if held:
            await asyncio.wait([asyncio.create_task(_end(each)) for each in held])


async def _end(socket: Held) -> None:
    try:
        async with asyncio.timeout(DRAIN_WITHIN_S):
            await socket.settled()
    except TimeoutError:
        pass
    finally:
        socket.go_away()
