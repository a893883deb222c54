"""What the events of this room carry."""

from __future__ import annotations

from claudebench.events.model import EventType, Payload
from claudebench.instances.model import Doc


class Registered(Payload):
    """An instance as it registered."""

    id: str
    incarnation: int
    doc: Doc


class Online(Payload):
    """An instance that is back."""

    id: str
    incarnation: int


class Offline(Payload):
    """An instance that is taken for dead; `returned` are its tasks, as many as one sweep took back."""

    id: str
    returned: list[str]


class Unregistered(Payload):
    """An instance that left."""

    id: str


EVENTS = (
    EventType("instance.registered", "an instance is there, with these roles and this capacity", Registered),
    EventType("instance.online", "an instance that was OFFLINE was heard of again, as a new incarnation", Online),
    EventType("instance.offline", "an instance was silent for its deadAfterMs; what it held is free", Offline),
    EventType("instance.unregistered", "an instance left; what it held is free", Unregistered),
)
