"""One socket to the store, shared by every call of the process: no pool, no lock, no round trip spent on waiting.

Calls are packed into one buffer and written once per loop turn; replies come back in order and settle the futures of a
first-in-first-out queue. The promises:

- A cancelled call keeps its slot, so the replies after it still find their owners.
- What was never handed to the socket is `not_done`; what was, and got no answer, is `unknown`. Nothing is retried
  blindly: only NOSCRIPT, which says that nothing ran, is answered by sending the script's text in the same slot.
- A new connection serves only after every script is loaded, and, to a store that was started anew, after what `first`
  gives has been answered: it may have forgotten what it had acknowledged.
- `generation` counts the connections: what is sent under one number is run in the order in which it was sent.
- A silent store (no reply to the oldest call for `timeout_s`) refuses new calls at once until it speaks again; after
  `silence_max_s` the socket is given up and made anew.
- At most `calls_max` calls wait; one more is refused.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote, urlsplit

import hiredis

from claudebench.errors import (
    BY_CODE,
    ClaudeBenchError,
    Internal,
    LimitReached,
    Outcome,
    SettingsError,
    TimedOut,
    Unavailable,
)
from claudebench.store.keys import prefix
from claudebench.store.script import ScriptError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from claudebench.store.origin import Origin
    from claudebench.store.script import Script, Text

log = logging.getLogger("claudebench.store")
_pack = cast("Callable[[Words], bytes]", hiredis.pack_command)

Argument = str | bytes | int
Words = tuple[Argument, ...]
RETRY_AFTER_MS: Final = 250
BACKOFF_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5)
WATCH_EVERY_S: Final = 0.05
OLDEST_VERSION: Final = (7, 0)
TCP: Final = ("redis", "rediss")
URL_FORM: Final = (
    "redis_url must look like redis://127.0.0.1:6379/0, redis://user:password@host:6379/0 with the password "
    "percent-encoded, the same with rediss:// for TLS, or unix:///path/of/the.sock"
)
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


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store listens: a unix socket path, or host and port, with optional credentials."""

    socket: str = ""
    host: str = "127.0.0.1"
    port: int = 6379
    username: str = ""
    password: str = ""
    database: int = 0
    tls: bool = False

    @classmethod
    def from_url(cls, url: str) -> Address:
        """Read `redis://[user:password@]host[:port][/db]`, `rediss://...` or `unix:///path`.

        Raises:
            SettingsError: it is none of these; the message shows none of it, since a password may be anywhere in it.
        """
        parts = urlsplit(url)
        try:
            port, database = parts.port or 6379, int(parts.path.strip("/") or 0) if parts.scheme in TCP else 0
        except ValueError:
            raise SettingsError(URL_FORM) from None
        if parts.scheme == "unix" and parts.path.startswith("/") and not parts.hostname:
            return cls(socket=unquote(parts.path), password=unquote(parts.password or ""))
        if parts.scheme not in TCP or "://" not in url or database < 0:
            raise SettingsError(URL_FORM)
        return cls(
            host=parts.hostname or "127.0.0.1",
            port=port,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=database,
            tls=parts.scheme == "rediss",
        )

    def greeting(self) -> list[Words]:
        """Return the commands that a new connection begins with."""
        commands: list[Words] = []
        if self.password or self.username:
            commands.append(("AUTH", self.username or "default", self.password))
        if self.database:
            commands.append(("SELECT", self.database))
        return commands

    def __str__(self) -> str:
        """Show the address without its password."""
        return self.socket or f"{self.host}:{self.port}/{self.database}"


@dataclass(slots=True)
class Call:
    """One command in flight: who waits for its reply, since when, and what to do should the script be unknown."""

    future: asyncio.Future[Any]
    started_ns: int
    script: Text | None
    tail: tuple[Argument, ...]


