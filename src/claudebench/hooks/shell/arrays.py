"""What an array and the arguments of a function or a script become: `"$@"`, `$*`, `"${a[@]}"`, `${a[0]}`, `${@:2}`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.hooks.paths import UNKNOWN
from claudebench.hooks.shell.limits import EXPANDED_CHARS_MAX
from claudebench.hooks.shell.parts import Word
from claudebench.hooks.shell.quoting import quoted_braces, quoted_value
from claudebench.hooks.shell.scope import ARGUMENTS, NOBODY_KNOWS, Value, listing

if TYPE_CHECKING:
    from tree_sitter import Node

    from claudebench.hooks.shell.walk import Walk

_ALL = re.compile(r"\$(?:[@*]|\{(?:(\w+)\[[@*]\]|[@*])(?::(\d+)(?::(\d+))?)?\})")
_ONE = re.compile(r"\$\{(\w+)\[(-?\d+)\]\}")
_ALONE = 3  # quote, expansion, quote


def all_alone(walk: Walk, node: Node) -> list[Word] | None:
    """Return the words of `"$@"` when nothing else stands in the quotes; None when that is no list that is known."""
    if node.child_count != _ALONE or "@" not in (text := walk.text(node)):
        return None
    match = _ALL.fullmatch(text[1:-1])
    items = _items(walk, match) if match else None
    if items is None:
        return None
    walk.found.steps += len(items)
    walk.found.chars += sum(len(item.text) for item in items)
    if walk.found.chars > EXPANDED_CHARS_MAX or walk.found.step():
        walk.found.doubt("a word becomes longer than is followed")
        return [Word(UNKNOWN, node.start_byte, sure=False)]
    return [Word(item.text, node.start_byte, item.sure) for item in items]


def listed(walk: Walk, text: str, *, quoted: bool) -> str | None:
    """Return what a list becomes among other parts of a word, or None when the expansion is not of one."""
    if match := _ONE.fullmatch(text):
        return _element(walk, match[1], int(match[2]), quoted=quoted)
    match = _ALL.fullmatch(text)
    if match is None:
        return None
    items = _items(walk, match)
    apart = quoted and "@" in text
    if items is None or (apart and any(not item.text for item in items)):
        walk.sure = False
        return UNKNOWN
    walk.sure = walk.sure and all(item.sure for item in items) and (apart or walk.scope.splits)
    texts = [item.text for item in items]
    if apart:
        return " ".join(map(quoted_value, texts))
    return quoted_value(" ".join(texts)) if quoted else " ".join(map(quoted_braces, texts))


def arguments(walk: Walk) -> list[Word]:
    """Return the words of `"$@"`, none if nobody knows them: what a `for` without words goes through."""
    items = walk.scope.variables.get(ARGUMENTS, NOBODY_KNOWS)
    walk.draw(walk.scope.drawn_by("1"))
    return [Word(item.text, sure=item.sure) for item in _surely(items)]


def _element(walk: Walk, name: str, at: int, *, quoted: bool) -> str:
    walk.draw(walk.scope.drawn_by(name))
    held = walk.scope.variables.get(name)
    if held is None or held.items is None:
        walk.sure = False
        return UNKNOWN
    value = held.item(at)
    walk.sure = walk.sure and value.sure
    return quoted_value(value.text) if quoted else quoted_braces(value.text)


def _items(walk: Walk, match: re.Match[str]) -> tuple[Value, ...] | None:
    """Return the items that are meant, or None when nobody knows them."""
    name = match[1] or ARGUMENTS
    walk.draw(walk.scope.drawn_by(name))
    held = walk.scope.variables.get(name)
    if held is None or (held.items is None and (name == ARGUMENTS or UNKNOWN in held.text)):
        return None
    held = held if held.items is not None else listing((held,))
    return _sliced(held, int(match[2] or 0) - (name == ARGUMENTS), match[3]) if match[2] else _surely(held)


def _sliced(held: Value, start: int, length: str | None) -> tuple[Value, ...] | None:
    if start < 0:
        return None
    return held.behind(start)[: int(length) if length else None]


def _surely(held: Value) -> tuple[Value, ...]:
    items = held.items or ()
    return items if held.sure or not items else tuple([item.likely for item in items])
