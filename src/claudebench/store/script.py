"""Lua files as scripts: the header is the signature, checked when the file is loaded.

A file begins `-- name: what it guarantees.` and states `KEYS` (names of keys.py), `ARGV` (a last `...` takes the
rest), `Returns`, and optionally `uses` (parts in `scripts/lib`), `flags` of the engine (`allow-oom`: goes on when the
store's memory is full, since it ends work) and `Assessment` (the script of the 2025 system that it succeeds). From the
header come one variable per argument and `k_<key>` for every key; a name that is declared and unused, or used and
undeclared, is an error before Redis is reached.

A changing script has a second text, `keyed`, for calls that carry an idempotency key: its body runs inside `once`.

What a call does not need it does not pay for: a key is spelt where it stands, a function of a part that nobody calls is
left out, and a part with a `when` is a block that runs only under that condition, with the parts that it `uses` inside
it and those that it `needs` before it. (A Lua function costs about half a microsecond each time it is defined.)
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha1
from importlib.resources import files
from typing import TYPE_CHECKING

from claudebench.store.keys import KEYS, Key
from claudebench.telemetry.metrics import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

LINES_MAX = 60
ONCE = ["once_key", "fingerprint"]
_HEADER = re.compile(r"^-- (\w+)(?:: | {2})(.*)$")
_DEFINED = re.compile(r"local (?:function (?P<function>\w+)|(?P<variables>\w+(?:, \w+)*))")
_KEY = re.compile(r"\bk_(\w+)(?:\(([^()]*)\))?")
_WORD = re.compile(r"[A-Za-z_]\w*")
_FORBIDDEN = re.compile(r"redis\.p?call\(\s*['\"](KEYS|\w*SCAN|EVAL\w*|FLUSH\w*)", re.IGNORECASE)


class ScriptError(Exception):
    """A Lua file does not keep the form that its header promises."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of Lua: a definition of `names`, or, without names, a statement."""

    names: list[str]
    text: str


class Source:
    """One Lua file: its header fields and its body."""

    def __init__(self, name: str, text: str, keys: Mapping[str, Key] = KEYS) -> None:
        """Read the header of `text`; `name` is the file's, `keys` are those that it may name."""
        self.name, self.text, self._keys = name, text, keys
        found = filter(None, map(_HEADER.match, text.splitlines()))
        self.header: dict[str, str] = {match[1]: match[2] for match in found}
        self.body = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        self._check_form()
        self.body = _KEY.sub(self._spell, self.body)

    def words(self, field: str) -> list[str]:
        """Return the words of a header field, none when it is absent."""
        return self.header.get(field, "").split()

    @cached_property
    def chunks(self) -> list[Chunk]:
        """The definitions and the other lines of the body, one after the other."""
        found: list[Chunk] = []
        lines = iter(self.body.splitlines())
        for line in lines:
            text = line
            if line.startswith("local function ") and not line.endswith(" end"):
                text += "".join(f"\n{more}" for more in _until_end(lines))
            found.append(Chunk(_names(line), text))
        return found

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
        if unknown := declared - self._keys.keys():
            raise ScriptError(f"{self.name}.lua: no such key {sorted(unknown)}")

    def _spell(self, found: re.Match[str]) -> str:
        parts = [part.strip() for part in found[2].split(",")] if found[2] else []
        try:
            return self._keys[found[1]].lua(parts)
        except ValueError:
            raise ScriptError(
                f"{self.name}.lua: {found[0]} does not give the parts of {self._keys[found[1]].tail}"
            ) from None


class Text:
    """Lua as it is sent, by its hash."""

    def __init__(self, text: str, latency: Histogram) -> None:
        """Take the Lua, and where the times of its calls are noted."""
        self.text = text
        self.latency = latency
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


