"""Commands on the log: what happened, what a client has to tell, how far its readers are."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import UNSET

from claudebench.errors import InvalidParams, NotFound, nearest
from claudebench.events.cursor import Cursors, Lag
from claudebench.events.letters import Counts, DeadLetters
from claudebench.events.log import EventLog
from claudebench.events.position import BEGINNING, number
from claudebench.patterns.label import Consistency, Pattern
from claudebench.rpc.bounds import bound
from claudebench.rpc.command import handler
from claudebench.rpc.context import Context
from claudebench.system import model

A, C = Pattern.CENTRALIZED, Pattern.HYBRID
ORDERED, DERIVED = Consistency.ORDERED, Consistency.DERIVED
PAYLOAD_MAX = 65_536
_encode = msgspec.json.Encoder().encode


@handler("event.list", pattern=A, consistency=ORDERED, changes=False)
async def list_(request: model.EventList, context: Context, log: EventLog) -> model.Events:
    """Return the events behind a position, oldest first. A filter may leave a page short of its limit."""
    _check_types(request.types, log)
    page = await log.page(context.workspace, request.after, request.limit, request.types, request.subject)
    answer = model.Events(page.events, page.more, page.next)
    if number(request.after) < number(page.trimmed):
        answer.trimmed = page.trimmed
    elif request.after:
        seen = await log.seen(context.workspace, request.after)
        if seen.lacks(request.after):
            answer.lost = seen.newest or seen.trimmed or BEGINNING
    return answer


@handler("event.emit", pattern=C, consistency=ORDERED)
async def emit(request: model.Emit, context: Context, log: EventLog) -> model.Emitted:
    """Append an event of your own, of a type that begins with `x.`, for everybody who reads the log."""
    payload = bound("payload", _encode(request.payload), PAYLOAD_MAX)
    try:
        log.catalogue.check(request.type, payload)
    except ValueError as error:
        raise InvalidParams(str(error), errors=[{"path": "payload", "message": str(error)}]) from None
    origin = context.origin(request.instance_id or "")
    (position,) = await log.append(origin, request.type, request.subject, payload, request.partition_key)
    context.position = position.decode()
    return model.Emitted(context.position)


@handler("event.lag", pattern=A, consistency=DERIVED, changes=False)
async def lag(
    request: model.EventLag, context: Context, log: EventLog, cursors: Cursors, letters: DeadLetters
) -> model.Lags:
    """Tell how far each group of readers is: its positions, who holds them, what is before it and how old that is."""
    known = await cursors.groups(context.workspace)
    if request.group and request.group not in known:
        raise NotFound(f"no group {request.group!r} reads this log", nearest=nearest(request.group, known))
    wanted = [request.group] if request.group else sorted(known)
    span = await log.span(context.workspace)
    lags = await asyncio.gather(*(cursors.lag(context.workspace, group) for group in wanted))
    counts = await asyncio.gather(*(letters.counts(context.workspace, group) for group in wanted))
    return model.Lags([_group(*each) for each in zip(wanted, lags, counts, strict=True)], span.last, span.trimmed)


COMMANDS = (list_, emit, lag)


def _check_types(patterns: list[str], log: EventLog) -> None:
    """Refuse a type that no event can have, and a pattern that none can match."""
    for at, pattern in enumerate(patterns):
        if log.catalogue.knows(pattern):
            continue
        message, near = f"there is no event of type {pattern!r}", log.catalogue.nearest(pattern)
        raise InvalidParams(
            message, errors=[{"path": f"types[{at}]", "message": message, **({"nearest": near} if near else {})}]
        )


def _group(name: str, lags: list[Lag], counts: Counts) -> model.GroupLag:
    return model.GroupLag(
        name,
        max((each.behind for each in lags), default=0),
        all(each.is_exact for each in lags),
        max((each.behind_ms for each in lags), default=0),
        [_partition(each) for each in lags],
        *counts,
    )


def _partition(lag: Lag) -> model.PartitionLag:
    return model.PartitionLag(
        partition=lag.partition,
        position=lag.position,
        fence=lag.fence,
        behind=lag.behind,
        behind_ms=lag.behind_ms,
        lease_ms=lag.lease_ms,
        holder=lag.holder or UNSET,
        gap=lag.gap or UNSET,
    )
