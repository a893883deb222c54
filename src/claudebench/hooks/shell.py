"""A command line, read as the simple commands that it would run.

`parse` follows lists, pipes, substitutions, functions, wrappers (`sudo env xargs find -exec ...`) and everything that
is handed to a shell as text (`bash -c`, `eval`, heredocs, `echo ... | sh`). What it cannot prove goes into `unsure`; a
caller must then ask. It never runs anything.

tree-sitter recovers from what it does not understand without a word, so nothing is taken on trust: every node must be
of a kind known here, and no leaf may hold a live backtick, `$(`, or a lone brace.
"""

from __future__ import annotations

import re
import sys
import threading
from contextlib import contextmanager
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import msgspec
import tree_sitter_bash
from msgspec.structs import replace
from tree_sitter import Language, Node, Parser

from claudebench.hooks.paths import SOME, UNKNOWN, relative_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


LINE_BYTES_MAX = 16 * 1024
COMMANDS_MAX = 256
DEPTH_MAX = 64
NESTED_MAX = 8
WORDS_MAX = 64  # what one brace expansion may become
BRACES_MAX = 16  # in one word
WORD_CHARS_MAX = LINE_BYTES_MAX  # of one word after expansion
STEPS_MAX = 4096  # words and parts of words that are resolved in one line
LOOP_VALUES_MAX = 32  # values of a `for` that are followed one by one

Span = tuple[int, int]
NOTHING: Span = (0, 0)


class Redirect(msgspec.Struct, frozen=True):
    """One redirection to or from a file."""

    operator: str
    target: str

    @property
    def writes(self) -> bool:
        """Whether the shell opens the target for writing."""
        return ">" in self.operator


class Command(msgspec.Struct, frozen=True):
    """One simple command. A word holds UNKNOWN or SOME where its text cannot be known.

    `upstream`, `code_from` and `inner` are slices of the script's commands: those before it in its pipeline, those
    whose output it runs as code, those in its own substitutions. `prefixes` are the wrappers peeled off, with the slice
    of the line that they take (None inside a nested script).
    """

    words: tuple[str, ...]
    assignments: tuple[tuple[str, str], ...] = ()
    redirects: tuple[Redirect, ...] = ()
    wrappers: tuple[str, ...] = ()
    prefixes: tuple[tuple[str, Span | None], ...] = ()
    directory: str = ""
    stdin: str | None = None
    upstream: Span = NOTHING
    code_from: Span = NOTHING
    inner: Span = NOTHING
    recursive: bool = False

    @property
    def program(self) -> str:
        """The last part of the program's path, or "" when there is none."""
        return self.words[0].rpartition("/")[2] if self.words else ""


class Script(msgspec.Struct, frozen=True):
    """All commands of a line, and every reason why that may not be all."""

    commands: tuple[Command, ...]
    unsure: tuple[str, ...] = ()


class _Wrapper(msgspec.Struct, frozen=True):
    """A program that runs the command named by its own operands."""

    values: frozenset[str] = frozenset()  # options that take the next word
    skip: int = 0  # operands that stand before the command
    assigns: bool = False  # NAME=value words may stand before the command
    joined: bool = False  # the rest is joined by spaces and read as a shell line
    code: frozenset[str] = frozenset()  # options whose value is a shell line
    anywhere: bool = False  # options may stand behind operands; no command follows


def _wrapper(values: str = "", skip: int = 0, *, code: str = "", **how: bool) -> _Wrapper:
    return _Wrapper(frozenset(values.split()), skip, code=frozenset(code.split()), **how)


_SUDO = "-u -g -h -p -C -r -t -T -U -D -R --user --group --host --prompt --close-from --role --type --chdir --chroot"
_SSH = "-B -b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w"
_WRAPPERS: dict[str, _Wrapper] = {
    "sudo": _wrapper(_SUDO, assigns=True),
    "doas": _wrapper("-u -C"),
    "env": _wrapper("-u -C --unset --chdir", assigns=True, code="-S --split-string"),
    "nice": _wrapper("-n --adjustment"),
    "ionice": _wrapper("-c -n --class --classdata"),
    "nohup": _wrapper(),
    "setsid": _wrapper(),
    "timeout": _wrapper("-s -k --signal --kill-after", skip=1),
    "time": _wrapper("-f -o --format --output"),
    "stdbuf": _wrapper("-i -o -e --input --output --error"),
    "command": _wrapper(),
    "builtin": _wrapper(),
    "exec": _wrapper("-a"),
    "coproc": _wrapper(),
    "chroot": _wrapper(skip=1),
    "taskset": _wrapper(skip=1),
    "chrt": _wrapper(skip=1),
    "strace": _wrapper("-o -e -p -s -u -E -a -b -O -S -X -P -I"),
    "caffeinate": _wrapper("-t -w"),
    "unbuffer": _wrapper(),
    "busybox": _wrapper(),
    "toybox": _wrapper(),
    "xargs": _wrapper("-I -n -P -L -d -E -s -a --replace --max-args --max-procs --max-lines --delimiter --arg-file"),
    "watch": _wrapper("-n -q --interval", joined=True),
    "parallel": _wrapper("-j -n -N -I --jobs --colsep --delay --timeout --joblog", joined=True),
    "flock": _wrapper("-w -E --timeout", skip=1, code="-c --command"),
    "ssh": _wrapper(_SSH, skip=1, joined=True),
    "su": _wrapper("-s -g -G -w --shell --group", code="-c --command", anywhere=True),
    "runuser": _wrapper("-u -s -g -G -w --user --shell", code="-c --command"),
    "script": _wrapper("-O -I -B -T -E", code="-c --command", anywhere=True),
}
SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "rbash", "mksh"})
INTERPRETERS = ("python", "node", "perl", "ruby", "php", "deno", "bun", "lua", "tclsh", "osascript", "pwsh")
_SETUP = frozenset(
    [
        "ssh-agent",
        "direnv",
        "pyenv",
        "rbenv",
        "nodenv",
        "goenv",
        "jenv",
        "brew",
        "conda",
        "mamba",
        "micromamba",
        "mise",
        "rtx",
        "asdf",
        "fnm",
        "nvm",
        "starship",
        "zoxide",
        "opam",
        "dircolors",
        "lesspipe",
        "minikube",
        "docker-machine",
        "eksctl",
        "kubectl",
        "helm",
        "gh",
        "register-python-argcomplete",
        "rustup",
    ]
)
_RESERVED = frozenset(
    [
        "!",
        "then",
        "do",
        "done",
        "fi",
        "else",
        "elif",
        "if",
        "while",
        "until",
        "for",
        "case",
        "esac",
        "function",
        "select",
        "{",
        "}",
        "in",
        "[[",
        "]]",
        ";;",
    ]
)
_RUNS_VALUE = frozenset(
    [
        "PROMPT_COMMAND",
        "BASH_ENV",
        "ENV",
        "GIT_SSH_COMMAND",
        "GIT_EDITOR",
        "GIT_SEQUENCE_EDITOR",
        "GIT_PAGER",
        "EDITOR",
        "VISUAL",
        "PAGER",
    ]
)
_KNOWN = {"HOME": "~", "PWD": ".", "TMPDIR": "/tmp"}  # noqa: S108
_NEVER_EMPTY = frozenset(
    [
        "?",
        "$",
        "#",
        "!",
        "-",
        "UID",
        "EUID",
        "PPID",
        "RANDOM",
        "SECONDS",
        "LINENO",
        "HOSTNAME",
        "USER",
        "LOGNAME",
        "SHELL",
        "BASHPID",
    ]
)
_FIND_RUNS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_FIND_FILTERS = re.compile(r"-(i?name|i?path|i?regex|wholename|[acm]time|[acm]min|newer.*|empty|size|user|group|perm)$")
_BASH_VALUES = frozenset({"-o", "-O", "+o", "+O", "--rcfile", "--init-file"})

