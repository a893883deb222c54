"""`claudebench guard replay`: recorded calls judged again by another set of rules."""

from __future__ import annotations

import json as jsonlib
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from claudebench.errors import SettingsError
from claudebench.hooks.guard import Guard
from claudebench.hooks.normalised import recalled
from claudebench.hooks.rulebook import Layer, compose, text_of
from claudebench.hooks.rulefile import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from claudebench.cli.client import Client


PAGE = 1_000
SHOWN_MAX = 100
_SINCE = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Changed(msgspec.Struct, frozen=True):
    """A call that these rules decide otherwise than was recorded."""

    before: str
    after: str
    rule_id: str | None
    call: str
    time: str
    times: int = 1


def replay(client: Client, file: Path, since: str, *, json: bool) -> None:
    """Print what the built-in rules with those of `file` would have decided on the calls on record."""
    rules = compose([Layer(str(file), read(text_of(file), str(file)), loosens=True)])
    guard = Guard(rules)
    counts: Counter[tuple[str, str]] = Counter()
    changes: dict[tuple[str, str, str], Changed] = {}
    for event in _counted(_recorded(client, _start(since)), json=json):
        call = recalled(event["payload"])
        if call is None:
            continue
        before, decision = event["payload"]["decision"], guard.decide(call)
        counts[before, decision.decision] += 1
        if before != decision.decision:
            shown = jsonlib.dumps(call.params) if isinstance(call.params, dict) else str(call.params)
            key = (before, decision.decision, shown)
            times = changes[key].times + 1 if key in changes else 1
            changes[key] = Changed(before, decision.decision, decision.rule_id, shown, event["time"], times)
    _print(counts, list(changes.values()), rules.version, json=json)


def _start(since: str) -> str:
    """Return the position of a time so long ago, written as `7d`, `12h`, `30m`, `45s`."""
    found = _SINCE.fullmatch(since)
    if not found:
        raise SettingsError(f"--since {since[:40]!r} is no time span; write 7d, 12h, 30m or 45s")
    at = datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
    return f"{max(0, int(at.timestamp() * 1000))}-0"


def _recorded(client: Client, after: str) -> Iterator[dict[str, Any]]:
    more = True
    while more:
        page = client.call("event.list", after=after, types=["hook.decided"], limit=PAGE)
        yield from page["events"]
        after, more = page["nextAfter"], page["hasMore"]


def _counted(events: Iterator[dict[str, Any]], *, json: bool) -> Iterator[dict[str, Any]]:
    """Show a count while events are read, to a person only."""
    console = Console(stderr=True)
    if json or not console.is_terminal:
        yield from events
        return
    with Progress(SpinnerColumn(), TextColumn("{task.completed} calls judged"), console=console, transient=True) as bar:
        task = bar.add_task("judging", total=None)
        for event in events:
            yield event
            bar.advance(task)


def _print(counts: Counter[tuple[str, str]], changes: list[Changed], version: str, *, json: bool) -> None:
    judged = sum(counts.values())
    if json:
        told = [{"before": before, "after": after, "calls": calls} for (before, after), calls in counts.items()]
        changed = msgspec.to_builtins(changes)
        print(jsonlib.dumps({"judged": judged, "rulesVersion": version, "decisions": told, "changed": changed}))
        return
    for each in changes[:SHOWN_MAX]:
        by = f" by {each.rule_id}" if each.rule_id else ""
        times = f" ({each.times} times)" if each.times > 1 else ""
        print(f"{each.before} -> {each.after}{by}{times}: {each.call}")
    if len(changes) > SHOWN_MAX:
        print(f"... and {len(changes) - SHOWN_MAX} more; --json has them all")
    kept = sum(calls for (before, after), calls in counts.items() if before == after)
    print(f"{judged} recorded calls judged by rules {version}: {kept} as before, {judged - kept} otherwise")
