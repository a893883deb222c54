"""One socket that hears what is published in the store, for the whole process.

What is published while the socket is down is not heard, and nobody is told of it by the store: who listens learns that
the socket was lost (`on_lost`) and that it hears again. A socket on which nothing comes back, not even the answer to a
`PING`, for `SILENCE_MAX_S` is given up and made anew.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

import hiredis

from claudebench.errors import Unavailable
from claudebench.store.wire import RETRY_AFTER_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.store.connection import Address
    from claudebench.store.wire import Words

    Hear = Callable[[bytes], None]

BACKOFF_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5)
CONNECT_WITHIN_S: Final = 5.0
PING_EVERY_S, SILENCE_MAX_S = 2.0, 6.0
HEARS_WITHIN_S: Final = 5.0
_pack = cast("Callable[[Words], bytes]", hiredis.pack_command)


class PubSub:
    """The channels that a process hears."""

    def __init__(self, address: Address) -> None:
        """Take where the store listens."""
        self._address = address
        self._hears: dict[bytes, Hear] = {}
        self._lost: dict[bytes, Callable[[], None]] = {}
        self._confirmed: dict[bytes, asyncio.Event] = {}
        self._wanted = asyncio.Event()
        self._socket: _Socket | None = None

    async def hear(self, channel: str, hear: Hear, on_lost: Callable[[], None] = lambda: None) -> None:
        """Call `hear` with what is published on a channel from when this returns, `on_lost` when some may be missed.

        Raises:
            Unavailable: the store does not confirm it in time; it is heard as soon as it does.
            ValueError: the channel is heard already.
        """
        name = channel.encode()
        if name in self._hears:
            raise ValueError(f"the channel {channel} is heard already")
        self._hears[name], self._lost[name], self._confirmed[name] = hear, on_lost, asyncio.Event()
        self._wanted.set()
        if self._socket:
            self._socket.say("SUBSCRIBE", name)
        try:
            async with asyncio.timeout(HEARS_WITHIN_S):
                await self._confirmed[name].wait()
        except TimeoutError:
            raise Unavailable("the store does not answer", retryAfterMs=RETRY_AFTER_MS, reason="store") from None

    def leave(self, channel: str) -> None:
        """Hear a channel no more."""
        name = channel.encode()
        if self._hears.pop(name, None) is None:
            return
        del self._lost[name], self._confirmed[name]
        if self._socket:
            self._socket.say("UNSUBSCRIBE", name)

    def hears(self, channel: str) -> bool:
        """Tell whether what is published on a channel now would be heard."""
        confirmed = self._confirmed.get(channel.encode())
        return confirmed is not None and confirmed.is_set()

    async def run(self) -> None:
        """Keep connected until it is cancelled, from the first channel on."""
        await self._wanted.wait()
        attempt = 0
        while True:
            with suppress(OSError, TimeoutError, hiredis.HiredisError):
                await self._connect()
                attempt = 0
            await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
            attempt += 1

    async def _connect(self) -> None:
        """Hear until the socket is lost."""
        loop, address = asyncio.get_running_loop(), self._address
        socket = _Socket(self._take)
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                if address.socket:
                    await loop.create_unix_connection(lambda: socket, address.socket)
                else:
                    await loop.create_connection(lambda: socket, address.host, address.port, ssl=address.tls or None)
            for words in (*address.greeting(), *(("SUBSCRIBE", name) for name in self._hears)):
                socket.say(*words)
            self._socket = socket
            await self._watch(socket)
        finally:
            self._socket = None
            socket.drop()
            for name in list(self._hears):
                self._confirmed[name].clear()
                self._lost[name]()

    async def _watch(self, socket: _Socket) -> None:
        """Wait for the end of a socket; one that is silent is at its end.

        Raises:
            HiredisError: the store refuses, as the password being wrong.
        """
        while not socket.lost.done() and monotonic() - socket.heard_s < SILENCE_MAX_S:
            socket.say("PING")
            await asyncio.wait((socket.lost,), timeout=PING_EVERY_S)

    def _take(self, told: Any) -> None:
        """Pass on what was published, and note what is confirmed."""
        match told:
            case [b"message", bytes(channel), bytes(data)] if hear := self._hears.get(channel):
                hear(data)
            case [b"subscribe", bytes(channel), _] if confirmed := self._confirmed.get(channel):
                confirmed.set()


class _Socket(asyncio.Protocol):
    """One socket's life; the replies to what is not a subscription are nobody's."""

    def __init__(self, take: Callable[[Any], None]) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard_s = monotonic()
        self._take = take
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None

    def say(self, *words: str | bytes | int) -> None:
        """Send one command."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(_pack(words))

    def drop(self) -> None:
        """Give the socket up."""
        if self._transport:
            self._transport.abort()
        self._end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """End (asyncio calls this)."""
        self._end()

    def data_received(self, data: bytes) -> None:
        """Pass on what is whole (asyncio calls this)."""
        self.heard_s = monotonic()
        self._reader.feed(data)
        try:
            while (told := self._reader.gets()) is not False:
                if isinstance(told, hiredis.ReplyError):
                    self.drop()
                    return
                self._take(told)
        except hiredis.ProtocolError:
            self.drop()

    def _end(self) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
