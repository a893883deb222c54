"""`claudebench scripts`: what a server tells about its Lua scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudebench.cli import show

if TYPE_CHECKING:
    from claudebench.cli.client import Client


def show_scripts(client: Client, *, json: bool) -> None:
    """Print every Lua script of the server, timed at the socket since it started."""
    scripts = client.call("system.metrics")["scripts"]
    if json:
        show.as_json(scripts)
        return
    columns = ("script", "succeeds", "hash", "calls", "p50 ms", "p99 ms")
    show.table(
        columns,
        (
            (
                each["script"],
                each.get("succeeds"),
                each["sha"][:12],
                each["calls"],
                each.get("p50Ms"),
                each.get("p99Ms"),
            )
            for each in scripts
        ),
    )
