"""What holds at one point of a script: variables, directory, input."""

from __future__ import annotations

import re

import msgspec
from msgspec.structs import replace

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.model import NOTHING, Span
from claudebench.hooks.shell.parts import Stdin

Value = tuple[str, bool]  # what a variable holds, and whether it surely holds that

_KNOWN = {"HOME": "~", "PWD": ".", "TMPDIR": "/tmp"}  # noqa: S108
_NEVER_EMPTY = frozenset({
    "?", "$", "#", "!", "-", "UID", "EUID", "PPID", "RANDOM", "SECONDS", "LINENO", "HOSTNAME", "USER", "LOGNAME",
    "SHELL", "BASHPID",
})  # fmt: skip


class Scope(msgspec.Struct):
    """What holds at one point of a script. A variable has a value and whether it surely has it there."""

    variables: dict[str, Value] = msgspec.field(default_factory=dict)
    directory: str = ""
    stdin: Stdin = Stdin()
    upstream: Span = NOTHING
    background: bool = False
    splits: bool = True
    sources: dict[str, tuple[Span, ...]] = msgspec.field(default_factory=dict)  # what printed the value of a variable

    def copy(self) -> Scope:
        """Return a scope of its own for a subshell."""
        return replace(self, variables=dict(self.variables), sources=dict(self.sources))

    def value(self, name: str) -> Value:
        """Return what a variable holds here; one that the script did not set comes from the environment."""
        return self.variables.get(name) or _from_environment(name)

    def assign(self, name: str, value: str, *, sure: bool, sources: tuple[Span, ...] = ()) -> None:
        """Give a variable a value; a new IFS changes how every value is split."""
        self.variables[name] = (value, sure)
        if sources or name in self.sources:
            self.sources[name] = sources
        self.splits = self.splits and name != "IFS"

    def forget_arguments(self) -> None:
        """`shift`, `set`: what $1 and the rest hold is not known any more."""
        for name in [name for name in self.variables if name.isdigit()]:
            self.variables[name] = (UNKNOWN, False)

    def forget(self, body: str) -> None:
        """A loop may assign before it reads: values of names that its text mentions are only likely."""
        for name, (value, _) in self.variables.items():
            if re.search(rf"(?<![\w$]){re.escape(name)}\b", body):
                self.variables[name] = (value, False)


def _from_environment(name: str) -> Value:
    if name in _KNOWN:
        return _KNOWN[name], name != "TMPDIR"
    return (SOME if name in _NEVER_EMPTY else UNKNOWN), False
