"""Expansions: what `$name`, `${...}`, `$((...))`, `$(...)` and `<(...)` become in a word, and what runs in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.arrays import listed
from claudebench.hooks.shell.cutting import CUTS, cut
from claudebench.hooks.shell.model import NOTHING
from claudebench.hooks.shell.output import likely_printed, printed
from claudebench.hooks.shell.parts import Stdin
from claudebench.hooks.shell.quoting import quoted as marked
from claudebench.hooks.shell.quoting import quoted_braces, quoted_value, unquoted
from claudebench.hooks.shell.residue import has_brace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tree_sitter import Node

    from claudebench.hooks.shell.walk import Walk

_NAME = re.compile(r"\w+|[@*#?$!-]")
_QUOTED_WHOLE = ("raw_string", "ansi_c_string")
_NAMES = ("variable_name", "special_variable_name")
_SUBSCRIPTS = re.compile(r"\$\{!\w+\[[@*]\]\}")
_LISTS = ("$@", "$*")


def variable(walk: Walk, node: Node, *, quoted: bool) -> str:
    """`$name`: the value of a variable."""
    text = walk.text(node).lstrip(" \t\n") if quoted else walk.text(node)
    if text in _LISTS:
        return listed(walk, text, quoted=quoted) or ""
    name = text[1:]
    if name.isdigit() and len(name) > 1:
        return _value(walk, name[0], quoted=quoted) + name[1:]
    if not _NAME.fullmatch(name):
        walk.found.doubt("a $ stands where the grammar sees something else")
    return _value(walk, name, quoted=quoted)


def _value(walk: Walk, name: str, *, quoted: bool) -> str:
    value, sure, _ = walk.scope.value(name)
    walk.sure = walk.sure and sure
    walk.draw(walk.scope.drawn_by(name))
    if quoted:
        return quoted_value(value)
    if not walk.scope.splits:
        walk.sure = False
    return quoted_braces(value)


def expansion(walk: Walk, node: Node, *, quoted: bool) -> str:
    """`${...}`: a plain name is its value; a default is judged, an operator makes it unknown."""
    children = node.children[1:-1]
    names = [child for child in children if child.type in _NAMES]
    if (found := listed(walk, walk.text(node).lstrip(" \t\n"), quoted=quoted)) is not None:
        return found
    if len(children) == 1 and names:
        return _value(walk, walk.text(names[0]), quoted=quoted)
    operators = [child.type for child in children if not child.is_named]
    bare = (child for child in children if child.type not in _QUOTED_WHOLE and not child.child_count)
    if any(has_brace(walk.text(child)) for child in bare):
        walk.found.doubt("an expansion ends elsewhere than the grammar sees")
    others = [child for child in children if child.is_named and child not in names]
    if ("@" in operators or "!" in operators) and not _SUBSCRIPTS.fullmatch(walk.text(node).lstrip(" \t\n")):
        walk.found.doubt("an expansion evaluates the value of a variable")
    if names and operators[:1] and operators[0] in (":-", "-", ":=", "="):
        return _with_default(walk, names[0], operators[0], others, quoted=quoted)
    for child in others:
        walk.within(child)
    walk.sure = False
    if names and len(others) == 1 and others[0].type == "regex" and operators[0] in CUTS:
        return _cut(walk, walk.text(names[0]), operators[0], walk.text(others[0]), quoted=quoted)
    if names and operators[:1] and operators[0] in (":?", "?"):
        return _value(walk, walk.text(names[0]), quoted=quoted).replace(UNKNOWN, SOME)
    return SOME if operators[:1] == ["#"] and node.children[1].type == "#" else UNKNOWN


def _cut(walk: Walk, name: str, operator: str, pattern: str, *, quoted: bool) -> str:
    """`${name%pattern}`: what is left of a value; it is likely at most."""
    value = walk.scope.value(name)
    walk.draw(walk.scope.drawn_by(name))
    left = cut(value.text, operator, pattern)
    return quoted_value(left) if quoted else quoted_braces(left)


def _with_default(walk: Walk, node: Node, operator: str, default: Sequence[Node], *, quoted: bool) -> str:
    name = walk.text(node)
    value = _value(walk, name, quoted=quoted)
    if walk.scope.holds(name) and UNKNOWN in value:
        walk.inside_of(*default)
        default = ()
    otherwise = "".join(walk.piece(child, quoted=quoted) for child in default)
    result = value
    if UNKNOWN in value:
        result = otherwise or UNKNOWN
    elif not value and (operator[0] == ":" or name.isdigit()):
        result = otherwise
    if operator[-1] == "=":
        walk.scope.assign(name, unquoted(result), sure=False)
    return result


def arithmetic(walk: Walk, node: Node, *, quoted: bool) -> str:  # noqa: ARG001 - a number needs no quotes
    """`$((...))`: some number; substitutions in it are walked."""
    for child in node.named_children:
        walk.within(child)
    walk.sure = False
    return SOME


def substitution(walk: Walk, node: Node, *, quoted: bool) -> str:
    """`$(...)`, backticks: its commands are walked; what it prints is known for a few."""
    if node.children and node.children[0].type == "`" and "\\" in walk.text(node):
        walk.found.doubt("backticks hold a backslash")
    first = len(walk.found.commands)
    with walk.apart():
        walk.scope.upstream = NOTHING
        walk.sequence(node)
    commands = walk.found.commands[first:]
    output = printed(commands)
    if commands and commands[0].program in walk.found.functions:
        output = None
    if output is None:
        output = likely_printed(commands)
        walk.sure = False
    output = output.rstrip("\n")
    return marked(output) if quoted else quoted_braces(output)


def process(walk: Walk, node: Node, *, quoted: bool) -> str:  # noqa: ARG001 - the name of a file needs no quotes
    """`<(...)`, `>(...)`: a file name that nobody knows; its commands are walked."""
    with walk.apart():
        if walk.text(node).startswith(">"):
            walk.scope.stdin = Stdin(unknown=True)
        walk.sequence(node)
    walk.sure = False
    return SOME
