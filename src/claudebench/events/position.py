"""A position: the id of an event in its stream, `<ms>-<n>`. Two are compared as numbers, never as text."""

from __future__ import annotations

Id = tuple[int, int]
BEGINNING = "0-0"
SHAPE = r"^[0-9]{1,16}-[0-9]{1,16}$(?!\n)"


def number(position: str) -> Id:
    """Return a position as what can be compared; '' stands for the beginning."""
    ms, _, rest = position.partition("-")
    return (int(ms), int(rest)) if position else (0, 0)