_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@%+^-]+")
_NAME = re.compile(r"\w+|[@*#?$!-]")
_LIVE = re.compile(r"(?<!\\)(?:\\\\)*(?:`|\$\()")
_OPERATOR_IN_WORD = re.compile(r"""(?<!\\)(?:\\\\)*[`;&|<>()"'\n]|(?<!\\)(?:\\\\)*\$\(""")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_JOIN = re.compile(r"(?<!\\)(?:\\\\)*\\\n")
_JOIN_IN_WORD = re.compile(r"[^\s](?<!\\)(?:\\\\)*\\\n\S")
_NUMBERS = re.compile(r"-?\d+\.\.-?\d+(\.\.-?\d+)?")
_ANSI = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{1,4}|U[0-9A-Fa-f]{1,8}|[0-7]{1,3}|c.|.)", re.DOTALL)
_ANSI_NAMED = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SPECIAL = "{},*?[]~ \t\n"
_QUOTED = {ord(char): 0x10F000 + ord(char) for char in _SPECIAL}
_UNQUOTED = {code: char for char, code in _QUOTED.items()}
_ESCAPED_BLANKS = (b"\\ ", b"\\\t")
_GLOB = re.compile(r"[*?\[]")

_language = Language(tree_sitter_bash.language())
_of_thread = threading.local()


def parse(line: str) -> Script:
    """Return every simple command that `line` would run, and the reasons for doubt."""
    source = line.encode("utf-8", "surrogatepass")
    if len(source) > LINE_BYTES_MAX:
        return Script((), (f"it is longer than {LINE_BYTES_MAX} bytes",))
    found = _read(source)
    if b"\\\n" in source and _JOIN_IN_WORD.search(line):
        found = _both(found, _read(_JOIN.sub(lambda match: match[0][:-2], line).encode("utf-8", "surrogatepass")))
    return Script(tuple(found.commands), tuple(found.unsure))


def _read(source: bytes) -> _Found:
    found = _Found()
    if _CONTROL.search(source.decode("utf-8", "surrogatepass")):
        found.doubt("it holds control characters")
    try:
        _Walk(source, found, _Scope()).script(literal=True)
    except RecursionError:
        found.doubt("it is nested or repeated too often")
    return found


def _both(first: _Found, joined: _Found) -> _Found:
    """Unite two readings: as written, and with the lines joined. They must tell the same story."""
    bare = [[word.replace("\\\n", "") for word in command.words] for command in first.commands]
    if bare != [list(command.words) for command in joined.commands]:
        first.doubt("a backslash at the end of a line splits a word")
    first.commands += [replace(c, prefixes=tuple((name, None) for name, _ in c.prefixes)) for c in joined.commands]
    first.unsure.update(joined.unsure)
    return first


def _tree(source: bytes) -> Node:
    parser: Parser | None = getattr(_of_thread, "parser", None)
    if parser is None:
        parser = _of_thread.parser = Parser(_language)
    return parser.parse(source).root_node


class _Found(msgspec.Struct):
    """What a line has shown so far; shared with every script nested in it."""

    commands: list[Command] = msgspec.field(default_factory=list)
    unsure: dict[str, None] = msgspec.field(default_factory=dict)
    functions: dict[str, list[tuple[_Walk, Node]]] = msgspec.field(default_factory=dict)
    walked: set[int] = msgspec.field(default_factory=set)
    steps: int = 0
    calling: list[str] = msgspec.field(default_factory=list)
    depth: int = 0

    def doubt(self, reason: str) -> None:
        self.unsure[reason] = None

    def step(self) -> bool:
        """Count one step; return whether the line has more of them than are followed."""
        self.steps += 1
        if self.steps <= STEPS_MAX:
            return False
        self.doubt("it has more parts than are followed")
        return True

    def since(self, first: int) -> Span:
        return (first, len(self.commands)) if len(self.commands) > first else NOTHING


class _Stdin(msgspec.Struct, frozen=True):
    """What a command reads: a text that is known, or the output of the commands in a slice."""

    text: str | None = None
    source: Span = NOTHING
    unknown: bool = False


class _Scope(msgspec.Struct):
    """What holds at one point of a script. A variable has a value and whether it surely has it there."""

    variables: dict[str, tuple[str, bool]] = msgspec.field(default_factory=dict)
    directory: str = ""
    stdin: _Stdin = _Stdin()
    upstream: Span = NOTHING
    background: bool = False
    splits: bool = True

    def copy(self) -> _Scope:
        return _Scope(dict(self.variables), self.directory, self.stdin, self.upstream, self.background, self.splits)


class _Word(msgspec.Struct, frozen=True):
    """One word after expansion: its text, where it began, whether it is surely this, what ran to make it."""

    text: str
    start: int = 0
    sure: bool = True
    inner: Span = NOTHING
    lone_brace: bool = False


class _Parts(msgspec.Struct):
    """What a simple command is made of."""

    words: list[_Word] = msgspec.field(default_factory=list)
    assignments: list[tuple[str, str]] = msgspec.field(default_factory=list)
    redirects: list[Redirect] = msgspec.field(default_factory=list)
    stdin: _Stdin | None = None
    wrappers: tuple[str, ...] = ()
    prefixes: tuple[tuple[str, Span | None], ...] = ()
    inner: Span = NOTHING


