"""The key of the audit: a file of one line per key, the last one in use, the others kept for what they signed.

A line is 64 hexadecimal digits, or the id of a key and `lost`: then nothing under that key can be checked any more, and
whoever looks is told so. The id is the beginning of a hash, so it can be shown.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from claudebench.errors import SettingsError

FILE = "audit.key"
KEYS_MAX = 64
OTHERS = stat.S_IRWXG | stat.S_IRWXO
_KEY, _LOST = re.compile(r"[0-9a-f]{64}"), re.compile(r"([0-9a-f]{16}) lost")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of an installation by their ids, the one in use last, and the ids of those that are lost."""

    secrets: dict[str, bytes] = field(repr=False)
    lost: frozenset[str] = frozenset()
    source: str = ""

    @property
    def current(self) -> tuple[str, bytes]:
        """The id and the secret of the key in use."""
        key_id = next(reversed(self.secrets))
        return key_id, self.secrets[key_id]

    def named(self, key_id: str) -> tuple[str, bytes]:
        """Return the id and the secret of a key, of the one in use when that key is not here."""
        secret = self.secrets.get(key_id)
        return (key_id, secret) if secret else self.current

    def knows(self, key_id: str) -> bool:
        """Tell whether a key is here, or known to be lost."""
        return key_id in self.secrets or key_id in self.lost


def key_id(secret: bytes) -> str:
    """Return the id of a key."""
    return sha256(b"claudebench audit key\0" + secret).hexdigest()[:16]


def read_keys(path: Path) -> Keys:
    """Return the keys of a file.

    Raises:
        SettingsError: it cannot be read, others may read it, or it holds something else; the message names the line.
    """
    try:
        if path.stat().st_mode & OTHERS:
            raise SettingsError(f"others may read the audit's key; type: chmod 600 {path}")
        lines = path.read_text(encoding="ascii").split("\n")
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is no file of audit keys: it is not text") from None
    except OSError as error:
        raise SettingsError(f"the audit's key {path} cannot be read: {error.strerror}") from None
    return _parsed(path, [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()])


def make_keys(path: Path) -> Keys:
    """Return the keys of a file, which is made whole, with one key, when it is absent."""
    if not path.exists():
        fd, fresh = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        with os.fdopen(fd, "w") as file:
            file.write(f"{secrets.token_hex(32)}\n")
            file.flush()
            os.fsync(fd)
        with suppress(FileExistsError):
            os.link(fresh, path)
        Path(fresh).unlink()
    return read_keys(path)


def _parsed(path: Path, lines: list[tuple[int, str]]) -> Keys:
    found: dict[str, bytes] = {}
    lost: set[str] = set()
    for number, line in lines[:KEYS_MAX]:
        if told := _LOST.fullmatch(line):
            lost.add(told[1])
        elif _KEY.fullmatch(line):
            secret = bytes.fromhex(line)
            found.pop(key_id(secret), None)
            found[key_id(secret)] = secret
        else:
            raise SettingsError(f"{path}, line {number}: a key is 64 digits of 0-9a-f; a lost one is its id and `lost`")
    if not found:
        raise SettingsError(f"{path} holds no key; restore it from a backup, or remove it to begin with a new one")
    return Keys(found, frozenset(lost), str(path))
