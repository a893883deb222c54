"""What a simple command is made of while it is being read: its words, what it reads, what it was wrapped in."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from claudebench.hooks.shell.model import NOTHING, Redirect, Span


class Stdin(msgspec.Struct, frozen=True):
    """What a command reads: a text that is known, or the output of the commands in a slice."""

    text: str | None = None
    source: Span = NOTHING
    unknown: bool = False


class Word(msgspec.Struct, frozen=True):
    """One word after expansion: its text, where it began, whether it is surely this, what ran to make it."""

    text: str
    start: int = 0
    sure: bool = True
    inner: Span = NOTHING
    lone_brace: bool = False


class Parts(msgspec.Struct):
    """What a simple command is made of."""

    words: list[Word] = msgspec.field(default_factory=list)
    assignments: list[tuple[str, str]] = msgspec.field(default_factory=list)
    redirects: list[Redirect] = msgspec.field(default_factory=list)
    stdin: Stdin | None = None
    wrappers: tuple[str, ...] = ()
    prefixes: tuple[tuple[str, Span | None], ...] = ()
    inner: Span = NOTHING
    drawn: tuple[Span, ...] = ()
    environment: tuple[tuple[str, str], ...] | None = ()  # assigned before its wrappers; None: it sees no variables
    open_ended: bool = False  # more words follow that nobody knows

    @property
    def name(self) -> str:
        """The last part of the path in the first word; there must be one."""
        return self.words[0].text.rpartition("/")[2]

    def without_input(self) -> Parts:
        """Return the same parts, reading nothing: what they read is used up."""
        return replace(self, stdin=Stdin())
