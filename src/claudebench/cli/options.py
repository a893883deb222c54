"""Options that several commands share, and the end of a help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NO_HELP_ASKED = {"default_map": {"help": False}}
"""Says `--help` was not given before typer asks; it would import pydantic, a tenth of a second, to find that out."""
UNWRAPPED = "\b\n"
DEFAULT_URL = "http://127.0.0.1:7420"

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Url = Annotated[str, typer.Option("--url", envvar="CLAUDEBENCH_URL", help="Where the server answers.")]
Workspace = Annotated[
    str | None,
    typer.Option(
        "--workspace",
        envvar="CLAUDEBENCH_WORKSPACE",
        metavar="NAME",
        show_default=False,
        help="Workspace that is meant [default: the server's].",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="CLAUDEBENCH_TOKEN_FILE",
        metavar="FILE",
        help="File that holds your token; the operator's is `token` in the data directory [default: what "
        "CLAUDEBENCH_TOKEN holds].",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key", metavar="KEY", help="Name this change, so that it is done once however often it is sent."
    ),
]


def example(line: str) -> str:
    """Return the end of a help text: a command line to copy, which is not to be wrapped."""
    return f"{UNWRAPPED}Example: {line}"
