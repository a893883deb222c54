"""The syntax tree of a text, by tree-sitter-bash. A parser is kept for each thread."""

from __future__ import annotations

import threading

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

_language = Language(tree_sitter_bash.language())
_of_thread = threading.local()


def tree(source: bytes) -> Node:
    """Return the root of the tree. tree-sitter always returns one, whatever the text is."""
    parser: Parser | None = getattr(_of_thread, "parser", None)
    if parser is None:
        parser = _of_thread.parser = Parser(_language)
    return parser.parse(source).root_node
