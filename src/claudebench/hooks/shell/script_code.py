"""Perl, Ruby, JavaScript and PHP on the command line: their calls that run programs, delete or write.

There is no tree: every place where a dangerous name stands like a call is looked at, comments and strings included. If
its arguments are not plain literals, that is a reason for doubt.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from claudebench.hooks.paths import UNKNOWN
from claudebench.hooks.shell.limits import CODE_BYTES_MAX, CODE_CALLS_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.hooks.shell.effects import Effects, Text

_STRING = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`"""
_LITERAL = re.compile(rf"\s*(?:{_STRING})", re.DOTALL)
_QUOTE_LIKE = re.compile(r"\s*(?:q[qx]?|%[qQx])\s*(?:\{([^{}]*)\}|\(([^()]*)\)|\[([^\[\]]*)\]|/([^/]*)/)")
_BARE = re.compile(r"\s*:?[A-Za-z_]\w*\s*(?:=>|:)\s*(?:[\w.]+|(?=[\"'\[]))")  # an option: `recursive: true`
_GAP = re.compile(r"[\s,(\[{]*")
_END = re.compile(r"[\s)\]},]*(?:$|[;\n)}]|\b(?:or|and|if|unless|for|do)\b|\|\||&&|\.|\?|:)")
_INSERTS = re.compile(r"\$\{[^{}]{0,64}\}|#\{[^{}]{0,64}\}|[$@][A-Za-z_]\w*(?:->)?(?:\{[^}]*\}|\[[^\]]*\])?")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}
_NEVER_CALLED = frozenset("\\/,=)]};:.|*-<>?&")  # what may follow a name that is not called here
_ARGUMENTS_MAX = 64
_MODE = re.compile(r"\+?>>?(:\S+)?|[wax]b?\+?|r\+b?|\+<")
_GAP_MAX = 40  # characters between a name and what tells whether it is called
_STATEMENT_MAX = 400


class Language(msgspec.Struct, frozen=True):
    """The dangerous names of a language, each a regular expression for the name alone."""

    shells: str  # run a shell line, or a program with its words if there are more
    deletes: str
    writes: str  # write the file that is their first argument
    opens: str  # open a file: a mode tells whether for writing, and a pipe what runs
    moves: str
    evaluates: str  # run a text as code of the same language
    trees: str = "(?!)"  # delete with everything inside
    programs: str = "(?!)"  # run a program, its words in a list
    inserts: bool = True  # a string in double quotes may hold a variable
    backticks: bool = True  # run what stands in them
    hint: str = ""  # a name without which `shells` and `programs` mean something else


