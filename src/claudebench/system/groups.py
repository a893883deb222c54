"""Commands on the groups that read the log, all the operator's: end one that nobody serves, end the gaps of one."""

from __future__ import annotations

from claudebench.errors import Conflict, NotFound, nearest
from claudebench.events.cursor import Cursors
from claudebench.own.subscribing import RESERVED, RESERVED_PREFIX
from claudebench.patterns.label import Consistency, Pattern
from claudebench.rpc.command import handler
from claudebench.rpc.context import Context
from claudebench.rpc.examples import Example, Told
from claudebench.system import model

A, LINEARIZABLE = Pattern.CENTRALIZED, Consistency.LINEARIZABLE
SERVED = "stop the server that serves it, or take the subscriber out of its app"
RECORDED = "the record reads as this group; to keep none, start the server with --database-url none"
REBUILT = "the record reads as this group; claudebench record rebuild makes up for what it lost"


@handler("event.group.drop", pattern=A, consistency=LINEARIZABLE, operator=True)
async def drop(request: model.OneGroup, context: Context, cursors: Cursors) -> model.GroupDropped:
    """End a group that nobody serves, with its cursors, dead letters and retries; no log is kept for it any more."""
    group = request.group
    await _check_not_ours(group, context, cursors)
    try:
        ended = await cursors.end(context.origin(), group)
    except NotFound:
        raise await _unknown(group, context, cursors) from None
    except Conflict as error:
        if "holder" in error.data:
            error.args = (f"{error.message}; {SERVED}",)
        raise
    context.position = ended.position
    return model.GroupDropped(group, ended.partitions, ended.dead, ended.retrying)


async def _check_not_ours(group: str, context: Context, cursors: Cursors) -> None:
    """Refuse a group that ends in a way of its own."""
    if group in RESERVED:
        raise Conflict(RECORDED, group=group)
    if group.startswith(RESERVED_PREFIX):
        if group not in await cursors.groups(context.workspace):
            raise await _unknown(group, context, cursors)
        line = f"claudebench webhook remove {group.partition('.')[2]}"
        raise Conflict(f"a webhook reads as this group; it ends by {line}", group=group)


@handler("event.group.acknowledge", pattern=A, consistency=LINEARIZABLE, operator=True)
async def acknowledge(request: model.OneGroup, context: Context, cursors: Cursors) -> model.GapsAcknowledged:
    """End the gaps of a group, whose cursors then stand behind them: somebody made up for them, or does without."""
    group = request.group
    if group in RESERVED:
        raise Conflict(REBUILT, group=group)
    try:
        ended = await cursors.acknowledge(context.origin(), group)
    except NotFound:
        raise await _unknown(group, context, cursors) from None
    context.position = ended.position
    return model.GapsAcknowledged(group, ended.gaps)


async def _unknown(group: str, context: Context, cursors: Cursors) -> NotFound:
    """Return the refusal of a group that there is not, with the nearest that there is."""
    known = await cursors.groups(context.workspace)
    return NotFound(f"no group {group!r} reads this log", nearest=nearest(group, known))


COMMANDS = (drop, acknowledge)
TOLD = {
    "event.group.drop": Told(
        (
            Example(
                "a group whose app is gone",
                {"group": "notify"},
                {"group": "notify", "partitions": 16, "dead": 0, "retrying": 0},
            ),
        ),
        refuses=(NotFound, Conflict),
    ),
    "event.group.acknowledge": Told(
        (
            Example(
                "there was no gap",
                {"group": "webhook.wh-1"},
                {"group": "webhook.wh-1", "gaps": 0},
                given=(("webhook.add", {"url": "http://127.0.0.1:9/", "events": ["*"]}),),
            ),
        ),
        refuses=(NotFound,),
    ),
}
