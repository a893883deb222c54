"""The slow second look at parameters that did not fit: every field that is wrong, with the name that was meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

ISSUES_MAX = 20
NAME_MAX = 100
_WHERE = re.compile(r"(?P<message>.*?)(?: - at `\$(?P<path>[^`]*)`)?\Z", re.DOTALL)
Issue = dict[str, str]


def issues(params: bytes | msgspec.Raw, wanted: type[msgspec.Struct]) -> list[Issue]:
    """Return up to 20 of `{path, message, nearest?}` for parameters that `wanted` did not take."""
    try:
        members = msgspec.json.decode(params)
    except (msgspec.DecodeError, RecursionError) as error:
        return [_issue("", str(error))]
    if not isinstance(members, dict):
        return [_issue("", f"Expected `object`, got `{type(members).__name__}`")]
    found = [issue for _, issue in zip(range(ISSUES_MAX), _in_members(members, wanted), strict=False)]
    return found or [_whole(params, wanted)]


def _in_members(members: dict[str, Any], wanted: type[msgspec.Struct]) -> Iterator[Issue]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
    for name in members.keys() - fields.keys():
        yield _unknown(name, list(fields))
    for name, field in fields.items():
        if name in members:
            yield from _in_value(name, members[name], field.type)
        elif field.required:
            yield _issue(name, f"Object missing required field `{name}`")


def _in_value(name: str, value: Any, type_: Any) -> Iterator[Issue]:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=type_)
    except msgspec.ValidationError as error:
        where = _WHERE.match(str(error))
        assert where
        yield _issue(f"{name}{where['path'] or ''}", where["message"])


def _whole(params: bytes | msgspec.Raw, wanted: type[msgspec.Struct]) -> Issue:
    """Return what is wrong with fields that fit one by one."""
    try:
        msgspec.json.decode(params, type=wanted)
    except msgspec.ValidationError as error:
        return _issue("", str(error))
    raise AssertionError("these parameters fit")


def _unknown(name: str, known: list[str]) -> Issue:
    issue = _issue(name, f"Object contains unknown field `{name[:NAME_MAX]}`")
    near = nearest(name[:NAME_MAX], known)
    return issue | ({"nearest": near} if near else {})


def _issue(path: str, message: str) -> Issue:
    return {"path": path[:NAME_MAX], "message": message[: 3 * NAME_MAX]}
