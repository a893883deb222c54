"""Wrappers: programs such as `sudo`, `env` and `timeout` that run the command named by their own operands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from claudebench.hooks.paths import UNKNOWN
from claudebench.hooks.shell.commands import run
from claudebench.hooks.shell.limits import WRAPPERS_MAX
from claudebench.hooks.shell.parts import Parts, Word
from claudebench.hooks.shell.shells import nest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.hooks.shell.walk import Walk


class _Wrapper(msgspec.Struct, frozen=True):
    """What stands between the name of a wrapper and the command that it runs."""

    values: frozenset[str] = frozenset()  # options that take the next word
    skip: int = 0  # operands that stand before the command
    assigns: bool = False  # NAME=value words may stand before the command
    joined: bool = False  # the rest is joined by spaces and read as a shell line
    code: frozenset[str] = frozenset()  # options whose value is a shell line
    anywhere: bool = False  # options may stand behind operands; no command follows


def _wrapper(values: str = "", skip: int = 0, *, code: str = "", **how: bool) -> _Wrapper:
    return _Wrapper(frozenset(values.split()), skip, code=frozenset(code.split()), **how)


_SUDO = "-u -g -h -p -C -r -t -T -U -D -R --user --group --host --prompt --close-from --role --type --chdir --chroot"
_SSH = "-B -b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w"
WRAPPERS: dict[str, _Wrapper] = {
    "sudo": _wrapper(_SUDO, assigns=True),
    "doas": _wrapper("-u -C"),
    "env": _wrapper("-u -C --unset --chdir", assigns=True, code="-S --split-string"),
    "nice": _wrapper("-n --adjustment"),
    "ionice": _wrapper("-c -n --class --classdata"),
    "nohup": _wrapper(),
    "setsid": _wrapper(),
    "timeout": _wrapper("-s -k --signal --kill-after", skip=1),
    "time": _wrapper("-f -o --format --output"),
    "stdbuf": _wrapper("-i -o -e --input --output --error"),
    "command": _wrapper(),
    "builtin": _wrapper(),
    "exec": _wrapper("-a"),
    "coproc": _wrapper(),
    "chroot": _wrapper(skip=1),
    "taskset": _wrapper(skip=1),
    "chrt": _wrapper(skip=1),
    "strace": _wrapper("-o -e -p -s -u -E -a -b -O -S -X -P -I"),
    "caffeinate": _wrapper("-t -w"),
    "unbuffer": _wrapper(),
    "busybox": _wrapper(),
    "toybox": _wrapper(),
    "xargs": _wrapper("-I -n -P -L -d -E -s -a --replace --max-args --max-procs --max-lines --delimiter --arg-file"),
    "watch": _wrapper("-n -q --interval", joined=True),
    "parallel": _wrapper("-j -n -N -I --jobs --colsep --delay --timeout --joblog", joined=True),
    "flock": _wrapper("-w -E --timeout", skip=1, code="-c --command"),
    "ssh": _wrapper(_SSH, skip=1, joined=True),
    "su": _wrapper("-s -g -G -w --shell --group", code="-c --command", anywhere=True),
    "runuser": _wrapper("-u -s -g -G -w --user --shell", code="-c --command"),
    "script": _wrapper("-O -I -B -T -E", code="-c --command", anywhere=True),
}


def wrapper(walk: Walk, parts: Parts) -> None:
    """`sudo`, `env`, `timeout`, ...: step over its options to the command that it runs."""
    name = parts.name
    spec = WRAPPERS[name]
    at, codes = _options(walk, parts.words, spec)
    for code in codes:
        nest(walk, code.text, parts)
    if spec.anywhere or (name == "command" and any(w.text in ("-v", "-V") for w in parts.words[1:at])):
        return
    if spec.joined:
        at = min(at + spec.skip, len(parts.words))
        if at < len(parts.words):
            nest(walk, " ".join(word.text for word in parts.words[at:]), parts)
        return
    inside(walk, parts, parts.words[at + spec.skip :], name)


def inside(walk: Walk, parts: Parts, words: Sequence[Word], name: str) -> None:
    """Follow the command that a wrapper runs: the words from the first that is its own."""
    if not words:
        return
    if len(parts.wrappers) >= WRAPPERS_MAX:
        walk.found.doubt("it is nested or repeated too often")
        return
    span = (parts.words[0].start, words[0].start) if not walk.nested else None
    prefixes = (*parts.prefixes, (name, span))
    inner = Parts(list(words), [], [], parts.stdin, (*parts.wrappers, name), prefixes, parts.inner)
    while inner.words and inner.words[0].text.find("=") > 0 and WRAPPERS[name].assigns:
        key, _, value = inner.words.pop(0).text.partition("=")
        inner.assignments.append((key, value))
    run(walk, inner)


def first_operand(walk: Walk, parts: Parts) -> int:
    """Return where the operands of a wrapper begin."""
    return _options(walk, parts.words, WRAPPERS[parts.name])[0]


def _options(walk: Walk, words: Sequence[Word], spec: _Wrapper) -> tuple[int, list[Word]]:
    """Return where the operands begin, and the values of options that are shell lines."""
    codes: list[Word] = []
    at = 1
    while at < len(words):
        word = words[at]
        if not word.text.startswith("-") or word.text == "-":
            if spec.anywhere:
                at += 1
                continue
            if word.text.startswith(UNKNOWN):
                walk.found.doubt("the options of a wrapper are only known when it runs")
            break
        at += 1
        if word.text == "--":
            break
        code, takes_next = _option(word.text, spec)
        if takes_next and at < len(words):
            codes += [words[at]] if code is not None else []
            at += 1
        elif code is not None and not takes_next:
            codes.append(replace(word, text=code))
    return at, codes


def _option(text: str, spec: _Wrapper) -> tuple[str | None, bool]:
    """Return the shell line that an option carries (empty: in the next word) and whether it takes the next word."""
    if text.startswith("--"):
        name, equals, value = text.partition("=")
        code = name in spec.code
        return (value if code else None), (name in spec.values or code) and not equals
    for at, letter in enumerate(text[1:], 2):
        if f"-{letter}" in spec.code:
            return text[at:] or "", at == len(text)
        if f"-{letter}" in spec.values:
            return None, at == len(text)
    return None, False
