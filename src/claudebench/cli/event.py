"""`claudebench event`: what happened, and what happens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from claudebench.cli import show
from claudebench.cli.noun import noun, verbs
from claudebench.cli.options import DEFAULT_URL, TokenFile, Url, Workspace, example
from claudebench.cli.verb import Pages, Verb, declare
from claudebench.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudebench.cli.client import Client

MODEL = "claudebench.system.model"
ASK = ("sessionId", "instanceId", "timestamp", "metadata")
app = verbs()

declare(
    app,
    Verb(
        name="list",
        command="event.list",
        request=f"{MODEL}:EventList",
        about="List events, oldest first, from the beginning or behind a position.",
        example="claudebench event list --types 'task.*' --subject t-1",
        hidden=ASK,
        changes=False,
        pages=Pages(items="events", ask="after", next="nextAfter"),
        show=show.events,
    ),
    Verb(
        name="emit",
        command="event.emit",
        request=f"{MODEL}:Emit",
        about="Tell everybody who reads the log something of your own.",
        example="claudebench event emit x.build.done --subject build-7 --payload ok=true",
        arguments=("type",),
        hidden=tuple(name for name in ASK if name != "instanceId"),
    ),
    Verb(
        name="lag",
        command="event.lag",
        request=f"{MODEL}:EventLag",
        about="Show how far the groups that read the log are.",
        example="claudebench event lag",
        hidden=ASK,
        changes=False,
        show=show.lags,
    ),
)


dead = noun(
    "The events that subscribers gave up on; to retry or drop them is the operator's.",
    "claudebench event dead list --group notify",
)
app.add_typer(dead, name="dead")
MOVES = (
    ("retry", "Deliver them once more to the group that gave up on them."),
    ("drop", "Forget them; the events themselves stay in the log."),
)
declare(
    dead,
    Verb(
        name="list",
        command="event.dead.list",
        request=f"{MODEL}:DeadList",
        about="List them with what went wrong, group by group, those first that died first.",
        example="claudebench event dead list --group notify",
        hidden=ASK,
        changes=False,
        pages=Pages(items="letters", ask="after", next="nextAfter"),
        show=show.dead_events,
    ),
    *(
        Verb(
            name=name,
            command=f"event.dead.{name}",
            request=f"{MODEL}:DeadMove",
            about=about,
            example=f"claudebench event dead {name} --group notify --all",
            meanings={"id": "The event, such as 1796055045555-0"},
            hidden=ASK,
        )
        for name, about in MOVES
    ),
)

group = noun(
    "The groups that read the log; to end one, or its gaps, is the operator's.",
    "claudebench event group drop notify",
)
app.add_typer(group, name="group")
ENDS = (
    ("drop", "End a group that nobody serves, with its dead letters, so that the log is not kept for it."),
    ("acknowledge", "End the gaps of a group: you have made up for the events that it lost, or do without."),
)
declare(
    group,
    *(
        Verb(
            name=name,
            command=f"event.group.{name}",
            request=f"{MODEL}:OneGroup",
            about=about,
            example=f"claudebench event group {name} notify",
            arguments=("group",),
            hidden=ASK,
        )
        for name, about in ENDS
    ),
)


@app.command(epilog=example("claudebench event tail --types task.failed"))
def tail(
    after: Annotated[str | None, typer.Option(metavar="POSITION", help="Begin behind it [default: now].")] = None,
    types: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Only these events, such as task.* or task.failed.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many [default: never].")] = None,
    url: Url = DEFAULT_URL,
    workspace: Workspace = None,
    token_file: TokenFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as JSON, on a line of its own.")] = False,
) -> None:
    """Print events as they happen, until Ctrl-C."""
    from claudebench.cli.client import connect

    wanted = [part for each in types or () for part in each.split(",")]
    client = connect(url, workspace, token_file)
    try:
        for number, told in enumerate(_events(client, after, wanted), 1):
            show.as_json(told) if as_json else show.lines([show.event(told)])
            if number == count:
                return
    except KeyboardInterrupt:
        return


def _events(client: Client, after: str | None, types: list[str]) -> Iterator[dict[str, Any]]:
    """Yield events for ever; the position goes into the error when the server is gone."""
    from claudebench.events.position import BEGINNING

    position = BEGINNING if after == "" else after or ""
    while True:
        try:
            for block in client.follow(types, position):
                position = block.get("id", position)
                kind = block.get("event", "")
                if kind == "lagged":
                    break
                if kind == "gap":
                    show.note(f"events are missing: {_missing(block['data'])}")
                elif kind:
                    yield json.loads(block["data"])
        except Unavailable as error:
            error.outcome = "not_done"
            error.args = (f"{error.message}; go on with --after {position or BEGINNING}",)
            raise


def _missing(data: str) -> str:
    gap = json.loads(data)
    if trimmed := gap.get("trimmed"):
        return f"the log begins behind {trimmed}, and you asked for what is behind {gap['from']}"
    return f"the log ends at {gap['last']}, and you asked for what is behind {gap['from']}"
