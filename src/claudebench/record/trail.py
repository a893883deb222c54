"""The audit in the record: rows in the transaction of the events, the head in the store once that is committed.

The head is moved on only from where it stands, and only over rows that this process has written or has looked at. So
what is done to the table behind the projector's back stays between the two: the head stops where the chain last was
whole, `trouble` says so, and every `verify` from then on, until the operator accepts the chain as it is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import msgspec
import structlog
from sqlalchemy import func, select

from claudebench.errors import SettingsError
from claudebench.record import audit
from claudebench.record.audit import NO_ROW, NOTHING, Head, Row, Span, Standing, head_of, in_force
from claudebench.record.bulk import Bulk
from claudebench.record.entry import position_of
from claudebench.record.tables import AUDIT
from claudebench.record.tampering import Chain, Finding
from claudebench.store.format import NO_WORKSPACE
from claudebench.store.script import Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection as Sql

    from claudebench.record.audit_key import Keys
    from claudebench.record.database import Database
    from claudebench.record.entry import Entry
    from claudebench.store.connection import Connection

HEAD, SIGNS = Script(__package__, "head"), Script(__package__, "signs")
SCRIPTS = (HEAD, SIGNS)
LOOKED_AT_ONCE, LOOKED_MAX = 500, 100_000
LOOK_AGAIN_S = 0.05
log = structlog.get_logger("claudebench")
_PUT = Bulk("INSERT INTO audit ({columns}) SELECT {columns} FROM {rows}", AUDIT.columns)
_ROW = tuple(AUDIT.c[name] for name in Row.__struct_fields__)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at a chain came to; `last` is its newest row, `next` where to go on, None at the end."""

    rows: int
    findings: list[Finding]
    last: int
    head: Head | None
    next: Head | None


def tail(sql: Sql, workspace: str) -> Head:
    """Return the newest row of a chain."""
    columns = (AUDIT.c.seq, AUDIT.c.id, AUDIT.c.mac, AUDIT.c.key)
    found = sql.execute(select(*columns).where(AUDIT.c.workspace == workspace).order_by(AUDIT.c.seq.desc()).limit(1))
    return next((Head(*each) for each in found), NO_ROW)


def page(sql: Sql, workspace: str, after: int, limit: int, upto: int | None = None) -> list[Row]:
    """Return rows behind a number, in their order."""
    asked = select(*_ROW).where(AUDIT.c.workspace == workspace, AUDIT.c.seq > after)
    asked = asked if upto is None else asked.where(AUDIT.c.seq <= upto)
    found = sql.execute(asked.order_by(AUDIT.c.seq).limit(limit))
    return [Row(*each) for each in found]


