"""Patterns of events."""

from __future__ import annotations

import pytest

from claudebench.errors import InvalidParams
from claudebench.events.patterns import PATTERNS_MAX, compiled

CASES = [
    ("*", "task.created", True),
    ("task.*", "task.created", True),
    ("task.*", "task.dead.letter", True),
    ("task.*", "tasks.created", False),
    ("task.*", "task", False),
    ("task.created", "task.created", True),
    ("task.created", "task.created_late", False),
    ("x.shop.*", "x.shop.sold", True),
    ("x.shop.*", "x.shopping.sold", False),
]
NONE = [
    "",
    "**",
    "task*",
    "*.created",
    "task.",
    ".task",
    "task..created",
    "Task.*",
    "task.created\n",
    "tásk.*",
    "a" * 101,
]


@pytest.mark.parametrize(("pattern", "type_", "wanted"), CASES)
def test_what_a_pattern_wants(pattern: str, type_: str, wanted: bool) -> None:  # noqa: FBT001 - a column of the table
    """A star is all, a kind with a star is all below it, anything else is one type."""
    assert compiled(frozenset({pattern})).match(type_) is wanted
    assert compiled(frozenset({pattern, "hook.asked"})).match(type_) is wanted


@pytest.mark.parametrize("pattern", NONE)
def test_what_is_no_pattern(pattern: str) -> None:
    """What is no pattern is refused, and so are too many."""
    with pytest.raises(InvalidParams):
        compiled(frozenset({pattern}))
    with pytest.raises(InvalidParams):
        compiled(frozenset(f"a.b{n}" for n in range(PATTERNS_MAX + 1)))


def test_equal_patterns_are_one() -> None:
    """Who wants the same shares the same object, so that the same bytes go to all."""
    assert compiled(frozenset({"a.*", "b"})) is compiled(frozenset({"b", "a.*"}))


def test_none_wants_nothing() -> None:
    """No pattern wants no event."""
    assert not compiled(frozenset()).match("task.created")
