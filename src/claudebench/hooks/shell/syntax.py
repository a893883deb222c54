"""The syntax tree of a text, by tree-sitter-bash. A parser is kept for each thread.

Its time grows with the square of what the grammar cannot tell apart: 16 KiB of `)` or `a|` take more than a second. So
it is given a bounded number of steps and of bytes to look at, and a text without a tree is a reason for doubt.
"""

from __future__ import annotations

import threading

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from claudebench.hooks.shell.limits import (
    ERROR_ROUNDS,
    EXPANSIONS_MAX,
    HEREDOCS_MAX,
    TREE_READS_MAX,
    TREE_ROUNDS_MAX,
    UNBOUND_BYTES_MAX,
)

_language = Language(tree_sitter_bash.language())
_of_thread = threading.local()
_AT_LEAST = b"\n\n\n\n"  # the lexer dereferences nothing when a text ends within a character, so it never does early


def tree(source: bytes) -> Node | None:
    """Return the root of the tree, or None when that would take too long. Whatever else the text is, it has a tree."""
    parser: Parser | None = getattr(_of_thread, "parser", None)
    if parser is None:
        parser = _of_thread.parser = Parser(_language)
    if len(source) <= UNBOUND_BYTES_MAX:
        return parser.parse(source).root_node
    if source.count(b"<<") > HEREDOCS_MAX or source.count(b"${") > EXPANSIONS_MAX:
        return None
    return _bounded(parser, source)


def _bounded(parser: Parser, source: bytes) -> Node | None:
    reads = rounds = 0

    def read(at: int, _point: object) -> bytes:
        nonlocal reads
        reads += 1
        if reads <= TREE_READS_MAX or at >= len(source):
            return source[at : at + TREE_READS_MAX]
        return _AT_LEAST

    def is_over(_at: int, has_error: bool) -> bool:  # noqa: FBT001 - the parser's own signature
        nonlocal rounds
        rounds += ERROR_ROUNDS if has_error else 1
        return rounds > TREE_ROUNDS_MAX or reads > TREE_READS_MAX

    try:
        root = parser.parse(read, progress_callback=is_over).root_node
    except ValueError:
        return None
    finally:
        parser.reset()  # one that was stopped would go on with this text when it is given the next one
    return root if reads <= TREE_READS_MAX else None
