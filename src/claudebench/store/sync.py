"""Once a second to disk: `everysec` without the engine's own loophole.

An engine at `appendfsync everysec` that finds its last sync still running keeps what follows in its own memory for up
to 2 s and answers all the same, so on a slow disk a killed store takes acknowledged writes with it. Here the engine
only writes (`appendfsync no`: everything acknowledged is the kernel's, and outlives the store), and this thread asks
the kernel, once a second, to put it on disk. How far that is behind is known, so `/health` can say it.
"""

from __future__ import annotations

import logging
import os
import threading
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EVERY_S = 1.0
logger = logging.getLogger("claudebench.store")


class Syncer:
    """Syncs the append-only files of a folder, each second in which they grew."""

    def __init__(self, folder: Path, each_second: Callable[[], None] = lambda: None) -> None:
        """Take the folder of the append-only files, and what else is to be done each second; `start` begins."""
        self._folder = folder
        self._each_second = each_second
        self._failed = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="append-only file sync", daemon=True)
        self._synced: dict[str, tuple[int, int]] = {}
        self._covered = monotonic()

    @property
    def behind_s(self) -> float:
        """Seconds since the moment up to which everything written is on disk."""
        return monotonic() - self._covered

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after a last sync."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            self._each_second()
            self._sync()
        self._sync()

    def _sync(self) -> None:
        """Sync what grew. After a failure nothing is vouched for again: the kernel may have dropped what it owed."""
        began = monotonic()
        try:
            paths = list(self._folder.glob("*.incr.aof"))
            for path in paths:
                self._sync_grown(path)
        except FileNotFoundError:
            return
        except OSError as error:
            self._failed = True
            logger.error("what was written is not on disk: %s", error)  # noqa: TRY400 - the disk's trouble, not ours
            return
        if paths and not self._failed:
            self._covered = began

    def _sync_grown(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY)
        try:
            seen = os.fstat(fd)
            if self._synced.get(path.name) != (seen.st_ino, seen.st_size):
                os.fdatasync(fd)
                self._synced[path.name] = (seen.st_ino, seen.st_size)
        finally:
            os.close(fd)
