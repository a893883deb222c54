"""An event as the projector reads it from the log, and positions as numbers: as text they have no order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Position = tuple[int, int]
START: Position = (0, 0)
_WRITTEN = [b"type", b"subject", b"actor", b"at", b"payload", b"meta"]


class Entry(NamedTuple):
    """One entry of the log."""

    ms: int
    seq: int
    type: str
    subject: str
    actor: str
    at_ms: int
    payload: bytes
    meta: bytes

    @property
    def id(self) -> str:
        """Its position, as the log names it."""
        return f"{self.ms}-{self.seq}"

    @property
    def position(self) -> Position:
        """Its position as numbers."""
        return self.ms, self.seq


def read_entry(id_: bytes, fields: Sequence[bytes]) -> Entry:
    """Return an entry as the store answers it."""
    ms, _, seq = id_.partition(b"-")
    if fields[:12:2] == _WRITTEN:
        type_, subject, actor, at, payload, meta = fields[1:12:2]
    else:
        named = dict(zip(fields[::2], fields[1::2], strict=True))
        type_, subject, actor, at, payload, meta = (named[name] for name in _WRITTEN)
    return Entry(int(ms), int(seq), type_.decode(), subject.decode(), actor.decode(), int(at), payload, meta)


def position_of(id_: str) -> Position:
    """Return a position as numbers; '' is before all."""
    ms, _, seq = id_.partition("-")
    return (int(ms), int(seq)) if ms else START


def id_of(position: Position) -> str:
    """Return a position as text; the start is ''."""
    return f"{position[0]}-{position[1]}" if position != START else ""


def text_of(raw: bytes) -> str:
    """Return what the log holds as text that every database takes."""
    return clean(raw.decode("utf-8", "replace"))


def clean(text: str) -> str:
    """Return a text as every database takes it: PostgreSQL knows no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in text else text
