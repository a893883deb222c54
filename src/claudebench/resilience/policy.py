"""The policy of a command: frozen, validated when it is declared, applied in the order limit, breaker, time-out, cache.

There is no fallback: a policy may refuse, it never invents a result.
"""

from __future__ import annotations

from dataclasses import dataclass

TIMEOUT_MAX_S = 600.0


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `calls` per `per_s` seconds sustained, with a burst of `burst`, per caller and command."""

    calls: int = 100
    per_s: float = 1.0
    burst: int = 1000

    def __post_init__(self) -> None:
        """Refuse a limit that admits nothing."""
        if self.calls < 1 or self.per_s <= 0 or self.burst < 1:
            raise ValueError(f"a rate limit needs calls, per_s and burst above zero: {self}")


@dataclass(frozen=True, slots=True)
class Breaker:
    """Opens after `failures` failures of the infrastructure in a row, for `cool_down_s` seconds, then probes."""

    failures: int = 10
    cool_down_s: float = 30.0
    probes: int = 3

    def __post_init__(self) -> None:
        """Refuse a breaker that could never open or close."""
        if self.failures < 1 or self.cool_down_s <= 0 or self.probes < 1:
            raise ValueError(f"a breaker needs failures, cool_down_s and probes above zero: {self}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What stands between a request and its handler."""

    rate: RateLimit | None = RateLimit()
    breaker: Breaker | None = Breaker()
    timeout_s: float = 5.0
    cache_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse times outside 0..600 s."""
        if not 0 < self.timeout_s <= TIMEOUT_MAX_S or not 0 <= self.cache_s <= TIMEOUT_MAX_S:
            raise ValueError(f"timeout_s must lie in 0..{TIMEOUT_MAX_S:g}, cache_s not below 0: {self}")
