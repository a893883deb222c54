"""The guard's rules as tables, one of them in full, and a file of them checked."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table

from claudebench.errors import NotFound, nearest
from claudebench.hooks.rulebook import Ground, Layer, Rulebook, builtin, compose, text_of
from claudebench.hooks.rulefile import read
from claudebench.hooks.signature import Signature
from claudebench.settings import load

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.hooks.rules import Rule

TABLES = ("command", "file", "call")


def in_force(cwd: Path) -> Ground:
    """Return the rules that count for calls from a folder, as a server with the same settings would find them."""
    settings = load()
    return Rulebook(settings.rules, Signature(settings.data_dir)).look(str(cwd.absolute()))


def _files(found: Ground) -> list[dict[str, Any]]:
    """Return the files in force and what they say, the user's also when it is not there."""
    told = [
        {
            "path": layer.path,
            "there": True,
            "rules": len(layer.file.rules),
            "overrides": len(layer.file.overrides),
            "loosens": layer.loosens,
            "trouble": layer.trouble or None,
        }
        for layer in found.layers
    ]
    user = str(load().rules)
    if user not in [layer.path for layer in found.layers]:
        told.insert(0, {"path": user, "there": False})
    return told


def show_all(cwd: Path, *, json: bool) -> None:
    """Print every rule in force in a folder, and where it comes from."""
    ground = in_force(cwd)
    found, files = ground.rules, _files(ground)
    if json:
        told = [{**_head(rule), "reason": rule.reason} for rule in found.rules]
        print(
            jsonlib.dumps({"version": found.version, "trouble": found.trouble or None, "files": files, "rules": told})
        )
        return
    table = Table(title=f"{len(found.rules)} rules, version {found.version}")
    for column in ("id", "severity", "tools", "action", "from", "reason"):
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for rule in found.rules:
        head = _head(rule)
        table.add_row(rule.id, rule.severity, ", ".join(head["tools"]), rule.action, head["from"], rule.reason)
    Console(markup=False).print(table)
    for file in files:
        print(f"{file['path']}: {_said(file)}")
    if found.trouble:
        print(f"every call asks, since a file cannot be used: {found.trouble}")


def show_one(rule_id: str, cwd: Path, *, json: bool) -> None:
    """Print one rule with all its tables."""
    known = {rule.id: rule for rule in in_force(cwd).rules.rules}
    if rule_id not in known:
        like = nearest(rule_id, known)
        raise NotFound(f"there is no rule {rule_id!r}" + (f"; did you mean {like!r}?" if like else ""))
    rule = known[rule_id]
    told = {**_head(rule), "reason": rule.reason, "failMode": rule.fail_mode} | {
        name: [_given(table) for table in getattr(rule, name)] for name in TABLES
    }
    if json:
        print(jsonlib.dumps(told))
        return
    for name in ("id", "severity", "action", "reason"):
        print(f"{name:<9} {told[name]}")
    print(f"{'tools':<9} {', '.join(told['tools'])}")
    print(f"{'from':<9} {told['from']}")
    for kind in TABLES:
        for table in told[kind]:
            print(f"{kind:<9} {'; '.join(f'{key} = {jsonlib.dumps(value)}' for key, value in table.items())}")


def check(file: Path, *, json: bool) -> None:
    """Read a file of rules; a SettingsError says what is wrong."""
    layer = Layer(str(file), read(text_of(file), str(file)), loosens=True)
    version, rules = compose([layer]).version, len(layer.file.rules)
    if json:
        print(jsonlib.dumps({"file": str(file), "ok": True, "rules": rules, "version": version}))
        return
    print(f"{file}: ok, {rules} rule{'' if rules == 1 else 's'}; over the built-in ones: version {version}")


def sign(file: Path, data_dir: Path | None) -> None:
    """Let a repository's file loosen rules, as it stands now."""
    text = text_of(file)
    read(text, str(file))
    Signature(load(data_dir=data_dir).data_dir).sign(str(file), text)
    print(f"{file}: signed as it stands; any change of it needs a new signature")


def _said(file: dict[str, Any]) -> str:
    if not file["there"]:
        return "is not there, so there are no rules of yours"
    may = "may loosen" if file["loosens"] else "may only tighten"
    return str(file["trouble"] or f"rules: {file['rules']}, overrides: {file['overrides']}; {may}")


def _head(rule: Rule) -> dict[str, Any]:
    kinds = zip(("any shell", "any writer", "any other"), (rule.command, rule.file, rule.call), strict=True)
    tools = list(rule.tools) or [kind for kind, given in kinds if given]
    return {"id": rule.id, "severity": rule.severity, "tools": tools, "action": rule.action, "from": _origin(rule)}


def _origin(rule: Rule) -> str:
    shipped = next((each for each in builtin().rules if each.id == rule.id), None)
    return "a file" if shipped is None else "built-in" if shipped == rule else "built-in, overridden"


def _given(table: msgspec.Struct) -> dict[str, Any]:
    """Return what a table of a rule asks for, without what it leaves open."""
    empty = type(table)()
    raw: dict[str, Any] = msgspec.to_builtins(table)
    return {name: value for name, value in raw.items() if getattr(table, name) != getattr(empty, name)}
