"""A process that takes part in a group, for tests that stop, kill and resume it.

    python -m tests.integration.group_worker SOCKET WORKSPACE NAME LEASE_MS

What it handles it puts into the history of its partition, in the script that also marks it as handled.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from claudebench.app import CATALOGUE, SCRIPTS
from claudebench.errors import Stale
from claudebench.events.cursor import Cursors
from claudebench.events.group import Group, Reader
from claudebench.events.log import EventLog
from claudebench.store.connection import Address, Connection
from claudebench.store.keys import KEYS, Key, prefix
from claudebench.store.script import Script, Source
from claudebench.testing import eventually

if TYPE_CHECKING:
    from claudebench.events.cursor import Mark
    from claudebench.events.model import Event

GROUP = "workers"
WORK_S = 0.004
SLOW = "x.test.slow"  # an event whose handling goes on until a test lets it
HISTORY = Key("history", "x:test:history:{what}", "list", "what was done")
TEXT = """-- enter: an event comes into the history of its partition once, from whoever holds it.
-- uses  processed
-- KEYS  history
-- ARGV  group partition holder fence position subject
-- Returns 1 if it came in now, else 0; refuses with STALE who lost the partition.
local refusal = not_holding(group, partition, holder, fence)
if refusal then
  redis.call('RPUSH', k_history('refused'), holder)
  return refusal
end
if is_processed(group, partition, position) then return 0 end
mark_processed(group, partition, position)
redis.call('RPUSH', k_history('all'), partition .. ' ' .. position .. ' ' .. subject .. ' ' .. holder .. ' ' .. fence)
return 1
"""
ENTER = Script.of("test", Source("enter", TEXT, {**KEYS, "history": HISTORY}))


def history_of(workspace: str, what: str) -> str:
    """Return the key of what the processes note."""
    return prefix(workspace) + HISTORY.tail.format(what=what)


async def work(socket: str, workspace: str, name: str, lease_ms: int) -> None:
    """Take part until SIGTERM."""
    connection = Connection(Address(socket=socket), (*SCRIPTS, ENTER))
    await connection.open()

    late: list[asyncio.Task[None]] = []

    async def is_let_on(event: Event) -> bool:
        return bool(await connection.command("SISMEMBER", history_of(workspace, "let on"), event.id))

    async def enter(event: Event, mark: Mark) -> None:
        if event.type == SLOW:
            await connection.command("RPUSH", history_of(workspace, "begun"), f"{name} {event.id}")
            await eventually(lambda: is_let_on(event), within_s=120)
        await asyncio.sleep(WORK_S)
        await connection.run(ENTER, workspace, *mark.arguments, event.subject)

    async def handle(event: Event, mark: Mark) -> None:
        """Enter it; what is slow goes on though it is given up, as the late word of one that stood still does."""
        if event.type != SLOW:
            return await enter(event, mark)
        late.append(asyncio.create_task(enter(event, mark)))
        return await asyncio.shield(late[-1])

    reader = Reader(workspace, GROUP, handle, lease_ms=lease_ms)
    group = Group(EventLog(connection, CATALOGUE), Cursors(connection), name, reader)
    running = asyncio.create_task(group.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        await running
    except (asyncio.CancelledError, Stale):
        await connection.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
