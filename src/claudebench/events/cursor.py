"""Fenced cursors: how several processes read one log, each event of a partition in its order, without doing one twice.

A *group* is a reader of a workspace's log. It has 16 partitions, or 1; an event is of the partition that its partition
key, or without one its subject, falls into. In each partition stands a cursor {position, holder, fence}:

    register  -> a cursor in each partition, free              the log keeps what they have yet to handle
    take      free, or its lease is over -> held, fence + 1    a fair share; of what is held already: longer, same fence
    commit    held under this fence -> further on, held longer
    release   held -> free;  leave: all that a holder has
    drop      gone, with everything noted; `end` does so for the operator, and only to a group that nobody holds

Invariants: a fence is had by one holder and grows with each change of it; who was paused beyond its lease and overtaken
is refused, so a position is only ever moved by whoever holds the partition; positions only move forward. Every event is
delivered at least once. Its effect happens exactly once when the script that makes it also writes the mark
(`lib/processed.lua`, `Mark`), for a mark that is there already, or a fence that is not the present one, stops it.

A reader whose position lives elsewhere, such as in the database it writes, *notes* it, under the term of its lease.
The log is trimmed behind the lowest position of all groups. What its hard cap took nevertheless is a *gap*: an event
`cursor.gap` tells it once, and `/health` is degraded until somebody has made up for it (`acknowledge`).
"""

from __future__ import annotations

import re
from binascii import crc_hqx
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from claudebench.errors import Stale
from claudebench.store.origin import Origin
from claudebench.store.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claudebench.store.connection import Connection
    from claudebench.store.wire import Argument

REGISTER = Script(__package__, "cursor_register")
TAKE = Script(__package__, "cursor_take")
COMMIT = Script(__package__, "cursor_commit")
RELEASE = Script(__package__, "cursor_release")
LEAVE = Script(__package__, "cursor_leave")
NOTE = Script(__package__, "cursor_note")
GAP = Script(__package__, "cursor_gap")
ACKNOWLEDGE = Script(__package__, "cursor_acknowledge")
DROP = Script(__package__, "cursor_drop")
END = Script(__package__, "group_drop")
LAG = Script(__package__, "cursor_lag")
GROUPS = Script(__package__, "groups")
SCRIPTS = (REGISTER, TAKE, COMMIT, RELEASE, LEAVE, NOTE, GAP, ACKNOWLEDGE, DROP, END, LAG, GROUPS)

PARTITIONS = 16
LEASE_MAX_MS = 60_000
OLDEST, NEXT = "", "$"
NAME = re.compile(r"[a-z0-9._-]{1,64}\Z")


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a partition key or subject."""
    return crc_hqx(key.encode(), 0) % partitions


class Cursor(NamedTuple):
    """A partition in somebody's hands: the position behind which to go on, and the fence."""

    partition: int
    position: str
    fence: int


class Taken(NamedTuple):
    """What a holder has, and how many would be its share; those beyond it are to be released between two events."""

    share: int
    cursors: list[Cursor]


@dataclass(frozen=True, slots=True)
class Mark:
    """That a group handled an event: what the script of an exactly-once effect is given, before anything of its own."""

    group: str
    partition: int
    holder: str
    fence: int
    position: str

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """As the script takes them: group partition holder fence position."""
        return (self.group, self.partition, self.holder, self.fence, self.position)


class Lag(NamedTuple):
    """Where a group stands in a partition, and what is before it.

    `behind` counts events of the whole log; it is a lower bound unless `is_exact`. `behind_ms` is the age of the first
    of them. `gap` is `from to`, or ''.
    """

    group: str
    partition: int
    position: str
    holder: str
    fence: int
    lease_ms: int
    behind: int
    behind_ms: int
    gap: str
    is_exact: bool


class Ended(NamedTuple):
    """A group that was dropped: the position of the event that tells so, and what went with it."""

    position: str
    partitions: int
    dead: int
    retrying: int


class Acknowledged(NamedTuple):
    """How many gaps were ended, and the position of the event that tells so; the newest one where there was none."""

    position: str
    gaps: int