@dataclass(slots=True)
class Trail:
    """The audit of every workspace, as one server keeps it."""

    database: Database
    store: Connection
    keys: Keys
    trouble: dict[str, str] = field(default_factory=dict)
    _written: dict[str, tuple[Head, Head]] = field(default_factory=dict)
    _standings: dict[str, Standing] = field(default_factory=dict)

    def is_whole(self) -> bool:
        """Whether nothing was found that stops a head."""
        return not self.trouble

    async def check_key(self) -> None:
        """Look whether this server has every key that signed audits of this store.

        Raises:
            SettingsError: it lacks one; the message names it and says what to do.
        """
        current, _ = self.keys.current
        unknown = await self.store.run(SIGNS, NO_WORKSPACE, current, *self.keys.secrets, *self.keys.lost)
        if unknown:
            raise SettingsError(_lacking(unknown[0].decode(), self.keys.source))

    def apply(self, connection: Sql, workspace: str, events: Sequence[Entry]) -> None:
        """Carry a chain on by these events, in their transaction; those that it has already are left out."""
        before = tail(connection, workspace)
        at = position_of(before.id)
        standing = self._standings.get(workspace, NOTHING)
        fresh = (each for each in events if each.position > at)
        rows = list(audit.rows(self.keys, workspace, before, fresh, standing))
        if not rows:
            return
        _PUT.run(connection, [(workspace, *msgspec.structs.astuple(row)) for row in rows])
        first, last = self._written.get(workspace, (before, before))
        self._written[workspace] = (first if last == before else before, head_of(rows[-1]))

    async def note(self, workspace: str) -> None:
        """Move the head on to what is committed; over rows that others wrote only when they follow it.

        Raises:
            Unavailable: the store or the record cannot be had; the next note makes up for it.
        """
        before, after = self._written.pop(workspace, (NO_ROW, NO_ROW))
        if after.seq and await self._move(workspace, before, after) == after:
            self.trouble.pop(workspace, None)
            return
        await self._catch_up(workspace)

    async def _catch_up(self, workspace: str) -> None:
        """Look at what lies between the head and the end of the chain; move the head there if all of it is whole."""
        head = await self.head(workspace) or NO_ROW
        seen, end = await self._look(workspace, head)
        if end.seq < head.seq and position_of(end.id) <= position_of(head.id):
            return  # the record makes up for what it lost; until then it is for verify to say
        if end.seq < head.seq:
            self._alarm(workspace, Finding("cut", end.seq + 1, head.seq, "the chain went on without rows it had"))
        elif seen:
            self._alarm(workspace, seen[0])
        elif end != head:
            await self._move(workspace, head, end)
            self.trouble.pop(workspace, None)

    async def _look(self, workspace: str, head: Head) -> tuple[list[Finding], Head]:
        end = await self.database.read(partial(tail, workspace=workspace))
        at_head = await self._row(workspace, head.seq) if head.seq else None
        if end.seq >= head.seq and head.seq and (at_head is None or head_of(at_head) != head):
            return [Finding("rewritten", head.seq, head.seq, "another row than the store has seen here")], end
        chain = Chain(self.keys, workspace, after=head, spans=self._standings.get(workspace, NOTHING).spans)
        await self._feed(chain, workspace, head.seq, end.seq)
        return chain.findings(whole=False), end

    def _alarm(self, workspace: str, finding: Finding) -> None:
        said = f"row {finding.seq}: {finding.kind}: {finding.message}"
        if self.trouble.get(workspace) != said:
            log.critical("the audit was tampered with; see: claudebench audit verify", workspace=workspace, found=said)
        self.trouble[workspace] = said

    async def head(self, workspace: str) -> Head | None:
        """Return the head that the store holds, None if there is none."""
        return (await self.standing(workspace)).head

    async def standing(self, workspace: str) -> Standing:
        """Return what the store holds of a chain."""
        return await self._told(workspace, "look", NO_ROW, NO_ROW, 0)

    async def at_head(self, workspace: str) -> list[Finding]:
        """Return what is found of the head and behind it, which may be found no more once the end is accepted."""
        head = await self.head(workspace) or NO_ROW
        end = await self.database.read(partial(tail, workspace=workspace))
        seq = min(head.seq, end.seq)
        row = await self._row(workspace, seq) if seq else None
        after = Head(seq, "", row.mac if row else head.mac, "")
        return (await self.verify(workspace, after, LOOKED_MAX, 0)).findings

    async def accept(self, workspace: str) -> Head:
        """Make the newest row the head, whatever was done to the chain; return it."""
        end = await self.database.read(partial(tail, workspace=workspace))
        spans = (await self.standing(workspace)).spans
        began = end.seq if in_force(spans, end.seq) != end.key else 0
        await self._told(workspace, "accept", NO_ROW, end, began)
        self.trouble.pop(workspace, None)
        return end

    async def _move(self, workspace: str, before: Head, after: Head) -> Head | None:
        began = await self._began(workspace, before, after.key) if before.key != after.key else 0
        return (await self._told(workspace, "on", before, after, began)).head

    async def _began(self, workspace: str, before: Head, key: str) -> int:
        """Return the first row behind another that a key has signed."""
        rows = AUDIT.c.workspace == workspace, AUDIT.c.seq > before.seq, AUDIT.c.key == key
        asked = select(func.min(AUDIT.c.seq)).where(*rows)
        return await self.database.read(lambda sql: sql.scalar(asked) or 0)

    async def _told(self, workspace: str, how: str, before: Head, after: Head, began: int) -> Standing:
        words = (how, str(before.seq), before.mac, after.seq, after.id, after.mac, after.key, str(began))
        found = _standing(await self.store.run(HEAD, workspace, *words))
        self._standings[workspace] = found
        return found

    async def rows(self, workspace: str, after: int | None, limit: int) -> list[Row]:
        """Return rows behind a number, or the newest."""
        if after is None:
            after = max(0, (await self.database.read(partial(tail, workspace=workspace))).seq - limit)
        return await self.database.read(partial(page, workspace=workspace, after=after, limit=limit))

    async def verify(self, workspace: str, after: Head, limit: int, timeout_ms: int) -> Seen:
        """Look at rows behind `after`; at the end of the chain it is held against the head.

        A record that lags behind the head, after a crash of its database or a restore, is given `timeout_ms` to make up
        for it. The head is read before the end of the chain and after it: the two move all the time.
        """
        standing, end = await self._ends(workspace, timeout_ms)
        head, latest = standing.head, await self.head(workspace)
        upto = min(end.seq, after.seq + limit)
        chain = Chain(self.keys, workspace, after=after, head=head, spans=standing.spans)
        await self._feed(chain, workspace, after.seq, upto)
        whole = upto == end.seq
        if whole and head and head.seq <= after.seq:
            chain.see(await self._row(workspace, head.seq))
        ahead = end.seq - (latest.seq if latest else 0)
        findings = [each for each in chain.findings(whole=whole) if each.kind != "ahead" or ahead > audit.AHEAD_MAX]
        return Seen(chain.rows, findings, end.seq, head, None if whole else chain.end)

    async def _ends(self, workspace: str, timeout_ms: int) -> tuple[Standing, Head]:
        deadline = monotonic() + timeout_ms / 1000
        while True:
            standing = await self.standing(workspace)
            end = await self.database.read(partial(tail, workspace=workspace))
            if standing.head is None or end.seq >= standing.head.seq or monotonic() > deadline:
                return standing, end
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _row(self, workspace: str, seq: int) -> Row | None:
        found = await self.database.read(partial(page, workspace=workspace, after=seq - 1, limit=1, upto=seq))
        return found[0] if found else None

    async def _feed(self, chain: Chain, workspace: str, after: int, upto: int) -> None:
        """Let a chain look at the rows behind `after` up to `upto`, in the reader's thread, a little at a time."""

        def feed(sql: Sql) -> int:
            rows = page(sql, workspace, after, LOOKED_AT_ONCE, upto)
            chain.feed(rows)
            return rows[-1].seq if rows else upto

        while after < upto:
            after = await self.database.read(feed)


def _standing(told: list[bytes]) -> Standing:
    """Return the head and the keys as the store answers them."""
    words = iter(each.decode() for each in told)
    found = dict(zip(words, words, strict=True))
    if "seq" not in found:
        return NOTHING
    spans = (Span(int(name[5:]), key) for name, key in found.items() if name.startswith("from:"))
    head = Head(int(found["seq"]), found["id"], found["mac"], found["key"])
    return Standing(head, tuple(sorted(spans, key=lambda each: each.seq)))


def _lacking(key: str, source: str) -> str:
    return (
        f"audits of this store were signed with the key {key}, which is not in {source}. Servers of one store share "
        "that file: copy it from another server or a backup, or name it in CLAUDEBENCH_AUDIT_KEY. If it is lost for "
        f"good, add the line `{key} lost` to {source}"
    )
