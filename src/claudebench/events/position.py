"""A position: the id of an event in its stream, `<ms>-<n>`. Two are compared as numbers, never as text."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Id = tuple[int, int]
BEGINNING = "0-0"
SHAPE = r"^\d{1,16}-\d{1,16}$(?!\n)"
SHAPE_OR_NONE = r"^(\d{1,16}-\d{1,16})?$(?!\n)"
Position = Annotated[
    str, Meta(pattern=SHAPE_OR_NONE, description="a position of the log, such as 1700000000000-0, or empty")
]


def number(position: str) -> Id:
    """Return a position as what can be compared; '' stands for the beginning."""
    ms, _, rest = position.partition("-")
    return (int(ms), int(rest)) if position else (0, 0)
