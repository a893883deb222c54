"""The walk through the tree of one text: where it stands, what it has found, and whom it asks about a node.

Statements hold words, words hold substitutions, substitutions hold statements. The circle closes here and nowhere else:
a module below hands a node back to the walk, and the walk asks the grammar (`grammar.py`) who reads that kind.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
from tree_sitter import Node

from claudebench.hooks.paths import UNKNOWN, relative_to
from claudebench.hooks.shell.limits import COMMANDS_MAX, DEPTH_MAX, DRAWN_MAX, NODES_MAX, STEPS_MAX
from claudebench.hooks.shell.model import NOTHING, Command, Span
from claudebench.hooks.shell.parts import Parts
from claudebench.hooks.shell.residue import has_escaped_blank, has_lone_escaped_blank, is_live
from claudebench.hooks.shell.scope import NOBODY_KNOWS, Value
from claudebench.hooks.shell.syntax import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from claudebench.hooks.shell.scope import Scope

_INERT = frozenset({"raw_string", "comment", "ansi_c_string", "`", "$(", "<(", ">(", "heredoc_end", "heredoc_start"})
_PIECES_THAT_RUN = frozenset(
    {"command_substitution", "process_substitution", "string", "expansion", "word", "concatenation"}
)


class Piece(Protocol):
    """Reads one part of a word: returns the text that it becomes, quoted special characters marked."""

    def __call__(self, walk: Walk, node: Node, /, *, quoted: bool) -> str:
        """Return the text; in double quotes nothing of it is split or expanded again."""
        ...


class Grammar(NamedTuple):
    """Who reads what: statements and parts of words by the kind of their node, programs by their name."""

    statements: Mapping[str, Callable[[Walk, Node], None]]
    pieces: Mapping[str, Piece]
    programs: Mapping[str, Callable[[Walk, Parts], None]]


class Found(msgspec.Struct):
    """What a line has shown so far; shared with every script nested in it."""

    commands: list[Command] = msgspec.field(default_factory=list)
    unsure: dict[str, None] = msgspec.field(default_factory=dict)
    functions: dict[str, list[tuple[Walk, Node]]] = msgspec.field(default_factory=dict)
    walked: set[int] = msgspec.field(default_factory=set)
    nodes: int = 0
    steps: int = 0
    chars: int = 0
    bytes: int = 0
    aliases: set[str] = msgspec.field(default_factory=set)
    odd: set[str] = msgspec.field(default_factory=set)  # variables that may not hold what is assigned to them
    active: list[tuple[int, tuple[Value, ...]]] = msgspec.field(default_factory=list)  # bodies of functions, arguments
    calling: list[str] = msgspec.field(default_factory=list)
    depth: int = 0

    def doubt(self, reason: str) -> None:
        """Note a reason why the commands may not be all or not be right; each counts once."""
        self.unsure[reason] = None

    def step(self) -> bool:
        """Count one step; return whether the line has more of them than are followed."""
        self.steps += 1
        if self.steps <= STEPS_MAX:
            return False
        self.doubt("it has more parts than are followed")
        return True

    def since(self, first: int) -> Span:
        """Return the slice of the commands noted since there were `first` of them."""
        return (first, len(self.commands)) if len(self.commands) > first else NOTHING


class Walk:
    """Walks the tree of one source text and notes the commands in `found`."""

    def __init__(
        self,
        source: bytes,
        found: Found,
        scope: Scope,
        grammar: Grammar,
        *,
        nested: int = 0,
        outer: Parts | None = None,
    ) -> None:
        """Stand at the start of `source`, inside `nested` other scripts; `outer` holds the wrappers around it."""
        self.source = source
        self.found = found
        self.scope = scope
        self.grammar = grammar
        self.nested = nested
        self.outer = outer or Parts()
        self.sure = True  # cleared while a word is resolved to something that is only likely
        self.drawn: dict[Span, None] = {}  # what printed the values of the variables that were named so far
        self.maybe: dict[str, Value | None] = {}
        self.ascii = source.isascii()
        self.escapes = has_escaped_blank(source)
        self.lines = b"\n" in source
        self.braces = b"{" in source or b"}" in source
        self.plain = source.decode("utf-8", "surrogatepass")

    def text(self, node: Node) -> str:
        """Return the source text of a node."""
        if self.ascii:
            return self.plain[node.start_byte : node.end_byte]
        return self.source[node.start_byte : node.end_byte].decode("utf-8", "surrogatepass")

    def draw(self, sources: Iterable[Span]) -> None:
        """Note where the value of a variable comes from."""
        for source in sources:
            if len(self.drawn) < DRAWN_MAX:
                self.drawn[source] = None

    def drew(self, before: dict[Span, None]) -> tuple[Span, ...]:
        """Return what was drawn since `drawn` was emptied; whoever had drawn `before` has drawn that too."""
        inside, self.drawn = self.drawn, before
        self.draw(inside)
        return tuple(inside)

    def script(self) -> None:
        """Walk the whole text."""
        root = tree(self.source)
        if root is None:
            self.found.doubt("the shell grammar takes too long to read it")
            return
        if self.escapes and has_lone_escaped_blank(self.source):
            self.found.doubt("a word begins with an escaped blank")
        if root.has_error:
            self.found.doubt("the shell grammar does not understand it")
        self.found.nodes += root.descendant_count
        if self.found.nodes > NODES_MAX:
            self.found.doubt("it has more parts than are followed")
        else:
            self.statement(root)

    def statement(self, node: Node) -> None:
        """Walk one statement by its kind; an unknown kind is a reason for doubt."""
        handle = self.grammar.statements.get(node.type)
        if handle is None:
            self.found.doubt(f"the shell grammar does not understand it ({node.type})")
            self.within(node)
            return
        if self.found.depth > DEPTH_MAX or len(self.found.commands) > COMMANDS_MAX:
            self.found.doubt("it is nested or repeated too often")
            return
        if self.found.step():
            return
        self.found.depth += 1
        handle(self, node)
        self.found.depth -= 1

    def sequence(self, node: Node) -> None:
        """Walk statements one after the other."""
        children = node.children
        for at, child in enumerate(children):
            if len(self.found.commands) > COMMANDS_MAX:
                self.found.doubt("it is nested or repeated too often")
                return
            if child.is_named:
                if at + 1 < len(children) and children[at + 1].type == "&":
                    self._in_background(child)
                else:
                    self.statement(child)
                if self.maybe:
                    self.settle()
            elif child.is_missing:
                self._missing(child)

    def _in_background(self, node: Node) -> None:
        was, self.scope.background = self.scope.background, True
        self.statement(node)
        self.scope.background = was

    def piece(self, node: Node, *, quoted: bool) -> str:
        """Return the text that one part of a word becomes."""
        if self.found.step():
            return UNKNOWN
        handle = self.grammar.pieces.get(node.type)
        if handle is None:
            self.within(node)
            if node.is_named or node.is_missing:
                self.found.doubt(f"the shell grammar does not understand it ({node.type})")
            return UNKNOWN
        return handle(self, node, quoted=quoted)

    def within(self, node: Node) -> None:
        """Look for commands in something whose own value does not matter."""
        if node.type in _PIECES_THAT_RUN:
            self.piece(node, quoted=True)
        elif node.type == "ERROR":
            self.error(node)
        elif node.type in self.grammar.statements:
            self.statement(node)
        elif node.child_count == 0:
            self._leaf(node)
        else:
            for child in node.children:
                self.within(child)

    def inside_of(self, *nodes: Node) -> None:
        """Look for commands in the parts of something."""
        for node in nodes:
            for child in node.children or [node]:
                self.within(child)

    def error(self, node: Node) -> None:
        """What the grammar could not place: a reason for doubt; its parts are walked all the same."""
        self.found.doubt("the shell grammar does not understand it")
        for child in node.named_children:
            self.part(child)

    def part(self, node: Node) -> None:
        """Walk a part of a larger statement: a statement of its own, or something that may hold one."""
        if node.type in self.grammar.statements:
            self.statement(node)
        else:
            self.within(node)

    def _leaf(self, node: Node) -> None:
        """No leaf may hold what bash would still expand."""
        if node.is_missing:
            self._missing(node)
        elif node.type not in _INERT and is_live(self.text(node)):
            self.found.doubt("it holds a substitution that the grammar does not see")

    def _missing(self, node: Node) -> None:
        self.found.doubt(f"something is missing in it ({node.type})")

    def settle(self) -> None:
        """After a list: what only perhaps happened in it is no longer sure."""
        for name, before in self.maybe.items():
            if self.scope.variables.get(name) != before:
                self.scope.variables[name] = self.scope.variables.get(name, NOBODY_KNOWS).likely
        self.maybe.clear()

    @contextmanager
    def perhaps(self) -> Iterator[None]:
        """What is assigned in here may not happen: its value is only likely afterwards."""
        before = dict(self.scope.variables)
        yield
        now = self.scope.variables
        for name, value in now.items():
            if before.get(name) != value:
                now[name] = value.likely

    @contextmanager
    def inside_directory(self, directory: str | None) -> Iterator[None]:
        """What runs in here runs in another directory, if one is named."""
        before = self.scope.directory
        self.scope.directory = before if directory is None else relative_to(before, directory)
        yield
        self.scope.directory = before if directory is not None else self.scope.directory

    @contextmanager
    def apart(self) -> Iterator[None]:
        """A subshell: nothing that is set or entered in here stays."""
        before, self.scope = self.scope, self.scope.copy()
        yield
        self.scope = before
