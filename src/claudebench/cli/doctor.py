"""`claudebench doctor`: everything that a server stands on, looked at and left as it is.

Each check is a function that returns what it saw. What fails in a check is a finding too, never the end of the others.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import platform
import re
import resource
import shlex
import shutil
import socket
import time
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from claudebench import __version__
from claudebench.cli import show
from claudebench.cli.client import connect
from claudebench.cli.options import DEFAULT_URL
from claudebench.errors import ClaudeBenchError, SettingsError, Unavailable
from claudebench.settings import DEFAULT, Settings, load, sources
from claudebench.store.connection import Address, Connection
from claudebench.store.datadir import DataDir
from claudebench.store.engine import find_engine, memory_bytes
from claudebench.store.reserve import MARGIN_BYTES, RESERVE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from claudebench.store.appendonly import Damage
    from claudebench.store.datadir import Holder

Level = Literal["ok", "note", "bad"]
MB = 2**20
CLIENT_WITHIN_S = 5.0
STORE_WITHIN_S = 3.0
DISK_BAD, DISK_NOTE = MARGIN_BYTES + RESERVE_BYTES, 1024 * MB
MEMORY_BAD, MEMORY_NOTE = 128 * MB, 512 * MB
FILES_BAD, FILES_NOTE = 256, 1024
CLOCK_BAD_S, CLOCK_NOTE_S = 5.0, 0.5
OURS_ONLY = 0o077
_REQUIREMENT = re.compile(r"([\w.-]+)>=([\d.]+)$")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw, why it matters, and what to type when it is not as it should be."""

    level: Level
    name: str
    seen: str
    why: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What a store says of itself."""

    engine: str
    latency_ms: float
    ahead_s: float
    config: dict[str, str]


@dataclass
class Site:
    """The set-up that is looked at: settings, the holder of the data directory, the store under it."""

    asked: str
    token_file: Path | None
    settings: Settings = field(default_factory=load)

    @property
    def url(self) -> str:
        """Where a server should answer: the address asked for, else that of the holder of the data directory."""
        held = self.holder.url if self.holder and self.asked == DEFAULT_URL else None
        return held or self.asked

    @cached_property
    def holder(self) -> Holder | None:
        """Who holds the data directory."""
        return DataDir(self.settings.data_dir).look()

    @cached_property
    def health(self) -> dict[str, Any]:
        """What the server says of its own health; Unavailable when none answers."""
        client = connect(self.url, token_file=self.token_file)
        answer: dict[str, Any] = client.call("system.health")
        return answer

    @cached_property
    def address(self) -> Address | None:
        """Where the store listens, None when no server runs that would have one."""
        if self.settings.redis_url:
            return Address.from_url(self.settings.redis_url)
        return Address(socket=self.holder.store_socket) if self.holder and self.holder.store_socket else None

    @cached_property
    def store(self) -> StoreFacts | ClaudeBenchError | None:
        """What the store says of itself, why it does not, or None when there is none to ask."""
        try:
            return asyncio.run(_ask(self.address)) if self.address else None
        except ClaudeBenchError as error:
            return error


def run(url: str, token_file: Path | None, *, json: bool) -> int:
    """Print every finding; return 1 if one is bad."""
    logging.disable(logging.CRITICAL)
    found = look(url, token_file)
    bad = any(each.level == "bad" for each in found)
    if json:
        show.as_json({"ok": not bad, "checks": [asdict(each) for each in found]})
    else:
        rows = ((each.level, each.name, each.seen, each.why, each.type) for each in found)
        show.table(("level", "check", "seen", "why it matters", "type"), rows, fold=3)
    return 1 if bad else 0


def look(url: str, token_file: Path | None) -> list[Finding]:
    """Return what every check found; where settings cannot be read, those that need none."""
    machine = [_found(check) for check in (python, packages, open_files, memory)]
    try:
        site = Site(url, token_file)
    except SettingsError as error:
        why = "a server would not start, and what depends on the settings was not looked at"
        return [Finding("bad", "settings", error.message, why, "claudebench config show"), *machine]
    return [*(_found(check, site) for check in CHECKS), *machine]


def _found(check: Callable[..., Finding], *given: Site) -> Finding:
    try:
        return check(*given)
    except (ClaudeBenchError, OSError, ValueError, KeyError) as error:
        name = check.__name__.replace("_", " ")
        said = error.message if isinstance(error, ClaudeBenchError) else str(error)
        return Finding("bad", name, said, f"this check failed: {str(check.__doc__).rstrip('.').lower()}")


# -- the set-up


def settings(site: Site) -> Finding:
    """Settings that can be read."""
    memory_bytes(site.settings.max_memory)
    given = [f"{name} ({source})" for name, source in sources().items() if source != DEFAULT]
    return Finding("ok", "settings", ", ".join(given) or "all defaults", "what a server started here would take")


def data_dir(site: Site) -> Finding:
    """A data directory that is ours to write, and no one else's to read."""
    path, why = site.settings.data_dir, "the store, the lock and the operator's token lie there"
    if not path.exists():
        return _creatable(path, why)
    if not path.is_dir():
        return Finding("bad", "data dir", f"{path} is no folder", why, _move_away(path))
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Finding("bad", "data dir", f"{path} cannot be written", why, f"chown -R $USER {path}")
    looked_at = [path, path / "token"] if (path / "token").is_file() else [path]
    open_to = [each for each in looked_at if each.stat().st_mode & OURS_ONLY]
    if path / "token" in open_to:
        return Finding("bad", "data dir", f"others can read {path}/token", why, f"chmod 600 {path}/token")
    if open_to:
        return Finding("note", "data dir", f"others can enter {path}", why, f"chmod 700 {path}")
    return Finding("ok", "data dir", str(path), why)


