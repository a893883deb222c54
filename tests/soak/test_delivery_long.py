"""Ten rounds of switches under load with the leader killed at each step, and twenty kills of the notifier."""

from __future__ import annotations

import itertools
from statistics import quantiles
from typing import TYPE_CHECKING

import pytest
from tests.conformance.crew import Crew
from tests.conformance.notifier import Kills
from tests.conformance.switching import STEPS, rounds
from tests.scripts.store import private_store

from claudebench.patterns.label import Pattern

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.soak
ROUNDS, KILLS = 10, 20
_numbers = itertools.count(1)


@pytest.fixture
async def crew(request: pytest.FixtureRequest) -> AsyncIterator[Crew]:
    """Nobody yet, in a workspace where events are delivered in the way that is asked for."""
    with private_store() as socket:
        made = Crew(socket, f"long{next(_numbers)}", request.param)
        await made.prepare()
        yield made
        await made.end()


@pytest.mark.parametrize("crew", [Pattern.HYBRID], indirect=True)
async def test_ten_rounds_of_switches(crew: Crew) -> None:
    """Each of thirty switches is led by a process that is killed at a step: nothing is lost, doubled or half done."""
    for name in ("one", "two", "three"):
        await crew.spawn(name)
    ended = await rounds(crew, ROUNDS)
    assert sum(ended.values()) == 3 * ROUNDS
    assert all(is_completed == (step != STEPS[0]) for step, is_completed in ended)
    print(f"\nhow each kill ended (step, completed by another): {dict(ended)}")  # noqa: T201 - what was seen


@pytest.mark.parametrize("crew", [Pattern.CENTRALIZED], indirect=True)
async def test_twenty_kills_of_the_notifier(crew: Crew) -> None:
    """Each event has its effect once and in the order of the log; how long nobody was told of anything is printed."""
    kills = Kills(crew)
    await kills.run(KILLS)
    assert len(kills.took_s) == KILLS
    cuts = quantiles(kills.took_s, n=100, method="inclusive")
    print(f"\ntakeover: p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s, longest {max(kills.took_s):.2f} s")  # noqa: T201 - what was seen
