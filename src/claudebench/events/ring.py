"""The newest events of one workspace, encoded, for everybody who listens there.

A place in the ring is a count that only grows: `begin` is the oldest that is kept, `end` the next to come. `floor` is
the position right before `begin`, `last` the one right before `end`; between the two nothing is missing.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import msgspec

from claudebench.events.position import Id, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from claudebench.events.model import Event

FRAMES_MAX = 10_000
BYTES_MAX = 16 * 1_048_576
OVERHEAD = 400  # bytes that a frame takes beside its JSON, which is kept twice: bare and in the shape that is sent
_encode = msgspec.json.Encoder().encode


class Frame:
    """One event as JSON, made once, and in each shape in which it is sent, made once too."""

    __slots__ = ("_shapes", "id", "json", "position", "type")

    def __init__(self, event: Event) -> None:
        """Take and encode an event."""
        self.position = event.id
        self.id = number(event.id)
        self.type = event.type
        self.json = _encode(event)
        self._shapes: dict[Shape, bytes] = {}

    def shaped(self, shape: Shape) -> bytes:
        """Return the bytes to send."""
        found = self._shapes.get(shape)
        if found is None:
            found = self._shapes[shape] = shape(self)
        return found

    @property
    def weight(self) -> int:
        """About how many bytes it takes in memory."""
        return 2 * len(self.json) + OVERHEAD


if TYPE_CHECKING:
    Shape = Callable[[Frame], bytes]


class Ring:
    """At most 10,000 frames and 16 MiB."""

    def __init__(self, last: str, frames_max: int = FRAMES_MAX, bytes_max: int = BYTES_MAX) -> None:
        """Begin empty, behind the position `last`."""
        self._frames: list[Frame | None] = [None] * frames_max
        self._bytes_max = bytes_max
        self.begin = self.end = self.bytes = 0
        self.reset(last)

    def reset(self, last: str) -> None:
        """Forget all, and go on behind the position `last`; the count goes on too."""
        while self.begin < self.end:
            self._drop()
        self.floor = self.last = number(last)
        self.position = last

    def append(self, frame: Frame) -> None:
        """Add the next event; the oldest make room."""
        while self.end - self.begin >= len(self._frames) or (self.bytes > self._bytes_max and self.end > self.begin):
            self._drop()
        self._frames[self.end % len(self._frames)] = frame
        self.end += 1
        self.bytes += frame.weight
        self.last, self.position = frame.id, frame.position

    def from_(self, place: int) -> Iterator[Frame]:
        """Yield the frames at `place` and after it; it must be in the ring."""
        size = len(self._frames)
        for at in range(place, self.end):
            frame = self._frames[at % size]
            assert frame
            yield frame

    @property
    def foot(self) -> str:
        """The floor as it is written."""
        return "{}-{}".format(*self.floor)

    def place_after(self, position: Id) -> int:
        """Return the place of the first event behind a position that is not below `floor`."""
        return self.begin + bisect_right(_Ids(self), position)

    def _drop(self) -> None:
        at = self.begin % len(self._frames)
        frame = self._frames[at]
        assert frame
        self._frames[at] = None
        self.begin += 1
        self.bytes -= frame.weight
        self.floor = frame.id


class _Ids:
    """The ids of a ring, in order, for `bisect`."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring

    def __len__(self) -> int:
        return self._ring.end - self._ring.begin

    def __getitem__(self, at: int) -> Id:
        return next(self._ring.from_(self._ring.begin + at)).id


def portions(frames: Iterable[Frame], bytes_max: int) -> Iterator[list[Frame]]:
    """Cut frames into runs of about so many bytes of JSON."""
    run: list[Frame] = []
    size = 0
    for frame in frames:
        run.append(frame)
        size += len(frame.json)
        if size >= bytes_max:
            yield run
            run, size = [], 0
    if run:
        yield run
