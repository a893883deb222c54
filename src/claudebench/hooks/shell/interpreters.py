"""Code for an interpreter on the command line: `python -c`, `perl -e`, `awk`, a heredoc into `node`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.awk_code import read_awk
from claudebench.hooks.shell.effects import Effects
from claudebench.hooks.shell.model import NOTHING
from claudebench.hooks.shell.python_code import read_python
from claudebench.hooks.shell.script_code import read_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.hooks.shell.parts import Parts, Word
    from claudebench.hooks.shell.walk import Walk

_STDIN_FILES = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")


class _Interpreter(msgspec.Struct, frozen=True):
    """How an interpreter is given its code."""

    language: str
    code: str = ""  # letters of options whose value is code
    values: str = ""  # letters of options that take a value, attached or in the next word
    attached: str = ""  # letters of options that take the rest of their word
    long: tuple[str, ...] = ()  # long options whose value is code
    verbs: tuple[str, ...] = ()  # first operands behind which code stands
    first: bool = False  # the first operand is code


_PYTHON = _Interpreter("python", "c", "WX", "m")
_NODE = _Interpreter("javascript", "ep", "r", long=("--eval", "--print"))
_AWK = _Interpreter("awk", "e", "vFfi", long=("--source",), first=True)
INTERPRETERS: dict[str, _Interpreter] = {
    "python": _PYTHON, "pypy": _PYTHON,
    "perl": _Interpreter("perl", "eE", "I", "i0lFMmxCDV"), "ruby": _Interpreter("ruby", "e", "rIEC", "iFKWTx"),
    "node": _NODE, "nodejs": _NODE, "bun": _NODE, "deno": _Interpreter("javascript", verbs=("eval",)),
    "php": _Interpreter("php", "rBRE", "dcfzt"),
    "ipython": _PYTHON, "tsx": _NODE, "ts-node": _NODE, "rails": _Interpreter("ruby", verbs=("runner", "r")),
    "awk": _AWK, "gawk": _AWK, "mawk": _AWK, "nawk": _AWK,
}  # fmt: skip


def interpret(walk: Walk, parts: Parts) -> None:
    """Read the code that an interpreter is given, by an option or by what it reads."""
    name = parts.name if parts.name in INTERPRETERS else parts.name.rstrip("0123456789.")
    spec = INTERPRETERS[name]
    codes, reads = _codes(spec, [word.text for word in parts.words])
    effects = Effects(walk, parts)
    if _made_when_it_runs(parts.words):
        effects.doubt("is made when it runs")
    if reads and not codes:
        stdin = parts.stdin or walk.scope.stdin
        codes = [stdin.text] if stdin.text is not None else []
    with walk.apart():
        for code in codes:
            _read(effects, spec.language, code)


def _made_when_it_runs(words: Sequence[Word]) -> bool:
    """Whether the file of code is what other commands print: `python3 <(...)`, `awk -f <(...)`."""
    at = next((at for at, word in enumerate(words[1:], 1) if not word.text.startswith("-") or word.text == "-"), 0)
    return bool(at) and words[at].inner != NOTHING and words[at].text == SOME


def _read(effects: Effects, language: str, code: str) -> None:
    if code and not code.strip(f"{UNKNOWN}{SOME} \n"):
        effects.doubt("is only known when it runs")
    elif language == "python":
        read_python(effects, code)
    elif language == "awk":
        read_awk(effects, code)
    else:
        read_script(effects, code, language)


def _codes(spec: _Interpreter, words: Sequence[str]) -> tuple[list[str], bool]:
    """Return the texts that are code, and whether code is read from the input."""
    codes: list[str] = []
    at = 1
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-", "--"):
        name, equals, value = words[at].partition("=")
        code, takes = _option(spec, words[at])
        if name in spec.long:
            code, takes = value, not equals
        at += 1
        if takes and at < len(words):
            codes += [words[at]] if code is not None else []
            at += 1
        elif code:
            codes.append(code)
    operands = list(words[at + (words[at : at + 1] == ["--"]) :])
    if spec.verbs and operands[:1] and operands[0] in spec.verbs:
        return [word for word in operands[1:] if not word.startswith("-")], False
    if spec.first:
        from_file = any(word.startswith(("-f", "--file")) for word in words[1:at])
        return codes or ([] if from_file else operands[:1]), False
    return codes, not codes and (not operands or operands[0] in _STDIN_FILES)


def _option(spec: _Interpreter, word: str) -> tuple[str | None, bool]:
    """Return the code that a word of short options carries, and whether it takes the next word."""
    if word.startswith("--"):
        return None, False
    for at, letter in enumerate(word[1:], 2):
        if letter in spec.code:
            takes = at == len(word) or spec.language == "javascript"
            return ("" if takes else word[at:]), takes
        if letter in spec.values:
            return None, at == len(word)
        if letter in spec.attached:
            return None, False
    return None, False
