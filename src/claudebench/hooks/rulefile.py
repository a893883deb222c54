"""A file of rules: TOML, checked when it is read. What is wrong is named by file, rule and key.

[[rule]]      one rule (rules.py says what it may hold)
[[override]]  another action for a rule of an outer file, "off" included
[[hook]]      a registered hook, by name, switched on or off
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from claudebench.errors import SettingsError, nearest
from claudebench.hooks import expressions, globs, toml
from claudebench.hooks.matching import CallMatch, CommandMatch, FileMatch
from claudebench.hooks.model import FailMode, Severity
from claudebench.hooks.paths import PATH_CLASSES
from claudebench.hooks.rules import Rule, RuleAction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FILE_BYTES_MAX = 256 * 1024
ENTRIES_MAX = 2_000
EXPRESSIONS_MAX = 500  # different ones in a file, globs that are no words and stars included
SIZES_MAX = 50_000  # of all of them together, as RE2 counts instructions
LIST_MAX = 256  # of one table; globs, which are cheap to ask, may be more
GLOBS = frozenset(["program", "gets", "assigns", "hosts", "except_hosts", "like", "unlike"])
QUOTED_MAX = 80
_TABLES = (("command", CommandMatch), ("file", FileMatch), ("call", CallMatch))


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another action for a rule that an outer file holds."""

    id: str  # of a rule of an outer file
    action: RuleAction | Literal["off"]  # what it does from now on
    why: str = ""  # for people


class Switch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A hook of somebody's own, by its name, in or out of the chain."""

    name: str  # of a hook that the server loaded
    enabled: bool  # false takes it out of the chain


class RuleFile(msgspec.Struct, frozen=True):
    """What one file says, its entries in their order."""

    rules: tuple[Rule, ...] = ()
    overrides: tuple[Override, ...] = ()
    hooks: tuple[Switch, ...] = ()


def read(text: str, file: str) -> RuleFile:
    """Return what one TOML text says.

    Raises:
        SettingsError: names the file, the entry and the key that is wrong, and the nearest right one.
    """
    try:
        table = toml.loads(text)
    except ValueError as error:
        raise SettingsError(f"{file}: {error}") from error
    _known_keys(table, ("rule", "override", "hook"), file)
    rules = tuple(_rule(raw, where) for raw, where in _entries(table, "rule", "id", file))
    _compile(rules, file)
    return RuleFile(
        rules,
        tuple(_converted(raw, Override, where) for raw, where in _entries(table, "override", "id", file)),
        tuple(_converted(raw, Switch, where) for raw, where in _entries(table, "hook", "name", file)),
    )


def expressions_of(rules: Iterable[Rule]) -> Iterator[str]:
    """Yield every regular expression that asking these rules may take."""
    for rule in rules:
        yield from _patterns(rule)
        yield from map(globs.expression, filter(globs.needs_expression, _globs(rule)))


def _entries(table: dict[str, Any], kind: str, key: str, file: str) -> list[tuple[dict[str, Any], str]]:
    """Return the tables of a kind, each with how an error calls it."""
    raw = table.get(kind, [])
    if not isinstance(raw, list) or len(raw) > ENTRIES_MAX:
        raise SettingsError(f"{file}: `{kind}` must be a list of at most {ENTRIES_MAX} tables: write [[{kind}]]")
    seen: set[str] = set()
    found = []
    for at, one in enumerate(raw, 1):
        named = isinstance(one, dict) and isinstance(one.get(key), str)
        name = repr(one[key][:QUOTED_MAX]) if named else f"number {at}"
        where = f"{file}: {kind} {name}"
        if not isinstance(one, dict):
            raise SettingsError(f"{where}: must be a table")
        if named and one[key] in seen:
            raise SettingsError(f"{where} stands there twice")
        seen.add(one[key] if named else name)
        found.append((one, where))
    return found


def _converted(raw: dict[str, Any], struct: Any, where: str) -> Any:
    _known_keys(raw, _fields(struct), where)
    try:
        return msgspec.convert(raw, struct)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {error}{_hint(str(error), raw)}") from error