class _Walk:
    """Walks the tree of one source text and notes the commands in `found`."""

    def __init__(
        self, source: bytes, found: _Found, scope: _Scope, *, nested: int = 0, parts: _Parts | None = None
    ) -> None:
        self.source = source
        self.found = found
        self.scope = scope
        self.nested = nested
        self.outer = parts or _Parts()
        self.sure = True  # cleared while a word is resolved to something that is only likely
        self.maybe: dict[str, tuple[str, bool] | None] = {}
        self.ascii = source.isascii()
        self.escapes = b"\\ " in source or b"\\\t" in source
        self.plain = source.decode("utf-8", "surrogatepass")

    # -- scripts and statements

    def script(self, *, literal: bool = False) -> None:
        """Walk everything; then the bodies of functions that nobody called."""
        self.statement(_tree(self.source))
        if literal:
            for name in list(self.found.functions):
                for walk, body in self.found.functions[name]:
                    if body.id not in self.found.walked:
                        walk.scope = _Scope()
                        walk.body(name, body)

    def text(self, node: Node) -> str:
        if self.ascii:
            return self.plain[node.start_byte : node.end_byte]
        return self.source[node.start_byte : node.end_byte].decode("utf-8", "surrogatepass")

    def statement(self, node: Node) -> None:
        """Walk one statement by its kind; an unknown kind is a reason for doubt."""
        handle = _STATEMENTS.get(node.type)
        if handle is None:
            self.found.doubt(f"the shell grammar does not understand it ({node.type})")
            self.within(node)
            return
        if self.found.depth > DEPTH_MAX or len(self.found.commands) > COMMANDS_MAX:
            self.found.doubt("it is nested or repeated too often")
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
                    self.in_background(child)
                else:
                    self.statement(child)
                if self.maybe:
                    self.settle()
            elif child.is_missing:
                self.missing(child)

    def in_background(self, node: Node) -> None:
        was, self.scope.background = self.scope.background, True
        self.statement(node)
        self.scope.background = was

    def missing(self, node: Node) -> None:
        self.found.doubt(f"something is missing in it ({node.type})")

    def settle(self) -> None:
        """After a list: what only perhaps happened in it is no longer sure."""
        for name, before in self.maybe.items():
            if self.scope.variables.get(name) != before:
                self.scope.variables[name] = (self.scope.variables[name][0], False)
        self.maybe.clear()

    @contextmanager
    def perhaps(self) -> Iterator[None]:
        """What is assigned in here may not happen: its value is only likely afterwards."""
        before = dict(self.scope.variables)
        yield
        now = self.scope.variables
        for name, value in now.items():
            if before.get(name) != value:
                now[name] = (value[0], False)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """A subshell: nothing that is set or entered in here stays."""
        before, self.scope = self.scope, self.scope.copy()
        yield
        self.scope = before

    def ignore(self, node: Node) -> None:
        """Comments and the like: nothing runs. A comment must begin where bash begins one."""
        before = self.source[max(node.start_byte - 2, 0) : node.start_byte]
        if node.type == "comment" and before and (before[-1:] not in b" \t\n;&|()" or before[-2:] in _ESCAPED_BLANKS):
            self.found.doubt("it holds a # that may not begin a comment")

    def error(self, node: Node) -> None:
        self.found.doubt("the shell grammar does not understand it")
        self.sequence_of_unknown(node)

    def sequence_of_unknown(self, node: Node) -> None:
        for child in node.named_children:
            if child.type in _STATEMENTS:
                self.statement(child)
            else:
                self.within(child)

    def listed(self, node: Node, redirects: Sequence[Node] = ()) -> None:
        """`a && b || c`; redirections that the grammar hangs on the list belong to its last command."""
        operator = ""
        last = node.named_children[-1]
        for child in node.children:
            walk = self.with_redirects if child == last and redirects else self.member
            if not child.is_named:
                operator = child.type
            elif operator == "||":
                with self.perhaps():
                    walk(child, redirects if child == last else ())
            else:
                before = dict(self.scope.variables)
                walk(child, redirects if child == last else ())
                self.only_if(operator == "&&", before)

    def only_if(self, conditional: bool, before: dict[str, tuple[str, bool]]) -> None:  # noqa: FBT001
        """Note what changed since `before`: after the list it is no longer sure."""
        if conditional:
            changed = {name for name, value in self.scope.variables.items() if before.get(name) != value}
            self.maybe.update({name: before.get(name) for name in changed if name not in self.maybe})

    def negated(self, node: Node) -> None:
        for child in node.named_children:
            self.statement(child)

    def conditional(self, node: Node) -> None:
        """`if`, `case`: each part may or may not run."""
        with self.perhaps():
            for child in node.named_children:
                if child.type in _STATEMENTS:
                    self.statement(child)
                else:
                    self.within(child)
                self.settle()

    def case_item(self, node: Node) -> None:
        """Patterns, `)`, then statements."""
        body = False
        for child in node.children:
            if child.type == ")":
                body = True
            elif child.is_named and body:
                self.statement(child)
                self.settle()
            elif child.is_named:
                self.within(child)

    def loop(self, node: Node) -> None:
        """`while`, `until`, `for ((;;))`: what the body assigns is unsure from its first line on."""
        self.forget(node)
        self.conditional(node)

    def for_each(self, node: Node) -> None:
        """`for name in words`: the body is walked once per word while they are few."""
        self.forget(node)
        name = next((self.text(c) for c in node.named_children if c.type == "variable_name"), "")
        values = [
            w for c in node.named_children if c.type not in ("variable_name", "do_group") for w in self.words_of(c)
        ]
        body = [child for child in node.named_children if child.type == "do_group"]
        unknown = not values or len(values) > LOOP_VALUES_MAX
        with self.perhaps():
            for value in [_Word(UNKNOWN, sure=False)] if unknown else values:
                self.scope.variables[name] = (value.text.replace(UNKNOWN, SOME), value.sure)
                for child in body:
                    self.statement(child)
        if len(values) > LOOP_VALUES_MAX:
            self.found.doubt("a loop has more values than are followed")

    def forget(self, node: Node) -> None:
        """A loop may assign before it reads: values of names that it mentions are only likely."""
        if not self.scope.variables:
            return
        body = self.text(node)
        for name, (value, _) in self.scope.variables.items():
            if re.search(rf"(?<![\w$]){re.escape(name)}\b", body):
                self.scope.variables[name] = (value, False)

    def subshell(self, node: Node) -> None:
        with self.apart():
            self.sequence(node)

    def function(self, node: Node) -> None:
        """Note a function; its body is walked where it is called, and once in any case."""
        name, *bodies = node.named_children
        for body in bodies:
            self.found.functions.setdefault(self.text(name), []).append((self, body))

    def call(self, name: str, words: Sequence[_Word]) -> None:
        """Walk the body of a function with the words that it is called with."""
        if name in self.found.calling:
            return
        numbered = {str(at): (word.text, word.sure) for at, word in enumerate(words[1:], 1)}
        for walk, body in list(self.found.functions[name]):
            outer, walk.scope = walk.scope, self.scope
            with self.with_arguments(numbered):
                walk.body(name, body)
            walk.scope = outer

    @contextmanager
    def with_arguments(self, arguments: dict[str, tuple[str, bool]]) -> Iterator[None]:
        """Within a function $1 and the rest are its own; all other variables are shared."""
        variables = self.scope.variables
        before = {name: variables.pop(name) for name in list(variables) if name.isdigit()}
        variables.update(arguments)
        yield
        for name in [name for name in self.scope.variables if name.isdigit()]:
            del self.scope.variables[name]
        self.scope.variables.update(before)

    def body(self, name: str, body: Node) -> None:
        self.found.walked.add(body.id)
        self.found.calling.append(name)
        with self.perhaps():
            self.statement(body)
        self.found.calling.pop()

    # -- pipelines and redirections

    def pipeline(self, node: Node) -> None:
        for child in node.named_children:
            if child.type == "comment":
                self.ignore(child)
        self.piped([(child, ()) for child in node.named_children if child.type != "comment"])

    def redirected(self, node: Node) -> None:
        """A statement with redirections; a heredoc may carry the rest of its own line behind it."""
        redirects = [child for child in node.children if child.type in _REDIRECTS]
        bodies = [child for child in node.named_children if child.type not in _REDIRECTS]
        for child in bodies[1:]:
            self.statement(child)
        if bodies and bodies[0].type == "list":
            self.listed(bodies[0], redirects)
        else:
            self.with_redirects(bodies[0] if bodies else None, redirects)

    def with_redirects(self, body: Node | None, redirects: Sequence[Node]) -> None:
        """A pipeline or a single statement, redirected; what follows a heredoc on its line comes after it."""
        members: list[tuple[Node | None, Sequence[Node]]] = [(body, redirects)]
        if body is not None and body.type == "pipeline":
            *before, last = body.named_children
            members = [*((member, ()) for member in before), (last, redirects)]
        rest: list[Node] = []
        for redirect in redirects:
            if redirect.type == "heredoc_redirect":
                piped, others = self.rest_of_line(redirect)
                members += [(child, ()) for child in piped]
                rest += others
        self.piped(members)
        for child in rest:
            self.statement(child)

    def rest_of_line(self, heredoc: Node) -> tuple[list[Node], list[Node]]:
        """Return what follows a heredoc on its line: members of its pipeline, and other statements."""
        piped: list[Node] = []
        others: list[Node] = []
        for child in heredoc.named_children:
            if child.type == "pipeline":
                piped += child.named_children
            elif child.type in _STATEMENTS and child.type not in _REDIRECTS and child.type != "comment":
                others.append(child)
        return piped, others

    def piped(self, members: Sequence[tuple[Node | None, Sequence[Node]]]) -> None:
        """Walk the members of a pipeline: each reads what those before it wrote."""
        if len(members) == 1:
            self.member(*members[0])
            return
        start = len(self.found.commands)
        stdin = self.scope.stdin
        for node, redirects in members:
            begin = len(self.found.commands)
            with self.apart():
                self.scope.background = True
                self.scope.stdin = stdin
                if begin > start:
                    self.scope.upstream = (start, begin)
                self.member(node, redirects)
            stdin = _Stdin(self.output(begin), (start, len(self.found.commands)), unknown=True)

    def member(self, node: Node | None, redirects: Sequence[Node]) -> None:
        """One statement with its redirections."""
        if node is not None and node.type == "command":
            self.simple(node, redirects)
        elif node is not None and node.type == "negated_command":
            self.member(node.named_children[-1], redirects)
        elif redirects:
            self.compound(node, redirects)
        elif node is not None:
            self.statement(node)

    def compound(self, node: Node | None, redirects: Sequence[Node]) -> None:
        """A compound statement with redirections, or redirections alone."""
        first = len(self.found.commands)
        parts = _Parts()
        for redirect in redirects:
            self.redirect(redirect, parts)
        parts.inner = self.found.since(first)
        if node is not None and parts.words:
            self.found.doubt("words follow a redirection that is not a command's own")
        self.run(parts)
        if node is None:
            return
        before = self.scope.stdin
        self.scope.stdin = parts.stdin or before
        self.statement(node)
        self.scope.stdin = before

    def redirect(self, node: Node, parts: _Parts) -> None:
        if node.type == "heredoc_redirect":
            self.heredoc(node, parts)
        elif node.type == "herestring_redirect":
            self.herestring(node, parts)
        else:
            self.file_redirect(node, parts)

    def file_redirect(self, node: Node, parts: _Parts) -> None:
        first = len(self.found.commands)
        operator, target = "", False
        for child in node.children:
            if child.type == "file_descriptor":
                continue
            if not child.is_named and child.type[0] in "<>&":
                operator = child.type
                continue
            words = self.words_of(child)
            if target:
                parts.words += words  # the grammar hangs words that follow the target on the redirection
                continue
            target = True
            parts.redirects += [Redirect(operator, word.text) for word in words]
        source = self.found.since(first)
        if operator == "<":
            parts.stdin = _Stdin(source=source, unknown=source != NOTHING)

    def herestring(self, node: Node, parts: _Parts) -> None:
        for child in node.named_children:
            words = self.words_of(child)
            text = " ".join(word.text for word in words)
            sure = all(word.sure for word in words)
            source = next((word.inner for word in words if word.inner != NOTHING), NOTHING)
            parts.stdin = _Stdin(text + "\n" if sure else None, source, unknown=not sure)

    def heredoc(self, node: Node, parts: _Parts) -> None:
        """A heredoc: its body is the command's input; words behind the operator are the command's own."""
        first = len(self.found.commands)
        start = end = ""
        body: Node | None = None
        for child in node.children:
            if child.type == "heredoc_start":
                start = self.text(child)
            elif child.type == "heredoc_body":
                body = child
            elif child.type == "heredoc_end":
                end = self.end_of_heredoc(child)
            elif child.type in _REDIRECTS:
                self.redirect(child, parts)
            elif child.type == "comment":
                self.ignore(child)
            elif child.type == "ERROR" or child.is_missing:
                self.error(child)
            elif child.is_named and child.type not in _STATEMENTS:
                parts.words += self.words_of(child)
        delimiter = re.sub(r"[\"'\\]", "", start)
        if not start or end != delimiter:
            self.found.doubt("a heredoc does not end where it says")
        text = self.heredoc_text(body, literal=delimiter != start) if body else ""
        parts.stdin = _Stdin(text, self.found.since(first), unknown=text is None)

    def end_of_heredoc(self, node: Node) -> str:
        """Return the delimiter that ends a heredoc; it must have its line to itself."""
        text = self.text(node).strip("\t\n")
        behind = self.source[node.start_byte + len(text.encode("utf-8", "surrogatepass")) :]
        before = self.source[: node.start_byte].rstrip(b"\t")
        return text if behind[:1] in (b"", b"\n") and before.endswith(b"\n") else ""

    def heredoc_text(self, body: Node, *, literal: bool) -> str | None:
        """Return the text of a heredoc, or None if something in it is expanded."""
        text = self.text(body)
        if literal:
            return text
        if re.search(r"(?<!\\)(?:\\\\)*\\\n\s*$", text):
            self.found.doubt("a heredoc ends in a joined line")
        first = len(self.found.commands)
        for child in body.named_children:
            self.within(child)
        pieces = body.named_children
        plain = text if not pieces else "".join(self.text(child) for child in pieces if child.type == "heredoc_content")
        if _LIVE.search(plain) or (not pieces and "`" in plain):
            self.found.doubt("a heredoc holds a substitution that the grammar does not see")
            return None
        expands = any(child.type != "heredoc_content" for child in pieces)
        return None if expands or self.found.since(first) != NOTHING else re.sub(r"\\([$`\\])|\\\n", r"\1", text)

    # -- simple commands

    def simple(self, node: Node, redirects: Sequence[Node] = ()) -> None:
        """A simple command: assignments, words and redirections, in any order."""
        first = len(self.found.commands)
        parts = _Parts(wrappers=self.outer.wrappers, prefixes=self.outer.prefixes)
        assigned: list[Node] = []
        for child in chain(node.children, redirects):
            kind = child.type
            if kind == "variable_assignment":
                assigned.append(child)
            elif kind in _REDIRECTS:
                self.redirect(child, parts)
            elif kind == "command_name":
                for name in child.children or [child]:
                    parts.words += self.words_of(name)
            elif kind == "ERROR" or child.is_missing:
                self.error(child)
            elif kind != "$":
                parts.words += self.words_of(child)
            elif self.dollar(child):
                parts.words.append(_Word("$", child.start_byte))
        for child in assigned:
            parts.assignments += self.assign(child, lasting=not parts.words)
        parts.inner = self.found.since(first)
        self.run(parts)

    def run(self, parts: _Parts) -> None:
        """Note a command and follow what it would run in its turn."""
        self.check_words(parts)
        command = self.emit(parts)
        if not parts.words:
            return
        name = command.program
        if name in self.found.functions:
            self.call(name, parts.words)
        follow = _FOLLOW.get(name)
        if follow is not None:
            follow(self, parts)
        elif name in SHELLS:
            self.shell(parts)

    def check_words(self, parts: _Parts) -> None:
        if not parts.words:
            return
        name = parts.words[0]
        if not name.sure or _GLOB.search(name.text.translate(_DEGLOB)):
            self.found.doubt("the name of a program is only known when it runs")
        if name.text in _RESERVED and name.text != "[[":
            self.found.doubt(f"the reserved word {name.text} stands where a command should")
        if any(word.lone_brace for word in parts.words):
            self.found.doubt("a lone brace stands among its words")

    def emit(self, parts: _Parts) -> Command:
        """Note a command. What it reads and what it runs as code follows from where it stands."""
        stdin = parts.stdin or self.scope.stdin
        command = Command(
            words=tuple(word.text for word in parts.words),
            assignments=tuple(parts.assignments),
            redirects=tuple(parts.redirects),
            wrappers=parts.wrappers,
            prefixes=parts.prefixes,
            directory=self.scope.directory,
            stdin=stdin.text,
            upstream=self.scope.upstream,
            code_from=_code_from(parts.words, stdin) if parts.words else NOTHING,
            inner=parts.inner,
            recursive=bool(parts.words) and parts.words[0].text in self.found.calling and self.scope.background,
        )
        self.found.commands.append(command)
        return command

    def inside(self, parts: _Parts, words: Sequence[_Word], name: str) -> None:
        """Follow the command that a wrapper runs: the words from the first that is its own."""
        if not words:
            return
        span = (parts.words[0].start, words[0].start) if not self.nested else None
        prefixes = (*parts.prefixes, (name, span))
        inner = _Parts(list(words), [], [], parts.stdin, (*parts.wrappers, name), prefixes, parts.inner)
        while inner.words and _is_assignment(inner.words[0]) and _WRAPPERS[name].assigns:
            key, _, value = inner.words.pop(0).text.partition("=")
            inner.assignments.append((key, value))
        self.run(inner)

    def nest(self, text: str, parts: _Parts, *, same_shell: bool = False) -> None:
        """Read a text that is handed to a shell."""
        if UNKNOWN in text or SOME in text:
            self.found.doubt("a shell is given text that is only known when it runs")
            text = text.replace(UNKNOWN, "$_").replace(SOME, "$_")
        if self.nested >= NESTED_MAX or len(text) > LINE_BYTES_MAX:
            self.found.doubt("shells are nested too deep")
            return
        scope = self.scope if same_shell else replace(self.scope, variables={}, stdin=parts.stdin or self.scope.stdin)
        name = parts.words[0].text.rpartition("/")[2] if parts.words else "assignment"
        outer = _Parts(wrappers=(*parts.wrappers, name), prefixes=tuple((one, None) for one, _ in parts.prefixes))
        source = text.encode("utf-8", "surrogatepass")
        _Walk(source, self.found, scope, nested=self.nested + 1, parts=outer).script()

    def wrapper(self, parts: _Parts) -> None:
        """`sudo`, `env`, `timeout`, ...: step over its options to the command that it runs."""
        name = parts.words[0].text.rpartition("/")[2]
        spec = _WRAPPERS[name]
        at, codes = self.options(parts.words, spec)
        for code in codes:
            self.nest(code.text, parts)
        if spec.anywhere or (name == "command" and any(w.text in ("-v", "-V") for w in parts.words[1:at])):
            return
        if spec.joined:
            at = min(at + spec.skip, len(parts.words))
            if at < len(parts.words):
                self.nest(" ".join(word.text for word in parts.words[at:]), parts)
            return
        while spec.assigns and at + spec.skip < len(parts.words) - 1 and spec.skip and _is_assignment(parts.words[at]):
            at += 1
        self.inside(parts, parts.words[at + spec.skip :], name)

    def options(self, words: Sequence[_Word], spec: _Wrapper) -> tuple[int, list[_Word]]:
        """Return where the operands begin, and the values of options that are shell lines."""
        codes: list[_Word] = []
        at = 1
        while at < len(words):
            word = words[at]
            if not word.text.startswith("-") or word.text == "-":
                if spec.anywhere:
                    at += 1
                    continue
                if word.text.startswith(UNKNOWN):
                    self.found.doubt("the options of a wrapper are only known when it runs")
                break
            at += 1
            if word.text == "--":
                break
            code, takes_next = _option(word, spec)
            if takes_next and at < len(words):
                codes += [words[at]] if code is not None else []
                at += 1
            elif code is not None and not takes_next:
                codes.append(replace(word, text=code))
        return at, codes

    def xargs(self, parts: _Parts) -> None:
        """`xargs`: the words that it reads are the command's last ones, or stand where -I says."""
        at, _ = self.options(parts.words, _WRAPPERS["xargs"])
        words = list(parts.words[at:])
        text = (parts.stdin or self.scope.stdin).text
        given = [_Word(one, sure=True) for one in (text or "").split()]
        place = _replaced_by_xargs(parts.words[1:at])
        if given and place:
            words = [replace(word, text=word.text.replace(place, " ".join(w.text for w in given))) for word in words]
        elif place:
            words = [self.placed(word, place, words[0].text) for word in words]
        else:
            words += given
            self.unread(words, given)
        self.inside(replace_stdin(parts), words, "xargs")

    def placed(self, word: _Word, place: str, program: str) -> _Word:
        """What xargs puts in a word is not known. In a text for a shell the place stays, to be judged as a name."""
        if place not in word.text:
            return word
        text = word.text if program in SHELLS else word.text.replace(place, SOME)
        return replace(word, text=text, sure=False)

    def unread(self, words: Sequence[_Word], given: Sequence[_Word]) -> None:
        """A shell under xargs runs what is read: `xargs sh -c` without a text of its own."""
        if words and not given and words[-1].text in ("-c", "eval"):
            self.found.doubt("xargs gives a shell text that is only known when it runs")

    def find(self, parts: _Parts) -> None:
        """`find`: every -exec is a command; `{}` is where it starts from when nothing is filtered."""
        texts = [word.text for word in parts.words]
        starts = _find_starts(texts)
        filtered = any(_FIND_FILTERS.match(text) for text in texts) and not any(
            s.rstrip("/.*") == "" and s.startswith("/") for s in starts
        )
        at = 0
        while at < len(texts):
            at += 1
            if texts[at - 1] not in _FIND_RUNS:
                continue
            end = next((i for i in range(at, len(texts)) if texts[i] in (";", "+")), len(texts))
            for place in ["{}"] if filtered else starts:
                words = [replace(w, text=place if w.text == "{}" else w.text) for w in parts.words[at:end]]
                self.inside(replace_stdin(parts), words, "find")
            at = end

    def shell(self, parts: _Parts) -> None:
        """`bash`, `sh`: a text after -c, a script file, or what it reads."""
        how, word = _shell_code(parts.words)
        if how == "text" and word is not None:
            self.code(word, parts)
        elif how == "stdin":
            self.shell_reads(parts)
        elif word is not None and word.inner != NOTHING:
            self.generated(word.inner)

    def code(self, word: _Word, parts: _Parts) -> None:
        if not word.sure:
            self.generated(word.inner)
        if word.sure or word.text not in (UNKNOWN, SOME):
            self.nest(word.text, parts)

    def shell_reads(self, parts: _Parts) -> None:
        stdin = parts.stdin or self.scope.stdin
        if stdin.text is not None:
            self.nest(stdin.text, replace_stdin(parts))
        elif stdin.unknown or stdin.source != NOTHING:
            self.generated(stdin.source)

    def generated(self, source: Span) -> None:
        """What other commands print is run as code: only some are known to print nothing but settings."""
        programs = [command.program for command in self.found.commands[source[0] : source[1]]]
        if not programs or not all(program in _SETUP for program in programs):
            self.found.doubt("the output of a command is run as a script")

    def eval(self, parts: _Parts) -> None:
        """`eval`: its words, joined, are a line of this same shell."""
        words = parts.words[1:]
        if len(words) == 1 and words[0].inner != NOTHING and words[0].text == UNKNOWN:
            self.generated(words[0].inner)
        elif words:
            self.nest(" ".join(word.text for word in words), parts, same_shell=True)

    def source_file(self, parts: _Parts) -> None:
        """`source <(...)`: the output of a command is run; a plain file is like a script."""
        if len(parts.words) > 1:
            self.file_as_code(parts.words[1], parts)

    def file_as_code(self, word: _Word, parts: _Parts) -> None:
        if word.inner != NOTHING:
            self.generated(word.inner)
        elif word.text in ("/dev/stdin", "-", "/dev/fd/0", "/proc/self/fd/0"):
            self.shell_reads(parts)

    def trap(self, parts: _Parts) -> None:
        """`trap LINE SIGNAL`: the line runs later, in a state that nobody knows."""
        operands = [word for word in parts.words[1:] if word.text not in ("-", "--", "-p", "-l")]
        if len(operands) > 1 or (operands and len(operands[0].text.split()) > 1):
            self.nest(operands[0].text, parts)

    def alias(self, parts: _Parts) -> None:
        for word in parts.words[1:]:
            value = word.text.partition("=")[2]
            if value:
                self.nest(value, parts)

    def change_directory(self, parts: _Parts) -> None:
        operands = [word.text for word in parts.words[1:] if not re.fullmatch(r"-[LPe@]+|--", word.text)]
        target = operands[0] if operands else "~"
        self.scope.directory = UNKNOWN if target == "-" else relative_to(self.scope.directory, target)

    def leave_directory(self, parts: _Parts) -> None:
        self.scope.directory = UNKNOWN if parts.words else self.scope.directory

    def reads_names(self, parts: _Parts) -> None:
        """`read`, `mapfile`, `getopts`, `unset`, `let`: the names among their words get values that nobody knows."""
        for word in parts.words[1:]:
            name = re.match(r"[A-Za-z_]\w*", word.text)
            if name:
                self.scope.variables[name[0]] = (UNKNOWN, False)

    def prints(self, parts: _Parts) -> None:
        """`printf -v name`: the name gets a value that nobody knows."""
        if len(parts.words) > 2 and parts.words[1].text == "-v":  # noqa: PLR2004 - the name stands third
            self.reads_names(replace(parts, words=parts.words[1:3]))

    # -- assignments

    def assigned(self, node: Node) -> None:
        """A statement that only assigns."""
        first = len(self.found.commands)
        parts = _Parts(wrappers=self.outer.wrappers, prefixes=self.outer.prefixes)
        nodes = node.named_children if node.type == "variable_assignments" else [node]
        for child in nodes:
            parts.assignments += self.assign(child, lasting=True)
        parts.inner = self.found.since(first)
        self.emit(parts)

    def assign(self, node: Node, *, lasting: bool) -> list[tuple[str, str]]:
        """Resolve one NAME=value; keep it when it outlives its command."""
        name, *values = node.named_children
        if name.type != "variable_name" or any(value.type == "array" for value in values):
            for child in node.children:
                self.within(child)
            self.scope.variables[self.text(name).partition("[")[0]] = (UNKNOWN, False)
            return [(self.text(name).partition("[")[0], UNKNOWN)]
        word = self.resolved(values[0]) if values else _Word("")
        if "+=" in (child.type for child in node.children):
            before, sure = self.scope.variables.get(self.text(name), (UNKNOWN, False))
            word = replace(word, text=before + word.text, sure=sure and word.sure)
        self.keep(self.text(name), word, lasting=lasting)
        return [(self.text(name), word.text)]

    def keep(self, name: str, word: _Word, *, lasting: bool) -> None:
        if _LIVE.search(word.text):
            self.found.doubt("a variable holds a substitution as text")
        if name in _RUNS_VALUE and word.text:
            self.nest(word.text, _Parts())
        if not lasting:
            return
        self.scope.variables[name] = (word.text, word.sure)
        self.scope.splits = self.scope.splits and name != "IFS"

    def declared(self, node: Node) -> None:
        """`export`, `declare`, `local`, `readonly`, `unset`."""
        first = len(self.found.commands)
        parts = _Parts([_Word(self.text(node.children[0]), node.start_byte)], wrappers=self.outer.wrappers)
        for child in node.children[1:]:
            if child.type == "variable_assignment":
                parts.assignments += self.assign(child, lasting=True)
            elif child.type == "ERROR":
                self.error(child)
            else:
                parts.words += self.words_of(child)
        parts.inner = self.found.since(first)
        if node.type == "unset_command":
            self.reads_names(parts)
        self.emit(parts)
        if any(re.fullmatch(r"-\w*n\w*", word.text) for word in parts.words[1:]) and parts.words[0].text != "export":
            self.found.doubt("a name stands for another variable")

    # -- words

    def words_of(self, node: Node) -> list[_Word]:
        """Expand one word of a command into the words that it becomes."""
        if self.found.step():
            return []
        if self.escapes and self.source[max(node.start_byte - 2, 0) : node.start_byte] in _ESCAPED_BLANKS:
            self.found.doubt("a word begins with an escaped blank")
        if node.type == "word":
            text = self.text(node)
            if _PLAIN.fullmatch(text):
                return [_Word(text, node.start_byte)]
        elif node.type == "number":
            return [_Word(self.text(node), node.start_byte)]
        first = len(self.found.commands)
        raw, sure = self.expand(node)
        inner = self.found.since(first)
        texts = self.braced(raw) if "{" in raw else [raw]
        if len(texts) > WORDS_MAX:
            self.found.doubt("a brace expansion has more words than are followed")
        pieces = chain.from_iterable(
            re.split(r"[ \t\n]+", text) if _SPACE.search(text) else [text] for text in texts[:WORDS_MAX]
        )
        return [_Word(_unquote(p), node.start_byte, sure and _known(p), inner, p in ("{", "}")) for p in pieces]

    def braced(self, raw: str) -> list[str]:
        if raw.count("{") <= BRACES_MAX:
            return _braces(raw)
        self.found.doubt("a word has more braces than are followed")
        return [raw]

    def resolved(self, node: Node) -> _Word:
        """Expand a word that is neither split nor brace-expanded: the value of an assignment."""
        first = len(self.found.commands)
        raw, sure = self.expand(node)
        return _Word(
            _unquote(raw), node.start_byte, sure and UNKNOWN not in raw and SOME not in raw, self.found.since(first)
        )

    def expand(self, node: Node) -> tuple[str, bool]:
        """Return the text of a word, quoted special characters marked, and whether it is sure."""
        before, self.sure = self.sure, True
        raw = self.piece(node, quoted=False)
        sure, self.sure = self.sure, before
        if len(raw) > WORD_CHARS_MAX:
            self.found.doubt("a word becomes longer than is followed")
            return UNKNOWN, False
        return raw, sure

    def piece(self, node: Node, *, quoted: bool) -> str:
        """Return the text that one part of a word becomes."""
        if self.found.step():
            return UNKNOWN
        handle = _PIECES.get(node.type)
        if handle is None:
            self.within(node)
            if node.is_named or node.is_missing:
                self.found.doubt(f"the shell grammar does not understand it ({node.type})")
            return UNKNOWN
        return handle(self, node, quoted)

    def word(self, node: Node, quoted: bool) -> str:  # noqa: FBT001
        """Unquoted text: backslashes quote the next character."""
        text = self.text(node)
        if _OPERATOR_IN_WORD.search(text) or node.is_missing:
            self.found.doubt("a word holds an operator that the grammar does not see")
        if "\\" not in text:
            return text.translate(_QUOTED) if quoted else text
        return re.sub(r"\\(.)|\\\n", lambda m: (m[1] or "").translate(_QUOTED), text, flags=re.DOTALL)

    def concatenation(self, node: Node, quoted: bool) -> str:  # noqa: FBT001
        end = node.start_byte
        pieces = []
        for child in node.children:
            if child.start_byte != end:
                self.found.doubt("a word has a gap")
            end = child.end_byte
            pieces.append(self.dollar(child) if child.type == "$" else self.piece(child, quoted=quoted))
        return "".join(pieces)

    def dollar(self, node: Node) -> str:
        """A lone `$` is itself; before a string it asks for a translation."""
        return "" if self.source[node.end_byte : node.end_byte + 1] == b'"' else "$"

    def string(self, node: Node, quoted: bool) -> str:  # noqa: ARG002, FBT001
        """A double-quoted string: whatever lies between its parts is text too."""
        pieces: list[str] = []
        at = node.start_byte + 1
        for child in node.children:
            if child.type == '"' or (not child.is_named and child.type != "$"):
                continue
            pieces += [
                self.in_string(at, child.start_byte),
                "$" if child.type == "$" else self.piece(child, quoted=True),
            ]
            at = child.end_byte
        return "".join([*pieces, self.in_string(at, node.end_byte - 1)])

    def in_string(self, start: int, end: int) -> str:
        text = self.source[start:end].decode("utf-8", "surrogatepass") if end > start else ""
        if _LIVE.search(text):
            self.found.doubt("a string holds a substitution that the grammar does not see")
        return re.sub(r'\\([$`"\\])|\\\n', r"\1", text).translate(_QUOTED) if text else ""

    def string_content(self, node: Node, quoted: bool) -> str:  # noqa: ARG002, FBT001
        return self.in_string(node.start_byte, node.end_byte)

    def raw_string(self, node: Node, quoted: bool) -> str:  # noqa: ARG002, FBT001
        return self.text(node)[1:-1].translate(_QUOTED)

    def ansi_string(self, node: Node, quoted: bool) -> str:  # noqa: ARG002, FBT001
        return decode_ansi(self.text(node)[2:-1]).translate(_QUOTED)

    def translated(self, node: Node, quoted: bool) -> str:  # noqa: FBT001
        return "".join(self.piece(child, quoted=quoted) for child in node.named_children)

    def simple_expansion(self, node: Node, quoted: bool) -> str:  # noqa: FBT001
        name = self.text(node)[1:]
        if not _NAME.fullmatch(name):
            self.found.doubt("a $ stands where the grammar sees something else")
        return self.value(name, quoted=quoted)

    def value(self, name: str, *, quoted: bool) -> str:
        """Return what a variable holds here."""
        value, sure = self.scope.variables.get(name) or self.from_environment(name)
        self.sure = self.sure and sure
        if quoted:
            return value.translate(_QUOTED)[:1].replace(chr(_QUOTED[ord("~")]), "~") + value[1:].translate(_QUOTED)
        if not self.scope.splits:
            self.sure = False
        return value.translate(_QUOTED_BRACES)

    def from_environment(self, name: str) -> tuple[str, bool]:
        if name in _KNOWN:
            return _KNOWN[name], name != "TMPDIR"
        return (SOME if name in _NEVER_EMPTY else UNKNOWN), False

    def expansion(self, node: Node, quoted: bool) -> str:  # noqa: FBT001
        """`${...}`: a plain name is its value; a default is judged, an operator makes it unknown."""
        children = node.children[1:-1]
        names = [child for child in children if child.type in ("variable_name", "special_variable_name")]
        operators = [child.type for child in children if not child.is_named]
        if len(children) == 1 and names:
            return self.value(self.text(names[0]), quoted=quoted)
        others = [child for child in children if child.is_named and child not in names]
        if "@" in operators or "!" in operators:
            self.found.doubt("an expansion evaluates the value of a variable")
        if names and operators[:1] and operators[0] in (":-", "-", ":=", "="):
            return self.with_default(names[0], others, quoted=quoted)
        for child in others:
            self.within(child)
        self.sure = False
        if names and operators[:1] and operators[0] in (":?", "?"):
            return self.value(self.text(names[0]), quoted=quoted).replace(UNKNOWN, SOME)
        return SOME if "#" in operators[:1] and operators.index("#") == 0 and node.children[1].type == "#" else UNKNOWN

    def with_default(self, name: Node, default: Sequence[Node], *, quoted: bool) -> str:
        value = self.value(self.text(name), quoted=quoted)
        if self.text(name) in self.scope.variables and UNKNOWN in value:
            self.inside_of(*default)
            default = ()
        otherwise = "".join(self.piece(child, quoted=quoted) for child in default)
        return (otherwise or UNKNOWN) if UNKNOWN in value else value

    def arithmetic(self, node: Node, quoted: bool) -> str:  # noqa: ARG002, FBT001
        for child in node.named_children:
            self.within(child)
        self.sure = False
        return SOME

    def substitution(self, node: Node, quoted: bool) -> str:  # noqa: FBT001
        """`$(...)`, backticks: its commands are walked; what it prints is known for a few."""
        if node.children and node.children[0].type == "`" and "\\" in self.text(node):
            self.found.doubt("backticks hold a backslash")
        first = len(self.found.commands)
        with self.apart():
            self.scope.upstream = NOTHING
            self.sequence(node)
        output = self.output(first)
        if output is None:
            output = _likely_output(self.found.commands[first:])
            self.sure = False
        output = output.rstrip("\n")
        return output.translate(_QUOTED) if quoted else output.translate(_QUOTED_BRACES)

    def output(self, first: int) -> str | None:
        """Return what the command noted since `first` prints, if it is one command and that is certain."""
        commands = self.found.commands[first:]
        return _printed(commands[0]) if len(commands) == 1 else None

    def process(self, node: Node, quoted: bool) -> str:  # noqa: ARG002, FBT001
        """`<(...)`, `>(...)`: a file name that nobody knows; its commands are walked."""
        with self.apart():
            if self.text(node).startswith(">"):
                self.scope.stdin = _Stdin(unknown=True)
            self.sequence(node)
        self.sure = False
        return SOME

    def within(self, node: Node) -> None:
        """Look for commands in something whose own value does not matter."""
        if node.type in _PIECES_THAT_RUN:
            self.piece(node, quoted=True)
        elif node.type == "ERROR":
            self.error(node)
        elif node.type in _STATEMENTS:
            self.statement(node)
        elif node.child_count == 0:
            self.leaf(node)
        else:
            for child in node.children:
                self.within(child)

    def inside_of(self, *nodes: Node) -> None:
        """Look for commands in the parts of something."""
        for node in nodes:
            for child in node.children or [node]:
                self.within(child)

    def leaf(self, node: Node) -> None:
        """No leaf may hold what bash would still expand."""
        if node.is_missing:
            self.missing(node)
        elif node.type not in _INERT and _LIVE.search(self.text(node)):
            self.found.doubt("it holds a substitution that the grammar does not see")


