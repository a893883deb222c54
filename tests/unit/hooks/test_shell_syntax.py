"""The tree of a text: bounded, and safe whatever the text is."""

from __future__ import annotations

import random

import pytest

from claudebench.hooks.shell import LINE_BYTES_MAX, parse
from claudebench.hooks.shell.syntax import tree

CRASHED = (
    "&& ` \\ |rm -rf /~; A=1 \ufeffsudo ) node -e # \u202e\t\n ",
    "xargs  \t bash -c (( node -e find . -exec  \u00e9 \t ",
)


@pytest.mark.parametrize("piece", CRASHED)
@pytest.mark.parametrize("size", [300, 1_000, 5_000, 14_100, 14_700, LINE_BYTES_MAX])
def test_a_bound_within_a_character_ends_nothing(piece: str, size: int) -> None:
    """A text that is given up while the lexer stands in the middle of a character is a doubt, not the server's end."""
    text = (piece * (size // len(piece) + 1))[: size // 2]

    assert parse(text).unsure


@pytest.mark.parametrize(
    "line", [") A=1 " * 300, ") A=1", "f() { f|f& };A=1  eval  &&A=1 ((fi f() { f|f& }; \t =&&echo `"]
)
def test_assignments_in_the_wrong_place_are_a_doubt(line: str) -> None:
    """An assignment that the grammar finds where none can be is a reason for doubt, not for an error."""
    assert parse(line).unsure


def test_characters_of_every_width_are_read_at_every_boundary() -> None:
    """Characters of one to four bytes lie across each boundary of the chunks that the lexer is given."""
    chance = random.Random(3)
    for shift in range(300):
        text = (
            "a" * shift
            + " (("
            + "".join(chance.choice(["\u00e9", "\u20ac", "\U0001f600", ") ", "a|", "`"]) for _ in range(2_000))
        )
        source = text.encode()[: LINE_BYTES_MAX // 2].decode(errors="ignore").encode()
        tree(source)
