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
            [subscription], self.log, self.cursors, letters, self.tailer, "here", lambda: self.known
        )

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
