"""The guard's rules as tables, one of them in full, and a file of them checked."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table

from claudebench.errors import NotFound, SettingsError, nearest
from claudebench.hooks.rules import RuleSet, builtin, read

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.hooks.rules import Rule


def show_all(*, json: bool) -> None:
    """Print every rule, the built-in ones for now."""
    found = builtin()
    if json:
        told = [{**_head(rule), "reason": rule.reason} for rule in found.rules]
        print(jsonlib.dumps({"version": found.version, "rules": told}))
        return
    table = Table(title=f"{len(found.rules)} rules, version {found.version}")
    for column in ("id", "severity", "tools", "action", "reason"):
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for rule in found.rules:
        head = _head(rule)
        table.add_row(rule.id, rule.severity, ", ".join(head["tools"]), rule.action, rule.reason)
    Console(markup=False).print(table)


def show_one(rule_id: str, *, json: bool) -> None:
    """Print one rule with all its tables."""
    known = {rule.id: rule for rule in builtin().rules}
    if rule_id not in known:
        like = nearest(rule_id, known)
        raise NotFound(f"there is no rule {rule_id!r}" + (f"; did you mean {like!r}?" if like else ""))
    rule = known[rule_id]
    told = {**_head(rule), "reason": rule.reason, "failMode": rule.fail_mode} | {
        name: [_given(table) for table in tables] for name, tables in (("command", rule.command), ("file", rule.file))
    }
    if json:
        print(jsonlib.dumps(told))
        return
    for name in ("id", "severity", "action", "reason"):
        print(f"{name:<9} {told[name]}")
    print(f"{'tools':<9} {', '.join(told['tools'])}")
    for kind in ("command", "file"):
        for table in told[kind]:
            print(f"{kind:<9} {'; '.join(f'{key} = {jsonlib.dumps(value)}' for key, value in table.items())}")


def check(file: Path, *, json: bool) -> None:
    """Read a file of rules; a SettingsError says what is wrong."""
    found = RuleSet(read(text_of(file), str(file)))
    if json:
        print(jsonlib.dumps({"file": str(file), "ok": True, "rules": len(found.rules), "version": found.version}))
        return
    print(f"{file}: ok, {len(found.rules)} rule{'' if len(found.rules) == 1 else 's'}, version {found.version}")


def text_of(file: Path) -> str:
    """Return the text of a file that a person named."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: is no UTF-8 text") from error


def _head(rule: Rule) -> dict[str, Any]:
    kinds = [f"any {kind}" for kind, given in (("shell", rule.command), ("writer", rule.file)) if given]
    tools = list(rule.tools) or kinds
    return {"id": rule.id, "severity": rule.severity, "tools": tools, "action": rule.action}


def _given(table: msgspec.Struct) -> dict[str, Any]:
    """Return what a table of a rule asks for, without what it leaves open."""
    empty = type(table)()
    raw: dict[str, Any] = msgspec.to_builtins(table)
    return {name: value for name, value in raw.items() if getattr(table, name) != getattr(empty, name)}
