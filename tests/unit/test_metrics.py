"""Histograms of fixed logarithmic buckets: how far off a quantile may be, and that two can be added."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudebench.telemetry.metrics import Histogram

DAY_US = 24 * 3600 * 10**6
DURATIONS = st.lists(st.integers(1, 12 * DAY_US) | st.integers(1, 5000), min_size=1, max_size=200)
SHARES = st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0])


def recorded(durations: list[int]) -> Histogram:
    """Return the histogram of these durations."""
    histogram = Histogram()
    for us in durations:
        histogram.record(us)
    return histogram


def nearest_rank(durations: list[int], share: float) -> int:
    """Return the smallest duration at or below which `share` of them lie."""
    return sorted(durations)[max(0, math.ceil(share * len(durations)) - 1)]


@given(durations=DURATIONS, share=SHARES)
def test_a_quantile_is_an_upper_bound_within_an_eighth(durations: list[int], share: float) -> None:
    """A quantile is never below the true one, and at most an eighth above it."""
    true_us = nearest_rank(durations, share)

    quantile_ms = recorded(durations).quantile_ms(share)

    assert quantile_ms is not None
    assert true_us < quantile_ms * 1000 * (1 + 1e-9)
    assert quantile_ms * 1000 <= true_us * 1.125 * (1 + 1e-9)


@given(left=DURATIONS, right=DURATIONS)
def test_two_histograms_are_merged_by_adding(left: list[int], right: list[int]) -> None:
    """The sum of two histograms is that of all their samples, in every bucket, count and total."""
    one, other, both = recorded(left), recorded(right), recorded(left + right)

    assert [a + b for a, b in zip(one.buckets, other.buckets, strict=True)] == both.buckets
    assert (one.count + other.count, one.total_us + other.total_us) == (both.count, both.total_us)


@given(durations=DURATIONS)
def test_the_mean_is_exact(durations: list[int]) -> None:
    """The mean is that of the samples, not of the buckets."""
    mean_ms = recorded(durations).mean_ms()

    assert mean_ms == pytest.approx(sum(durations) / len(durations) / 1000)


def test_without_samples_there_is_no_figure() -> None:
    """An empty histogram has no quantile and no mean: None, not 0."""
    histogram = Histogram()

    assert [histogram.quantile_ms(share) for share in (0.0, 0.5, 1.0)] == [None, None, None]
    assert histogram.mean_ms() is None


@pytest.mark.parametrize("us", [0, -5])
def test_below_a_microsecond_counts_as_one(us: int) -> None:
    """A clock that stood still counts as one microsecond."""
    histogram = recorded([us])

    assert (histogram.count, histogram.total_us) == (1, 1)


def test_beyond_the_last_bucket_is_the_last_bucket() -> None:
    """A duration of a year is counted, in the last bucket, and memory does not grow."""
    histogram = recorded([365 * DAY_US])

    assert (histogram.buckets[-1], histogram.count, len(histogram.buckets)) == (1, 1, len(Histogram().buckets))


@given(durations=DURATIONS)
def test_quantiles_rise(durations: list[int]) -> None:
    """A higher share never has a lower quantile."""
    histogram = recorded(durations)
    quantiles = [histogram.quantile_ms(share) or 0.0 for share in (0.0, 0.5, 0.95, 0.99, 1.0)]

    assert quantiles == sorted(quantiles)
