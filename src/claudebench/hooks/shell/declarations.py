"""Statements that only assign: `NAME=value` alone, `export`, `declare`, `local`, `readonly`, `unset`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.hooks.paths import UNKNOWN
from claudebench.hooks.shell.assignments import assign, assign_operands, check_subscripts
from claudebench.hooks.shell.commands import note
from claudebench.hooks.shell.parts import Parts, Word
from claudebench.hooks.shell.residue import are_torn, is_live
from claudebench.hooks.shell.scope import NOBODY_KNOWS
from claudebench.hooks.shell.words import words_of

if TYPE_CHECKING:
    from tree_sitter import Node

    from claudebench.hooks.shell.walk import Walk

_ASSIGNED = re.compile(r"([A-Za-z_]\w*)(?:=(.*))?", re.DOTALL)
_SHAPES = re.compile(r"[-+]\w*[rilucn]")


def assigned(walk: Walk, node: Node) -> None:
    """`NAME=value` without a command: it lasts."""
    first = len(walk.found.commands)
    parts = Parts(wrappers=walk.outer.wrappers, prefixes=walk.outer.prefixes)
    nodes = node.named_children if node.type == "variable_assignments" else [node]
    for child in nodes:
        parts.assignments += assign(walk, child, lasting=True)
    parts.inner = walk.found.since(first)
    note(walk, parts)


def declared(walk: Walk, node: Node) -> None:
    """`export`, `declare`, `local`, `readonly`, `unset`."""
    first = len(walk.found.commands)
    parts = Parts([Word(walk.text(node.children[0]), node.start_byte)], wrappers=walk.outer.wrappers)
    if are_torn(node.children):
        walk.found.doubt("a word has a part that the grammar takes for another word")
    for child in node.children[1:]:
        if child.type == "variable_assignment":
            parts.assignments += assign(walk, child, lasting=True)
        elif child.type == "ERROR":
            walk.error(child)
        else:
            parts.words += words_of(walk, child)
    parts.inner = walk.found.since(first)
    if node.type == "unset_command":
        assign_operands(walk, parts)
    _check_attributes(walk, parts)
    _export(walk, parts)
    note(walk, parts)
    if any(re.fullmatch(r"-\w*n\w*", word.text) for word in parts.words[1:]) and parts.words[0].text != "export":
        walk.found.doubt("a name stands for another variable")


def _export(walk: Walk, parts: Parts) -> None:
    """`export NAME`, `declare -x NAME`: programs see the variable from now on, or no longer."""
    name, words = parts.name, [word.text for word in parts.words[1:]]
    options = "".join(word for word in words if re.match(r"[-+]\w", word))
    names = [key for key, _ in parts.assignments] + [word.partition("=")[0] for word in words]
    if (name == "export" and "n" in options) or "+x" in options:
        walk.scope.exported -= set(names)
    elif name == "export" or "x" in options:
        walk.scope.exported |= set(names)


def declare(walk: Walk, parts: Parts) -> None:
    """`command export NAME=value`: written so that it is a command like any other; the value is likely at most."""
    for word in parts.words[1:]:
        match = _ASSIGNED.fullmatch(word.text)
        if match:
            walk.scope.assign(match[1], match[2] if match[2] is not None else UNKNOWN, sure=False)
            walk.found.odd.add(match[1])
    _export(walk, parts)


def _check_attributes(walk: Walk, parts: Parts) -> None:
    """A variable that is read-only, a number or of one case may not hold what is assigned to it."""
    check_subscripts(walk, parts)
    name, *words = [word.text for word in parts.words]
    if any(is_live(word) for word in words):
        walk.found.doubt("a declaration holds a substitution as text")
    maps = any(re.match(r"-\w*A", word) for word in words)
    if name == "readonly" or maps or any(_SHAPES.match(word) for word in words):
        names = [key for key, _ in parts.assignments] + [word.partition("=")[0] for word in words]
        walk.found.odd.update(names)
        for key in names:
            if key in walk.scope.variables:
                held = walk.scope.variables[key]
                walk.scope.variables[key] = NOBODY_KNOWS if maps else held.likely
