"""The slow second look at parameters that did not fit: every place that is wrong, with the name that was meant.

A value is looked into where it does not fit; it is named itself where nothing inside it explains that. So a place is
named once, as deep as it lies.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Raw

from claudebench.errors import nearest
from claudebench.rpc.wanted import UNIONS, missing_prefix, sentence, words

if TYPE_CHECKING:
    from collections.abc import Iterator

ISSUES_MAX = 20
ITEMS_MAX = 1000
DECODERS_MAX = 256
NAME_MAX = 100
LISTS = (list, set, frozenset)
_WHERE = re.compile(r"(?P<message>.*?)(?: - at `(?:key` in `)?\$(?P<path>[^`]*)`)?\Z", re.DOTALL)
_decode = msgspec.json.decode
Issue = dict[str, str]


def issues(params: bytes | Raw, wanted: type[msgspec.Struct]) -> list[Issue]:
    """Return up to 20 of `{path, message, nearest?}` for parameters that `wanted` did not take.

    A path is spelt `updates.priority` or `requires[2]`. They come in the order of the parameters; in an object what is
    missing comes after what is there.
    """
    try:
        value = _decode(params, type=Raw)
    except msgspec.DecodeError as error:
        return [_issue("", str(error))]
    found = list(islice(_inside(value, wanted, (), ""), ISSUES_MAX))
    return found or [_said(_misfit(value, wanted), "", value, wanted)]


def told(issue: Issue) -> str:
    """Return an issue as a sentence."""
    return f"{issue['path']}: {issue['message']}" if issue["path"] else issue["message"]


def _in(value: Raw, type_: Any, path: str) -> Iterator[Issue]:
    if error := _misfit(value, type_):
        inside = _inside(value, *_unannotated(type_), path)
        yield next(inside, {}) or (_said(error, path, value, type_) | _meant(value, type_))
        yield from inside


def _misfit(value: bytes | Raw, type_: Any) -> str:
    """Return what the decoder says against a value, '' if it takes it."""
    try:
        _decoder(type_).decode(value)
    except msgspec.DecodeError as error:
        return str(error)
    return ""


@lru_cache(DECODERS_MAX)
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def _inside(value: Raw, type_: Any, bounds: tuple[Any, ...], path: str) -> Iterator[Issue]:
    first, origin = bytes(value)[:1], get_origin(type_) or type_
    if origin in UNIONS:
        fitting = [each for each in get_args(type_) if _may_be(each, first, value)]
        if len(fitting) == 1:
            yield from _in(value, fitting[0], path)
    elif first == b"{" and _is_struct(origin):
        yield from _in_struct(value, type_, path)
    elif first == b"{" and origin is dict:
        yield from _of_itself(value, dict[str, Any], bounds, path)
        yield from _in_dict(value, get_args(type_) or (str, Any), path)
    elif first == b"[" and origin in LISTS:
        yield from _of_itself(value, list[Any], bounds, path)
        inner = (get_args(type_) or (Any,))[0]
        for at, item in enumerate(islice(_decode(value, type=list[Raw]), ITEMS_MAX)):
            yield from _in(item, inner, f"{path}[{at}]")


def _may_be(type_: Any, first: bytes, value: Raw) -> bool:
    """Tell whether a value could be meant as this member of a union, looked at from outside."""
    bare, _ = _unannotated(type_)
    origin = get_origin(bare) or bare
    if origin in LISTS:
        return first == b"["
    if first != b"{" or not _is_struct(origin):
        return first == b"{" and origin is dict
    config = origin.__struct_config__
    return not config.tag_field or _decode(value, type=dict[str, Any]).get(config.tag_field) == config.tag


def _in_struct(value: Raw, type_: Any, path: str) -> Iterator[Issue]:
    members = _decode(value, type=dict[str, Raw])
    config = (get_origin(type_) or type_).__struct_config__
    fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    for name, member in members.items():
        if name in fields:
            yield from _in(member, fields[name].type, _joined(path, name))
        elif config.forbid_unknown_fields and name != config.tag_field:
            unknown = _issue(_joined(path, name), f"there is no field `{name[:NAME_MAX]}`")
            yield unknown | _near(name, list(fields))
    for name, field in fields.items():
        if field.required and name not in members:
            yield _issue(_joined(path, name), "is required")


def _in_dict(value: Raw, types: tuple[Any, ...], path: str) -> Iterator[Issue]:
    keyed = dict[types[0], Any]  # type: ignore[valid-type]
    for key, member in islice(_decode(value, type=dict[str, Raw]).items(), ITEMS_MAX):
        inner = _joined(path, key)
        if error := _misfit(msgspec.json.encode({key: None}), keyed):
            yield _issue(inner, sentence(_split(error)["message"], msgspec.json.encode(key), types[0]))
        yield from _in(member, types[1], inner)


def _of_itself(value: Raw, free: Any, bounds: tuple[Any, ...], path: str) -> Iterator[Issue]:
    """Yield what is wrong with a list or a dict whatever it holds: its length."""
    bounded = Annotated[(free, *bounds)] if bounds else free
    if bounds and (error := _misfit(value, bounded)):
        yield _said(error, path, value, bounded)


def _unannotated(type_: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(type_) is Annotated:
        return type_.__origin__, type_.__metadata__
    return type_, ()


def _is_struct(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)


def _meant(value: Raw, type_: Any) -> Issue:
    """Return the nearest of the words that a place takes, if it takes only some, or what lacks only its beginning."""
    text = bytes(value)[:1] == b'"'
    if known := [word for word in words(type_) if isinstance(word, str)]:
        return _near(_decode(value, type=str), known) if text else {}
    if not (prefix := missing_prefix(type_)):
        return {}
    whole = f"{prefix}{_decode(value, type=str) if text else bytes(value).decode()}"
    return {} if _misfit(msgspec.json.encode(whole), type_) else {"nearest": whole}


def _near(word: str, known: list[str]) -> Issue:
    near = nearest(word[:NAME_MAX], known)
    return {"nearest": near} if near else {}


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _said(error: str, path: str, value: bytes | Raw, type_: Any) -> Issue:
    """Return an issue at the place that the decoder points to below `path`."""
    where = _split(error)
    below = where["path"] or ""
    message = where["message"] if below else sentence(where["message"], bytes(value), type_)
    return _issue(f"{path}{below}" if path else below.removeprefix("."), message)


def _split(error: str) -> re.Match[str]:
    where = _WHERE.match(error)
    assert where
    return where


def _issue(path: str, message: str) -> Issue:
    return {"path": path[:NAME_MAX], "message": message[: 3 * NAME_MAX]}
