"""Which events a listener wants: `*` for all, `task.*` for all of a kind, `task.created` for one type."""

from __future__ import annotations

import re
from functools import lru_cache

from claudebench.errors import InvalidParams

PATTERN = r"^(\*|[a-z][a-z0-9_]*(\.[a-z0-9_]+)*(\.\*)?)$(?!\n)"
LENGTH_MAX = 100
PATTERNS_MAX = 100
TYPES_KEPT = 1_000
_SHAPE = re.compile(PATTERN)


class Patterns:
    """Some patterns, ready to be asked about types; equal ones are one object (`compiled`)."""

    def __init__(self, patterns: frozenset[str]) -> None:
        """Take patterns of the right shape."""
        self.patterns = patterns
        self._prefixes = tuple(each[:-1] for each in patterns if each.endswith("*"))
        self._known: dict[str, bool] = {}

    def match(self, type_: str) -> bool:
        """Tell whether events of this type are wanted."""
        found = self._known.get(type_)
        if found is None:
            if len(self._known) >= TYPES_KEPT:
                self._known.clear()
            found = self._known[type_] = type_ in self.patterns or type_.startswith(self._prefixes)
        return found


@lru_cache(maxsize=1_000)
def _compiled(patterns: frozenset[str]) -> Patterns:
    return Patterns(patterns)


def compiled(patterns: frozenset[str]) -> Patterns:
    """Return the patterns, compiled once for all who ask for the same.

    Raises:
        InvalidParams: one is none, or there are more than 100.
    """
    if len(patterns) > PATTERNS_MAX:
        raise InvalidParams(f"at most {PATTERNS_MAX} patterns, not {len(patterns)}")
    for each in patterns:
        if len(each) > LENGTH_MAX or not _SHAPE.match(each):
            raise InvalidParams(f"a pattern is '*', 'task.*' or 'task.created', not {each[:LENGTH_MAX]!r}")
    return _compiled(patterns)
