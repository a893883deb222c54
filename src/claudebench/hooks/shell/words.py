"""Words: quotes taken off, parts put together, braces expanded. What a `$` stands for is in `expansions.py`."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.arrays import all_alone
from claudebench.hooks.shell.braces import brace_expanded
from claudebench.hooks.shell.limits import BRACES_MAX, EXPANDED_CHARS_MAX, WORD_CHARS_MAX, WORDS_MAX
from claudebench.hooks.shell.parts import Word
from claudebench.hooks.shell.quoting import decode_ansi, unquoted
from claudebench.hooks.shell.quoting import quoted as marked
from claudebench.hooks.shell.residue import behind_escaped_blank, has_operator, is_live, is_one_ansi_string

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tree_sitter import Node

    from claudebench.hooks.shell.walk import Walk

is_plain = re.compile(r"[A-Za-z0-9_./:=,@%+^-]+").fullmatch
_QUOTES = frozenset({"string", "raw_string", "ansi_c_string", "translated_string"})
_SPACE = re.compile(r"[ \t\n]")


def words_of(walk: Walk, node: Node) -> list[Word]:
    """Expand one word of a command into the words that it becomes."""
    if walk.found.step():
        return []
    if walk.escapes and behind_escaped_blank(walk.source, node.start_byte):
        walk.found.doubt("a word begins with an escaped blank")
    if node.type == "word":
        text = walk.text(node)
        if is_plain(text):
            return [Word(text, node.start_byte)]
    elif node.type == "number":
        return [Word(walk.text(node), node.start_byte)]
    return _expanded(walk, node)


def _expanded(walk: Walk, node: Node) -> list[Word]:
    if node.type == "string" and (listed := all_alone(walk, node)) is not None:
        return listed
    first = len(walk.found.commands)
    raw, sure = _resolve(walk, node)
    inner = walk.found.since(first)
    texts = _braced(walk, raw) if "{" in raw else [raw]
    if len(texts) > WORDS_MAX:
        walk.found.doubt("a brace expansion has more words than are followed")
    pieces: Iterable[str] = chain.from_iterable(
        re.split(r"[ \t\n]+", text.strip(" \t\n")) if _SPACE.search(text) else [text] for text in texts[:WORDS_MAX]
    )
    if sure and not _holds_quotes(node):
        pieces = filter(None, pieces)
    return [Word(unquoted(p), node.start_byte, sure and _known(p), inner, p in ("{", "}")) for p in pieces]


def _holds_quotes(node: Node) -> bool:
    """Whether a word is one even if it is empty."""
    return node.type in _QUOTES or (node.type == "concatenation" and any(c.type in _QUOTES for c in node.children))


def _braced(walk: Walk, raw: str) -> list[str]:
    if raw.count("{") <= BRACES_MAX:
        return brace_expanded(raw)
    walk.found.doubt("a word has more braces than are followed")
    return [raw]


def unsplit(walk: Walk, node: Node) -> Word:
    """Expand a word that is neither split nor brace-expanded: the value of an assignment."""
    first = len(walk.found.commands)
    raw, sure = _resolve(walk, node)
    return Word(unquoted(raw), node.start_byte, sure and _known(raw), walk.found.since(first))


def _known(raw: str) -> bool:
    return UNKNOWN not in raw and SOME not in raw


def _resolve(walk: Walk, node: Node) -> tuple[str, bool]:
    """Return the text of a word, quoted special characters marked, and whether it is sure."""
    before, walk.sure = walk.sure, True
    raw = walk.piece(node, quoted=False)
    sure, walk.sure = walk.sure, before
    walk.found.chars += len(raw)
    if len(raw) > WORD_CHARS_MAX or walk.found.chars > EXPANDED_CHARS_MAX:
        walk.found.doubt("a word becomes longer than is followed")
        return UNKNOWN, False
    return raw, sure


def plain(walk: Walk, node: Node, *, quoted: bool) -> str:
    """Unquoted text: backslashes quote the next character."""
    text = walk.text(node)
    if has_operator(text) or node.is_missing:
        walk.found.doubt("a word holds an operator that the grammar does not see")
    if "\\" not in text:
        return marked(text) if quoted else text
    return re.sub(r"\\(.)|\\\n", lambda m: marked(m[1] or ""), text, flags=re.DOTALL)


def concatenation(walk: Walk, node: Node, *, quoted: bool) -> str:
    """Parts without a blank between them."""
    end = node.start_byte
    pieces = []
    for child in node.children:
        if child.start_byte != end:
            walk.found.doubt("a word has a gap")
        end = child.end_byte
        pieces.append(dollar(walk, child) if child.type == "$" else walk.piece(child, quoted=quoted))
    return "".join(pieces)


def dollar(walk: Walk, node: Node) -> str:
    """Return a lone `$`, and what the grammar joins to it, as itself; before a string it is nothing."""
    text = walk.text(node)
    return text[:-1] if walk.source[node.end_byte : node.end_byte + 1] == b'"' else text


def string(walk: Walk, node: Node, *, quoted: bool) -> str:  # noqa: ARG001 - in double quotes all is quoted
    """A double-quoted string: whatever lies between its parts is text too."""
    pieces: list[str] = []
    at = node.start_byte + 1
    for child in node.children:
        if child.type == '"' or (not child.is_named and child.type != "$"):
            continue
        pieces += [
            _in_string(walk, at, child.start_byte + _blanks(walk, child)),
            "$" if child.type == "$" else walk.piece(child, quoted=True),
        ]
        at = child.end_byte
    return "".join([*pieces, _in_string(walk, at, node.end_byte - 1)])


def _blanks(walk: Walk, node: Node) -> int:
    """Return how many blanks the grammar takes for a part of the expansion behind them."""
    return 0 if node.type == "string_content" else len(text := walk.text(node)) - len(text.lstrip(" \t\n"))


def _in_string(walk: Walk, start: int, end: int) -> str:
    text = walk.source[start:end].decode("utf-8", "surrogatepass") if end > start else ""
    if is_live(text):
        walk.found.doubt("a string holds a substitution that the grammar does not see")
    return marked(re.sub(r'\\([$`"\\])|\\\n', r"\1", text)) if text else ""


def string_content(walk: Walk, node: Node, *, quoted: bool) -> str:  # noqa: ARG001 - in double quotes all is quoted
    """Text in double quotes."""
    return _in_string(walk, node.start_byte, node.end_byte)


def raw_string(walk: Walk, node: Node, *, quoted: bool) -> str:  # noqa: ARG001 - a quote of its own
    """Text in single quotes: everything is itself."""
    return marked(walk.text(node)[1:-1])


def ansi_string(walk: Walk, node: Node, *, quoted: bool) -> str:  # noqa: ARG001 - a quote of its own
    """Text in $'...': escapes as in C."""
    text = walk.text(node)
    if not is_one_ansi_string(text):
        walk.found.doubt("a quote ends elsewhere than the grammar sees")
    return marked(decode_ansi(text[2:-1]))


def translated(walk: Walk, node: Node, *, quoted: bool) -> str:
    """A string behind `$`: without a translation it is the string itself."""
    return "".join(walk.piece(child, quoted=quoted) for child in node.named_children)
