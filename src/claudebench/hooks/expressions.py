"""Regular expressions of rules, in time linear in the text: whoever writes a rule file cannot stall the guard.

The syntax is that of RE2 (https://github.com/google/re2/wiki/Syntax): no look-around, no back-references.
"""

from __future__ import annotations

import functools

import re2

KEPT_MAX = 10_000
MEMORY_MAX = 1 << 20  # bytes of one compiled expression


@functools.lru_cache(maxsize=KEPT_MAX)
def _compiled(pattern: str) -> re2._Regexp:
    options = re2.Options()
    options.max_mem = MEMORY_MAX
    options.log_errors = False
    return re2.compile(pattern, options)


def check(pattern: str) -> None:
    """Raise ValueError, with what is wrong, unless `pattern` is a regular expression."""
    try:
        _compiled(pattern)
    except re2.error as error:
        said = error.args[0]
        raise ValueError(said.decode() if isinstance(said, bytes) else str(said)) from None


def found(pattern: str, text: str) -> bool:
    """Whether the expression matches somewhere in the text."""
    return _compiled(pattern).search(text.encode("utf-8", "surrogatepass")) is not None


def whole(pattern: str, text: str) -> bool:
    """Whether the expression matches all of the text."""
    return _compiled(pattern).fullmatch(text.encode("utf-8", "surrogatepass")) is not None
