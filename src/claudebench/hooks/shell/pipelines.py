"""Lists and pipelines: `a && b | c > file`, and which statement a redirection belongs to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from claudebench.hooks.shell.commands import run, simple
from claudebench.hooks.shell.output import printed
from claudebench.hooks.shell.parts import Parts, Stdin
from claudebench.hooks.shell.redirects import REDIRECTS, redirect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tree_sitter import Node

    from claudebench.hooks.shell.scope import Value
    from claudebench.hooks.shell.walk import Walk

    Member = tuple[Node | None, Sequence[Node]]  # a statement and the redirections that are its own


def listed(walk: Walk, node: Node, redirects: Sequence[Node] = ()) -> None:
    """`a && b || c`; redirections that the grammar hangs on the list belong to its last command."""
    operator = ""
    last = node.named_children[-1]
    for child in node.children:
        own = redirects if child == last else ()
        if child.is_named:
            joined_by(walk, operator, partial(_listed_member, walk, child, own))
        else:
            operator = child.type


def joined_by(walk: Walk, operator: str, member: Callable[[], None]) -> None:
    """Walk a member of a list; what it assigns is not sure behind `&&` and `||`."""
    if operator == "||":
        with walk.perhaps():
            member()
    elif operator == "&&":
        before = dict(walk.scope.variables)
        member()
        if walk.scope.variables != before:
            _note_changes(walk, before)
    else:
        member()


def _listed_member(walk: Walk, node: Node, redirects: Sequence[Node]) -> None:
    if redirects:
        _with_redirects(walk, node, redirects)
    else:
        _member(walk, node, ())


def _note_changes(walk: Walk, before: dict[str, Value]) -> None:
    """Note what changed since `before`: after the list it is no longer sure."""
    changed = {name for name, value in walk.scope.variables.items() if before.get(name) != value}
    walk.maybe.update({name: before.get(name) for name in changed if name not in walk.maybe})


def pipeline(walk: Walk, node: Node) -> None:
    """`a | b |& c`."""
    for child in node.named_children:
        if child.type == "comment":
            walk.grammar.statements["comment"](walk, child)
    _in_order(walk, node, ())


def _in_order(walk: Walk, node: Node, redirects: Sequence[Node]) -> None:
    """Walk a pipeline; a list that the grammar puts at its end, `a | (b | c && d)`, begins behind it."""
    members = [child for child in node.named_children if child.type != "comment"]
    behind: list[tuple[str, Node]] = []
    while members[-1].type in ("list", "pipeline"):
        last = members.pop()
        if last.type == "list":
            operator = next((child.type for child in last.children if not child.is_named), "")
            behind.insert(0, (operator, last.named_children[-1]))
        members += last.named_children[:-1] if last.type == "list" else last.named_children
    _with_heredocs(walk, [(child, ()) for child in members[:-1]], members[-1], () if behind else redirects)
    for at, (operator, child) in enumerate(behind, 1):
        own = redirects if at == len(behind) else ()
        joined_by(walk, operator, partial(_listed_member, walk, child, own))


def redirected(walk: Walk, node: Node) -> None:
    """A statement with redirections; a heredoc may carry the rest of its own line behind it."""
    redirects = [child for child in node.children if child.type in REDIRECTS]
    bodies = [child for child in node.named_children if child.type not in REDIRECTS]
    for child in bodies[1:]:
        walk.statement(child)
    if bodies and bodies[0].type == "list":
        listed(walk, bodies[0], redirects)
    else:
        _with_redirects(walk, bodies[0] if bodies else None, redirects)


def _with_redirects(walk: Walk, body: Node | None, redirects: Sequence[Node]) -> None:
    """A pipeline or a single statement, redirected."""
    if body is not None and body.type == "pipeline":
        _in_order(walk, body, redirects)
    else:
        _with_heredocs(walk, [], body, redirects)


def _with_heredocs(walk: Walk, before: Sequence[Member], last: Node | None, redirects: Sequence[Node]) -> None:
    """A pipeline whose last member is redirected; what follows a heredoc on its line comes after it."""
    members: list[Member] = [*before, (last, redirects)]
    rest: list[Node] = []
    for each in redirects:
        if each.type == "heredoc_redirect":
            piped_on, others = _rest_of_line(walk, each)
            members += [(child, ()) for child in piped_on]
            rest += others
    _piped(walk, members)
    for child in rest:
        walk.statement(child)


def _rest_of_line(walk: Walk, heredoc: Node) -> tuple[list[Node], list[Node]]:
    """Return what follows a heredoc on its line: members of its pipeline, and other statements."""
    piped: list[Node] = []
    others: list[Node] = []
    for child in heredoc.named_children:
        if child.type == "pipeline":
            piped += child.named_children
        elif child.type in walk.grammar.statements and child.type not in REDIRECTS and child.type != "comment":
            others.append(child)
    return piped, others


def bare(walk: Walk, node: Node) -> None:
    """A redirection that stands alone: `$(<file)`."""
    _compound(walk, None, [node])


def _piped(walk: Walk, members: Sequence[Member]) -> None:
    piped(walk, [partial(_member, walk, node, redirects) for node, redirects in members])


def piped(walk: Walk, members: Sequence[Callable[[], None]]) -> None:
    """Walk the members of a pipeline: each reads what those before it wrote."""
    if len(members) == 1:
        members[0]()
        return
    commands = walk.found.commands
    start = len(commands)
    stdin = walk.scope.stdin
    for member in members:
        begin = len(commands)
        with walk.apart():
            walk.scope.background = True
            walk.scope.stdin = stdin
            if begin > start:
                walk.scope.upstream = (start, begin)
            member()
        stdin = Stdin(printed(commands[begin:]), (start, len(commands)), unknown=True)


def _member(walk: Walk, node: Node | None, redirects: Sequence[Node]) -> None:
    """One statement with its redirections."""
    if node is not None and node.type == "command":
        simple(walk, node, redirects)
    elif node is not None and node.type == "negated_command":
        _member(walk, node.named_children[-1], redirects)
    elif redirects:
        _compound(walk, node, redirects)
    elif node is not None:
        walk.statement(node)


def _compound(walk: Walk, node: Node | None, redirects: Sequence[Node]) -> None:
    """A compound statement with redirections, or redirections alone."""
    first = len(walk.found.commands)
    parts = Parts()
    for each in redirects:
        redirect(walk, each, parts)
    parts.inner = walk.found.since(first)
    if node is not None and parts.words:
        walk.found.doubt("words follow a redirection that is not a command's own")
    run(walk, parts)
    if node is None:
        return
    before = walk.scope.stdin
    walk.scope.stdin = parts.stdin or before
    walk.statement(node)
    walk.scope.stdin = before
