"""An older store is brought up to this version; a newer one is refused."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from tests.scripts import invariants
from tests.scripts.fleet import store_of

from claudebench.store.format import FORMAT
from claudebench.testing import Server, serve

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.store.connection import Connection

STATUSES = ("pending", "in_progress", "completed", "failed")
HIGHEST = 46


async def age(connection: Connection, workspace: str) -> None:
    """Make a workspace what format 1 left: one order of the lists, own by rank, no bits, meta as it was."""
    prefix = f"cb:{{{workspace}}}:"
    created = [f"{prefix}ls:{status}:created" for status in STATUSES]
    await connection.command("ZUNIONSTORE", f"{prefix}ls:all:created", len(created), *created)
    for order in ("priority", "updated"):
        await connection.command("DEL", *(f"{prefix}ls:{status}:{order}" for status in STATUSES))
    await connection.command("DEL", f"{prefix}done", f"{prefix}finished")
    await connection.command("RENAME", f"{prefix}meta3", f"{prefix}meta")
    for n in await connection.command("ZRANGE", f"{prefix}own:w", 0, -1):
        await connection.command("ZADD", f"{prefix}own:w", 50 << HIGHEST | int(n), n)


async def fill(server: Server, workspace: str) -> None:
    """Leave tasks of every status in a workspace."""
    async with server.client(workspace=workspace) as client:
        await client.call("system.register", id="w", roles=[], capacity=100, deadAfterMs=600_000)
        for number in range(1_200):
            await client.call("task.create", text=f"task {number}", priority=number % 101)
        claimed = [(await client.call("task.claim", workerId="w"))["task"]["id"] for _ in range(30)]
        for number, task in enumerate(claimed):
            word = ("complete", "fail", "renew")[number % 3]
            more: dict[str, Any] = {"error": "no"} if word == "fail" else {}
            await client.call(f"task.{word}", id=task, workerId="w", **more)


async def test_an_older_store_is_migrated(tmp_path: Path) -> None:
    """A store of format 1, of workspaces with and without instances, is whole in ours, and stays so."""
    async with serve(tmp_path / "data") as server:
        await fill(server, "default")
        async with server.client(workspace="quiet") as quiet:
            await quiet.call("task.create", text="alone")
        async with store_of(server) as connection:
            for workspace in ("default", "quiet"):
                await age(connection, workspace)
            await connection.command("HSET", "cb:{_}:meta", "schema", 1)
        await server.stop()
        await server.start()
        async with store_of(server) as connection:
            for workspace in ("default", "quiet"):
                await invariants.check(connection, workspace)
            assert await connection.command("HGET", "cb:{_}:meta", "schema") == str(FORMAT).encode()
        async with server.client() as client:
            page = await client.call("task.list", orderBy="priority", limit=1, status="pending")
            assert page["tasks"][0]["priority"] == 98


async def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    """A store of a format that is not known is refused with what to type, and left as it is."""
    async with serve(tmp_path / "data") as server:
        async with store_of(server) as connection:
            await connection.command("HSET", "cb:{_}:meta", "schema", FORMAT + 1)
        await server.stop()
    words = ("up", "--port", "0", "--data-dir", str(tmp_path / "data"))
    ended = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "claudebench", *words, stderr=asyncio.subprocess.PIPE
    )
    _, said = await ended.communicate()

    assert ended.returncode == 1
    assert b"pip install --upgrade claudebench" in said
