"""Commands on the record: how it stands, is it what the store has, make it anew."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from claudebench.errors import InvalidParams
from claudebench.patterns.label import Consistency, Pattern
from claudebench.record.checking import Step
from claudebench.record.reading import Record, Standing
from claudebench.rpc.command import handler
from claudebench.rpc.context import Context
from claudebench.rpc.examples import Example, Told
from claudebench.system import model

A = Pattern.CENTRALIZED
At = Annotated[str, Meta(pattern=r"^([a-z_]{1,40}:[0-9-]{0,40})?$(?!\n)", description="the next of the step before")]


class Walk(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """record.verify and record.rebuild; '' is the first step."""

    at: At = ""


@handler("record.status", pattern=A, consistency=Consistency.DERIVED, changes=False)
async def status(request: model.Ask, context: Context, record: Record) -> Standing:  # noqa: ARG001 - it asks nothing
    """Return how far the record has come, who writes it, and what is wrong with it."""
    return await record.standing(context.workspace)


@handler("record.verify", pattern=A, consistency=Consistency.DERIVED, changes=False, operator=True)
async def verify(request: Walk, context: Context, record: Record) -> Step:
    """Compare one part of the store with the record; `next` of the answer asks for the next part."""
    return await record.checking.verify(context.workspace, _known(request.at, record))


@handler("record.rebuild", pattern=A, consistency=Consistency.DERIVED, changes=False, operator=True)
async def rebuild(request: Walk, context: Context, record: Record) -> Step:
    """Make one part of the record anew from the store; it is sound after the last, the one without `next`."""
    return await record.checking.rebuild(context.workspace, _known(request.at, record))


def _known(at: str, record: Record) -> str:
    if not record.checking.knows(at):
        raise InvalidParams(f"no step is called {at!r}", errors=[{"path": "at", "message": "not a step"}])
    return at


COMMANDS = (status, verify, rebuild)
_STEP = {"section": "hook_decisions", "share": 1.0, "checked": 0, "differences": []}
TOLD = {
    "record.status": Told(
        (
            Example(
                "all is recorded",
                {},
                {
                    "database": "record.db",
                    "position": "1772355600000-0",
                    "logEnd": "1772355600000-0",
                    "behindMs": 0,
                    "holder": "embedded",
                    "term": 1,
                    "refused": 0,
                },
            ),
        )
    ),
    "record.verify": Told((Example("the last step", {"at": "hook_decisions:"}, _STEP),)),
    "record.rebuild": Told((Example("the last step", {"at": "hook_decisions:"}, _STEP),)),
}
