"""Functions: noted where they are defined, walked where they are called, and once in any case."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from claudebench.hooks.shell.scope import Scope, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

    from claudebench.hooks.shell.parts import Parts
    from claudebench.hooks.shell.walk import Found, Walk


def define(walk: Walk, node: Node) -> None:
    """Note a function; its body is walked where it is called, and once in any case."""
    name, *bodies = node.named_children
    for body in bodies:
        walk.found.functions.setdefault(walk.text(name), []).append((walk, body))


def call(caller: Walk, name: str, parts: Parts) -> None:
    """Walk the body of a function with the words that it is called with; a body that calls itself is not followed."""
    numbered = {str(at): (word.text, word.sure) for at, word in enumerate(parts.words[1:], 1)}
    stdin, caller.scope.stdin = caller.scope.stdin, parts.stdin or caller.scope.stdin
    for walk, body in list(caller.found.functions[name]):
        if body.id in caller.found.active:
            continue
        outer, walk.scope = walk.scope, caller.scope
        with _with_arguments(caller, numbered):
            _body(walk, name, body)
        walk.scope = outer
    caller.scope.stdin = stdin


def walk_uncalled(found: Found) -> None:
    """Walk the bodies of functions that nobody called, in a scope where nothing is known."""
    for name in list(found.functions):
        for walk, body in found.functions[name]:
            if body.id not in found.walked:
                walk.scope = Scope()
                _body(walk, name, body)


@contextmanager
def _with_arguments(caller: Walk, arguments: dict[str, Value]) -> Iterator[None]:
    """Within a function $1 and the rest are its own; all other variables are shared."""
    variables = caller.scope.variables
    before = {name: variables.pop(name) for name in list(variables) if name.isdigit()}
    variables.update(arguments)
    yield
    for name in [name for name in caller.scope.variables if name.isdigit()]:
        del caller.scope.variables[name]
    caller.scope.variables.update(before)


def _body(walk: Walk, name: str, body: Node) -> None:
    walk.found.walked.add(body.id)
    walk.found.active.add(body.id)
    walk.found.calling.append(name)
    with walk.perhaps():
        walk.statement(body)
    walk.found.calling.pop()
    walk.found.active.discard(body.id)
