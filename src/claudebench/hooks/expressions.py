"""Regular expressions of rules, in time linear in the text: whoever writes a rule file cannot stall the guard.

The syntax is that of RE2 (https://github.com/google/re2/wiki/Syntax): no look-around, no back-references. A search is
linear, but at worst each character costs as much as the expression is large (`weight`); those of the built-in rules
were measured, and cost what a character costs.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import re2

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT_MAX = 2_000
MEMORY_MAX = 1 << 20  # bytes of one compiled expression
_measured: set[str] = set()


@functools.lru_cache(maxsize=KEPT_MAX)
def _compiled(pattern: str) -> re2._Regexp:
    options = re2.Options()
    options.max_mem = MEMORY_MAX
    options.log_errors = False
    return re2.compile(pattern, options)


def check(pattern: str) -> int:
    """Return the size of a regular expression.

    Raises:
        ValueError: says why it is none.
    """
    try:
        return int(_compiled(pattern).programsize)
    except re2.error as error:
        said = error.args[0]
        raise ValueError(said.decode() if isinstance(said, bytes) else str(said)) from None


def vouch(patterns: Iterable[str]) -> None:
    """Take these for measured."""
    _measured.update(patterns)


def weight(pattern: str) -> int:
    """Return what a character of a text costs at worst, beside one that is only looked at."""
    return 1 if pattern in _measured else int(_compiled(pattern).programsize)


def found(pattern: str, text: str) -> bool:
    """Whether the expression matches somewhere in the text."""
    return _compiled(pattern).search(text.encode("utf-8", "surrogatepass")) is not None


def whole(pattern: str, text: str) -> bool:
    """Whether the expression matches all of the text."""
    return _compiled(pattern).fullmatch(text.encode("utf-8", "surrogatepass")) is not None
