"""Events keep coming while the way in which they are delivered is switched, and while whoever switches is killed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from tests.conformance.crew import Crew
from tests.conformance.notifier import Kills
from tests.conformance.switching import STEPS, rounds

from claudebench.patterns.label import Pattern

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
