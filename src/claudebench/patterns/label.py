"""The labels of a command: which pattern it follows, and what a reader may expect of what it wrote."""

from __future__ import annotations

from enum import StrEnum


class Pattern(StrEnum):
    """Where the decision is taken."""

    CENTRALIZED = "centralized"
    DISTRIBUTED = "distributed"
    HYBRID = "hybrid"

    @classmethod
    def _missing_(cls, value: object) -> Pattern | None:
        """Accept the assessment's letters A, B and C."""
        letters = {"A": cls.CENTRALIZED, "B": cls.DISTRIBUTED, "C": cls.HYBRID}
        return letters.get(str(value).upper())


class Consistency(StrEnum):
    """What a reader may expect."""

    LINEARIZABLE = "linearizable"
    """Per key: every read sees the last acknowledged write."""
    ORDERED = "ordered"
    """Per partition: everyone sees the same order."""
    DERIVED = "derived"
    """Computed from the above, with a lag that is measured."""
    AGREED = "agreed"
    """Decided once by several."""
