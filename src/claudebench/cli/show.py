"""What was answered, for a person: tables on a terminal, tab-separated lines in a pipe."""

from __future__ import annotations

import json as jsonlib
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

NAME_WIDTH = 16


def as_json(answer: Any) -> None:
    """Print one JSON document on one line."""
    print(jsonlib.dumps(answer), flush=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, fold: int = 1) -> None:
    """Print a table; on a terminal its last column is cut to fit, or the last `fold` ones are folded."""
    texts = [[cell(each) for each in row] for row in rows]
    if not sys.stdout.isatty():
        lines([columns, *texts])
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(columns, fold - len(columns)):
        drawn.add_column(name, no_wrap=at < 0, overflow="fold")
    for *first, last in texts:
        drawn.add_row(*first, last if fold > 1 else Text(last, no_wrap=True, overflow="ellipsis"))
    Console(markup=False, highlight=False, emoji=False).print(drawn)


def lines(rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as lines, cells separated by tabs."""
    for row in rows:
        print("\t".join(cell(each) for each in row), flush=True)


def record(answer: dict[str, Any]) -> None:
    """Print one thing, a line for each field that says something."""
    for name, value in answer.items():
        if value is not None and value not in ({}, []):
            shown = cell(value)
            print(f"{name:<{NAME_WIDTH}} {shown}" if sys.stdout.isatty() else f"{name}\t{shown}")


def cell(value: Any) -> str:
    """Return a value as text that is safe on a terminal and stays on one line."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        value = ", ".join(value)
    text = value if isinstance(value, str) else jsonlib.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def note(text: str) -> None:
    """Say something beside the answer."""
    print(text, file=sys.stderr)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how far something has come, where a person looks on; the block reports (done, total)."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bar = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(bar, completed=done, total=total)


# -- what the server answers


def tasks(answer: dict[str, Any]) -> None:
    """Print a page of tasks."""
    table(("id", "status", "priority", "assigned to", "attempts", "text"), map(_task, answer["tasks"]))
    if answer.get("hasMore"):
        least = "" if answer["totalCountExact"] else "at least "
        note(f"{len(answer['tasks'])} of {least}{answer['totalCount']}; for the rest: --all, or {_next(answer)}")


def _next(answer: dict[str, Any]) -> str:
    return f"--cursor {answer['nextCursor']}"


def _task(task: dict[str, Any]) -> tuple[Any, ...]:
    attempts = f"{task['attempts']}/{task['maxAttempts']}"
    return task["id"], task["status"], task["priority"], task.get("assignedTo"), attempts, task["text"]


def claimed(answer: dict[str, Any]) -> None:
    """Print the tasks that a claim got, and their epochs."""
    if not answer["claimed"]:
        note("nothing is free for this worker now")
        return
    rows = ((task["id"], task["epoch"], task["priority"], task["text"]) for task in answer["tasks"])
    table(("id", "epoch", "priority", "text"), rows)


def instances(answer: dict[str, Any]) -> None:
    """Print the instances."""
    table(("id", "state", "holds", "capacity", "incarnation", "roles"), map(_instance, answer["instances"]))


def _instance(instance: dict[str, Any]) -> tuple[Any, ...]:
    given = instance["registration"]
    counts = (instance["held"], given["capacity"], instance["incarnation"])
    return instance["id"], instance["state"], *counts, given["roles"]


EVENT_COLUMNS = ("position", "time", "type", "subject", "actor", "payload")


def events(answer: dict[str, Any]) -> None:
    """Print a page of the log."""
    if trimmed := answer.get("trimmed"):
        note(f"the log was trimmed: what is up to {trimmed} is gone")
    if lost := answer.get("lost"):
        note(f"the store lost the event that you named; what it has left before it ends with {lost}")
    table(EVENT_COLUMNS, map(event, answer["events"]))
    if answer["hasMore"]:
        note(f"more may follow: --all, or --after {answer['nextAfter']}")


DEAD_COLUMNS = ("group", "id", "died", "type", "subject", "tries", "error")


def dead_events(answer: dict[str, Any]) -> None:
    """Print what subscribers gave up on."""
    table(DEAD_COLUMNS, map(_dead_event, answer["letters"]))
    if answer["hasMore"]:
        note(f"more may follow: --all, or --after {answer['nextAfter']!r}")


def _dead_event(each: dict[str, Any]) -> tuple[Any, ...]:
    event_ = each["event"]
    return each["group"], each["id"], each["diedAt"], event_["type"], event_["subject"], each["tries"], each["error"]


LAG_COLUMNS = ("group", "partition", "position", "holder", "fence", "behind", "oldest ms", "gap")


def lags(answer: dict[str, Any]) -> None:
    """Print how far groups are, partition by partition."""
    table(LAG_COLUMNS, (_lag(group, each) for group in answer["groups"] for each in group["partitions"]))
    for group in answer["groups"]:
        if group["dead"] or group["retrying"]:
            note(f"{group['group']}: {group['dead']} dead letters, {group['retrying']} to be delivered once more")
        if any("gap" in each for each in group["partitions"]):
            note(
                f"{group['group']}: events went before it had read them; once you have made up for that: "
                f"claudebench event group acknowledge {group['group']}"
            )
    note(f"the log ends at {answer['last'] or 'its beginning'}" + _cut(answer["trimmed"]))


def _cut(trimmed: str) -> str:
    return f" and was trimmed up to {trimmed}" if trimmed else ""


def _lag(group: dict[str, Any], each: dict[str, Any]) -> tuple[Any, ...]:
    behind = f"{'' if group['behindExact'] else 'at least '}{each['behind']}"
    counts = (each["fence"], behind, each["behindMs"])
    return group["group"], each["partition"], each["position"], each.get("holder"), *counts, each.get("gap")


def event(told: dict[str, Any]) -> tuple[Any, ...]:
    """Return the cells of an event."""
    return told["id"], told["time"], told["type"], told["subject"], told.get("actor"), told["payload"]


SEAM_COLUMNS = ("seam", "strategy", "epoch", "phase", "process", "does", "at epoch", "counts until", "error")
STOPPED_IN = frozenset({"draining", "undoing"})


def seams(answer: dict[str, Any]) -> None:
    """Print the seams, a line for each server process."""
    table(SEAM_COLUMNS, (row for seam in answer["seams"] for row in _seam(seam)))
    for seam in answer["seams"]:
        if "target" in seam:
            note(progress_of(seam))
        elif "reason" in seam:
            note(f"{seam['seam']}: the last switch was rolled back: {cell(seam['reason'])}")


def _seam(seam: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    head = seam["seam"], seam["strategy"], seam["epoch"], seam["phase"]
    for each in seam["members"]:
        yield *head, each["process"], each["state"], each["epoch"], each["until"], each.get("error")
    if not seam["members"]:
        yield *head, *[None] * (len(SEAM_COLUMNS) - len(head))


def progress_of(seam: dict[str, Any]) -> str:
    """Return how far a switch at a seam is, in a line."""
    members, phase = seam["members"], seam["phase"]
    if "target" not in seam:
        return f"{seam['seam']}: {seam['strategy']} is in force at {len(members)} processes"
    state = "stopped" if phase in STOPPED_IN else "running"
    there = sum((each["state"], each["epoch"]) == (state, seam["epoch"]) for each in members)
    way = f"{seam.get('former', seam['strategy'])} -> {seam['target']}"
    led = f", led by {seam['leader']}" if "leader" in seam else ", led by nobody now"
    return cell(f"{seam['seam']}: {way}: {phase}, {there} of {len(members)} processes {state}{led}")


STEP_COLUMNS = ("position", "time", "seam", "step", "from", "to", "epoch", "by", "reason")


def switch_steps(answer: dict[str, Any]) -> None:
    """Print the steps of switches."""
    if trimmed := answer.get("trimmed"):
        note(f"the log was trimmed: what is up to {trimmed} is gone")
    rows = (
        [each.get(name) for name in ("id", "time", "seam", "step", "from", "to", "epoch")] for each in answer["steps"]
    )
    by = ((each.get("actor") or each.get("role"), each.get("reason")) for each in answer["steps"])
    table(STEP_COLUMNS, ((*row, *more) for row, more in zip(rows, by, strict=True)))
    if answer["hasMore"]:
        note(f"more may follow: --all, or --after {answer['nextAfter']}")


BAR_WIDTH = 25
SHARE_COLUMNS = ("commands", "share", "the assessment")


def shares(answer: dict[str, Any]) -> None:
    """Print what share of the commands each label has; bars where a person looks on."""
    for label, rows in answer.items():
        bars = sys.stdout.isatty()
        columns = (label, *SHARE_COLUMNS, *(("ours above, the assessment's below",) if bars else ()))
        table(columns, (line for each in rows for line in _share(each, bars=bars)))


def _share(each: dict[str, Any], *, bars: bool) -> Iterator[tuple[Any, ...]]:
    claimed, name = each.get("claimed"), each.get("claimedAs")
    said = "" if claimed is None else f"{claimed:.0%} {name}" if name else f"{claimed:.0%}"
    label = f"{each['letter']} {each['label']}" if "letter" in each else each["label"]
    row = label, each["commands"], f"{each['share']:.0%}", said
    if not bars:
        yield row
        return
    yield *row, "\u2588" * round(each["share"] * BAR_WIDTH)
    if claimed is not None:
        yield "", "", "", "", "\u2591" * round(claimed * BAR_WIDTH)


def webhooks(answer: dict[str, Any]) -> None:
    """Print the webhooks."""
    table(("id", "state", "events", "retries", "url", "description"), map(_webhook, answer["webhooks"]))


def _webhook(each: dict[str, Any]) -> tuple[Any, ...]:
    return each["id"], each["state"], each["events"], each["retries"], each["url"], each["description"]
