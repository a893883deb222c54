"""Latency histograms with fixed logarithmic buckets, so that any two can be merged by adding.

A bucket is a power of two of microseconds cut in eight: the relative error of a quantile is below 1/8.
"""

from __future__ import annotations

_CUTS = 3
_BUCKETS = 40 << _CUTS


class Histogram:
    """Counts of durations in microseconds, from 1 us to about 12 days."""

    __slots__ = ("buckets", "count", "total_us")

    def __init__(self) -> None:
        """Begin empty."""
        self.buckets = [0] * _BUCKETS
        self.count = 0
        self.total_us = 0

    def record(self, us: int) -> None:
        """Add one duration in microseconds; below 1 counts as 1."""
        us = max(us, 1)
        shift = us.bit_length() - 1
        index = (shift << _CUTS) + ((us << _CUTS >> shift) & 7)
        self.buckets[index if index < _BUCKETS else _BUCKETS - 1] += 1
        self.count += 1
        self.total_us += us

    def quantile_ms(self, share: float) -> float | None:
        """Return the upper edge of the bucket in which `share` (0..1) of the samples lie; None without samples."""
        wanted, seen = share * self.count, 0
        for index, count in enumerate(self.buckets):
            seen += count
            if count and seen >= wanted:
                return _upper_us(index) / 1000
        return None

    def mean_ms(self) -> float | None:
        """Return the mean in milliseconds; None without samples."""
        return self.total_us / self.count / 1000 if self.count else None


def _upper_us(index: int) -> float:
    shift, cut = index >> _CUTS, index & 7
    return (1 << shift) * (1 + (cut + 1) / 8)
