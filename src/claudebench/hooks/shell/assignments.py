"""What gives a variable a value: `NAME=value`, and programs such as `read` that assign to their operands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.limits import DRAWN_MAX, ELEMENTS_MAX, READS_MAX
from claudebench.hooks.shell.model import NOTHING
from claudebench.hooks.shell.parts import Parts, Word
from claudebench.hooks.shell.residue import are_torn, is_live
from claudebench.hooks.shell.scope import NOBODY_KNOWS, Value, listing
from claudebench.hooks.shell.shells import nest, values_of
from claudebench.hooks.shell.words import unsplit, words_of

if TYPE_CHECKING:
    from tree_sitter import Node

    from claudebench.hooks.shell.model import Span
    from claudebench.hooks.shell.walk import Walk

_RUNS_VALUE = frozenset({
    "PROMPT_COMMAND", "BASH_ENV", "ENV", "GIT_SSH_COMMAND", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_PAGER",
    "EDITOR", "VISUAL", "PAGER", "GIT_EXTERNAL_DIFF", "GIT_SSH", "GIT_PROXY_COMMAND", "GIT_ASKPASS", "SSH_ASKPASS",
    "SUDO_ASKPASS", "SUDO_EDITOR", "MANPAGER", "LESSOPEN", "LESSCLOSE", "FCEDIT", "BROWSER", "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER", "PSQL_PAGER", "PSQL_EDITOR", "SYSTEMD_PAGER", "GH_PAGER", "GH_EDITOR", "GH_BROWSER",
})  # fmt: skip
_REBINDS = frozenset({"BASH_ALIASES", "BASH_CMDS"})
_NAME = re.compile(r"[A-Za-z_]\w*")
_PLAIN_READ = re.compile(r"read(?: -[ers]+)*((?: [A-Za-z_]\w*)*)")
_PLAIN_MAPFILE = re.compile(r"(?:mapfile|readarray) -t ([A-Za-z_]\w*)")
_SUBSCRIPT = re.compile(r"\[.*\]\+?=", re.DOTALL)
_EVALUATES = re.compile(r"\[[^\]]*(\$\(|`)")


def assign(walk: Walk, node: Node, *, lasting: bool) -> list[tuple[str, str]]:
    """Resolve one NAME=value; keep it when it outlives its command."""
    if not node.named_children:
        walk.found.doubt("an assignment has no name that the grammar sees")
        return []
    name, *values = node.named_children
    if name.type != "variable_name":
        return _assign_element(walk, node, walk.text(name).partition("[")[0])
    if values and values[0].type == "array":
        return _assign_array(walk, walk.text(name), values[0], adds="+=" in (child.type for child in node.children))
    before, walk.drawn = walk.drawn, {}
    word = unsplit(walk, values[0]) if values else Word("")
    sources = walk.drew(before) + ((word.inner,) if word.inner != NOTHING else ())
    if "+=" in (child.type for child in node.children):
        held = walk.scope.variables.get(walk.text(name), NOBODY_KNOWS)
        if held.items is not None:
            return _assign_element(walk, node, walk.text(name))
        word = replace(word, text=held.text + word.text, sure=held.sure and word.sure)
        sources = walk.scope.sources.get(walk.text(name), ()) + sources
    _keep(walk, walk.text(name), word, sources if lasting else None)
    return [(walk.text(name), word.text)]


def _assign_element(walk: Walk, node: Node, name: str) -> list[tuple[str, str]]:
    """`a[0]=x`: nobody knows the array any more."""
    for child in node.children:
        walk.within(child)
    _keep(walk, name, Word(UNKNOWN, sure=False), ())
    return [(name, UNKNOWN)]


def _assign_array(walk: Walk, name: str, node: Node, *, adds: bool) -> list[tuple[str, str]]:
    """`a=(x y)`: its elements are kept while they are few and plain."""
    before, walk.drawn = walk.drawn, {}
    found = _elements(walk, node)
    held = walk.scope.variables.get(name, NOBODY_KNOWS)
    sources = walk.drew(before) + tuple(word.inner for word in found if word.inner != NOTHING)
    items = values_of(found)
    if adds:
        items = held.behind(0) + items
        sources = walk.scope.sources.get(name, ()) + sources
    _keep(walk, name, Word(UNKNOWN, sure=False), sources)
    odd = name in walk.found.odd or any(is_live(word.text) or _SUBSCRIPT.match(word.text) for word in found)
    if not odd and len(items) <= ELEMENTS_MAX and (held.items is not None or not adds):
        walk.scope.hold(name, listing(items), sources[:DRAWN_MAX])
    return [(name, UNKNOWN)]


def _elements(walk: Walk, node: Node) -> list[Word]:
    found: list[Word] = []
    if are_torn([child for child in node.children if child.type in walk.grammar.pieces]):
        walk.found.doubt("a word has a part that the grammar takes for another word")
    for child in node.children:
        if child.type in walk.grammar.pieces:
            found += words_of(walk, child)
        else:
            walk.within(child)
    return found


def _keep(walk: Walk, name: str, word: Word, sources: tuple[Span, ...] | None) -> None:
    """Keep a value and what printed it; no sources at all: it does not outlive its command."""
    if is_live(word.text):
        walk.found.doubt("a variable holds a substitution as text")
    run_value(walk, name, word.text)
    if name in _REBINDS:
        walk.found.doubt("it changes what the name of a command means")
    if sources is not None:
        sure = word.sure and name not in walk.found.odd
        walk.scope.assign(name, word.text, sure=sure, sources=sources[:DRAWN_MAX])


def run_value(walk: Walk, name: str, value: str) -> None:
    """Follow the value of a variable whose value is a shell line to some program."""
    if name in _RUNS_VALUE and value:
        nest(walk, value, Parts())


def assign_operands(walk: Walk, parts: Parts, sources: tuple[Span, ...] = ()) -> None:
    """`getopts`, `unset`, `let`: the names among their words get values that nobody knows."""
    check_subscripts(walk, parts)
    for word in parts.words[1:]:
        name = _NAME.match(word.text)
        if name:
            walk.scope.assign(name[0], UNKNOWN, sure=False, sources=sources)


def read(walk: Walk, parts: Parts) -> None:
    """`read a b`: the names get the words of the next line where that is known, all of them what others printed."""
    stdin = parts.stdin or walk.scope.stdin
    assign_operands(walk, parts, (stdin.source,) if stdin.source != NOTHING else ())
    if stdin.text is None or stdin.text.count("\n") > READS_MAX:
        return
    match = _PLAIN_READ.fullmatch(" ".join(word.text for word in parts.words))
    line, _, rest = stdin.text.partition("\n")
    takes_line = match is not None and "\\" not in line and all(word.sure for word in parts.words)
    if takes_line and match is not None and walk.scope.splits:
        _fill(walk, match[1].split() or ["REPLY"], line, parts)
    if parts.stdin is None:
        walk.scope.stdin = replace(stdin, text=rest if takes_line else None, unknown=True)


def _fill(walk: Walk, names: list[str], line: str, parts: Parts) -> None:
    """Split a line over names; the last takes what is left."""
    fields = _fields(line, len(names), parts.assignments)
    for at, name in enumerate(names if fields is not None else ()):
        if name not in walk.found.odd and fields is not None:
            text = fields[at] if at < len(fields) else ""
            walk.scope.assign(name, text, sure=parts.stdin is not None, sources=walk.scope.drawn_by(name))


def _fields(line: str, count: int, assigned: list[tuple[str, str]]) -> list[str] | None:
    """Return the fields of a line, or None where an IFS of its own splits it in a way that is not followed."""
    if not assigned:
        plain = line.strip(" \t")
        return re.split(r"[ \t]+", plain, maxsplit=count - 1) if count > 1 else [plain]
    separator = assigned[0][1] if [name for name, _ in assigned] == ["IFS"] else UNKNOWN
    if not separator:
        return [line]
    known = len(separator) == 1 and not separator.isspace() and separator not in (UNKNOWN, SOME)
    fields = line.split(separator, count - 1) if known and count > 1 else [line] if known else None
    return fields if fields and not fields[-1].endswith(separator) else None


def assign_lines(walk: Walk, parts: Parts) -> None:
    """`mapfile`: fills an array, and may run a command for every few lines."""
    if any(re.match(r"-\w*C", word.text) for word in parts.words):
        walk.found.doubt("mapfile runs a command for what it reads")
    stdin = parts.stdin or walk.scope.stdin
    assign_operands(walk, parts, (stdin.source,) if stdin.source != NOTHING else ())
    match = _PLAIN_MAPFILE.fullmatch(" ".join(word.text for word in parts.words))
    lines = (stdin.text or "").split("\n")
    if match and stdin.text is not None and len(lines) <= ELEMENTS_MAX and match[1] not in walk.found.odd:
        items = tuple([Value(line, parts.stdin is not None) for line in (lines if lines[-1] else lines[:-1])])
        walk.scope.hold(match[1], listing(items), walk.scope.drawn_by(match[1]))


def check_subscripts(walk: Walk, parts: Parts) -> None:
    """Bash expands the subscript in the name of an element once more: `test -v 'a[$(rm x)]'` removes x."""
    if any(_EVALUATES.search(word.text) for word in parts.words[1:]):
        walk.found.doubt("a subscript holds a substitution as text")


def assign_printed(walk: Walk, parts: Parts) -> None:
    """`printf -v name`: the name gets a value that nobody knows."""
    if len(parts.words) > 1 and parts.words[1].text.startswith("-v"):
        name = parts.words[1].text[2:]
        assign_operands(walk, replace(parts, words=[parts.words[0], Word(name), *parts.words[2:3]]))
