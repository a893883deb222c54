"""What a place of a request takes, in words: the one spot where a constraint becomes a sentence.

The decoder names a constraint as a programmer wrote it, a regular expression and all. Here a pattern is told by the
description beside it, a choice by its words, a bound by its numbers. What the decoder says of its own, such as that a
date is none, stays as it is.
"""

from __future__ import annotations

from enum import EnumMeta
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import UnsetType, inspect

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIONS = (Union, UnionType)
CONSTRAINTS = ("Expected `", "Invalid enum value ")
SHOWN_MAX = 60
KINDS = {
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.StrType: "text",
    inspect.ListType: "a list",
    inspect.SetType: "a list",
    inspect.FrozenSetType: "a list",
    inspect.DictType: "an object",
    inspect.StructType: "an object",
}
BOUNDS: tuple[tuple[str, str, dict[Any, str]], ...] = (
    ("ge", "le", {}),
    ("min_length", "max_length", {inspect.StrType: "characters", inspect.DictType: "members"}),
)
OF_KIND = {b"{": "an object", b"[": "a list", b'"': "a text"}


def sentence(said: str, value: bytes, type_: Any) -> str:
    """Return what the decoder said against a value that does not fit `type_`, in words if it named a constraint."""
    if not said.startswith(CONSTRAINTS):
        return said
    wanted = _wanted(type_)
    return f"must be {wanted}, not {_shown(value)}" if wanted else said


def words(type_: Any) -> Iterator[Any]:
    """Yield the values that a type takes, if it takes only some, in the order of their declaration."""
    bare = type_.__origin__ if get_origin(type_) is Annotated else type_
    if get_origin(bare) is Literal:
        yield from get_args(bare)
    elif get_origin(bare) in UNIONS:
        for each in get_args(bare):
            if each not in (NoneType, UnsetType):
                yield from words(each)
    elif isinstance(bare, EnumMeta):
        yield from (each.value for each in bare)  # type: ignore[var-annotated]


def missing_prefix(type_: Any) -> str:
    """Return what each value of a type begins with, '' if nothing is said of that."""
    found = (each.extra or {} for each in _members(inspect.type_info(type_)) if isinstance(each, inspect.Metadata))
    return next((extra["prefix"] for extra in found if "prefix" in extra), "")


def _wanted(type_: Any) -> str:
    choices = [str(each) for each in words(type_)]
    kinds = [told for each in _members(inspect.type_info(type_)) if (told := _kind(each))]
    if choices:
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    return " or ".join(dict.fromkeys(kinds))


def _members(info: inspect.Type) -> Iterator[inspect.Type]:
    """Yield the members of a union, without null where there are others; anything else is its only member."""
    if isinstance(info, inspect.UnionType):
        yield from (each for each in info.types if not isinstance(each, inspect.NoneType))
    else:
        yield info


def _kind(info: inspect.Type) -> str:
    described = ""
    while isinstance(info, inspect.Metadata):
        described = described or (info.extra_json_schema or {}).get("description", "")
        info = info.type
    if pattern := getattr(info, "pattern", None):
        return described or f"text that matches {pattern}"
    kind = KINDS.get(type(info), "")
    return kind and "".join((kind, *_bounds(info)))


def _bounds(info: inspect.Type) -> Iterator[str]:
    for least, most, units in BOUNDS:
        low, high = getattr(info, least, None), getattr(info, most, None)
        unit = f" {units.get(type(info), 'entries')}" if units else ""
        if low is not None and high is not None:
            yield f"{' of' if unit else ' from'} {low} to {high}{unit}"
        elif (one := high if low is None else low) is not None:
            yield f" of at {'least' if high is None else 'most'} {one}{unit}"


def _shown(value: bytes) -> str:
    """Return a value as it was sent, or what it is if that is long."""
    kind = OF_KIND.get(value[:1])
    if kind in (None, "a text") and len(value) <= SHOWN_MAX:
        return value.decode(errors="replace")
    size = len(msgspec.json.decode(value)) if kind else 0
    return f"{kind} of {size}" if size else kind or "that number"
