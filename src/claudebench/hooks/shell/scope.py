"""What holds at one point of a script: variables, directory, input."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.model import NOTHING, Span
from claudebench.hooks.shell.parts import Stdin

ARGUMENTS = "@"  # the variable that holds $1 and the rest


class Value(NamedTuple):
    """What a variable holds, and whether it surely holds that; an array holds items, the first of them is its text."""

    text: str
    sure: bool
    items: tuple[Value, ...] | None = None

    @property
    def likely(self) -> Value:
        """The same, no longer sure."""
        return self._replace(sure=False)

    def item(self, at: int) -> Value:
        """Return one item; what stands behind one that may be no word, or several, is not sure."""
        items = self.items or ()
        if not -len(items) <= at < len(items):
            return Value("", sure=True) if self.sure and self.counts else NOBODY_KNOWS
        before = items[:at] if at >= 0 else items[at:]
        return items[at] if self.sure and all(one.sure for one in before) else items[at].likely

    def behind(self, count: int) -> tuple[Value, ...]:
        """Return the items behind the first ones."""
        items = self.items or ()
        sure = self.sure and all(one.sure for one in items[:count])
        return items[count:] if sure else tuple([one.likely for one in items[count:]])

    @property
    def counts(self) -> bool:
        """Whether it is sure how many items there are."""
        return all(one.sure for one in self.items or ())


NOBODY_KNOWS = Value(UNKNOWN, sure=False)


def listing(items: tuple[Value, ...], *, sure: bool = True) -> Value:
    """Return the value of an array with these items."""
    return Value(items[0].text if items else "", sure and all(one.sure for one in items[:1]), items)


_KNOWN = {"HOME": "~", "PWD": ".", "TMPDIR": "/tmp"}  # noqa: S108
_NEVER_EMPTY = frozenset({
    "?", "$", "#", "!", "-", "UID", "EUID", "PPID", "RANDOM", "SECONDS", "LINENO", "HOSTNAME", "USER", "LOGNAME",
    "SHELL", "BASHPID",
})  # fmt: skip
_MOVES_ARGUMENTS = r"\b(shift|set)\b"


class Scope(msgspec.Struct):
    """What holds at one point of a script. A variable has a value and whether it surely has it there."""

    variables: dict[str, Value] = msgspec.field(default_factory=dict)
    directory: str = ""
    stdin: Stdin = Stdin()
    upstream: Span = NOTHING
    background: bool = False
    splits: bool = True
    sources: dict[str, tuple[Span, ...]] = msgspec.field(default_factory=dict)  # what printed the value of a variable
    exported: frozenset[str] = frozenset(_KNOWN)  # variables that programs see

    def copy(self) -> Scope:
        """Return a scope of its own for a subshell."""
        return replace(self, variables=dict(self.variables), sources=dict(self.sources))

    def value(self, name: str) -> Value:
        """Return what a variable holds here; one that the script did not set comes from the environment."""
        return self.variables.get(name) or (self._argument(name) if name.isdigit() else _from_environment(name))

    def holds(self, name: str) -> bool:
        """Whether the script itself gave the variable its value."""
        return (ARGUMENTS if name.isdigit() else name) in self.variables

    def _argument(self, number: str) -> Value:
        held = self.variables.get(ARGUMENTS, NOBODY_KNOWS)
        return NOBODY_KNOWS if held.items is None or number == "0" else held.item(int(number) - 1)

    def drawn_by(self, name: str) -> tuple[Span, ...]:
        """Return what printed the value of a variable."""
        return self.sources.get(ARGUMENTS if name.isdigit() else name, ()) if self.sources else ()

    def assign(self, name: str, value: str, *, sure: bool, sources: tuple[Span, ...] = ()) -> None:
        """Give a variable a value; a new IFS changes how every value is split."""
        self.hold(name, Value(value, sure), sources)

    def hold(self, name: str, value: Value, sources: tuple[Span, ...] = ()) -> None:
        """Give a variable a value that may be an array."""
        self.variables[name] = value
        if sources or name in self.sources:
            self.sources[name] = sources
        self.splits = self.splits and name != "IFS"

    def left(self) -> tuple[str | None, tuple[str, ...] | None]:
        """Return what a loop may use up: the text to read, and the arguments."""
        held = self.variables.get(ARGUMENTS, NOBODY_KNOWS)
        return self.stdin.text, None if held.items is None else tuple([one.text for one in held.items])

    def forget(self, body: str) -> None:
        """A loop may assign before it reads: values of names that its text mentions are only likely."""
        for name, value in self.variables.items():
            mentioned = _MOVES_ARGUMENTS if name == ARGUMENTS else rf"(?<![\w$]){re.escape(name)}\b"
            if re.search(mentioned, body):
                self.variables[name] = value.likely


def _from_environment(name: str) -> Value:
    if name in _KNOWN:
        return Value(_KNOWN[name], name != "TMPDIR")
    return Value(SOME, sure=False) if name in _NEVER_EMPTY else NOBODY_KNOWS
