"""Servers of former commits beside ours on one store, under load. By hand: pytest -m soak tests/soak -s.

The code of a former commit comes from the history of this checkout; without one the tests are skipped.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.test_ledger import REDIS, redis
from tests.integration.test_upgrade import refused
from tests.scripts.fleet import LOST, Fleet

from claudebench.errors import Internal, Unavailable
from claudebench.store.format import FORMAT
from claudebench.testing import eventually, serve

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.testing import AsyncClient

pytestmark = [pytest.mark.soak, pytest.mark.skipif(REDIS is None, reason="redis-server is not on PATH")]
COMMANDS = ("task.create", "task.claim", "task.update", "task.list", "system.register")


def git(*words: str) -> bytes:
    """Ask git, or skip the test where it has no answer."""
    done = subprocess.run(("git", *words), capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"git {words[0]} says: {done.stderr.decode()[:200]}")
    return done.stdout


def former(folder: Path, before: str = "") -> dict[str, str]:
    """Lay out the first commit of our format, or with `before` "^" the one before it; return its environment."""
    found = git("log", "--reverse", "--format=%H", f"-SFORMAT = {FORMAT}", "--", "src/claudebench/store/format.py")
    if not found:
        pytest.skip("the history does not reach back far enough")
    folder.mkdir()
    archive = git("archive", found.decode().split()[0] + before, "src")
    subprocess.run(("tar", "-x", "-C", str(folder)), input=archive, check=True)
    return {"PYTHONPATH": str(folder / "src")}


async def test_a_former_version_of_the_same_format(tmp_path: Path) -> None:
    """Both serve; callers move to and fro under load, and nothing acknowledged is lost or done twice."""
    async with (
        redis(tmp_path) as url,
        serve(tmp_path / "old", "--redis-url", url, env=former(tmp_path / "former")) as old,
        serve(tmp_path / "new", "--redis-url", url) as new,
        Fleet(old) as fleet,
    ):
        for server in (new, old, new, old, new):
            await fleet.goes_on(200)
            await fleet.move(server)
        await fleet.finish()


async def test_a_former_version_of_the_older_format(tmp_path: Path) -> None:
    """It runs on under load while ours migrates its store: it changes nothing any more, and nothing is lost."""
    async with redis(tmp_path) as url:
        env = former(tmp_path / "former", "^")
        async with (
            serve(tmp_path / "old", "--redis-url", url, env=env) as old,
            Fleet(old, creators=8) as fleet,
            old.client() as caller,
        ):
            await fleet.goes_on(500)
            async with serve(tmp_path / "new", "--redis-url", url) as new:
                await eventually(lambda: len(fleet.errors) > 50)
                for command in COMMANDS:
                    assert await fails(caller, command), f"{command} of the older version still goes on"
                await fleet.move(new)
                await fleet.goes_on(500)
                async with old.client(workspace="late") as late, new.client(workspace="late") as ours:
                    theirs = await late.call("task.create", text="made by the older version")
                    assert await eventually(lambda: sees(ours, theirs["id"]))
                    assert await fails(late, "task.create")
                await fleet.finish()
                fleet.errors.clear()
        assert f"format {FORMAT}" in await refused("--data-dir", str(tmp_path / "old"), "--redis-url", url, env=env)


async def fails(client: AsyncClient, command: str) -> bool:
    """Whether a command of the older version is answered by an error that claims no change."""
    asked: dict[str, dict[str, Any]] = {
        "task.create": {"text": "x"},
        "task.claim": {"workerId": "worker-0"},
        "task.update": {"id": "t-1", "updates": {"text": "x"}},
        "system.register": {"id": "x", "roles": []},
    }
    try:
        await client.call(command, **asked.get(command, {}))
    except (Internal, Unavailable) as error:
        return error.outcome != "done"
    return False


async def sees(client: AsyncClient, id_: str) -> bool:
    """Create a task through ours, which brings a workspace up, and tell whether the older one's task is listed."""
    try:
        await client.call("task.create", text="made by ours")
    except LOST:
        return False
    page = await client.call("task.list", limit=1000)
    return id_ in [task["id"] for task in page["tasks"]]
