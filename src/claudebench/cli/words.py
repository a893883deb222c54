"""Words of a command line as JSON values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MEMBERS = "JSON|KEY=VALUE"


def value_of(word: str) -> Any:
    """Return the JSON that a word spells, or the word itself when it spells none."""
    try:
        return json.loads(word, parse_constant=_no_json)
    except ValueError:
        return word


def object_of(
    words: Iterable[str], *, nests: bool = False, is_text: Callable[[str], bool] = lambda _: False
) -> dict[str, Any]:
    """Return the object that is spelt as one JSON object, or as key=value words.

    With `nests`, dots in a key lead into objects. What stands for a key that `is_text` is not read as JSON.

    Raises:
        typer.BadParameter: a word is neither, or a key stands there twice.
    """
    given = list(words)
    if given and given[0].lstrip().startswith("{"):
        return _whole(given)
    found: dict[str, Any] = {}
    for word in given:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{word!r} is neither a JSON object nor key=value")
        _put(found, key.split(".") if nests else [key], value if is_text(key) else value_of(value))
    return found


def _whole(words: list[str]) -> dict[str, Any]:
    try:
        (word,) = words
        return dict(json.loads(word, parse_constant=_no_json))
    except ValueError as error:
        raise typer.BadParameter(f"that is not one JSON object: {error}") from None


def _put(found: dict[str, Any], path: list[str], value: Any) -> None:
    *outer, last = path
    for name in outer:
        found = found.setdefault(name, {})
        if not isinstance(found, dict):
            raise typer.BadParameter(f"{'.'.join(path)} stands both for a value and for an object")
    if last in found:
        raise typer.BadParameter(f"{'.'.join(path)} stands there twice")
    found[last] = value


def _no_json(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