def _rule(raw: dict[str, Any], where: str) -> Rule:
    for part, struct in _TABLES:
        tables = raw.get(part, [])
        for table in tables if isinstance(tables, list) else []:
            if isinstance(table, dict):
                _known_keys(table, _fields(struct), f"{where}, {part}")
    rule: Rule = _converted(raw, Rule, where)
    _sound(rule, where)
    return rule


@cache
def _fields(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(struct))


def _known_keys(table: dict[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            shown = key[:QUOTED_MAX]
            like = nearest(shown, known)
            raise SettingsError(f"{where}: unknown key {shown!r}" + (f"; did you mean {like!r}?" if like else ""))


def _hint(message: str, raw: dict[str, Any]) -> str:
    """Return the nearest allowed value when the message quotes a wrong one."""
    quoted = re.search(r"enum value '([^']*)'", message)
    choices = [*PATH_CLASSES, *get_args(Severity), *get_args(RuleAction), *get_args(FailMode), "off"]
    like = nearest(quoted[1], choices) if quoted else None
    missing = re.search(r"missing required field `(\w+)`", message)
    if missing:
        like = next((key for key in raw if nearest(key, [missing[1]])), None)
    return f"; did you mean {like!r}?" if like else ""


def _sound(rule: Rule, where: str) -> None:
    """Refuse a rule that could never fit, or that fits everything."""
    if rule.whole_tools and not rule.tools:
        raise SettingsError(f"{where}: needs a [[rule.command]], [[rule.file]] or [[rule.call]], or `tools`")
    if rule.action == "rewrite" and not (rule.command and all(match.wrapped for match in rule.command)):
        raise SettingsError(f"{where}: 'rewrite' takes away what 'wrapped' names; every [[rule.command]] needs it")
    if rule.action == "rewrite" and (rule.file or rule.call):
        raise SettingsError(f"{where}: 'rewrite' is for commands, not for files or calls")
    if CommandMatch() in rule.command or FileMatch() in rule.file or CallMatch() in rule.call:
        raise SettingsError(f"{where}: an empty table would fit everything")
    for table in (*rule.command, *rule.file, *rule.call):
        long = [name for name in _fields(type(table)) if name not in GLOBS and _length(getattr(table, name)) > LIST_MAX]
        if long:
            raise SettingsError(f"{where}: {long[0]!r} has more than {LIST_MAX} entries")
    if not all(verb.split() for match in rule.command for verb in match.verb):
        raise SettingsError(f"{where}: a verb needs a word")


def _length(value: object) -> int:
    return len(value) if isinstance(value, tuple) else 0


def _patterns(rule: Rule) -> Iterator[str]:
    for match in rule.command:
        yield from filter(None, (match.operands, match.text))
    yield from filter(None, [match.text for match in rule.file] + [match.text for match in rule.call])


def _globs(rule: Rule) -> Iterator[str]:
    yield from map(str.lower, rule.tools)
    for match in rule.command:
        yield from (*match.program, *match.gets, *match.assigns, *match.hosts, *match.except_hosts)
        yield from (part for verb in match.verb for part in verb.split())
    for file in rule.file:
        yield from (*file.like, *file.unlike)
    for call in rule.call:
        yield from call.hosts


def _compile(rules: Iterable[Rule], file: str) -> None:
    """Refuse expressions that are none, or that are more than a file may bring."""
    sizes: dict[str, int] = {}
    for rule in rules:
        for pattern in expressions_of((rule,)):
            if pattern not in sizes:
                sizes[pattern] = _compiles(pattern, f"{file}: rule {rule.id!r}")
            if len(sizes) > EXPRESSIONS_MAX or sum(sizes.values()) > SIZES_MAX:
                raise SettingsError(
                    f"{file}: more than {EXPRESSIONS_MAX} expressions and globs, or together larger than {SIZES_MAX} "
                    "instructions of RE2; write fewer or simpler ones"
                )


def _compiles(pattern: str, where: str) -> int:
    try:
        return expressions.check(pattern)
    except ValueError as error:
        shown = pattern if len(pattern) <= QUOTED_MAX else f"{pattern[:QUOTED_MAX]}..."
        raise SettingsError(f"{where}: {shown!r} is no regular expression (RE2 syntax): {error}") from None
