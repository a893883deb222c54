"""Room on the disk, kept back so that what was acknowledged can always be written.

An engine whose disk is full answers the calls of that moment from memory and refuses the next. So growth is refused
before that (`is_low`: less than MARGIN is free), and a file of RESERVE bytes is held back; when the engine reports that
it could not write, the file is given up, and the engine writes what it owes into that room within a second.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RESERVE_BYTES = MARGIN_BYTES = 16 * 1024 * 1024
logger = logging.getLogger("claudebench.store")


class Reserve:
    """The reserve of a data directory. `check` is called once a second."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; nothing is written yet."""
        self._path = folder / "reserve"
        self.is_low = False

    def check(self) -> None:
        """Measure what is free, and take or retake the reserve where there is room for it."""
        try:
            room = os.statvfs(self._path.parent)
            free = room.f_bavail * room.f_frsize
            self.is_low = free < MARGIN_BYTES
            if free > RESERVE_BYTES + MARGIN_BYTES and not self._path.exists():
                self._take()
        except OSError as error:
            self.is_low = True
            logger.error("the data directory cannot be used: %s", error)  # noqa: TRY400 - the disk's trouble, not ours

    def give_up(self) -> None:
        """Give the room to the engine."""
        self.is_low = True
        with suppress(OSError):
            self._path.unlink()
            logger.warning("the disk is full: the reserve of %d MB was given up", RESERVE_BYTES // 2**20)

    def _take(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(fd, 0, RESERVE_BYTES)
        finally:
            os.close(fd)
