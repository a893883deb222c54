"""How much one decision may cost: counted, never timed, so that the same line is always judged alike.

A step is about a microsecond: one table asked of one command, one source looked at, 256 characters searched.
"""

from __future__ import annotations

STEPS_MAX = 30_000
SEARCHED_SHIFT = 8  # characters x size of the expression that are one step, as a power of two


class TooManySteps(Exception):
    """The rules in force and this call are together more than one decision may cost."""


class Steps:
    """What is left of the steps of one decision."""

    def __init__(self, left: int = STEPS_MAX) -> None:
        self.left = left

    def spend(self, steps: int) -> None:
        """Take steps off before they are gone.

        Raises:
            TooManySteps: so many are not left.
        """
        self.left -= steps
        if self.left < 0:
            raise TooManySteps

    def search(self, weight: int, text: str, fixed: int = 1) -> None:
        """Take off what a search through a text costs at worst."""
        self.left -= fixed + (weight * len(text) >> SEARCHED_SHIFT)
        if self.left < 0:
            raise TooManySteps