class Connection:
    """The multiplexed connection of a process to its store."""

    def __init__(
        self,
        address: Address,
        scripts: Sequence[Script] = (),
        *,
        timeout_s: float = 5.0,
        silence_max_s: float = 20.0,
        calls_max: int = 20_000,
    ) -> None:
        """Take the address, the scripts to load on every connect, and the bounds of the module's promises."""
        self.address = address
        self.scripts = tuple(scripts)
        self.version: tuple[int, ...] = ()
        self._served, self._store_run = False, ""
        self._timeout_ns = int(timeout_s * 1e9)
        self._silence_max_ns = int(silence_max_s * 1e9)
        self._calls_max = calls_max
        self._wire: _Wire | None = None
        self._maintainer: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self.generation = 0
        self._cause = ""
        self.refuses_growth: Callable[[], bool] = lambda: False
        self.on_full_disk: Callable[[], None] = lambda: None
        self.on_change: Callable[[str], object] = str
        self.first: Callable[[], Awaitable[list[tuple[Script, str, tuple[Argument, ...]]]]] = _nothing

    @property
    def is_up(self) -> bool:
        """Whether a call would be sent now."""
        return self._wire is not None and not self._wire.silent

    async def open(self, within_s: float = 10.0) -> None:
        """Connect and keep connected until `close`.

        Raises:
            Unavailable: no connection within `within_s` seconds; the message says why.
            SettingsError: the store is older than 7.0.
        """
        self._maintainer = asyncio.create_task(self._maintain(), name="store connection")
        waiter = asyncio.create_task(self._up.wait())
        await asyncio.wait((waiter, self._maintainer), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        if self._maintainer.done():
            self._maintainer.result()
        if self._wire is None:
            await self.close()
            raise Unavailable(f"no store answers at {self.address}: {self._cause or 'silence'}", reason="store")

    async def close(self) -> None:
        """Stop reconnecting and give the socket up; calls in flight end as `unknown`."""
        if self._maintainer:
            self._maintainer.cancel()
            await asyncio.wait((self._maintainer,))
        if self._wire:
            self._wire.drop()
        self._wire = None

    def run(self, script: Script, workspace: str, *arguments: Argument) -> asyncio.Future[Any]:
        """Send one script call; the future holds its reply.

        Raises:
            ClaudeBenchError: in the future, the refusal that the script answered.
            Unavailable: the store is down (`not_done`) or went away unanswered (`unknown`).
            TimedOut: no reply within the time-out (`unknown`).
        """
        script.check_arity(len(arguments))
        return self._run(script, script.plain, workspace, arguments)

    def change(self, script: Script, origin: Origin, *arguments: Argument) -> asyncio.Future[Any]:
        """Send a change; one with an idempotency key happens once. Answers and raises as `run` does."""
        self.on_change(origin.workspace)
        if origin.once is None or script.keyed is None:
            return self.run(script, origin.workspace, *origin.head, *arguments)
        script.check_arity(len(origin.head) + len(arguments))
        return self._run(script, script.keyed, origin.workspace, (*origin.head, *arguments, *origin.once))

    def _run(self, script: Script, text: Text, workspace: str, arguments: Words) -> asyncio.Future[Any]:
        if script.grows and self.refuses_growth():
            raise LimitReached("the disk is nearly full; what would add to it is refused", reason="disk")
        tail = (1, prefix(workspace), *arguments)
        return self._send(("EVALSHA", text.sha, *tail), text, tail)

    async def learn(self, scripts: Sequence[Script]) -> None:
        """Take further scripts; like the first ones they are loaded on every connection from now on.

        Raises:
            ScriptError: one is no Lua; the message is the store's.
        """
        for script in scripts:
            for text in script.texts:
                try:
                    await self.command("SCRIPT", "LOAD", text.text)
                except Internal as error:
                    raise ScriptError(f"{script.title}: {error.__cause__}") from None
        self.scripts += tuple(scripts)

    def command(self, *words: Argument) -> asyncio.Future[Any]:
        """Send one plain command of the store itself, such as INFO."""
        return self._send(words, None, ())

    def _send(self, words: Words, script: Text | None, tail: tuple[Argument, ...]) -> asyncio.Future[Any]:
        wire = self._wire
        if wire is None or wire.silent:
            raise Unavailable("the store does not answer", retryAfterMs=RETRY_AFTER_MS, reason="store")
        if len(wire.calls) >= self._calls_max:
            raise Unavailable("too many calls wait for the store", retryAfterMs=RETRY_AFTER_MS, reason="backlog")
        return wire.send(words, script, tail)

    async def _maintain(self) -> None:
        attempt = 0
        while True:
            try:
                wire = await self._connect()
                attempt = 0
                await self._serve(wire)
            except (OSError, ClaudeBenchError, hiredis.HiredisError, TimeoutError) as error:
                if isinstance(error, SettingsError) and not self._served:
                    raise
                if (told := self._told(error)) != self._cause:
                    log.warning("no connection to the store at %s: %s", self.address, told)
                self._cause = told
            await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
            attempt += 1

    def _told(self, error: BaseException) -> str:
        """Return why there is no connection, and what it may be."""
        said = str(error) or f"no answer in {self._timeout_ns / 1e9:g} s"
        if self.address.socket or (isinstance(error, OSError) and error.errno):
            return said
        return f"{said}; {'does it speak TLS?' if self.address.tls else 'is it a Redis, without TLS?'}"

    async def _connect(self) -> _Wire:
        loop, address = asyncio.get_running_loop(), self.address
        wire = _Wire(loop, self._timeout_ns, self._silence_max_ns, self.on_full_disk)
        try:
            async with asyncio.timeout(self._timeout_ns / 1e9):
                if address.socket:
                    await loop.create_unix_connection(lambda: wire, address.socket)
                else:
                    await loop.create_connection(lambda: wire, address.host, address.port, ssl=address.tls or None)
                await self._greet(wire)
        except BaseException:
            wire.drop()
            raise
        return wire

    async def _greet(self, wire: _Wire) -> None:
        try:
            for words in self.address.greeting():
                await wire.send(words, None, ())
            about = _fields(await wire.send(("INFO", "server"), None, ()))
        except Unavailable as error:
            if error.data.get("reason") == "login":
                raise SettingsError(f"the store at {self.address} does not let this server in: {error}") from None
            raise
        self.version = _version(about)
        if self.version < OLDEST_VERSION:
            raise SettingsError(f"the store at {self.address} is {_dotted(self.version)}; 7.0 or newer is needed")
        texts = [text for script in self.scripts for text in script.texts]
        shas = await asyncio.gather(*(wire.send(("SCRIPT", "LOAD", each.text), None, ()) for each in texts))
        for text, sha in zip(texts, shas, strict=True):
            if sha.decode() != text.sha:
                raise Internal(f"the store hashes a script to {sha!r}, not to {text.sha}")
        if (run := about.get("run_id", "")) != self._store_run:
            for script, workspace, arguments in await self.first():
                await wire.send(("EVALSHA", script.sha, 1, prefix(workspace), *arguments), script.plain, ())
            self._store_run = run

    async def _serve(self, wire: _Wire) -> None:
        self._wire, self._served = wire, True
        self.generation += 1
        self._up.set()
        try:
            await wire.lost
        finally:
            self._up.clear()
            self._wire = None
            wire.drop()
        log.warning("the connection to the store was lost")


class _Wire(asyncio.Protocol):
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


async def _nothing() -> list[Any]:
    return []


def _fields(info: bytes) -> dict[str, str]:
    return dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)


def _version(fields: dict[str, str]) -> tuple[int, ...]:
    text = fields.get("valkey_version") or fields.get("redis_version", "0")
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
