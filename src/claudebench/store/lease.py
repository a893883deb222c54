"""One holder at a time: the lease under which a process does what only one of a fleet may do.

A role is free, or held by one owner until a time of the store's clock. Each change of owner raises the term by one, and
the term never restarts, so it fences: whoever acts under a lease passes its owner and its term, and one who was paused
beyond its lease is refused once somebody else has taken over (`lib/term.lua`). Local time may only decide when to stop
trusting a lease, never that one is held.

    take     free, or run out -> held, term + 1          the holder again: longer, the same term
    renew    held -> longer; also after the end, while nobody took it
    release  held -> free
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from claudebench.errors import Stale
from claudebench.store.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.store.connection import Connection

TAKE = Script(__package__, "lease_take")
RENEW = Script(__package__, "lease_renew")
RELEASE = Script(__package__, "lease_release")
SHOW = Script(__package__, "lease_show")
SCRIPTS = (TAKE, RENEW, RELEASE, SHOW)


@dataclass(frozen=True, slots=True)
class Held:
    """A role in the hands of `owner`, under `term`."""

    role: str
    owner: str
    term: int
    lease_ms: int
    workspace: str


@dataclass(frozen=True, slots=True)
class Leases:
    """The single-holder roles of a store; `given_ms` injects time into a test store ('' in production)."""

    connection: Connection
    given_ms: Callable[[], str] = str

    async def take(self, workspace: str, role: str, owner: str, lease_ms: int) -> Held | None:
        """Take a role for `lease_ms` from now; None while somebody else holds it."""
        term = await self.connection.run(TAKE, workspace, self.given_ms(), role, owner, lease_ms)
        return None if term is None else Held(role, owner, term, lease_ms, workspace)

    async def renew(self, held: Held) -> bool:
        """Hold on for another lease; False when it was lost to another."""
        try:
            await self.connection.run(
                RENEW, held.workspace, self.given_ms(), held.role, held.owner, held.term, held.lease_ms
            )
        except Stale:
            return False
        return True

    async def release(self, held: Held) -> None:
        """Let a role go, if it is still held."""
        await self.connection.run(RELEASE, held.workspace, held.role, held.owner, held.term)

    async def show(self, workspace: str, role: str) -> tuple[str, int, int]:
        """Return the owner ('' when nobody ever was, or it let go), the term and the milliseconds left."""
        owner, term, left_ms = await self.connection.run(SHOW, workspace, self.given_ms(), role)
        return owner.decode(), term, left_ms
