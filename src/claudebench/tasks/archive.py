"""Tasks as the record has them: those that were retired, and those of the ledger as they stood a moment ago."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw
from sqlalchemy import func, select, tuple_

from claudebench.errors import InvalidParams, NotFound
from claudebench.tasks import model
from claudebench.tasks.model import Doc, Task
from claudebench.tasks.record import TASKS
from claudebench.telemetry.time import iso

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

COUNTED_MAX = 10_000
PAGE_BYTES = 1_048_576
URGENCY = 101 - TASKS.c.priority  # what a cursor holds: never 0
SCORES = {"createdAt": TASKS.c.n, "updatedAt": TASKS.c.updated_ms, "priority": URGENCY}
_decode = msgspec.json.Decoder(Doc).decode
_encode = msgspec.json.Encoder().encode


def get(connection: Connection, workspace: str, n: int) -> Task:
    """Return one task as it is recorded.

    Raises:
        NotFound: the record has none of this number, or it was deleted.
    """
    row = connection.execute(select(TASKS).where(TASKS.c.workspace == workspace, TASKS.c.n == n)).mappings().first()
    if not row:
        raise NotFound("the record knows no such task", reason="unknown")
    if row["deleted"]:
        raise NotFound("the task was deleted", reason="gone")
    return _task(row)


def page(connection: Connection, workspace: str, asked: model.List) -> model.Page:
    """Return a page of the tasks that are asked for."""
    tag = _tag(asked)
    if asked.cursor is not None and not asked.cursor.startswith(f"{tag}-"):
        message = "this cursor is of another list; it goes on only with the order and the filters it was made for"
        raise InvalidParams(message, errors=[{"path": "cursor", "message": message}])
    wanted = _wanted(workspace, asked)
    score = SCORES[asked.order_by]
    statement = (
        select(TASKS, score.label("score")).where(*wanted, *_behind(asked, score)).order_by(*_order(asked, score))
    )
    rows = connection.execute(statement.limit(asked.limit + 1)).mappings().all()
    shown = _fitting(rows[: asked.limit])
    total = connection.scalar(
        select(func.count()).select_from(select(TASKS.c.n).where(*wanted).limit(COUNTED_MAX).subquery())
    )
    found = model.Page(
        tasks=[_task(row) for row in shown],
        total_count=total or 0,
        total_count_exact=(total or 0) < COUNTED_MAX,
        has_more=len(rows) > len(shown),
    )
    if found.has_more:
        found.next_cursor = f"{tag}-{shown[-1]['score']}-{shown[-1]['n']}"
    return found


def _fitting(rows: Any) -> list[Any]:
    """Return the first rows that are a mebibyte together, one at least."""
    shown: list[Any] = []
    size = 0
    for row in rows:
        shown.append(row)
        size += sum(len(row[each] or "") for each in ("doc", "metadata", "result", "error"))
        if size > PAGE_BYTES:
            break
    return shown


def _wanted(workspace: str, asked: model.List) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [TASKS.c.workspace == workspace, TASKS.c.deleted.is_(False)]
    if asked.status:
        wanted.append(TASKS.c.status == asked.status)
    if asked.assigned_to:
        wanted.append(TASKS.c.assigned_to == asked.assigned_to)
    if asked.priority is not None:
        wanted.append(TASKS.c.priority <= asked.priority)
    if (least := asked.priority if asked.priority_min is None else asked.priority_min) is not None:
        wanted.append(TASKS.c.priority >= least)
    if asked.text_prefix is not None:
        wanted.append(func.substr(TASKS.c.text, 1, len(asked.text_prefix)) == asked.text_prefix)
    return wanted


def _descends(asked: model.List) -> bool:
    """Whether scores fall: the most urgent task has the lowest."""
    return (asked.order == "desc") != (asked.order_by == "priority")


def _behind(asked: model.List, score: Any) -> list[Any]:
    if asked.cursor is None:
        return []
    _, at, n = asked.cursor.split("-")
    place, here = (int(at), int(n)), tuple_(score, TASKS.c.n)
    return [here < place if _descends(asked) else here > place]


def _order(asked: model.List, score: Any) -> tuple[Any, Any]:
    return (score.desc(), TASKS.c.n.desc()) if _descends(asked) else (score.asc(), TASKS.c.n.asc())


def _tag(asked: model.List) -> str:
    filters = (asked.status, asked.assigned_to, asked.priority, asked.priority_min, asked.text_prefix)
    return sha256(_encode(("archived", asked.order_by, asked.order, *filters))).hexdigest()[:4]


def _task(row: Any) -> Task:
    fixed = _decode(row["doc"].encode())
    task = Task(
        id=f"t-{row['n']}",
        text=row["text"],
        status=row["status"],
        priority=row["priority"],
        epoch=row["epoch"],
        attempts=row["attempts"],
        max_attempts=row["max_attempts"],
        requires=fixed.requires,
        depends_on=fixed.depends_on,
        metadata=Raw(row["metadata"].encode()) if row["metadata"] else fixed.metadata,
        created_at=iso(row["created_ms"]),
        updated_at=iso(row["updated_ms"]),
    )
    model.add_optional(task, fixed, _moving(row))
    for name in ("result", "error"):
        if row[name] is not None:
            setattr(task, name, Raw(row[name].encode()))
    return task


def _moving(row: Any) -> model.Standing:
    return model.Standing(
        owner=row["assigned_to"],
        waiting=row["waits_for"],
        blocked=row["blocked"],
        lease_ms=row["lease_ms"],
        finished_ms=row["finished_ms"],
        dead=bool(row["dead_letter"]),
    )
