"""Command lines, run by a fork of a process that has imported everything; `test_cli.py` types its own in earnest."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from tests.integration.test_cli import ENDED_WITHIN_S, Ended

from claudebench.testing import Server

if TYPE_CHECKING:
    from pathlib import Path


async def run(
    cwd: Path, *words: object, given: bytes = b"", environment: dict[str, str] | None = None, **variables: str
) -> Ended:
    """Run a command line in a folder, with no CLAUDEBENCH_* variable but those given, and text on its input."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLAUDEBENCH_")}
    around = {**clean, "NO_COLOR": "1", "COLUMNS": "200", **(environment or {}), **variables}
    assert Server.forks, "conftest.py sees to it"
    assert Server.forks.fit(around), "what is imported may differ"
    async with asyncio.timeout(ENDED_WITHIN_S):
        code, out, err = await Server.forks.run(tuple(map(str, words)), around, cwd, given)
    return Ended(code, out.decode(), err.decode())
