"""Globs of rules, in time linear in the text: `*`, `?`, `[abc]`, `[!abc]`, as a shell reads them.

What is no more than words and stars is compared as such; anything else is translated to RE2 once.
"""

from __future__ import annotations

from functools import lru_cache

from claudebench.hooks import expressions

KEPT_MAX = 4_096
SPECIAL = frozenset("*?[")
FIXED_SHIFT = 5  # words that are compared in one step, as a power of two
STARRED_WEIGHT = 4  # a search for a few words, beside one by an expression of so many instructions


class Globs:
    """Some globs, of which one must fit a whole text. It costs `fixed`, and `weight` for its length."""

    def __init__(self, globs: tuple[str, ...]) -> None:
        starred = [one.split("*") for one in globs if not needs_expression(one)]
        self.any = bool(globs)
        self._exact = frozenset(parts[0] for parts in starred if len(parts) == 1)
        self._starts = tuple(parts[0] for parts in starred if len(parts) == 2 and not parts[1])  # noqa: PLR2004
        self._ends = tuple(parts[1] for parts in starred if len(parts) == 2 and not parts[0])  # noqa: PLR2004
        self._parts = [parts for parts in starred if len(parts) > 2 or (all(parts) and len(parts) == 2)]  # noqa: PLR2004
        self._patterns = [expression(one) for one in globs if needs_expression(one)]
        self.fixed = (len(self._starts) + len(self._ends)) >> FIXED_SHIFT
        self.weight = STARRED_WEIGHT * len(self._parts) + sum(map(expressions.weight, self._patterns))

    def fit(self, text: str) -> bool:
        """Whether one of them fits the whole text."""
        return (
            text in self._exact
            or text.startswith(self._starts)
            or text.endswith(self._ends)
            or any(_in_order(parts, text) for parts in self._parts)
            or any(expressions.whole(pattern, text) for pattern in self._patterns)
        )


@lru_cache(maxsize=KEPT_MAX)
def globs_of(globs: tuple[str, ...]) -> Globs:
    """Return these globs, ready to be asked."""
    return Globs(globs)


def _in_order(parts: list[str], text: str) -> bool:
    """Whether a text is these parts with anything between them."""
    first, *between, last = parts
    end = len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last) or end < len(first):
        return False
    at = len(first)
    for part in between:
        at = text.find(part, at, end)
        if at == -1:
            return False
        at += len(part)
    return True


def needs_expression(glob: str) -> bool:
    """Whether a glob is more than words and stars."""
    return "?" in glob or "[" in glob


def expression(glob: str) -> str:
    """Return the regular expression of a glob."""
    told, at = ["(?s)"], 0
    while at < len(glob):
        end = _class_end(glob, at)
        if end:
            told.append(_class(glob[at + 1 : end - 1]))
        else:
            told.append({"*": ".*", "?": "."}.get(glob[at]) or _escaped(glob[at]))
        at = end or at + 1
    return "".join(told)


def _class_end(glob: str, at: int) -> int:
    """Return where the class that begins here ends, or 0; one that is never closed is a plain bracket."""
    if glob[at] != "[":
        return 0
    first = at + 2 if glob[at + 1 : at + 2] == "!" else at + 1
    return glob.find("]", first + 1) + 1


def _class(body: str) -> str:
    negated = body.startswith("!")
    inner = body[1:] if negated else body
    told, at = [], 0
    while at < len(inner):
        to = inner[at + 2 : at + 3] if inner[at + 1 : at + 2] == "-" else ""
        told.append(f"{_escaped(inner[at])}-{_escaped(to)}" if to else _escaped(inner[at]))
        at += 3 if to else 1
    return f"[{'^' if negated else ''}{''.join(told)}]"


def _escaped(char: str) -> str:
    return char if char.isalnum() or not char.isascii() else f"\\x{{{ord(char):x}}}"
