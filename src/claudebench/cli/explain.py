"""`claudebench guard explain`: an explanation of the guard as data, and as lines for a person. Secrets are masked."""

from __future__ import annotations

import json as jsonlib
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from claudebench.cli.rules import in_force
from claudebench.hooks.guard import Guard
from claudebench.hooks.masking import masked, masked_words
from claudebench.hooks.model import ToolCall
from claudebench.hooks.tools import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from claudebench.hooks.guard import Explanation, Reading
    from claudebench.hooks.shell import Command

UNKNOWN_SHOWN = "?"
STDIN_SHOWN_MAX = 120


def explain(line: str, *, cwd: Path, tool: str, json: bool) -> None:
    """Print what the guard reads in a line and what it decides."""
    rules, root, _ = in_force(cwd)
    call = ToolCall(tool, _params(line, kind_of(tool)), cwd=str(cwd.absolute()), root=root)
    told = as_data(Guard(rules).explain(call))
    if json:
        print(jsonlib.dumps({"tool": tool, "cwd": call.cwd, "rulesVersion": rules.version} | told))
        return
    print("\n".join(_lines(told)))


def _params(text: str, kind: str) -> object:
    """Return what a tool of this kind would be given; of other tools, JSON or a URL."""
    if kind != "other":
        return {"command" if kind == "shell" else "file_path": text}
    try:
        return jsonlib.loads(text)
    except ValueError:
        return {"url": text}


def as_data(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values; commands are counted from 1."""
    decision = explanation.decision
    return {
        "kind": explanation.kind,
        "readings": [_reading(each) for each in explanation.readings],
        "decision": {
            "decision": decision.decision,
            "ruleId": decision.rule_id,
            "severity": decision.severity,
            "reason": decision.reason,
            "warnings": list(decision.warnings),
            "modified": _modified(decision.modified),
        },
    }


def _modified(params: object) -> object:
    if not isinstance(params, dict):
        return params
    return {name: masked(value) if isinstance(value, str) else value for name, value in params.items()}


def _reading(reading: Reading) -> dict[str, Any]:
    script = reading.script
    commands = script.commands if script else ()
    numbers = {id(command): number for number, command in enumerate(commands, 1)}
    hits = [
        {
            "id": hit.rule.id,
            "severity": hit.rule.severity,
            "action": hit.rule.action,
            "command": numbers.get(id(hit.command)),
            "reason": hit.rule.reason,
        }
        for hit in reading.hits
    ]
    return {
        "text": _known(masked(reading.text)),
        "commands": [_command(command, number) for number, command in enumerate(commands, 1)],
        "unsure": [masked(each) for each in script.unsure] if script else [],
        "hits": hits,
    }


def _command(command: Command, number: int) -> dict[str, Any]:
    assigned = [f"{name}={value}" for name, value in command.assignments]
    return {
        "number": number,
        "program": _known(command.program),
        "words": [_known(word) for word in masked_words(command.words)],
        "assignments": [_known(word) for word in masked_words(("", *assigned))][1:],
        "wrappers": list(command.wrappers),
        "redirects": [f"{each.operator} {_known(masked(each.target))}" for each in command.redirects],
        "directory": _known(command.directory),
        "stdin": None if command.stdin is None else _known(masked(command.stdin)),
        "readsOutputOf": _numbers(command.upstream),
        "runsOutputOf": _numbers(command.code_from),
        "substitutes": _numbers(command.inner),
    }


def _numbers(span: tuple[int, int]) -> list[int]:
    return [at + 1 for at in range(*span)]


def _known(text: str) -> str:
    """Return the text with "?" for what nobody can know, and for what cannot be printed."""
    return "".join(char if char.isprintable() or char in "\n\t" else UNKNOWN_SHOWN for char in text)


# -- for a person


def _lines(told: dict[str, Any]) -> Iterator[str]:
    for before, reading in pairwise([None, *told["readings"]]):
        if before is not None:
            yield "read again:"
        yield from _reading_lines(reading)
    if not told["readings"]:
        yield "no command line and no path to read: judged by the tool's name and parameters"
    decision = told["decision"]
    rule = f" by {decision['ruleId']} ({decision['severity']})" if decision["ruleId"] else ""
    yield f"decision: {decision['decision']}{rule}"
    for name in ("reason", "modified"):
        if decision[name] is not None:
            yield f"  {name}: {decision[name]}"
    yield from (f"  warning: {warning}" for warning in decision["warnings"])


def _reading_lines(reading: dict[str, Any]) -> Iterator[str]:
    yield reading["text"]
    for command in reading["commands"]:
        yield f"  {command['number']}. {' '.join(map(_quoted, command['words'])) or '(no program)'}"
        yield from (f"       {each}" for each in _details(command))
    yield from (f"  unsure: {each}" for each in reading["unsure"])
    for hit in reading["hits"]:
        where = f", command {hit['command']}" if hit["command"] else ""
        yield f"  rule {hit['id']} ({hit['severity']}, {hit['action']}{where}): {hit['reason']}"
    if not reading["hits"]:
        yield "  no rule hit"


def _quoted(word: str) -> str:
    """Show where a word begins and ends, if it holds blanks or nothing."""
    return repr(word) if not word or re.search(r"\s", word) else word


def _details(command: dict[str, Any]) -> Iterator[str]:
    """Yield what stands around a command: where its input comes from, what it is wrapped in."""
    listed = (("wrappers", "behind"), ("assignments", "with"), ("redirects", "redirected"))
    for name, said in listed:
        if command[name]:
            yield f"{said} {', '.join(command[name])}"
    spans = (("readsOutputOf", "reads"), ("runsOutputOf", "runs as code"), ("substitutes", "holds"))
    for name, said in spans:
        if command[name]:
            yield f"{said} the output of {', '.join(map(str, command[name]))}"
    if command["directory"]:
        yield f"in {command['directory']}"
    if command["stdin"]:
        yield f"is given {command['stdin'][:STDIN_SHOWN_MAX]!r}"
