"""What a line is read into: its simple commands with their redirections, and the reasons for doubt."""

from __future__ import annotations

import msgspec

Span = tuple[int, int]
NOTHING: Span = (0, 0)


class Redirect(msgspec.Struct, frozen=True):
    """One redirection to or from a file."""

    operator: str
    target: str

    @property
    def writes(self) -> bool:
        """Whether the shell opens the target for writing."""
        return ">" in self.operator


class Command(msgspec.Struct, frozen=True):
    """One simple command. A word holds UNKNOWN or SOME where its text cannot be known.

    `upstream`, `code_from`, `inner` and `drawn` are slices of the script's commands: those before it in its pipeline,
    those whose output it runs as code, those in its own substitutions, those in the substitutions that gave the
    variables it names their values. `prefixes` are the wrappers peeled off, with the slice
    of the line that they take (None inside a nested script).
    """

    words: tuple[str, ...]
    assignments: tuple[tuple[str, str], ...] = ()
    redirects: tuple[Redirect, ...] = ()
    wrappers: tuple[str, ...] = ()
    prefixes: tuple[tuple[str, Span | None], ...] = ()
    directory: str = ""
    stdin: str | None = None
    upstream: Span = NOTHING
    code_from: Span = NOTHING
    inner: Span = NOTHING
    drawn: tuple[Span, ...] = ()
    recursive: bool = False

    @property
    def program(self) -> str:
        """The last part of the program's path, or "" when there is none."""
        return self.words[0].rpartition("/")[2] if self.words else ""


class Script(msgspec.Struct, frozen=True):
    """All commands of a line, and every reason why that may not be all."""

    commands: tuple[Command, ...]
    unsure: tuple[str, ...] = ()
