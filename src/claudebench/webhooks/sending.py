"""Sending to a webhook: the URL judged, the name looked up, the body signed, the answer read, all within 15 s."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass, field
from functools import cached_property
from time import time
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.events.model import Event
from claudebench.telemetry.time import iso
from claudebench.webhooks.address import Allowed, Refused, Resolver, addresses_of, target_of
from claudebench.webhooks.exchange import NoAnswer, NoConnection, Reply, post
from claudebench.webhooks.signing import PREFIX, signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.webhooks.address import LookUp, Target
    from claudebench.webhooks.model import Kept

WHOLE_S = 15.0
BODY_MAX, SAID_MAX, TRIED_MAX, PIECE = 1_048_576, 200, 4, 8
PING, AGENT = "webhook.ping", "ClaudeBench"
_SECRET = re.compile(rf"{PREFIX}[A-Za-z0-9+/=_-]*")
_encode = msgspec.json.Encoder().encode


class NotSent(Exception):
    """Something was not sent, or nobody answered; the message names the host and nothing else of the URL."""


class Body(msgspec.Struct):
    """What is POSTed: an event as every door shows it is the `data`."""

    type: str
    timestamp: str
    workspace: str
    data: Event | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A body, and the id under which a receiver knows it."""

    id: str
    body: bytes

    @classmethod
    def of(cls, to: Kept, event: Event, workspace: str) -> Message:
        """Return the message that tells a webhook of an event."""
        return cls(to.message(event.id), _encode(Body(event.type, event.time, workspace, event)))

    @classmethod
    def ping(cls, to: Kept, workspace: str) -> Message:
        """Return a message that only tries whether a receiver is there."""
        at_ms = int(time() * 1000)
        return cls(to.message(f"ping-{at_ms}"), _encode(Body(PING, iso(at_ms), workspace, {"webhook": to.id})))


@dataclass
class Sender:
    """Sends; `mask` hides obvious secrets in what a receiver answers."""

    allowed: Allowed
    mask: Callable[[str], str] = str
    look_up: LookUp = field(default_factory=Resolver)

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """How a receiver's certificate is judged: as this machine judges any."""
        return ssl.create_default_context()

    async def check(self, url: str) -> Target:
        """Return what a URL leads to; a host that the operator allows by its name is not looked up.

        Raises:
            Refused: it may not be a webhook's.
        """
        target = target_of(url)
        if target.host not in self.allowed.hosts:
            await addresses_of(target, self.allowed, self.look_up)
        return target

    async def send(self, to: Kept, message: Message) -> Reply:
        """Send a message and return what was answered.

        Raises:
            NotSent: it may not be sent, or nobody answered.
        """
        if len(message.body) > BODY_MAX:
            raise NotSent(f"the body has {len(message.body)} bytes; at most {BODY_MAX} are sent")
        target = _target(to)
        try:
            async with asyncio.timeout(WHOLE_S):
                return await self._post(target, to, message)
        except TimeoutError:
            raise NotSent(f"{target.authority}: no answer within {WHOLE_S:g} s") from None
        except (Refused, NoAnswer) as error:
            raise NotSent(f"{target.authority}: {error}") from None

    async def _post(self, target: Target, to: Kept, message: Message) -> Reply:
        """Post to the first address that is there."""
        *others, last = (await addresses_of(target, self.allowed, self.look_up))[:TRIED_MAX]
        for address in others:
            try:
                return await self._post_at(target, address, to, message)
            except NoConnection:
                continue
        return await self._post_at(target, last, to, message)

    async def _post_at(self, target: Target, address: str, to: Kept, message: Message) -> Reply:
        headers = {"Content-Type": "application/json", "User-Agent": AGENT}
        headers |= signed(to.secrets, message.id, int(time()), message.body)
        return await post(target, address, headers, message.body, self.tls if target.is_tls else None)

    def said(self, to: Kept, reply: Reply) -> str:
        """Return a refusal in words: host, status, the beginning of the text without secrets."""
        target = _target(to)
        text = _SECRET.sub(f"{PREFIX}***", reply.text.decode("utf-8", "replace"))
        for piece in _pieces(target.path):
            text = text.replace(piece, "***")
        shown = " ".join("".join(each if each.isprintable() else " " for each in text).split())
        said = f": {self.mask(shown)[:SAID_MAX]}" if shown else ""
        return f"{target.authority} answered {reply.status}{said}"


def _pieces(path: str) -> list[str]:
    """Return what of a path with its query may be a secret, the longest first."""
    whole = path.strip("/")
    pieces = {whole, *whole.split("?"), *(each for each in re.split(r"[/?&=;]", path) if len(each) >= PIECE)}
    return sorted(pieces - {""}, key=len, reverse=True)


def _target(to: Kept) -> Target:
    try:
        return target_of(to.doc.url)
    except Refused as error:
        raise NotSent(str(error)) from None
