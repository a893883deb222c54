"""The audit: who did what to what, when, and how it ended; one chain of rows per workspace, row for row the event log.

A row's `mac` is the HMAC-SHA256, by the key of the installation, of everything in it and of the `mac` before it. So
nobody without the key can alter, drop, insert or move a row unseen, and what one event makes of a chain is always the
same. The newest row, the head, is also noted in the store: it tells when the end of a chain was cut off, and when
somebody who has the key wrote the whole chain anew.

A chain is made in the transaction that moves the projector on, its head is noted after that: between the two a record
may be ahead of the head, by one batch at most (`AHEAD_MAX`).
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.events.model import Trace
from claudebench.record.entry import clean, text_of
from claudebench.telemetry.secret import MASK, is_secret, may_name
from claudebench.telemetry.time import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from claudebench.record.audit_key import Keys
    from claudebench.record.entry import Entry

AHEAD_MAX = 1_000
DETAIL_MAX = 2_048
TEXT_MAX, ITEMS_MAX, DEPTH_MAX = 200, 32, 6
DONE = "done"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Row(msgspec.Struct, frozen=True):
    """One fact of the audit; `detail` is JSON, masked and bounded, `key` the id of the key under `mac`."""

    seq: int
    id: str
    at: str
    actor: str
    role: str
    action: str
    subject: str
    outcome: str
    detail: str
    key: str
    mac: str


class Head(msgspec.Struct, frozen=True):
    """The newest row of a chain."""

    seq: int
    id: str
    mac: str
    key: str


class Span(msgspec.Struct, frozen=True):
    """From the row `seq` on a chain is signed with `key`."""

    seq: int
    key: str


class Standing(msgspec.Struct, frozen=True):
    """What the store holds of a chain: its newest row, and which key has signed from where on."""

    head: Head | None = None
    spans: tuple[Span, ...] = ()

    def key_of(self, seq: int) -> str:
        """Return the key under a row that the store has seen, '' when it has not, or does not know."""
        return in_force(self.spans, seq) if self.head and seq <= self.head.seq else ""


NO_ROW = Head(0, "", "", "")
NOTHING = Standing()


class _Ending(msgspec.Struct):
    outcome: Any = None
    decision: Any = None


_trace = msgspec.json.Decoder(Trace).decode
_ending = msgspec.json.Decoder(_Ending).decode


def head_of(row: Row) -> Head:
    """Return what is noted of a row when it is the newest."""
    return Head(row.seq, row.id, row.mac, row.key)


def in_force(spans: Iterable[Span], seq: int) -> str:
    """Return the key that signs a row, by what the store has seen, '' when it does not know."""
    found = max((each for each in spans if each.seq <= seq), key=lambda each: each.seq, default=None)
    return found.key if found else ""


def rows(
    keys: Keys, workspace: str, after: Head, events: Iterable[Entry], standing: Standing = NOTHING
) -> Iterator[Row]:
    """Yield the rows of events, oldest first, that carry a chain on behind `after`.

    A row that the store has seen, and the record has lost, is made anew with the key that it had.
    """
    seq, before = after.seq, after.mac
    for event in events:
        seq += 1
        key_id, secret = keys.named(standing.key_of(seq))
        told = _told(event, key_id)
        before = _mac(secret, workspace, before, seq, told)
        yield Row(seq, *told, before)


def mac(secret: bytes, workspace: str, before: str, row: Row, seq: int | None = None) -> str:
    """Return the mac of a row behind the mac `before`, as if it stood at `seq` when that is given."""
    own, *told, _ = msgspec.structs.astuple(row)
    return _mac(secret, workspace, before, own if seq is None else seq, told)


def _mac(secret: bytes, workspace: str, before: str, seq: int, told: Sequence[str]) -> str:
    return hmac.digest(secret, _encode(("claudebench.audit.1", workspace, before, seq, *told)), "sha256").hex()


def _told(event: Entry, key_id: str) -> tuple[str, str, str, str, str, str, str, str, str]:
    """Return what a row says of an event, in the order of its fields."""
    role = _role(event.meta) if event.meta else ""
    ending = _outcome(event.payload)
    about = (event.actor, role, event.type, event.subject)
    return (event.id, iso(event.at_ms), *about, ending, detail(event.payload), key_id)


def _role(meta: bytes) -> str:
    if b'"role"' not in meta:
        return ""
    try:
        return _trace(meta).role
    except (msgspec.DecodeError, RecursionError):
        return ""


def _outcome(payload: bytes) -> str:
    """Return how it ended, as the event says it itself; a fact that says nothing of it was done."""
    try:
        ending = _ending(payload)
    except (msgspec.DecodeError, RecursionError):
        return DONE
    told = ending.outcome if isinstance(ending.outcome, str) else ending.decision
    return clean(told[:TEXT_MAX]) if isinstance(told, str) else DONE


def detail(payload: bytes) -> str:
    """Return a payload for the audit: secrets masked by the names of their members, at most `DETAIL_MAX` bytes.

    Of one that is too long its lists and objects are counted, and its other members kept.
    """
    if len(payload) <= DETAIL_MAX and not may_name(payload):
        return text_of(payload)
    try:
        told = _decode(payload)
        short = _encode(_shown(told, 0))
        if len(short) > DETAIL_MAX and isinstance(told, dict):
            counted = {name: _count(each) for name, each in told.items()}
            short = _encode(_shown(counted, 0) | _digest(payload))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        short = b""
    return (short if 0 < len(short) <= DETAIL_MAX else _encode(_digest(payload))).decode()


def _digest(payload: bytes) -> dict[str, Any]:
    return {"bytes": len(payload), "sha256": sha256(payload).hexdigest()}


def _count(value: Any) -> Any:
    if isinstance(value, dict):
        return f"... ({len(value)} members)"
    return f"... ({len(value)} items)" if isinstance(value, list) else value


def _shown(value: Any, depth: int) -> Any:
    """Return a value without its secrets, its long texts cut, its long lists and deep members counted."""
    if isinstance(value, str):
        return value if len(value) <= TEXT_MAX else f"{value[:TEXT_MAX]}... ({len(value)} characters)"
    if isinstance(value, dict):
        if depth == DEPTH_MAX:
            return f"... ({len(value)} members)"
        kept = list(value.items())[:ITEMS_MAX]
        shown = {name[:TEXT_MAX]: MASK if is_secret(name) else _shown(each, depth + 1) for name, each in kept}
        return shown if len(value) <= ITEMS_MAX else {**shown, "...": f"{len(value)} members"}
    if isinstance(value, list):
        if depth == DEPTH_MAX:
            return f"... ({len(value)} items)"
        shown_items = [_shown(each, depth + 1) for each in value[:ITEMS_MAX]]
        return shown_items if len(value) <= ITEMS_MAX else [*shown_items, f"... ({len(value)} items)"]
    return value