LANGUAGES: dict[str, Language] = {
    "perl": Language(
        shells="system|exec|readpipe",
        deletes="unlink|rmdir",
        trees="rmtree|remove_tree",
        writes="write_file|spew",
        opens="open|sysopen",
        moves="rename|copy|move|symlink",
        evaluates="eval",
    ),
    "ruby": Language(
        shells="system|exec|spawn|popen|popen2|popen2e|popen3|capture2|capture2e|capture3",
        deletes=r"(?:File|Dir|FileUtils)\.(?:delete|unlink|rmdir|rm|rm_f|remove)|unlink|rm_f",
        trees="rm_rf|rm_r|remove_dir|remove_entry|remove_entry_secure|rmtree",
        writes=r"(?:File|IO)\.write|File\.truncate|binwrite",
        opens=r"open|File\.new",
        moves="rename|mv|cp|cp_r|ln_s|symlink",
        evaluates="eval|instance_eval|class_eval|module_eval|send|__send__|public_send",
    ),
    "javascript": Language(
        shells="exec|execSync",
        programs=r"spawn|spawnSync|execFile|execFileSync|fork|Deno\.Command|Deno\.run|Bun\.spawn|Bun\.spawnSync",
        deletes=r"unlink|unlinkSync|rmdir|rmdirSync|Deno\.remove|Deno\.removeSync",
        trees="rm|rmSync|rimraf|removeSync|emptyDirSync",
        writes=r"(?:writeFile|appendFile|truncate|Deno\.writeTextFile|Deno\.writeFile)(?:Sync)?|createWriteStream|Bun\.write",
        opens="openSync",
        moves="renameSync|copyFileSync|cpSync|symlinkSync|rename|copyFile",
        evaluates="eval|Function|runInNewContext|runInThisContext",
        inserts=False,
        backticks=False,
        hint="child_process|Deno|Bun",
    ),
    "php": Language(
        shells="system|exec|shell_exec|passthru|popen|proc_open",
        programs="pcntl_exec",
        deletes="unlink|rmdir",
        writes="file_put_contents|ftruncate",
        opens="fopen",
        moves="rename|copy|symlink|link",
        evaluates="eval|assert|create_function|call_user_func|call_user_func_array",
    ),
}
_PROCESSES = ("shells", "programs")
_HIDES = re.compile(r"child_process|process\.binding|mainModule")
_RENAMES = re.compile(r"\b(exec|spawn|fork)\w*\s*:\s*[A-Za-z_$]")
_KINDS = ("shells", "programs", "deletes", "trees", "writes", "opens", "moves", "evaluates")
_NAMES = {
    name: re.compile("|".join(rf"(?P<{kind}>(?<![\w$@%])(?:{getattr(language, kind)})(?!\w))" for kind in _KINDS))
    for name, language in LANGUAGES.items()
}
_RUN_QUOTES = re.compile(
    r"`((?:\\.|[^`\\])*)`|(?:(?<![\w$@%-])qx|%x)\s*(?:\{([^{}]*)\}|\(([^()]*)\)|\[([^\[\]]*)\]|<([^<>]*)>|([^\w\s]))",
    re.DOTALL,
)


def read_script(effects: Effects, code: str, language: str) -> None:
    """Tell what the code would do."""
    if len(code) > CODE_BYTES_MAX:
        effects.doubt("is longer than is followed")
        return
    spec = LANGUAGES[language]
    runs = not spec.hint or re.search(spec.hint, code) is not None
    told = 0
    for count, match in enumerate(_NAMES[language].finditer(code)):
        if count > CODE_CALLS_MAX:
            effects.doubt("is longer than is followed")
            return
        if (runs or match.lastgroup not in _PROCESSES) and _is_called(code, match, language):
            told += match.lastgroup in _PROCESSES
            _tell(effects, spec, code, match)
    if spec.backticks:
        for count, match in enumerate(_RUN_QUOTES.finditer(code)):
            if count > CODE_CALLS_MAX:
                effects.doubt("is longer than is followed")
                return
            effects.shell(_insert(next((group for group in match.groups() if group), ""), spec))
    if language == "javascript" and _HIDES.search(code) and (not told or _RENAMES.search(code)):
        effects.doubt("reaches what may be dangerous by a name that is only known when it runs")


def _is_called(code: str, match: re.Match[str], language: str) -> bool:
    """Whether a name stands like a call: not as a key, a part of a pattern or a plain word."""
    before, behind = code[match.start() - 1 : match.start()], code[match.end() : match.end() + _GAP_MAX].lstrip()
    if before in ("'", '"') and behind.startswith(before):
        is_index = code[match.start() - 2 : match.start() - 1] == "["
        return match.lastgroup == "shells" and (language == "php" or is_index)
    if before == ":" and language == "ruby":
        return match.lastgroup == "shells"
    return behind != "" and behind[0] not in _NEVER_CALLED and not behind[0].isalpha()


def _arguments(code: str, at: int, spec: Language) -> tuple[list[Text], bool]:
    """Return the literals that stand there, and whether there is nothing else."""
    found: list[Text] = []
    for _ in range(_ARGUMENTS_MAX):
        gap = _GAP.match(code, at)
        at = gap.end() if gap else at
        literal = _LITERAL.match(code, at)
        quoted = _QUOTE_LIKE.match(code, at)
        if literal:
            found.append(_text(literal[0].strip(), spec))
        elif quoted:
            found.append(_insert(next(group for group in quoted.groups() if group is not None), spec))
        elif (option := _BARE.match(code, at)) is None:
            break
        at = (literal or quoted or option).end()  # type: ignore[union-attr]
        at = _skip_close(code, at)
        if _END.match(code, at) and code[at : at + 1] != ",":
            return found, True
    return found, False