def decode_ansi(text: str) -> str:
    r"""Return what the inside of $'...' stands for: \x41, \101, \n and the rest."""
    return _ANSI.sub(lambda match: _ansi_char(match[1]), text)


def _ansi_char(code: str) -> str:
    if code[0] in "xuU" and len(code) > 1:
        value = int(code[1:], 16)
        return chr(value) if value <= sys.maxunicode else UNKNOWN
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    if code[0] == "c" and len(code) > 1:
        return chr(ord(code[1]) & 0x1F)
    return _ANSI_NAMED.get(code, code if code in "\\'\"?" else "\\" + code)


def _unquote(raw: str) -> str:
    text = raw.translate(_UNQUOTED_MAP)
    return f"./{text}" if raw[:1] == _MARKED_TILDE else text


def _known(raw: str) -> bool:
    return UNKNOWN not in raw and SOME not in raw


def _braces(raw: str) -> list[str]:
    """Expand {a,b} as bash does; {1..9} becomes one word that is not known."""
    found = _brace_group(raw)
    if found is None:
        return [raw]
    start, end, options = found
    tails = _braces(raw[end:])
    return [raw[:start] + one + tail for option in options for one in _braces(option) for tail in tails][
        : WORDS_MAX + 1
    ]


def _brace_group(raw: str) -> tuple[int, int, list[str]] | None:
    """Return the first group that expands: where it stands and what it may be."""
    for start in (at for at, char in enumerate(raw) if char == "{"):
        depth, cuts = 0, [start]
        for at in range(start, len(raw)):
            depth += {"{": 1, "}": -1}.get(raw[at], 0)
            if depth == 1 and raw[at] == ",":
                cuts.append(at)
            if depth == 0:
                inside = raw[start + 1 : at]
                if len(cuts) > 1:
                    cuts.append(at)
                    return start, at + 1, [raw[a + 1 : b] for a, b in pairwise(cuts)]
                if _NUMBERS.fullmatch(inside) or re.fullmatch(r"\w\.\.\w(\.\.-?\d+)?", inside):
                    return start, at + 1, [SOME]
                break
    return None


