"""The word of a seam in the store: which strategy is in force, how far a switch has come, where the members are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from claudebench.errors import NotFound, nearest
from claudebench.patterns.label import Pattern
from claudebench.store.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claudebench.store.connection import Connection
    from claudebench.store.lease import Held
    from claudebench.store.origin import Origin
    from claudebench.store.wire import Argument

BEGIN = Script(__package__, "seam_begin")
SWITCH = Script(__package__, "seam_switch")
COMPLETE = Script(__package__, "seam_complete")
GIVE_UP = Script(__package__, "seam_give_up")
UNDO = Script(__package__, "seam_undo")
FOLLOW = Script(__package__, "seam_follow")
LEAVE = Script(__package__, "seam_leave")
SHOW = Script(__package__, "seam_show")
SCRIPTS = (BEGIN, SWITCH, COMPLETE, GIVE_UP, UNDO, FOLLOW, LEAVE, SHOW)

SEAMS: Mapping[str, Pattern] = {"events": Pattern.HYBRID}
"""The seams there are, and the strategy that is in force before any switch."""
FAULT_MAX = 500
MEMBER_MAX_MS = 60_000
_MEMBER = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


class Strategy(Protocol):
    """One way of working at a seam, made for one epoch. After `stop` it is never started again."""

    async def start(self) -> None:
        """Begin to work."""

    async def verify(self) -> None:
        """Raise if it does not work."""

    async def drain(self) -> None:
        """Begin nothing new, end what has begun, hand over what is held; it may take until it is cancelled."""

    async def stop(self) -> None:
        """End at once and let go what is held; also in the middle of any other call, and after a stop that failed."""


class Phase(StrEnum):
    """How far a switch has come."""

    STEADY = "steady"
    DRAINING = "draining"
    VERIFYING = "verifying"
    UNDOING = "undoing"


class State(StrEnum):
    """What a member does at the epoch of its place."""

    STOPPED = "stopped"
    RUNNING = "running"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Word:
    """What the store says of a seam; `reason` is why the last switch was rolled back, or is being undone."""

    strategy: str
    epoch: int
    phase: Phase
    target: str
    former: str
    reason: str
    since_ms: int

    @property
    def is_to_run(self) -> bool:
        """Whether members are to run the strategy, or to have stopped."""
        return self.phase in {Phase.STEADY, Phase.VERIFYING}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member is."""

    epoch: int = 0
    state: State = State.STOPPED
    error: str = ""


class Member(NamedTuple):
    """A process that works at a seam, until when it counts, and where it is."""

    process: str
    until_ms: int
    place: Place


@dataclass(frozen=True, slots=True)
class View:
    """All there is to know of a seam at a time of the store's; `leader` is who leads a switch, or last led one."""

    now_ms: int
    leader: str
    term: int
    leader_left_ms: int
    word: Word
    members: list[Member]

    def not_at(self, state: State) -> list[Member]:
        """Return the members that have yet to note this state at the present epoch."""
        epoch = self.word.epoch
        return [each for each in self.members if (each.place.epoch, each.place.state) != (epoch, state)]

    @property
    def failed(self) -> list[Member]:
        """The members at which the strategy failed at the present epoch."""
        return [each for each in self.members if (each.place.epoch, each.place.state) == (self.word.epoch, "failed")]


class Step(NamedTuple):
    """What a step did: the position of its event, and the epoch from then on."""

    position: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Seams:
    """The seams of every workspace; `given_ms` injects time into a test store ('' in production)."""

    connection: Connection
    given_ms: Callable[[], str] = str
    defaults: Mapping[str, str] = field(default_factory=lambda: SEAMS)

    async def follow(self, workspace: str, seam: str, process: str, lease_ms: int, place: Place) -> Word:
        """Be a member for `lease_ms` from now, at this place, and read the word.

        Raises:
            LimitReached: there are 1,000 members.
            ValueError: the process or its lease is out of bounds.
        """
        if not _MEMBER.match(process) or not 0 < lease_ms <= MEMBER_MAX_MS:
            raise ValueError(f"no member is {process[:80]!r} for {lease_ms} ms")
        told = (place.epoch, place.state, place.error[:FAULT_MAX])
        default = self._default(seam)
        run = self.connection.run
        return _word(await run(FOLLOW, workspace, self.given_ms(), seam, default, process, lease_ms, *told))

    async def leave(self, workspace: str, seam: str, process: str) -> None:
        """Be a member no more."""
        await self.connection.run(LEAVE, workspace, seam, process)

    async def show(self, workspace: str, seam: str) -> View:
        """Return the word, who leads, and where the members are."""
        told = await self.connection.run(SHOW, workspace, self.given_ms(), seam, self._default(seam))
        now_ms, leader, term, left_ms = told[:4]
        rows = (told[at : at + 3] for at in range(11, len(told), 3))
        members = [Member(process.decode(), until_ms, _place(place)) for process, until_ms, place in rows]
        return View(now_ms, leader.decode(), term, left_ms, _word(told[4:11]), members)

    async def step(self, script: Script, origin: Origin, held: Held, word: Word, *further: Argument) -> Step:
        """Take a step from where the word stands, as who leads.

        Raises:
            Stale: another leads.
            Conflict: the word stands elsewhere, a member is not there yet, or the target is in force.
        """
        seam = held.role.removeprefix(role(""))
        head = (seam, self._default(seam), held.owner, held.term, word.epoch)
        position, epoch = await self.connection.change(script, origin, *head, *further)
        return Step(position.decode(), epoch)

    def _default(self, seam: str) -> str:
        if seam not in self.defaults:
            raise NotFound(f"there is no seam {seam!r}", nearest=nearest(seam, self.defaults))
        return self.defaults[seam]


def role(seam: str) -> str:
    """Return the role of whoever leads a switch at a seam."""
    return f"switch:{seam}"


def _word(told: list[bytes | int]) -> Word:
    strategy, epoch, phase, target, former, reason, since_ms = (
        each.decode() if isinstance(each, bytes) else each for each in told
    )
    return Word(str(strategy), int(epoch), Phase(str(phase)), str(target), str(former), str(reason), int(since_ms))


def _place(told: bytes) -> Place:
    epoch, state, error = told.decode().split(" ", 2)
    return Place(int(epoch), State(state), error)
