"""What is published is heard, until the socket is lost, and from when it is there again; and whoever listens knows."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from tests.conformance.crew import Crew
from tests.conformance.test_promises import Noted

from claudebench.errors import Unavailable
from claudebench.patterns.label import Pattern
from claudebench.store import pubsub as pubsub_module
from claudebench.store.connection import Address, Connection
from claudebench.store.keys import prefix
from claudebench.store.pubsub import PubSub
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_numbers = itertools.count(1)


class Hearing:
    """A process that hears, and a connection that publishes."""

    def __init__(self, socket: str) -> None:
        """Take where the store listens."""
        self.pubsub = PubSub(Address(socket=socket))
        self.connection = Connection(Address(socket=socket))
        self.heard: list[bytes] = []
        self.lost = 0

    def note_lost(self) -> None:
        """Count that some may be missed."""
        self.lost += 1

    async def say(self, channel: str, text: str) -> int:
        """Publish; return how many heard it."""
        heard_by: int = await self.connection.command("PUBLISH", channel, text)
        return heard_by

    async def cut(self) -> None:
        """Cut every socket that hears."""
        await self.connection.command("CLIENT", "KILL", "TYPE", "pubsub")


@asynccontextmanager
async def hearing(socket: str) -> AsyncIterator[Hearing]:
    """A process that hears, for the length of a block."""
    made = Hearing(socket)
    await made.connection.open()
    running = asyncio.create_task(made.pubsub.run())
    yield made
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await made.connection.close()


async def test_what_is_published_is_heard(store_socket: str) -> None:
    """From when `hear` returns, in order, of that channel alone, until it is left."""
    async with hearing(store_socket) as one:
        await one.pubsub.hear("one", one.heard.append)
        assert one.pubsub.hears("one")
        for at in range(100):
            assert await one.say("one", str(at)) == 1
        assert await one.say("another", "x") == 0
        await eventually(lambda: [int(each) for each in one.heard] == list(range(100)))
        with pytest.raises(ValueError, match="heard already"):
            await one.pubsub.hear("one", one.heard.append)
        one.pubsub.leave("one")
        one.pubsub.leave("one")
        await eventually(lambda: nobody_hears(one, "one"))
        assert not one.pubsub.hears("one")


async def nobody_hears(one: Hearing, channel: str) -> bool:
    """Tell whether a channel has no listener."""
    return await one.say(channel, "x") == 0


async def test_a_socket_that_is_cut_hears_again(store_socket: str) -> None:
    """Whoever listens is told that some may be missed, and hears all channels again without a word of its own."""
    async with hearing(store_socket) as one:
        for channel in ("one", "two"):
            await one.pubsub.hear(channel, one.heard.append, one.note_lost)
        await one.cut()
        await eventually(lambda: one.lost == 2)
        await eventually(lambda: one.pubsub.hears("one") and one.pubsub.hears("two"))
        await one.say("two", "again")
        await eventually(lambda: one.heard == [b"again"])


async def test_a_store_that_is_away(store_socket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hear` says so in time, and what was asked for is heard once the store is there."""
    monkeypatch.setattr(pubsub_module, "HEARS_WITHIN_S", 0.05)
    away = PubSub(Address(socket=f"{store_socket}.not"))
    running = asyncio.create_task(away.run())
    with pytest.raises(Unavailable):
        await away.hear("one", print)
    away._address = Address(socket=store_socket)
    await eventually(lambda: away.hears("one"))
    running.cancel()


async def test_a_channel_that_is_cut_is_counted(store_socket: str) -> None:
    """Under distributed delivery the process counts that it may have missed something, and goes on."""
    crew = Crew(store_socket, f"p{next(_numbers)}", Pattern.DISTRIBUTED)
    await crew.prepare()
    noted = Noted()
    process = await crew.join("one", noted.subscription())
    await crew.say("before")
    await eventually(lambda: noted.subjects == ["before"])
    await crew.outside.connection.command("CLIENT", "KILL", "TYPE", "pubsub")
    await eventually(lambda: process.listening.means.losses.interruptions == 1)
    await eventually(lambda: process.pubsub.hears(prefix(crew.workspace) + "live"))
    await crew.say("after")
    await eventually(lambda: noted.subjects == ["before", "after"])
    await crew.end()
