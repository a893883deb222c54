"""Rules as data: TOML files, checked when they are read, asked by the name of a program.

A rule has `[[rule.command]]` tables (one of them must fit one simple command of a line) or `[[rule.file]]` tables (for
tools that write files). Inside a table everything that is given must hold; inside a list one entry is enough, but for
`flags`, where each entry must hold and offers its alternatives separated by spaces ("-r -R --recursive").
"""

from __future__ import annotations

import functools
import hashlib
import re
import tomllib
from fnmatch import fnmatchcase
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from claudebench.errors import SettingsError, nearest
from claudebench.hooks.model import FailMode, Severity
from claudebench.hooks.paths import PATH_CLASSES, PathClass, Places
from claudebench.hooks.shell import Command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from claudebench.hooks.shell import Script

RULES_MAX = 10_000
PROGRAMS_KEPT_MAX = 1_000
RuleAction = Literal["deny", "ask", "rewrite", "warn"]
Words = tuple[str, ...]
Classes = tuple[PathClass, ...]


class CommandMatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one simple command must look like."""

    program: Words = ()  # names of programs, globs allowed
    verb: Words = ()  # its first operand: "push" of git
    values: Words = ()  # options whose next word is their value and no operand
    flags: Words = ()
    without: Words = ()
    operands: str | None = None  # a regular expression that one operand matches as a whole
    operands_max: int | None = None  # at most so many, the verb not counted
    prefix: str = ""  # judge only words that begin so, without it: "of=" of dd
    last: bool = False  # judge only the last operand: where cp copies to
    paths: Classes = ()  # an operand points there
    carries: Classes = ()  # any word, also behind "@" or "=", or its input, points there
    reads: Classes = ()  # a command whose output it gets names such a path
    writes: Classes = ()  # a redirection writes there
    output_of: Words = ()  # it runs the output of one of these programs as code
    wrapped: Words = ()  # it stands behind one of these
    text: str | None = None  # a regular expression found in its words or in what it reads
    recursive: bool = False  # a function that starts itself, in a pipeline or in the background


class FileMatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file that is about to be written must look like."""

    paths: Classes = ()
    like: Words = ()  # globs on the absolute path
    text: str | None = None  # a regular expression found in what is written


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule. The reason tells the agent what to do instead."""

    id: str
    severity: Severity
    action: RuleAction
    reason: str
    tools: Words = ()  # only these tools, globs allowed; empty: every tool of its kind
    command: tuple[CommandMatch, ...] = ()
    file: tuple[FileMatch, ...] = ()
    fail_mode: FailMode | None = None

    def covers(self, tool: str) -> bool:
        """Whether the rule is meant for this tool."""
        return not self.tools or any(fnmatchcase(tool.lower(), one.lower()) for one in self.tools)


class Hit(msgspec.Struct, frozen=True):
    """A rule that fits, and the command that it fits."""

    rule: Rule
    command: Command | None = None


class RuleSet:
    """Rules in the order of their files, found by program name. `version` names exactly this content."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self.version = hashlib.sha256(msgspec.json.encode(self.rules)).hexdigest()[:12]
        self._named: dict[str, list[tuple[Rule, CommandMatch]]] = {}
        self._globbed: list[tuple[str, Rule, CommandMatch]] = []
        self._marked: list[tuple[Rule, CommandMatch]] = []  # for any program that redirects, is wrapped, runs output
        self._general: list[tuple[Rule, CommandMatch]] = []
        self._by_program: dict[str, list[tuple[Rule, CommandMatch]]] = {}
        self._files = [(rule, match) for rule in self.rules for match in rule.file]
        for rule in self.rules:
            for match in rule.command:
                self._index(rule, match)

    def _index(self, rule: Rule, match: CommandMatch) -> None:
        for name in match.program:
            if any(char in name for char in "*?["):
                self._globbed.append((name, rule, match))
            else:
                self._named.setdefault(name, []).append((rule, match))
        if not match.program:
            marked = match.writes or match.wrapped or match.recursive or match.output_of
            (self._marked if marked else self._general).append((rule, match))

    def _candidates(self, command: Command) -> Iterator[tuple[Rule, CommandMatch]]:
        program = command.program
        named = self._by_program.get(program)
        if named is None:
            named = self._look_up(program)
        yield from named
        if command.redirects or command.wrappers or command.recursive or command.code_from[1]:
            yield from self._marked
        yield from self._general

    def _look_up(self, program: str) -> list[tuple[Rule, CommandMatch]]:
        """Find the tables for a program, globs included; kept for the next time while names are few."""
        globbed = [(rule, match) for name, rule, match in self._globbed if fnmatchcase(program, name)]
        found = self._named.get(program, []) + globbed
        if len(self._by_program) < PROGRAMS_KEPT_MAX:
            self._by_program[program] = found
        return found

    def on_script(self, script: Script, places: Places, tool: str = "Bash") -> list[Hit]:
        """Return every rule that fits a command of the script."""
        return [
            Hit(rule, command)
            for command in script.commands
            for rule, match in self._candidates(command)
            if _fits(match, command, script, places) and rule.covers(tool)
        ]

    def on_file(self, path: str, content: str, places: Places, tool: str = "Write") -> list[Hit]:
        """Return every rule that fits a file that is about to be written."""
        return [
            Hit(rule) for rule, match in self._files if _fits_file(match, path, content, places) and rule.covers(tool)
        ]


