"""The servers of tests themselves: what a test breaks does not outlive it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from claudebench.testing import serve

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_server_ends_with_its_block_while_its_store_is_brought_back(tmp_path: Path) -> None:
    """A block that is left while the store has no process yet leaves no server behind, and hides no error."""
    async with serve(tmp_path / "data") as server:
        lock = server.data_dir / "lock"
        noted = json.loads(lock.read_text())
        lock.write_text(json.dumps({**noted, "store": {**noted["store"], "pid": None}}))

    assert server.process.returncode == 0
