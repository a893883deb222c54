"""Lua files as scripts: the header is the signature, checked when the file is loaded.

A file begins `-- name: what it guarantees.` and states `KEYS` (names of keys.py), `ARGV` (a last `...` takes the
rest), `Returns`, and optionally `uses` (parts in `scripts/lib`) and `Assessment` (the script of the 2025 system that it
succeeds). From the header come the locals: `k_<key>` for every key and one variable per argument; a name that is
declared and unused, or used and undeclared, is an error before Redis is reached.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import TYPE_CHECKING

from claudebench.store.keys import KEYS
from claudebench.telemetry.metrics import Histogram

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

LINES_MAX = 60
_HEADER = re.compile(r"^-- (\w+)(?:: | {2})(.*)$")
_FORBIDDEN = re.compile(r"redis\.p?call\(\s*['\"](KEYS|SCAN|EVAL\w*|FLUSH\w*)", re.IGNORECASE)


class ScriptError(Exception):
    """A Lua file does not keep the form that its header promises."""


class Source:
    """One Lua file: its header fields and its body."""

    def __init__(self, name: str, text: str) -> None:
        """Read the header of `text`; `name` is the file's."""
        self.name, self.text = name, text
        found = filter(None, map(_HEADER.match, text.splitlines()))
        self.header: dict[str, str] = {match[1]: match[2] for match in found}
        self.body = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        self._check_form()

    def words(self, field: str) -> list[str]:
        """Return the words of a header field, none when it is absent."""
        return self.header.get(field, "").split()

    def _check_form(self) -> None:
        if self.name not in self.header:
            raise ScriptError(f"{self.name}.lua must begin with '-- {self.name}: what it guarantees'")
        if len(self.text.splitlines()) > LINES_MAX:
            raise ScriptError(f"{self.name}.lua has more than {LINES_MAX} lines")
        if found := _FORBIDDEN.search(self.body):
            raise ScriptError(f"{self.name}.lua calls {found[1]}, which no script may")
        declared, used = set(self.words("KEYS")), set(re.findall(r"\bk_(\w+)", self.body))
        if wrong := declared ^ used:
            raise ScriptError(f"{self.name}.lua: KEYS and body differ on {sorted(wrong)}")
        if unknown := declared - KEYS.keys():
            raise ScriptError(f"{self.name}.lua: no such key {sorted(unknown)}")


class Script:
    """One transition: a checked Lua file with its parts spliced in, ready to be called by its hash."""

    def __init__(self, package: str, name: str) -> None:
        """Load `scripts/<name>.lua` of `package`.

        Raises:
            ScriptError: the header and the body do not agree.
        """
        source = Source(name, _read(files(package) / "scripts" / f"{name}.lua"))
        parts = _parts(source)
        self.room = package.rpartition(".")[2]
        self.name = name
        self.promise = source.header[name]
        self.succeeds = source.header.get("Assessment")
        self.argv = source.words("ARGV")
        self.variadic = self.argv[-1:] == ["..."]
        self.text = _assemble(source, parts)
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        self.latency = Histogram()
        _check_arguments(source, self.text)

    @property
    def title(self) -> str:
        """The name under which people meet it, `tasks.claim`."""
        return f"{self.room}.{self.name}"

    def check_arity(self, count: int) -> None:
        """Raise TypeError unless `count` arguments fit the header."""
        wanted = len(self.argv) - self.variadic
        if count < wanted or (count > wanted and not self.variadic):
            raise TypeError(f"{self.title} takes {' '.join(self.argv)}, not {count} arguments")


def _read(path: Traversable) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _part(name: str) -> Source:
    return Source(name, _read(files("claudebench.store") / "scripts" / "lib" / f"{name}.lua"))


def _parts(source: Source) -> list[Source]:
    found: dict[str, Source] = {}

    def visit(name: str) -> None:
        if name not in found:
            for below in _part(name).words("uses"):
                visit(below)
            found[name] = _part(name)

    for name in source.words("uses"):
        visit(name)
    return list(found.values())


def _assemble(source: Source, parts: list[Source]) -> str:
    keys = dict.fromkeys(key for each in (*parts, source) for key in each.words("KEYS"))
    names = [word for word in source.words("ARGV") if word != "..."]
    lines = [KEYS[key].lua() for key in keys]
    if names:
        lines.append(f"local {', '.join(names)} = {', '.join(f'ARGV[{n + 1}]' for n in range(len(names)))}")
    return "\n".join([*lines, *(part.body for part in parts), source.body])


def _check_arguments(source: Source, text: str) -> None:
    for word in source.words("ARGV"):
        if word != "..." and len(re.findall(rf"\b{word}\b", text)) < 2:  # noqa: PLR2004 - defined once, used once
            raise ScriptError(f"{source.name}.lua never uses its argument {word}")
    if "Returns" not in source.text:
        raise ScriptError(f"{source.name}.lua does not say what it returns")
