"""`claudebench instance`: who is there."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from claudebench.cli import show as showing
from claudebench.cli.noun import verbs
from claudebench.cli.options import DEFAULT_URL, Json, TokenFile, Url, Workspace, example
from claudebench.cli.verb import PAGE, Verb, declare
from claudebench.errors import NotFound, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudebench.cli.client import Client

FINISHED = ("completed", "failed")

app = verbs()

declare(
    app,
    Verb(
        name="list",
        command="instance.list",
        request="claudebench.instances.model:ListInstances",
        about="List who is there, and who went OFFLINE in the last day.",
        example="claudebench instance list",
        hidden=("sessionId", "timestamp", "metadata"),
        changes=False,
        show=showing.instances,
    ),
)


@app.command(epilog=example("claudebench instance show worker-1"))
def show(
    instance_id: Annotated[str, typer.Argument(metavar="ID", help="The instance's name.")],
    url: Url = DEFAULT_URL,
    workspace: Workspace = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Show one instance and the tasks in its hands."""
    from claudebench.cli.client import connect

    client = connect(url, workspace, token_file)
    known = {each["id"]: each for each in client.call("instance.list", limit=PAGE)["instances"]}
    if instance_id not in known:
        raise NotFound(
            f"there is no instance {instance_id!r}; see who is there: claudebench instance list",
            nearest=nearest(instance_id, known),
        )
    held = list(islice(_held(client, instance_id), known[instance_id]["held"]))
    if json:
        showing.as_json({**known[instance_id], "tasks": held})
        return
    showing.record({**known[instance_id], "tasks": [task["id"] for task in held]})


def _held(client: Client, instance_id: str) -> Iterator[dict[str, Any]]:
    """Yield the tasks that an instance has not finished, those moved last first."""
    asked: dict[str, Any] = {"assignedTo": instance_id, "orderBy": "updatedAt", "limit": PAGE}
    while True:
        page = client.call("task.list", **asked)
        yield from (task for task in page["tasks"] if task["status"] not in FINISHED)
        if not page["hasMore"]:
            return
        asked["cursor"] = page["nextCursor"]
