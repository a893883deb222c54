"""Tasks in the record: what each is now, retired and deleted ones too, and every step that it took.

A batch of events becomes one row for each task that it is about: what a step says is the whole of a task's moving
fields, so the last one counts, and only texts, metadata, results and errors are gathered on the way. A row is changed
by what lies behind its own position only, so a batch may be applied again over rows that were read from the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType
from sqlalchemy import BigInteger, Boolean, Column, Integer, Table, Text, select

from claudebench.record.bulk import Bulk
from claudebench.record.entry import clean, text_of
from claudebench.record.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from claudebench.record.entry import Entry

TASKS = Table(
    "tasks",
    METADATA,
    Column("workspace", Text, primary_key=True),
    Column("n", BigInteger, primary_key=True),
    Column("status", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("assigned_to", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("lease_ms", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger, nullable=False),
    Column("dead_letter", Boolean, nullable=False),
    Column("waits_for", Integer, nullable=False),
    Column("blocked", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("doc", Text, nullable=False),  # JSON, as the task was created; its text may have changed since
    Column("metadata", Text),  # JSON, once keys of it have changed
    Column("result", Text),  # JSON
    Column("error", Text),  # JSON
    Column("deleted", Boolean, nullable=False),
    Column("ms", BigInteger, nullable=False),  # the last event that made this row is ms-seq
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
HISTORY = Table(
    "task_history",
    METADATA,
    Column("workspace", Text, primary_key=True),
    Column("n", BigInteger, primary_key=True),
    Column("ms", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("assigned_to", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_with_rowid=False,
)
_MOVING = (
    *("status", "priority", "assigned_to", "epoch", "attempts", "max_attempts", "lease_ms", "created_ms"),
    *("updated_ms", "finished_ms", "dead_letter", "waits_for", "blocked"),
)
_PLACE = ("ms", "seq")
_MATCH = "WHERE tasks.workspace = v.workspace AND tasks.n = v.n AND (tasks.ms, tasks.seq) < (v.ms, v.seq)"


def _set(names: Iterable[str], source: str) -> str:
    return ", ".join(f"{name} = {source}.{name}" for name in names)


def _columns(*names: str) -> list[Column[Any]]:
    return [TASKS.c[name] for name in ("workspace", "n", *names)]


def _put(than: str) -> Bulk:
    values = _set((each.name for each in TASKS.columns if not each.primary_key), "excluded")
    return Bulk(
        "INSERT INTO tasks ({columns}) SELECT {columns} FROM {rows} WHERE true ON CONFLICT (workspace, n) "
        f"DO UPDATE SET {values} WHERE (tasks.ms, tasks.seq) {than} (excluded.ms, excluded.seq)",
        TASKS.columns,
    )


_PUT, _FILL = _put("<"), _put("<=")
_MOVE = Bulk(f"UPDATE tasks SET {_set((*_MOVING, *_PLACE), 'v')} FROM {{rows}} {_MATCH}", _columns(*_MOVING, *_PLACE))
_END = Bulk(
    f"UPDATE tasks SET {_set((*_MOVING, 'result', 'error', *_PLACE), 'v')} FROM {{rows}} {_MATCH}",
    _columns(*_MOVING, "result", "error", *_PLACE),
)
_TEXTS = Bulk(
    "UPDATE tasks SET text = coalesce(v.text, tasks.text), metadata = coalesce(v.metadata, tasks.metadata) "
    f"FROM {{rows}} {_MATCH}",
    _columns("text", "metadata", *_PLACE),
)
_DELETE = Bulk(f"UPDATE tasks SET deleted = true, {_set(_PLACE, 'v')} FROM {{rows}} {_MATCH}", _columns(*_PLACE))
_HISTORY = Bulk(
    "INSERT INTO task_history ({columns}) SELECT {columns} FROM {rows} WHERE true ON CONFLICT DO NOTHING",
    HISTORY.columns,
)


class _Patch(msgspec.Struct):
    """Other values for a task."""

    text: str | None = None
    metadata: dict[str, Raw] | None = None


class _Step(msgspec.Struct, rename="camel"):
    """What an event says of a task; `status` is '' where it does not say how the task stands."""

    status: str = ""
    priority: int = 0
    assigned_to: str = ""
    epoch: int = 0
    attempts: int = 0
    max_attempts: int = 0
    lease_ms: int = 0
    created_ms: int = 0
    updated_ms: int = 0
    completed_ms: int = 0
    dead_letter: bool = False
    waits_for: int = 0
    blocked: int = 0
    doc: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    result_given: bool = True
    error: Raw | UnsetType = UNSET
    patch: _Patch | UnsetType = UNSET
    reason: str = ""

    def moving(self) -> tuple[Any, ...]:
        """Return the moving fields in the order of the table."""
        return (
            *(self.status, self.priority, self.assigned_to, self.epoch, self.attempts, self.max_attempts),
            *(self.lease_ms, self.created_ms, self.updated_ms, self.completed_ms, self.dead_letter),
            *(self.waits_for, self.blocked),
        )


class _Text(msgspec.Struct):
    """What of a task's fixed fields has a column of its own."""

    text: str
    metadata: Raw = Raw(b"{}")