def _creatable(path: Path, why: str) -> Finding:
    parent = _existing(path)
    if os.access(parent, os.W_OK | os.X_OK) and parent.is_dir():
        return Finding("ok", "data dir", f"{path} will be made", why)
    seen = f"{path} is not there, and nothing can be made in {parent}"
    return Finding("bad", "data dir", seen, why, "claudebench up --data-dir OTHER")


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())


def _move_away(path: Path) -> str:
    return f"mv {path} {path}.aside"


def token(site: Site) -> Finding:
    """An operator's token that can be read, or none yet."""
    path, why = site.settings.data_dir / "token", "it proves who the operator is, and no server starts on a broken one"
    if not path.exists():
        return Finding("ok", "token", "it will be made", why)
    if not path.is_file():
        return Finding("bad", "token", f"{path} is no file", why, _move_away(path))
    if not path.read_bytes().strip():
        return Finding("bad", "token", f"{path} is empty", why, f"rm {path}")
    return Finding("ok", "token", str(path), why)


def data(site: Site) -> Finding:
    """Data that a store can start from."""
    folder, why = DataDir(site.settings.data_dir), "a start on data that is not whole is refused"
    if site.settings.redis_url:
        return Finding("ok", "data", "in the store of the redis_url", why)
    if not folder.path.is_dir():
        return Finding("ok", "data", "none yet", why)
    try:
        folder.admit(find_engine())
        folder.miss_nothing()
    except ClaudeBenchError as error:
        return Finding("bad", "data", error.message, why, _mends(error.message, site.holder))
    if site.holder is None and (found := folder.damage()):
        seen = f"{found}; cut there, what is behind it is lost"
        return Finding("bad", "data", seen, why, _cut(found))
    return Finding("ok", "data", "no file is missing", why)


def _cut(found: Damage) -> str:
    folder = shlex.quote(str(found.path.parent))
    file = shlex.quote(str(found.path))
    return f"cp -r {folder} {folder}.damaged && truncate -s {found.whole_bytes} {file}"


def _mends(message: str, holder: Holder | None) -> str:
    """Return the command that a refusal names; a store that still runs has everything, and can write it anew."""
    if holder and holder.store_socket:
        return f"redis-cli -s {holder.store_socket} BGREWRITEAOF, before the server ends"
    return message.partition("`")[2].partition("`")[0]


