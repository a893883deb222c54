"""A PostgreSQL of a test's own: made, started, stopped and killed; it listens on one port of loopback."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from claudebench.testing.conditions import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGED = "/usr/lib/postgresql"
USERS = ("postgres", "nobody")
DATABASE = "postgres"
READY_WITHIN_S = 30.0
OPTIONS = {"fsync": "off", "listen_addresses": "127.0.0.1", "max_connections": "20", "unix_socket_directories": ""}


class Postgres:
    """One PostgreSQL on a data directory of its own; it refuses to run as root, so root lends it to somebody."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of its data."""
        self.folder = folder
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._as = _somebody()

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._url(DATABASE)

    def make(self) -> None:
        """Make the data directory."""
        if self._as:
            os.chown(self.folder, self._as["user"], self._as["group"])
        words = ("--pgdata", str(self.folder), "--username", USERS[0], "--auth", "trust", "--no-sync")
        subprocess.run([find("initdb"), *words], cwd="/", stdout=subprocess.DEVNULL, check=True, **self._as)  # noqa: S603

    def start(self) -> None:
        """Start it; it answers soon."""
        options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
        words = [find("postgres"), "-D", str(self.folder), "-p", str(self.port), *options]
        with (self.folder.parent / "log").open("ab") as log:
            self.process = subprocess.Popen(words, cwd="/", stdout=log, stderr=log, **self._as)  # noqa: S603

    def stop(self) -> None:
        """Stop it at once, its connections cut; what was committed is on disk."""
        assert self.process, "it was started"
        self.process.send_signal(signal.SIGINT)
        self.process.wait()

    async def fresh(self) -> str:
        """Make an empty database and return where it is."""
        name = f"d{secrets.token_hex(4)}"
        await eventually(self.answers, within_s=READY_WITHIN_S)
        await self.fetch(f"CREATE DATABASE {name}")
        return self._url(name)

    async def answers(self) -> bool:
        """Whether it answers."""
        with suppress(Exception):
            return await self.fetch("SELECT 1") == [(1,)]
        return False

    def pause(self) -> None:
        """Stop it in its tracks (SIGSTOP): its connections stand, and nobody answers."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    async def fetch(self, statement: str, *arguments: Any, url: str = "") -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        import asyncpg  # noqa: PLC0415 - only who asks pays for it

        connection = await asyncpg.connect(url or self.url)
        try:
            return [tuple(row) for row in await connection.fetch(statement, *arguments)]
        finally:
            await connection.close()

    def _url(self, database: str) -> str:
        return f"postgresql://{USERS[0]}@127.0.0.1:{self.port}/{database}"

    def _pids(self) -> list[int]:
        assert self.process, "it was started"
        parent = self.process.pid
        listed = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
        return [parent, *map(int, listed)]


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL for the length of a block."""
    above = _folder()
    running = Postgres(above / "data")
    try:
        running.make()
        running.start()
        yield running
    finally:
        if running.process:
            with suppress(OSError):
                running.resume()
            running.stop()
        shutil.rmtree(above, ignore_errors=True)


def _folder() -> Path:
    """Return a folder that whoever runs PostgreSQL may pass through, with a folder for its data."""
    above = Path(mkdtemp(prefix="claudebench-pg-"))
    above.chmod(0o755)
    (above / "data").mkdir(mode=0o700)
    return above


def find(name: str) -> str:
    """Return the path of a program of PostgreSQL, '' where there is none."""
    packaged = sorted(Path(PACKAGED).glob(f"*/bin/{name}"), key=lambda path: -int(path.parts[-3]))
    return shutil.which(name) or next(map(str, packaged), "")


def _somebody() -> dict[str, Any]:
    if os.getuid() != 0:
        return {}
    for name in USERS:
        with suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise LookupError(f"root needs one of the users {USERS} to run PostgreSQL as")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
