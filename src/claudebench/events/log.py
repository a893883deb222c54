"""The log as handlers see it: append a fact, read the newest, ask how far it has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from claudebench.events.model import Catalogue, Event, Trace
from claudebench.events.position import BEGINNING, number
from claudebench.store.script import Script
from claudebench.telemetry.time import iso

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from claudebench.store.connection import Connection
    from claudebench.store.origin import Origin

APPEND = Script(__package__, "append")
APPEND_ONCE = Script(__package__, "append_once")
PAGE = Script(__package__, "page")
POSITION = Script(__package__, "position")
RECENT = Script(__package__, "recent")
SEEN = Script(__package__, "seen")
SPAN = Script(__package__, "span")
SCRIPTS = (APPEND, APPEND_ONCE, PAGE, POSITION, RECENT, SEEN, SPAN)

RECENT_MAX = 1000
_trace = msgspec.json.Decoder(Trace)


class Span(NamedTuple):
    """How far a log reaches: the highest id that was ever cut from it, and the last that was written, each '' for none.

    What stood behind a position that is lower than `trimmed` is gone in part or whole.
    """

    trimmed: str
    last: str


class Seen(NamedTuple):
    """What became of the log since somebody was at a position: its span, and the newest event up to there or ''."""

    trimmed: str
    last: str
    newest: str

    def lacks(self, position: str) -> bool:
        """Whether the event at a position is gone though the log was never cut so far: the store lost it."""
        place = number(position)
        return number(self.newest) != place and place > number(self.trimmed) and place != number(BEGINNING)


class Page(NamedTuple):
    """Events in their order, whether more may follow, behind what to ask for them, and the log's `Span.trimmed`."""

    events: list[Event]
    more: bool
    next: str
    trimmed: str


@dataclass(frozen=True, slots=True)
class EventLog:
    """The event log of every workspace."""

    connection: Connection
    catalogue: Catalogue

    def append(
        self, origin: Origin, type_: str, subject: str, payload: bytes, partition_key: str = ""
    ) -> asyncio.Future[Any]:
        """Send a fact to the log; the future holds `[position]`.

        Facts of one partition key, or without one of one subject, are told to each group in their order.

        Raises:
            ValueError: the type is in no catalogue.
        """
        if not self.catalogue.admits(type_):
            raise ValueError(f"no event type {type_!r} is declared")
        return self.connection.change(APPEND, origin, type_, subject, payload, partition_key)

    def append_once(  # noqa: PLR0917 - a fact, and how it is sent
        self,
        origin: Origin,
        type_: str,
        subject: str,
        payload: bytes,
        sending: tuple[str, int],
        earlier: tuple[str, int],
    ) -> asyncio.Future[Any]:
        """Send a fact under the number of a writer, unless an earlier sending of it was written; holds `[position]`.

        Raises:
            ValueError: the type is in no catalogue.
        """
        if not self.catalogue.admits(type_):
            raise ValueError(f"no event type {type_!r} is declared")
        self.connection.on_change(origin.workspace)
        arguments = (*origin.head, type_, subject, payload, *sending, *earlier)
        return self.connection.run(APPEND_ONCE, origin.workspace, *arguments)

    async def page(self, workspace: str, after: str, limit: int, types: Iterable[str] = (), subject: str = "") -> Page:
        """Return the events behind a position ('' for the oldest), in their order.

        At most 1,000, and fewer when they would be more than 1 MiB. `types` (`task.created`, `task.*`) and `subject`
        choose among them; then a page may be short, or empty, though more follow.
        """
        bounds = (after, min(limit, RECENT_MAX))
        more, trimmed, last, entries = await self.connection.run(PAGE, workspace, *bounds, subject, *types)
        events = [event_of(position.decode(), fields) for position, fields in entries]
        return Page(events, bool(more), last.decode(), trimmed.decode())

    async def span(self, workspace: str) -> Span:
        """Return from where to where the log reaches."""
        trimmed, last = await self.connection.run(SPAN, workspace)
        return Span(trimmed.decode(), last.decode())

    async def recent(self, workspace: str, limit: int) -> list[Event]:
        """Return the newest events, newest first, at most 1,000."""
        entries = await self.connection.run(RECENT, workspace, min(limit, RECENT_MAX))
        return [event_of(position.decode(), fields) for position, fields in entries]

    async def position(self, workspace: str) -> tuple[str, int]:
        """Return the last position ('' for an empty log) and how many events were ever written."""
        position, written = await self.connection.run(POSITION, workspace)
        return position.decode(), written

    async def seen(self, workspace: str, position: str) -> Seen:
        """Return what became of the log since a position ('' for its beginning)."""
        trimmed, last, newest = await self.connection.run(SEEN, workspace, position)
        return Seen(trimmed.decode(), last.decode(), newest.decode())


def event_of(position: str, fields: list[bytes]) -> Event:
    """Return the event that an entry of the stream holds."""
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    trace = _trace.decode(named[b"meta"]) if named[b"meta"] else Trace()
    return Event(
        id=position,
        type=named[b"type"].decode(),
        subject=named[b"subject"].decode(),
        actor=named[b"actor"].decode(),
        payload=msgspec.Raw(named[b"payload"]),
        time=iso(int(named[b"at"])),
        correlation_id=trace.correlation_id,
        causation_id=trace.causation_id,
        traceparent=trace.traceparent,
        session_id=trace.session_id,
        partition_key=named.get(b"partitionKey", b"").decode(),
        role=trace.role,
    )
