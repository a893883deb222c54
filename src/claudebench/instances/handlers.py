"""Commands on instances: register, unregister, heartbeat, list."""

from __future__ import annotations

from claudebench.instances import model
from claudebench.instances.store import InstanceStore
from claudebench.patterns.label import Consistency, Pattern
from claudebench.rpc.command import handler
from claudebench.rpc.context import Context
from claudebench.store.workspaces import Workspaces

A, LINEARIZABLE = Pattern.CENTRALIZED, Consistency.LINEARIZABLE


@handler("system.register", pattern=A, consistency=LINEARIZABLE)
async def register(
    request: model.Register, context: Context, instances: InstanceStore, workspaces: Workspaces
) -> model.Registered:
    """Note that an instance is there; with another `bootId` its former incarnation ends and its tasks are free."""
    workspaces.enter(context.workspace)
    doc = model.Doc(
        roles=sorted(set(request.roles)),
        capacity=request.capacity,
        dead_after_ms=request.dead_after_ms,
        capabilities=request.capabilities,
        metadata=request.metadata,
    )
    return context.at(await instances.register(context.origin(request.id), doc, request.boot_id))


@handler("system.unregister", pattern=A, consistency=LINEARIZABLE)
async def unregister(request: model.Named, context: Context, instances: InstanceStore) -> model.Unregistered:
    """Let an instance leave; what it held is free at once."""
    return context.at(await instances.unregister(context.origin(request.instance_id), request.instance_id))


@handler("system.heartbeat", pattern=A, consistency=LINEARIZABLE, changes=False)
async def heartbeat(request: model.Named, context: Context, instances: InstanceStore) -> model.Beat:
    """Note that an instance is alive, and tell it what it holds."""
    return await instances.heartbeat(context.origin(request.instance_id))


@handler("instance.list", pattern=A, consistency=LINEARIZABLE, changes=False)
async def list_(request: model.ListInstances, context: Context, instances: InstanceStore) -> model.Instances:
    """Return who is there, and who went OFFLINE in the last day."""
    return model.Instances(await instances.list(context.workspace, context.now, request.limit))


COMMANDS = (register, unregister, heartbeat, list_)
