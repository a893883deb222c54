"""Processes at a seam, for tests that stop, kill and resume them.

What a strategy does it puts into one history, so that the store's order tells who ran what when. Like any real one it
is fenced by its epoch: what is of a lower epoch than was ever begun is refused.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from claudebench.app import SCRIPTS
from claudebench.errors import ClaudeBenchError
from claudebench.patterns.migration import Bounds, Migration
from claudebench.patterns.seam import Seams
from claudebench.patterns.seat import Seat, Timing
from claudebench.store.connection import Address, Connection
from claudebench.store.keys import KEYS, Key, prefix
from claudebench.store.lease import Leases
from claudebench.store.origin import Origin
from claudebench.store.script import Script, Source
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.patterns.seam import Step, Word
    from claudebench.store.lease import Held
    from claudebench.store.wire import Argument

SEAM = "events"
NAMES = ("centralized", "distributed", "hybrid")
WORK_S = 0.05
SECRET = "hunter22"
BRIEF_MS, LONG_MS = 1_000, 30_000  # the lease of who is to be missed soon, and of who is not to be, on a busy machine
TIMING = Timing(tick_s=0.05, look_s=0.1, drain_s=1.0, verify_s=2.0, stop_s=0.3)
BOUNDS = Bounds(lease_ms=BRIEF_MS, tick_s=0.03)
HISTORY = Key("history", "x:test:history:{what}", "list", "what was done")
TEXT = """-- enter: what a strategy does comes into the history, unless it is of a lower epoch than was begun.
-- uses  refuse
-- KEYS  history
-- ARGV  what strategy epoch process
-- Returns 1; refuses with STALE what is of a lower epoch.
if what ~= 'stop' and tonumber(epoch) < tonumber(redis.call('GET', k_history('epoch')) or 0) then
  redis.call('RPUSH', k_history('refused'), process)
  return refuse(STALE, 'another epoch has begun')
end
if what == 'start' then redis.call('SET', k_history('epoch'), epoch) end
redis.call('RPUSH', k_history('all'), what .. ' ' .. strategy .. ' ' .. epoch .. ' ' .. process)
return 1
"""
ENTER = Script.of("test", Source("enter", TEXT, {**KEYS, "history": HISTORY}))
ALL_SCRIPTS = (*SCRIPTS, ENTER)


def key_of(workspace: str, what: str) -> str:
    """Return the key of what the processes note, or of the faults that they are to have."""
    return prefix(workspace) + HISTORY.tail.format(what=what)


@dataclass(frozen=True)
class Faults:
    """What is to go wrong with whom, in the store: `b start distributed` fails, `b hang drain` hangs till it is out."""

    connection: Connection
    workspace: str

    async def has(self, fault: str) -> bool:
        """Whether it is to go wrong now."""
        return bool(await self.connection.command("SISMEMBER", key_of(self.workspace, "faults"), fault))

    async def meet(self, process: str, what: str, strategy: str) -> None:
        """Fail or hang, if it is to."""
        if await self.has(f"{process} {what} {strategy}"):
            raise RuntimeError(f"cannot {what} with {SECRET}")

        async def is_over() -> bool:
            return not await self.has(f"{process} hang {what}")

        await eventually(is_over, within_s=120)


@dataclass
class Writing:
    """A strategy that writes what it does."""

    connection: Connection
    workspace: str
    process: str
    name: str
    epoch: int
    faults: Faults
    working: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write."""
        await self.enter("start")
        self.working = asyncio.create_task(self.work())
        await self.faults.meet(self.process, "start", self.name)

    async def verify(self) -> None:
        """Look whether it works."""
        await self.faults.meet(self.process, "verify", self.name)

    async def drain(self) -> None:
        """End what has begun."""
        await self.faults.meet(self.process, "drain", self.name)

    async def stop(self) -> None:
        """End at once."""
        await self.faults.meet(self.process, "stop", self.name)
        if self.working:
            self.working.cancel()
            with suppress(asyncio.CancelledError):
                await self.working
        await self.enter("stop")

    async def work(self) -> None:
        """Write that it runs."""
        while True:
            with suppress(ClaudeBenchError):
                await self.enter("work")
            await asyncio.sleep(WORK_S)

    async def enter(self, what: str) -> None:
        """Write what is done."""
        await self.connection.run(ENTER, self.workspace, what, self.name, self.epoch, self.process)


@dataclass(frozen=True)
class Halting(Seams):
    """Seams at which a leader stands still before or after a step, as `after seam_switch`, until it is killed."""

    halts: str = ""
    note: Callable[[], object] = field(default=lambda: None)

    async def step(self, script: Script, origin: Origin, held: Held, word: Word, *further: Argument) -> Step:
        """Take a step, or stand still."""
        if self.halts == f"before {script.name}":
            await self.stand_still(origin.workspace)
        step = await super().step(script, origin, held, word, *further)
        if self.halts == f"after {script.name}":
            await self.stand_still(origin.workspace)
        return step

    async def stand_still(self, workspace: str) -> None:
        """Note it, and do no more."""
        await self.connection.command("RPUSH", key_of(workspace, "halted"), self.halts)
        signal.pause()


def make_all(connection: Connection, workspace: str, process: str) -> dict[str, Callable[[int], Writing]]:
    """Return what makes each strategy."""
    faults = Faults(connection, workspace)

    def made(name: str) -> Callable[[int], Writing]:
        return lambda epoch: Writing(connection, workspace, process, name, epoch, faults)

    return {name: made(name) for name in NAMES}


def seat_of(connection: Connection, workspace: str, process: str, lease_ms: int = LONG_MS) -> Seat:
    """Return a seat that leads on what nobody leads."""
    seams, timing = Seams(connection), replace(TIMING, lease_ms=lease_ms)
    lead = Migration(seams, Leases(connection), process, BOUNDS).go_on
    return Seat(
        seams, workspace, SEAM, process, make_all(connection, workspace, process), lead=lead, mask=masked, timing=timing
    )


def masked(text: str) -> str:
    """Hide the secret."""
    return text.replace(SECRET, "***")


def take_part(socket: str, workspace: str, process: str, lease_ms: int) -> None:
    """Be a member until SIGTERM."""
    asyncio.run(_take_part(socket, workspace, process, lease_ms))


async def _take_part(socket: str, workspace: str, process: str, lease_ms: int) -> None:
    connection = Connection(Address(socket=socket), ALL_SCRIPTS)
    await connection.open()
    running = asyncio.create_task(seat_of(connection, workspace, process, lease_ms).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
    await connection.close()


def lead(socket: str, workspace: str, target: str, halts: str, lease_ms: int = LONG_MS) -> None:
    """Lead a switch until it stands still."""
    asyncio.run(_lead(socket, workspace, target, halts, lease_ms))


async def _lead(socket: str, workspace: str, target: str, halts: str, lease_ms: int) -> None:
    connection = Connection(Address(socket=socket), ALL_SCRIPTS)
    await connection.open()
    migration = Migration(
        Halting(connection, halts=halts), Leases(connection), "leader", replace(BOUNDS, lease_ms=lease_ms)
    )
    await migration.switch(Origin(workspace), SEAM, target)
