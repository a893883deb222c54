"""A real server in a process of its own, and the faults that can befall it and its store."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from claudebench.testing.client import AsyncClient
from claudebench.testing.conditions import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from claudebench.testing.forked import Forked, Forks

READY_WITHIN_S = 60.0
EXIT_WITHIN_S = 20.0
NO_STORE = (OSError, LookupError, TypeError, ValueError)
"""What a signal to the store may raise while there is none: it has no note, or, while it is brought back, no pid."""


class Server:
    """One `claudebench up`, started and started again on the same data directory and port.

    Where a test run has `forks`, a start is a fork of a process that has imported everything, unless it must be `fresh`
    or its environment differs in more than settings.
    """

    forks: ClassVar[Forks | None] = None

    def __init__(self, data_dir: Path, *options: str, env: dict[str, str] | None = None, fresh: bool = False) -> None:
        """Take the data directory and further command-line options; `fresh` is a start as people make it."""
        self.data_dir = data_dir
        self.fresh = fresh
        self.port = 0
        self.ready: dict[str, Any] = {}
        self.process: asyncio.subprocess.Process | Forked
        self.options = options
        own_rules = {"CLAUDEBENCH_RULES": str(data_dir.parent / "rules.toml")}
        self._env = {**os.environ, **own_rules, **(env or {})}

    @property
    def url(self) -> str:
        """Where it answers."""
        return str(self.ready["url"])

    @property
    def log_path(self) -> Path:
        """What it writes to its standard error, over all its lives."""
        return self.data_dir.parent / f"{self.data_dir.name}.log"

    @property
    def store_pid(self) -> int:
        """The process id of the embedded store."""
        return int(json.loads((self.data_dir / "lock").read_text())["store"]["pid"])

    @property
    def operator_token(self) -> str:
        """The operator's token."""
        return (self.data_dir / "token").read_text().strip()

    @property
    def resident_mb(self) -> float:
        """The resident memory of the server process in MB."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:  # noqa: PTH123 - a proc file
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20

    async def start(self) -> None:
        """Start it and wait for its ready line.

        Raises:
            RuntimeError: it ended before it was ready; the message holds what it said.
        """
        words = ("up", "--json", "--data-dir", str(self.data_dir), "--port", str(self.port), *self.options)
        with self.log_path.open("ab") as log:
            self.process = await self._launch(words, log.fileno())
        assert self.process.stdout
        async with asyncio.timeout(READY_WITHIN_S):
            line = await self.process.stdout.readline()
        if not line:
            said = self.log_path.read_text()[-2000:]
            raise RuntimeError(f"the server ended with {await self.process.wait()}: {said}")
        self.ready = json.loads(line)
        self.port = int(self.url.rpartition(":")[2])

    async def _launch(self, words: Sequence[str], stderr: int) -> asyncio.subprocess.Process | Forked:
        if self.forks and self.forks.fit(self._env) and not self.fresh:
            return await self.forks.start(words, self._env, stderr)
        command = (sys.executable, "-m", "claudebench", *words)
        return await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=stderr, env=self._env
        )

    async def stop(self) -> int:
        """Ask it to end (SIGTERM) and return its exit code."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        async with asyncio.timeout(EXIT_WITHIN_S):
            return await self.process.wait()

    async def kill(self) -> None:
        """Kill it (SIGKILL); its store lives on."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    def kill_store(self) -> None:
        """Kill the embedded store (SIGKILL)."""
        os.kill(self.store_pid, signal.SIGKILL)

    def pause_store(self) -> None:
        """Stop the embedded store in its tracks (SIGSTOP)."""
        os.kill(self.store_pid, signal.SIGSTOP)

    def resume_store(self) -> None:
        """Let the embedded store go on (SIGCONT)."""
        os.kill(self.store_pid, signal.SIGCONT)

    def client(self, **options: Any) -> AsyncClient:
        """Return a client of this server."""
        return AsyncClient(self.url, **options)


@asynccontextmanager
async def serve(
    data_dir: Path, *options: str, env: dict[str, str] | None = None, fresh: bool = False
) -> AsyncIterator[Server]:
    """Run a server for the length of a block; afterwards neither it nor its store is left."""
    server = Server(data_dir, *options, env=env, fresh=fresh)
    await server.start()
    try:
        yield server
    finally:
        with suppress(*NO_STORE):
            server.resume_store()
        await server.stop()
        with suppress(*NO_STORE):
            server.kill_store()


async def answers(server: Server) -> None:
    """Wait until a server says that it is healthy."""
    async with server.client() as client:
        await eventually(client.is_healthy)
