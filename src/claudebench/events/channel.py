"""The live end of one workspace's log and who listens there.

A reader is a cursor, not a queue. It is in one of four conditions:

- *live*: it has everything up to the end of the ring. Live readers that want the same get the same bytes.
- *behind*: its transport took no more. It goes on from the ring once it is drained.
- *paging*: what it needs next is no longer in the ring, or never was; it reads the log page by page and then joins.
- *ahead*: it asked to begin at a position that this process has not come to yet.

A reader that was live and is 10,000 events behind, or whose transport took nothing for 30 s, is told `lagged` and cut.
One that pages on its own wish may be as far back as the log reaches.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from claudebench.errors import ClaudeBenchError
from claudebench.events.position import BEGINNING, number
from claudebench.events.ring import FRAMES_MAX, Frame, Ring, portions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from claudebench.events.log import EventLog, Seen
    from claudebench.events.patterns import Patterns
    from claudebench.events.ring import Shape

BEHIND_MAX = FRAMES_MAX
STALLED_S = 30.0
PORTION_BYTES = 65_536
PAGE = 128
PAGES_AT_ONCE = 4
AGAIN_AFTER_S = 0.2


@dataclass(slots=True)
class Figures:
    """What the sockets of this process did since it started."""

    deliveries: int = 0
    lagged: int = 0
    gaps: int = 0
    pages: int = 0  # read from the log, because the ring did not reach back so far


@dataclass(frozen=True, slots=True)
class Gap:
    """Why events behind `begin` cannot be told: everything up to `trimmed` was cut, or the log ends at `last`."""

    begin: str
    trimmed: str = ""
    last: str = ""


class Sink(Protocol):
    """The transport of one reader; nothing here waits."""

    @property
    def shape(self) -> Shape:
        """How its frames look on the wire."""

    @property
    def is_full(self) -> bool:
        """Whether it takes no more for now; it calls `Reader.drained` when it does again."""

    def write(self, data: bytes) -> None:
        """Send shaped frames."""

    def tell_begin(self, position: str) -> None:
        """Say behind which position the events begin that follow."""

    def tell_gap(self, gap: Gap) -> None:
        """Say that events are missing."""

    def cut(self, at: str) -> None:
        """Say that the reader lagged behind, having got everything up to `at`, and end it."""


class Reader:
    """One listener."""

    __slots__ = ("_position", "channel", "full_since", "paging", "patterns", "place", "sink", "was_live")

    def __init__(self, sink: Sink, patterns: Patterns, channel: Channel) -> None:
        """Take the transport and what is wanted."""
        self.sink = sink
        self.patterns = patterns
        self.channel: Channel | None = channel
        self.place = -1  # in the ring, where it is known
        self.was_live = False
        self.full_since = 0.0
        self.paging: asyncio.Task[None] | None = None
        self._position = ""

    @property
    def position(self) -> str:
        """The position up to which it has everything that it wants."""
        channel = self.channel
        return channel.ring.position if channel and channel.is_live(self) else self._position

    def stand_at(self, position: str, place: int = -1) -> None:
        """Note how far it has come, outside the ring or in it."""
        self._position, self.place = position, place

    def want(self, patterns: Patterns) -> None:
        """Take other patterns, from the next event on."""
        if self.channel:
            self.channel.regroup(self, patterns)

    def drained(self) -> None:
        """Go on: the transport takes more."""
        if self.channel and not self.channel.is_live(self):
            self.channel.advance(self)

    def leave(self) -> None:
        """Listen no more."""
        if self.channel:
            self.channel.remove(self)


@dataclass(slots=True)
class Channel:
    """One workspace; it lives as long as it has readers."""

    workspace: str
    log: EventLog
    ring: Ring
    figures: Figures
    pages: asyncio.Semaphore
    on_empty: Callable[[], None]
    live: dict[tuple[Patterns, Shape], set[Reader]] = field(default_factory=dict)
    others: set[Reader] = field(default_factory=set)

    def is_live(self, reader: Reader) -> bool:
        """Whether it has everything that the ring has."""
        return reader in self.live.get((reader.patterns, reader.sink.shape), ())

    def readers(self) -> list[Reader]:
        """Return everybody who listens."""
        return [*self.others, *(each for group in self.live.values() for each in group)]

    def add(self, reader: Reader, begin: str = "", gap: Gap | None = None) -> Reader:
        """Let a reader begin behind a position, or, without one, with what comes next; a gap is that it lies ahead."""
        position = gap.last if gap else begin or self.ring.position
        reader.stand_at(position)
        self.others.add(reader)
        reader.sink.tell_begin(position)
        if gap:
            self.tell_gap(reader, gap)
        if begin:
            self.advance(reader)
        else:
            self._go_live(reader)
        return reader

    def remove(self, reader: Reader) -> None:
        """Forget a reader."""
        reader.stand_at(reader.position)
        self._leave_group(reader)
        self.others.discard(reader)
        reader.channel = None
        if reader.paging:
            reader.paging.cancel()
        if not self.live and not self.others:
            self.on_empty()

    def regroup(self, reader: Reader, patterns: Patterns) -> None:
        """Give a reader other patterns."""
        was_live = self.is_live(reader)
        self._leave_group(reader)
        reader.patterns = patterns
        if was_live:
            self.live.setdefault((patterns, reader.sink.shape), set()).add(reader)

    def take(self, frames: Sequence[Frame]) -> None:
        """Add new events to the ring and send them to whom they are for."""
        for portion in portions(frames, PORTION_BYTES):
            for frame in portion:
                self.ring.append(frame)
            for key, group in list(self.live.items()):
                self._send(key, group, portion)
        for reader in list(self.others):
            self._look_at(reader)

    def break_off(self, gap: Gap, position: str) -> None:
        """Tell everybody that the log does not go on where it ended, and go on behind a position of it."""
        readers = self.readers()
        self.ring.reset(position)
        for reader in readers:
            if reader in self.others:
                reader.stand_at(position)
            self.tell_gap(reader, gap)

    def tell_gap(self, reader: Reader, gap: Gap) -> None:
        """Say that events are missing."""
        self.figures.gaps += 1
        reader.sink.tell_gap(gap)

    def cut_stalled(self) -> None:
        """Cut those whose transport took nothing for too long."""
        long_ago = monotonic() - STALLED_S
        for reader in list(self.others):
            if reader.sink.is_full and reader.full_since < long_ago:
                self._cut(reader)

    def advance(self, reader: Reader) -> None:
        """Send what comes next for a reader, until it is live or its transport is full."""
        ring = self.ring
        if reader.place < 0 and ring.floor <= number(reader.position) <= ring.last:
            reader.place = ring.place_after(number(reader.position))
        while not reader.sink.is_full:
            if reader.place >= ring.begin:
                if reader.place == ring.end:
                    self._go_live(reader)
                    return
                portion = next(portions(ring.from_(reader.place), PORTION_BYTES))
                reader.stand_at(portion[-1].position, reader.place + len(portion))
                self._write(reader, portion)
            else:
                self._page(reader)
                return
        self._fill(reader)

    def _send(self, key: tuple[Patterns, Shape], group: set[Reader], portion: list[Frame]) -> None:
        patterns, shape = key
        wanted = [frame.shaped(shape) for frame in portion if patterns.match(frame.type)]
        if not wanted:
            return
        data = b"".join(wanted)
        self.figures.deliveries += len(wanted) * len(group)
        for reader in group:
            reader.sink.write(data)
        for reader in [each for each in group if each.sink.is_full]:
            self._fall_behind(reader)

    def _write(self, reader: Reader, portion: list[Frame]) -> None:
        shape = reader.sink.shape
        wanted = [frame.shaped(shape) for frame in portion if reader.patterns.match(frame.type)]
        if wanted:
            self.figures.deliveries += len(wanted)
            reader.sink.write(b"".join(wanted))

    def _go_live(self, reader: Reader) -> None:
        self.others.discard(reader)
        reader.was_live = True
        self.live.setdefault((reader.patterns, reader.sink.shape), set()).add(reader)

    def _fall_behind(self, reader: Reader) -> None:
        reader.stand_at(self.ring.position, self.ring.end)
        self._leave_group(reader)
        self.others.add(reader)
        self._fill(reader)

    def _fill(self, reader: Reader) -> None:
        reader.full_since = monotonic()

    def _leave_group(self, reader: Reader) -> None:
        key = (reader.patterns, reader.sink.shape)
        group = self.live.get(key)
        if group:
            group.discard(reader)
            if not group:
                del self.live[key]

    def _look_at(self, reader: Reader) -> None:
        """Cut a reader that is too far behind; let one go on that waited for the ring to come to its position."""
        if reader.was_live and self.ring.end - reader.place > BEHIND_MAX and reader.place >= 0:
            self._cut(reader)
        elif not reader.sink.is_full and not reader.paging:
            self.advance(reader)

    def _cut(self, reader: Reader) -> None:
        self.figures.lagged += 1
        at = reader.position
        self.remove(reader)
        reader.sink.cut(at)

    def _page(self, reader: Reader) -> None:
        if reader.paging or number(reader.position) > self.ring.last:
            return
        reader.paging = asyncio.create_task(self._read_pages(reader), name="socket paging")

    async def _read_pages(self, reader: Reader) -> None:
        """Read the log for a reader until the ring has what comes next, or its transport is full."""
        try:
            while reader.channel and not reader.sink.is_full and number(reader.position) < self.ring.floor:
                try:
                    await self._read_page(reader)
                except ClaudeBenchError:
                    await asyncio.sleep(AGAIN_AFTER_S)
        finally:
            reader.paging = None
        if reader.channel:
            self.advance(reader)

    async def _read_page(self, reader: Reader) -> None:
        """Read one page; the store chooses what is wanted, but for a reader whose place in the ring is to be kept."""
        floor, began = self.ring.foot, reader.position
        chosen = () if reader.was_live or "*" in reader.patterns.patterns else sorted(reader.patterns.patterns)
        async with self.pages:
            page = await self.log.page(self.workspace, began, PAGE, chosen)
        if reader.position != began or not reader.channel:
            return
        self.figures.pages += 1
        if number(page.trimmed) > number(began):
            reader.stand_at(began)
            self.tell_gap(reader, Gap(began, trimmed=page.trimmed))
        self._pass_on(reader, map(Frame, page.events))
        reached = page.next if page.more else max(page.next, floor, key=number)
        if not reader.sink.is_full and number(reader.position) < number(reached):
            reader.stand_at(reached)

    def _pass_on(self, reader: Reader, frames: Iterable[Frame]) -> None:
        for portion in portions(frames, PORTION_BYTES):
            if reader.sink.is_full:
                self._fill(reader)
                return
            place = reader.place + len(portion) if reader.place >= 0 else -1
            reader.stand_at(portion[-1].position, place)
            self._write(reader, portion)


def gap_at(position: str, seen: Seen) -> Gap | None:
    """Return that the log has no event at a position, or None; what was cut behind it shows when it is read."""
    if not seen.lacks(position):
        return None
    return Gap(position, last=seen.newest or seen.trimmed or BEGINNING)
