"""What gives a variable a value: `NAME=value`, and programs such as `read` that assign to their operands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.paths import UNKNOWN
from claudebench.hooks.shell.parts import Parts, Word
from claudebench.hooks.shell.residue import is_live
from claudebench.hooks.shell.shells import nest
from claudebench.hooks.shell.words import unsplit

if TYPE_CHECKING:
    from tree_sitter import Node

    from claudebench.hooks.shell.walk import Walk

_RUNS_VALUE = frozenset({
    "PROMPT_COMMAND", "BASH_ENV", "ENV", "GIT_SSH_COMMAND", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_PAGER",
    "EDITOR", "VISUAL", "PAGER",
})  # fmt: skip


def assign(walk: Walk, node: Node, *, lasting: bool) -> list[tuple[str, str]]:
    """Resolve one NAME=value; keep it when it outlives its command."""
    name, *values = node.named_children
    if name.type != "variable_name" or any(value.type == "array" for value in values):
        return _assign_array(walk, node, walk.text(name).partition("[")[0])
    word = unsplit(walk, values[0]) if values else Word("")
    if "+=" in (child.type for child in node.children):
        before, sure = walk.scope.variables.get(walk.text(name), (UNKNOWN, False))
        word = replace(word, text=before + word.text, sure=sure and word.sure)
    _keep(walk, walk.text(name), word, lasting=lasting)
    return [(walk.text(name), word.text)]


def _assign_array(walk: Walk, node: Node, name: str) -> list[tuple[str, str]]:
    for child in node.children:
        walk.within(child)
    walk.scope.variables[name] = (UNKNOWN, False)
    return [(name, UNKNOWN)]


def _keep(walk: Walk, name: str, word: Word, *, lasting: bool) -> None:
    if is_live(word.text):
        walk.found.doubt("a variable holds a substitution as text")
    if name in _RUNS_VALUE and word.text:
        nest(walk, word.text, Parts())
    if not lasting:
        return
    walk.scope.variables[name] = (word.text, word.sure)
    walk.scope.splits = walk.scope.splits and name != "IFS"


def assign_operands(walk: Walk, parts: Parts) -> None:
    """`read`, `mapfile`, `getopts`, `unset`, `let`: the names among their words get values that nobody knows."""
    for word in parts.words[1:]:
        name = re.match(r"[A-Za-z_]\w*", word.text)
        if name:
            walk.scope.variables[name[0]] = (UNKNOWN, False)


def assign_printed(walk: Walk, parts: Parts) -> None:
    """`printf -v name`: the name gets a value that nobody knows."""
    if len(parts.words) > 2 and parts.words[1].text == "-v":  # noqa: PLR2004 - the name stands third
        assign_operands(walk, replace(parts, words=parts.words[1:3]))
