"""The words of a command behind its name, sorted into options and operands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

LONG_MIN = 4  # a shorter start of a long option is no abbreviation of it
SHORT = 2  # a dash and a letter


class Arguments(msgspec.Struct):
    """The letters of short options, options as they were spelt, and operands."""

    letters: set[str]
    options: set[str]
    operands: list[str]

    def has(self, flag: str, *, abbreviated: bool) -> bool:
        """Tell whether an option is there; `abbreviated`: the start of a long one counts."""
        if len(flag) == SHORT:
            return flag[1] in self.letters
        if flag in self.options:
            return True
        return (
            abbreviated and flag.startswith("--") and any(flag.startswith(o) for o in self.options if len(o) > LONG_MIN)
        )


def read_arguments(words: Sequence[str], values: Sequence[str], *, own: bool) -> Arguments:
    """Sort the words of a command; the next word of an option among `values` is its value.

    `own`: read only what stands before the first operand.
    """
    found = Arguments(set(), set(), [])
    rest = iter(words[1:])
    for word in rest:
        if word == "--":
            found.operands += rest
        elif not word.startswith("-") or word == "-":
            if own:
                break
            found.operands.append(word)
        else:
            _option(word, values, found)
            if word in values:
                next(rest, None)
    return found


def _option(word: str, values: Sequence[str], found: Arguments) -> None:
    """Note an option; what stands behind the letter of one that takes a value is that value, no more letters."""
    found.options.add(word.partition("=")[0])
    if word.startswith("--") or word in values:
        found.letters.update(word[1:] if len(word) == SHORT else "")
        return
    for letter in word[1:]:
        found.letters.add(letter)
        if f"-{letter}" in values:
            return
