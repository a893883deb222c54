"""JSON-RPC 2.0 on the wire, and what no JSON from outside may hold: depth over 64, NUL, lone surrogates, twin keys."""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from claudebench.errors import ClaudeBenchError, InvalidParams, InvalidRequest, ParseError
from claudebench.rpc.issues import issues, told

if TYPE_CHECKING:
    from collections.abc import Mapping

DEPTH_MAX = 64
BATCH_MAX = 1000
EMPTY = msgspec.Raw(b"{}")
NOT_SPELT: Mapping[str, str] = MappingProxyType({})
Id = int | float | str | None
_INSTANCE = r'[^\s"\\,{}|\x00-\x20\x7f]{1,128}'
_INSTANCE_IS = "the id of an instance: 1 to 128 characters without space, quote, backslash, comma, brace or bar"
InstanceId = Annotated[str, Meta(pattern=rf"^{_INSTANCE}$(?!\n)", description=_INSTANCE_IS)]
NoInstanceId = Annotated[str, Meta(pattern=rf"^({_INSTANCE})?$(?!\n)", description=f"{_INSTANCE_IS}; or empty")]
Name = Annotated[str, Meta(max_length=256)]
Key = Annotated[str, Meta(min_length=1, max_length=256)]

_SPACED_COLON = re.compile(rb'"\s+:')
_ONE_BRACKET = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


class Metadata(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True):
    """What a caller tells of itself and of the call; other members are free and ignored."""

    instance_id: NoInstanceId = ""
    session_id: Name = ""
    correlation_id: Name = ""
    causation_id: Name = ""
    traceparent: Name = ""
    idempotency_key: Key = ""  # absent: none; given, it has a name
    timestamp: int | float | str | None = None


NO_METADATA = Metadata()


class Request(msgspec.Struct):
    """One request; without `id` it is a notification."""

    jsonrpc: Literal["2.0"]
    method: str
    params: msgspec.Raw = EMPTY
    id: int | float | str | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata = NO_METADATA


class _Identified(msgspec.Struct):
    id: int | float | str | None = None


class Position(msgspec.Struct, omit_defaults=True):
    """The metadata of a reply: the position of the event that the change made."""

    position: str = ""


class Reply(msgspec.Struct):
    """A result."""

    jsonrpc: str
    result: Any
    id: Id
    metadata: Position | msgspec.UnsetType = msgspec.UNSET


class Failure(msgspec.Struct):
    """An error."""

    jsonrpc: str
    error: dict[str, Any]
    id: Id


_request = msgspec.json.Decoder(Request)
_batch = msgspec.json.Decoder(list[msgspec.Raw])
_raw = msgspec.json.Decoder(msgspec.Raw)
_any = msgspec.json.Decoder()


def check_body(body: bytes) -> None:
    """Raise ParseError for what is not UTF-8 or nests deeper than 64, in linear time and without recursion."""
    try:
        body.isascii() or body.decode()
    except UnicodeDecodeError as error:
        raise ParseError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    brackets = b"".join(unescaped.split(b'"')[::2]).translate(_ONE_BRACKET, _NO_BRACKET)
    for _ in range(DEPTH_MAX):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    raise ParseError(f"the body is not valid JSON, or nests deeper than {DEPTH_MAX}")


def check_text(body: bytes) -> None:
    """Raise InvalidParams for a NUL character, a lone surrogate or a duplicate key anywhere in `body`.

    The quick test counts keys; only a body that it cannot clear is read by the slow one.
    """
    try:
        decoded = _any.decode(body)
    except msgspec.DecodeError as error:
        raise InvalidParams(f"the text cannot be decoded: {error}") from None
    if b"\\u0000" in body or body.count(b'":') != _keys(decoded) or _SPACED_COLON.search(body):
        _refuse_slowly(body)


def _keys(value: Any) -> int:
    if type(value) is dict:
        return len(value) + sum(_keys(each) for each in value.values() if type(each) in (dict, list))
    if type(value) is list:
        return sum(_keys(each) for each in value if type(each) in (dict, list))
    return 0


def _refuse_slowly(body: bytes) -> None:
    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise InvalidParams("an object names the same key twice")
        return members

    decoded = json.loads(body, object_pairs_hook=check)
    if b"\\u0000" in body and "\\u0000" in json.dumps(decoded).replace("\\\\", ""):
        raise InvalidParams("text may not hold the NUL character")


def read_batch(body: bytes) -> list[msgspec.Raw]:
    """Return the requests of a batch, undecoded.

    Raises:
        ParseError: the body is not valid JSON.
        InvalidRequest: the batch is empty or longer than 1,000.
    """
    try:
        requests = _batch.decode(body)
    except msgspec.DecodeError as error:
        raise ParseError(str(error)) from None
    if not 0 < len(requests) <= BATCH_MAX:
        raise InvalidRequest(f"a batch holds 1 to {BATCH_MAX} requests, not {len(requests)}")
    return requests


def read_request(body: bytes | msgspec.Raw) -> Request:
    """Return one request.

    Raises:
        ParseError: the body is not valid JSON.
        InvalidParams: it spells a lone surrogate.
        InvalidRequest: it is JSON but no JSON-RPC 2.0 request.
    """
    try:
        return _request.decode(body)
    except msgspec.ValidationError:
        raise InvalidRequest(told(issues(bytes(body), Request)[0])) from None
    except msgspec.DecodeError as error:
        raise _undecodable(bytes(body), error) from None


def read_params(body: bytes) -> msgspec.Raw:
    """Return what is a body of parameters and nothing else, undecoded; an empty body is an empty object.

    Raises:
        ParseError: the body is not valid JSON.
        InvalidParams: it spells a lone surrogate.
    """
    if not body:
        return EMPTY
    try:
        return _raw.decode(body)
    except msgspec.DecodeError as error:
        raise _undecodable(body, error) from None


def read_metadata(members: dict[str, str], spelt: Mapping[str, str] = NOT_SPELT) -> Metadata:
    """Return the metadata of a call whose members came one by one; `spelt` is what the caller calls them.

    Raises:
        InvalidRequest: a member does not fit.
    """
    try:
        return msgspec.convert(members, Metadata) if members else NO_METADATA
    except msgspec.ValidationError:
        issue = issues(msgspec.json.encode(members), Metadata)[0]
        raise InvalidRequest(told(issue | {"path": spelt.get(issue["path"], issue["path"])})) from None


def _undecodable(body: bytes, error: msgspec.DecodeError) -> ClaudeBenchError:
    """Tell a lone surrogate, which JSON may spell and text may not hold, from what is no JSON."""
    try:
        json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return ParseError(str(error))
    return InvalidParams("text may not hold a lone surrogate")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def read_id(body: bytes | msgspec.Raw) -> Id:
    """Return the id of what is no valid request, or None where it has none."""
    try:
        return msgspec.convert(json.loads(bytes(body).decode()), _Identified).id
    except (ValueError, RecursionError, msgspec.ValidationError):
        return None


def failure(error: ClaudeBenchError, id_: Id) -> Failure:
    """Return the error reply of JSON-RPC."""
    data = {"outcome": error.outcome, **error.data}
    return Failure("2.0", {"code": error.code, "message": error.message, "data": data}, id_)