def _option(word: _Word, spec: _Wrapper) -> tuple[str | None, bool]:
    """Return the shell line that an option carries (empty: in the next word) and whether it takes the next word."""
    text = word.text
    if text.startswith("--"):
        name, equals, value = text.partition("=")
        code = name in spec.code
        return (value if code else None), (name in spec.values or code) and not equals
    for at, letter in enumerate(text[1:], 2):
        if f"-{letter}" in spec.code:
            return text[at:] or "", at == len(text)
        if f"-{letter}" in spec.values:
            return None, at == len(text)
    return None, False


def _is_assignment(word: _Word) -> bool:
    return word.text.find("=") > 0


def _replaced_by_xargs(options: Sequence[_Word]) -> str:
    for at, word in enumerate(options):
        if word.text == "-I":
            return options[at + 1].text if at + 1 < len(options) else ""
        if word.text.startswith("-I"):
            return word.text[2:]
        if word.text.startswith(("-i", "--replace")):
            return word.text.partition("=")[2] or "{}"
    return ""


def replace_stdin(parts: _Parts) -> _Parts:
    """Return the same parts, reading nothing: what they read is used up."""
    return replace(parts, stdin=_Stdin())


def _find_starts(texts: Sequence[str]) -> list[str]:
    starts: list[str] = []
    for text in texts[1:]:
        if text in ("-L", "-H", "-P"):
            continue
        if text.startswith(("-", "(", "!")):
            break
        starts.append(text)
    return starts or ["."]


