"""What a command prints, where that is certain or likely: `echo`, `printf`, `cat` of a heredoc, `pwd`, `mktemp` ..."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.quoting import decode_ansi, decode_echo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.hooks.shell.model import Command

_PRINTS_SOME = frozenset({
    "git", "basename", "dirname", "realpath", "readlink", "date", "hostname", "whoami", "id", "nproc", "wc", "uname",
})  # fmt: skip

_STOPS = re.compile(r"\\c")


def printed(commands: Sequence[Command]) -> str | None:
    """Return what these commands print if it is one command and that is certain, else None."""
    return _printed(commands[0]) if len(commands) == 1 else None


def likely_printed(commands: Sequence[Command]) -> str:
    """Return what a substitution most likely yields: a name where one is asked for, else nothing known."""
    words = commands[-1].words if commands else ()
    if not words:
        return UNKNOWN
    if words[0] == "mktemp":
        return f"/tmp/{SOME}"  # noqa: S108
    if words[0] in ("which", "type") or words[:2] == ("command", "-v"):
        return words[-1]
    return SOME if words[0] in _PRINTS_SOME else UNKNOWN


def _printed(command: Command) -> str | None:
    if command.redirects or any(UNKNOWN in word or SOME in word for word in command.words):
        return None
    program, *words = command.words or ("",)
    if program == "echo":
        return _echoed(words)
    if program == "printf":
        return _formatted(words)
    if program == "cat" and command.stdin is not None and set(words) <= {"-"}:
        return command.stdin
    return "." if program == "pwd" else None


def _echoed(words: Sequence[str]) -> str | None:
    rest = list(words)
    escapes = False
    while rest and re.fullmatch(r"-[neE]+", rest[0]):
        escapes = "e" in rest.pop(0) or escapes
    text = " ".join(rest)
    if escapes and _STOPS.search(text):
        return None
    return decode_echo(text) + "\n" if escapes else text + "\n"


def _formatted(words: Sequence[str]) -> str | None:
    if not words or words[0].startswith("-"):
        return None
    form, *values = words
    if _STOPS.search(" ".join(words)):
        return None
    if "%" not in form:
        return decode_ansi(form)
    match = re.fullmatch(r"%[sb](\\n| |)", form)
    return "".join((decode_echo(v) if form[1] == "b" else v) + decode_ansi(match[1]) for v in values) if match else None
