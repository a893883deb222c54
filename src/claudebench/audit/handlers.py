"""Commands of the audit, all of them the operator's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from claudebench.audit import model
from claudebench.errors import Unavailable
from claudebench.events.log import EventLog
from claudebench.events.model import EventType, Payload
from claudebench.patterns.label import Consistency, Pattern
from claudebench.record.audit import Head
from claudebench.rpc.command import handler
from claudebench.rpc.context import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudebench.record.audit import Row
    from claudebench.record.projector import Projector
    from claudebench.record.trail import Trail

A, DERIVED = Pattern.CENTRALIZED, Consistency.DERIVED
BYTES_MAX = 1_048_576
NAMED_MAX = 16


class Found(msgspec.Struct):
    """What was wrong with the rows `seq` to `to`."""

    kind: str
    seq: int
    to: int


class Accepted(Payload):
    """The new head, why, and what was found of the former head and behind it: `total` findings, the first 16 named."""

    seq: int
    mac: str
    reason: str
    total: int = 0
    found: list[Found] = msgspec.field(default_factory=list)


EVENTS = (
    EventType(
        "audit.accepted", "the operator made the newest row of the audit its head, whatever was found of it", Accepted
    ),
)
_encode = msgspec.json.Encoder().encode


class Audit:
    """The audit of this server, if it has a record."""

    def __init__(self, trail: Trail | None, projector: Projector | None) -> None:
        """Take the trail and who writes it, None without a record."""
        self._trail, self._projector = trail, projector

    @property
    def trail(self) -> Trail:
        """The trail.

        Raises:
            Unavailable: this server has no record, so no audit.
        """
        if self._trail is None:
            raise Unavailable("this server keeps no record, so no audit; give it a --database-url", reason="record")
        return self._trail

    async def seen(self, workspace: str, request: model.Ask) -> Trail:
        """Return the trail once it has come to the position that a request asks for.

        Raises:
            TimedOut: it has not in time.
            Unavailable: there is no record, or it cannot be had.
        """
        if self._projector and request.after:
            await self._projector.wait(workspace, request.after, request.timeout_ms)
        return self.trail


@handler("audit.verify", pattern=A, consistency=DERIVED, changes=False, operator=True)
async def verify(request: model.Verify, context: Context, audit: Audit) -> model.Verified:
    """Look whether the chain of the workspace is whole, and say where and how it is not."""
    trail = await audit.seen(context.workspace, request)
    behind = Head(request.behind, "", request.mac, "")
    seen = await trail.verify(context.workspace, behind, request.limit, request.timeout_ms)
    intact = all(each.kind == "unchecked" for each in seen.findings)
    return model.Verified(
        intact=intact,
        rows=seen.rows,
        last=seen.last,
        findings=seen.findings,
        head=seen.head or UNSET,
        next=model.Following(seen.next.seq, seen.next.mac) if seen.next else UNSET,
    )


@handler("audit.tail", pattern=A, consistency=DERIVED, changes=False, operator=True)
async def tail(request: model.Tail, context: Context, audit: Audit) -> model.Rows:
    """Return rows of the audit, the newest ones or those behind a row; a page ends once it holds 1 MiB."""
    trail = await audit.seen(context.workspace, request)
    standing = await trail.standing(context.workspace)
    found = await trail.rows(context.workspace, request.behind, request.limit)
    rows = list(_fitting(found))
    last = rows[-1].seq if rows else request.behind or 0
    more = request.behind is not None and (len(rows) < len(found) or len(found) == request.limit)
    head, spans = standing.head or UNSET, list(standing.spans)
    return model.Rows(context.workspace, rows, next_behind=last, has_more=more, head=head, spans=spans)


def _fitting(found: list[Row]) -> Iterator[Row]:
    """Yield the first row, and those that fit behind it."""
    size = 0
    for at, row in enumerate(found):
        size += len(_encode(row))
        if at and size > BYTES_MAX:
            return
        yield row


@handler("audit.accept", pattern=A, consistency=DERIVED, operator=True)
async def accept(request: model.Accept, context: Context, audit: Audit, log: EventLog) -> model.Accepted:
    """Go on from the newest row of the audit, and end the alarm.

    What is wrong with rows before the head stays a finding. What was wrong with the head, and behind it, does not: the
    event `audit.accepted` names it, and so does the answer.
    """
    found = await audit.trail.at_head(context.workspace)
    head = await audit.trail.accept(context.workspace)
    named = [Found(each.kind, each.seq, each.to) for each in found[:NAMED_MAX]]
    payload = _encode(Accepted(head.seq, head.mac, request.reason, len(found), named))
    (position,) = await log.append(context.origin(), "audit.accepted", "-", payload)
    context.position = position.decode()
    return model.Accepted(head, found)


COMMANDS = (verify, tail, accept)
