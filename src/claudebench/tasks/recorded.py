"""The ledger and its record side by side: rows read from the one, put into or compared with the other.

What is no event is not compared: the end of a lease that is renewed, and the time of that touch. A task that the record
has and the ledger has not is right when it was deleted, or finished and retired.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw
from sqlalchemy import and_, delete, func, or_, select, update

from claudebench.record.entry import clean, position_of, text_of
from claudebench.record.room import Difference, Part
from claudebench.store.script import Script
from claudebench.tasks import record
from claudebench.tasks.model import Doc, Row, Stored
from claudebench.tasks.record import HISTORY, TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from claudebench.record.entry import Entry, Position
    from claudebench.store.connection import Connection as Store

ROWS = Script(__package__, "rows")
SCRIPTS = (ROWS,)
AT_ONCE = 200
TOUCHED = frozenset({"lease_ms", "updated_ms"})
JSON = ("metadata", "doc", "result", "error")
FINISHED = ("completed", "failed")
_decode_row = msgspec.msgpack.Decoder(Row).decode
_decode_doc = msgspec.json.Decoder(Doc).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_keys = msgspec.msgpack.Decoder(dict[str, str]).decode


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """The room's copy of the ledger."""

    store: Store
    name: str = "tasks"
    numbers: dict[str, int] = field(default_factory=dict)

    def apply(self, connection: Connection, workspace: str, events: Sequence[Entry]) -> None:
        """Bring the tasks up to these events."""
        record.apply(connection, workspace, events)
        newest = next((each for each in reversed(events) if each.type == "task.created"), None)
        if newest:
            self.numbers[workspace] = max(self.highest(workspace), int(newest.subject[2:]))

    def counter(self, connection: Connection, workspace: str) -> int:
        """Return the highest number of a task that was ever recorded."""
        found = connection.scalar(select(func.max(TASKS.c.n)).where(TASKS.c.workspace == workspace)) or 0
        self.numbers[workspace] = max(self.highest(workspace), found)
        return self.numbers[workspace]

    def highest(self, workspace: str) -> int:
        """Return the same from memory, as of the last `counter` or batch."""
        return self.numbers.get(workspace, 0)

    def forget(self, connection: Connection, workspace: str, after: Position) -> None:
        """Take out what only events behind a position have told."""
        for table in (TASKS, HISTORY):
            ms, seq = table.c.ms, table.c.seq
            behind = or_(ms > after[0], and_(ms == after[0], seq > after[1]))
            connection.execute(delete(table).where(table.c.workspace == workspace, behind))

    async def part(self, workspace: str, at: str) -> Part:
        """Read the tasks of a range of numbers from the ledger."""
        first = int(at or 1)
        position, last, following, *fields = await self.store.run(ROWS, workspace, first, AT_ONCE)
        rows = {fields[i]: _row(Stored(*fields[i + 1 : i + 7])) for i in range(0, len(fields), 7)}
        after = str(following) if following else None
        return Part(position_of(position.decode()), rows, first=first, next=after, last=last)

    def put(self, connection: Connection, workspace: str, part: Part) -> None:
        """Make the rows of a range what the ledger has."""
        place = dict(zip(("ms", "seq"), part.position, strict=True))
        rows = [{"workspace": workspace, "n": n, **row, **place} for n, row in part.rows.items()]
        record.put(connection, [tuple(row[each.name] for each in TASKS.columns) for row in rows])
        gone = TASKS.c.n.not_in(list(part.rows)), TASKS.c.status.not_in(FINISHED), _upto(part.position)
        connection.execute(update(TASKS).where(*_range(workspace, part), *gone).values(deleted=True))

    def compare(self, connection: Connection, workspace: str, part: Part) -> tuple[list[Difference], bool]:
        """Return where the record differs from a range of the ledger, and whether rows had moved on meanwhile."""
        asked = select(TASKS).where(*_range(workspace, part))
        kept = {row["n"]: row for row in connection.execute(asked).mappings()}
        found = [_difference(n, part.rows.get(n), kept.get(n)) for n in sorted(part.rows.keys() | kept.keys())]
        moved = {n for n, row in kept.items() if (row["ms"], row["seq"]) > part.position}
        return [each for each in found if each and int(each.id[2:]) not in moved], bool(moved)


def _upto(position: Position) -> Any:
    ms, seq = position
    return or_(TASKS.c.ms < ms, and_(TASKS.c.ms == ms, TASKS.c.seq <= seq))


def _range(workspace: str, part: Part) -> tuple[Any, ...]:
    end = (TASKS.c.n < int(part.next),) if part.next else ()
    return (TASKS.c.workspace == workspace, TASKS.c.n >= part.first, *end)


def _row(stored: Stored) -> dict[str, Any]:
    """Return the row of the record that the fields of a task in the store make."""
    moving, doc = _decode_row(stored.row), _decode_doc(stored.doc)
    metadata = None
    if stored.metadata:
        changed = {key: Raw(value.encode()) for key, value in _decode_keys(stored.metadata).items()}
        metadata = record.merge(doc.metadata, changed)
    return {
        "status": moving.status,
        "priority": moving.priority,
        "assigned_to": moving.owner,
        "epoch": moving.epoch,
        "attempts": moving.attempts,
        "max_attempts": moving.max_attempts,
        "lease_ms": moving.lease_ms,
        "created_ms": moving.created_ms,
        "updated_ms": moving.updated_ms,
        "finished_ms": moving.finished_ms,
        "dead_letter": moving.dead,
        "waits_for": moving.waiting,
        "blocked": moving.blocked,
        "text": clean(_decode_text(stored.text) if stored.text else doc.text),
        "doc": text_of(stored.doc),
        "metadata": metadata,
        "result": text_of(stored.result) if stored.result else None,
        "error": text_of(stored.error) if stored.error else None,
        "deleted": False,
    }


def _difference(n: int, ledger: dict[str, Any] | None, kept: Any) -> Difference | None:
    if ledger is None:
        is_right = kept["deleted"] or kept["status"] in FINISHED
        return None if is_right else Difference("task", f"t-{n}", None, {"status": kept["status"]})
    if kept is None:
        return Difference("task", f"t-{n}", {"status": ledger["status"]}, None)
    left_out = TOUCHED if ledger["lease_ms"] else frozenset()
    names = [each for each in ledger if each not in left_out and not _same(each, ledger[each], kept[each])]
    if not names:
        return None
    return Difference("task", f"t-{n}", {each: ledger[each] for each in names}, {each: kept[each] for each in names})


def _same(name: str, one: Any, other: Any) -> bool:
    """Whether two values are the same; of JSON the order of members does not count."""
    if one == other or name not in JSON or one is None or other is None:
        return bool(one == other)
    return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
