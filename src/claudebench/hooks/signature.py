"""The operator's signature under a repository's rule file: HMAC-SHA256 of its path and text by the operator's token.

Signatures are kept in the data directory, one file for all, so a repository cannot bring its own. One stands under a
path that no symbolic link is part of: a link would lend it to whoever makes the link.
"""

from __future__ import annotations

import hmac
import json
import os
from typing import TYPE_CHECKING

from claudebench.errors import NotFound, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "signed-rules.json"


class Signature:
    """Signs rule files and tells whether one is signed as it stands."""

    def __init__(self, data_dir: Path) -> None:
        """Take the data directory; its token is read when it is first needed."""
        self._token_path = data_dir / "token"
        self._path = data_dir / FILE
        self._known: tuple[int, dict[str, str]] = (0, {})

    def holds(self, path: str, text: str) -> bool:
        """Whether the operator signed exactly this text at this path."""
        found = self._signatures().get(path)
        if found is None or os.path.realpath(path) != path:
            return False
        try:
            return hmac.compare_digest(found, self._signature(path, text))
        except NotFound:
            return False

    def sign(self, path: str, text: str) -> None:
        """Put the signature under a text.

        Raises:
            SettingsError: a symbolic link is part of the path.
            NotFound: no server ever ran on this data directory, so there is no operator.
        """
        path = os.path.abspath(path)  # noqa: PTH100 - a path that may hold anything
        real = os.path.realpath(path)
        if real != path:
            raise SettingsError(f"{path}: what a symbolic link leads to may not loosen; it lies at {real}")
        signatures = {**self._signatures(), path: self._signature(path, text)}
        fresh = self._path.with_suffix(".fresh")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(signatures, indent=1))
        fresh.replace(self._path)

    def _signature(self, path: str, text: str) -> str:
        try:
            token = self._token_path.read_bytes().strip()
        except OSError:
            raise NotFound(f"there is no operator's token at {self._token_path}; start a server first") from None
        return hmac.digest(token, f"{path}\0{text}".encode(), "sha256").hex()

    def _signatures(self) -> dict[str, str]:
        try:
            at = self._path.stat().st_mtime_ns
            if at != self._known[0]:
                self._known = (at, {str(key): str(value) for key, value in json.loads(self._path.read_text()).items()})
        except (OSError, ValueError, AttributeError):
            return {}
        return self._known[1]