class Script:
    """One transition: a checked Lua file with its parts spliced in, ready to be called by its hash."""

    def __init__(self, package: str, name: str) -> None:
        """Load `scripts/<name>.lua` of `package`.

        Raises:
            ScriptError: the header and the body do not agree.
        """
        self._take(package.rpartition(".")[2], Source(name, _read(files(package) / "scripts" / f"{name}.lua")))

    @classmethod
    def of(cls, room: str, source: Source) -> Script:
        """Return the script that a text is.

        Raises:
            ScriptError: the header and the body do not agree.
        """
        script = cls.__new__(cls)
        script._take(room, source)  # noqa: SLF001 - of its own class
        return script

    def _take(self, room: str, source: Source) -> None:
        self.room = room
        self.name = source.name
        self.promise = source.header[source.name]
        self.succeeds = source.header.get("Assessment")
        self.argv = source.words("ARGV")
        self.variadic = self.argv[-1:] == ["..."]
        self.changes = self.argv[:3] == ["given_ms", "actor", "meta"]
        self.grows = self.changes and "allow-oom" not in source.words("flags")
        self.latency = Histogram()
        self.plain = Text(_assemble(source), self.latency)
        self.keyed = Text(_assemble(source, keyed=True), self.latency) if self.changes else None
        _check_arguments(source, self.text)

    @property
    def text(self) -> str:
        """The Lua of a call without a key."""
        return self.plain.text

    @property
    def sha(self) -> str:
        """The hash of that text."""
        return self.plain.sha

    @property
    def texts(self) -> tuple[Text, ...]:
        """All that a connection must have loaded."""
        return (self.plain, self.keyed) if self.keyed else (self.plain,)

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


def _names(line: str) -> list[str]:
    found = _DEFINED.match(line)
    return (found["function"] or found["variables"]).split(", ") if found else []


def _until_end(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if line == "end":
            return


def _splice(names: list[str], defined: set[str]) -> list[Chunk]:
    """Return the parts `names` with all below them, but for those that are `defined` already."""
    chunks: list[Chunk] = []
    for name in names:
        if name in defined:
            continue
        defined.add(name)
        part = _part(name)
        chunks += _splice(part.words("needs"), defined)
        if "when" in part.header:
            inside = _used([*_splice(part.words("uses"), set(defined)), *part.chunks])
            chunks.append(Chunk([], f"if {part.header['when']} then\n{inside}\nend"))
        else:
            chunks += [*_splice(part.words("uses"), defined), *part.chunks]
    return chunks


@cache
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text))


def _used(chunks: list[Chunk]) -> str:
    """Join the chunks, without the definitions that nothing after them names."""
    kept: list[str] = []
    named: set[str] = set()
    for chunk in reversed(chunks):
        if not chunk.names or named & set(chunk.names):
            kept.append(chunk.text)
            named |= _words(chunk.text)
    return "\n".join(reversed(kept))


def _assemble(source: Source, *, keyed: bool = False) -> str:
    arguments = [word for word in source.words("ARGV") if word != "..."]
    arguments += ONCE if keyed else []
    taken = ", ".join(f"ARGV[{at + 1}]" for at in range(len(arguments)))
    head = ["local K = KEYS[1]", *([f"local {', '.join(arguments)} = {taken}"] if arguments else [])]
    parts = _splice([*source.words("uses"), *(["once"] if keyed else [])], set())
    text = _used([*parts, Chunk([], _once(source.body) if keyed else source.body)])
    flags = source.words("flags")
    shebang = f"#!lua flags={','.join(flags)}\n" if flags else ""
    return shebang + "\n".join([*head, text])


def _once(body: str) -> str:
    return f"local kept = kept_reply()\nif kept then return kept end\nreturn keep_reply((function()\n{body}\nend)())"


def _check_arguments(source: Source, text: str) -> None:
    counts = Counter(_WORD.findall(text))
    for word in source.words("ARGV"):
        if word != "..." and counts[word] < 2:  # noqa: PLR2004 - defined once, used once
            raise ScriptError(f"{source.name}.lua never uses its argument {word}")
    if "Returns" not in source.text:
        raise ScriptError(f"{source.name}.lua does not say what it returns")
