"""Commands on tasks. Each translates one request into one transition of the ledger."""

from __future__ import annotations

from functools import partial

import msgspec

from claudebench.patterns.label import Consistency, Pattern
from claudebench.record.reading import Record
from claudebench.rpc.bounds import bound
from claudebench.rpc.command import handler
from claudebench.rpc.context import Context
from claudebench.tasks import archive, model
from claudebench.tasks.store import TaskStore

A, B, LINEARIZABLE = Pattern.CENTRALIZED, Pattern.DISTRIBUTED, Consistency.LINEARIZABLE
_encode = msgspec.json.Encoder().encode


@handler("task.create", pattern=A, consistency=LINEARIZABLE)
async def create(request: model.Create, context: Context, tasks: TaskStore) -> model.Task:
    """Add a task to the ledger, free for whoever may take it."""
    doc = model.Doc(
        text=request.text,
        requires=request.requires,
        depends_on=list(dict.fromkeys(request.depends_on)),
        metadata=msgspec.Raw(bound("metadata", _encode(request.metadata), model.METADATA_MAX)),
        correlation_id=context.metadata.correlation_id,
        traceparent=context.metadata.traceparent,
    )
    return context.at(await tasks.create(context.origin(), doc, request.priority, request.max_attempts))


@handler("task.get", pattern=A, consistency=LINEARIZABLE, changes=False)
async def get(request: model.Get, context: Context, tasks: TaskStore, record: Record) -> model.Task:
    """Return one task as it stands."""
    if request.archived:
        found = partial(archive.get, workspace=context.workspace, n=model.number(request.id))
        return await record.read(context.workspace, found, request.after, request.timeout_ms)
    return await tasks.get(context.workspace, model.number(request.id))


@handler("task.list", pattern=A, consistency=LINEARIZABLE, changes=False)
async def list_(request: model.List, context: Context, tasks: TaskStore, record: Record) -> model.Page:
    """Return a page of tasks in an order, by status, holder, priority or the beginning of their text."""
    if request.archived:
        found = partial(archive.page, workspace=context.workspace, asked=request)
        return await record.read(context.workspace, found, request.after, request.timeout_ms)
    return await tasks.list(context.workspace, request)


@handler("task.count", pattern=A, consistency=LINEARIZABLE, changes=False)
async def count(request: model.Count, context: Context, tasks: TaskStore) -> model.Counts:  # noqa: ARG001
    """Return how many tasks there are of each status."""
    return await tasks.counts(context.workspace)


@handler("task.assign", pattern=A, consistency=LINEARIZABLE)
async def assign(request: model.Assign, context: Context, tasks: TaskStore) -> model.Assigned:
    """Reserve a free task for one instance; it stays pending until that instance claims it."""
    return context.at(await tasks.assign(context.origin(), model.number(request.task_id), request.instance_id))


@handler("task.unassign", pattern=A, consistency=LINEARIZABLE)
async def unassign(request: model.One, context: Context, tasks: TaskStore) -> model.Task:
    """Take a task from whoever holds it; an operator's word also denies it to that instance."""
    n = model.number(request.id)
    return context.at(await tasks.unassign(context.origin(), n, denied=context.is_operator))


@handler("task.claim", pattern=B, consistency=LINEARIZABLE)
async def claim(request: model.Claim, context: Context, tasks: TaskStore) -> model.Claimed:
    """Hand the most urgent tasks that the worker may take to it, each to nobody else."""
    origin = context.origin(request.worker_id)
    return context.at(await tasks.claim(origin, request.max_tasks, request.lease_ms))


@handler("task.renew", pattern=A, consistency=LINEARIZABLE)
async def renew(request: model.Renew, context: Context, tasks: TaskStore) -> model.Task:
    """Keep a task for another `leaseMs` from now."""
    origin = context.origin(request.worker_id or "")
    return context.at(await tasks.renew(origin, request.number, request.fence, request.lease_ms))


@handler("task.complete", pattern=A, consistency=LINEARIZABLE)
async def complete(request: model.Complete, context: Context, tasks: TaskStore) -> model.Finished:
    """Say that a task is done; said twice by its holder, it is done once and answered twice."""
    origin = context.origin(request.worker_id or "")
    return context.at(await tasks.complete(origin, request.number, request.fence, bytes(request.result)))


@handler("task.fail", pattern=A, consistency=LINEARIZABLE)
async def fail(request: model.Fail, context: Context, tasks: TaskStore) -> model.Finished:
    """Say that a task did not work out: failed, or free again while it is retryable and attempts remain."""
    origin, error = context.origin(request.worker_id or ""), request.error
    return context.at(await tasks.fail(origin, request.number, request.fence, error, retryable=request.retryable))


@handler("task.release", pattern=A, consistency=LINEARIZABLE)
async def release(request: model.Release, context: Context, tasks: TaskStore) -> model.Task:
    """Give a task back untouched, and its attempt with it."""
    origin = context.origin(request.worker_id or "")
    return context.at(await tasks.release(origin, request.number, request.fence))


@handler("task.update", pattern=A, consistency=LINEARIZABLE)
async def update(request: model.Update, context: Context, tasks: TaskStore) -> model.Task:
    """Give a task another text, priority or keys of its metadata, and move it; in one step or not at all."""
    n, fence = model.number(request.id), (request.worker_id or "", "" if request.epoch is None else str(request.epoch))
    origin = context.origin(request.worker_id or "")
    return context.at(await tasks.update(origin, n, request.updates, fence, operator=context.is_operator))


@handler("task.retry", pattern=A, consistency=LINEARIZABLE)
async def retry(request: model.One, context: Context, tasks: TaskStore) -> model.Task:
    """Let a finished task be done once more, from the beginning; a dead letter only as the operator."""
    return context.at(await tasks.retry(context.origin(), model.number(request.id), operator=context.is_operator))


@handler("task.delete", pattern=A, consistency=LINEARIZABLE)
async def delete(request: model.One, context: Context, tasks: TaskStore) -> model.Deleted:
    """Remove a task that nobody holds."""
    return context.at(await tasks.delete(context.origin(), model.number(request.id)))


COMMANDS = (create, get, list_, count, assign, unassign, claim, renew, complete, fail, release, update, retry, delete)
