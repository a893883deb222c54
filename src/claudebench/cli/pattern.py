"""`claudebench pattern`: which strategy is in force at each seam, and switching it while everything goes on."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Annotated, Any

import typer

from claudebench.cli import show
from claudebench.cli.noun import verbs
from claudebench.cli.options import DEFAULT_URL, IdempotencyKey, Json, TokenFile, Url, Workspace, example
from claudebench.cli.verb import Pages, Verb, declare
from claudebench.errors import ClaudeBenchError

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.cli.client import Client

MODEL = "claudebench.system.model"
ASK = ("sessionId", "instanceId", "timestamp", "metadata")
ROLLED_BACK = 1
UNDONE_WITHIN_S, LOOK_EVERY_S = 90, 0.2
STRATEGIES = ("centralized", "distributed", "hybrid")
app = verbs()

declare(
    app,
    Verb(
        name="show",
        command="pattern.show",
        request=f"{MODEL}:PatternShow",
        about="Show the strategy of each seam, how far a switch is, and what each server process does.",
        example="claudebench pattern show",
        hidden=ASK,
        changes=False,
        show=show.seams,
    ),
    Verb(
        name="history",
        command="pattern.history",
        request=f"{MODEL}:PatternHistory",
        about="List the steps of all switches, oldest first.",
        example="claudebench pattern history --seam events",
        hidden=ASK,
        changes=False,
        pages=Pages(items="steps", ask="after", next="nextAfter"),
        show=show.switch_steps,
    ),
)


def _strategies(incomplete: str) -> list[str]:
    return [each for each in STRATEGIES if each.startswith(incomplete)]


@app.command(epilog=example("claudebench pattern switch events distributed"))
def switch(
    seam: Annotated[str, typer.Argument(metavar="SEAM", help="The seam, such as events.")],
    to: Annotated[
        str,
        typer.Argument(metavar=f"{'|'.join(STRATEGIES)}|A|B|C", help="The strategy.", autocompletion=_strategies),
    ],
    timeout_ms: Annotated[
        int,
        typer.Option(min=100, max=600_000, help="After how long it is given up and rolled back, in milliseconds."),
    ] = 60_000,
    idempotency_key: IdempotencyKey = None,
    url: Url = DEFAULT_URL,
    workspace: Workspace = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Put another strategy in force, live; it is the operator's. Exit 1 if it was rolled back."""
    from claudebench.cli.client import connect

    client = connect(url, workspace, token_file, timeout_s=timeout_ms / 1000 + UNDONE_WITHIN_S)
    about = {} if idempotency_key is None else {"idempotencyKey": idempotency_key}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.call, "pattern.switch", about, seam=seam, to=to, timeoutMs=timeout_ms)
        if sys.stderr.isatty():
            _tell(connect(url, workspace, token_file), seam, lambda: wait((asked,), LOOK_EVERY_S).done)
        ended = asked.result()
    show.as_json(ended) if json else show.record(ended)
    if ended["outcome"] != "completed":
        raise typer.Exit(ROLLED_BACK)


def _tell(client: Client, seam: str, is_over: Any) -> None:
    """Say how far a switch is whenever it has come further, until it is over."""
    told = ""
    while not is_over():
        try:
            (view,) = client.call("pattern.show", seam=seam)["seams"]
        except ClaudeBenchError:
            return
        if (now := show.progress_of(view)) != told:
            told = now
            show.note(told)


def show_patterns(url: str, workspace: str | None, token_file: Path | None, *, json: bool) -> None:
    """Print the shares of the commands by their labels, beside the assessment's."""
    from claudebench.cli.client import connect

    answer = connect(url, workspace, token_file).call("pattern.shares")
    show.as_json(answer) if json else show.shares(answer)