def _skip_close(code: str, at: int) -> int:
    while at < len(code) and code[at] in " \t)]}":
        at += 1
    return at


def _text(literal: str, spec: Language) -> Text:
    quote, text = literal[0], literal[1:-1]
    if quote == "'":
        return _ESCAPED.sub(lambda match: match[1] if match[1] in "'\\" else match[0], text)
    if quote == '"' and not spec.inserts:
        return _ESCAPED.sub(_control, text)
    return _insert(text, spec)


def _insert(text: str, spec: Language) -> Text:
    """Return the text with UNKNOWN for every variable in it."""
    known = _INSERTS.sub(UNKNOWN, text) if spec.inserts or "${" in text else text
    return _ESCAPED.sub(_control, known) if known.strip(UNKNOWN) else None


def _control(match: re.Match[str]) -> str:
    return _CONTROLS.get(match[1], match[1])


def _tell(effects: Effects, spec: Language, code: str, match: re.Match[str]) -> None:
    kind = match.lastgroup or ""
    if kind == "opens":
        _open(effects, *_statement(code, match.end(), spec))
        return
    texts, whole = _arguments(code, match.end(), spec)
    if kind == "evaluates":
        _evaluate(effects, match[0], texts)
    elif not texts or (not whole and kind in _PROCESSES):
        effects.doubt("runs, deletes or writes what is only known when it runs")
    elif kind == "shells":
        _run(effects, texts)
    elif kind == "programs":
        effects.command(texts)
    else:
        _change(effects, kind, texts)


def _run(effects: Effects, texts: Sequence[Text]) -> None:
    if len(texts) > 1:
        effects.command(texts)
    else:
        effects.shell(texts[0])


def _change(effects: Effects, kind: str, texts: Sequence[Text]) -> None:
    if kind == "moves":
        effects.change("mv", *texts[:2], strict=False)
    elif kind == "writes":
        effects.write(texts[0])
    else:
        for text in texts:
            effects.change(*(("rm", "-r") if kind == "trees" else ("rm",)), text)


def _evaluate(effects: Effects, name: str, texts: Sequence[Text]) -> None:
    if texts or name not in ("eval", "send"):
        effects.doubt("runs code that is only known when it runs")


def _statement(code: str, at: int, spec: Language) -> tuple[list[Text], bool]:
    """Return the literals up to the end of a statement, and whether a variable stands among them."""
    rest = code[at : at + _STATEMENT_MAX]
    literals, end = [], 0
    for match in _LITERAL.finditer(rest):
        if re.search(r"[;\n]", rest[end : match.start()]):
            break
        literals.append(_text(match[0].strip(), spec))
        end = match.end()
    return literals, bool(literals)


def _open(effects: Effects, texts: Sequence[Text], some: bool) -> None:  # noqa: FBT001 - what _statement returns
    """`open(F, ">x")`, `open(F, "-|", "x")`, `fopen("x", "w")`, `File.open("x", "w")`."""
    known = [text or "" for text in texts]
    pipe = next((text for text in known if text.strip().startswith(("|", "-|")) or text.rstrip().endswith("|")), None)
    mode = next((text for text in known if _MODE.fullmatch(text)), None)
    joined = next((text for text in known if re.match(r"\s*\+?>", text)), None)
    if pipe is not None:
        rest = [text for text in known if text != pipe]
        effects.shell(pipe.strip().strip("|-").strip() or " ".join(rest) or None)
    elif mode is not None:
        paths = [text for text in texts if text != mode]
        effects.write(paths[0] if paths else None)
    elif joined is not None:
        effects.write(joined.strip().lstrip("+>").strip() or None)
    elif not some and effects.parts.name == "perl":
        effects.doubt("opens what is only known when it runs")
