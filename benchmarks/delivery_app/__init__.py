"""Twenty subscribers that write down what they are told, for `benchmarks/delivery.py`.

A line is `group position handled_ns written_ns key`; it is written with one call, so that a kill loses none of them.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from claudebench.events.model import Event  # noqa: TC001 - read at run time, to know what to give
from claudebench.events.subscriber import on

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

GROUPS: Final = [f"bench{number:02}" for number in range(int(os.environ.get("BENCH_GROUPS", "20")))]
_OUT = os.open(os.environ["BENCH_OUT"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _subscriber(group: str) -> Callable[[Event], Awaitable[None]]:
    @on("x.bench.said", group=group)
    async def note(event: Event) -> None:
        """Write down an event."""
        line = f"{group} {event.id} {time.monotonic_ns()} {event.data['at']} {event.subject}\n"
        os.write(_OUT, line.encode())

    return note


globals().update({group: _subscriber(group) for group in GROUPS})
