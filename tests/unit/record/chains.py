"""Chains of the audit for tests, and what somebody may do to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from claudebench.record.audit import NO_ROW, Head, Row, mac, rows
from claudebench.record.audit_key import Keys, key_id
from claudebench.record.entry import Entry
from claudebench.record.tampering import Chain, Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKSPACE = "default"
TYPES = ("task.created", "task.claimed", "hook.decided", "security.refused", "x.notes.added")
Tampering = Callable[[random.Random, list[Row]], tuple[list[Row], set[str]]]
COLUMNS = Row.__struct_fields__


def keys_of(*texts: bytes) -> Keys:
    """Return keys made of texts, the last in use."""
    found = [text.ljust(32, b".") for text in texts]
    return Keys({key_id(secret): secret for secret in found}, source="audit.key")


KEYS = keys_of(b"the installation's")


def event(n: int) -> Entry:
    """Return the n-th event of a log."""
    payload = {"id": f"t-{n}", "decision": "deny"} if n % 3 == 0 else {"id": f"t-{n}", "text": "é" * (n % 5)}
    return Entry(
        ms=1_772_355_600_000 + n,
        seq=n % 2,
        type=TYPES[n % len(TYPES)],
        subject=f"t-{n}",
        actor=f"worker-{n % 4}",
        at_ms=1_772_355_600_000 + n,
        payload=msgspec.json.encode(payload),
        meta=b'{"role":"operator"}' if n % 7 == 0 else b"",
    )


def chain(count: int, keys: Keys = KEYS) -> list[Row]:
    """Return a chain of so many rows."""
    return list(rows(keys, WORKSPACE, NO_ROW, map(event, range(count))))


def look(found: Sequence[Row], head: Head | None, keys: Keys = KEYS, portion: int = 0) -> list[Finding]:
    """Return what is found in a chain, fed whole or in portions."""
    looked = Chain(keys, WORKSPACE, head=head)
    for at in range(0, len(found), portion or max(1, len(found))):
        looked.feed(found[at : at + (portion or len(found))])
    return looked.findings()


# -- what may be done to a chain; each returns another one, and the kinds of finding that name it


def alter(source: random.Random, found: list[Row]) -> tuple[list[Row], set[str]]:
    """Change one column of one row."""
    at, column = source.randrange(len(found)), source.choice(COLUMNS)
    was = getattr(found[at], column)
    now = was + source.choice((1, 2, 1000)) if isinstance(was, int) else _other(source, was)
    changed = msgspec.structs.replace(found[at], **{column: now})
    rest = [*found[:at], changed, *found[at + 1 :]]
    return sorted(rest, key=lambda row: row.seq), {
        "altered",
        "key",
        "inserted",
        "dropped",
        "rewritten",
        "moved",
        "ahead",
    }


def _other(source: random.Random, text: str) -> str:
    at = source.randrange(len(text) + 1)
    grown = f"{text[:at]}{source.choice('aZ0 é')}{text[at:]}"
    return source.choice((grown, text[:-1] or "x", f"{text} ", "" if text else "x"))


def drop(source: random.Random, found: list[Row]) -> tuple[list[Row], set[str]]:
    """Take out one to three rows that are followed by others."""
    count = source.randint(1, min(3, len(found) - 1))
    at = source.randrange(len(found) - count)
    return found[:at] + found[at + count :], {"dropped"}


def drop_and_renumber(source: random.Random, found: list[Row]) -> tuple[list[Row], set[str]]:
    """Take out one to three rows and close the gap in the numbers."""
    left, _ = drop(source, found)
    return _numbered(left), {"dropped", "altered", "cut"}


def insert(source: random.Random, found: list[Row]) -> tuple[list[Row], set[str]]:
    """Put in a row that was made up or is another one's copy, and number the rest anew."""
    at = source.randrange(len(found))
    copy = source.choice(found)
    forged = msgspec.structs.replace(copy, subject="t-999999", mac=source.choice((copy.mac, "0" * 64, found[at].mac)))
    return _numbered([*found[:at], source.choice((copy, forged)), *found[at:]]), {"inserted", "altered", "rewritten"}


def append(source: random.Random, found: list[Row]) -> tuple[list[Row], set[str]]:
    """Put a row behind the last, as if a batch had just been written."""
    copy = source.choice(found)
    return [*found, msgspec.structs.replace(copy, seq=len(found) + 1)], {"altered", "moved"}


def swap(source: random.Random, found: list[Row]) -> tuple[list[Row], set[str]]:
    """Let two rows change places, their numbers too."""
    a, b = source.sample(range(len(found)), 2)
    changed = list(found)
    changed[a] = msgspec.structs.replace(found[b], seq=found[a].seq)
    changed[b] = msgspec.structs.replace(found[a], seq=found[b].seq)
    return changed, {"moved", "rewritten", "inserted"}


def cut_tail(source: random.Random, found: list[Row]) -> tuple[list[Row], set[str]]:
    """Take away the end."""
    return found[: source.randrange(len(found))], {"cut"}


def rewrite_without_key(source: random.Random, found: list[Row]) -> tuple[list[Row], set[str]]:
    """Make the whole chain anew with a key of one's own, which is given the true one's id or its own."""
    own = keys_of(source.randbytes(8))
    fresh = chain(len(found), own)
    if source.random() < 0.5:
        return fresh, {"key"}
    named = [msgspec.structs.replace(row, key=KEYS.current[0]) for row in fresh]
    return _signed(own.current[1], named), {"rewritten", "altered"}


def rewrite_with_key(source: random.Random, found: list[Row]) -> tuple[list[Row], set[str]]:
    """Change one row and make everything behind it anew, with the true key."""
    at = source.randrange(len(found))
    changed = [*found[:at], msgspec.structs.replace(found[at], subject="t-0"), *found[at + 1 :]]
    return _signed(KEYS.current[1], changed), {"rewritten"}


def rewrite_shorter_with_key(source: random.Random, found: list[Row]) -> tuple[list[Row], set[str]]:
    """Leave out a row and make everything behind it anew, with the true key."""
    at = source.randrange(len(found))
    return _signed(KEYS.current[1], _numbered(found[:at] + found[at + 1 :])), {"cut"}


def _numbered(found: list[Row]) -> list[Row]:
    return [msgspec.structs.replace(row, seq=seq) for seq, row in enumerate(found, 1)]


def _signed(secret: bytes, found: list[Row]) -> list[Row]:
    before, signed = "", []
    for row in found:
        before = mac(secret, WORKSPACE, before, row)
        signed.append(msgspec.structs.replace(row, mac=before))
    return signed


TAMPERINGS: tuple[Tampering, ...] = (
    alter,
    drop,
    drop_and_renumber,
    insert,
    append,
    swap,
    cut_tail,
    rewrite_without_key,
    rewrite_with_key,
    rewrite_shorter_with_key,
)
