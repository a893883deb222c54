"""What an event is, and the catalogue of those that exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from claudebench.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

OWN_PREFIX = "x."
Position = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{1,16}-[0-9]{1,16})?$(?!\n)",
        description="a position of the log, such as 1700000000000-0, or empty",
    ),
]


class Event(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A fact: what happened to which subject, told by whom, when. `id` is its position in the log.

    Facts of one `partition_key`, or without one of one subject, keep their order for whoever handles them.
    """

    id: str
    type: str
    subject: str
    payload: msgspec.Raw
    time: str
    actor: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    traceparent: str = ""
    session_id: str = ""
    partition_key: str = ""
    role: str = ""

    @property
    def data(self) -> Any:
        """What it carries, as Python values."""
        return msgspec.json.decode(self.payload)


class Trace(msgspec.Struct, rename="camel", omit_defaults=True):
    """What an event carries of the request that made it; `role` is `operator` or ''."""

    correlation_id: str = ""
    causation_id: str = ""
    traceparent: str = ""
    session_id: str = ""
    role: str = ""


class Payload(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What events of one type carry, and nothing else."""


@dataclass(frozen=True, slots=True)
class EventType:
    """One entry of the catalogue; an app may leave open what its events carry."""

    name: str
    meaning: str
    payload: type[msgspec.Struct] | None = None


class Catalogue:
    """Every type that a script or a handler may emit; own handlers add theirs under `x.`."""

    def __init__(self, types: Iterable[EventType]) -> None:
        """Take the rooms' types."""
        self.types = {each.name: each for each in types}

    def admits(self, name: str) -> bool:
        """Tell whether an event of this type may be written."""
        return name in self.types or name.startswith(OWN_PREFIX)

    def knows(self, pattern: str) -> bool:
        """Tell whether events can match a pattern; of `x.` anybody may emit whatever it be."""
        prefix = pattern.removesuffix("*")
        if pattern.startswith(OWN_PREFIX) or pattern in self.types:
            return True
        return pattern != prefix and any(each.startswith(prefix) for each in self.types)

    def nearest(self, pattern: str) -> str | None:
        """Return the type, or the kind such as `task.*`, that is most like a pattern."""
        return nearest(pattern, {*self.types, *(f"{name.partition('.')[0]}.*" for name in self.types)})

    def check(self, name: str, payload: bytes) -> None:
        """Tell whether an event is one of the catalogue and carries what its type says.

        Raises:
            ValueError: it is not, or does not.
        """
        if not self.admits(name):
            raise ValueError(f"no event type {name!r} is declared")
        type_ = self.types[name].payload if name in self.types else None
        msgspec.json.decode(payload, type=type_ or Any)


class Gap(Payload):
    """What a group lost: what lay behind `from`, up to `to`."""

    group: str
    partition: int
    from_: str = msgspec.field(name="from")
    to: str


class GroupDropped(Payload):
    """What went with a group: its partitions, its dead letters, and those that were to be delivered once more."""

    group: str
    partitions: int
    dead: int
    retrying: int


class GapAcknowledged(Payload):
    """In how many partitions of a group a gap was ended."""

    group: str
    gaps: int


EVENTS = (
    EventType("cursor.gap", "events went from the log before a group had read them", Gap),
    EventType("event.group_dropped", "the operator ended a group of readers that nobody served", GroupDropped),
    EventType("event.gap_acknowledged", "somebody made up for the gaps of a group, or does without", GapAcknowledged),
)