def _shell_code(words: Sequence[_Word]) -> tuple[str, _Word | None]:
    """Return where a shell takes its code from: "text", "file" or "stdin"."""
    at, text, reads = 1, False, False
    while at < len(words):
        option = words[at].text
        if option[:1] not in ("-", "+") or option == "-":
            break
        at += 1
        if option == "--":
            break
        if not option.startswith("--"):
            text, reads = text or "c" in option, reads or "s" in option
        at += option in _BASH_VALUES
    operand = words[at] if at < len(words) else None
    if text:
        return "text", operand
    if operand is None or reads or operand.text in ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
        return "stdin", None
    return "file", operand


def _code_from(words: Sequence[_Word], stdin: _Stdin) -> Span:
    """Return the commands whose output this one runs as code."""
    name = words[0].text.rpartition("/")[2]
    if name in SHELLS:
        how, word = _shell_code(words)
        return stdin.source if how == "stdin" else (word.inner if word else NOTHING)
    if name in ("eval", "source", "."):
        return next((word.inner for word in words[1:] if word.inner != NOTHING), NOTHING)
    if name.startswith(INTERPRETERS):
        return _interpreter_code(words, stdin)
    return NOTHING


def _interpreter_code(words: Sequence[_Word], stdin: _Stdin) -> Span:
    for at, word in enumerate(words[1:], 1):
        if word.text in ("-c", "-e", "-r", "--eval"):
            return words[at + 1].inner if at + 1 < len(words) else NOTHING
        if word.text == "-":
            return stdin.source
        if word.text.startswith("-m") or not word.text.startswith("-"):
            return word.inner
    return stdin.source


