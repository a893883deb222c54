"""Python on the command line: its calls that run programs, delete or write, read from its syntax tree.

A name stands for every value that the code assigns to it. Whatever cannot be read, though a dangerous name is in it, is
a reason for doubt.
"""

from __future__ import annotations

import ast
import posixpath
import re
import shlex
import warnings
from typing import TYPE_CHECKING

from claudebench.hooks.paths import SOME, UNKNOWN, relative_to
from claudebench.hooks.shell.effects import HOME
from claudebench.hooks.shell.limits import (
    CODE_BRACES_MAX,
    CODE_BYTES_MAX,
    CODE_CALLS_MAX,
    CODE_DEPTH_MAX,
    CODE_MARKS_MAX,
    CODE_NODES_MAX,
    CODE_STEPS_MAX,
    CODE_VALUES_MAX,
)
from claudebench.hooks.shell.parts import Stdin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from claudebench.hooks.shell.effects import Effects, Text

_NAMED = re.compile(
    r"system|popen|subprocess|spawn|exec|eval|rmtree|remove|unlink|rmdir|open|write_(text|bytes)|ctypes|pty|getattr|__\w+__"
    r"|import_module|rename|\.replace|move|copy|chmod|chown|truncate|link|kill|touch|mkdir|makedirs|getoutput"
)
_HIDES = re.compile(r"__(dict|builtins|globals|subclasses|getattribute|loader)__|\b(ctypes|cffi|vars|globals|locals)\b")
_SIGN = re.compile(r"[^\w\s'\"]")
_MODULES = frozenset({"os", "subprocess", "shutil", "pty", "builtins", "posix", "asyncio", "pathlib", "io"})
_MARKS = {UNKNOWN: "\ua640\ua640", SOME: "\ua642\ua642"}  # letters: what stands for them stays an identifier

_SHELL = frozenset({
    "os.system", "os.popen", "posix.system", "subprocess.getoutput", "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell",
})  # fmt: skip
_ARGV = frozenset({
    "subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output", "subprocess.Popen",
    "pty.spawn",
})  # fmt: skip
_EXEC = re.compile(r"os\.(exec[lv]p?e?|spawn[lv]p?e?|posix_spawnp?)|asyncio\.create_subprocess_exec")
_RUNS_CODE = frozenset({"eval", "exec", "builtins.eval", "builtins.exec", "compile"})
_OPENS = frozenset({"open", "io.open", "codecs.open", "builtins.open"})
_CHANGES: dict[str, tuple[tuple[str, ...], int, bool]] = {  # the command that does the same, its paths, must be known
    "os.remove": (("rm",), 1, True), "os.unlink": (("rm",), 1, True), "os.rmdir": (("rmdir",), 1, True),
    "os.removedirs": (("rmdir", "-p"), 1, True), "shutil.rmtree": (("rm", "-r"), 1, True),
    "os.rename": (("mv",), 2, False), "os.replace": (("mv",), 2, False), "shutil.move": (("mv",), 2, False),
    "shutil.copy": (("cp",), 2, False), "shutil.copy2": (("cp",), 2, False), "shutil.copyfile": (("cp",), 2, False),
    "shutil.copytree": (("cp", "-r"), 2, False), "os.symlink": (("ln", "-s"), 2, False), "os.link": (("ln",), 2, False),
    "os.chmod": (("chmod", "0"), 1, False), "os.chown": (("chown", "0"), 1, False), "os.kill": (("kill",), 2, False),
    "os.truncate": (("truncate",), 1, True), "os.mkdir": (("mkdir",), 1, False),
    "os.makedirs": (("mkdir", "-p"), 1, False),
}  # fmt: skip
_METHODS: dict[str, tuple[str, ...]] = {"unlink": ("rm",), "rmdir": ("rmdir",)}
_WRITES = frozenset({"write_text", "write_bytes"})
_SAME = frozenset({
    "str", "os.path.abspath", "os.path.realpath", "os.path.normpath", "os.fspath", "pathlib.Path", "pathlib.PurePath",
    "pathlib.PosixPath", "glob.glob", "glob.iglob", "sorted", "list", "iter", "os.fsencode", "set", "tuple",
})  # fmt: skip
_SAME_METHODS = frozenset({"resolve", "absolute", "expanduser", "as_posix", "strip", "encode"})
_DANGEROUS = _SHELL | _ARGV | _RUNS_CODE | frozenset(name for name, change in _CHANGES.items() if change[2])


