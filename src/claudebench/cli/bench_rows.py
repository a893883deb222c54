"""What is measured, and what is wanted of it: the table of DESIGN 11 as data.

A bound names a figure of a row and the value that it must not be below (`at_least`) or above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Figure = Literal["rate", "ratio", "p50Ms", "p99Ms", "seconds", "mb"]
Met = Literal["goal", "floor", "no", "-"]
Figures = dict[str, float]
WORDS: dict[str, str] = {
    "rate": "{:,.0f}/s",
    "ratio": "{:.2f} x limit",
    "p50Ms": "p50 {:g} ms",
    "p99Ms": "p99 {:g} ms",
    "seconds": "{:g} s",
    "mb": "{:,.0f} MB",
}
RISING = frozenset({"rate", "ratio"})


@dataclass(frozen=True, slots=True)
class Bound:
    """One thing wanted of a row."""

    figure: Figure
    edge: float

    def holds(self, figures: Figures) -> bool:
        """Whether the figures keep to it; an absent figure does not."""
        found = figures.get(self.figure)
        if found is None:
            return False
        return found >= self.edge if self.figure in RISING else found <= self.edge

    def __str__(self) -> str:
        """Say it as the table does."""
        return WORDS[self.figure].format(self.edge)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its name, the talk and the connections of its load (none for what is no load), and what is wanted."""

    name: str
    talk: str = ""
    connections: int = 0
    floor: tuple[Bound, ...] = ()
    goal: tuple[Bound, ...] = ()
    stored: int = 0

    def met(self, figures: Figures) -> Met:
        """Say how far a row comes up to what is wanted."""
        if self.goal and all(bound.holds(figures) for bound in (*self.floor, *self.goal)):
            return "goal"
        if not self.floor:
            return "-"
        return "floor" if all(bound.holds(figures) for bound in self.floor) else "no"


def rate(edge: float) -> Bound:
    """At least so many operations a second."""
    return Bound("rate", edge)


def ratio(edge: float) -> Bound:
    """At least this part of the limit of the same round."""
    return Bound("ratio", edge)


def p50(edge: float) -> Bound:
    """A median latency of at most so many milliseconds."""
    return Bound("p50Ms", edge)


def p99(edge: float) -> Bound:
    """A 99th percentile of at most so many milliseconds."""
    return Bound("p99Ms", edge)


def seconds(edge: float) -> Bound:
    """At most so many seconds."""
    return Bound("seconds", edge)


def mb(edge: float) -> Bound:
    """At most so much resident memory."""
    return Bound("mb", edge)


LIMIT = Row("limit: EVALSHA create, 64 connections", connections=64)
LOADS = (
    Row("task.create, 64 connections", "create", 64, (ratio(0.22), p99(25)), (ratio(0.4),)),
    Row("task.create, alone", "create", 1),
    Row("flow create-claim-complete, 16 workers", "flow", 16, (rate(2000),), (rate(3500),)),
    Row("flow create-claim-complete, 256 workers", "flow", 256, (rate(2000),), (rate(3500),)),
    Row("hook.pre_tool, 64 connections", "pre_tool", 64, (rate(5000), p99(25)), (rate(9000),)),
    Row("hook.pre_tool, alone", "pre_tool", 1, (p50(1),)),
    Row("system.heartbeat, 64 connections", "heartbeat", 64, (rate(6000),), (ratio(0.4),)),
    Row("GET /health, 64 connections", "health", 64, (rate(6000),), (ratio(0.4),)),
    Row("task.list of 100, 1,000 stored, 16 connections", "list", 16, stored=1000),
    Row("task.list of 100, 100,000 stored, 16 connections", "list", 16, (rate(1200),), (rate(2500),), stored=100_000),
)
IDLE = Row("memory of the server, idle", floor=(mb(90),))
LOADED = Row("memory of the server, loaded", floor=(mb(150),))
FLOODED = Row("memory of the server, after a 100 MB body", floor=(mb(150),))
EMPTY = Row("ready, nothing stored", floor=(seconds(2),))
STORED = Row("ready, 12,000 tasks stored", floor=(seconds(2),), goal=(seconds(1),), stored=12_000)
ROWS = (LIMIT, *LOADS, IDLE, LOADED, FLOODED, EMPTY, STORED)
