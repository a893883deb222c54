"""Reads an append-only file as far as an engine would: where it stops being one, and where it can be cut.

An engine takes a file that ends too early, and none that has something else in its middle. Only commands are read; the
base file before them is a snapshot, which an engine alone can judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import hiredis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 65_536
READ_MAX = 512 * 2**20
MULTI, EXEC = b"MULTI", b"EXEC"


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that holds something else than commands behind its first `whole_bytes`, a place where it can be cut."""

    path: Path
    whole_bytes: int
    bytes: int

    def __str__(self) -> str:
        """Say it as a person would."""
        return f"{self.path} is damaged behind byte {self.whole_bytes:,} of {self.bytes:,}"


def find_damage(path: Path) -> Damage | None:
    """Return the damage of a file, or None if its first 512 MB hold none."""
    try:
        for _ in _commands(path):
            """Each is whole."""
    except hiredis.ProtocolError:
        return Damage(path, _whole_bytes(path), path.stat().st_size)
    return None


def _commands(path: Path) -> Iterator[list[bytes]]:
    """Yield the commands of a file; one that its end cuts off is none.

    Raises:
        hiredis.ProtocolError: something else stands there.
    """
    reader = hiredis.Reader()
    with path.open("rb") as file:
        while file.tell() < READ_MAX and (chunk := file.read(CHUNK)):
            reader.feed(chunk)
            while (command := reader.gets()) is not False:
                if type(command) is not list or not command or type(command[0]) is not bytes:
                    raise hiredis.ProtocolError("no command")
                yield command


def _whole_bytes(path: Path) -> int:
    """Return the size of what is whole: up to the last command, or the last transaction, before the damage."""
    at, whole, is_open = 0, 0, False
    try:
        for command in _commands(path):
            at += _size(command)
            is_open = command[0] == MULTI or (is_open and command[0] != EXEC)
            whole = whole if is_open else at
    except hiredis.ProtocolError:
        """Here it is."""
    return whole


def _size(command: list[bytes]) -> int:
    return 3 + len(str(len(command))) + sum(5 + len(str(len(word))) + len(word) for word in command)
