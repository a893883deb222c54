"""`claudebench command`: any command of the server, also those that have no verb here."""

from __future__ import annotations

import json as jsonlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from claudebench.cli import show
from claudebench.cli.noun import verbs
from claudebench.cli.options import DEFAULT_URL, IdempotencyKey, Json, TokenFile, Url, Workspace, example
from claudebench.cli.words import MEMBERS, object_of
from claudebench.errors import ClaudeBenchError, UnknownCommand, nearest

if TYPE_CHECKING:
    from claudebench.cli.client import Client

STANDARD_INPUT = "-"
app = verbs()


@app.command("list", epilog=example("claudebench command list"))
def list_(
    url: Url = DEFAULT_URL, workspace: Workspace = None, token_file: TokenFile = None, json: Json = False
) -> None:
    """List the commands of the server; with --json each as OpenRPC describes it."""
    from claudebench.cli.client import connect

    methods = _methods(connect(url, workspace, token_file))
    if json:
        show.as_json(list(methods.values()))
        return
    show.table(("command", "pattern", "consistency", "changes", "what it does"), map(_row, methods.values()))


def _row(method: dict[str, Any]) -> tuple[Any, ...]:
    labels = method["x-claudebench"]
    changes = "operator" if labels["operator"] else "yes" if labels["changes"] else ""
    return method["name"], labels["pattern"], labels["consistency"], changes, method["summary"]


@app.command(epilog=example("claudebench command call task.update id=t-1 updates.priority=80"))
def call(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The command, such as task.create.")],
    params: Annotated[
        list[str] | None,
        typer.Argument(
            metavar=f"[{MEMBERS}...]",
            help="Its parameters: one JSON object, - for one on standard input, or key=value words, where dots in a "
            "key lead into objects.",
        ),
    ] = None,
    idempotency_key: IdempotencyKey = None,
    url: Url = DEFAULT_URL,
    workspace: Workspace = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Call a command and print its result, as JSON on many lines, or on one with --json."""
    from claudebench.cli.client import connect

    client = connect(url, workspace, token_file)
    methods = _methods(client)
    if name not in methods:
        raise UnknownCommand(f"there is no command {name!r}", nearest=nearest(name, methods))
    words = [sys.stdin.read()] if params == [STANDARD_INPUT] else params or ()
    texts = {each["name"] for each in methods[name]["params"] if _is_text(each["schema"])}
    given = object_of(words, nests=True, is_text=texts.__contains__)
    result = _result(client, methods[name], given, idempotency_key)
    show.as_json(result) if json else print(jsonlib.dumps(result, indent=2, ensure_ascii=False))


def _result(client: Client, method: dict[str, Any], given: dict[str, Any], key: str | None) -> Any:
    try:
        return client.call(method["name"], {} if key is None else {"idempotencyKey": key}, **given)
    except ClaudeBenchError as error:
        if not method["x-claudebench"]["changes"]:
            error.outcome = "not_done"
        raise


def _methods(client: Client) -> dict[str, dict[str, Any]]:
    return {method["name"]: method for method in client.call("rpc.discover")["methods"]}


def _is_text(schema: dict[str, Any]) -> bool:
    """Tell whether a parameter takes text and nothing else, null aside."""
    kinds = {each.get("type") for each in schema.get("anyOf", (schema,))} - {"null"}
    return kinds == {"string"}
