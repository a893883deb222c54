"""One span per command, and per delivery of an event: its histogram, its counts, and sometimes a log line.

One in a thousand is logged, and each slow one.
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
    """What is known of one command, or of deliveries under one strategy: how often, how long, how it ended."""

    name: str
    pattern: str
    span: str = "command"
    latency: Histogram = field(default_factory=Histogram)
    errors: Counter[int] = field(default_factory=Counter)

    def finish(self, started_ns: int, workspace: str, traceparent: str, code: int = 0) -> None:
        """Close a span that began at `started_ns` (perf_counter_ns); `code` is 0 or the error's."""
        us = (perf_counter_ns() - started_ns) // 1000
        self.latency.record(us)
        if code:
            self.errors[code] += 1
        if us > SLOW_US or self.latency.count % SAMPLE_EVERY == 0:
            about = {self.span: self.name, "pattern": self.pattern, "workspace": workspace}
            log.info(self.span, **about, us=us, code=code, traceparent=traceparent)
