"""Hosts that a call names: in URLs, behind `user@`, as the bare word that `curl` takes.

An IPv4 address is written in its usual form, however it was spelt (`0x7f.1`, `2130706433`).
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_URL = re.compile(r"\w://(?:[^/\s@\"'<>]*@)?(\[[0-9A-Fa-f:.]+\]|[^/\s:?#\"'<>\\]+)")
_BARE = re.compile(r"(?:[\w.+-]+@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?)(?=[:/?#]|$)")
_NUMERIC = re.compile(r"(?:0x[0-9a-f]+|[0-9]+)(?:\.(?:0x[0-9a-f]+|[0-9]+)){0,3}")


def hosts_in(texts: Iterable[str]) -> Iterator[str]:
    """Yield the hosts of the URLs in some texts."""
    for text in texts:
        for found in _URL.finditer(text):
            yield _plain(found[1])


def hosts_of_words(words: tuple[str, ...]) -> Iterator[str]:
    """Yield every word of a command that can be a host: of a URL, of `user@host:path`, or as a whole."""
    yield from hosts_in(words[1:])
    for word in words[1:]:
        bare = _BARE.match(word)
        if bare:
            yield _plain(bare[1])


def _plain(host: str) -> str:
    host = host.lower().strip("[]").rstrip(".")
    if not _NUMERIC.fullmatch(host):
        return host
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return host