def _printed(command: Command) -> str | None:
    """Return what a command prints when that is certain: echo, printf, cat of a heredoc, pwd."""
    if command.redirects or any(UNKNOWN in word or SOME in word for word in command.words):
        return None
    program, *words = command.words or ("",)
    if program == "echo":
        return _echoed(words)
    if program == "printf":
        return _printf(words)
    if program == "cat" and command.stdin is not None and set(words) <= {"-"}:
        return command.stdin
    return "." if program == "pwd" else None


def _echoed(words: Sequence[str]) -> str | None:
    rest = list(words)
    escapes = False
    while rest and re.fullmatch(r"-[neE]+", rest[0]):
        escapes = "e" in rest.pop(0) or escapes
    text = " ".join(rest)
    return decode_ansi(text) + "\n" if escapes else text + "\n"


def _printf(words: Sequence[str]) -> str | None:
    if not words or words[0].startswith("-"):
        return None
    form, *values = words
    if "%" not in form:
        return decode_ansi(form)
    match = re.fullmatch(r"%[sb](\\n| |)", form)
    return (
        "".join(decode_ansi(v if form[1] == "b" else v.replace("\\", "\\\\")) + decode_ansi(match[1]) for v in values)
        if match
        else None
    )


def _likely_output(commands: Sequence[Command]) -> str:
    """Return what a substitution most likely yields: a name where one is asked for, else nothing known."""
    words = commands[-1].words if commands else ()
    if not words:
        return UNKNOWN
    if words[0] == "mktemp":
        return f"/tmp/{SOME}"  # noqa: S108
    if words[0] in ("which", "type") or words[:2] == ("command", "-v"):
        return words[-1]
    if words[0] in (
        "git",
        "basename",
        "dirname",
        "realpath",
        "readlink",
        "date",
        "hostname",
        "whoami",
        "id",
        "nproc",
        "wc",
        "uname",
    ):
        return SOME
    return UNKNOWN


