"""A file of rules: TOML, checked when it is read. What is wrong is named by file, rule and key.

[[rule]]      one rule (rules.py says what it may hold)
[[override]]  another action for a rule of an outer file, "off" included
[[hook]]      a registered hook, by name, switched on or off
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from claudebench.errors import SettingsError, nearest
from claudebench.hooks import expressions
from claudebench.hooks.matching import CallMatch, CommandMatch, FileMatch
from claudebench.hooks.model import FailMode, Severity
from claudebench.hooks.paths import PATH_CLASSES
from claudebench.hooks.rules import Rule, RuleAction

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE_BYTES_MAX = 1 << 20
ENTRIES_MAX = 10_000
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
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"{file}: {error}") from error
    _known_keys(table, ("rule", "override", "hook"), file)
    return RuleFile(
        tuple(_rule(raw, where) for raw, where in _entries(table, "rule", "id", file)),
        tuple(_converted(raw, Override, where) for raw, where in _entries(table, "override", "id", file)),
        tuple(_converted(raw, Switch, where) for raw, where in _entries(table, "hook", "name", file)),
    )


def _entries(table: dict[str, Any], kind: str, key: str, file: str) -> list[tuple[dict[str, Any], str]]:
    """Return the tables of a kind, each with how an error calls it."""
    raw = table.get(kind, [])
    if not isinstance(raw, list) or len(raw) > ENTRIES_MAX:
        raise SettingsError(f"{file}: `{kind}` must be a list of at most {ENTRIES_MAX} tables: write [[{kind}]]")
    seen: set[str] = set()
    found = []
    for at, one in enumerate(raw, 1):
        name = repr(one[key]) if isinstance(one, dict) and key in one else f"number {at}"
        where = f"{file}: {kind} {name}"
        if not isinstance(one, dict):
            raise SettingsError(f"{where}: must be a table")
        if name in seen:
            raise SettingsError(f"{where} stands there twice")
        seen.add(name)
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
    patterns = [match.operands for match in rule.command] + [match.text for match in rule.command]
    patterns += [match.text for match in rule.file] + [match.text for match in rule.call]
    for pattern in filter(None, patterns):
        _compiles(pattern, where)


def _compiles(pattern: str, where: str) -> None:
    try:
        expressions.check(pattern)
    except ValueError as error:
        raise SettingsError(f"{where}: {pattern!r} is no regular expression (RE2 syntax): {error}") from None
