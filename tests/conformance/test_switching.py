"""Events keep coming while the way in which they are delivered is switched, and while whoever switches is killed."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.conformance.crew import Crew
from tests.conformance.notifier import Kills
from tests.conformance.switching import STEPS, rounds
from tests.conformance.test_promises import Noted

from claudebench.patterns.label import Pattern
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

_numbers = itertools.count(1)


@pytest.fixture
async def crew(store_socket: str) -> AsyncIterator[Crew]:
    """Three real processes, and events delivered in the hybrid way."""
    made = Crew(store_socket, f"switch{next(_numbers)}", Pattern.HYBRID)
    await made.prepare()
    for name in ("one", "two", "three"):
        await made.spawn(name)
    yield made
    await made.end()


async def test_switches_whose_leader_is_killed(crew: Crew) -> None:
    """Two rounds under load, the leader killed at each step once: each event has its effect once, in order.

    A switch that had begun is completed by another process; one that had not is as if it had never been asked for.
    """
    ended = await rounds(crew, 2)
    assert ended == {(step, step != STEPS[0]): 1 for step in STEPS}


async def test_the_notifier_is_killed(store_socket: str) -> None:
    """Killed under load, the next one goes on: each event has its effect once, in the order of the whole log."""
    made = Crew(store_socket, f"notifier{next(_numbers)}", Pattern.CENTRALIZED)
    await made.prepare()
    try:
        await Kills(made).run(2)
    finally:
        await made.end()


async def test_servers_with_different_apps(store_socket: str) -> None:
    """A group that only one of two servers has is served, whoever of them came first, under every strategy."""
    for way in Pattern:
        made = Crew(store_socket, f"apps{next(_numbers)}", way)
        await made.prepare()
        notes = one, both, other = Noted(), Noted(), Noted()
        await made.join("one", one.subscription("g0"), both.subscription("g1"))
        await made.join("two", other.subscription("g2"), both.subscription("g1"))
        await made.say("s")
        await eventually(partial(were_told, notes))
        await made.end()


def were_told(notes: Sequence[Noted]) -> bool:
    """Tell whether each was told of one event."""
    return [len(each.told) for each in notes] == [1] * len(notes)
