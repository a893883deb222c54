"""Where the server's own figures come from: the commands' instruments, the scripts' histograms, the process itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from resource import getpagesize
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from claudebench.system import model
from claudebench.telemetry.metrics import Histogram

log = structlog.get_logger("claudebench")
MEMORY_ALARM = 0.8

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.events.channel import Figures
    from claudebench.rpc.command import Command
    from claudebench.rpc.registry import HandlerRegistry
    from claudebench.store.connection import Connection
    from claudebench.store.script import Script
    from claudebench.telemetry.span import Instrument


@dataclass(slots=True)
class Observer:
    """Reads this server's figures; `registry` is set once every command is bound."""

    connection: Connection
    durability: str
    version: str
    disk_keeps_up: Callable[[], bool]
    delivered: Figures
    sockets_open: Callable[[], Counter[str]] = Counter
    registry: HandlerRegistry | None = None
    has_gaps: Callable[[], bool] = bool
    memory_share: float = 0.0
    further: dict[str, Callable[[], bool]] = field(default_factory=dict)
    _declared: list[model.CommandInfo] = field(default_factory=list)

    async def look(self) -> None:
        """Ask the store how much of its memory is used; that it is much is said once, and again when it is over.

        Raises:
            ClaudeBenchError: the store does not answer.
        """
        told = (await self.connection.command("INFO", "memory")).decode()
        figures = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
        most, was_tight = int(figures.get("maxmemory", 0)), self.memory_is_tight
        self.memory_share = int(figures["used_memory"]) / most if most else 0.0
        if self.memory_is_tight != was_tight:
            log.warning("the store's memory", used_share=round(self.memory_share, 2), tight=self.memory_is_tight)

    @property
    def memory_is_tight(self) -> bool:
        """Whether the store has used so much of its memory that creating will be refused soon."""
        return self.memory_share >= MEMORY_ALARM

    def instruments(self) -> list[Instrument]:
        """Return the instrument of every command."""
        return [bound.instrument for bound in self.registry.all()] if self.registry else []

    def commands(self) -> list[model.CommandMetrics]:
        """Return the figures of the commands that were called."""
        return [_command(each) for each in self.instruments() if each.latency.count]

    def scripts(self) -> list[model.ScriptMetrics]:
        """Return the figures of every loaded script."""
        return [_script(each) for each in sorted(self.connection.scripts, key=lambda script: script.title)]

    def sockets(self) -> model.SocketMetrics:
        """Return the figures of the sockets."""
        held, told = self.sockets_open(), self.delivered
        return model.SocketMetrics(held["websocket"], held["sse"], told.deliveries, told.lagged, told.gaps, told.pages)

    def declared(self) -> list[model.CommandInfo]:
        """Return every command as it was declared, looked at once."""
        if not self._declared and self.registry:
            self._declared = [_info(bound.command) for bound in self.registry.all()]
        return self._declared

    def mean_ms(self) -> float | None:
        """Return the mean latency of all commands in milliseconds; None before the first."""
        total = Histogram()
        for each in self.instruments():
            total.count += each.latency.count
            total.total_us += each.latency.total_us
        return total.mean_ms()


def resident_mb() -> float:
    """Return the resident memory of this process in MB (2^20 bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * getpagesize() / 2**20, 2)


def _command(instrument: Instrument) -> model.CommandMetrics:
    latency = instrument.latency
    return model.CommandMetrics(
        command=instrument.name,
        pattern=instrument.pattern,
        calls=latency.count,
        p50_ms=latency.quantile_ms(0.5) or 0.0,
        p99_ms=latency.quantile_ms(0.99) or 0.0,
        errors={str(code): count for code, count in instrument.errors.items()},
    )


def _script(script: Script) -> model.ScriptMetrics:
    figures = model.ScriptMetrics(script.title, script.sha, script.promise, script.latency.count)
    if script.succeeds:
        figures.succeeds = script.succeeds
    if script.latency.count:
        figures.p50_ms = script.latency.quantile_ms(0.5) or 0.0
        figures.p99_ms = script.latency.quantile_ms(0.99) or 0.0
    return figures


def _info(command: Command) -> model.CommandInfo:
    return model.CommandInfo(
        name=command.name,
        summary=command.summary,
        pattern=command.pattern.value,
        consistency=command.consistency.value,
        changes=command.changes,
        operator=command.operator,
        doors=sorted(command.doors),
        input=_schema(command.input),
        output=_schema(command.output),
    )


def _schema(type_: Any) -> dict[str, Any]:
    return msgspec.json.schema(type_)
