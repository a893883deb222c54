"""Brace expansion: `{a,b}` becomes its words, `{1..9}` one word that is not known."""

from __future__ import annotations

import re
from itertools import pairwise

from claudebench.hooks.paths import SOME
from claudebench.hooks.shell.limits import WORDS_MAX

_NUMBERS = re.compile(r"-?\d+\.\.-?\d+(\.\.-?\d+)?")
_LETTERS = re.compile(r"\w\.\.\w(\.\.-?\d+)?")


def brace_expanded(raw: str) -> list[str]:
    """Return the words that bash makes of one, at most WORDS_MAX + 1; the time grows with the square of its braces."""
    found = _group(raw)
    if found is None:
        return [raw]
    start, end, options = found
    tails = brace_expanded(raw[end:])
    words = [raw[:start] + one + tail for option in options for one in brace_expanded(option) for tail in tails]
    return words[: WORDS_MAX + 1]


def _group(raw: str) -> tuple[int, int, list[str]] | None:
    """Return the first group that expands: where it stands and what it may be."""
    for start in (at for at, char in enumerate(raw) if char == "{"):
        depth, cuts = 0, [start]
        for at in range(start, len(raw)):
            depth += {"{": 1, "}": -1}.get(raw[at], 0)
            if depth == 1 and raw[at] == ",":
                cuts.append(at)
            if depth == 0:
                inside = raw[start + 1 : at]
                if len(cuts) > 1:
                    cuts.append(at)
                    return start, at + 1, [raw[a + 1 : b] for a, b in pairwise(cuts)]
                if _NUMBERS.fullmatch(inside) or _LETTERS.fullmatch(inside):
                    return start, at + 1, [SOME]
                break
    return None