class _Change:
    """What a batch makes of one task."""

    __slots__ = ("deleted", "doc", "ended", "error", "metadata", "place", "result", "step", "text")

    def __init__(self) -> None:
        self.step: _Step | None = None
        self.doc: Raw | None = None
        self.text: str | None = None
        self.metadata: dict[str, Raw] = {}
        self.result: str | None = None
        self.error: str | None = None
        self.ended = self.deleted = False
        self.place = (0, 0)

    def take(self, event: Entry, step: _Step) -> None:
        """Take one more event."""
        self.place = event.position
        self.deleted = event.type == "task.deleted"
        if step.status:
            self.step = step
        if step.doc:
            self.doc = step.doc
        if step.patch:
            self.text = step.patch.text or self.text
            self.metadata |= step.patch.metadata or {}
        if event.type in _SETTLES:
            self.ended = True
            self.result = _given(step.result) if step.result_given else None
            self.error = _given(step.error) if event.type == "task.failed" else None


_SETTLES = frozenset(
    f"task.{each}" for each in ("created", "assigned", "claimed", "completed", "failed", "returned", "reopened")
)
_decode = msgspec.json.Decoder(_Step).decode
_decode_text = msgspec.json.Decoder(_Text).decode
_decode_metadata = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def apply(connection: Connection, workspace: str, events: Sequence[Entry]) -> None:
    """Bring the tasks up to these events, and their history."""
    changes: dict[int, _Change] = {}
    history: list[tuple[Any, ...]] = []
    for event in events:
        if event.type.startswith("task."):
            n, step = int(event.subject[2:]), _decode(event.payload)
            changes.setdefault(n, _Change()).take(event, step)
            history.append(_history(workspace, n, event, step))
    if changes:
        _HISTORY.run(connection, history)
        _apply(connection, workspace, changes)


def put(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Put whole rows down, in the order of the columns, where no later event has made the row."""
    _FILL.run(connection, rows)


def _history(workspace: str, n: int, event: Entry, step: _Step) -> tuple[Any, ...]:
    moved = (step.status, step.assigned_to, step.epoch, step.attempts)
    return (workspace, n, event.ms, event.seq, event.type, *moved, event.actor, event.at_ms, step.reason)


def _apply(connection: Connection, workspace: str, changes: dict[int, _Change]) -> None:
    made, moved, ended, texts, deleted = [], [], [], [], []
    merged = _merged(connection, workspace, changes)
    for n, each in changes.items():
        key = (workspace, n)
        if each.doc and each.step:
            made.append((*key, *_whole(each, each.doc, each.step)))
            continue
        if each.text is not None or n in merged:
            texts.append((*key, each.text and clean(each.text), merged.get(n), *each.place))
        if each.deleted:
            deleted.append((*key, *each.place))
        elif each.step and each.ended:
            ended.append((*key, *each.step.moving(), each.result, each.error, *each.place))
        elif each.step:
            moved.append((*key, *each.step.moving(), *each.place))
    for bulk, rows in ((_PUT, made), (_TEXTS, texts), (_MOVE, moved), (_END, ended), (_DELETE, deleted)):
        bulk.run(connection, rows)


def _whole(change: _Change, doc: Raw, step: _Step) -> tuple[Any, ...]:
    """Return the row of a task that this batch has seen from its beginning, but for its key."""
    created = _decode_text(doc)
    metadata = merge(created.metadata, change.metadata) if change.metadata else None
    fixed = (clean(change.text or created.text), text_of(bytes(doc)), metadata)
    return (*step.moving(), *fixed, change.result, change.error, change.deleted, *change.place)


def _merged(connection: Connection, workspace: str, changes: dict[int, _Change]) -> dict[int, str]:
    """Return the metadata, with its changed keys, of each task that has any and was made before this batch."""
    wanted = [n for n, each in changes.items() if each.metadata and not each.doc]
    if not wanted:
        return {}
    here = (TASKS.c.workspace == workspace, TASKS.c.n.in_(wanted))
    asked = connection.execute(select(TASKS.c.n, TASKS.c.doc, TASKS.c.metadata).where(*here))
    return {n: merge(kept or _decode_text(doc).metadata, changes[n].metadata) for n, doc, kept in asked}


def merge(metadata: str | Raw, changed: dict[str, Raw]) -> str:
    """Return the JSON of metadata with other values for some keys."""
    return text_of(_encode(_decode_metadata(metadata) | changed))


def _given(value: Raw | UnsetType) -> str | None:
    return text_of(bytes(value)) if value else None
