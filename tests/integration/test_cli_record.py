"""`claudebench record`: status, verify and rebuild on a real server, for people and for programs."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

from tests.integration.recorded import is_level
from tests.integration.typed import run

from claudebench.testing import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.testing import AsyncClient, Server


async def test_verify_and_rebuild(server: Server, client: AsyncClient, tmp_path: Path) -> None:
    """A sound record exits 0, a spoilt one 1 with what differs and what to type, and a rebuild mends it."""
    for at in range(3):
        await client.call("task.create", text=f"task {at}")
    await eventually(lambda: is_level(server))
    about = ("--url", server.url, "--token-file", str(server.data_dir / "token"))
    status = await run(tmp_path, "record", "status", *about, "--json")
    assert (status.code, json.loads(status.out)["behindMs"]) == (0, 0)
    sound = await run(tmp_path, "record", "verify", *about, "--json")
    assert (sound.code, json.loads(sound.out)["differences"]) == (0, [])

    with sqlite3.connect(server.data_dir / "record.db") as connection:
        connection.execute("UPDATE tasks SET text = 'other' WHERE n = 2")
    spoilt = await run(tmp_path, "record", "verify", *about)
    assert spoilt.code == 1
    assert "t-2" in spoilt.out
    assert "record rebuild" in spoilt.err
    assert (await run(tmp_path, "record", "rebuild", *about)).code == 0
    assert (await run(tmp_path, "record", "verify", *about)).code == 0


async def test_it_wants_the_operator(server: Server, tmp_path: Path) -> None:
    """Without the operator's token nothing is compared, and the line says which file holds it."""
    refused = await run(tmp_path, "record", "verify", "--url", server.url)
    assert refused.code == 1
    assert "token" in refused.err


async def test_a_wrong_database(tmp_path: Path) -> None:
    """A URL that is none of a PostgreSQL ends the start with exit code 2 and what to type."""
    refused = await run(
        tmp_path, "up", "--data-dir", str(tmp_path / "d"), "--database-url", "mysql://h/db", "--port", "0"
    )
    assert refused.code == 2
    assert "postgresql://" in refused.err
