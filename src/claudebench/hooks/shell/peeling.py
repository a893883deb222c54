"""Peels a wrapper off: steps over its options to the command that it runs, and follows that."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.assignments import run_value
from claudebench.hooks.shell.commands import run
from claudebench.hooks.shell.limits import WRAPPERS_MAX
from claudebench.hooks.shell.model import NOTHING
from claudebench.hooks.shell.parts import Parts, Stdin, Word
from claudebench.hooks.shell.shells import nest
from claudebench.hooks.shell.wrappers import HANDS_ON, VERBS, WRAPPERS, Wrapper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.hooks.shell.walk import Walk

_CODE_BEHIND = re.compile(r"(?i)(?:proxy|local|knownhosts|remote)command\s*[=\s]\s*(.*)", re.DOTALL)  # of ssh -o
_REMOTE = frozenset({"ssh"})
_ACTION = "--checkpoint-action=exec="
_ASSIGN = frozenset({"sudo", "env"})  # NAME=value words may stand before the command
_EMPTIES = {"env": re.compile(r"-|-\w*[iSu].*|--[isu].*", re.DOTALL), "exec": re.compile(r"-\w*c\w*")}
_LONG = 5  # letters of a long option, dashes included, from which on it may be abbreviated


def verb(walk: Walk, parts: Parts) -> None:
    """`docker exec`, `uv run`, ...: a program some of whose verbs are wrappers."""
    name, words = parts.name, parts.words
    while name in VERBS:
        at, _ = _options(walk, words, Wrapper(values=frozenset(VERBS[name].split())), sure=False)
        if at >= len(words):
            return
        name = f"{name} {words[at].text}"
        words = words[at:]
    if name in WRAPPERS:
        _peel(walk, parts, words, WRAPPERS[name])


def wrapper(walk: Walk, parts: Parts) -> None:
    """`sudo`, `env`, `timeout`, ...: step over its options to the command that it runs."""
    _peel(walk, parts, parts.words, WRAPPERS[parts.name])


def _peel(walk: Walk, parts: Parts, words: Sequence[Word], spec: Wrapper) -> None:
    known = bool(spec.flags) or (spec.dashes and any(word.text == "--" for word in words))
    at, codes = _options(walk, words, spec, sure=not known)
    rest = _command(words, at, spec)
    name = parts.name
    with walk.inside_directory(_directory(words[1:at], spec) if spec.enters else None):
        if name == "env" and codes:
            _peel(walk, parts, [words[0], *_split(walk, codes[0]), *rest], spec)
        else:
            for code in codes:
                nest(walk, code.text, parts)
            _follow(walk, parts, words[:at], rest, joined=spec.joined)


def _follow(walk: Walk, parts: Parts, options: Sequence[Word], rest: Sequence[Word], *, joined: bool) -> None:
    """Follow the command behind the options, a shell line if it is joined."""
    if parts.name == "command" and any(word.text in ("-v", "-V") for word in options[1:]):
        return
    if joined and rest:
        _line(walk, parts, rest, len(options))
    elif not joined:
        _hand_over(walk, parts, rest)


def _line(walk: Walk, parts: Parts, rest: Sequence[Word], at: int) -> None:
    """Follow words that are joined to a shell line; behind an unknown host each of them may be its first."""
    remote = parts.name in _REMOTE
    starts = range(len(rest)) if remote and parts.words[at].text.startswith((UNKNOWN, SOME)) else (0,)
    gentle = remote and not parts.drawn and all(word.inner == NOTHING for word in rest)
    for start in starts:
        nest(walk, " ".join(word.text for word in rest[start:]), parts, gentle=gentle)


def _directory(options: Sequence[Word], spec: Wrapper) -> str | None:
    """Return the directory that an option names: `-C dir`, `-Cdir`, `--chdir=dir`."""
    found = None
    for at, word in enumerate(options):
        value = _entered(word.text, spec)
        if value is not None:
            found = value or "".join(one.text for one in options[at + 1 : at + 2])
    return found


def _entered(text: str, spec: Wrapper) -> str | None:
    """Return the directory that an option carries; empty: it stands in the next word."""
    if text.startswith("--"):
        name, _, value = text.partition("=")
        return value if len(name) > _LONG and any(one.startswith(name) for one in spec.enters) else None
    for at, letter in enumerate(text[1:] if text.startswith("-") else "", 2):
        if f"-{letter}" in spec.enters:
            return text[at:]
        if f"-{letter}" in spec.values:
            return None
    return None


def _split(walk: Walk, text: Word) -> list[Word]:
    """Return the words that `env -S` makes of a text; it knows quotes, but no shell."""
    try:
        words = shlex.split(text.text)
    except ValueError:
        words = []
    if not words or not text.sure or any(char in text.text for char in "$\\#"):
        walk.found.doubt("env splits a text in a way that is not followed")
    return [replace(text, text=word) for word in words]


def _hand_over(walk: Walk, parts: Parts, rest: Sequence[Word]) -> None:
    """Follow the command; two wrappers do something to what is read."""
    if parts.name == "coproc":
        parts.stdin = Stdin(unknown=True)
    elif parts.name == "exec" and not rest and parts.stdin is not None:
        walk.scope.stdin = parts.stdin
    inside(walk, parts, rest, parts.name)


def _command(words: Sequence[Word], at: int, spec: Wrapper) -> Sequence[Word]:
    """Return the words of the command that is wrapped."""
    texts = [word.text for word in words]
    if spec.dashes and "--" in texts:
        return words[texts.index("--") + 1 :]
    tail = next((i for i, text in enumerate(texts[:at]) if text in spec.tail), None)
    if tail is not None:
        return words[tail + 1 :]
    if spec.anywhere:
        return ()
    entry = _entry(words[1:at], spec.entry) if spec.entry else []
    return [*entry, *words[at + spec.skip :]]


def _entry(options: Sequence[Word], name: str) -> list[Word]:
    for at, word in enumerate(options):
        if word.text == name:
            return list(options[at + 1 : at + 2])
        if word.text.startswith(name + "="):
            return [replace(word, text=word.text[len(name) + 1 :])]
    return []


def inside(walk: Walk, parts: Parts, words: Sequence[Word], name: str) -> None:
    """Follow the command that a wrapper runs: the words from the first that is its own."""
    if not words:
        if "xargs" in parts.wrappers:
            walk.found.doubt("xargs gives a wrapper a command that is only known when it runs")
        return
    if len(parts.wrappers) >= WRAPPERS_MAX:
        walk.found.doubt("it is nested or repeated too often")
        return
    span = (parts.words[0].start, words[0].start) if not walk.nested else None
    prefixes = (*parts.prefixes, (name, span))
    inner = Parts(
        list(words), [], [], parts.stdin, (*parts.wrappers, name), prefixes, parts.inner, parts.drawn,
        _environment(parts, name, len(words)), parts.open_ended,
    )  # fmt: skip
    if name in _ASSIGN:
        _assigned(walk, inner)
    run(walk, inner)


def _environment(parts: Parts, name: str, count: int) -> tuple[tuple[str, str], ...] | None:
    """Return the variables assigned so far, or None when the command that is wrapped does not see them."""
    options = [word.text for word in parts.words[1 : len(parts.words) - count]]
    empties = _EMPTIES.get(name)
    if parts.environment is None or name not in HANDS_ON or (empties and any(map(empties.fullmatch, options))):
        return None
    return (*parts.environment, *parts.assignments)


def _assigned(walk: Walk, parts: Parts) -> None:
    if parts.words[0].text == "-" and parts.wrappers[-1] == "env":
        parts.words.pop(0)
    nameless = parts.wrappers[-1] == "env"  # `env =x t` runs t
    while parts.words and parts.words[0].text.find("=") >= (0 if nameless else 1):
        word = parts.words.pop(0)
        key, _, value = word.text.partition("=")
        run_value(walk, key, value)
        parts.assignments.append((key, value))


def first_operand(walk: Walk, parts: Parts) -> int:
    """Return where the operands of a wrapper begin."""
    return _options(walk, parts.words, WRAPPERS[parts.name])[0]


def _options(walk: Walk, words: Sequence[Word], spec: Wrapper, *, sure: bool = True) -> tuple[int, list[Word]]:
    """Return where the operands begin, and the values of options that are shell lines."""
    codes: list[Word] = []
    at = 1
    while at < len(words):
        word = words[at]
        if not word.text.startswith("-") or word.text == "-":
            if spec.anywhere:
                at += 1
                continue
            if word.text.startswith(UNKNOWN) and sure and not (spec.joined and spec.skip):
                walk.found.doubt("the options of a wrapper are only known when it runs")
            break
        at += 1
        if word.text.startswith("--") and (UNKNOWN in (name := word.text.partition("=")[0]) or SOME in name):
            walk.found.doubt("the options of a wrapper are only known when it runs")
        if word.text == "--" or word.text in spec.tail:
            break
        code, takes_next = _option(word.text, spec)
        value = words[at] if takes_next and at < len(words) else None
        if value is not None:
            at += 1
            codes += [value] if code is not None else []
        elif code:
            codes.append(replace(word, text=code))
        codes += _code_behind(word, value)
    return at, codes


def _code_behind(word: Word, value: Word | None) -> list[Word]:
    """Return the shell lines that stand behind a name: `-o ProxyCommand=...`, `--checkpoint-action=exec=...`."""
    if word.text.startswith(_ACTION):
        return [replace(word, text=word.text[len(_ACTION) :])]
    if word.text.startswith("-o"):
        setting = value or replace(word, text=word.text[2:])
        if line := _CODE_BEHIND.match(setting.text):
            return [replace(setting, text=line[1])]
    return []


def _option(text: str, spec: Wrapper) -> tuple[str | None, bool]:
    """Return the shell line that an option carries (empty: in the next word) and whether it takes the next word."""
    if text.startswith("--"):
        name, equals, value = text.partition("=")
        code = name in spec.code or (len(name) > _LONG and any(one.startswith(name) for one in spec.code))
        takes = code or name in spec.values or bool(spec.flags and name not in spec.flags)
        return (value if code else None), takes and not equals
    for at, letter in enumerate(text[1:], 2):
        if f"-{letter}" in spec.code:
            return text[at:], at == len(text)
        if f"-{letter}" in spec.values or (spec.flags and f"-{letter}" not in spec.flags):
            return None, at == len(text)
    return None, False
