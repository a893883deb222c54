"""The record of a running server, asked whether it is what the store has, row by row."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from tests.scripts.fleet import snapshot

from claudebench.testing import eventually

if TYPE_CHECKING:
    from claudebench.testing import AsyncClient, Server
    from claudebench.testing.postgres import Postgres


OURS = "workspace = 'default'"


async def walk(client: AsyncClient, command: str) -> list[dict[str, Any]]:
    """Go through every step of a command and return what they came to."""
    steps = [await client.call(command)]
    while following := steps[-1].get("next"):
        steps.append(await client.call(command, at=following))
    return steps


async def differences(server: Server, workspace: str = "") -> list[dict[str, Any]]:
    """Return where the record differs from the store."""
    async with server.client(token=server.operator_token, workspace=workspace) as client:
        return [each for step in await walk(client, "record.verify") for each in step["differences"]]


async def rows(server: Server, statement: str, postgres: Postgres | None = None) -> list[tuple[Any, ...]]:
    """Return what a statement finds in the record, past the server."""
    if postgres:
        options = dict(zip(server.options, server.options[1:], strict=False))
        return await postgres.fetch(statement, url=options["--database-url"])
    with sqlite3.connect(server.data_dir / "record.db") as connection:
        return list(connection.execute(statement))


async def is_level(server: Server) -> bool:
    """Whether everything in the log is recorded."""
    async with server.client() as client:
        standing = await client.call("record.status")
    return bool(standing["position"] == standing["logEnd"])


async def check(server: Server, postgres: Postgres | None = None) -> None:
    """Wait until all is recorded; then it is there once, without a gap, and is what the ledger has.

    Raises:
        AssertionError: it is not; the message names some of it.
    """
    await eventually(lambda: is_level(server), within_s=60)
    assert await differences(server) == []
    log = (await snapshot(server)).events
    await eventually(lambda: is_level(server))
    kept = await rows(
        server, f"SELECT ms, seq, type, subject FROM events WHERE {OURS} AND NOT lost ORDER BY ms, seq", postgres
    )
    found = [(f"{ms}-{seq}", type_, subject) for ms, seq, type_, subject in kept]
    assert found[: len(log)] == [(each.position, each.type, each.subject) for each in log]
    history = await rows(server, f"SELECT ms, seq FROM task_history WHERE {OURS} ORDER BY ms, seq", postgres)
    assert history == [(ms, seq) for ms, seq, type_, _ in kept if type_.startswith("task.")]
    decided = await rows(server, f"SELECT ms, seq FROM hook_decisions WHERE {OURS} ORDER BY ms, seq", postgres)
    assert decided == [(ms, seq) for ms, seq, type_, _ in kept if type_ == "hook.decided"]
