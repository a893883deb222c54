"""A log line that somebody outside can cause: said once a second at most, with how many were left out."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Self

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_S = 1.0


class Sparse:
    """One kind of log line, kept from filling the disk."""

    def __init__(self, say: Callable[..., Any], clock: Callable[[], float] = monotonic) -> None:
        """Take who writes the line, and the clock in seconds."""
        self._say = say
        self._clock = clock
        self._next = float("-inf")
        self._left_out = 0

    @classmethod
    def to_log(cls, level: str) -> Self:
        """Write to our log; it is asked for with each line, so that a kind made on import follows the configuration."""

        def say(event: str, **fields: Any) -> None:
            getattr(structlog.get_logger("claudebench"), level)(event, **fields)

        return cls(say)

    def __call__(self, event: str, **fields: Any) -> None:
        """Say it, unless something of this kind was said within the last second."""
        now = self._clock()
        if now < self._next:
            self._left_out += 1
            return
        self._say(event, **fields, **({"left_out": self._left_out} if self._left_out else {}))
        self._next, self._left_out = now + EVERY_S, 0
