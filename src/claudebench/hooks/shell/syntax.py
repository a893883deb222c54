"""The syntax tree of a text, by tree-sitter-bash. A parser is kept for each thread.

Its time grows with the square of what the grammar cannot tell apart: 16 KiB of `)` or `a|` take more than a second. So
it is stopped after so many steps or so much processor time, and a text without a tree is a reason for doubt.
"""

from __future__ import annotations

import itertools
import threading
import time

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from claudebench.hooks.shell.limits import TREE_MS_MAX, TREE_ROUNDS_MAX, UNTIMED_BYTES_MAX

_language = Language(tree_sitter_bash.language())
_of_thread = threading.local()


def tree(source: bytes) -> Node | None:
    """Return the root of the tree, or None when that would take too long. Whatever else the text is, it has a tree."""
    parser: Parser | None = getattr(_of_thread, "parser", None)
    if parser is None:
        parser = _of_thread.parser = Parser(_language)
    if len(source) <= UNTIMED_BYTES_MAX:
        return parser.parse(source).root_node
    return _timed(parser, source)


def _timed(parser: Parser, source: bytes) -> Node | None:
    end = time.thread_time() + TREE_MS_MAX / 1000
    rounds = itertools.count(1)

    def is_over(_at: int, _has_error: bool) -> bool:  # noqa: FBT001 - the parser's own signature
        return next(rounds) > TREE_ROUNDS_MAX or time.thread_time() > end

    try:
        return parser.parse(lambda at, _: source[at:], progress_callback=is_over).root_node
    except ValueError:
        return None
    finally:
        parser.reset()  # one that was stopped would go on with this text when it is given the next one
