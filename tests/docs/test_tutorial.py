"""The tutorial as a reader would follow it: its blocks are typed, in order, before a real server."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from claudebench.testing import serve

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "two-agents.md"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIRST_FIVE_DONE = "until [ $(cat ann.txt bob.txt | grep -c 'has done') = 5 ]; do sleep 0.1; done; kill %1 %2"
ENDS_WITHIN_S = 60.0


def _steps() -> tuple[str, list[str]]:
    blocks = BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))
    (worker,) = (text for kind, text in blocks if kind == "python")
    return worker, [text for kind, text in blocks if kind == "sh"]


async def test_the_tutorial_works_as_it_stands(tmp_path: Path) -> None:
    """Two workers do five tasks once each, the urgent one first; what the killed one held is done by another."""
    worker, (fill, both, look, dies, takes_over, events) = _steps()
    (tmp_path / "worker.py").write_text(worker)
    script = f"set -eu\n{fill}{both}{FIRST_FIVE_DONE}\n{look}{dies}{takes_over}{events}"
    async with serve(tmp_path / "data") as server, asyncio.timeout(ENDS_WITHIN_S):
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-c", script), cwd=tmp_path, env={**os.environ, "PATH": path, "CLAUDEBENCH_URL": server.url},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await shell.communicate()

        assert shell.returncode == 0, said
        async with server.client() as client:
            tasks = (await client.call("task.list"))["tasks"]
    told = [(tmp_path / f"{name}.txt").read_text() for name in ("ann", "bob")]
    first = {line.split()[3] for each in told for line in each.splitlines()[:1]}
    assert {task["status"] for task in tasks} == {"completed"}
    assert sorted(line for each in told for line in re.findall(r"has done (t-\d)", each)) == [
        "t-1",
        "t-2",
        "t-3",
        "t-4",
        "t-5",
    ]
    assert "t-4" in first
    assert b"task.completed" in said
