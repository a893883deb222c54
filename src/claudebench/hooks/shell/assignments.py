"""What gives a variable a value: `NAME=value`, and programs such as `read` that assign to their operands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.paths import UNKNOWN
from claudebench.hooks.shell.limits import DRAWN_MAX
from claudebench.hooks.shell.model import NOTHING
from claudebench.hooks.shell.parts import Parts, Word
from claudebench.hooks.shell.residue import is_live
from claudebench.hooks.shell.shells import nest
from claudebench.hooks.shell.words import unsplit

if TYPE_CHECKING:
    from tree_sitter import Node

    from claudebench.hooks.shell.model import Span
    from claudebench.hooks.shell.walk import Walk

_RUNS_VALUE = frozenset({
    "PROMPT_COMMAND", "BASH_ENV", "ENV", "GIT_SSH_COMMAND", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_PAGER",
    "EDITOR", "VISUAL", "PAGER", "GIT_EXTERNAL_DIFF", "GIT_SSH", "GIT_PROXY_COMMAND", "GIT_ASKPASS", "SSH_ASKPASS",
    "SUDO_ASKPASS", "SUDO_EDITOR", "MANPAGER", "LESSOPEN", "LESSCLOSE", "FCEDIT", "BROWSER", "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER", "PSQL_PAGER", "PSQL_EDITOR", "SYSTEMD_PAGER", "GH_PAGER", "GH_EDITOR", "GH_BROWSER",
})  # fmt: skip
_REBINDS = frozenset({"BASH_ALIASES", "BASH_CMDS"})
_NAME = re.compile(r"[A-Za-z_]\w*")
_EVALUATES = re.compile(r"\[[^\]]*(\$\(|`)")


def assign(walk: Walk, node: Node, *, lasting: bool) -> list[tuple[str, str]]:
    """Resolve one NAME=value; keep it when it outlives its command."""
    if not node.named_children:
        walk.found.doubt("an assignment has no name that the grammar sees")
        return []
    name, *values = node.named_children
    if name.type != "variable_name" or any(value.type == "array" for value in values):
        return _assign_array(walk, node, walk.text(name).partition("[")[0])
    before, walk.drawn = walk.drawn, {}
    word = unsplit(walk, values[0]) if values else Word("")
    sources = walk.drew(before) + ((word.inner,) if word.inner != NOTHING else ())
    if "+=" in (child.type for child in node.children):
        text, sure = walk.scope.variables.get(walk.text(name), (UNKNOWN, False))
        word = replace(word, text=text + word.text, sure=sure and word.sure)
        sources = walk.scope.sources.get(walk.text(name), ()) + sources
    _keep(walk, walk.text(name), word, sources if lasting else None)
    return [(walk.text(name), word.text)]


def _assign_array(walk: Walk, node: Node, name: str) -> list[tuple[str, str]]:
    for child in node.children:
        walk.within(child)
    _keep(walk, name, Word(UNKNOWN, sure=False), ())
    return [(name, UNKNOWN)]


def _keep(walk: Walk, name: str, word: Word, sources: tuple[Span, ...] | None) -> None:
    """Keep a value and what printed it; no sources at all: it does not outlive its command."""
    if is_live(word.text):
        walk.found.doubt("a variable holds a substitution as text")
    run_value(walk, name, word.text)
    if name in _REBINDS:
        walk.found.doubt("it changes what the name of a command means")
    if sources is not None:
        sure = word.sure and name not in walk.found.odd
        walk.scope.assign(name, word.text, sure=sure, sources=sources[:DRAWN_MAX])


def run_value(walk: Walk, name: str, value: str) -> None:
    """Follow the value of a variable whose value is a shell line to some program."""
    if name in _RUNS_VALUE and value:
        nest(walk, value, Parts())


def assign_operands(walk: Walk, parts: Parts) -> None:
    """`read`, `getopts`, `unset`, `let`: the names among their words get values that nobody knows."""
    check_subscripts(walk, parts)
    for word in parts.words[1:]:
        name = _NAME.match(word.text)
        if name:
            walk.scope.assign(name[0], UNKNOWN, sure=False)


def assign_lines(walk: Walk, parts: Parts) -> None:
    """`mapfile`: fills an array, and may run a command for every few lines."""
    if any(re.match(r"-\w*C", word.text) for word in parts.words):
        walk.found.doubt("mapfile runs a command for what it reads")
    assign_operands(walk, parts)


def check_subscripts(walk: Walk, parts: Parts) -> None:
    """Bash expands the subscript in the name of an element once more: `test -v 'a[$(rm x)]'` removes x."""
    if any(_EVALUATES.search(word.text) for word in parts.words[1:]):
        walk.found.doubt("a subscript holds a substitution as text")


def assign_printed(walk: Walk, parts: Parts) -> None:
    """`printf -v name`: the name gets a value that nobody knows."""
    if len(parts.words) > 1 and parts.words[1].text.startswith("-v"):
        name = parts.words[1].text[2:]
        assign_operands(walk, replace(parts, words=[parts.words[0], Word(name), *parts.words[2:3]]))
