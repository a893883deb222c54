"""Waiting for a condition, never for time."""

from __future__ import annotations

import asyncio
import inspect
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_S = 0.01


async def eventually(condition: Callable[[], Any], within_s: float = 15.0) -> Any:
    """Return the first true answer of `condition`, plain or awaited.

    Raises:
        AssertionError: none came within `within_s` seconds; it names the last answer or exception.
    """
    deadline = monotonic() + within_s
    while True:
        last: Any
        try:
            last = condition()
            if inspect.isawaitable(last):
                last = await last
            if last:
                return last
        except (AssertionError, OSError, EOFError, LookupError) as error:
            last = error
        if monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s; the last answer was {last!r}")
        await asyncio.sleep(POLL_S)
