"""What was done to a chain of the audit, as far as its rows, its keys and its head in the store can tell.

Rows are fed in the order of `seq`, in as many portions as one likes. A row follows when its mac is right behind the mac
of the row before it. One that does not is a suspect until the end: it may have been altered, or it is whole and stands
at another place, or only the row before it is wrong. What cannot be told apart is named by what is seen, and a stretch
of rows that do not follow is one finding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from claudebench.record.audit import AHEAD_MAX, NO_ROW, Head, Row, Span, head_of, in_force, mac

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from claudebench.record.audit_key import Keys

Kind = Literal["altered", "dropped", "inserted", "moved", "cut", "rewritten", "key", "ahead", "headless", "unchecked"]
SUSPECTS_MAX, PAIRED_MAX, SHIFTS_MAX = 10_000, 64, 8
FINDINGS_MAX = 100


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with the rows `seq` to `to`."""

    kind: Kind
    seq: int
    to: int
    message: str


@dataclass(slots=True)
class _Suspect:
    """A row that does not follow; `seq` is where it would stand if nothing was shifted, `before` what it may follow."""

    row: Row
    seq: int
    before: tuple[str, ...]


@dataclass(slots=True)
class Chain:
    """A chain that is looked at; begins at row `after.seq + 1`, behind `after.mac`.

    `spans` are the keys that signed it, as far as the store has seen them.
    """

    keys: Keys
    workspace: str
    after: Head = NO_ROW
    head: Head | None = None
    spans: Sequence[Span] = ()
    rows: int = 0
    last: int = 0
    _before: tuple[str, ...] = ()
    _shift: int = 0
    _good: Head = NO_ROW
    _found: list[Finding] = field(default_factory=list)
    _suspects: list[_Suspect] = field(default_factory=list)
    _many: int = 0
    _at_head: Row | None = None
    _key: str = ""
    _left: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Stand behind the row before the first."""
        self._before, self._good, self.last = (self.after.mac,), self.after, self.after.seq

    def feed(self, rows: Iterable[Row]) -> None:
        """Look at the next rows."""
        for row in rows:
            self._look(row)

    def _look(self, row: Row) -> None:
        self.rows += 1
        if self.head and row.seq == self.head.seq:
            self._at_head = row
        if row.seq > self.last + 1:
            self._miss(self.last + 1, row.seq - 1)
            self._before = ()
        elif row.seq <= self.last:
            self._add("inserted", row.seq, row.seq, f"row {row.seq} stands there again")
        if self._key not in {"", row.key}:
            self._left.add(self._key)
        self._key = row.key
        secret = self.keys.secrets.get(row.key)
        if secret is None:
            self._foreign(row)
            macs: tuple[str, ...] = ()
        else:
            macs = self._judge(secret, row)
        self.last = max(self.last, row.seq)
        self._before = tuple(dict.fromkeys((row.mac, *macs)))

    def _judge(self, secret: bytes, row: Row) -> tuple[str, ...]:
        """Return what the mac of a row should be, as far as that can be known; note it when it is not that."""
        seq = row.seq - self._shift
        macs = tuple(mac(secret, self.workspace, before, row, seq) for before in self._before)
        if row.mac in macs or not self._before:  # without a row before it, which is found already, it cannot be judged
            self._good = Head(seq, row.id, row.mac, row.key)
            return ()
        if self._is_shifted(secret, row):
            return ()
        self._many += 1
        if len(self._suspects) < SUSPECTS_MAX:
            self._suspects.append(_Suspect(row, seq, self._before))
        return macs

    def _is_shifted(self, secret: bytes, row: Row) -> bool:
        """Tell whether a row is whole and only numbered anew, since others were put in, or taken out, before it."""
        seq = self._good.seq + 1
        if seq != row.seq - self._shift and mac(secret, self.workspace, self._good.mac, row, seq) == row.mac:
            self._forget_suspects(seq + self._shift, row.seq)
            self._add("inserted", seq + self._shift, row.seq - 1, "rows that belong to nothing stand here")
            return self._shifted(row, seq)
        for more in range(1, SHIFTS_MAX):
            seq = row.seq - self._shift + more
            if any(mac(secret, self.workspace, before, row, seq) == row.mac for before in self._before):
                self._forget_suspects(self._good.seq + self._shift + 1, row.seq)
                self._add("dropped", row.seq - 1, row.seq - 1, f"{more} before this row, and the rest numbered anew")
                return self._shifted(row, seq)
        return False

    def _shifted(self, row: Row, seq: int) -> bool:
        self._shift = row.seq - seq
        self._good = Head(seq, row.id, row.mac, row.key)
        return True

    def _forget_suspects(self, first: int, behind: int) -> None:
        kept = [each for each in self._suspects if not first <= each.row.seq < behind]
        self._many -= len(self._suspects) - len(kept)
        self._suspects = kept

    def _miss(self, first: int, to: int) -> None:
        self._add("dropped", first, to, "rows are missing")

    def _foreign(self, row: Row) -> None:
        if row.key in self.keys.lost and not self._is_past(row):
            self._add("unchecked", row.seq, row.seq, f"signed with the key {row.key}, which is lost")
            return
        if row.key in self.keys.lost:
            self._add("key", row.seq, row.seq, f"it names the key {row.key}, which is lost and was not in use here")
            return
        where = self.keys.source or "the file"
        self._add("key", row.seq, row.seq, f"signed with the key {row.key[:16]}, which is not in {where}")

    def _is_past(self, row: Row) -> bool:
        """Tell whether a lost key was not in use at a row: the store has seen another, or knows none and it came back.

        Else whoever may write to the table could name it under any row, and have none of them checked.
        """
        used = in_force(self.spans, row.seq)
        return used != row.key if used else row.key in self._left

    def _add(self, kind: Kind, first: int, to: int, message: str) -> None:
        """Note a finding; one that goes on from the last of its kind makes that longer."""
        last = self._found[-1] if self._found else None
        if last and (last.kind, last.message) == (kind, message) and last.to + 1 == first:
            self._found[-1] = msgspec.structs.replace(last, to=to)
        elif len(self._found) < FINDINGS_MAX:
            self._found.append(Finding(kind, first, to, message))

    @property
    def end(self) -> Head:
        """Where a next portion begins: behind the newest row, as it stands."""
        return Head(self.last, "", self._before[0] if self._before else "", "")

    def see(self, row: Row | None) -> None:
        """Take the row that stands where the head is, when it is not among those that are fed."""
        self._at_head = row

    def findings(self, *, whole: bool = True) -> list[Finding]:
        """Return what was found, by row; with `whole` the end of the chain was fed and is held against the head."""
        found = [*self._found, *self._of_suspects(), *(self._of_head() if whole else ())]
        return sorted(found, key=lambda each: (each.seq, each.to))[:FINDINGS_MAX]

    def _of_suspects(self) -> Iterator[Finding]:
        if self._many and self._many == self.rows and self.after.seq == 0 and self.rows > 1:
            yield Finding("rewritten", 1, self.last, "no row is signed with the key that it names")
            return
        moved = self._moved() if len(self._suspects) <= PAIRED_MAX else {}
        for suspect in self._suspects:
            if suspect.row.seq in moved and (place := moved[suspect.row.seq]) != suspect.row.seq:
                yield Finding("moved", suspect.row.seq, suspect.row.seq, f"this is row {place}")
        left = [each for each in self._suspects if each.row.seq not in moved]
        if all(seq == place for seq, place in moved.items()):
            left = self._suspects
        for first, to in _stretches([each.row.seq for each in left]):
            yield Finding("altered", first, to, "not what was signed here behind the row before")

    def _moved(self) -> dict[int, int]:
        """Return for each suspect that is whole the place where it belongs, which may be its own."""
        macs = tuple(each.row.mac for each in self._suspects)
        found: dict[int, int] = {}
        for suspect in self._suspects:
            secret = self.keys.secrets[suspect.row.key]
            for place in self._suspects:
                before = dict.fromkeys((*place.before, *macs))
                if any(mac(secret, self.workspace, each, suspect.row, place.seq) == suspect.row.mac for each in before):
                    found[suspect.row.seq] = place.row.seq
        return found

    def _of_head(self) -> Iterator[Finding]:
        if self.head is None:
            if self.last > AHEAD_MAX:
                yield Finding("headless", 1, self.last, "the store holds no head of this chain")
            return
        head = self.head
        if head.key and not self.keys.knows(head.key):
            yield Finding("key", head.seq, head.seq, f"the head was signed with the key {head.key[:16]}, not here")
        if head.seq > self.last:
            yield Finding("cut", self.last + 1, head.seq, "the store has seen these rows, and they are gone")
        elif self._at_head and head_of(self._at_head) != head:
            yield Finding("rewritten", head.seq, head.seq, "another row than the store has seen here")
        if self.last - head.seq > AHEAD_MAX:
            yield Finding("ahead", head.seq + 1, self.last, "more rows than one batch that the store has not seen")


def _stretches(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Join numbers that follow each other."""
    first = last = 0
    for number in numbers:
        if first and number != last + 1:
            yield first, last
            first = 0
        first, last = first or number, number
    if first:
        yield first, last
