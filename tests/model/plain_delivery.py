"""Cursors, dead letters and a seam with its switches in plain Python: one process, no script."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from tests.model.plain_cursors import PlainCursors

from claudebench.events.position import number
from claudebench.patterns.seam import MEMBER_MAX_MS, Member, Phase, Place, State, Word

if TYPE_CHECKING:
    from claudebench.events.cursor import Mark

Said = Literal["unknown", "stale", "conflict"]
StepName = Literal["begin", "switch", "complete", "give_up", "undo"]
Fact = tuple[str, str]
LIVE: Final = "distributed"
WHOLE: Final = "centralized"
ENDING = (Phase.DRAINING, Phase.UNDOING)
NOT_RUN = Word("hybrid", 0, Phase.STEADY, "", "", "", 0)


@dataclass(slots=True)
class Lead:
    """The lease of who leads a switch."""

    owner: str = ""
    term: int = 0
    until_ms: int = 0
    lease_ms: int = 0


@dataclass(slots=True)
class Dead:
    """A dead letter: in which partition, since when."""

    partition: int
    at_ms: int


@dataclass(slots=True)
class PlainDelivery(PlainCursors):
    """One workspace. `facts` are the events that were told and have yet to be seen in the log, oldest first."""

    facts: list[Fact] = field(default_factory=list)
    letters: dict[str, dict[str, Dead]] = field(default_factory=dict)
    retries: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    word: Word = NOT_RUN
    members: dict[str, int] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    lead: Lead = field(default_factory=Lead)

    # -- cursors

    def is_outdated(self, epoch: int | None) -> bool:
        """Whether an epoch is over; while its strategy is ended, the one before counts."""
        return epoch is not None and epoch < self.word.epoch - (self.word.phase in ENDING)

    def process(self, mark: Mark) -> bool:
        """Mark an event, or a retry, as processed; return whether it was not."""
        if "!" not in mark.position:
            return PlainCursors.process(self, mark)
        queue = self.retries.get((mark.group, mark.partition), [])
        is_new = mark.position in queue
        if is_new:
            queue.remove(mark.position)
        return is_new

    def effect(self, mark: Mark) -> Said | int:
        """Have an effect beside the mark: 1, or 0 when it was had already."""
        if not self.holds(mark.group, mark.partition, mark.holder, mark.fence):
            return "stale"
        if not self.process(mark):
            return 0
        of = f"{mark.group} {mark.position}"
        self.counted[of] = self.counted.get(of, 0) + 1
        return 1

    # -- dead letters

    def die(self, mark: Mark, event: str) -> Said | bool:
        """Give up on an event; False when it was processed already."""
        if not self.holds(mark.group, mark.partition, mark.holder, mark.fence):
            return "stale"
        if not self.process(mark):
            return False
        self.letters.setdefault(mark.group, {})[event] = Dead(mark.partition, self.now_ms)
        self.facts.append(("event.dead", mark.group))
        return True

    def dead(self, group: str) -> list[tuple[int, int, str]]:
        """Return the letters of a group, those first that died first: when, partition, event."""
        kept = self.letters.get(group, {})
        return sorted(((each.at_ms, each.partition, event) for event, each in kept.items()), key=lambda row: row[::2])

    def retry(self, group: str, event: str) -> Said | tuple[int, int]:
        """Queue letters, each under a mark of its own; return how many, and how many are left."""
        gone = self._gone(group, event)
        if gone is None:
            return "unknown"
        for each in gone:
            self.seqs[group] = self.seqs.get(group, 0) + 1
            queue = self.retries.setdefault((group, self.letters[group][each].partition), [])
            queue.append(f"{each}!{self.seqs[group]}")
        return self._remove(group, gone, "event.dead_retried")

    def forget(self, group: str, event: str) -> Said | tuple[int, int]:
        """Forget letters; return how many, and how many are left."""
        gone = self._gone(group, event)
        return "unknown" if gone is None else self._remove(group, gone, "event.dead_dropped")

    def _gone(self, group: str, event: str) -> list[str] | None:
        """Return the letter that is meant, or without an id those that died up to now."""
        if event:
            return [event] if event in self.letters.get(group, {}) else None
        return [each for at_ms, _, each in self.dead(group) if at_ms <= self.now_ms]

    def _remove(self, group: str, gone: list[str], told: str) -> tuple[int, int]:
        for each in gone:
            del self.letters[group][each]
        self.facts += [(told, group)] * bool(gone)
        return len(gone), sum(at_ms <= self.now_ms for at_ms, _, _ in self.dead(group))

    def next(self, group: str, partition: int) -> str | None:
        """Return the first retry of a partition."""
        return next(iter(self.retries.get((group, partition), [])), None)

    def waiting(self, group: str) -> int:
        """Return how many retries of a group wait."""
        return sum(len(queue) for (name, _), queue in self.retries.items() if name == group)

    # -- the seam

    def follow(self, process: str, lease_ms: int, place: Place) -> Word:
        """Be a member."""
        self.expire()
        self.members[process], self.places[process] = self.now_ms + lease_ms, place
        return self.word

    def expire(self) -> None:
        """Forget whose membership is over."""
        longest_ms = self.now_ms + MEMBER_MAX_MS
        self.members = {who: min(until, longest_ms) for who, until in self.members.items() if until > self.now_ms}
        self.places = {who: kept for who, kept in self.places.items() if who in self.members}

    def leave_seam(self, process: str) -> None:
        """Be a member no more."""
        self.members.pop(process, None)
        self.places.pop(process, None)

    def live(self) -> list[Member]:
        """Return the members whose lease runs, those first that end first."""
        rows = sorted((until, who) for who, until in self.members.items() if until > self.now_ms)
        return [Member(who, until, self.places[who]) for until, who in rows]

    def take_lead(self, owner: str, lease_ms: int) -> int | None:
        """Lead, if nobody else does: the term."""
        lead = self.lead
        lead.until_ms = min(lead.until_ms, self.now_ms + lead.lease_ms)
        if lead.owner not in {"", owner} and lead.until_ms > self.now_ms:
            return None
        lead.term += lead.owner != owner
        lead.owner, lead.until_ms, lead.lease_ms = owner, self.now_ms + lease_ms, lease_ms
        return lead.term

    def leads(self, owner: str, term: int) -> bool:
        """Whether a leader leads at its term."""
        return (self.lead.owner, self.lead.term) == (owner, term)

    def release_lead(self, owner: str, term: int) -> None:
        """Lead no more."""
        if self.leads(owner, term):
            self.lead.owner, self.lead.until_ms = "", 0

    def step(self, name: StepName, owner: str, term: int, epoch: int, further: str = "") -> Said | int:
        """Take a step: the epoch from then on."""
        word = self.word
        if not self.leads(owner, term):
            return "stale"
        if epoch != word.epoch or (name, word.phase) not in STEPS:
            return "conflict"
        state, told, phase, rises = STEPS[name, word.phase]
        if further == word.strategy or (state and not self._all(state)):
            return "conflict"
        self.expire()
        self.facts.append((f"pattern.switch.{told}", "events"))
        changed = replace(word, epoch=word.epoch + rises, phase=phase, since_ms=self.now_ms)
        self.word = _changed(name, changed, further)
        return self.word.epoch

    def _all(self, state: State) -> bool:
        return all((each.place.epoch, each.place.state) == (self.word.epoch, state) for each in self.live())

    # -- what can be read

    def lag(self, group: str) -> list[tuple[object, ...]]:
        """Return where a group stands."""
        return [self._lag(group, p) for p in range(self.groups[group])]

    def _lag(self, group: str, partition: int) -> tuple[object, ...]:
        kept = self.cursors[group, partition]
        ahead = self.log[bisect_right(self.log, number(kept.position), key=number) :]
        behind_ms = max(0, self.now_ms - number(ahead[0])[0]) if ahead else 0
        left_ms = max(0, kept.until_ms - self.now_ms) if kept.holder else 0
        return (group, partition, kept.position, kept.holder, kept.fence, left_ms, len(ahead), behind_ms, "", True)


# Which step leads from which phase: what all live members must have noted, what is told, the next phase, the rise.
STEPS: Final[dict[tuple[StepName, Phase], tuple[State | None, str, Phase, int]]] = {
    ("begin", Phase.STEADY): (None, "started", Phase.DRAINING, 1),
    ("switch", Phase.DRAINING): (State.STOPPED, "switched", Phase.VERIFYING, 1),
    ("complete", Phase.VERIFYING): (State.RUNNING, "completed", Phase.STEADY, 0),
    ("give_up", Phase.DRAINING): (None, "rolled_back", Phase.STEADY, 1),
    ("give_up", Phase.VERIFYING): (None, "undoing", Phase.UNDOING, 1),
    ("undo", Phase.UNDOING): (State.STOPPED, "rolled_back", Phase.STEADY, 1),
}


def _changed(name: StepName, word: Word, further: str) -> Word:
    """Return the word with the strategies and the reason that a step leaves."""
    match name:
        case "begin":
            return replace(word, target=further, former=word.strategy, reason="")
        case "switch":
            return replace(word, strategy=word.target)
        case "give_up":
            word = replace(word, reason=further)
        case "undo":
            word = replace(word, strategy=word.former)
    return replace(word, target="", former="") if word.phase is Phase.STEADY else word