_MARKED_TILDE = chr(_QUOTED[ord("~")])
_UNQUOTED_MAP = {code: char for char, code in ((chr(k), v) for k, v in _QUOTED.items())}
_QUOTED_BRACES = {ord(char): _QUOTED[ord(char)] for char in "{},"}
_DEGLOB: dict[int, int | None] = {}
_SPACE = re.compile(r"[ \t\n]")
_REDIRECTS = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect"})
_INERT = frozenset({"raw_string", "comment", "ansi_c_string", "`", "$(", "<(", ">(", "heredoc_end", "heredoc_start"})
_PIECES_THAT_RUN = frozenset(
    {"command_substitution", "process_substitution", "string", "expansion", "word", "concatenation"}
)
_STATEMENTS: dict[str, Callable[[_Walk, Node], None]] = {
    "program": _Walk.sequence,
    "command": lambda walk, node: walk.simple(node),
    "list": _Walk.listed,
    "pipeline": _Walk.pipeline,
    "redirected_statement": _Walk.redirected,
    "negated_command": _Walk.negated,
    "subshell": _Walk.subshell,
    "compound_statement": _Walk.sequence,
    "do_group": _Walk.sequence,
    "if_statement": _Walk.conditional,
    "elif_clause": _Walk.conditional,
    "else_clause": _Walk.conditional,
    "while_statement": _Walk.loop,
    "c_style_for_statement": _Walk.loop,
    "for_statement": _Walk.for_each,
    "case_statement": _Walk.conditional,
    "case_item": _Walk.case_item,
    "function_definition": _Walk.function,
    "variable_assignment": _Walk.assigned,
    "variable_assignments": _Walk.assigned,
    "declaration_command": _Walk.declared,
    "unset_command": _Walk.declared,
    "test_command": _Walk.inside_of,
    "comment": _Walk.ignore,
    "ERROR": _Walk.error,
}
_PIECES: dict[str, Callable[[_Walk, Node, bool], str]] = {
    "word": _Walk.word,
    "number": _Walk.word,
    "concatenation": _Walk.concatenation,
    "string": _Walk.string,
    "string_content": _Walk.string_content,
    "raw_string": _Walk.raw_string,
    "ansi_c_string": _Walk.ansi_string,
    "translated_string": _Walk.translated,
    "simple_expansion": _Walk.simple_expansion,
    "expansion": _Walk.expansion,
    "arithmetic_expansion": _Walk.arithmetic,
    "command_substitution": _Walk.substitution,
    "process_substitution": _Walk.process,
    "brace_expression": _Walk.word,
    "variable_name": _Walk.word,
    "regex": _Walk.word,
    "extglob_pattern": _Walk.word,
}
_FOLLOW: dict[str, Callable[[_Walk, _Parts], None]] = {
    **dict.fromkeys(_WRAPPERS, _Walk.wrapper),
    "xargs": _Walk.xargs,
    "find": _Walk.find,
    "eval": _Walk.eval,
    "source": _Walk.source_file,
    ".": _Walk.source_file,
    "trap": _Walk.trap,
    "alias": _Walk.alias,
    "cd": _Walk.change_directory,
    "pushd": _Walk.change_directory,
    "popd": _Walk.leave_directory,
    "read": _Walk.reads_names,
    "mapfile": _Walk.reads_names,
    "readarray": _Walk.reads_names,
    "getopts": _Walk.reads_names,
    "printf": _Walk.prints,
    "let": _Walk.reads_names,
}
