"""Switches under load: events are written all the while, and whoever leads a switch is killed at a step of it."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.conformance.worker import COUNTED
from tests.integration import group_worker, seam_worker

from claudebench.patterns.label import Pattern
from claudebench.patterns.seam import BEGIN, COMPLETE, SWITCH, Phase, State
from claudebench.testing import eventually

if TYPE_CHECKING:
    from tests.conformance.crew import Crew

KEYS, WRITE_EVERY_S, WITHIN_S, LEASE_MS = 40, 0.01, 30.0, 2_000
STEPS = tuple(f"{when} {script.name}" for script in (BEGIN, SWITCH, COMPLETE) for when in ("before", "after"))
WAYS = (Pattern.CENTRALIZED, Pattern.DISTRIBUTED, Pattern.HYBRID)
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([seam_worker.__name__])


@dataclass(slots=True)
class Load:
    """Events that are written until it is stopped, each under a name of its own."""

    crew: Crew
    written: list[str] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    is_over: bool = False

    def begin(self) -> None:
        """Write from now on."""
        self.task = asyncio.create_task(self._write())

    async def end(self) -> None:
        """Write no more, and wait until all is handled."""
        assert self.task
        self.is_over = True
        await self.task
        await eventually(self._is_counted, within_s=WITHIN_S)

    async def entered(self) -> list[tuple[int, str, str]]:
        """Return the partition, position and subject of each effect, in the order in which they happened."""
        key = group_worker.history_of(self.crew.workspace, "all")
        lines = await self.crew.outside.connection.command("LRANGE", key, 0, -1)
        return [(int(at), position, subject) for at, position, subject, *_ in (each.decode().split() for each in lines)]

    async def _is_counted(self) -> bool:
        return len({position for _, position, _ in await self.entered()}) >= len(self.written)

    async def _write(self) -> None:
        while not self.is_over:
            subject = f"k{len(self.written) % KEYS}"
            self.written.append(await self.crew.outside.say(self.crew.workspace, subject, COUNTED))
            await asyncio.sleep(WRITE_EVERY_S)


async def switch_and_be_killed(crew: Crew, target: Pattern, step: str) -> bool:
    """Let a process lead a switch and kill it at a step; whoever finds it goes on. Return whether it was completed."""
    words = (crew.socket, crew.workspace, target.value, step, LEASE_MS)
    leader = _forks.Process(target=seam_worker.lead, args=words, daemon=True)
    leader.start()
    halted = seam_worker.key_of(crew.workspace, "halted")
    await eventually(lambda: crew.outside.connection.command("LLEN", halted), within_s=WITHIN_S)
    leader.kill()
    await asyncio.to_thread(leader.join)
    await crew.outside.connection.command("DEL", halted)
    word = await eventually(lambda: steady(crew), within_s=WITHIN_S)
    return bool(word.strategy == target)


async def steady(crew: Crew) -> object:
    """Return the word once no switch is under way and every member runs what it says."""
    view = await crew.outside.seams.show(crew.workspace, "events")
    is_led = view.leader and view.leader_left_ms
    return view.word if view.word.phase is Phase.STEADY and not is_led and not view.not_at(State.RUNNING) else None


async def rounds(crew: Crew, count: int) -> Counter[tuple[str, bool]]:
    """Go round the three ways under load, the leader killed at each step in turn; return how each kill ended."""
    load, steps, ended = Load(crew), itertools.cycle(STEPS), Counter[tuple[str, bool]]()
    load.begin()
    for _ in range(count):
        for target in WAYS:
            step = next(steps)
            is_completed = await switch_and_be_killed(crew, target, step)
            if not is_completed:
                await crew.outside.switch(crew.workspace, target.value)
            ended[step, is_completed] += 1
    await load.end()
    check(await load.entered(), load.written)
    return ended


def check(entered: list[tuple[int, str, str]], written: list[str]) -> None:
    """Every event had its effect, once, and in the order of its partition."""
    counted = Counter(position for _, position, _ in entered)
    assert set(counted) == set(written), "nothing is lost, nothing is invented"
    assert set(counted.values()) == {1}, "nothing is doubled"
    places = {position: place for place, position in enumerate(written)}
    for partition in range(16):
        order = [places[position] for at, position, _ in entered if at == partition]
        assert order == sorted(order), f"partition {partition} is in order"
