"""Commands on the dead letters of subscribers: list them; deliver them once more, or drop them, as the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudebench.errors import InvalidParams, NotFound, nearest
from claudebench.events.cursor import Cursors
from claudebench.events.letters import DeadLetters, Moved
from claudebench.patterns.label import Consistency, Pattern
from claudebench.rpc.command import handler
from claudebench.rpc.context import Context
from claudebench.rpc.examples import Example, Told
from claudebench.system import model
from claudebench.telemetry.time import iso

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from claudebench.events.letters import Kept
    from claudebench.store.origin import Origin

A, LINEARIZABLE = Pattern.CENTRALIZED, Consistency.LINEARIZABLE
BYTES_MAX = 1_000_000


@handler("event.dead.list", pattern=A, consistency=LINEARIZABLE, changes=False)
async def list_(request: model.DeadList, context: Context, cursors: Cursors, letters: DeadLetters) -> model.DeadEvents:
    """Return the events that subscribers gave up on, group by group, those first that died first."""
    known = await _known(request.group, context, cursors)
    from_, at_ms, id_ = request.after.split(" ") if request.after else ("", "0", "")
    behind, found, bytes_ = (int(at_ms), id_), list[model.DeadEvent](), 0
    for group in sorted(each for each in known if each >= from_):
        page = await letters.page(
            context.workspace, group, behind if group == from_ else (0, ""), request.limit - len(found)
        )
        found += [_shown(group, each) for each in page.kept]
        bytes_ += sum(len(each.letter.event.payload) for each in page.kept)
        if page.more or len(found) >= request.limit or bytes_ > BYTES_MAX:
            return model.DeadEvents(found, has_more=True, next_after=_place(group, page.kept, request.after))
    return model.DeadEvents(found, has_more=False, next_after="")


async def _known(group: str, context: Context, cursors: Cursors) -> list[str]:
    """Return the groups to look at."""
    known = await cursors.groups(context.workspace)
    if group and group not in known:
        raise NotFound(f"no group {group!r} reads this log", nearest=nearest(group, known))
    return [group] if group else list(known)


def _shown(group: str, kept: Kept) -> model.DeadEvent:
    letter = kept.letter
    return model.DeadEvent(group, letter.event.id, iso(kept.at_ms), letter.error, letter.tries, letter.event)


def _place(group: str, kept: list[Kept], before: str) -> str:
    return f"{group} {kept[-1].at_ms} {kept[-1].letter.event.id}" if kept else before


@handler("event.dead.retry", pattern=A, consistency=LINEARIZABLE, operator=True)
async def retry(request: model.DeadMove, context: Context, letters: DeadLetters) -> model.DeadMoved:
    """Deliver dead letters once more to the group that gave up on them; what fails again is a dead letter again."""
    return await _move(request, context, letters.retry)


@handler("event.dead.drop", pattern=A, consistency=LINEARIZABLE, operator=True)
async def drop(request: model.DeadMove, context: Context, letters: DeadLetters) -> model.DeadMoved:
    """Forget dead letters; the events themselves stay in the log."""
    return await _move(request, context, letters.drop)


async def _move(
    request: model.DeadMove, context: Context, step: Callable[[Origin, str, str, int], Awaitable[Moved]]
) -> model.DeadMoved:
    """Move one letter, or all that are dead now, a step at a time."""
    if bool(request.id) == request.all:
        message = "name one event by its id, or say all"
        raise InvalidParams(message, errors=[{"path": "id", "message": message}])
    count, upto_ms = 0, 0
    while True:
        moved = await step(context.origin(), request.group, request.id, upto_ms)
        context.position = moved.position or context.position
        count, upto_ms = count + moved.moved, moved.upto_ms
        if request.id or not moved.left or not moved.moved:
            return model.DeadMoved(count)


COMMANDS = (list_, retry, drop)
TOLD = {
    "event.dead.list": Told(
        (Example("nothing is dead", {}, {"letters": [], "hasMore": False, "nextAfter": ""}),), refuses=(NotFound,)
    ),
    "event.dead.retry": Told(
        (Example("all, of which there are none", {"group": "notify", "all": True}, {"count": 0}),),
        refuses=(NotFound,),
    ),
    "event.dead.drop": Told(
        (Example("all, of which there are none", {"group": "notify", "all": True}, {"count": 0}),),
        refuses=(NotFound,),
    ),
}
