"""Commands on the server itself: health, get_state, metrics, discover."""

from __future__ import annotations

import msgspec

from claudebench.errors import ClaudeBenchError
from claudebench.events.log import EventLog
from claudebench.patterns.label import Consistency, Pattern
from claudebench.record.reading import Record
from claudebench.rpc.command import handler
from claudebench.rpc.context import Context
from claudebench.system import model
from claudebench.system.observer import Observer, resident_mb

A = Pattern.CENTRALIZED
STATE_SHOWN = 10


@handler("system.health", pattern=A, consistency=Consistency.DERIVED, changes=False)
async def health(request: model.Ask, observer: Observer) -> model.Health:  # noqa: ARG001 - it asks nothing
    """Tell whether this server can do its work: the store gives a sign of life, the disk keeps up with it."""
    try:
        alive = await observer.connection.command("PING") == b"PONG"
    except ClaudeBenchError:
        alive = False
    services = {"redis": alive, "disk": observer.disk_keeps_up(), "memory": not observer.memory_is_tight}
    services |= {name: is_well() for name, is_well in observer.further.items()}
    services["log"] = not observer.has_gaps()
    status: model.HealthStatus = "unhealthy" if not alive else "healthy" if all(services.values()) else "degraded"
    return model.Health(status, services, observer.durability, observer.version)


@handler("system.get_state", pattern=A, consistency=Consistency.LINEARIZABLE, changes=False)
async def get_state(request: model.Ask, context: Context, log: EventLog) -> model.State:  # noqa: ARG001
    """Return the newest tasks, instances and events of the workspace, ten of each."""
    page = await context.call("task.list", limit=STATE_SHOWN)
    present = await context.call("instance.list", limit=STATE_SHOWN)
    events = await log.recent(context.workspace, STATE_SHOWN)
    return model.State(page.tasks, present.instances[:STATE_SHOWN], list(events))


@handler("system.metrics", pattern=A, consistency=Consistency.DERIVED, changes=False)
async def metrics(
    request: model.Ask,  # noqa: ARG001
    context: Context,
    log: EventLog,
    observer: Observer,
    record: Record,
) -> model.Metrics:
    """Return what this server measured since it started, and what the workspace holds."""
    counts = await context.call("task.count")
    _, written = await log.position(context.workspace)
    figures = model.Metrics(
        events_processed=written,
        tasks_completed=counts.completed,
        memory_usage=resident_mb(),
        tasks=msgspec.to_builtins(counts),
        commands=observer.commands(),
        scripts=observer.scripts(),
        sockets=observer.sockets(),
    )
    if (mean := observer.mean_ms()) is not None:
        figures.average_latency = mean
    if record.projector:
        figures.record_behind_ms = record.projector.behind_ms
    return figures


@handler("system.discover", pattern=A, consistency=Consistency.DERIVED, changes=False)
async def discover(request: model.Ask, observer: Observer) -> model.Commands:  # noqa: ARG001
    """Return every command of this server with its schemas, labels and doors."""
    return model.Commands(observer.declared())


COMMANDS = (health, get_state, metrics, discover)
