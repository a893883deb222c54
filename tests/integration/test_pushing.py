"""Pushes and their answers: what comes late is nobody's, who says nothing is given up, and not for ever."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.conformance.crew import MINE, QUICK, Crew
from tests.conformance.test_promises import Noted

from claudebench.events import pushing as pushing_module
from claudebench.events.pushing import Pushing, Told
from claudebench.events.subscriber import Subscription
from claudebench.patterns.label import Pattern
from claudebench.store.keys import prefix
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_numbers = itertools.count(1)


@pytest.fixture
async def crew(store_socket: str) -> AsyncIterator[Crew]:
    """A workspace with centralised delivery."""
    made = Crew(store_socket, f"push{next(_numbers)}", Pattern.CENTRALIZED)
    await made.prepare()
    yield made
    await made.end()


async def test_an_answer_to_a_former_notifier_is_nobodys(crew: Crew) -> None:
    """Numbers of one notifier are not those of the next, even in the same process."""
    noted = Noted()
    noted.hanging = {"slow"}
    await crew.join("one", noted.subscription())
    await crew.say("slow", "next")
    await eventually(lambda: noted.tries == ["slow"])
    channel = prefix(crew.workspace) + "push:one"
    for number in range(1, 50):
        told = msgspec.json.encode(Told(number, "handled"))
        assert await crew.outside.connection.command("PUBLISH", channel, told) == 1
    await crew.say("last")
    assert noted.tries == ["slow"]
    noted.let_on.set()
    await eventually(lambda: noted.subjects == ["slow", "next", "last"])


async def test_an_event_of_which_nobody_tells_dies(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given up as often as it may be tried, an event at which processes fall silent is a dead letter."""
    monkeypatch.setattr(pushing_module, "WORKING_EVERY_S", 0.05)
    monkeypatch.setattr(pushing_module, "SILENCE_MAX_S", 0.2)
    monkeypatch.setattr(Pushing, "_answer", _never)
    subscription = Subscription("g0", MINE, Noted(), 1, QUICK)
    process = await crew.join("one", subscription)
    await crew.say("s")

    async def errors() -> list[tuple[int, str]]:
        page = await process.letters.page(crew.workspace, "g0", (0, ""), 10)
        return [(each.letter.tries, each.letter.error) for each in page.kept]

    ((tries, error),) = await eventually(errors)
    assert tries == 2
    assert "fell silent" in error


async def _never(*_: object) -> None:
    await asyncio.Event().wait()


async def test_a_handler_that_blocks_its_process_is_told_once(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was deaf for as long as silence lasts gives up nothing: it reads first what was said meanwhile."""
    monkeypatch.setattr(pushing_module, "WORKING_EVERY_S", 0.05)
    monkeypatch.setattr(pushing_module, "SILENCE_MAX_S", 0.3)
    monkeypatch.setattr(pushing_module, "STALLED_S", 0.1)
    begun = list[str]()

    async def block(event: object, _delivery: object) -> None:
        begun.append(str(getattr(event, "subject", "")))
        time.sleep(1.0)  # noqa: ASYNC251 - that is the fault

    await crew.join("one", Subscription("g0", MINE, block, 1, QUICK))
    await crew.say("s")
    await eventually(lambda: begun)
    await crew.say("next")
    await eventually(lambda: begun == ["s", "next"])
