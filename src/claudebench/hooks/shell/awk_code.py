"""awk on the command line: `system()`, pipes and files that it writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.hooks.shell.limits import CODE_BYTES_MAX, CODE_CALLS_MAX

if TYPE_CHECKING:
    from claudebench.hooks.shell.effects import Effects

_STRING = r'"((?:\\.|[^"\\])*)"'
_LITERAL = re.compile(rf"\s*(?:\(\s*)?{_STRING}\s*(?:\)\s*)?(?=[;}}\n)]|$|>|\|)", re.DOTALL)
_TOKEN = re.compile(
    rf"{_STRING}|(?P<system>\bsystem\s*\()|(?P<print>\bprintf?\b)|(?P<get>\|&?\s*getline\b)|(?P<out>>>?|\|&?)"
    r"|(?:(?<=[(,~!{;&|\n])|(?<=[(,~!{;&|\n] )|\A)/(?:\\.|[^/\\\n])+/"  # a regular expression
    r"|(?P<open>[(\[])|(?P<close>[)\]])|(?P<end>[;}\n])|#[^\n]*|.",
    re.DOTALL,
)
_DEPTHS = {"system": 1, "open": 1, "close": -1}
_DANGEROUS = re.compile(r"system|getline|print")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def read_awk(effects: Effects, code: str) -> None:
    """Tell what the program would do: its strings, where they are run or written to."""
    if not _DANGEROUS.search(code):
        return
    if len(code) > CODE_BYTES_MAX or len(_DANGEROUS.findall(code)) > CODE_CALLS_MAX:
        effects.doubt("is longer than is followed")
        return
    depth, prints, last = 0, False, None
    for token in _TOKEN.finditer(code):
        kind = token.lastgroup
        if kind == "system":
            effects.shell(_literal(code, token.end()))
        elif kind == "get":
            effects.shell(last)
        elif kind == "out" and prints and depth <= 0:
            _output(effects, token[0], _literal(code, token.end()))
        depth = 0 if kind == "print" else depth + _DEPTHS.get(kind or "", 0)
        prints = kind == "print" or (prints and kind not in ("end", "out"))
        if not token[0].isspace():
            last = _plain(token[1]) if token[1] is not None else None


def _output(effects: Effects, operator: str, target: str | None) -> None:
    if operator.startswith(">"):
        effects.write(target)
    else:
        effects.shell(target)


def _literal(code: str, at: int) -> str | None:
    match = _LITERAL.match(code, at)
    return _plain(match[1]) if match else None


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda match: match[1], text)
