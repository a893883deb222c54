"""The sync of the append-only file: what is written reaches the disk, and it says so when it does not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from claudebench.store import sync
from claudebench.store.sync import Syncer
from claudebench.testing import eventually

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the files that were handed to the disk, in order; the real call is still made."""
    sizes: list[int] = []
    real = os.fdatasync

    def record(fd: int) -> None:
        sizes.append(os.fstat(fd).st_size)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", record)
    monkeypatch.setattr(sync, "EVERY_S", 0.01)
    return sizes


async def test_what_grew_is_synced_and_what_did_not_is_left_alone(tmp_path: Path, synced: list[int]) -> None:
    """Each growth of the file reaches the disk once, and the end is synced too."""
    file = tmp_path / "appendonly.aof.1.incr.aof"
    file.write_bytes(b"a")
    syncer = Syncer(tmp_path)
    syncer.start()
    await eventually(lambda: synced == [1])
    with file.open("ab") as more:
        more.write(b"bb")
    await eventually(lambda: synced == [1, 3])
    syncer.stop()
    assert synced == [1, 3]


async def test_a_disk_that_fails_is_behind(tmp_path: Path, synced: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refused once is behind from then on: the kernel may have dropped what it owed."""
    (tmp_path / "appendonly.aof.1.incr.aof").write_bytes(b"a")

    def refuse(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", refuse)
    syncer = Syncer(tmp_path)
    syncer.start()
    await eventually(lambda: syncer.behind_s > 0.2)
    assert not synced
    monkeypatch.undo()
    behind = syncer.behind_s
    await eventually(lambda: syncer.behind_s > behind + 0.2)
    syncer.stop()


async def test_a_folder_that_is_gone_is_behind(tmp_path: Path, synced: list[int]) -> None:
    """Without its files nothing is vouched for."""
    syncer = Syncer(tmp_path / "gone")
    syncer.start()
    await eventually(lambda: syncer.behind_s > 0.2)
    syncer.stop()
    assert not synced
