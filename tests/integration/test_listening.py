"""The subscribers of a process: woken by its tailer, joined where workspaces appear, ended in order."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.integration.serving import Process

from claudebench.events import hybrid as hybrid_module
from claudebench.events.subscriber import Delivery, Subscription
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claudebench.events.model import Event

NEVER_S = 3600.0
_numbers = itertools.count(1)


class Hearing(Process):
    """A process that notes what its one subscriber is told."""

    def __init__(self, socket: str) -> None:
        """Take where the store listens."""
        self.told: list[tuple[str, str]] = []
        super().__init__(socket, "here", [Subscription("g", ("x.test.*",), self.hear)])

    async def hear(self, event: Event, delivery: Delivery) -> None:
        """Note an event."""
        self.told.append((delivery.workspace, event.subject))


@pytest.fixture
async def process(store_socket: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hearing]:
    """A process whose groups never look by themselves."""
    monkeypatch.setattr(hybrid_module, "POLL_S", NEVER_S)
    made = Hearing(store_socket)
    await made.begin()
    yield made
    await made.end()


async def test_what_is_written_wakes_the_groups(process: Hearing) -> None:
    """A group that has read everything is told of the next event by the tailer, in each workspace that is known."""
    one, two = f"l{next(_numbers)}", f"l{next(_numbers)}"
    process.known.append(one)
    await process.say(one, "first")
    await eventually(lambda: (one, "first") in process.told)
    process.known.append(two)
    await process.say(two, "first")
    await eventually(lambda: (two, "first") in process.told)
    group = process.group(one, "g")
    await eventually(lambda: all(each.is_idle for each in group.held.values()))
    for subject in ("one", "two", "three"):
        await process.say(one, subject)
        await eventually(partial(process.told.__contains__, (one, subject)))


async def test_a_process_that_ends_lets_everything_go(process: Hearing) -> None:
    """When the subscribers end, nothing is held any more, and what was handled is known."""
    workspace = f"l{next(_numbers)}"
    process.known.append(workspace)
    await process.say(workspace, "one")
    await eventually(lambda: process.told)
    await process.leave()

    lags = await process.cursors.lag(workspace, "g")
    assert {each.holder for each in lags} == {""}
    assert len({each.position for each in lags}) > 1, "the event counts as handled in its partition"
