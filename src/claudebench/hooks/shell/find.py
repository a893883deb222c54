"""`find`: every -exec is a command; `{}` is where it starts from, or something below that when a filter picks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.peeling import inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.hooks.shell.parts import Parts, Word
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
            words = [parts.words[i] if i == at else _placed(parts.words[i], place) for i in range(at, end)]
            if words and words[0].text == "{}":
                words[0] = replace(words[0], text=place)
            inside(walk, parts, words, "find")
        at = end


def _placed(word: Word, place: str) -> Word:
    """Put a place into a word; into a text for a shell only one that is known."""
    if word.text == "{}":
        return replace(word, text=place, sure=False)
    if "{}" in word.text and UNKNOWN not in place and SOME not in place:
        return replace(word, text=word.text.replace("{}", place))
    return word


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