def lock(site: Site) -> Finding:
    """One server at most on the data directory."""
    why = "one server writes to a data directory, never two"
    for path in (site.settings.data_dir / name for name in ("lock", "store.lock")):
        if path.is_dir():
            return Finding("bad", "lock", f"{path} is a folder", why, _move_away(path))
    if site.holder is None:
        return Finding("ok", "lock", "held by nobody", why)
    where = f" and answers at {site.holder.url}" if site.holder.url else ""
    return Finding("ok", "lock", f"server {site.holder.pid} holds it{where}", why)


def disk(site: Site) -> Finding:
    """Room on the disk of the data directory."""
    free = shutil.disk_usage(_existing(site.settings.data_dir)).free
    level = _level(free, DISK_BAD, DISK_NOTE)
    why = f"below {MARGIN_BYTES // MB} MB free, whatever would grow the store is refused"
    return Finding(level, "disk", f"{free // MB:,} MB free", why, _unless_ok(level, "claudebench up --data-dir OTHER"))


def port(site: Site) -> Finding:
    """A port that is free, or ours."""
    host, number = site.settings.host, site.settings.port
    at, why = f"{host}:{number}", "a server listens there"
    if site.holder and site.holder.url and site.holder.url.endswith(f":{number}"):
        return Finding("ok", "port", f"{at} is this server's", why)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, number))
        except OSError as error:
            seen = "another program has it" if error.errno == errno.EADDRINUSE else str(error.strerror)
            return Finding("bad", "port", f"{at}: {seen}", why, "claudebench up --port 0")
    return Finding("ok", "port", f"{at} is free", why)


# -- the server and its store


def server(site: Site) -> Finding:
    """A server that answers and is well."""
    why = "agents and this command line ask it"
    try:
        health = site.health
    except Unavailable as error:
        expected = site.holder is not None or site.url != DEFAULT_URL
        return Finding("bad" if expected else "note", "server", error.message, why, "claudebench up")
    failing = [name for name, well in health["services"].items() if not well]
    if failing:
        remedy = "claudebench event lag" if failing == ["log"] else f"curl {site.url}/health"
        return Finding("bad", "server", f"{health['status']}: {', '.join(failing)}", why, remedy)
    if health["version"] != __version__:
        seen = f"{site.url} is version {health['version']}, this is {__version__}"
        return Finding("note", "server", seen, why, "restart it: claudebench up")
    return Finding("ok", "server", f"{site.url} is {health['status']}, durability {health['durability']}", why)


def store(site: Site) -> Finding:
    """A store that answers, or an engine to start one with."""
    why = "it holds everything; 7.0 or newer is needed"
    facts = site.store
    if facts is None:
        return Finding("ok", "store", f"{find_engine()} starts with the server", why)
    if isinstance(facts, ClaudeBenchError):
        type_ = "" if site.settings.redis_url else "restart the server: claudebench up"
        return Finding("bad", "store", facts.message, why, type_ or "claudebench config show, for the redis_url")
    return Finding("ok", "store", f"{facts.engine} answers in {facts.latency_ms:.1f} ms", why)


def durability(site: Site) -> Finding:
    """What a power loss costs."""
    why = "it decides what a power loss costs"
    if not site.settings.redis_url:
        told = site.health["durability"] if site.holder and site.holder.url == site.url else site.settings.durability
        return Finding("ok", "durability", told, why)
    config = site.store.config if isinstance(site.store, StoreFacts) else {}
    if config.get("maxmemory-policy", "noeviction") != "noeviction":
        seen = f"maxmemory-policy {config['maxmemory-policy']}: the store drops keys when its memory is full"
        return Finding("bad", "durability", seen, "tasks would be lost", "CONFIG SET maxmemory-policy noeviction")
    if config.get("appendonly") == "no":
        seen = "appendonly no: what is newer than the last snapshot is lost when the store ends"
        return Finding("bad", "durability", seen, "tasks would be lost", "CONFIG SET appendonly yes")
    if "appendonly" not in config:
        return Finding("note", "durability", "the store does not tell its configuration", why)
    return Finding("ok", "durability", f"appendonly yes, appendfsync {config['appendfsync']}", why)


