"""An append-only file is read as an engine reads it: cut off it is whole, with something else in it it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claudebench.store.appendonly import CHUNK, find_damage

if TYPE_CHECKING:
    from pathlib import Path


def command(*words: bytes) -> bytes:
    """Return a command as it stands in the file."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


ONE, MULTI, EXEC = command(b"SET", b"a", b"x\r\n*1\r\n" * 100), command(b"MULTI"), command(b"EXEC")
TWO = MULTI + ONE + ONE + EXEC
LONG = command(b"SET", b"a", b"\n" * 2 * CHUNK)
WHOLE = [b"", ONE, ONE * 1000, ONE + TWO, LONG + ONE, LONG[:-1], MULTI + ONE, ONE + b"*3\r"]
WRONG = [b"garbage", b"\0" * 9, b"$1\r\na\r\n", b":1\r\n", b"*0\r\n", b"*1\r\n:1\r\n", ONE[1:]]


@pytest.mark.parametrize("content", WHOLE)
def test_whole_and_cut_off_files_are_taken(tmp_path: Path, content: bytes) -> None:
    """Commands, whatever they hold, and an end anywhere in them are no damage."""
    path = tmp_path / "file"
    path.write_bytes(content)

    assert find_damage(path) is None


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b""), (ONE, b""), (ONE + TWO, b""), (ONE * 500, b""), (LONG, b""), (ONE, MULTI + ONE)],
    ids=["nothing", "one", "transaction", "many", "long", "open transaction"],
)
def test_damage_is_found_where_the_file_can_be_cut(tmp_path: Path, before: bytes, after: bytes, wrong: bytes) -> None:
    """The place is the end of the last whole command that is in no open transaction."""
    path = tmp_path / "file"
    path.write_bytes(before + after + wrong + ONE * 3)
    damage = find_damage(path)

    assert damage
    assert damage.whole_bytes == len(before)
    path.write_bytes(path.read_bytes()[: damage.whole_bytes])
    assert find_damage(path) is None
