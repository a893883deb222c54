"""A switch from one strategy to another, led to its end: by who began it, or by whoever finds that nobody leads.

    look at the word -> take the step that is due -> look again

Whoever leads does nothing without having looked: a step whose answer got lost is done or not, and the word says so.
Each step names the epoch it comes from, so that it cannot happen twice, and the term of its leader, so that one who
stood still is refused once another leads. A switch is given up when a member fails, or when members take too long.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from claudebench.errors import ClaudeBenchError, Conflict, Stale, TimedOut, Unavailable
from claudebench.patterns.seam import BEGIN, COMPLETE, FAULT_MAX, GIVE_UP, SWITCH, UNDO, Phase, State, role
from claudebench.store.origin import Origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from claudebench.patterns.seam import Member, Seams, View, Word
    from claudebench.store.lease import Held, Leases
    from claudebench.store.script import Script

NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a leader counts without a word of it, how often it looks, and what is too long."""

    lease_ms: int = 5_000
    tick_s: float = 0.1
    drain_max_s: float = 30.0
    verify_max_s: float = 20.0
    undo_max_s: float = 30.0
    away_max_s: float = 15.0
    take_max_s: float = 2.0


class Outcome(NamedTuple):
    """How a switch ended; `reason` is why it was rolled back, `position` that of the last event, if it is known."""

    seam: str
    former: str
    target: str
    is_completed: bool
    reason: str
    epoch: int
    position: str


@dataclass(slots=True)
class Lead:
    """A switch that is led from here: as whom, for whom, until when it may take before it is given up."""

    held: Held
    origin: Origin
    seam: str
    former: str = ""
    target: str = ""
    position: str = ""
    until_s: float = float("inf")
    renewed_s: float = field(default_factory=monotonic)

    def outcome(self, word: Word) -> Outcome:
        """Return how it ended, from a word that is steady."""
        is_completed = word.strategy == self.target
        return Outcome(self.seam, self.former, self.target, is_completed, word.reason, word.epoch, self.position)


