"""The subscribers of a process: woken by its tailer, joined where workspaces appear, ended in order."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.integration.serving import Process

from claudebench.errors import Unavailable
from claudebench.events import bus as bus_module
from claudebench.events import listening as listening_module
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
        self.further: dict[str, list[Subscription] | Unavailable] = {}
        self.listening.further = self.ask

    async def ask(self, workspace: str) -> list[Subscription]:
        """Say what else there is in a workspace."""
        found = self.further.get(workspace, [])
        if isinstance(found, Unavailable):
            raise found
        return found

    async def hear(self, event: Event, delivery: Delivery) -> None:
        """Note an event."""
        self.told.append((delivery.workspace, event.subject))


@pytest.fixture
async def process(store_socket: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hearing]:
    """A process whose groups never look by themselves."""
    monkeypatch.setattr(bus_module, "POLL_S", NEVER_S)
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


class Further:
    """A subscription that is not there all the time, and what it was told."""

    def __init__(self, pattern: str = "x.test.*") -> None:
        """Take what it wants."""
        self.told: list[str] = []
        self.hangs = False
        self.subscription = Subscription("f", (pattern,), self.hear, registers=False)

    async def hear(self, event: Event, _: Delivery) -> None:
        """Note an event."""
        self.told.append(event.subject)
        if self.hangs:
            await asyncio.Event().wait()


async def test_what_comes_later_is_told_and_ends_when_it_is_gone(process: Hearing) -> None:
    """What is told of later gets its events, beside the others; once it is told of no more it holds nothing."""
    workspace, further = f"l{next(_numbers)}", Further(pattern="x.other.*")
    process.known.append(workspace)
    await process.cursors.register(workspace, "f")
    process.further[workspace] = [further.subscription]
    await eventually(lambda: is_served(process, workspace))
    await eventually(lambda: is_held(process, workspace))
    for subject in ("one", "two"):
        await process.say(workspace, subject, "x.other.said")
        await eventually(partial(further.told.__contains__, subject))
    process.further[workspace] = []
    await eventually(lambda: not is_served(process, workspace))
    await process.say(workspace, "three")
    await eventually(lambda: (workspace, "three") in process.told)

    assert further.told == ["one", "two"]
    assert {each.holder for each in await process.cursors.lag(workspace, "f")} == {""}


def is_served(process: Hearing, workspace: str) -> bool:
    """Whether the further group works here."""
    place = process.listening.places.get(workspace)
    return place is not None and "f" in place.groups


async def is_held(process: Hearing, workspace: str) -> bool:
    """Whether the further group holds its partitions."""
    return {each.holder for each in await process.cursors.lag(workspace, "f")} == {"here"}


async def test_another_of_the_same_name_begins_when_the_former_has_ended(
    process: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was changed ends first, in the middle of an event too; then the new one takes that event, and the rest."""
    monkeypatch.setattr(bus_module, "FINISH_S", 0.2)
    workspace, former, new = f"l{next(_numbers)}", Further(), Further()
    former.hangs = True
    process.known.append(workspace)
    await process.cursors.register(workspace, "f")
    process.further[workspace] = [former.subscription]
    await process.say(workspace, "one")
    await eventually(lambda: former.told)
    process.further[workspace] = [new.subscription]
    await process.say(workspace, "two")

    await eventually(lambda: {"one", "two"} <= set(new.told))
    assert await is_held(process, workspace)


async def test_a_group_that_was_dropped_does_not_come_back(process: Hearing) -> None:
    """A group that another registers, and that is not there, or was dropped, is not registered by whoever runs it."""
    workspace, further = f"l{next(_numbers)}", Further()
    process.known.append(workspace)
    process.further[workspace] = [further.subscription]
    await process.say(workspace, "one")
    await eventually(lambda: is_served(process, workspace))
    await eventually(lambda: (workspace, "one") in process.told)

    assert set(await process.cursors.groups(workspace)) == {"g"}
    assert further.told == []


async def test_who_cannot_say_ends_nothing(process: Hearing) -> None:
    """While it cannot be asked what else there is, what was there goes on; other workspaces are asked none the less."""
    one, two = f"l{next(_numbers)}", f"l{next(_numbers)}"
    first, second = Further(), Further()
    process.known += [one, two]
    for workspace in (one, two):
        await process.cursors.register(workspace, "f")
    process.further[one] = [first.subscription]
    await eventually(lambda: is_held(process, one))
    process.further[one] = Unavailable()
    process.further[two] = [second.subscription]
    await process.say(two, "two")
    await eventually(lambda: second.told)
    await process.say(one, "one")
    await eventually(lambda: first.told)


async def test_workspaces_beyond_the_bound_are_left_out(process: Hearing, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not served, the log says so, and those that are served go on being served."""
    monkeypatch.setattr(listening_module, "GROUPS_MAX", 1)
    one, two = f"l{next(_numbers)}", f"l{next(_numbers)}"
    process.known.extend([one, two])
    await process.say(two, "not heard")
    await process.say(one, "first")
    await eventually(lambda: process.told == [(one, "first")])
    await eventually(lambda: one in process.listening.places)
    await process.say(one, "second")
    await eventually(lambda: process.told == [(one, "first"), (one, "second")])
    assert two not in process.listening.places


async def test_a_workspace_that_cannot_be_served_harms_no_other(process: Hearing) -> None:
    """Whatever goes wrong when it is asked what there is to serve, others are served."""
    one, two = f"l{next(_numbers)}", f"l{next(_numbers)}"

    async def further(workspace: str) -> list[Subscription]:
        if workspace == one:
            raise RuntimeError("what nobody foresaw")
        return []

    process.listening.further = further
    process.known.extend([one, two])
    await process.say(two, "heard")
    await eventually(lambda: process.told == [(two, "heard")])