def read_python(effects: Effects, code: str, depth: int = 0) -> None:
    """Tell what the code would do."""
    if not _NAMED.search(code) and not _HIDES.search(code):
        return
    for char, mark in _MARKS.items():
        code = code.replace(char, mark)
    try:
        if depth > 1 or _is_dense(code):
            raise SyntaxError  # noqa: TRY301 - treated as what cannot be read
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        effects.doubt("cannot be read, and names what may be dangerous")
        return
    if _HIDES.search(code):
        effects.doubt("reaches what may be dangerous by a name that is only known when it runs")
    _Reader(effects, depth).read(tree)


def _is_dense(code: str) -> bool:
    """Whether it takes too long to make a tree of the code."""
    long = len(code) > CODE_BYTES_MAX or code.count("{") > CODE_BRACES_MAX
    return long or len(_SIGN.findall(code)) > CODE_MARKS_MAX


class _Reader:
    """Reads one tree: first what its names stand for, then its calls."""

    def __init__(self, effects: Effects, depth: int) -> None:
        self.effects = effects
        self.depth = depth
        self.steps = 0
        self.names: dict[str, str] = {}  # what an import calls a name
        self.stars: list[str] = []
        self.values: dict[str, list[ast.expr | None]] = {}

    def read(self, tree: ast.Module) -> None:
        nodes: list[ast.AST] = []
        for node in ast.walk(tree):
            nodes.append(node)
            if len(nodes) > CODE_NODES_MAX:
                self.effects.doubt("is longer than is followed")
                return
        for node in nodes:
            self._bind(node)
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        called = {id(call.func) for call in calls}
        for call in calls:
            if self.name(call.func) == "os.chdir":
                self.effects.command(["cd", *self._texts(call.args[:1])])
        if sum(1 for call in calls if self.name(call.func) in _DANGEROUS) > CODE_CALLS_MAX:
            self.effects.doubt("is longer than is followed")
            return
        for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
            self._call(call)
        for node in nodes:
            if isinstance(node, ast.Name | ast.Attribute) and id(node) not in called and self.name(node) in _DANGEROUS:
                self.effects.doubt("gives what may be dangerous another name")

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            self.names.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom):
            self.stars += [node.module or "" for alias in node.names if alias.name == "*"]
            self.names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            for one in node.targets if isinstance(node, ast.Assign) else [node.target]:
                self._assign(one, node.value)
        elif isinstance(node, ast.For | ast.comprehension):
            many = node.iter.elts if isinstance(node.iter, ast.Tuple | ast.List | ast.Set) else [node.iter]
            for value in many:
                self._assign(node.target, value)
        elif isinstance(node, ast.arg):
            self.values.setdefault(node.arg, []).append(None)
        elif isinstance(node, ast.AugAssign | ast.withitem):
            target = node.target if isinstance(node, ast.AugAssign) else node.optional_vars
            self._assign(target, None)

    def _assign(self, target: ast.expr | None, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name):
            self.values.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Tuple | ast.List):
            same = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts)
            for at, one in enumerate(target.elts):
                self._assign(one, value.elts[at] if same and isinstance(value, ast.Tuple | ast.List) else None)

    def name(self, node: ast.expr, depth: int = 0) -> str:
        """Return the dotted name that an expression stands for, or ""."""
        if depth > CODE_DEPTH_MAX:
            return ""
        if isinstance(node, ast.Name):
            if node.id in self.names:
                return self.names[node.id]
            starred = [f"{module}.{node.id}" for module in self.stars]
            return next((name for name in starred if name in _DANGEROUS or name in _CHANGES), node.id)
        if isinstance(node, ast.Attribute):
            return f"{self.name(node.value, depth + 1)}.{node.attr}"
        if isinstance(node, ast.Call) and node.args:
            return self._imported(node, self.name(node.func, depth + 1))
        return ""

    def _imported(self, node: ast.Call, function: str) -> str:
        *_, last = [one.value if isinstance(one, ast.Constant) else None for one in node.args]
        if function in ("__import__", "importlib.import_module", "builtins.__import__"):
            if not isinstance(last, str):
                self.effects.doubt("imports what is only known when it runs")
            return str(last)
        if function == "getattr" and (module := self.name(node.args[0])) in _MODULES:
            if not isinstance(last, str):
                self.effects.doubt("reaches what may be dangerous by a name that is only known when it runs")
            return f"{module}.{last if isinstance(last, str) else None}"
        return ""

    # -- values

    def texts(  # noqa: PLR0911 - one for each kind of expression
        self, node: ast.expr | None, depth: int = 0
    ) -> list[Text]:
        """Return the texts that an expression may be."""
        self.steps += 1
        if node is None or depth > CODE_DEPTH_MAX or self.steps > CODE_STEPS_MAX:
            return [None]
        if isinstance(node, ast.Constant):
            return [_constant(node.value)]
        if isinstance(node, ast.Name):
            bound = self.values.get(node.id, [None])
            return [text for value in bound[:CODE_VALUES_MAX] for text in self.texts(value, depth + 1)][
                :CODE_VALUES_MAX
            ]
        if isinstance(node, ast.JoinedStr):
            parts = [one.value if isinstance(one, ast.FormattedValue) else one for one in node.values]
            return [_join([self._first(part, depth) for part in parts])]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Div):
            ends = [self._first(node.left, depth), self._first(node.right, depth)]
            return [_join(ends) if isinstance(node.op, ast.Add) else _path(ends)]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return [text and f"-{text}" for text in self.texts(node.operand, depth + 1)]
        if isinstance(node, ast.Call):
            return self._called(node, depth)
        if isinstance(node, ast.Attribute) and node.attr == "parent":
            return [text and (posixpath.dirname(text) or ".") for text in self.texts(node.value, depth + 1)]
        home = isinstance(node, ast.Subscript) and self.name(node.value) == "os.environ" and "HOME" in ast.dump(node)
        return [HOME] if home else [None]

    def _first(self, node: ast.expr, depth: int) -> Text:
        texts = self.texts(node, depth + 1)
        return texts[0] if len(texts) == 1 else None

    def _called(self, node: ast.Call, depth: int) -> list[Text]:  # noqa: PLR0911 - one for each kind of call
        name = self.name(node.func)
        if name in ("pathlib.Path.home", "Path.home") or (
            name in ("os.getenv", "os.environ.get") and "HOME" in ast.dump(node)
        ):
            return [HOME]
        if name in ("os.getcwd", "pathlib.Path.cwd", "Path.cwd"):
            return ["."]
        if name.startswith("tempfile."):
            return [f"/tmp/{SOME}"]  # noqa: S108
        if name == "os.path.expanduser" and node.args:
            return [_expanded(text) for text in self.texts(node.args[0], depth + 1)]
        if name in ("os.path.join", "Path", "pathlib.Path") and len(node.args) != 1:
            return [_path([self._first(arg, depth) for arg in node.args] or ["."])]
        if (name in _SAME or name == "Path") and node.args:
            return self.texts(node.args[0], depth + 1)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _SAME_METHODS:
            texts = self.texts(node.func.value, depth + 1)
            return [_expanded(text) for text in texts] if node.func.attr == "expanduser" else texts
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("glob", "rglob", "joinpath"):
            return [_path([self._first(node.func.value, depth), *(self._first(arg, depth) for arg in node.args)])]
        return [None]

    def _texts(self, nodes: Sequence[ast.expr]) -> list[Text]:
        return [self._first(node, 0) for node in nodes]

    # -- calls

    def _call(self, call: ast.Call) -> None:
        name = self.name(call.func)
        if name in _SHELL:
            self._each(call.args[:1], self.effects.shell)
        elif name in _ARGV:
            self._argv(call)
        elif name in _RUNS_CODE:
            self._code(call)
        elif name in _CHANGES:
            self._change(call, *_CHANGES[name])
        elif name in _OPENS:
            self._open(call.args[:1], call, call.args[1:2])
        elif _EXEC.fullmatch(name):
            self._execute(name, call)
        elif isinstance(call.func, ast.Attribute):
            self._method(call, call.func)

    def _each(self, nodes: Sequence[ast.expr], tell: Callable[[Text], None]) -> None:
        for text in self.texts(nodes[0] if nodes else None):
            tell(text)

    def _change(self, call: ast.Call, words: tuple[str, ...], paths: int, strict: bool) -> None:  # noqa: FBT001 - a row of the table
        given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg in ("path", "src", "dst"))]
        if paths == 1:
            self._each(given[:1], lambda text: self.effects.change(*words, text, strict=strict))
        elif words == ("kill",):
            number, signal = [*self._texts(given), None, None][:2]
            self.effects.change("kill", f"-{signal or 'TERM'}", number, strict=False)
        else:
            self.effects.change(*words, *self._texts(given[:paths]), strict=strict)

    def _open(self, path: Sequence[ast.expr], call: ast.Call, mode: Sequence[ast.expr]) -> None:
        given = [*mode, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
        if given and any(text is None or set(text) & set("wax+") for text in self.texts(given[0])):
            self._each(path, self.effects.write)

    def _method(self, call: ast.Call, function: ast.Attribute) -> None:
        if function.attr in _METHODS:
            words = _METHODS[function.attr]
            self._each([function.value], lambda text: self.effects.change(*words, text))
        elif function.attr in _WRITES:
            self._each([function.value], self.effects.write)
        elif function.attr == "open" and "os" not in self.name(function.value).split("."):
            self._open([function.value], call, call.args[:1])

    def _code(self, call: ast.Call) -> None:
        for text in self.texts(call.args[0] if call.args else None):
            if text is None:
                self.effects.doubt("runs code that is only known when it runs")
            else:
                read_python(self.effects, text, self.depth + 1)

    def _argv(self, call: ast.Call) -> None:
        options = {keyword.arg: keyword.value for keyword in call.keywords}
        first = call.args[0] if call.args else options.get("args")
        words = list(self._words(first))
        shell = options.get("shell")
        scope = self.effects.walk.scope
        before = scope.directory
        if "cwd" in options:
            scope.directory = relative_to(before, self._first(options["cwd"], 0) or UNKNOWN)
        if shell is not None and not (isinstance(shell, ast.Constant) and not shell.value):
            self.effects.shell(words[0] if words else None)
        else:
            self.effects.command(words, self._stdin(options))
        scope.directory = before

    def _stdin(self, options: dict[str | None, ast.expr]) -> Stdin | None:
        if "input" in options:
            text = self._first(options["input"], 0)
            return Stdin(text, unknown=text is None)
        return Stdin(unknown=True) if "stdin" in options else None

    def _words(self, node: ast.expr | None) -> Iterator[Text]:
        if isinstance(node, ast.Name) and len(self.values.get(node.id, [])) == 1:
            node = self.values[node.id][0]
        if isinstance(node, ast.List | ast.Tuple):
            yield from (None if isinstance(one, ast.Starred) else self._first(one, 0) for one in node.elts)
        elif isinstance(node, ast.Call) and (self.name(node.func) == "shlex.split" or self._splits(node)):
            text = self._first(node.args[0], 0) if node.args else None
            if isinstance(node.func, ast.Attribute) and node.func.attr == "split" and self._splits(node):
                text = self._first(node.func.value, 0)
            yield from _split(text)
        else:
            yield from self.texts(node)

    def _splits(self, node: ast.Call) -> bool:
        return isinstance(node.func, ast.Attribute) and node.func.attr == "split" and not node.args

    def _execute(self, name: str, call: ast.Call) -> None:
        args = call.args[1:] if ".spawn" in name else call.args
        if "exec" in name.rpartition("_")[2] and "asyncio" in name:
            self.effects.command(self._texts(args))
        elif re.search(r"(exec|spawn)l", name):
            self.effects.command([*self._texts(args[:1]), *self._texts(args[2:])])
        else:
            words = list(self._words(args[1])) if len(args) > 1 else []
            self.effects.command([*self._texts(args[:1]), *words[1:]])


def _constant(value: object) -> Text:
    text = value if isinstance(value, str) else value.decode("latin-1") if isinstance(value, bytes) else repr(value)
    for char, mark in _MARKS.items():
        text = text.replace(mark, char)
    return text


def _expanded(text: Text) -> Text:
    return HOME + text[1:] if text and text.startswith("~") else text


def _join(parts: Sequence[Text]) -> Text:
    text = "".join(UNKNOWN if part is None else part for part in parts)
    return text if text.strip(UNKNOWN) else None


def _path(parts: Sequence[Text]) -> Text:
    if parts[0] is None:
        return None
    return posixpath.join(*(UNKNOWN if part is None else part for part in parts))


def _split(text: Text) -> list[Text]:
    try:
        return [None] if text is None else [*shlex.split(text)]
    except ValueError:
        return [None]
