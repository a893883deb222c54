"""Bytes on the wire: what we frame ourselves, read by others' parsers."""

from __future__ import annotations

import json

import msgspec
import pytest
from websockets.frames import Opcode
from websockets.protocol import CLIENT, OPEN, Protocol

from claudebench.events.model import Event
from claudebench.events.ring import Frame
from claudebench.transports import sse
from claudebench.transports.frames import event
from claudebench.transports.wire import text_frame


def told(payload: bytes) -> Frame:
    """Return an event with a payload as it was written."""
    return Frame(Event(id="7-1", type="x.shop.sold", subject="-", payload=msgspec.Raw(payload), time=""))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_text_frame_of_any_length(size: int) -> None:
    """A client reads the frame whole, as text, and nothing is left over; two in a row are two."""
    client = Protocol(CLIENT, state=OPEN)
    client.receive_data(text_frame(b"x" * size) + text_frame(b"after"))
    first, second = client.events_received()
    assert (first.opcode, first.data, first.fin) == (Opcode.TEXT, b"x" * size, True)  # type: ignore[union-attr]
    assert second.data == b"after"  # type: ignore[union-attr]


def test_an_event_is_one_frame() -> None:
    """The frame of an event holds it under `event`, as JSON."""
    client = Protocol(CLIENT, state=OPEN)
    client.receive_data(event(told(b'{"n":1}')))
    (frame,) = client.events_received()
    found = json.loads(bytes(frame.data))  # type: ignore[union-attr]
    assert (found["type"], found["event"]["id"], found["event"]["payload"]) == ("event", "7-1", {"n": 1})


def test_a_line_break_in_a_payload_breaks_no_block() -> None:
    """A payload that was written over several lines is one line of data, in one chunk."""
    size, _, rest = sse.block(told(b'{"a":\r\n [1,\n 2]}')).partition(b"\r\n")
    block = rest[: int(size, 16)]
    assert rest[int(size, 16) :] == b"\r\n"
    assert block.endswith(b"\n\n")
    name, kind, data = block.decode().rstrip("\n").split("\n")
    assert (name, kind) == ("id: 7-1", "event: x.shop.sold")
    assert json.loads(data.removeprefix("data: "))["payload"] == {"a": [1, 2]}
