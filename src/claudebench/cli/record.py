"""`claudebench record`: how the SQL copy of everything stands, whether it is what the store has, and making it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from claudebench.cli import show
from claudebench.cli.noun import verbs
from claudebench.cli.options import DEFAULT_URL, Json, TokenFile, Url, Workspace, example
from claudebench.cli.verb import Verb, declare

if TYPE_CHECKING:
    from claudebench.cli.client import Client

DIFFERS = 1
SHOWN_MAX = 1_000
COLUMNS = ("what", "id", "in the store", "in the record")
app = verbs()

declare(
    app,
    Verb(
        name="status",
        command="record.status",
        request="claudebench.system.model:Ask",
        about="Show how far the record has come, who writes it, and what is wrong with it.",
        example="claudebench record status",
        hidden=("sessionId", "instanceId", "timestamp", "metadata"),
        changes=False,
    ),
)


@app.command(epilog=example("claudebench record verify"))
def verify(
    url: Url = DEFAULT_URL, workspace: Workspace = None, token_file: TokenFile = None, json: Json = False
) -> None:
    """Compare the record with the store, row by row, while everything goes on; exit 1 if they differ."""
    from claudebench.cli.client import connect

    told = _walk(connect(url, workspace, token_file), "record.verify")
    show.as_json(told) if json else _show(told)
    if told["differences"]:
        raise typer.Exit(DIFFERS)


@app.command(epilog=example("claudebench record rebuild"))
def rebuild(
    url: Url = DEFAULT_URL, workspace: Workspace = None, token_file: TokenFile = None, json: Json = False
) -> None:
    """Make the record anew from the store, while everything goes on; what only the record has is left."""
    from claudebench.cli.client import connect

    told = _walk(connect(url, workspace, token_file), "record.rebuild")
    show.as_json(told) if json else show.record({"rebuilt": told["checked"]})


def _walk(client: Client, command: str) -> dict[str, Any]:
    """Go through every step of a command."""
    checked: dict[str, int] = {}
    found: list[Any] = []
    total = 0
    at: str | None = ""
    with show.progress("percent of each section") as tell:
        while at is not None:
            step = client.call(command, at=at)
            checked[step["section"]] = checked.get(step["section"], 0) + step["checked"]
            total += len(step["differences"])
            found += step["differences"][: SHOWN_MAX - len(found)]
            tell(round(step["share"] * 100), 100)
            at = step.get("next")
    return {"checked": checked, "total": total, "differences": found}


def _show(told: dict[str, Any]) -> None:
    show.record({"compared": told["checked"], "differences": told["total"]})
    if told["differences"]:
        show.table(COLUMNS, ((each["what"], each["id"], each["store"], each["record"]) for each in told["differences"]))
    if told["total"]:
        show.note("type: claudebench record rebuild")
