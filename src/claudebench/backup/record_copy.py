"""Copies of the record: an SQLite file as it is at one moment, while its server goes on writing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from claudebench.errors import BackupRefused

if TYPE_CHECKING:
    from pathlib import Path

RECORD_FILE = "record.db"
BUSY_S = 30.0


def copy_sqlite(source: Path, folder: Path) -> Path:
    """Copy an SQLite record, all of it as of one moment: a reader of its log keeps no writer waiting."""
    target = folder / RECORD_FILE
    with closing(sqlite3.connect(source, timeout=BUSY_S)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new, pages=-1)
        new.execute("PRAGMA journal_mode = DELETE")
    target.chmod(0o600)
    return target


def check_sqlite(path: Path) -> None:
    """Look whether an SQLite file is whole.

    Raises:
        BackupRefused: it is not; the message is the library's.
    """
    try:
        with closing(sqlite3.connect(path)) as opened:
            (said,) = opened.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        raise BackupRefused(f"the record in this backup is damaged: {said}")
