"""What bash would still see in a text though no node of the tree says so. Each of these is a reason for doubt."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tree_sitter import Node

_LIVE = re.compile(r"(?<!\\)(?:\\\\)*(?:`|\$\()")
_OPERATOR_IN_WORD = re.compile(r"""(?<!\\)(?:\\\\)*[`;&|<>()"' \t\n]|(?<!\\)(?:\\\\)*\$\(""")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_JOIN = re.compile(r"(?<!\\)(?:\\\\)*\\\n")
_JOIN_IN_WORD = re.compile(r"[^\s](?<!\\)(?:\\\\)*\\\n\S|^[ \t]*\\\n", re.MULTILINE)
_JOIN_AT_END = re.compile(r"(?<!\\)(?:\\\\)*\\\n\s*$")
_LONE_ESCAPED_BLANK = re.compile(rb"(?<!\\)(?:\\\\)*\\[ \t](?=[ \t\n;&|()<>]|\Z)")
_ANSI_STRING = re.compile(r"\$'(?:\\.|[^'\\])*'", re.DOTALL)
_LINE_END = re.compile(rb"(?<!\\)\n")
_ESCAPED_BLANKS = (b"\\ ", b"\\\t")


def is_live(text: str) -> bool:
    """Whether the text holds a substitution that is not escaped: a backtick or `$(`."""
    return _LIVE.search(text) is not None


def has_operator(text: str) -> bool:
    """Whether an unquoted word holds what would end it: an operator, a quote, a substitution."""
    return _OPERATOR_IN_WORD.search(text) is not None


def has_control(text: str) -> bool:
    """Whether the text holds control characters other than tab and newline."""
    return _CONTROL.search(text) is not None


def is_split(text: str) -> bool:
    """Whether a backslash at the end of a line stands inside a word, or alone: the grammar then joins three lines."""
    return _JOIN_IN_WORD.search(text) is not None


def joined(text: str) -> str:
    """Return the text with the lines joined that a backslash continues."""
    return _JOIN.sub(lambda match: match[0][:-2], text)


def ends_joined(text: str) -> bool:
    """Whether the last line of the text is continued by a backslash."""
    return _JOIN_AT_END.search(text) is not None


def spans_lines(source: bytes, node: Node) -> bool:
    """Whether a line ends between two parts of a node: behind `==` and `=~` the grammar takes that for a blank."""
    return any(_LINE_END.search(source, a.end_byte, b.start_byte) for a, b in pairwise(node.children))


def are_torn(nodes: Sequence[Node]) -> bool:
    """Whether two of these words stand without a blank between them: for bash they are one."""
    return any(a.end_byte == b.start_byte for a, b in pairwise(nodes))


def has_brace(text: str) -> bool:
    """Whether a brace stands in the text: bash ends `${...}` at the first one, the grammar sometimes later."""
    return "{" in text or "}" in text


def is_one_ansi_string(text: str) -> bool:
    r"""Whether $'...' ends where bash ends it; the grammar takes the second quote of $'\\' for an escaped one."""
    return _ANSI_STRING.fullmatch(text) is not None


def has_escaped_blank(source: bytes) -> bool:
    """Whether a backslash stands before a blank anywhere."""
    return b"\\ " in source or b"\\\t" in source


def has_lone_escaped_blank(source: bytes) -> bool:
    """Whether a word ends in an escaped blank: the grammar does not see that one."""
    return _LONE_ESCAPED_BLANK.search(source) is not None


def behind_escaped_blank(source: bytes, at: int) -> bool:
    """Whether what begins here stands directly behind an escaped blank."""
    return source[max(at - 2, 0) : at] in _ESCAPED_BLANKS


def begins_comment(source: bytes, at: int) -> bool:
    """Whether bash, too, begins a comment here."""
    before = source[max(at - 1, 0) : at]
    return not before or (before in b" \t\n;&|()" and not behind_escaped_blank(source, at))
