"""Commands handed to a program that nobody knows to run them: `firejail rm -rf ~`, `tox exec -- ...`, `foo -c '...'`.

What such a program does with its words is not known. If they would be denied as a command, the user is asked.
"""

from __future__ import annotations

from itertools import islice, pairwise
from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.shell import is_followed, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claudebench.hooks.shell import Command, Script

WORDS_MAX = 16
LINES_MAX = 4
_TAKE_LINES = frozenset(
    {"-c", "-e", "-x", "-C", "--command", "--cmd", "--exec", "--eval", "--execute", "--run", "--call", "--shell"}
)
_SAYS = frozenset({
    "echo", "printf", "grep", "egrep", "fgrep", "rg", "ag", "ack", "man", "which", "whereis", "type", "help", "info",
    "apropos", "whatis", "tldr", "test", "[", "expr", "basename", "dirname", "ls", "stat", "file", "wc", "diff", "exit",
    "return", "set", "unset", "export", "cat", "head", "tail", "pgrep", "apt-cache", "dpkg", "rpm", "",
})  # fmt: skip


def handed(script: Script, is_named: Callable[[str], bool]) -> Iterator[Command]:
    """Yield what the words of programs that nobody follows would be as commands; `is_named`: some rule asks of it."""
    for command in script.commands:
        if command.program not in _SAYS and not is_followed(command.program):
            yield from _in_words(command, is_named)
            yield from _in_lines(command)


def _in_words(command: Command, is_named: Callable[[str], bool]) -> Iterator[Command]:
    for at, word in enumerate(islice(command.words, 1, WORDS_MAX + 1), 1):
        if is_named(word.rpartition("/")[2]):
            yield replace(command, words=command.words[at:], inner=(0, 0))


def _in_lines(command: Command) -> Iterator[Command]:
    options = (value for option, value in pairwise(command.words) if option in _TAKE_LINES and " " in value)
    for line in islice(options, LINES_MAX):
        yield from (replace(each, upstream=(0, 0), inner=(0, 0), drawn=()) for each in parse(line).commands)
