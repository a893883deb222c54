"""The patterns: which strategy is in force at each seam, and switching it; the shares of the commands."""

from __future__ import annotations

import asyncio
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from claudebench.errors import NotFound, Stale, nearest
from claudebench.events.log import EventLog
from claudebench.events.model import EventType, Payload
from claudebench.events.position import number
from claudebench.patterns.label import Consistency, Pattern
from claudebench.patterns.migration import Migration
from claudebench.patterns.seam import Seams
from claudebench.rpc.command import handler
from claudebench.rpc.context import Context
from claudebench.rpc.examples import Example, Told
from claudebench.rpc.openrpc import Api
from claudebench.system import model
from claudebench.telemetry.time import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from claudebench.events.model import Event
    from claudebench.patterns.seam import Member, View

A = Pattern.CENTRALIZED
LINEARIZABLE, ORDERED, DERIVED, AGREED = (
    Consistency.LINEARIZABLE,
    Consistency.ORDERED,
    Consistency.DERIVED,
    Consistency.AGREED,
)
KIND = "pattern.switch."
LETTERS = {Pattern.CENTRALIZED: "A", Pattern.DISTRIBUTED: "B", Pattern.HYBRID: "C"}
CLAIMED: Mapping[str, tuple[float, str]] = {
    Pattern.CENTRALIZED: (0.52, ""),
    Pattern.DISTRIBUTED: (0.19, ""),
    Pattern.HYBRID: (0.29, ""),
    Consistency.LINEARIZABLE: (0.60, "strong"),
    Consistency.DERIVED: (0.25, "eventual"),
    Consistency.AGREED: (0.15, "consensus"),
}
"""The assessment's shares, of components or operations, and what it called them."""


class Switch(Payload):
    """A switch at a seam, from one strategy to another; `epoch` is that from then on, `reason` why it is not to be."""

    seam: str
    from_: str = msgspec.field(name="from")
    to: str
    epoch: int
    reason: str | msgspec.UnsetType = UNSET


EVENTS = (
    EventType("pattern.switch.started", "a switch has begun: the members of the seam end what runs", Switch),
    EventType("pattern.switch.switched", "every member has stopped; the target is in force, and is started", Switch),
    EventType("pattern.switch.completed", "every member runs the target, and has seen that it works", Switch),
    EventType("pattern.switch.undoing", "the target failed at a member, or took too long: it is stopped", Switch),
    EventType("pattern.switch.rolled_back", "the former strategy is in force as before", Switch),
)
_switch = msgspec.json.Decoder(Switch)


@handler("pattern.show", pattern=A, consistency=LINEARIZABLE, changes=False)
async def show(request: model.PatternShow, context: Context, seams: Seams) -> model.SeamViews:
    """Tell which strategy is in force at each seam, how far a switch is, and what each server process does."""
    names = [_known(request.seam, seams)] if request.seam else list(seams.defaults)
    views = await asyncio.gather(*(seams.show(context.workspace, name) for name in names))
    return model.SeamViews([_shown(*each) for each in zip(names, views, strict=True)])


def _known(seam: str, seams: Seams) -> str:
    if seam not in seams.defaults:
        raise NotFound(
            f"there is no seam {seam!r}, only {', '.join(seams.defaults)}", nearest=nearest(seam, seams.defaults)
        )
    return seam


def _shown(seam: str, view: View) -> model.SeamView:
    word = view.word
    return model.SeamView(
        seam=seam,
        strategy=word.strategy,
        epoch=word.epoch,
        phase=word.phase,
        members=[_member(each) for each in view.members],
        target=word.target or UNSET,
        former=word.former or UNSET,
        reason=word.reason or UNSET,
        since=iso(word.since_ms) if word.since_ms else UNSET,
        leader=view.leader if view.leader and view.leader_left_ms else UNSET,
    )


def _member(member: Member) -> model.SeamMember:
    place = member.place
    return model.SeamMember(member.process, place.state, place.epoch, iso(member.until_ms), error=place.error or UNSET)


@handler("pattern.switch", pattern=A, consistency=AGREED, operator=True)
async def switch(request: model.PatternSwitch, context: Context, seams: Seams, migration: Migration) -> model.Switched:
    """Put another strategy in force, live: what runs is drained, the target verified, and rolled back if it fails."""
    began_s = monotonic()
    origin, within_s = context.origin(), request.timeout_ms / 1000
    ended = await migration.switch(origin, _known(request.seam, seams), request.to, within_s)
    context.position = ended.position
    return model.Switched(
        seam=ended.seam,
        from_=ended.former,
        to=ended.target,
        outcome="completed" if ended.is_completed else "rolled_back",
        took_ms=round((monotonic() - began_s) * 1000),
        reason=UNSET if ended.is_completed else ended.reason,
    )


