"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Url = Annotated[str, typer.Option("--url", envvar="CLAUDEBENCH_URL", help="Where the server answers.")]
DEFAULT_URL = "http://127.0.0.1:7420"
