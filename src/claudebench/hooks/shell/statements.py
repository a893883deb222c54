"""Statements that hold others: `if`, `case`, loops, subshells. What may not run leaves its variables unsure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.arrays import arguments
from claudebench.hooks.shell.limits import LOOP_VALUES_MAX
from claudebench.hooks.shell.model import NOTHING
from claudebench.hooks.shell.parts import Word
from claudebench.hooks.shell.residue import are_torn, begins_comment, spans_lines
from claudebench.hooks.shell.words import words_of

if TYPE_CHECKING:
    from tree_sitter import Node

    from claudebench.hooks.shell.walk import Walk

_EXPRESSIONS = frozenset(
    {"binary_expression", "unary_expression", "ternary_expression", "postfix_expression", "parenthesized_expression"}
)
_IN_TEST = frozenset({"[", "]", "=", "==", "!=", "=~", "!"})
_BEHIND_BRACE = (b" ", b"\t", b"\n", b"(", b"\\")  # bash takes `{a` for a name
_USED_UP = ("", ())
_QUOTED_SUBSCRIPT = re.compile(r"\w\[[^\]\s]*(\$\(|`)")


def comment(walk: Walk, node: Node) -> None:
    """A comment: nothing runs. It must begin where bash begins one."""
    if not begins_comment(walk.source, node.start_byte):
        walk.found.doubt("it holds a # that may not begin a comment")


def test(walk: Walk, node: Node) -> None:
    """`[[ ... ]]`, `[ ... ]`: nothing in it runs but substitutions; a quoted subscript may hold one."""
    walk.inside_of(node)
    if node.children[0].type == "[" and _ends_within(walk, node):
        walk.found.doubt("a test with [ ends before the grammar sees it end")
    if _QUOTED_SUBSCRIPT.search(walk.text(node)[2:]):
        walk.found.doubt("a subscript holds a substitution as text")


def _ends_within(walk: Walk, node: Node) -> bool:
    """Whether bash, for which `[` is a command, ends it inside: at an operator of the shell or at the end of a line."""
    return (walk.lines and spans_lines(walk.source, node)) or any(
        _ends_within(walk, child) if child.type in _EXPRESSIONS else not (child.is_named or child.type in _IN_TEST)
        for child in node.children
    )


def compound(walk: Walk, node: Node) -> None:
    """`{ ...; }`, `(( ... ))`: the first runs in this shell, the second only counts."""
    if node.children and node.children[0].type == "((":
        walk.inside_of(node)
        return
    if walk.source[node.start_byte + 1 : node.start_byte + 2] not in _BEHIND_BRACE:
        walk.found.doubt("a lone brace stands among its words")
    walk.sequence(node)


def negated(walk: Walk, node: Node) -> None:
    """`! a`."""
    for child in node.named_children:
        walk.statement(child)


def subshell(walk: Walk, node: Node) -> None:
    """`( ... )`."""
    with walk.apart():
        walk.sequence(node)


def conditional(walk: Walk, node: Node) -> None:
    """`if`, `case`: each part may or may not run."""
    with walk.perhaps():
        for child in node.named_children:
            walk.part(child)
            walk.settle()


def case_item(walk: Walk, node: Node) -> None:
    """Patterns, `)`, then statements."""
    body = False
    for child in node.children:
        if child.type == ")":
            body = True
        elif child.is_named and body:
            walk.statement(child)
            walk.settle()
        elif child.is_named:
            walk.within(child)


def loop(walk: Walk, node: Node) -> None:
    """`while`, `until`, `for ((;;))`: what the body assigns is unsure from its first line on."""
    walk.scope.forget(walk.text(node))
    for _ in range(LOOP_VALUES_MAX):
        before = walk.scope.left()
        conditional(walk, node)
        if not any(old != new and new not in _USED_UP for old, new in zip(before, walk.scope.left(), strict=True)):
            return
    walk.found.doubt("a loop has more rounds than are followed")


def for_each(walk: Walk, node: Node) -> None:
    """`for name in words`: the body is walked once per word while they are few."""
    walk.scope.forget(walk.text(node))
    children = node.named_children
    before, walk.drawn = walk.drawn, {}
    if are_torn([child for child in children if child.type not in ("variable_name", "do_group")]):
        walk.found.doubt("a word has a part that the grammar takes for another word")
    name = next((walk.text(child) for child in children if child.type == "variable_name"), "")
    values = [
        word for child in children if child.type not in ("variable_name", "do_group") for word in words_of(walk, child)
    ]
    if not any(child.type not in ("variable_name", "do_group") for child in children):
        values = arguments(walk)
    drawn = walk.drew(before)
    unknown = not values or len(values) > LOOP_VALUES_MAX
    with walk.perhaps():
        for value in [Word(UNKNOWN, sure=False)] if unknown else values:
            sources = drawn + ((value.inner,) if value.inner != NOTHING else ())
            walk.scope.assign(name, value.text.replace(UNKNOWN, SOME), sure=value.sure, sources=sources)
            for child in children:
                if child.type == "do_group":
                    walk.statement(child)
    if len(values) > LOOP_VALUES_MAX:
        walk.found.doubt("a loop has more values than are followed")
