"""A disk that fills up, on a small file system of the test's own (needs root for the mount)."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from claudebench.errors import LimitReached
from claudebench.testing import eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from claudebench.testing import AsyncClient, Server

pytestmark = [pytest.mark.soak, pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")]
FILL_MB = 64
PAYLOAD = "x" * 4000


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Server]:
    """A server whose data directory is a file system of 64 MB."""
    with _mounted(tmp_path / "disk") as disk:
        async with serve(disk / "data") as server:
            yield server


@contextmanager
def _mounted(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FILL_MB}m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _fill(folder: Path) -> Path:
    """Leave no byte free beside the reserve."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65_536))
        except OSError:
            return ballast


async def _create_until_refused(client: AsyncClient) -> list[str]:
    acknowledged: list[str] = []
    while True:
        try:
            task = await client.call("task.create", text="a task", metadata={"payload": PAYLOAD})
        except LimitReached:
            return acknowledged
        acknowledged.append(task["id"])


@pytest.mark.parametrize("end", ["stop", "kill the store"])
async def test_what_a_full_disk_acknowledged_is_kept(small: Server, end: str) -> None:
    """What was acknowledged while the disk ran full is there afterwards, and growth is refused until there is room."""
    async with small.client() as client:
        acknowledged = [(await client.call("task.create", text="before"))["id"]]
        ballast = _fill(small.data_dir)
        acknowledged += await _create_until_refused(client)
        assert (await client.call("system.health"))["services"]["disk"] is False
        if end == "stop":
            assert await small.stop() == 0
            ballast.unlink()
            await small.start()
        else:
            small.kill_store()
            ballast.unlink()
    async with small.client() as client:
        await eventually(client.is_healthy, within_s=30)
        for task in acknowledged:
            assert (await client.call("task.get", id=task))["id"] == task
        fresh = await eventually(lambda: _created(client), within_s=30)
        assert fresh not in acknowledged


async def _created(client: AsyncClient) -> str:
    try:
        return str((await client.call("task.create", text="after"))["id"])
    except LimitReached:
        return ""
