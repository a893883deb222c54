"""Times on the wire: ISO-8601 in UTC with milliseconds and `Z`."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from time import time


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso(ms: int) -> str:
    """Return milliseconds since 1970 as `2026-01-31T12:00:00.000Z`."""
    seconds, rest = divmod(ms, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


def now() -> str:
    """Return this moment by the clock of this machine."""
    return iso(int(time() * 1000))
