"""`claudebench event`: what happened, and what happens."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Annotated, Any

import typer

from claudebench.cli import show
from claudebench.cli.noun import verbs
from claudebench.cli.options import DEFAULT_URL, TokenFile, Url, Workspace, example
from claudebench.cli.verb import PAGE, Pages, Verb, declare
from claudebench.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudebench.cli.client import Client

EVERY_S = 0.3

app = verbs()

declare(
    app,
    Verb(
        name="list",
        command="event.list",
        request="claudebench.system.model:EventList",
        about="List events, oldest first, from the beginning or behind a position.",
        example="claudebench event list --types task.completed,task.failed --all",
        hidden=("sessionId", "instanceId", "timestamp", "metadata"),
        changes=False,
        pages=Pages(items="events", ask="after", next="nextAfter"),
        show=show.events,
    ),
)


@app.command(epilog=example("claudebench event tail --types task.failed"))
def tail(
    after: Annotated[str | None, typer.Option(metavar="POSITION", help="Begin behind it [default: now].")] = None,
    types: Annotated[list[str] | None, typer.Option(metavar="A,B", help="Only these types of event.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many [default: never].")] = None,
    url: Url = DEFAULT_URL,
    workspace: Workspace = None,
    token_file: TokenFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print each event as JSON, on a line of its own.")] = False,
) -> None:
    """Print events as they happen, until Ctrl-C."""
    from claudebench.cli.client import connect

    wanted = [part for each in types or () for part in each.split(",")]
    client = connect(url, workspace, token_file)
    try:
        for number, told in enumerate(_events(client, after, wanted), 1):
            show.as_json(told) if json else show.lines([show.event(told)])
            if number == count:
                return
    except KeyboardInterrupt:
        return


def _events(client: Client, after: str | None, types: list[str]) -> Iterator[dict[str, Any]]:
    """Yield events for ever; the position goes into the error when the server is gone."""
    position = _now(client) if after is None else after
    while True:
        try:
            page = client.call("event.list", after=position, types=types, limit=PAGE)
        except Unavailable as error:
            error.args = (f"{error.message}; go on with --after {position or '0-0'}",)
            raise
        yield from page["events"]
        position = page["nextAfter"]
        if not page["hasMore"]:
            sleep(EVERY_S)


def _now(client: Client) -> str:
    newest = client.call("system.get_state")["recentEvents"][:1]
    return str(newest[0]["id"]) if newest else ""
