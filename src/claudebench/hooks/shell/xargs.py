"""`xargs`: the words that it reads are the command's last ones, or stand where -I says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.paths import SOME
from claudebench.hooks.shell.parts import Parts, Word
from claudebench.hooks.shell.shells import SHELLS
from claudebench.hooks.shell.wrappers import first_operand, inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.hooks.shell.walk import Walk


def xargs(walk: Walk, parts: Parts) -> None:
    """Follow the command that `xargs` makes of its words and of what it reads."""
    at = first_operand(walk, parts)
    words = list(parts.words[at:])
    text = (parts.stdin or walk.scope.stdin).text
    given = [Word(one, sure=True) for one in (text or "").split()]
    place = _place(parts.words[1:at])
    if given and place:
        words = [replace(word, text=word.text.replace(place, " ".join(w.text for w in given))) for word in words]
    elif place:
        words = [_placed(word, place, words[0].text) for word in words]
    else:
        words += given
        _check_code(walk, words, given)
    inside(walk, parts.without_input(), words, "xargs")


def _place(options: Sequence[Word]) -> str:
    """Return the text that -I, -i or --replace asks to be replaced."""
    for at, word in enumerate(options):
        if word.text == "-I":
            return options[at + 1].text if at + 1 < len(options) else ""
        if word.text.startswith("-I"):
            return word.text[2:]
        if word.text.startswith(("-i", "--replace")):
            return word.text.partition("=")[2] or "{}"
    return ""


def _placed(word: Word, place: str, program: str) -> Word:
    """What xargs puts in a word is not known. In a text for a shell the place stays, to be judged as a name."""
    if place not in word.text:
        return word
    text = word.text if program in SHELLS else word.text.replace(place, SOME)
    return replace(word, text=text, sure=False)


def _check_code(walk: Walk, words: Sequence[Word], given: Sequence[Word]) -> None:
    """A shell under xargs runs what is read: `xargs sh -c` without a text of its own."""
    if words and not given and words[-1].text in ("-c", "eval"):
        walk.found.doubt("xargs gives a shell text that is only known when it runs")