@handler("pattern.history", pattern=A, consistency=ORDERED, changes=False)
async def history(request: model.PatternHistory, context: Context, seams: Seams, log: EventLog) -> model.SwitchSteps:
    """Return the steps of all switches that the log knows, behind a position, the oldest first."""
    subject = _known(request.seam, seams) if request.seam else ""
    page = await log.page(context.workspace, request.after, request.limit, [f"{KIND}*"], subject)
    answer = model.SwitchSteps([_step(each) for each in page.events], page.more, page.next)
    if number(request.after) < number(page.trimmed):
        answer.trimmed = page.trimmed
    return answer


def _step(event: Event) -> model.SwitchStep:
    told = _switch.decode(event.payload)
    return model.SwitchStep(
        id=event.id,
        time=event.time,
        seam=told.seam,
        step=event.type.removeprefix(KIND),
        from_=told.from_,
        to=told.to,
        epoch=told.epoch,
        reason=told.reason,
        actor=event.actor or UNSET,
        role=event.role or UNSET,
    )


@handler("pattern.shares", pattern=A, consistency=DERIVED, changes=False)
async def shares(request: model.Ask, api: Api) -> model.Shares:  # noqa: ARG001 - it asks nothing
    """Count the commands of this server by pattern and by consistency, beside the shares that the assessment names."""
    commands = [bound.command for bound in api.registry.all()]
    return model.Shares(
        _shares(Pattern, [each.pattern for each in commands]),
        _shares(Consistency, [each.consistency for each in commands]),
    )


def _shares(labels: Iterable[Pattern | Consistency], found: list[Pattern] | list[Consistency]) -> list[model.Share]:
    counts = Counter[str](found)
    return [_share(label, counts[label], len(found)) for label in labels]


def _share(label: Pattern | Consistency, count: int, total: int) -> model.Share:
    share = model.Share(label, count, round(count / total, 4))
    if isinstance(label, Pattern):
        share.letter = LETTERS[label]
    if label in CLAIMED:
        share.claimed, named = CLAIMED[label]
        share.claimed_as = named or UNSET
    return share


COMMANDS = (show, switch, history, shares)
_SEAM = {"seam": "events", "strategy": "hybrid", "epoch": 0, "phase": "steady", "members": []}
_SWITCH = {"seam": "events", "to": "centralized"}
_SWITCHED = {"seam": "events", "from": "hybrid", "to": "centralized", "outcome": "completed", "tookMs": 412}
_STEP = {
    "id": "1772355600000-0",
    "time": "2026-03-01T09:00:00.000Z",
    "seam": "events",
    "step": "started",
    "from": "hybrid",
    "to": "centralized",
    "epoch": 1,
    "role": "operator",
}
TOLD = {
    "pattern.show": Told((Example("nobody has ever switched", {}, {"seams": [_SEAM]}),), refuses=(NotFound,)),
    "pattern.switch": Told((Example("from hybrid to centralised", _SWITCH, _SWITCHED),), refuses=(NotFound, Stale)),
    "pattern.history": Told(
        (Example("nothing was switched", {}, {"steps": [], "hasMore": False, "nextAfter": ""}),), refuses=(NotFound,)
    ),
    "pattern.shares": Told(
        (
            Example(
                "how many commands are of which pattern, and what a reader may expect of them",
                {},
                {
                    "patterns": [
                        {"label": "centralized", "commands": 39, "share": 0.907, "letter": "A", "claimed": 0.52},
                        {"label": "distributed", "commands": 1, "share": 0.0233, "letter": "B", "claimed": 0.19},
                        {"label": "hybrid", "commands": 2, "share": 0.0465, "letter": "C", "claimed": 0.29},
                    ],
                    "consistency": [
                        {
                            "label": "linearizable",
                            "commands": 23,
                            "share": 0.5349,
                            "claimed": 0.6,
                            "claimedAs": "strong",
                        },
                        {"label": "ordered", "commands": 7, "share": 0.1628},
                        {"label": "derived", "commands": 12, "share": 0.2791, "claimed": 0.25, "claimedAs": "eventual"},
                        {"label": "agreed", "commands": 1, "share": 0.0233, "claimed": 0.15, "claimedAs": "consensus"},
                    ],
                },
            ),
        )
    ),
}