@dataclass(frozen=True, slots=True)
class Cursors:
    """The cursors of every workspace; `given_ms` injects time into a test store ('' in production)."""

    connection: Connection
    given_ms: Callable[[], str] = str

    async def register(self, workspace: str, group: str, partitions: int = PARTITIONS, start: str = OLDEST) -> bool:
        """Let a group read from `start` on: `OLDEST`, `NEXT` or a position; return whether it is new.

        Raises:
            Conflict: it has another number of partitions.
            LimitReached: there are 32 groups.
            ValueError: the name is none of a group, `[a-z0-9._-]{1,64}`.
        """
        if not NAME.match(group):
            raise ValueError(f"a group is named [a-z0-9._-]{{1,64}}, not {group[:80]!r}")
        return bool(await self.connection.run(REGISTER, workspace, group, partitions, start))

    async def take(
        self,
        workspace: str,
        group: str,
        holder: str,
        lease_ms: int,
        epoch: int | None = None,
        *,
        live: bool = False,
        whole: bool = False,
    ) -> Taken:
        """Hold what is held for `lease_ms` from now, and take what is free, up to a fair share.

        Args:
            workspace: where the group is.
            group: its name.
            holder: who takes.
            lease_ms: for how long, in ms, up to 60,000.
            epoch: the epoch of the seam `events` under which the holder works; what is held under an older one is free.
            whole: all partitions, or none while another holds one; nobody has a share.
            live: the holder notes what it handled only now and then: should it not release a partition, whoever takes
                it after it goes on at the end of the log, so that nothing is delivered twice.

        Raises:
            NotFound: there is no such group.
            Stale: events are delivered in another way since that epoch.
        """
        if not 0 < lease_ms <= LEASE_MAX_MS:
            raise ValueError(f"a lease of a partition lasts up to {LEASE_MAX_MS} ms, not {lease_ms}")
        way = ("" if epoch is None else epoch, int(live), int(whole))
        share, *told = await self.connection.run(TAKE, workspace, self.given_ms(), group, holder, lease_ms, *way)
        rows = (told[at : at + 3] for at in range(0, len(told), 3))
        return Taken(share, [Cursor(partition, position.decode(), fence) for partition, position, fence in rows])

    async def commit(self, workspace: str, mark: Mark, lease_ms: int) -> None:
        """Move a cursor on to what was handled, and hold it longer.

        Raises:
            Stale: the partition changed hands; the position is as the new holder knows it.
        """
        if await self.commit_all(workspace, [mark], lease_ms):
            raise Stale("the partition changed hands since this fence")

    async def commit_all(self, workspace: str, marks: Sequence[Mark], lease_ms: int) -> set[int]:
        """Move cursors of one group and holder on, in one step; return the partitions that changed hands.

        At most `PARTITIONS` marks.
        """
        group, _, holder, _, _ = marks[0].arguments
        each = [word for mark in marks for word in (mark.partition, mark.fence, mark.position)]
        return set(await self.connection.run(COMMIT, workspace, self.given_ms(), group, holder, lease_ms, *each))

    async def release(self, workspace: str, mark: Mark) -> None:
        """Let a partition go, if it is still held: handled up to the position of the mark, '' for what is known."""
        await self.connection.run(RELEASE, workspace, *mark.arguments)

    async def leave(self, workspace: str, group: str, holder: str) -> None:
        """Let everything go."""
        await self.connection.run(LEAVE, workspace, group, holder)

    async def note(self, workspace: str, group: str, holder: str, term: int, position: str) -> None:
        """Tell how far a reader is whose position lives elsewhere.

        Raises:
            Stale: another noted under a higher term.
        """
        await self.connection.run(NOTE, workspace, group, holder, term, position)

    async def gap(self, workspace: str, group: str, partition: int, after: str, to: str) -> None:
        """Note and tell that what lay behind `after`, up to `to`, was gone before the group had read it."""
        origin = Origin(workspace, given_ms=self.given_ms())
        await self.connection.change(GAP, origin, group, partition, after, to)

    async def acknowledge(self, origin: Origin, group: str) -> Acknowledged:
        """Say that somebody made up for the gaps of a group, and tell it if there were any.

        Raises:
            NotFound: there is no such group.
        """
        position, gaps = await self.connection.change(ACKNOWLEDGE, origin, group)
        return Acknowledged(position.decode(), gaps)

    async def drop(self, workspace: str, group: str) -> bool:
        """Let a group read no more, whoever holds it, and tell nobody; return whether there was one."""
        return bool(await self.connection.run(DROP, workspace, group))

    async def end(self, origin: Origin, group: str) -> Ended:
        """Let a group that nobody serves read no more, and tell it.

        Raises:
            NotFound: there is no such group.
            Conflict: a live process holds or shares it; `holder` of its data names one.
        """
        position, *gone = await self.connection.change(END, origin, group)
        return Ended(position.decode(), *gone)

    async def groups(self, workspace: str) -> dict[str, int]:
        """Return the groups and their partitions; 0 for one whose position lives elsewhere."""
        told = await self.connection.run(GROUPS, workspace)
        return {name.decode(): int(count) for name, count in zip(told[::2], told[1::2], strict=True)}

    async def lag(self, workspace: str, group: str) -> list[Lag]:
        """Return where a group stands in each partition; at most 1,000 events are looked at."""
        whole, *told = await self.connection.run(LAG, workspace, self.given_ms(), group)
        rows = ([_text(each) for each in told[at : at + 8]] for at in range(0, len(told), 8))
        return [Lag._make((group, *row, bool(whole))) for row in rows]


def _text(value: bytes | int) -> str | int:
    return value.decode() if isinstance(value, bytes) else value
