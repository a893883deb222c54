"""A process that has imported everything and forks `claudebench` on order: a start without nine tenths of its work.

An order is one message on a socket: the command line, folder and environment, and with them the three standard streams
and a socket on which it is told what becomes of the process: its pid at once, its exit code when it has ended. Whoever
was forked leaves the loop and runs the command line as `python -m claudebench` does, to the interpreter's end. The fork
server ends when nobody can order any more; what it forked lives on. It needs Linux: an end is seen by a pidfd.

    python -m claudebench.testing.forkserver FD
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import NamedTuple

PRELOADED = (
    "claudebench.cli.main",
    "claudebench.cli.serve",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.ext.asyncio",
    "asyncpg",
    "uvicorn.lifespan.off",
)
ORDER_BYTES_MAX = 128 * 1024
STREAMS = 3


class Order(NamedTuple):
    """A command line to be run, and where."""

    words: list[str]
    folder: str
    environment: dict[str, str]

    def run(self) -> None:
        """Run it in this process, which it ends, as `python -m` does: modules are looked for in the folder first."""
        from claudebench.cli.main import run  # noqa: PLC0415 - imported long ago in whoever was forked

        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(self.folder)
        sys.path[:1] = [self.folder, *filter(None, self.environment.get("PYTHONPATH", "").split(os.pathsep))]
        os.environ.clear()
        os.environ.update(self.environment)
        sys.argv = ["claudebench", *self.words]
        run()


class Child(NamedTuple):
    """A process that was forked, and the socket of whoever ordered it."""

    pid: int
    orderer: socket.socket

    def bury(self) -> None:
        """Tell the exit code of a process that has ended, to whoever still wants to know."""
        _, status = os.waitpid(self.pid, 0)
        with suppress(OSError), self.orderer:
            self.orderer.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


class ForkServer:
    """The loop that takes orders and watches what it forked."""

    def __init__(self, orders: socket.socket) -> None:
        """Take the socket on which orders come."""
        self._orders = orders
        self._children: dict[int, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(orders, selectors.EVENT_READ)

    def run(self) -> Order | None:
        """Return the order in each process that is forked; None here, when no more can come."""
        while True:
            for key, _ in self._selector.select():
                if key.fd in self._children:
                    self._bury(key.fd)
                    continue
                message, files, _, _ = socket.recv_fds(self._orders, ORDER_BYTES_MAX, STREAMS + 1)
                if not message:
                    return None
                if order := self._fork(message, files):
                    return order

    def _fork(self, message: bytes, files: list[int]) -> Order | None:
        """Return the order in the process that is forked, None in the one that forks."""
        *streams, told = files
        orderer = socket.socket(fileno=told)
        pid = os.fork()
        if pid:
            for file in streams:
                os.close(file)
            self._watch(Child(pid, orderer))
            return None
        orderer.close()
        self._forget()
        for number, file in enumerate(streams):
            os.dup2(file, number)
            os.close(file)
        return Order(*json.loads(message))

    def _watch(self, child: Child) -> None:
        end = os.pidfd_open(child.pid)
        self._children[end] = child
        self._selector.register(end, selectors.EVENT_READ)
        child.orderer.sendall(b"%d\n" % child.pid)

    def _bury(self, end: int) -> None:
        self._selector.unregister(end)
        os.close(end)
        self._children.pop(end).bury()

    def _forget(self) -> None:
        """Let go, in a process that was forked, what is the fork server's."""
        self._selector.close()
        self._orders.close()
        for end, child in self._children.items():
            os.close(end)
            child.orderer.close()
        self._children.clear()


def preload() -> None:
    """Do once what every start does in the same way, and keep the collector from unsharing it."""
    gc.disable()
    for name in PRELOADED:
        import_module(name)
    import_module("claudebench.hooks.rulebook").builtin()
    gc.freeze()
    gc.enable()


def main() -> None:
    """Fork on order; in a process that was forked, run what was ordered."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders = socket.socket(fileno=int(sys.argv[1]))
    preload()
    if order := ForkServer(orders).run():
        order.run()


if __name__ == "__main__":
    main()
