"""What must hold of a workspace at every moment, read from all its keys in one atom.

The row of a task is the truth; every index is derived from the rows again and compared, in both directions: a task
stands in exactly the places that its row asks for, and no key holds anything else.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.app import CATALOGUE
from claudebench.events.position import number
from claudebench.store.keys import prefix
from claudebench.tasks.model import Row, Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudebench.store.connection import Connection

Index = dict[str, dict[str, int]]
EVENTS_READ = 1_000_000
EDITS = {"task.reopened", "task.updated", "task.awaited"}
NO_INDEX = {"alive", "offline", "idemage", "holders", "dead_events_age", "retry", "webhooks", "members"}
LETTERS_MAX = 10_000
WEBHOOKS_MAX = 16
HASHES = {
    "sigs", "role", "evmeta", "groups", "group", "gaps", "dead_events", "dead_events_meta", "retrying", "webhook",
    "webhooks_meta", "seam", "places",
}  # fmt: skip
_READ = """
local out = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local type = redis.call('TYPE', key).ok
  if type == 'hash' then out[#out + 1] = {key, type, redis.call('HGETALL', key)}
  elseif type == 'zset' then out[#out + 1] = {key, type, redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')}
  elseif type == 'stream' then out[#out + 1] = {key, type, redis.call('XRANGE', key, ARGV[3], '+', 'COUNT', ARGV[2])}
  elseif type == 'set' then out[#out + 1] = {key, type, redis.call('SMEMBERS', key)}
  elseif type == 'string' then out[#out + 1] = {key, type, redis.call('GET', key)}
  else out[#out + 1] = {key, type, {}} end
end
return out
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One fact of the log."""

    position: str
    type: str
    subject: str
    actor: str
    payload: dict[str, Any]
    raw: bytes = b""


@dataclass(slots=True)
class Snapshot:
    """Everything that a workspace holds at one moment."""

    tasks: dict[int, Row] = field(default_factory=dict)
    stored: dict[int, Stored] = field(default_factory=dict)
    instances: dict[str, dict[str, str]] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, dict[str, str]] = field(default_factory=dict)
    indexes: Index = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    sets: dict[str, set[str]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    deps: dict[int, list[int]] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    since: str = ""  # up to here the events are those of a former version

    @property
    def trimmed(self) -> str:
        """The highest id that was ever cut from the log, '' for none."""
        return self.hashes.get("evmeta", {}).get("trimmed", "")

    def of_type(self, type_: str) -> list[Event]:
        """Return the facts of one type, oldest first."""
        return [event for event in self.events if event.type == type_]

    def subjects(self, type_: str) -> list[str]:
        """Return whom the facts of one type were about, oldest first."""
        return [event.subject for event in self.of_type(type_)]


async def read(connection: Connection, workspace: str, after: str = "") -> Snapshot:
    """Read a whole workspace in one atom; of its log only what is behind a position."""
    start, found = prefix(workspace), Snapshot()
    pattern = start.replace("{", "\\{").replace("}", "\\}") + "*"
    for key, type_, content in await connection.command(
        "EVAL", _READ, 0, pattern, EVENTS_READ, f"({after}" if after else "-"
    ):
        if key.decode() != f"{start}audit":  # the head of the audit moves behind the log; the record judges it
            _add(found, key.decode().removeprefix(start), type_.decode(), content)
    return found


async def check(connection: Connection, workspace: str, since: str = "") -> Snapshot:
    """Read a whole workspace and return it; events up to `since` may carry what a former version gave them.

    Raises:
        AssertionError: something that must always hold does not; it names every such thing.
    """
    found = await read(connection, workspace)
    found.since = since
    wrong = problems(found)
    assert not wrong, "\n".join(wrong)
    return found


def problems(found: Snapshot) -> list[str]:
    """Return in words everything that must hold and does not."""
    return [*problems_now(found, set(found.subjects("task.completed"))), *_history(found)]


def problems_now(found: Snapshot, once_completed: set[str]) -> list[str]:
    """Return what must hold of a workspace and does not, given which tasks were ever completed."""
    return [
        *_indexes(found),
        *_rows(found),
        *_dependencies(found, once_completed),
        *_presence(found),
        *_cursors(found),
        *_letters(found),
        *_webhooks(found),
        *_seams(found),
        *_events(found),
    ]


def _add(found: Snapshot, tail: str, type_: str, content: list[Any]) -> None:
    name, _, rest = tail.partition(":")
    match name, type_:
        case "task", "hash":
            fields = _pairs(content)
            found.tasks[int(rest)] = msgspec.msgpack.decode(fields["row"], type=Row)
            found.stored[int(rest)] = Stored(*(fields.get(name) for name in Stored._fields))  # type: ignore[arg-type]
            found.deps[int(rest)] = [int(n) for n in fields.get("deps", b"").split()]
        case "idem", "hash":
            found.keys = set(_pairs(content))
        case _, "string" if name in {"done", "ls", "sent"} or name.startswith("meta"):
            _add_text(found, name, content)
        case "waits" | "stuck" | "freeing", "set":
            found.sets[tail] = {member.decode() for member in content}
        case "inst", "hash":
            found.instances[rest] = _texts(content)
        case _, "hash" if name.startswith("meta"):
            found.meta = _texts(content)
        case _, "hash" if name in HASHES:
            found.hashes[tail] = _texts(content)
        case "ev", "stream":
            found.events = [_event(position, fields) for position, fields in content]
        case _, "zset":
            found.indexes[tail] = {member: int(float(score)) for member, score in _texts(content).items()}
        case _:
            found.unknown.append(f"{type_} {tail}")


def _add_text(found: Snapshot, name: str, content: Any) -> None:
    """Take the bits of what is done; older names of `meta`, and `ls:all`, hold a text that keeps older formats out."""
    if name == "done":
        found.done = {at * 8 + bit for at, byte in enumerate(content) for bit in range(8) if byte & (128 >> bit)}


def _pairs(flat: list[bytes]) -> dict[str, bytes]:
    return {key.decode(): value for key, value in zip(flat[::2], flat[1::2], strict=True)}


def _texts(flat: list[bytes]) -> dict[str, str]:
    return {key: value.decode() for key, value in _pairs(flat).items()}


def _event(position: bytes, flat: list[bytes]) -> Event:
    fields = _pairs(flat)
    raw = fields["payload"]
    type_, subject, actor = (fields[name].decode() for name in ("type", "subject", "actor"))
    return Event(position.decode(), type_, subject, actor, json.loads(raw), raw)


def rank(row: Row, n: int) -> int:
    """Return the place of a task in its queue: priority first, then age."""
    return (100 - row.priority) * 2**46 + n


def _places(n: int, row: Row) -> Iterator[tuple[str, int]]:
    yield f"ls:{row.status}:created", n
    yield f"ls:{row.status}:updated", row.updated_ms
    yield f"ls:{row.status}:priority", rank(row, n)
    if row.owner:
        yield f"own:{row.owner}", n
    if row.owner and row.status in {"pending", "in_progress"}:
        yield f"held:{row.owner}", rank(row, n)
    if row.owner and row.status == "pending":
        yield f"reserved:{row.owner}", rank(row, n)
    if row.status == "pending" and not row.owner and not row.waiting:
        yield f"ready:{row.sig}", rank(row, n)
        for denied in row.deny:
            yield f"denied:{row.sig}:{denied}", rank(row, n)
    if row.lease_ms:
        yield "lease", row.lease_ms
    if row.status in {"completed", "failed"}:
        yield "finished", row.finished_ms
    if row.dead:
        yield "dead", row.finished_ms


def _indexes(found: Snapshot) -> Iterator[str]:
    wanted: Index = defaultdict(dict)
    for n, row in found.tasks.items():
        for place, score in _places(n, row):
            wanted[place][str(n)] = score
    kept = {key: index for key, index in found.indexes.items() if key.partition(":")[0] not in NO_INDEX}
    for key in sorted({*wanted, *kept}):
        if wanted.get(key, {}) != kept.get(key, {}):
            yield f"{key} holds {kept.get(key, {})}, the rows say {wanted.get(key, {})}"
    sizes = {key.removeprefix("ready:"): str(len(index)) for key, index in wanted.items() if key.startswith("ready:")}
    if sizes != (sigs := found.hashes.get("sigs", {})):
        yield f"sigs holds {sigs}, the rows say {sizes}"
    yield from (f"unknown key {key}" for key in found.unknown)
    if found.keys != found.indexes.get("idemage", {}).keys():
        yield f"the keys {found.keys} and their ages {found.indexes.get('idemage')} are not the same"


def _rows(found: Snapshot) -> Iterator[str]:
    for n, row in found.tasks.items():
        ended = row.status in {"completed", "failed"}
        rules = {
            "is in progress, nobody's and without a lease": row.status != "in_progress" or row.owner or row.lease_ms,
            "is in somebody's hands and waits": row.status != "in_progress" or not row.waiting,
            "is marked done exactly when it is completed": (row.status == "completed") == (n in found.done),
            "has a lease and is not in progress": not row.lease_ms or row.status == "in_progress",
            "has an end exactly when it ended": bool(row.finished_ms) == ended,
            "is a dead letter that did not fail": not row.dead or row.status == "failed",
            "took between none and all its attempts": 0 <= row.attempts <= row.max_attempts,
            "was begun at least once": row.status != "in_progress" or row.attempts >= 1,
            "is denied to at most eight, each once": len(set(row.deny)) == len(row.deny) <= 8,
            "has a number that was given out": n <= int(found.meta.get("seq", 0)),
        }
        yield from (f"t-{n} breaks `{rule}`: {row}" for rule, holds in rules.items() if not holds)


def _dependencies(found: Snapshot, once_completed: set[str]) -> Iterator[str]:
    """Check that each task counts what it waits for, and that each dependency is settled or noted as not yet.

    Whom a completed task has freed stays free, also when that task is to be done again.
    """
    for n, row in found.tasks.items():
        waits = [each for each in found.deps[n] if str(n) in found.sets.get(f"waits:{each}", set())]
        stuck = [each for each in found.deps[n] if str(n) in found.sets.get(f"stuck:{each}", set())]
        if (row.waiting, row.blocked) != (len(waits) + len(stuck), len(stuck)):
            yield f"t-{n} counts {row.waiting} and {row.blocked}; it waits for {waits} and is stuck behind {stuck}"
        unsettled = {int(each) for each in found.sets.get("freeing", set())}
        for each in set(found.deps[n]) - unsettled:
            status = "completed" if each in found.done else found.tasks[each].status if each in found.tasks else "gone"
            place = "" if status == "completed" else "stuck" if status in {"failed", "gone"} else "waits"
            freed = f"t-{each}" in once_completed and each not in waits and each not in stuck
            if not freed and (each in waits, each in stuck) != (place == "waits", place == "stuck"):
                yield f"t-{n} depends on t-{each}, which is {status}, and stands in {waits} and {stuck}"
    for key, members in found.sets.items():
        yield from (
            f"{key} holds t-{n}, which is not stored" for n in members if key != "freeing" and int(n) not in found.tasks
        )


def _presence(found: Snapshot) -> Iterator[str]:
    alive, offline = found.indexes.get("alive", {}), found.indexes.get("offline", {})
    holders = {row.owner for row in found.tasks.values() if row.status in {"pending", "in_progress"}} - {""}
    yield from (f"{i} holds tasks and is not registered" for i in holders - found.instances.keys())
    yield from (f"{i} holds tasks and nobody would notice its death" for i in holders - alive.keys())
    yield from (f"{i} is listed alive and not registered" for i in alive.keys() - found.instances.keys())
    marked = {i for i, record in found.instances.items() if "offline" in record}
    yield from (f"{i} is marked offline and not listed, or listed and not marked" for i in marked ^ offline.keys())
    yield from (f"{i} is neither alive nor offline" for i in found.instances.keys() - alive.keys() - marked)


def _cursors(found: Snapshot) -> Iterator[str]:
    """Check that a group has a cursor in each partition, nothing else has, and the log begins behind its cut."""
    groups = found.hashes.get("groups", {})
    wanted = {f"group:{name}:{p}" for name, count in groups.items() for p in range(max(1, int(count)))}
    kept = {key for key in found.hashes if key.startswith("group:")}
    yield from (f"{key} is a cursor of no group, or lacks" for key in sorted(wanted ^ kept))
    holders = {key.removeprefix("holders:") for key in found.indexes if key.startswith("holders:")}
    yield from (f"the unknown group {name} has holders" for name in sorted(holders - groups.keys()))
    gaps = {f"group:{field}" for field in found.hashes.get("gaps", {})}
    yield from (f"there is a gap of {key}, which is no cursor" for key in sorted(gaps - wanted))
    if found.events and number(found.events[0].position) <= number(found.trimmed):
        yield f"the log begins with {found.events[0].position} and says that it was cut up to {found.trimmed}"


def _webhooks(found: Snapshot) -> Iterator[str]:
    """Check that every webhook is listed, that its group is there while it is on, and that no event has a secret."""
    listed = found.indexes.get("webhooks", {})
    kept = {key.removeprefix("webhook:"): each for key, each in found.hashes.items() if key.startswith("webhook:")}
    if listed.keys() != kept.keys() or len(kept) > WEBHOOKS_MAX:
        yield f"the webhooks are {sorted(kept)}, and {sorted(listed)} are listed"
    on = {f"webhook.{id_}" for id_, each in kept.items() if "off" not in each}
    reading = {name for name in found.hashes.get("groups", {}) if name.startswith("webhook.wh-")}
    if on != reading:
        yield f"the webhooks {sorted(on)} are on, and the groups {sorted(reading)} read for them"
    secrets = [each[name].encode() for each in kept.values() for name in ("secret", "former") if name in each]
    yield from (f"{each.position} holds a secret" for each in found.events for secret in secrets if secret in each.raw)


def _letters(found: Snapshot) -> Iterator[str]:
    """Check that each dead letter has its age, and each retry its place in the queue of its partition."""
    for name in found.hashes.get("groups", {}):
        letters = found.hashes.get(f"dead_events:{name}", {})
        if letters.keys() != found.indexes.get(f"dead_events_age:{name}", {}).keys():
            yield f"the dead letters of {name} and their ages are not the same"
        if len(letters) > LETTERS_MAX:
            yield f"{name} has {len(letters)} dead letters"
        queued = {
            (position, key.rpartition(":")[2])
            for key, index in found.indexes.items()
            if key.startswith(f"retry:{name}:")
            for position in index
        }
        retrying = found.hashes.get(f"retrying:{name}", {})
        if queued != {(position, letter.partition(" ")[0]) for position, letter in retrying.items()}:
            yield f"the retries of {name} and their queues are not the same"


def _seams(found: Snapshot) -> Iterator[str]:
    """Check that each member of a seam has its place, nobody else has, and that a switch is under way or is not."""
    seams = {
        key.partition(":")[2] for key in (*found.hashes, *found.indexes) if key.startswith(("places:", "members:"))
    }
    for name in seams:
        if found.hashes.get(f"places:{name}", {}).keys() != found.indexes.get(f"members:{name}", {}).keys():
            yield f"the members of {name} and their places are not the same"
    for key, word in found.hashes.items():
        if key.startswith("seam:") and (word.get("phase", "steady") == "steady") == bool(word.get("target")):
            yield f"{key} is {word}, neither steady nor on its way"


def _events(found: Snapshot) -> Iterator[str]:
    """Check that each event is declared and carries what its type says."""
    for event in found.events:
        if number(event.position) <= number(found.since):
            continue
        try:
            CATALOGUE.check(event.type, event.raw)
        except ValueError as error:
            yield f"{event.type} at {event.position}: {error}"


def _history(found: Snapshot) -> Iterator[str]:
    """Check the log: epochs never fall, an owner never changes within one, and what is completed stays so."""
    last: dict[str, dict[str, Any]] = {}
    for event in found.events:
        if not event.type.startswith("task.") or event.type in {"task.deleted", "task.blocked"}:
            continue
        now, before = event.payload, last.get(event.subject)
        last[event.subject] = now
        if before is None and not found.trimmed:
            if event.type != "task.created" or now["epoch"] != 0:
                yield f"{event.subject} begins with {event.type} at epoch {now['epoch']}"
        elif before is None:
            continue
        elif before["status"] in {"completed", "failed"} and event.type not in EDITS:
            yield f"{event.subject} was {before['status']}, then came {event.type}"
        elif now["assignedTo"] != before["assignedTo"] and now["epoch"] <= before["epoch"]:
            yield f"{event.subject} changed hands in {event.type}, but epoch {before['epoch']} became {now['epoch']}"
        elif now["epoch"] < before["epoch"]:
            yield f"the epoch of {event.subject} fell from {before['epoch']} to {now['epoch']}"
    yield from _agreement(found, last)


def _agreement(found: Snapshot, last: dict[str, dict[str, Any]]) -> Iterator[str]:
    for n, row in found.tasks.items():
        told = last.get(f"t-{n}", {})
        known = (row.status, row.owner, row.epoch, row.attempts)
        if found.trimmed and not told:
            continue
        if known != (told.get("status"), told.get("assignedTo"), told.get("epoch"), told.get("attempts")):
            yield f"t-{n} is {known}, its last event says {told}"
