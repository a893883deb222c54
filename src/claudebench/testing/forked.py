"""Starts by a fork server: what they cost less, and what a test sees of the process all the same."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Self

from claudebench.settings import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MODULE = "claudebench.testing.forkserver"
GONE = "the fork server has ended"
CHANGING = (PREFIX, "PYTEST_", "COLUMNS", "NO_COLOR", "PYTHONPATH")  # how names begin that no import looks at
OURS = Path(__file__).parents[2]


class Pipe(asyncio.StreamReaderProtocol):
    """What can be read from a file, and whether it has been closed, which it is at its end."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self.reader = asyncio.StreamReader()
        self.closed = asyncio.Event()
        super().__init__(self.reader)

    @classmethod
    async def of(cls, file: int) -> Self:
        """Read from a file from now on."""
        opened = os.fdopen(file, "rb", buffering=0)
        _, pipe = await asyncio.get_running_loop().connect_read_pipe(cls, opened)
        return pipe

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end."""
        super().connection_lost(error)
        self.closed.set()


class Forked:
    """A process that the fork server made for us, as `asyncio.subprocess.Process` shows one."""

    def __init__(self, pid: int, stdout: Pipe, told: Pipe) -> None:
        """Take its pid, its standard output, and where its exit code is told."""
        self.pid = pid
        self.stdout = stdout.reader
        self.returncode: int | None = None
        self._watching = asyncio.create_task(self._watch(stdout, told), name=f"end of {pid}")

    async def wait(self) -> int:
        """Wait until it has ended, and return its exit code; below zero it is the signal that killed it.

        Raises:
            RuntimeError: the fork server ended before it.
        """
        await asyncio.shield(self._watching)
        if self.returncode is None:
            raise RuntimeError(GONE)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal.

        Raises:
            ProcessLookupError: it has ended.
        """
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self.send_signal(signal.SIGKILL)

    async def _watch(self, stdout: Pipe, told: Pipe) -> None:
        if line := await told.reader.readline():
            self.returncode = int(line)
        await told.closed.wait()
        await stdout.closed.wait()


class Forks:
    """The fork server of a test run, started when it is first used; `with` ends it."""

    def __init__(self) -> None:
        """Note the environment that a start may share."""
        self._shared = _looked_at(os.environ)
        self._orders: socket.socket | None = None
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        """Do nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the fork server; what it forked lives on."""
        if self._orders:
            self._orders.close()
            self._process.wait()
        self._orders = None

    def fit(self, environment: Mapping[str, str]) -> bool:
        """Whether an environment differs only in what no import looks at."""
        return _looked_at(environment) == self._shared and not _leads_elsewhere(environment.get("PYTHONPATH", ""))

    async def run(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path, given: bytes = b""
    ) -> tuple[int, bytes, bytes]:
        """Run a command line to its end with something on its input; return its exit code, its output and its errors.

        Raises:
            RuntimeError: the fork server has ended.
        """
        with TemporaryFile(buffering=0) as stdin, TemporaryFile(buffering=0) as stderr:
            stdin.write(given)
            stdin.seek(0)
            process = await self.start(words, environment, stderr.fileno(), folder=folder, stdin=stdin.fileno())
            try:
                out, code = await process.stdout.read(), await process.wait()
            except BaseException:
                process.kill()
                raise
            stderr.seek(0)
            return code, out, stderr.read()

    async def start(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        stderr: int,
        *,
        folder: Path | None = None,
        stdin: int = 0,
    ) -> Forked:
        """Run a command line of ClaudeBench; without another word in this process' folder and with its input.

        Raises:
            RuntimeError: the fork server has ended.
        """
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        order = json.dumps((words, str(folder or Path.cwd()), dict(environment))).encode()
        try:
            socket.send_fds(self._door(), [order], [stdin, write, stderr, theirs.fileno()])
        finally:
            theirs.close()
            os.close(write)
        told, stdout = await Pipe.of(ours.detach()), await Pipe.of(read)
        if not (pid := await told.reader.readline()):
            raise RuntimeError(GONE)
        return Forked(int(pid), stdout, told)

    def _door(self) -> socket.socket:
        """Return the socket on which orders are taken."""
        if self._orders is None:
            self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                words = [sys.executable, "-m", MODULE, str(theirs.fileno())]
                self._process = subprocess.Popen(words, pass_fds=[theirs.fileno()])  # noqa: S603 - our own module
        return self._orders


def _looked_at(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(CHANGING)}


def _leads_elsewhere(path: str) -> bool:
    """Whether there is another ClaudeBench on a path of modules."""
    return any(
        (Path(each) / "claudebench").is_dir() and Path(each).resolve() != OURS for each in path.split(os.pathsep)
    )