@dataclass(frozen=True, slots=True)
class Migration:
    """The switches that this process leads."""

    seams: Seams
    leases: Leases
    owner: str
    bounds: Bounds = field(default_factory=Bounds)

    async def switch(self, origin: Origin, seam: str, target: str, within_s: float = 60.0) -> Outcome:
        """Begin a switch and lead it to its end; it is given up after `within_s`.

        Raises:
            Conflict: another switch is under way, the target is in force already, or this call began one before.
            Stale: another process leads this switch by now; it goes on.
            TimedOut: it was given up and takes too long to be undone; another process goes on with that.
            Unavailable: the store is away; the outcome tells whether the switch may have begun.
        """
        until_s = monotonic() + within_s
        held = await self._taken(origin.workspace, seam)
        async with self._leading(held, origin, seam) as lead:
            lead.until_s = until_s
            word = (await self._look(lead)).word
            lead.former, lead.target = word.strategy, target
            await self._begin(lead, word)
            return await self._to_the_end(lead)

    async def go_on(self, workspace: str, seam: str) -> Outcome | None:
        """Lead a switch to its end that nobody leads; None when there is none.

        Raises:
            Stale: another process leads it by now.
            Unavailable: the store is away.
        """
        view = await self.seams.show(workspace, seam)
        if view.word.phase is Phase.STEADY or view.leader_left_ms:
            return None
        held = await self._take(workspace, seam)
        if held is None:
            return None
        async with self._leading(held, Origin(workspace, given_ms=self.seams.given_ms()), seam) as lead:
            is_over = (await self._look(lead)).word.phase is Phase.STEADY
            return None if is_over else await self._to_the_end(lead)

    async def _taken(self, workspace: str, seam: str) -> Held:
        """Take the lead; whoever looks whether there is something to lead on has it for a moment only.

        Raises:
            Conflict: another leads a switch.
        """
        until_s = monotonic() + self.bounds.take_max_s
        while (held := await self._take(workspace, seam)) is None:
            word = (await self.seams.show(workspace, seam)).word
            if word.phase is not Phase.STEADY or monotonic() > until_s:
                told = f"a switch to {word.target} is under way" if word.target else "another begins a switch"
                raise Conflict(told, reason="leader", phase=word.phase)
            await asyncio.sleep(self.bounds.tick_s)
        return held

    async def _take(self, workspace: str, seam: str) -> Held | None:
        """Take the lead, under a name of its own for each time; None while another has it."""
        owner = f"{self.owner}-{secrets.token_hex(4)}"
        return await self.leases.take(workspace, role(seam), owner, self.bounds.lease_ms)

    @asynccontextmanager
    async def _leading(self, held: Held, origin: Origin, seam: str) -> AsyncIterator[Lead]:
        """Lead; let the next lead afterwards."""
        try:
            yield Lead(held, origin, seam)
        except Stale as error:
            told = "another process goes on with this switch"
            raise Stale(told, outcome="unknown", current=error.data.get("current")) from error
        finally:
            with suppress(ClaudeBenchError):
                await self.leases.release(held)

    async def _begin(self, lead: Lead, word: Word) -> None:
        """Begin, if this call did not begin before, under the idempotency key that it carries."""
        origin, lead.origin = lead.origin, replace(lead.origin, once=None)
        try:
            step = await self.seams.step(BEGIN, origin, lead.held, word, lead.target)
        except (Unavailable, TimedOut) as error:
            if error.outcome != "unknown" or (await self._look(lead)).word.epoch == word.epoch:
                raise
            return
        if step.epoch != word.epoch + 1:
            told = f"this switch was begun before, by the event {step.position}; its history tells how it ended"
            raise Conflict(told, outcome="done", reason="key", position=step.position)
        lead.position = step.position

    async def _to_the_end(self, lead: Lead) -> Outcome:
        while True:
            view = await self._look(lead)
            word = view.word
            if word.phase is Phase.STEADY:
                return lead.outcome(word)
            lead.former, lead.target = word.former, word.target
            step = self._due(lead, view)
            if step is None or not await self._step(lead, word, *step):
                await asyncio.sleep(self.bounds.tick_s)
            await self._hold_on(lead)

    async def _look(self, lead: Lead) -> View:
        """Return the word and the members, as soon as the store can be asked."""
        until_s = monotonic() + self.bounds.away_max_s
        while True:
            try:
                view = await self.seams.show(lead.origin.workspace, lead.seam)
            except (Unavailable, TimedOut) as error:
                if monotonic() > until_s:
                    error.outcome = "unknown"
                    raise
                await asyncio.sleep(self.bounds.tick_s)
            else:
                if (view.leader, view.term) != (lead.held.owner, lead.held.term):
                    raise Stale("another leads", current=view.term)
                return view

    def _due(self, lead: Lead, view: View) -> tuple[Script, str] | tuple[Script] | None:
        """Return the step that is to be taken now, if there is one."""
        word, is_late = view.word, monotonic() > lead.until_s
        lasts_s = (view.now_ms - word.since_ms) / 1000
        if word.phase is Phase.VERIFYING:
            if failed := view.failed:
                return GIVE_UP, f"{failed[0].process} failed: {failed[0].place.error}"[:FAULT_MAX]
            if not (waits := view.not_at(State.RUNNING)):
                return (COMPLETE,)
            too_long = is_late or lasts_s > self.bounds.verify_max_s
            return (GIVE_UP, f"it was not running in time at {_names(waits)}") if too_long else None
        if not (waits := view.not_at(State.STOPPED)):
            return (SWITCH if word.phase is Phase.DRAINING else UNDO,)
        if word.phase is Phase.DRAINING:
            too_long = is_late or lasts_s > self.bounds.drain_max_s
            return (GIVE_UP, f"it had not stopped in time at {_names(waits)}") if too_long else None
        if monotonic() > lead.until_s + self.bounds.undo_max_s:
            told = f"the switch is being undone, and has not stopped yet at {_names(waits)}"
            raise TimedOut(told, outcome="unknown", reason=word.reason)
        return None

    async def _step(self, lead: Lead, word: Word, script: Script, *further: str) -> bool:
        """Take a step; False when members changed meanwhile, or nobody knows."""
        try:
            step = await self.seams.step(script, lead.origin, lead.held, word, *further)
        except (Conflict, Unavailable, TimedOut):
            return False
        lead.position = step.position
        return True

    async def _hold_on(self, lead: Lead) -> None:
        """Renew the lease when a third of it is over."""
        if monotonic() < lead.renewed_s + self.bounds.lease_ms / 3000:
            return
        asked_s = monotonic()
        with suppress(Unavailable, TimedOut):
            if not await self.leases.renew(lead.held):
                raise Stale("another leads")
            lead.renewed_s = asked_s


def _names(members: Sequence[Member]) -> str:
    more = len(members) - NAMED_MAX
    return ", ".join(each.process for each in members[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
