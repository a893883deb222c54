"""One workspace's readers: what each is sent while its transport takes and does not take."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from tests.unit.events.test_ring import frame

from claudebench.events import channel as channels
from claudebench.events.channel import Channel, Figures, Gap, Reader
from claudebench.events.patterns import compiled
from claudebench.events.ring import Ring

if TYPE_CHECKING:
    from claudebench.events.log import EventLog
    from claudebench.events.ring import Frame

ALL = compiled(frozenset("*"))


class Transport:
    """Takes bytes until it is full, and notes what it is told."""

    def __init__(self) -> None:
        self.is_full = False
        self.said: list[str] = []

    @staticmethod
    def shape(each: Frame) -> bytes:
        """Write the position."""
        return each.position.encode() + b" "

    def write(self, data: bytes) -> None:
        """Note positions."""
        self.said += data.decode().split()

    def tell_begin(self, position: str) -> None:
        """Note it."""
        self.said.append(f"begin {position}")

    def tell_gap(self, gap: Gap) -> None:
        """Note it."""
        self.said.append(f"gap {gap.begin} {gap.trimmed or gap.last}")

    def cut(self, at: str) -> None:
        """Note it."""
        self.said.append(f"lagged {at}")


@pytest.fixture
def channel() -> Channel:
    """A channel whose ring holds five events; no log is behind it."""
    return Channel("w", cast("EventLog", None), Ring("0-0", 5), Figures(), asyncio.Semaphore(), lambda: None)


def reader(channel: Channel, begin: str = "") -> tuple[Reader, Transport]:
    """Let somebody listen."""
    transport = Transport()
    return channel.add(Reader(transport, ALL, channel), begin), transport


def happen(channel: Channel, *numbers: int) -> None:
    """Let events come."""
    channel.take([frame(n) for n in numbers])


def test_a_full_transport_goes_on_where_it_was(channel: Channel) -> None:
    """What comes while a transport is full is written when it is drained, in order, and nothing twice."""
    one, transport = reader(channel)
    happen(channel, 1, 2)
    transport.is_full = True
    happen(channel, 3)
    happen(channel, 4)
    happen(channel, 5)
    assert transport.said == ["begin 0-0", "1-0", "2-0", "3-0"]
    transport.is_full = False
    one.drained()
    happen(channel, 6)
    assert transport.said[4:] == ["4-0", "5-0", "6-0"]
    assert one.position == "6-0"


def test_too_far_behind_is_lagged(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that was live and is further behind than the bound is cut, and told up to where it has everything."""
    monkeypatch.setattr(channels, "BEHIND_MAX", 3)
    _, transport = reader(channel)
    _, other = reader(channel)
    transport.is_full = True
    happen(channel, 1)
    happen(channel, 2, 3, 4)
    assert transport.said == ["begin 0-0", "1-0"]
    happen(channel, 5)
    assert transport.said[2:] == ["lagged 1-0"]
    assert other.said[1:] == ["1-0", "2-0", "3-0", "4-0", "5-0"]
    assert channel.figures.lagged == 1


def test_who_takes_nothing_for_long_is_lagged(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport that stays full is cut in the end, even where little happens; one that takes is not."""
    monkeypatch.setattr(channels, "STALLED_S", -1.0)
    _, transport = reader(channel)
    _, other = reader(channel)
    transport.is_full = True
    happen(channel, 1)
    channel.cut_stalled()
    assert transport.said[-1] == "lagged 1-0"
    assert other.said[-1] == "1-0"


def test_from_the_ring(channel: Channel) -> None:
    """A position that the ring reaches back to is served from it; one that it has not come to waits for it."""
    reader(channel)
    happen(channel, 1, 2, 3)
    _, transport = reader(channel, "2-0")
    assert transport.said == ["begin 2-0", "3-0"]
    _, ahead = reader(channel, "5-0")
    happen(channel, 4, 5)
    happen(channel, 6)
    assert ahead.said == ["begin 5-0", "6-0"]


def test_a_break_is_told_to_all(channel: Channel) -> None:
    """When the log does not go on, every reader is told the gap and goes on behind it, the full one too."""
    one, transport = reader(channel)
    _, full = reader(channel)
    full.is_full = True
    happen(channel, 1, 2)
    channel.break_off(Gap("2-0", trimmed="8-0"), "8-0")
    happen(channel, 9)
    full.is_full = False
    for each in channel.readers():
        each.drained()
    assert transport.said[1:] == ["1-0", "2-0", "gap 2-0 8-0", "9-0"]
    assert full.said[1:] == ["1-0", "2-0", "gap 2-0 8-0", "9-0"]
    assert one.position == "9-0"


def test_the_last_who_leaves_ends_it() -> None:
    """A channel says when nobody listens any more."""
    ended: list[bool] = []
    channel = Channel(
        "w", cast("EventLog", None), Ring("0-0", 5), Figures(), asyncio.Semaphore(), lambda: ended.append(True)
    )
    one, _ = reader(channel)
    two, _ = reader(channel)
    one.leave()
    assert not ended
    two.leave()
    assert ended


def test_other_patterns_count_from_the_next_event(channel: Channel) -> None:
    """A live reader that wants something else stays live and is sent that."""
    one, transport = reader(channel)
    happen(channel, 1)
    one.want(compiled(frozenset({"c.*"})))
    happen(channel, 2)
    one.want(compiled(frozenset({"a.b"})))
    happen(channel, 3)
    assert transport.said[1:] == ["1-0", "3-0"]
    assert channel.figures.deliveries == 2
