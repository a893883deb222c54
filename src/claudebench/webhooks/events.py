"""What the events of this room carry: never a secret, and of a URL neither path nor query, which may hold one."""

from __future__ import annotations

from claudebench.events.model import EventType, Payload


class Added(Payload):
    """A webhook as it was added; `to` is the origin of its URL."""

    id: str
    to: str
    events: list[str]


class Rotated(Payload):
    """A webhook that has a new secret; until then, in ms, the former one signs too."""

    id: str
    former_until_ms: int


class SwitchedOff(Payload):
    """A webhook to which nothing is sent any more."""

    id: str
    reason: str


class Removed(Payload):
    """A webhook that is gone."""

    id: str


EVENTS = (
    EventType("webhook.added", "events are sent to a URL from now on", Added),
    EventType("webhook.rotated", "a webhook signs with a new secret", Rotated),
    EventType("webhook.switched_off", "a receiver answered 410: nothing is sent to it any more", SwitchedOff),
    EventType("webhook.removed", "a webhook is gone, with its dead letters", Removed),
)
