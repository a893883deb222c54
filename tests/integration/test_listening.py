"""The subscribers of a process: woken by its tailer, joined where workspaces appear, ended in order."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from claudebench.app import CATALOGUE, SCRIPTS
from claudebench.events import listening as listening_module
from claudebench.events import log as event_log
from claudebench.events.cursor import Cursors
from claudebench.events.letters import DeadLetters
from claudebench.events.listening import Listening
from claudebench.events.log import EventLog
from claudebench.events.subscriber import Delivery, Subscription
from claudebench.events.tailer import Tailer
from claudebench.store.connection import Address, Connection
from claudebench.store.origin import Origin
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claudebench.events.model import Event

NEVER_S = 3600.0
_numbers = itertools.count(1)


class Process:
    """What a server process is to its subscribers: a log, a tailer, the workspaces that it knows."""

    def __init__(self, connection: Connection, following: Connection) -> None:
        """Take the connections."""
        self.log, self.cursors = EventLog(connection, CATALOGUE), Cursors(connection)
        self.tailer = Tailer(self.log, following)
        self.known: list[str] = []
        self.told: list[tuple[str, str]] = []
        subscription = Subscription("g", ("x.test.*",), self.hear)
        letters = DeadLetters(connection)
        self.listening = Listening(
            [subscription], self.log, self.cursors, letters, self.tailer, "here", lambda: self.known, further=self.ask
        )
        self.further: dict[str, list[Subscription] | Exception] = {}

    async def ask(self, workspace: str) -> list[Subscription]:
        """Say what else there is in a workspace."""
        found = self.further.get(workspace, [])
        if isinstance(found, Exception):
            raise found
        return found

    async def hear(self, event: Event, delivery: Delivery) -> None:
        """Note an event."""
        self.told.append((delivery.workspace, event.subject))

    async def say(self, workspace: str, subject: str) -> None:
        """Write an event."""
        await self.log.append(Origin(workspace), "x.test.said", subject, b"{}")


@pytest.fixture
async def process(store_socket: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Process]:
    """A process whose groups never look by themselves."""
    monkeypatch.setattr(listening_module, "POLL_S", NEVER_S)
    connection = Connection(Address(socket=store_socket), SCRIPTS)
    following = Connection(Address(socket=store_socket), event_log.SCRIPTS)
    await connection.open()
    await following.open()
    made = Process(connection, following)
    tasks = [asyncio.create_task(each) for each in (made.tailer.run(), made.listening.run())]
    yield made
    for task in reversed(tasks):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await following.close()
    await connection.close()


async def test_what_is_written_wakes_the_groups(process: Process) -> None:
    """A group that has read everything is told of the next event by the tailer, in each workspace that is known."""
    one, two = f"l{next(_numbers)}", f"l{next(_numbers)}"
    process.known.append(one)
    await process.say(one, "first")
    await eventually(lambda: (one, "first") in process.told)
    process.known.append(two)
    await process.say(two, "first")
    await eventually(lambda: (two, "first") in process.told)
    group = process.listening.groups[one, "g"]
    await eventually(lambda: all(each.is_idle for each in group.held.values()))
    for subject in ("one", "two", "three"):
        await process.say(one, subject)
        await eventually(partial(process.told.__contains__, (one, subject)))


async def test_a_process_that_ends_lets_everything_go(process: Process) -> None:
    """When the subscribers end, nothing is held any more, and what was handled is known."""
    workspace = f"l{next(_numbers)}"
    process.known.append(workspace)
    await process.say(workspace, "one")
    await eventually(lambda: process.told)
    ended = asyncio.create_task(process.listening.run())
    await asyncio.sleep(0)
    ended.cancel()
    with suppress(asyncio.CancelledError):
        await ended

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


async def test_what_comes_later_is_told_and_ends_when_it_is_gone(process: Process) -> None:
    """What is told of later gets its events, beside the others; once it is told of no more it holds nothing."""
    workspace, further = f"l{next(_numbers)}", Further(pattern="x.other.*")
    process.known.append(workspace)
    await process.cursors.register(workspace, "f")
    process.further[workspace] = [further.subscription]
    await eventually(lambda: (workspace, "f") in process.listening.groups)
    await eventually(lambda: is_held(process, workspace))
    for subject in ("one", "two"):
        await process.log.append(Origin(workspace), "x.other.said", subject, b"{}")
        await eventually(partial(further.told.__contains__, subject))
    process.further[workspace] = []
    await eventually(lambda: (workspace, "f") not in process.listening.groups)
    await process.say(workspace, "three")
    await eventually(lambda: (workspace, "three") in process.told)

    assert further.told == ["one", "two"]
    assert {each.holder for each in await process.cursors.lag(workspace, "f")} == {""}


async def is_held(process: Process, workspace: str) -> bool:
    """Whether the further group holds its partitions."""
    return {each.holder for each in await process.cursors.lag(workspace, "f")} == {"here"}


async def test_another_of_the_same_name_begins_when_the_former_has_ended(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was changed ends first, in the middle of an event too; then the new one takes that event, and the rest."""
    monkeypatch.setattr(listening_module, "FINISH_S", 0.2)
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


async def test_a_group_that_was_dropped_does_not_come_back(process: Process) -> None:
    """A group that another registers, and that is not there, or was dropped, is not registered by whoever runs it."""
    workspace, further = f"l{next(_numbers)}", Further()
    process.known.append(workspace)
    process.further[workspace] = [further.subscription]
    await process.say(workspace, "one")
    await eventually(lambda: (workspace, "f") in process.listening.groups)
    await eventually(lambda: (workspace, "one") in process.told)

    assert set(await process.cursors.groups(workspace)) == {"g"}
    assert further.told == []


async def test_who_cannot_say_ends_nothing(process: Process) -> None:
    """While it cannot be asked what else there is, what was there goes on; other workspaces are asked none the less."""
    one, two = f"l{next(_numbers)}", f"l{next(_numbers)}"
    first, second = Further(), Further()
    process.known += [one, two]
    for workspace in (one, two):
        await process.cursors.register(workspace, "f")
    process.further[one] = [first.subscription]
    await eventually(lambda: is_held(process, one))
    process.further[one] = RuntimeError("no")
    process.further[two] = [second.subscription]
    await process.say(two, "two")
    await eventually(lambda: second.told)
    await process.say(one, "one")
    await eventually(lambda: first.told)
