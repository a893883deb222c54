"""Statements that only assign: `NAME=value` alone, `export`, `declare`, `local`, `readonly`, `unset`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.hooks.shell.assignments import assign, assign_operands
from claudebench.hooks.shell.commands import note
from claudebench.hooks.shell.parts import Parts, Word
from claudebench.hooks.shell.words import words_of

if TYPE_CHECKING:
    from tree_sitter import Node

    from claudebench.hooks.shell.walk import Walk


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
    note(walk, parts)
    if any(re.fullmatch(r"-\w*n\w*", word.text) for word in parts.words[1:]) and parts.words[0].text != "export":
        walk.found.doubt("a name stands for another variable")
