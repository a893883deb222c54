"""Simple commands: put together from their parts, noted, and followed where they run others."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from claudebench.hooks.shell.assignments import assign
from claudebench.hooks.shell.functions import call
from claudebench.hooks.shell.limits import COMMANDS_MAX
from claudebench.hooks.shell.located import is_named
from claudebench.hooks.shell.model import NOTHING, Command
from claudebench.hooks.shell.parts import Parts, Word
from claudebench.hooks.shell.redirects import REDIRECTS, redirect
from claudebench.hooks.shell.residue import spans_lines
from claudebench.hooks.shell.shells import SHELLS, code_from, shell
from claudebench.hooks.shell.words import dollar, is_plain, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tree_sitter import Node

    from claudebench.hooks.shell.walk import Walk

_IN_THIS_SHELL = frozenset(
    {"eval", ".", "source", "command", "builtin", "time", "trap", "exec", "mapfile", "readarray"}
)
_VERSIONED = re.compile(r"(python|pypy|perl|ruby|php)[\d.]+")
_ASSIGNS = re.compile(r"[A-Za-z_]\w*(\[.*\])?\+?=")
_GLOB = re.compile(r"[*?\[]")
RESERVED = frozenset({
    "!", "then", "do", "done", "fi", "else", "elif", "if", "while", "until", "for", "case", "esac", "function",
    "select", "{", "}", "in", "]]", ";;",
})  # fmt: skip
_WORDS = frozenset({"word", "command_name", "number"})


def simple(walk: Walk, node: Node, redirects: Sequence[Node] = ()) -> None:
    """A simple command: assignments, words and redirections, in any order."""
    first = len(walk.found.commands)
    before, walk.drawn = walk.drawn, {}
    if walk.lines and spans_lines(walk.source, node):
        walk.found.doubt("a command goes on in the next line only for the grammar")
    parts = Parts(wrappers=walk.outer.wrappers, prefixes=walk.outer.prefixes)
    words = parts.words
    assigned: list[Node] = []
    end = -1
    for child in chain(node.children, redirects):
        kind, start = child.type, child.start_byte
        if start == end and kind not in REDIRECTS:
            walk.found.doubt("a word has a part that the grammar takes for another word")
        end = child.end_byte if kind not in REDIRECTS and kind != "$" else -1
        if kind in _WORDS and not walk.escapes:
            text = walk.text(child)
            if is_plain(text) and not walk.found.step():
                words.append(Word(text, start))
                continue
        if kind == "variable_assignment":
            assigned.append(child)
        else:
            _add(walk, child, parts)
    for child in assigned:
        parts.assignments += assign(walk, child, lasting=not words)
    parts.inner = walk.found.since(first)
    parts.drawn = walk.outer.drawn + walk.drew(before)
    if assigned and words:
        _run_with(walk, parts)
    else:
        run(walk, parts)


def _run_with(walk: Walk, parts: Parts) -> None:
    """`NAME=value eval ...`: what runs in this shell sees the value, what follows it does not."""
    name = parts.words[0].text
    in_this_shell = name in walk.found.functions or name in _IN_THIS_SHELL
    before = {key: walk.scope.value(key).likely for key, _ in parts.assignments} if in_this_shell else {}
    for key, value in parts.assignments if in_this_shell else ():
        walk.scope.assign(key, value, sure=False, sources=parts.drawn)
    run(walk, parts)
    for key, held in before.items():
        walk.scope.hold(key, held, walk.scope.drawn_by(key))


def _add(walk: Walk, node: Node, parts: Parts) -> None:
    kind = node.type
    if kind in REDIRECTS:
        redirect(walk, node, parts)
    elif kind == "command_name":
        for name in node.children or [node]:
            parts.words += words_of(walk, name)
    elif kind == "subshell" and [word.text for word in parts.words] == ["time"]:
        walk.statement(node)
    elif kind == "ERROR" or node.is_missing:
        walk.error(node)
    elif kind != "$":
        parts.words += words_of(walk, node)
    elif text := dollar(walk, node):
        parts.words.append(Word(text, node.start_byte))


def run(walk: Walk, parts: Parts) -> None:
    """Note a command and follow what it would run in its turn."""
    if len(walk.found.commands) > COMMANDS_MAX:
        walk.found.doubt("it is nested or repeated too often")
        return
    _check_words(walk, parts)
    command = note(walk, parts)
    if not parts.words:
        return
    name = command.program
    if name in walk.found.functions:
        call(walk, name, parts)
    follow = walk.grammar.programs.get(name)
    if follow is None and name[-1:].isdigit() and (versioned := _VERSIONED.fullmatch(name)):
        follow = walk.grammar.programs[versioned[1]]
    if follow is not None:
        follow(walk, parts)
    elif name in SHELLS:
        shell(walk, parts)


def _check_words(walk: Walk, parts: Parts) -> None:
    if not parts.words:
        return
    name = parts.words[0]
    if (not name.sure and not is_named(walk, parts)) or _GLOB.search(name.text):
        walk.found.doubt("the name of a program is only known when it runs")
    if name.text in RESERVED:
        walk.found.doubt(f"the reserved word {name.text} stands where a command should")
    if "=" in name.text and _ASSIGNS.match(name.text):
        walk.found.doubt("an assignment stands where a program should")
    if name.text in walk.found.aliases:
        walk.found.doubt("an alias is called")
    if walk.braces and any(word.lone_brace for word in parts.words):
        walk.found.doubt("a lone brace stands among its words")


def note(walk: Walk, parts: Parts) -> Command:
    """Note a command. What it reads and what it runs as code follows from where it stands."""
    stdin = parts.stdin or walk.scope.stdin
    command = Command(
        words=tuple([word.text for word in parts.words]),
        assignments=tuple(parts.assignments),
        redirects=tuple(parts.redirects),
        wrappers=parts.wrappers,
        prefixes=parts.prefixes,
        directory=walk.scope.directory,
        stdin=stdin.text,
        upstream=walk.scope.upstream,
        code_from=code_from(parts.words, stdin) if parts.words else NOTHING,
        inner=parts.inner,
        drawn=parts.drawn,
        recursive=bool(parts.words) and parts.words[0].text in walk.found.calling and walk.scope.background,
    )
    walk.found.commands.append(command)
    return command
