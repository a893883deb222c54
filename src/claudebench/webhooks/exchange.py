"""One POST and its answer, over a connection of its own to one address: no redirect, no proxy, no second look.

What comes back is read as far as it is needed: the status, Retry-After, and up to 4 KiB of a body that is no 2xx's, for
which it is waited a second.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httptools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claudebench.webhooks.address import Target

CONNECT_WITHIN_S, TEXT_WITHIN_S = 5.0, 1.0
TEXT_MAX, BYTES_MAX, CHUNK = 4096, 65_536, 4096
INFORMATIONAL, OK, MULTIPLE_CHOICES = 100, 200, 300


class NoAnswer(Exception):
    """A receiver was not reached, or did not answer as HTTP wants it."""


class NoConnection(NoAnswer):
    """A receiver was not reached, so nothing was sent."""


@dataclass(slots=True)
class Reply:
    """What a receiver answered."""

    status: int = 0
    text: bytes = b""
    retry_after: str = ""

    @property
    def is_success(self) -> bool:
        """Whether it took what it was sent."""
        return OK <= self.status < MULTIPLE_CHOICES

    def retry_after_s(self, most_s: float) -> float:
        """Return how long it wants to be left alone, `most_s` at most, 0 when it does not say so."""
        return min(max(_seconds(self.retry_after), 0.0), most_s)


def _seconds(text: str) -> float:
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()


class Reading:
    """An answer on its way; the parser calls it."""

    def __init__(self) -> None:
        """Begin to read."""
        self.reply = Reply()
        self.is_over = False
        self._text = bytearray()
        self._parser = httptools.HttpResponseParser(self)

    def take(self, data: bytes) -> None:
        """Read on.

        Raises:
            NoAnswer: this is no HTTP.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.is_over = True
        except httptools.HttpParserError:
            if not self.reply.status:
                raise NoAnswer("what it answered is no HTTP") from None
            self.is_over = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the one header that counts."""
        if name.lower() == b"retry-after":
            self.reply.retry_after = value[:100].decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        """Note the status; of a success nothing more is needed."""
        status = self._parser.get_status_code()
        if status >= OK:
            self.reply.status = status
            self.is_over = self.reply.is_success

    def on_body(self, data: bytes) -> None:
        """Keep the beginning of the text."""
        self._text += data[: TEXT_MAX - len(self._text)]
        self.reply.text = bytes(self._text)
        self.is_over |= len(self._text) >= TEXT_MAX

    def on_message_complete(self) -> None:
        """End, unless it was only an interim answer."""
        self.is_over |= bool(self.reply.status)


async def post(
    target: Target, address: str, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext | None
) -> Reply:
    """POST a body to a target at one of its addresses, which nobody resolves again.

    Raises:
        NoConnection: nothing was sent.
        NoAnswer: there is no whole answer.
    """
    reader, writer = await _connected(target, address, tls)
    try:
        fixed = {"Host": target.authority, "Content-Length": str(len(body)), "Connection": "close"}
        lines = [f"POST {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in {**fixed, **headers}.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode("ascii") + body)
        return await _answer(reader)
    except OSError as error:
        raise NoAnswer(f"the connection was cut: {_said(error)}") from None
    finally:
        writer.transport.abort()


async def _connected(
    target: Target, address: str, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            if tls is None:
                return await asyncio.open_connection(address, target.port)
            return await asyncio.open_connection(address, target.port, ssl=tls, server_hostname=target.host)
    except TimeoutError:
        raise NoConnection(f"no connection within {CONNECT_WITHIN_S:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise NoConnection(f"its certificate does not count: {error.verify_message}") from None
    except OSError as error:
        raise NoConnection(f"no connection: {_said(error)}") from None


def _said(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason
    return os.strerror(error.errno) if error.errno else type(error).__name__


async def _answer(reader: asyncio.StreamReader) -> Reply:
    reading, left = Reading(), BYTES_MAX
    while not reading.reply.status:
        data = await reader.read(CHUNK)
        left -= len(data)
        if not data or left < 0:
            raise NoAnswer("its answer does not end" if data else "it ended the connection without an answer")
        reading.take(data)
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(TEXT_WITHIN_S):
            while not reading.is_over and (data := await reader.read(CHUNK)):
                reading.take(data)
    return reading.reply
