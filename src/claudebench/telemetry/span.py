"""One span per command: its histogram, its counts, and, for one in a thousand or a slow one, a log line.

The same record will carry the trace; nothing else in the server times a command.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter_ns

import structlog

from claudebench.telemetry.metrics import Histogram

SAMPLE_EVERY = 1000
SLOW_US = 250_000
log = structlog.get_logger("claudebench")


@dataclass(slots=True)
class Instrument:
    """What is known of one command: how often, how long, how it ended."""

    name: str
    pattern: str
    latency: Histogram = field(default_factory=Histogram)
    errors: Counter[int] = field(default_factory=Counter)

    def finish(self, started_ns: int, workspace: str, traceparent: str, code: int = 0) -> None:
        """Close a span that began at `started_ns` (perf_counter_ns); `code` is 0 or the error's."""
        us = (perf_counter_ns() - started_ns) // 1000
        self.latency.record(us)
        if code:
            self.errors[code] += 1
        if us > SLOW_US or self.latency.count % SAMPLE_EVERY == 0:
            log.info("command", command=self.name, us=us, code=code, workspace=workspace, traceparent=traceparent)
