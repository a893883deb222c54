"""`claudebench audit`: who did what, and whether what is written of it is whole. Everything here is the operator's."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads it
from time import sleep
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from claudebench.cli import show
from claudebench.cli.noun import verbs
from claudebench.cli.options import DEFAULT_URL, Json, TokenFile, Url, Workspace, example
from claudebench.cli.verb import Verb, declare
from claudebench.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from claudebench.cli.client import Client

EVERY_S = 0.5
PAGE = 1000
STRETCH = 20_000
TAMPERED = 1
COLUMNS = ("row", "time", "action", "subject", "actor", "role", "outcome", "detail")
app = verbs()

declare(
    app,
    Verb(
        name="accept",
        command="audit.accept",
        request="claudebench.audit.model:Accept",
        about="Go on from the newest row and end the alarm; what was wrong at the head is named in the event.",
        example="claudebench audit accept --reason 'restored the table from the night before'",
    ),
)


@app.command(epilog=example("claudebench audit verify --file audit.jsonl --key audit.key"))
def verify(
    file: Annotated[Path | None, typer.Option(help="An exported audit, looked at without a server.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="The key file for --file: `audit.key` of the data directory.")
    ] = None,
    url: Url = DEFAULT_URL,
    workspace: Workspace = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> None:
    """Look whether the audit is whole; say which rows are not, and what was done to them; exit 1 if any."""
    if (file is None) != (key is None):
        raise SettingsError("--file and --key belong together: an export, and the key that signed it")
    if file and key:
        told = _verified_file(file.expanduser(), key.expanduser())
    else:
        from claudebench.cli.client import connect

        told = _verified(connect(url, workspace, token_file))
    show.as_json(told) if json else _show_verdict(told)
    if not told["intact"]:
        raise typer.Exit(TAMPERED)


def _verified(client: Client) -> dict[str, Any]:
    """Look at the chain stretch by stretch."""
    asked: dict[str, Any] = {"behind": 0, "mac": ""}
    rows, findings = 0, []
    with show.progress("rows") as tell:
        while True:
            seen = client.call("audit.verify", limit=STRETCH, **asked)
            rows += seen["rows"]
            findings += seen["findings"]
            tell(rows, seen["last"])
            if "next" not in seen:
                intact = all(each["kind"] == "unchecked" for each in findings)
                return {**seen, "intact": intact, "rows": rows, "findings": findings}
            asked = seen["next"]


def _verified_file(file: Path, key: Path) -> dict[str, Any]:
    import msgspec

    from claudebench.record.audit_key import read_keys
    from claudebench.record.carried import verify_file

    with show.progress("rows") as tell:
        chain = verify_file(file, read_keys(key), tell)
    findings = msgspec.to_builtins(chain.findings())
    intact = all(each["kind"] == "unchecked" for each in findings)
    head = {"head": msgspec.to_builtins(chain.head)} if chain.head else {}
    return {"intact": intact, "rows": chain.rows, "last": chain.last, "findings": findings, **head}


def _show_verdict(told: dict[str, Any]) -> None:
    unchecked = sum(each["to"] - each["seq"] + 1 for each in told["findings"] if each["kind"] == "unchecked")
    whole = f"yes, but for {unchecked} rows that nobody can check" if unchecked else "yes"
    show.record({"intact": whole if told["intact"] else "NO", "rows": told["rows"], "last": told["last"]})
    if "head" not in told:
        show.note("no head was there to hold the end of the chain against: rows cut off at the end would not be seen")
    if told["findings"]:
        rows = ((each["kind"], each["seq"], each["to"], each["message"]) for each in told["findings"])
        show.table(("found", "from row", "to row", "what is seen"), rows)


@app.command(epilog=example("claudebench audit tail --follow"))
def tail(
    count: Annotated[int, typer.Option(min=1, max=PAGE, help="How many of the newest rows.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with rows as they are written, until Ctrl-C.")
    ] = False,
    url: Url = DEFAULT_URL,
    workspace: Workspace = None,
    token_file: TokenFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print each row as JSON, on a line of its own.")] = False,
) -> None:
    """Print the newest rows of the audit."""
    from claudebench.cli.client import connect

    client = connect(url, workspace, token_file)
    found = client.call("audit.tail", limit=count)
    if not json:
        show.table(COLUMNS, map(_cells, found["rows"]))
    while True:
        if json:
            for row in found["rows"]:
                show.as_json(row)
        if not follow:
            return
        try:
            found = _more(client, found["nextBehind"])
        except KeyboardInterrupt:
            return
        if not json:
            show.lines(map(_cells, found["rows"]))


def _more(client: Client, after: int) -> dict[str, Any]:
    while not (found := client.call("audit.tail", behind=after, limit=PAGE))["rows"]:
        sleep(EVERY_S)
    return dict(found)


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    named = (row[name] for name in ("at", "action", "subject", "actor", "role", "outcome", "detail"))
    return (row["seq"], *named)


@app.command(epilog=example("claudebench audit export --out audit.jsonl"))
def export(
    out: Annotated[Path | None, typer.Option(help="File to write [default: standard output].")] = None,
    form: Annotated[
        Literal["jsonl", "csv"], typer.Option("--form", help="jsonl has the head with it, csv has not.")
    ] = "jsonl",
    url: Url = DEFAULT_URL,
    workspace: Workspace = None,
    token_file: TokenFile = None,
) -> None:
    """Write the whole audit with its chain, so that whoever has the key can verify it without a server."""
    import msgspec

    from claudebench.cli.client import connect
    from claudebench.record.audit import Row, Standing
    from claudebench.record.carried import Carrier

    client = connect(url, workspace, token_file)
    newest = client.call("audit.tail", limit=1)
    head, standing = newest.get("head"), msgspec.convert(newest, Standing)
    with _opened(out) as file, show.progress("rows") as tell:
        carrier = Carrier(file, form, newest["workspace"], standing)
        after, upto = 0, head["seq"] if head else None
        while upto is None or after < upto:
            found = client.call("audit.tail", behind=after, limit=PAGE)
            rows = [row for row in msgspec.convert(found["rows"], list[Row]) if upto is None or row.seq <= upto]
            carrier.write(rows)
            if not rows:
                return
            after = found["nextBehind"]
            tell(after, upto)


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    fd = os.open(out.expanduser(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8", newline="") as file:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.fchmod(fd, 0o600)
        yield file
