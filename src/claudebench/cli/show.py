"""Tables of what a server tells about itself."""

from __future__ import annotations

import json as jsonlib

from rich.console import Console
from rich.table import Table

from claudebench.cli.client import Client


def show_scripts(url: str, *, json: bool) -> None:
    """Print every Lua script of the server."""
    scripts = Client(url).call("system.metrics")["scripts"]
    if json:
        print(jsonlib.dumps(scripts))
        return
    table = Table(title="Lua scripts, timed at the socket since the server started")
    for column in ("script", "succeeds", "hash"):
        table.add_column(column)
    for column in ("calls", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for each in scripts:
        times = [f"{each[name]:.2f}" if name in each else "" for name in ("p50Ms", "p99Ms")]
        table.add_row(each["script"], each.get("succeeds", ""), each["sha"][:12], str(each["calls"]), *times)
    Console().print(table)
