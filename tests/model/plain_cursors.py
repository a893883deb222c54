"""The log and its cursors in plain Python: lists and dictionaries, one process, no script."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from claudebench.events.cursor import LEASE_MAX_MS, Mark
from claudebench.events.position import number

Refusal = Literal["unknown", "stale", "served"]
CUT_SHARE, STEP = 2_000, 200


def before(one: str, other: str) -> bool:
    """Whether a position lies before another; '' lies before all."""
    return (one != "", number(one)) < (other != "", number(other))


@dataclass(slots=True)
class Kept:
    """A cursor as it is stored."""

    position: str
    holder: str = ""
    fence: int = 0
    until_ms: int = 0
    epoch: int | None = None
    is_live: bool = False


@dataclass(slots=True)
class PlainCursors:
    """One workspace. `told` are the gaps that were told, oldest first."""

    now_ms: int
    cap: int
    log: list[str] = field(default_factory=list)
    trimmed: str = ""
    groups: dict[str, int] = field(default_factory=dict)
    cursors: dict[tuple[str, int], Kept] = field(default_factory=dict)
    holders: dict[str, dict[str, int]] = field(default_factory=dict)
    gaps: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)
    told: list[tuple[str, int, str, str]] = field(default_factory=list)

    def append(self, position: str) -> None:
        """Take a fact that the log wrote at a position; one in ten looks at the cap."""
        self.log.append(position)
        if position.endswith("0") and len(self.log) > self.cap:
            self.cut(len(self.log) - self.cap + self.cap // CUT_SHARE)

    def cut(self, count: int) -> None:
        """Let the oldest go."""
        self.trimmed = self.log[count - 1]
        del self.log[:count]

    def register(self, group: str, partitions: int, start: str) -> None:
        """Let a group begin, if it is new."""
        if group in self.groups:
            return
        begin = {"": self.trimmed or "0-0", "$": self.log[-1] if self.log else "0-0"}.get(start, start)
        self.groups[group] = partitions
        self.cursors |= {(group, p): Kept(begin) for p in range(partitions)}

    def is_outdated(self, epoch: int | None) -> bool:  # noqa: ARG002 - for the models that have a seam
        """Whether what was taken under an epoch counts no more."""
        return False

    def take(
        self,
        group: str,
        holder: str,
        lease_ms: int,
        epoch: int | None = None,
        *,
        live: bool = False,
        whole: bool = False,
    ) -> Refusal | tuple[int, list[tuple[int, str, int]]]:
        """Give a holder its share."""
        partitions = self.groups.get(group, 0)
        if not partitions:
            return "unknown"
        if self.is_outdated(epoch):
            return "stale"
        longest_ms = self.now_ms + LEASE_MAX_MS
        living = {h: until for h, until in self.holders.get(group, {}).items() if self.now_ms < until <= longest_ms}
        self.holders[group] = {**living, holder: self.now_ms + lease_ms}
        share = -(-partitions // len(self.holders[group]))
        all_ = {p: self.cursors[group, p] for p in range(partitions)}
        mine = [p for p, kept in all_.items() if kept.holder == holder and not self.is_outdated(kept.epoch)]
        if whole:
            share = partitions
            if not all(p in mine or self.is_free(kept) for p, kept in all_.items()):
                mine, share = [], 0
        for p, kept in all_.items():
            if p in mine:
                continue
            if self.is_free(kept):
                if len(mine) < share:
                    kept.fence += 1
                    kept.position = self.log[-1] if kept.is_live and self.log else kept.position
                    mine.append(p)
            else:
                kept.until_ms = min(kept.until_ms, longest_ms)
        share = partitions if whole else share
        for p in mine:
            all_[p].holder, all_[p].until_ms = holder, self.now_ms + lease_ms
            all_[p].epoch, all_[p].is_live = epoch, live
        return share, [(p, all_[p].position, all_[p].fence) for p in mine]

    def is_free(self, kept: Kept) -> bool:
        """Tell whether anybody may take it."""
        return not kept.holder or self.is_outdated(kept.epoch) or kept.until_ms <= self.now_ms

    def holds(self, group: str, partition: int, holder: str, fence: int) -> Kept | None:
        """Return the cursor, if it is held so."""
        kept = self.cursors.get((group, partition))
        if kept is None or self.is_outdated(kept.epoch):
            return None
        return kept if (kept.holder, kept.fence) == (holder, fence) else None

    def commit(self, mark: Mark, lease_ms: int) -> Refusal | None:
        """Move a cursor on."""
        kept = self.holds(mark.group, mark.partition, mark.holder, mark.fence)
        if kept is None:
            return "stale"
        self.process(mark)
        kept.until_ms = self.now_ms + lease_ms
        return None

    def process(self, mark: Mark) -> bool:
        """Mark a position as processed; return whether it was not."""
        kept = self.cursors[mark.group, mark.partition]
        is_new = before(kept.position, mark.position)
        kept.position = mark.position if is_new else kept.position
        return is_new

    def release(self, mark: Mark) -> None:
        """Let one go."""
        if kept := self.holds(mark.group, mark.partition, mark.holder, mark.fence):
            if mark.position:
                self.process(mark)
            kept.holder, kept.until_ms, kept.is_live = "", 0, False

    def leave(self, group: str, holder: str) -> None:
        """Let all go."""
        self.holders.get(group, {}).pop(holder, None)
        for (name, _), kept in self.cursors.items():
            if name == group and self.groups[group] and kept.holder == holder:
                kept.holder, kept.until_ms = "", 0

    def note(self, group: str, holder: str, term: int, position: str) -> Refusal | None:
        """Take a position that lives elsewhere."""
        kept = self.cursors.get((group, 0))
        if kept and kept.fence > term:
            return "stale"
        self.groups.setdefault(group, 0)
        self.cursors[group, 0] = Kept(position, holder, term)
        return None

    def gap(self, group: str, partition: int, after: str, to: str) -> None:
        """Note a gap; a new one is told."""
        noted = self.gaps.get((group, partition))
        self.gaps[group, partition] = (noted[0] if noted else after, to)
        if not noted:
            self.told.append((group, partition, after, to))

    def acknowledge(self, group: str) -> Refusal | int:
        """Take the gaps of a group back; the cursors that had one stand behind it."""
        if group not in self.groups:
            return "unknown"
        gone = [key for key in self.gaps if key[0] == group]
        for key in gone:
            del self.gaps[key]
            kept = self.cursors[key]
            kept.position = max(kept.position, self.trimmed, key=number)
        return len(gone)

    def end(self, group: str) -> Refusal | int:
        """Forget a group that nobody serves; return how many partitions it had."""
        if group not in self.groups:
            return "unknown"
        held = [kept.until_ms for (name, _), kept in self.cursors.items() if name == group and kept.holder]
        if any(self.now_ms < each <= self.now_ms + LEASE_MAX_MS for each in (*held, *self._sharing(group))):
            return "served"
        partitions = self.groups[group]
        self.drop(group)
        return partitions

    def _sharing(self, group: str) -> list[int]:
        """Return until when each counts that shares a group."""
        return list(self.holders.get(group, {}).values())

    def drop(self, group: str) -> bool:
        """Forget a group."""
        self.cursors = {key: kept for key, kept in self.cursors.items() if key[0] != group}
        self.gaps = {key: gap for key, gap in self.gaps.items() if key[0] != group}
        self.holders.pop(group, None)
        return self.groups.pop(group, None) is not None

    def overtaken(self) -> list[tuple[str, int, str]]:
        """Return the cursors that the cut overtook, with where they stand."""
        return [
            (group, p, self.cursors[group, p].position)
            for group, partitions in self.groups.items()
            for p in range(partitions)
            if before(self.cursors[group, p].position, self.trimmed)
        ]

    def trim(self, events_max: int) -> int:
        """Let go what is too much and was handled by all."""
        lowest = min((kept.position for kept in self.cursors.values()), key=number, default=None)
        may_go = [
            each for each in self.log[: max(0, len(self.log) - events_max)] if not lowest or not before(lowest, each)
        ]
        gone = min(STEP, len(may_go))
        if gone:
            self.cut(gone)
        return gone
