"""One socket to the store, shared by every call of the process: no pool, no lock, no round trip spent on waiting.

Calls are packed into one buffer and written once per loop turn; replies come back in order and settle the futures of a
first-in-first-out queue. The promises:

- A cancelled call keeps its slot, so the replies after it still find their owners.
- What was never handed to the socket is `not_done`; what was, and got no answer, is `unknown`. Nothing is retried
  blindly: only NOSCRIPT, which says that nothing ran, is answered by sending the script's text in the same slot.
- A new connection serves only after every script is loaded, and, to a store that was started anew or does not say
  whether it was, after what `first` gives has been answered: it may have forgotten what it had acknowledged.
- `generation` counts the connections: what is sent under one number is run in the order in which it was sent.
- A silent store (no reply to the oldest call for `timeout_s`) refuses new calls at once until it speaks again; after
  `silence_max_s` the socket is given up and made anew.
- At most `calls_max` calls wait; one more is refused.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import hiredis

from claudebench.errors import (
    ClaudeBenchError,
    Internal,
    LimitReached,
    SettingsError,
    Unavailable,
)
from claudebench.store.keys import prefix
from claudebench.store.script import ScriptError
from claudebench.store.wire import RETRY_AFTER_MS, Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from claudebench.store.origin import Origin
    from claudebench.store.script import Script, Text
    from claudebench.store.wire import Argument, Words

log = logging.getLogger("claudebench.store")

BACKOFF_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5)
OLDEST_VERSION: Final = (7, 0)
TCP: Final = ("redis", "rediss")
URL_FORM: Final = (
    "redis_url must look like redis://127.0.0.1:6379/0, redis://user:password@host:6379/0 with the password "
    "percent-encoded, the same with rediss:// for TLS, or unix:///path/of/the.sock"
)


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
        self._wire: Wire | None = None
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

    async def _connect(self) -> Wire:
        loop, address = asyncio.get_running_loop(), self.address
        wire = Wire(loop, self._timeout_ns, self._silence_max_ns, self.on_full_disk)
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

    async def _greet(self, wire: Wire) -> None:
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
        if not (run := about.get("run_id", "")) or run != self._store_run:
            for script, workspace, arguments in await self.first():
                await wire.send(("EVALSHA", script.sha, 1, prefix(workspace), *arguments), script.plain, ())
            self._store_run = run

    async def _serve(self, wire: Wire) -> None:
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


async def _nothing() -> list[Any]:
    return []


def _fields(info: bytes) -> dict[str, str]:
    return dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)


def _version(fields: dict[str, str]) -> tuple[int, ...]:
    text = fields.get("valkey_version") or fields.get("redis_version", "0")
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
