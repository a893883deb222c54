"""A process that serves groups, for tests that stop, kill and resume it.

    python -m tests.conformance.worker SOCKET WORKSPACE NAME GROUPS

What its handlers begin and end they note in the store. An event of type `x.test.slow` is not over until a test lets it;
one of type `x.test.counted` has an effect, written with the mark.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.group_worker import ENTER
from tests.integration.serving import Process

from claudebench.events.subscriber import Subscription
from claudebench.store.keys import prefix
from claudebench.testing import eventually

if TYPE_CHECKING:
    from claudebench.events.model import Event
    from claudebench.events.subscriber import Delivery

BEGUN, HANDLED, LET_ON = "begun", "handled", "let on"
SLOW, COUNTED = "x.test.slow", "x.test.counted"


def history_of(workspace: str, what: str, group: str) -> str:
    """Return the key of what handlers note."""
    return f"{prefix(workspace)}test:{what}:{group}"


async def work(socket: str, workspace: str, name: str, groups: int) -> None:
    """Serve until SIGTERM."""

    async def handle(group: str, event: Event, delivery: Delivery) -> None:
        command = process.connection.command
        await command("RPUSH", history_of(workspace, BEGUN, group), event.subject)
        if event.type == SLOW:
            key = history_of(workspace, LET_ON, group)
            await eventually(lambda: command("SISMEMBER", key, event.subject), within_s=120)
        if event.type == COUNTED and delivery.mark:
            await process.connection.run(ENTER, workspace, *delivery.mark.arguments, event.subject)
        await command("RPUSH", history_of(workspace, HANDLED, group), event.subject)

    served = [Subscription(f"g{at}", ("x.test.*",), partial(handle, f"g{at}"), timeout_s=120) for at in range(groups)]
    process = Process(socket, name, served, (ENTER,))
    process.known.append(workspace)
    await process.begin()
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await told.wait()
    await process.end()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
