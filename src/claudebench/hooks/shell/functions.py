"""Functions: noted where they are defined, walked where they are called, and once in any case."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from claudebench.hooks.shell.limits import RECURSION_MAX
from claudebench.hooks.shell.model import NOTHING
from claudebench.hooks.shell.scope import ARGUMENTS, Scope, Value, listing
from claudebench.hooks.shell.shells import values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from claudebench.hooks.shell.model import Span
    from claudebench.hooks.shell.parts import Parts
    from claudebench.hooks.shell.walk import Found, Walk

Arguments = tuple[Value, ...]

_USES_ARGUMENTS = re.compile(r"\$\{?[#!]?[@*\d#]|\b(shift|for)\b")


def define(walk: Walk, node: Node) -> None:
    """Note a function; its body is walked where it is called, and once in any case."""
    name, *bodies = node.named_children
    for body in bodies:
        walk.found.functions.setdefault(walk.text(name), []).append((walk, body))


def call(caller: Walk, name: str, parts: Parts) -> None:
    """Walk the body of a function with the words that it is called with; a body that calls itself is not followed."""
    arguments = values_of(parts.words[1:])
    sources = parts.drawn + tuple(word.inner for word in parts.words[1:] if word.inner != NOTHING)
    exported = {key for key, _ in parts.assignments} - caller.scope.exported
    caller.scope.exported |= exported
    stdin, caller.scope.stdin = caller.scope.stdin, parts.stdin or caller.scope.stdin
    for walk, body in list(caller.found.functions[name]):
        if _is_followed(walk, body, arguments):
            outer, walk.scope = walk.scope, caller.scope
            with _with_arguments(caller, arguments, sources):
                _body(walk, name, body, arguments)
            walk.scope = outer
    caller.scope.stdin = stdin
    caller.scope.exported -= exported


def _is_followed(walk: Walk, body: Node, arguments: Arguments) -> bool:
    """Whether a body is walked with these arguments: one that calls itself with others is, some levels deep."""
    active = [one for node, one in walk.found.active if node == body.id]
    if not active:
        return True
    if arguments in active or not _USES_ARGUMENTS.search(walk.text(body)):
        return False
    if len(active) >= RECURSION_MAX:
        walk.found.doubt("a function calls itself more often than is followed")
        return False
    return True


def walk_uncalled(found: Found) -> None:
    """Walk the bodies of functions that nobody called, in a scope where nothing is known."""
    for name in list(found.functions):
        for walk, body in found.functions[name]:
            if body.id not in found.walked:
                walk.scope = Scope()
                _body(walk, name, body, ())


@contextmanager
def _with_arguments(caller: Walk, arguments: Arguments, sources: tuple[Span, ...]) -> Iterator[None]:
    """Within a function $1 and the rest are its own; all other variables are shared."""
    before, drawn = caller.scope.variables.get(ARGUMENTS), caller.scope.drawn_by("1")
    caller.scope.hold(ARGUMENTS, listing(arguments), sources)
    yield
    if before is None:
        caller.scope.variables.pop(ARGUMENTS, None)
    else:
        caller.scope.hold(ARGUMENTS, before, drawn)


def _body(walk: Walk, name: str, body: Node, arguments: Arguments) -> None:
    walk.found.walked.add(body.id)
    walk.found.active.append((body.id, arguments))
    walk.found.calling.append(name)
    with walk.perhaps():
        walk.statement(body)
    walk.found.calling.pop()
    walk.found.active.pop()
