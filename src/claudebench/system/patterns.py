"""The patterns: which strategy is in force at each seam, and switching it; the shares of the commands."""

from __future__ import annotations

import msgspec

from claudebench.events.model import EventType, Payload


class Switch(Payload):
    """A switch at a seam, from one strategy to another; `epoch` is that from then on, `reason` why it is not to be."""

    seam: str
    from_: str = msgspec.field(name="from")
    to: str
    epoch: int
    reason: str | msgspec.UnsetType = msgspec.UNSET


EVENTS = (
    EventType("pattern.switch.started", "a switch has begun: the members of the seam end what runs", Switch),
    EventType("pattern.switch.switched", "every member has stopped; the target is in force, and is started", Switch),
    EventType("pattern.switch.completed", "every member runs the target, and has seen that it works", Switch),
    EventType("pattern.switch.undoing", "the target failed at a member, or took too long: it is stopped", Switch),
    EventType("pattern.switch.rolled_back", "the former strategy is in force as before", Switch),
)
