"""Dead letters: the events that a group gave up on, kept with what went wrong until the operator has decided.

    dead      tries used up -> a letter, the event `event.dead` and the processed mark, in one script
    retry     a letter -> the queue of its partition; whoever holds that delivers the event once more
    drop      a letter -> gone

A retry is in the store until it is handled, or dead again: it survives any process, and each is delivered under a mark
of its own (`id!seq`), so that an effect that is written with the mark happens once for each retry. At most 10,000
letters of a group are kept, the oldest go first, and as many retries wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from claudebench.events.model import Event, EventType, Payload
from claudebench.store.origin import Origin
from claudebench.store.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.events.cursor import Mark
    from claudebench.store.connection import Connection

WRITE = Script(__package__, "dead_write")
LIST = Script(__package__, "dead_list")
RETRY = Script(__package__, "dead_retry")
DROP = Script(__package__, "dead_drop")
NEXT = Script(__package__, "dead_next")
COUNTS = Script(__package__, "dead_counts")
SCRIPTS = (WRITE, LIST, RETRY, DROP, NEXT, COUNTS)

RETRIED = "event.dead_retried"
DEAD = frozenset({"event.dead", "event.dead_dropped"})
RETRY_SIGN = "!"
_encode = msgspec.json.Encoder().encode


class Dead(Payload):
    """What became a dead letter: the event `id` of a type, for which group, after how many tries, by which error."""

    group: str
    id: str
    type: str
    error: str
    tries: int


class Letters(Payload):
    """How many dead letters of a group, for which reason: the operator's word, or `full`; `id` where it is one."""

    group: str
    count: int
    reason: str
    id: str | msgspec.UnsetType = msgspec.UNSET


EVENTS = (
    EventType("event.dead", "a subscriber gave up on an event, which is a dead letter now", Dead),
    EventType("event.dead_retried", "dead letters are delivered once more", Letters),
    EventType(
        "event.dead_dropped", "dead letters were dropped, by the operator or because there were too many", Letters
    ),
)


class Letter(msgspec.Struct, rename="camel", kw_only=True):
    """An event that a group gave up on."""

    event: Event
    error: str
    tries: int


_letter = msgspec.json.Decoder(Letter)


class Kept(NamedTuple):
    """A dead letter as it lies in the store: since when, in ms, and of which partition."""

    at_ms: int
    partition: int
    letter: Letter


class LetterPage(NamedTuple):
    """A page of dead letters, and whether more follow."""

    kept: list[Kept]
    more: bool


class Moved(NamedTuple):
    """What a step did: the position of its event, how many letters, up to which time, how many are left up to there."""

    position: str
    moved: int
    upto_ms: int
    left: int


class Counts(NamedTuple):
    """How many dead letters a group has, how many retries wait, how many letters were dropped for want of room."""

    dead: int = 0
    retrying: int = 0
    dropped: int = 0


class Again(NamedTuple):
    """An event that is to be delivered once more, and the position under which it is marked."""

    event: Event
    position: str


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters of every workspace; `given_ms` injects time into a test store ('' in production)."""

    connection: Connection
    given_ms: Callable[[], str] = str

    async def write(self, workspace: str, group: str, mark: Mark | None, letter: Letter, partition: int) -> bool:
        """Keep a letter, tell of it and mark the event as processed; False when it was processed already.

        Raises:
            Stale: the partition changed hands.
        """
        event = letter.event
        told = Dead(group=group, id=event.id, type=event.type, error=letter.error, tries=letter.tries)
        payload = b"" if event.type in DEAD else _encode(told)
        marked = mark.arguments if mark else (group, partition, "", 0, "")
        origin = Origin(workspace, given_ms=self.given_ms())
        _, is_new = await self.connection.change(WRITE, origin, *marked, event.id, _encode(letter), payload)
        return bool(is_new)

    async def page(self, workspace: str, group: str, behind: tuple[int, str], limit: int) -> LetterPage:
        """Return dead letters, those first that died first, behind (ms, id); (0, '') begins."""
        more, *rows = await self.connection.run(LIST, workspace, group, *behind, limit)
        kept = [_kept(at, text) for at, text in zip(rows[1::3], rows[2::3], strict=True)]
        return LetterPage(kept, bool(more))

    async def retry(self, origin: Origin, group: str, id_: str = "", upto_ms: int = 0) -> Moved:
        """Let a letter, or without an id a step of those that died up to a time (0: now), be delivered once more.

        Raises:
            NotFound: the event is no dead letter of the group.
            LimitReached: too many retries wait.
        """
        return _moved(await self.connection.change(RETRY, origin, group, id_, upto_ms or ""))

    async def drop(self, origin: Origin, group: str, id_: str = "", upto_ms: int = 0) -> Moved:
        """Forget a letter, or without an id a step of those that died up to a time (0: now).

        Raises:
            NotFound: the event is no dead letter of the group.
        """
        return _moved(await self.connection.change(DROP, origin, group, id_, upto_ms or ""))

    async def next(self, workspace: str, group: str, partition: int) -> Again | None:
        """Return what a partition is to be delivered once more, the first of it."""
        found = await self.connection.run(NEXT, workspace, group, partition)
        return Again(_kept(b"0", found[1]).letter.event, found[0].decode()) if found else None

    async def counts(self, workspace: str, group: str) -> Counts:
        """Return how many there are."""
        return Counts(*await self.connection.run(COUNTS, workspace, group))


def _kept(at: bytes, text: bytes) -> Kept:
    partition, _, letter = text.partition(b" ")
    return Kept(int(at), int(partition), _letter.decode(letter))


def _moved(told: tuple[bytes, int, int, int]) -> Moved:
    position, moved, upto_ms, left = told
    return Moved(position.decode(), moved, upto_ms, left)