def builtin() -> RuleSet:
    """Return the rules that come with the guard."""
    return RuleSet(
        read(resources.files("claudebench.hooks").joinpath("rulesets", "builtin.toml").read_text(), "builtin.toml")
    )


def read(text: str, file: str) -> list[Rule]:
    """Return the rules of one TOML text; a SettingsError names the file, the rule and the key that is wrong."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file}: {error}") from error
    _known_keys(table, ("rule",), file)
    raw = table.get("rule", [])
    if not isinstance(raw, list) or len(raw) > RULES_MAX:
        raise SettingsError(f"{file}: `rule` must be a list of at most {RULES_MAX} tables: write [[rule]]")
    rules = [_rule(one, f"{file}: rule {_name(one, at)}") for at, one in enumerate(raw, 1)]
    _unique(rules, file)
    return rules


def _name(raw: object, at: int) -> str:
    return repr(raw["id"]) if isinstance(raw, dict) and "id" in raw else f"number {at}"


def _unique(rules: Iterable[Rule], file: str) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise SettingsError(f"{file}: rule {rule.id!r} stands there twice")
        seen.add(rule.id)


def _rule(raw: Any, where: str) -> Rule:
    if not isinstance(raw, dict):
        raise SettingsError(f"{where}: must be a table")
    _known_keys(raw, _fields(Rule), where)
    for part, struct in (("command", CommandMatch), ("file", FileMatch)):
        tables = raw.get(part, [])
        for table in tables if isinstance(tables, list) else []:
            if isinstance(table, dict):
                _known_keys(table, _fields(struct), f"{where}, {part}")
    try:
        rule = msgspec.convert(raw, Rule)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {error}{_hint(str(error), raw)}") from error
    _sound(rule, where)
    return rule


def _fields(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(struct))


def _known_keys(table: dict[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            like = nearest(key, known)
            raise SettingsError(f"{where}: unknown key {key!r}" + (f"; did you mean {like!r}?" if like else ""))


def _hint(message: str, raw: dict[str, Any]) -> str:
    """Return the nearest allowed value when the message quotes a wrong one."""
    quoted = re.search(r"enum value '([^']*)'", message)
    choices = [*PATH_CLASSES, *get_args(Severity), *get_args(RuleAction), *get_args(FailMode)]
    like = nearest(quoted[1], choices) if quoted else None
    missing = re.search(r"missing required field `(\w+)`", message)
    if missing:
        like = next((key for key in raw if nearest(key, [missing[1]])), None)
    return f"; did you mean {like!r}?" if like else ""


def _sound(rule: Rule, where: str) -> None:
    """Refuse a rule that could never fit, or that fits everything."""
    if not rule.command and not rule.file:
        raise SettingsError(f"{where}: needs a [[rule.command]] or a [[rule.file]]")
    if rule.action == "rewrite" and not all(match.wrapped for match in rule.command):
        raise SettingsError(f"{where}: 'rewrite' takes away what 'wrapped' names; every [[rule.command]] needs it")
    if rule.action == "rewrite" and rule.file:
        raise SettingsError(f"{where}: 'rewrite' is for commands, not for files")
    if CommandMatch() in rule.command or FileMatch() in rule.file:
        raise SettingsError(f"{where}: an empty table would fit everything")
    patterns = [match.operands for match in rule.command]
    patterns += [match.text for match in rule.command] + [match.text for match in rule.file]
    for pattern in filter(None, patterns):
        _compiles(pattern, where)


def _compiles(pattern: str, where: str) -> None:
    try:
        _regex(pattern)
    except re.error as error:
        raise SettingsError(f"{where}: {pattern!r} is no regular expression: {error}") from error


@functools.lru_cache(maxsize=RULES_MAX)
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


# -- does one table fit one command


class _Arguments(msgspec.Struct):
    """The words of a command behind its name, sorted into options and operands."""

    letters: set[str]
    options: set[str]
    operands: list[str]


def _arguments(words: Sequence[str], values: Sequence[str]) -> _Arguments:
    found = _Arguments(set(), set(), [])
    rest = iter(words[1:])
    for word in rest:
        if word == "--":
            found.operands += rest
        elif not word.startswith("-") or word == "-":
            found.operands.append(word)
        else:
            _option(word, found)
            if word in values:
                next(rest, None)
    return found


def _option(word: str, found: _Arguments) -> None:
    found.options.add(word.partition("=")[0])
    if not word.startswith("--"):
        found.letters.update(word[1:])


def _has(flag: str, found: _Arguments, *, abbreviated: bool) -> bool:
    if len(flag) == 2:  # noqa: PLR2004 - a dash and a letter
        return flag[1] in found.letters
    if flag in found.options:
        return True
    return abbreviated and flag.startswith("--") and any(len(o) > 4 and flag.startswith(o) for o in found.options)  # noqa: PLR2004


def _fits(match: CommandMatch, command: Command, script: Script, places: Places) -> bool:
    """Whether every condition of the table holds; the cheap ones are asked first."""
    return (
        (not match.recursive or command.recursive)
        and (not match.wrapped or not set(command.wrappers).isdisjoint(match.wrapped))
        and (not match.writes or _writes(match.writes, command, places))
        and (not match.output_of or _runs_output(match.output_of, command, script))
        and (not _asks_words(match) or _fits_words(match, command, places))
        and (not match.text or _holds_text(match.text, command))
        and (not match.carries or _carries(match, command, places))
        and (not match.reads or _gets(match.reads, command, script, places))
    )


def _asks_words(match: CommandMatch) -> bool:
    return bool(match.verb or match.flags or match.without or match.paths or match.operands)


def _fits_words(match: CommandMatch, command: Command, places: Places) -> bool:
    found = _arguments(command.words, match.values)
    operands = found.operands
    if match.verb:
        if not operands or operands[0] not in match.verb:
            return False
        operands = operands[1:]
    if not all(any(_has(one, found, abbreviated=True) for one in entry.split()) for entry in match.flags):
        return False
    if any(_has(one, found, abbreviated=False) for one in match.without):
        return False
    if match.operands_max is not None and len(operands) > match.operands_max:
        return False
    if match.operands and not any(_regex(match.operands).fullmatch(one) for one in operands):
        return False
    return not match.paths or _points(match, command, operands, places)


def _points(match: CommandMatch, command: Command, operands: Sequence[str], places: Places) -> bool:
    if match.prefix:
        operands = [word[len(match.prefix) :] for word in command.words[1:] if word.startswith(match.prefix)]
    if match.last:
        operands = operands[-1:]
    return any(not places.classes(word, command.directory).isdisjoint(match.paths) for word in operands)


def _writes(wanted: Classes, command: Command, places: Places) -> bool:
    return any(
        redirect.writes and not places.classes(redirect.target, command.directory).isdisjoint(wanted)
        for redirect in command.redirects
    )


def _runs_output(programs: Words, command: Command, script: Script) -> bool:
    start, end = command.code_from
    return any(one.program in programs for one in script.commands[start:end])


def _holds_text(pattern: str, command: Command) -> bool:
    expression = _regex(pattern)
    return bool(expression.search(" ".join(command.words)) or (command.stdin and expression.search(command.stdin)))


def _carries(match: CommandMatch, command: Command, places: Places) -> bool:
    named = _names_path(match.carries, command, match.values, places)
    inputs = [r.target for r in command.redirects if not r.writes]
    return named or any(not places.classes(one, command.directory).isdisjoint(match.carries) for one in inputs)


def _gets(wanted: Classes, command: Command, script: Script, places: Places) -> bool:
    sources = (*script.commands[slice(*command.upstream)], *script.commands[slice(*command.inner)])
    return any(_names_path(wanted, one, (), places) for one in sources)


def _names_path(wanted: Classes, command: Command, values: Words, places: Places) -> bool:
    skip = False
    for word in command.words[1:]:
        if skip or word in values:
            skip = not skip
            continue
        path = re.split(r"[@=]", word)[-1]
        if ("/" in path or "." in path or "id_" in path) and not places.classes(path, command.directory).isdisjoint(
            wanted
        ):
            return True
    return any(not places.classes(r.target, command.directory).isdisjoint(wanted) for r in command.redirects)


def _fits_file(match: FileMatch, path: str, content: str, places: Places) -> bool:
    if match.paths and places.classes(path).isdisjoint(match.paths):
        return False
    if match.like and not any(fnmatchcase(places.absolute(path), one) for one in match.like):
        return False
    return not match.text or _regex(match.text).search(content) is not None
