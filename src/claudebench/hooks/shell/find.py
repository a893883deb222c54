"""`find`: every -exec is a command; `{}` is where it starts from, or something below that when a filter picks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.shell.peeling import inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.hooks.shell.parts import Parts
    from claudebench.hooks.shell.walk import Walk

_RUNS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_FILTERS = re.compile(r"-(i?name|i?path|i?regex|wholename|[acm]time|[acm]min|newer.*|empty|size|user|group|perm)$")


def find(walk: Walk, parts: Parts) -> None:
    """Follow the commands that `find` runs."""
    texts = [word.text for word in parts.words]
    places = _places(texts)
    at = 0
    while at < len(texts):
        at += 1
        if texts[at - 1] not in _RUNS:
            continue
        end = next((i for i in range(at, len(texts)) if texts[i] in (";", "+")), len(texts))
        for place in places:
            words = [replace(w, text=place if w.text == "{}" else w.text) for w in parts.words[at:end]]
            inside(walk, parts, words, "find")
        at = end


def _places(texts: Sequence[str]) -> list[str]:
    """Return what `{}` may be: where find starts from, or a name below it when a filter picks among the files."""
    starts = _starts(texts)
    everything = any(start.startswith("/") and start.rstrip("/.*") == "" for start in starts)
    filtered = any(_FILTERS.match(text) for text in texts) and not everything
    return [f"{start.rstrip('/')}/{{}}" for start in starts] if filtered else starts


def _starts(texts: Sequence[str]) -> list[str]:
    starts: list[str] = []
    for text in texts[1:]:
        if text in ("-L", "-H", "-P"):
            continue
        if text.startswith(("-", "(", "!")):
            break
        starts.append(text)
    return starts or ["."]
