"""Redirections: to and from files, here-strings, heredocs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.hooks.shell.model import NOTHING, Redirect
from claudebench.hooks.shell.parts import Parts, Stdin
from claudebench.hooks.shell.residue import ends_joined, is_live
from claudebench.hooks.shell.words import words_of

if TYPE_CHECKING:
    from tree_sitter import Node

    from claudebench.hooks.shell.walk import Walk

_DESCRIPTOR_ENDS = frozenset({b"%d" % digit for digit in range(10)} | {b"}"})
_EXPANDS = re.compile(r"(?<!\\)(?:\\\\)*\$[\w{@*#?$!-]")
_NAMED = re.compile(r"\{\w+\}")
_GOES_ON = re.compile(rb"[^\n]*(\||&&)[ \t]*(#[^\n]*)?\n")
REDIRECTS = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect"})


def redirect(walk: Walk, node: Node, parts: Parts) -> None:
    """Put one redirection into the parts of its command."""
    if node.type != "file_redirect" and walk.source[node.start_byte - 1 : node.start_byte] in _DESCRIPTOR_ENDS:
        walk.found.doubt("a text is the input of a descriptor that the grammar does not see")
    if node.type == "heredoc_redirect":
        _heredoc(walk, node, parts)
    elif node.type == "herestring_redirect":
        _herestring(walk, node, parts)
    else:
        _file(walk, node, parts)


def _file(walk: Walk, node: Node, parts: Parts) -> None:
    first = len(walk.found.commands)
    operator, target, descriptor = "", False, _own_descriptor(walk, node, parts)
    for child in node.children:
        if child.type == "file_descriptor":
            descriptor = walk.text(child)
            continue
        if not child.is_named and child.type[0] in "<>&":
            operator = child.type
            continue
        words = words_of(walk, child)
        if target:
            parts.words += words  # the grammar hangs words that follow the target on the redirection
            continue
        target = True
        parts.redirects += [Redirect(operator, word.text) for word in words]
    source = walk.found.since(first)
    if descriptor == "0" and operator in ("<", "<&", "<>"):
        parts.stdin = Stdin(source=source, unknown=source != NOTHING or operator == "<&")


def _own_descriptor(walk: Walk, node: Node, parts: Parts) -> str:
    """Return the number that the grammar took for a word of the command, taken back; "0" if there is none."""
    before = walk.source[node.start_byte - 1 : node.start_byte]
    arrow = walk.source[node.start_byte : node.start_byte + 1] in (b"<", b">")
    if arrow and before.isdigit() and len(parts.words) > 1 and parts.words[-1].text.isdigit():
        return parts.words.pop().text
    if arrow and before == b"}" and len(parts.words) > 1 and _NAMED.fullmatch(parts.words[-1].text):
        return parts.words.pop().text
    return "0"


def _herestring(walk: Walk, node: Node, parts: Parts) -> None:
    for child in node.named_children:
        words = words_of(walk, child)
        text = " ".join(word.text for word in words)
        sure = all(word.sure for word in words)
        source = next((word.inner for word in words if word.inner != NOTHING), NOTHING)
        parts.stdin = Stdin(text + "\n" if sure else None, source, unknown=not sure)


def _heredoc(walk: Walk, node: Node, parts: Parts) -> None:
    """A heredoc: its body is the command's input; words behind the operator are the command's own."""
    first = len(walk.found.commands)
    start = end = ""
    body: Node | None = None
    for child in node.children:
        if child.type == "heredoc_start":
            start = walk.text(child)
        elif child.type == "heredoc_body":
            body = child
        elif child.type == "heredoc_end":
            end = _end(walk, child)
        else:
            _behind_operator(walk, child, parts)
    delimiter = re.sub(r"[\"'\\]", "", start)
    ends = body is not None and any(line.lstrip("\t") == delimiter for line in walk.text(body).split("\n"))
    if not start or end != delimiter or ends:
        walk.found.doubt("a heredoc does not end where it says")
    if _GOES_ON.match(walk.source, node.start_byte):
        walk.found.doubt("a list goes on below a heredoc")
    text = _text(walk, body, literal=delimiter != start) if body else ""
    parts.stdin = Stdin(text, walk.found.since(first), unknown=text is None)


def _behind_operator(walk: Walk, node: Node, parts: Parts) -> None:
    """What else the grammar hangs on a heredoc: redirections and words of its command. Statements come later."""
    if node.type in REDIRECTS:
        redirect(walk, node, parts)
    elif node.type == "comment":
        walk.grammar.statements["comment"](walk, node)
    elif node.type == "ERROR" or node.is_missing:
        walk.error(node)
    elif node.is_named and node.type not in walk.grammar.statements:
        parts.words += words_of(walk, node)


def _end(walk: Walk, node: Node) -> str:
    """Return the delimiter that ends a heredoc; it must have its line to itself."""
    text = walk.text(node).strip("\t\n")
    behind = walk.source[node.start_byte + len(text.encode("utf-8", "surrogatepass")) :]
    before = walk.source[: node.start_byte].rstrip(b"\t")
    return text if behind[:1] in (b"", b"\n") and before.endswith(b"\n") else ""


def _text(walk: Walk, body: Node, *, literal: bool) -> str | None:
    """Return the text of a heredoc, or None if something in it is expanded."""
    before = walk.source[: body.start_byte]
    skipped = len(before) - len(before.rstrip(b"\n")) - 1  # the grammar begins a body behind its empty lines
    text = "\n" * skipped + walk.text(body)
    if literal:
        return text
    if ends_joined(text):
        walk.found.doubt("a heredoc ends in a joined line")
    first = len(walk.found.commands)
    pieces = body.named_children
    for child in pieces:
        walk.within(child)
    plain = _between(walk, body)
    if is_live(plain) or (not pieces and "`" in plain):
        walk.found.doubt("a heredoc holds a substitution that the grammar does not see")
        return None
    expands = _EXPANDS.search(plain) is not None or any(child.type != "heredoc_content" for child in pieces)
    return None if expands or walk.found.since(first) != NOTHING else re.sub(r"\\([$`\\])|\\\n", r"\1", text)


def _between(walk: Walk, body: Node) -> str:
    """Return the text of a heredoc between its expansions; not all of it has a node."""
    gaps, at = [], body.start_byte
    for child in body.named_children:
        if child.type != "heredoc_content":
            gaps.append(walk.source[at : child.start_byte])
            at = child.end_byte
    return b"\n".join([*gaps, walk.source[at : body.end_byte]]).decode("utf-8", "surrogatepass")
