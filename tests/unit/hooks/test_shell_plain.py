"""Lines that are read without a tree."""

# ruff: noqa: E501 - a table, a line is a row

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudebench.hooks.shell import parse, reading

WORDS = [
    "a", "rm", "-rf", "src/*.py", "'a b'", '"c d"', "~/x", "'~/y'", '""', "x=y", "12", "%1", "cat", "xargs", "bash", "-c", "'rm x'",
    "sudo", "env", "cd", "read", "echo", "eval", "git", "'$(c)'", '"a;b|c"', "time", "f?", "'a{b,c}'", "./a", "{}", "-I{}", "\\;",
]  # fmt: skip
JOINTS = [" && ", " || ", " | ", "; "]
ENDS = ["", " >o", " 2>&1", " > o", " >>o", " 2>/dev/null", " >&2", " 1> o", ";"]

commands = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)


@st.composite
def plain(draw: st.DrawFn) -> str:
    """A line of plain commands."""
    before = "".join(draw(commands) + draw(st.sampled_from(JOINTS)) for _ in range(draw(st.integers(0, 3))))
    return before + draw(commands) + draw(st.sampled_from(ENDS))


@given(line=plain())
def test_a_plain_line_comes_out_as_with_a_tree(line: str) -> None:
    """Without a tree the same commands are found, and no doubt is lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "read_plain", lambda _: False)
        by_tree = parse(line)

    assert parse(line).commands == by_tree.commands
    assert set(parse(line).unsure) <= set(by_tree.unsure)


@pytest.mark.parametrize("line", ["a", "cd a && ls 'b c'", "ls | head -3; echo done >&2", "git log --oneline > out"])
def test_a_plain_line_needs_no_tree(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tree is asked for a plain line."""
    monkeypatch.setattr("claudebench.hooks.shell.walk.tree", lambda _: None)

    assert not parse(line).unsure
