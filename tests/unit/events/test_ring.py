"""The ring of the newest events."""

from __future__ import annotations

import msgspec

from claudebench.events.model import Event
from claudebench.events.ring import Frame, Ring, portions


def frame(number: int, text: str = "") -> Frame:
    """Return an event at a position."""
    payload = msgspec.Raw(msgspec.json.encode(text))
    return Frame(Event(id=f"{number}-0", type="a.b", subject="-", payload=payload, time=""))


def filled(count: int, frames_max: int = 5, bytes_max: int = 1_000_000, text: str = "") -> Ring:
    """Return a ring into which so many events came."""
    ring = Ring("0-0", frames_max, bytes_max)
    for number in range(1, count + 1):
        ring.append(frame(number, text))
    return ring


def test_it_keeps_the_newest() -> None:
    """The oldest make room; places go on counting, and the floor is the last that went."""
    ring = filled(12)
    assert (ring.begin, ring.end, ring.foot, ring.position) == (7, 12, "7-0", "12-0")
    assert [each.position for each in ring.from_(9)] == ["10-0", "11-0", "12-0"]


def test_it_is_bounded_in_bytes() -> None:
    """Large events are fewer: what is kept stays below the bound and one event."""
    ring = filled(100, frames_max=1_000, bytes_max=50_000, text="x" * 2_000)
    assert 0 < ring.bytes <= 50_000 + frame(1, "x" * 2_000).weight
    assert ring.bytes == sum(each.weight for each in ring.from_(ring.begin))
    assert ring.end == 100


def test_a_position_has_its_place() -> None:
    """The place behind a position is found, whether an event stands there or between two."""
    ring = filled(12)
    assert ring.place_after((7, 0)) == 7
    assert ring.place_after((9, 0)) == 9
    assert ring.place_after((9, 5)) == 9
    assert ring.place_after((12, 0)) == ring.end == 12


def test_a_reset_forgets() -> None:
    """After a reset nothing is kept, and the count of places goes on from where it was."""
    ring = filled(12)
    ring.reset("40-0")
    assert (ring.begin, ring.end, ring.bytes, ring.foot, ring.position) == (12, 12, 0, "40-0", "40-0")
    ring.append(frame(41))
    assert [each.position for each in ring.from_(12)] == ["41-0"]


def test_a_shape_is_made_once() -> None:
    """A frame is put into each shape once, however many it is sent to."""
    made: list[Frame] = []

    def shape(each: Frame) -> bytes:
        made.append(each)
        return each.json

    one = frame(1)
    assert one.shaped(shape) is one.shaped(shape)
    assert made == [one]


def test_portions() -> None:
    """Frames are cut into runs of about so many bytes, none left out; a large one is a run of its own."""
    frames = [frame(n, "x" * 100) for n in range(10)] + [frame(10, "x" * 9_000), frame(11)]
    cut = list(portions(frames, 500))
    assert [each for run in cut for each in run] == frames
    assert all(sum(len(each.json) for each in run[:-1]) < 500 for run in cut)
