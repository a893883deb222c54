"""What is said over `/ws`: text frames, one JSON object each, told apart by `type`.

A client says `subscribe`, `unsubscribe`, `execute` or `ping`; the server says `welcome` first and then answers, and
tells events. Everything is answered in order, but commands, whose answers come when they are done, under their id.

- Patterns: `*` is every event, `task.*` every event of a kind, `task.created` one type; at most 100 a socket. Each
  `subscribe` adds some, each `unsubscribe` takes some away; both are answered `subscribed` with what is then wanted.
- The first subscription may say `from`: events behind that position come first, as far back as the log reaches, and
  then what happens. Without it they begin `at` the position that the answer names. A client that remembers the id of
  the last event it saw, or the `at` of the last `pong`, and says it as `from` on its next socket, to whichever server
  of the fleet, gets every event once and in order.
- `gap`: events behind `from` cannot be told. Either they were cut from the log (everything up to `trimmed`), or the log
  ends at `last` and what was told behind that is no longer in it: the store came back older than it was. What follows
  goes on from there. Read what you care for anew.
- `lagged`: the socket did not take what it was sent, fell 10,000 events behind or took nothing for 30 s, or had 1 MiB
  of answers waiting. It has everything up to `at`, and is closed with 4000. Connect again with `from`.
- `execute` carries a JSON-RPC 2.0 request or batch, and is answered as `POST /rpc` answers, in a `response`; a
  notification is not answered. A bare JSON-RPC request is understood too and answered bare. At most 16 of a socket run
  at once; further frames wait unread.
- `error`: the frame was not understood or not let through; nothing was done.
- The former speech, `{"action": "subscribe", "events": [...]}`, is understood and answered in this one; its `execute`
  is answered bare, as it was.

A frame has at most 1 MiB (else: closed with 1009) and is text (binary: `error`). The server pings every 20 s. It closes
with 1001 when it stops, 4000 after `lagged`. A program sends its token as `Authorization: Bearer TOKEN`; a page in a
browser, which cannot, offers the subprotocols `claudebench` and `bearer.` + base64url(TOKEN) without padding. It is not
taken from the address, which ends in logs and histories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from claudebench.errors import ClaudeBenchError, InvalidRequest, ParseError
from claudebench.events.position import SHAPE
from claudebench.rpc import envelope
from claudebench.transports.response import encode
from claudebench.transports.wire import text_frame

if TYPE_CHECKING:
    from claudebench.events.ring import Frame

Position = Annotated[str, msgspec.Meta(pattern=SHAPE, description="the id of an event")]
MESSAGE_MAX = 300


class _Said(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag=str.lower):
    """What a client says."""


class Subscribe(_Said):
    """Adds patterns; `from` begins behind a position, and goes with the first ones only."""

    patterns: list[str]
    begin: Position | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="from")


class Unsubscribe(_Said):
    """Takes patterns away; without any, all."""

    patterns: list[str] = []


class Execute(_Said):
    """Runs a command, or a batch of them, as `POST /rpc` does."""

    request: msgspec.Raw


class Ping(_Said):
    """Asks for a sign of life, and how far the socket is."""


class _Told(msgspec.Struct, omit_defaults=True, tag_field="type", tag=str.lower):
    """What the server says."""


class Welcome(_Told):
    """The first frame: whose events these will be, the newest position of the log, who speaks."""

    workspace: str
    position: str
    version: str


class Subscribed(_Told):
    """What is wanted from now on, and the position behind which the next event lies ('' with no pattern)."""

    patterns: list[str]
    at: str


class Event(_Told):
    """An event, as `event.list` shows it."""

    event: dict[str, Any]


class Response(_Told):
    """The answer to `execute`: what `POST /rpc` answers."""

    response: dict[str, Any] | list[dict[str, Any]]


class Pong(_Told):
    """The answer to `ping`: everything wanted up to `at` was sent before it ('' with no pattern)."""

    at: str


class Gap(_Told):
    """Events behind `from` cannot be told: cut up to `trimmed`, or not in a log that ends at `last`."""

    begin: str = msgspec.field(name="from")
    trimmed: str = ""
    last: str = ""


class Lagged(_Told):
    """The socket did not take what it was sent; it has everything up to `at`."""

    at: str


class Error(_Told):
    """The frame did nothing; the error is that of JSON-RPC: `code`, `message`, `data`."""

    error: dict[str, Any]


SAID = (Subscribe, Unsubscribe, Execute, Ping)
TOLD = (Welcome, Subscribed, Event, Response, Pong, Gap, Lagged, Error)
Said = Subscribe | Unsubscribe | Execute | Ping


class Bare(msgspec.Struct):
    """A JSON-RPC request or batch without a frame around it."""

    request: bytes


class _Shape(msgspec.Struct):
    type: Any = msgspec.UNSET
    action: Any = msgspec.UNSET
    jsonrpc: Any = msgspec.UNSET


class _Former(msgspec.Struct):
    """What clients of the 2025 server say."""

    action: Literal["subscribe", "unsubscribe", "execute", "ping"]
    events: list[str] = []
    request: msgspec.Raw = envelope.EMPTY


_said: msgspec.json.Decoder[Said] = msgspec.json.Decoder(Said)
_shape = msgspec.json.Decoder(_Shape)
_former = msgspec.json.Decoder(_Former)


def read(text: bytes) -> Said | Bare:
    """Return what a client said.

    Raises:
        ParseError: it is not JSON, or nests deeper than 64.
        InvalidRequest: it is no frame of these.
    """
    envelope.check_body(text)
    if text.lstrip()[:1] == b"[":
        return Bare(text)
    try:
        shape = _shape.decode(text)
        if shape.type is not msgspec.UNSET:
            return _said.decode(text)
        if shape.action is not msgspec.UNSET:
            return _translated(_former.decode(text))
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"no frame that is known: {str(error)[:MESSAGE_MAX]}") from None
    except msgspec.DecodeError as error:
        raise ParseError(str(error)[:MESSAGE_MAX]) from None
    if shape.jsonrpc is not msgspec.UNSET:
        return Bare(text)
    raise InvalidRequest("a frame says its `type`: subscribe, unsubscribe, execute or ping")


def _translated(former: _Former) -> Said | Bare:
    if former.action == "subscribe":
        return Subscribe(former.events)
    if former.action == "unsubscribe":
        return Unsubscribe(former.events)
    return Ping() if former.action == "ping" else Bare(bytes(former.request))


def written(told: _Told) -> bytes:
    """Return what the server says as a frame on the wire."""
    return text_frame(encode(told))


def event(frame: Frame) -> bytes:
    """Return an event as a frame on the wire."""
    return text_frame(b'{"type":"event","event":%b}' % frame.json)


def response(answer: bytes) -> bytes:
    """Return the answer to a command as a frame on the wire."""
    return text_frame(b'{"type":"response","response":%b}' % answer)


def error(refused: ClaudeBenchError) -> bytes:
    """Return a refusal as a frame on the wire."""
    return written(Error(envelope.failure(refused, None).error))
