"""What the three ways to deliver events promise: the table of the docs, and what the suite asks of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from claudebench.patterns.label import Pattern

CENTRALIZED, DISTRIBUTED, HYBRID = Pattern.CENTRALIZED, Pattern.DISTRIBUTED, Pattern.HYBRID
ALL: Final = frozenset(Pattern)


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise, and which ways keep it; of the others the suite shows that they do not."""

    name: str
    sentence: str
    kept_by: frozenset[Pattern] = ALL


PROMISES: Final = {
    promise.name: promise
    for promise in (
        Promise("no-invention", "Nothing is delivered that was not written."),
        Promise("isolation", "Nothing is delivered across workspaces."),
        Promise("partition-order", "Events of one partition are handled in the order in which they were written."),
        Promise("one-of-a-group", "Of the processes that serve a group one handles an event, not each."),
        Promise("clean-handover", "A process that ends in order, and one that joins, cost no event and double none."),
        Promise("dead-letters", "What a handler fails at for good is a dead letter, and the next event goes on."),
        Promise("back-pressure", "A subscriber that hangs slows no writer and no other subscriber."),
        Promise("bounded-memory", "What waits for a subscriber that hangs is bounded in each process."),
        Promise("effect-once", "An effect that is written with the mark happens at most once."),
        Promise("fenced", "Who was taken for dead, and wakes, can mark and commit nothing any more."),
        Promise("at-least-once", "Every event is handled, whoever is killed meanwhile.", ALL - {DISTRIBUTED}),
        Promise(
            "at-most-once", "No handler sees an event twice, whoever is killed meanwhile.", frozenset({DISTRIBUTED})
        ),
        Promise("retries", "A handler that fails is tried again.", ALL - {DISTRIBUTED}),
        Promise("catches-up", "What was written while no process was there is delivered.", ALL - {DISTRIBUTED}),
        Promise("log-order", "A group sees all events in the order of the whole log.", frozenset({CENTRALIZED})),
        Promise(
            "no-single-reader",
            "When a process is killed, the others go on with theirs without a pause.",
            ALL - {CENTRALIZED},
        ),
    )
}


def table(observed: dict[tuple[str, Pattern], bool]) -> str:
    """Return the table as Markdown, from what a run of the suite has observed.

    Raises:
        KeyError: a promise was not tried with one of the ways.
    """
    head = "| Promise | A centralised | B distributed | C hybrid |\n|---|---|---|---|\n"
    rows = (
        f"| {promise.sentence} | {' | '.join('yes' if observed[name, way] else 'no' for way in Pattern)} |"
        for name, promise in PROMISES.items()
    )
    return head + "\n".join(rows) + "\n"
