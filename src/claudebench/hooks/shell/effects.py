"""What code of another language would do, told to the walk: a shell line, a command, a file that is written.

A call whose argument is not known, not even its beginning, is a reason for doubt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.commands import note
from claudebench.hooks.shell.model import Redirect
from claudebench.hooks.shell.parts import Parts, Stdin, Word
from claudebench.hooks.shell.peeling import inside
from claudebench.hooks.shell.shells import nest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.hooks.shell.walk import Walk

HOME = "\ue07e"  # begins a path in the home; a plain tilde is a name like any other outside a shell
Text = str | None  # a text of the code, with UNKNOWN where its value is not known; None: nothing of it is known


class Effects:
    """Notes what the code that the command in `parts` runs would do."""

    def __init__(self, walk: Walk, parts: Parts) -> None:
        self.walk = walk
        self.parts = parts

    def doubt(self, what: str) -> None:
        """Note that the code may do what cannot be read from it."""
        self.walk.found.doubt(f"{self.parts.name} code {what}")

    def shell(self, line: Text) -> None:
        """The code hands a line to a shell."""
        if line is None:
            self.doubt("runs a shell line that is only known when it runs")
        else:
            nest(self.walk, line.replace(HOME, "~"), self.parts.without_input())

    def command(self, words: Sequence[Text], stdin: Stdin | None = None) -> None:
        """The code runs a program; its name must be known."""
        if not words or not words[0] or words[0].startswith((UNKNOWN, SOME)):
            self.doubt("runs a program that is only known when it runs")
            return
        outer = self.parts.without_input()
        outer.stdin = stdin or outer.stdin
        inside(self.walk, outer, [_word(word) for word in words], self.parts.name)

    def change(self, *words: Text, strict: bool = True) -> None:
        """The code does with paths what this command does; `strict`: it must be known with which."""
        if strict and any(word is None or word.startswith((UNKNOWN, SOME)) for word in words):
            self.doubt("deletes or writes a path that is only known when it runs")
        else:
            self.command(words)

    def write(self, path: Text) -> None:
        """The code writes a file."""
        if path is None or path.startswith((UNKNOWN, SOME)):
            self.doubt("deletes or writes a path that is only known when it runs")
            return
        wrappers = (*self.parts.wrappers, self.parts.name)
        note(self.walk, Parts([], [], [Redirect(">", _literal(path))], Stdin(), wrappers, self.parts.prefixes))


def _word(text: Text) -> Word:
    known = text is not None and UNKNOWN not in text and SOME not in text
    return Word(UNKNOWN if text is None else _literal(text), sure=known)


def _literal(path: str) -> str:
    return f"./{path}" if path.startswith("~") else path.replace(HOME, "~")
