"""The wire to the store: one socket's life, what is asked of it and answered, and what each refusal means."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, cast

import hiredis

from claudebench.errors import (
    BY_CODE,
    ClaudeBenchError,
    Internal,
    LimitReached,
    TimedOut,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.errors import Outcome
    from claudebench.store.script import Text

log = logging.getLogger("claudebench.store")
_pack = cast("Callable[[Words], bytes]", hiredis.pack_command)

Argument = str | bytes | int
Words = tuple[Argument, ...]
RETRY_AFTER_MS: Final = 250
WATCH_EVERY_S: Final = 0.05
_REFUSALS: Final = (
    "LOADING",
    "BUSY",
    "READONLY",
    "MOVED",
    "ASK",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "NOREPLICAS",
)

_LOGIN: Final = {
    "NOAUTH": "it wants a password, and redis_url names none; write redis://:PASSWORD@host or redis://USER:PASSWORD@host",
    "WRONGPASS": "user or password of redis_url is wrong; a password there is percent-encoded",
    "ERR invalid password": "the password of redis_url is wrong",
    "ERR AUTH": "it has no password, and redis_url names one",
    "ERR Client sent AUTH": "it has no password, and redis_url names one",
    "NOPERM": "its user lacks a permission",
    "ERR DB index": "it does not have the database that redis_url names",
    "ERR SELECT is not allowed": "it is a cluster, which has only database 0",
}


@dataclass(slots=True)
class Call:
    """One command in flight: who waits for its reply, since when, and what to do should the script be unknown."""

    future: asyncio.Future[Any]
    started_ns: int
    script: Text | None
    tail: tuple[Argument, ...]


class Wire(asyncio.Protocol):
    """One socket's life: the queue of calls, the buffer not yet written, the watch over the oldest call."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeout_ns: int,
        silence_max_ns: int,
        on_full_disk: Callable[[], None],
    ) -> None:
        self.loop = loop
        self._on_full_disk = on_full_disk
        self.lost: asyncio.Future[None] = loop.create_future()
        self.calls: deque[Call] = deque()
        self.silent = False
        self._timeout_ns, self._silence_max_ns = timeout_ns, silence_max_ns
        self._heard_ns = 0
        self._reader = hiredis.Reader()
        self._buffer: list[bytes] = []
        self._flush_due = False
        self._writable = True
        self._transport: asyncio.Transport | None = None
        self._watch_handle: asyncio.TimerHandle | None = None

    def send(self, words: Words, script: Text | None, tail: tuple[Argument, ...]) -> asyncio.Future[Any]:
        """Queue one command; it is written at the end of this loop turn. What cannot be packed takes no slot."""
        packed = _pack(words)
        call = Call(self.loop.create_future(), perf_counter_ns(), script, tail)
        self.calls.append(call)
        self._buffer.append(packed)
        if not self._flush_due:
            self._flush_due = True
            self.loop.call_soon(self._flush)
        return call.future

    def drop(self) -> None:
        """Give the socket up; every call still waiting learns its outcome."""
        if self._transport:
            self._transport.abort()
        self._end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to watch (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)
        self._watch_handle = self.loop.call_later(WATCH_EVERY_S, self._watch)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """Settle what waits (asyncio calls this)."""
        self._end()

    def pause_writing(self) -> None:
        """Hold the buffer back: the socket is full (asyncio calls this)."""
        self._writable = False

    def resume_writing(self) -> None:
        """Write what was held back (asyncio calls this)."""
        self._writable = True
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Settle the calls whose replies are whole (asyncio calls this)."""
        self.silent = False
        self._reader.feed(data)
        now = perf_counter_ns()
        self._heard_ns = now
        try:
            while (reply := self._reader.gets()) is not False:
                self._settle(self.calls.popleft(), reply, now)
        except (hiredis.ProtocolError, IndexError) as error:
            log.error("the store speaks no RESP: %s", error)  # noqa: TRY400 - a peer's fault, not ours
            self.drop()

    def _flush(self) -> None:
        self._flush_due = False
        if self._buffer and self._writable and self._transport and not self._transport.is_closing():
            data = b"".join(self._buffer)
            self._buffer.clear()
            self._transport.write(data)

    def _settle(self, call: Call, reply: Any, now: int) -> None:
        if isinstance(reply, hiredis.ReplyError) and call.script and str(reply).startswith("NOSCRIPT"):
            self._resend(call, call.script)
            return
        if call.script:
            call.script.latency.record((now - call.started_ns) // 1000)
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("MISCONF"):
            self._on_full_disk()
        if call.future.done():
            return
        error = _refusal(reply)
        if error is None:
            call.future.set_result(reply)
        else:
            call.future.set_exception(error)

    def _resend(self, call: Call, script: Text) -> None:
        self.calls.append(call)
        self._buffer.append(_pack(("EVAL", script.text, *call.tail)))
        self._flush()

    def _watch(self) -> None:
        now = perf_counter_ns()
        for call in self.calls:
            if now - call.started_ns < self._timeout_ns:
                break
            self.silent = True
            _fail(call, TimedOut("the store did not answer in time", outcome="unknown"))
        if self.silent and now - max(self._heard_ns, self.calls[0].started_ns) > self._silence_max_ns:
            self.drop()
        else:
            self._watch_handle = self.loop.call_later(WATCH_EVERY_S, self._watch)

    def _end(self) -> None:
        if self._watch_handle:
            self._watch_handle.cancel()
        unsent = len(self._buffer)
        sent = len(self.calls) - unsent
        for at, call in enumerate(self.calls):
            outcome: Outcome = "unknown" if at < sent else "not_done"
            _fail(
                call, Unavailable("the store went away", outcome=outcome, retryAfterMs=RETRY_AFTER_MS, reason="store")
            )
        self.calls.clear()
        self._buffer.clear()
        if not self.lost.done():
            self.lost.set_result(None)


def _fail(call: Call, error: ClaudeBenchError) -> None:
    if not call.future.done():
        call.future.set_exception(error)


def _refusal(reply: Any) -> ClaudeBenchError | None:
    if isinstance(reply, hiredis.ReplyError):
        return _engine_refusal(str(reply))
    if type(reply) is list and reply and type(reply[0]) is int and reply[0] < 0:
        return _script_refusal(reply)
    return None


def _script_refusal(reply: list[Any]) -> ClaudeBenchError:
    try:
        message, *pairs = (each.decode() if isinstance(each, bytes) else each for each in reply[1:])
        return BY_CODE[reply[0]](message, **dict(zip(pairs[::2], pairs[1::2], strict=True)))
    except (KeyError, TypeError, ValueError):
        return unexpected(f"what is neither a reply nor a refusal: {reply!r:.200}")


def _engine_refusal(text: str) -> ClaudeBenchError:
    word = text.split(" ", 1)[0]
    if word == "OOM":
        return LimitReached("the store's memory is full", reason="memory")
    if word == "MISCONF":
        return LimitReached("the store cannot write to its disk", reason="disk")
    if said := next((said for begins, said in _LOGIN.items() if text.startswith(begins)), ""):
        return Unavailable(f"{said} ({text})", retryAfterMs=RETRY_AFTER_MS, reason="login")
    if word in _REFUSALS:
        return Unavailable(f"the store refuses for now: {text}", retryAfterMs=RETRY_AFTER_MS, reason=word.lower())
    if word == "WRONGTYPE":
        return Unavailable("the store holds another layout than this server knows", outcome="unknown", reason="format")
    return unexpected(text)


def unexpected(text: str) -> Internal:
    """Return the error for an answer that no right script gets; the log has the answer itself."""
    reference = secrets.token_hex(4)
    log.error("the store answered %s (reference %s)", text, reference)
    error = Internal(reference=reference, outcome="unknown")
    error.__cause__ = hiredis.ReplyError(text)
    return error