def clock(site: Site) -> Finding:
    """The store's clock against ours."""
    why = "the store's clock decides when a lease is over and who is dead"
    if site.store is None:
        return Finding("ok", "clock", "it will be this machine's", why)
    if isinstance(site.store, ClaudeBenchError):
        return Finding("note", "clock", "not known, since the store does not answer", why)
    away_s = site.store.ahead_s
    level: Level = "bad" if abs(away_s) > CLOCK_BAD_S else "note" if abs(away_s) > CLOCK_NOTE_S else "ok"
    seen = f"the store's is {abs(away_s):.3f} s {'ahead' if away_s > 0 else 'behind'}"
    return Finding(level, "clock", seen, why, _unless_ok(level, "timedatectl set-ntp true (on both machines)"))


async def _ask(address: Address) -> StoreFacts:
    connection = Connection(address, timeout_s=STORE_WITHIN_S)
    await connection.open(STORE_WITHIN_S)
    try:
        began, clock_s = time.perf_counter(), time.time()
        seconds, micros = await connection.command("TIME")
        latency_s = time.perf_counter() - began
        ahead_s = int(seconds) + int(micros) / 1e6 - clock_s - latency_s / 2
        name = "valkey" if b"valkey_version" in await connection.command("INFO", "server") else "redis"
        version = ".".join(map(str, connection.version))
        return StoreFacts(f"{name} {version}", latency_s * 1e3, ahead_s, await _config(connection))
    finally:
        await connection.close()


async def _config(connection: Connection) -> dict[str, str]:
    """Return the store's configuration, as far as it tells it."""
    try:
        told = [each.decode() for each in await connection.command("CONFIG", "GET", "*")]
    except ClaudeBenchError:
        return {}
    return dict(zip(told[::2], told[1::2], strict=True))


# -- the machine


def python() -> Finding:
    """A Python that is new enough."""
    return Finding("ok", "python", f"{platform.python_version()}, claudebench {__version__}", "3.11 or newer is needed")


def packages() -> Finding:
    """The packages that are needed, new enough."""
    why = "an older package may lack what is used of it"
    needed = [found.groups() for each in metadata.requires("claudebench") or () if (found := _REQUIREMENT.match(each))]
    wrong = [f"{name}>={least}" for name, least in needed if not _is_there(name, least)]
    if wrong:
        quoted = " ".join(f"'{each}'" for each in wrong)
        return Finding("bad", "packages", f"missing or too old: {', '.join(wrong)}", why, f"pip install {quoted}")
    return Finding("ok", "packages", ", ".join(f"{name} {metadata.version(name)}" for name, _ in needed), why)


def _is_there(name: str, least: str) -> bool:
    try:
        return _numbers(metadata.version(name)) >= _numbers(least)
    except metadata.PackageNotFoundError:
        return False


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version))


def open_files() -> Finding:
    """Enough files that may be open."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    level = _level(most if most != resource.RLIM_INFINITY else FILES_NOTE, FILES_BAD, FILES_NOTE)
    why = "each connection is an open file"
    return Finding(level, "open files", f"at most {most:,}", why, _unless_ok(level, "ulimit -n 4096"))


def memory() -> Finding:
    """Enough memory."""
    free = min(_memory_free())
    level = _level(free, MEMORY_BAD, MEMORY_NOTE)
    why = "the store keeps everything in memory: about 0.55 KB a task"
    return Finding(
        level, "memory", f"{free // MB:,} MB free", why, _unless_ok(level, "claudebench up --max-memory 64mb")
    )


def _memory_free() -> Iterable[int]:
    """Yield what is free by the kernel's word, and by the control group's, where they tell."""
    told = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _text("/proc/meminfo"), re.MULTILINE))
    yield int(told["MemAvailable"]) * 1024 if "MemAvailable" in told else MEMORY_NOTE
    most, used = _text("/sys/fs/cgroup/memory.max").strip(), _text("/sys/fs/cgroup/memory.current").strip()
    if most.isdigit() and used.isdigit():
        yield int(most) - int(used)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""


def _level(value: int, bad: int, noted: int) -> Level:
    return "bad" if value < bad else "note" if value < noted else "ok"


def _unless_ok(level: Level, line: str) -> str:
    return "" if level == "ok" else line


CHECKS = (settings, data_dir, token, data, lock, disk, port, server, store, durability, clock)
