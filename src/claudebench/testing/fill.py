"""Filling a ledger fast: our own scripts, pipelined on the store's socket, around the doors.

Only scripts of the project run, so every index and event is as it would be; the queue's bound is an argument of theirs.
"""

from __future__ import annotations

import socket
from itertools import islice
from typing import TYPE_CHECKING, Any, Self, cast

import hiredis
import msgspec

from claudebench.instances.store import REGISTER
from claudebench.store.keys import prefix
from claudebench.tasks.model import Doc
from claudebench.tasks.store import ASSIGN, CREATE, UNASSIGN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from claudebench.store.script import Script
    from claudebench.store.wire import Argument

Words = tuple["Argument", ...]
NO_BOUND = 1_000_000_000
AT_ONCE = 500
ANSWER_WITHIN_S = 60.0
_encode = msgspec.json.Encoder().encode


def script_words(script: Script, workspace: str, *arguments: Argument) -> Words:
    """Return the command that runs a changing script as nobody in particular."""
    script.check_arity(3 + len(arguments))
    return ("EVALSHA", script.sha, 1, prefix(workspace), "", "", "", *arguments)


def create_words(workspace: str, n: int = 0, priority: int = 50, role: str = "") -> Words:
    """Return the command that creates a task, bound by no queue; `role` is what it asks for."""
    doc = Doc(f"Fix issue {n} of connection 0 in the parser module", [role] if role else [])
    return script_words(CREATE, workspace, _encode(doc), priority, role, 3, NO_BOUND, "")


def packed(words: Words) -> bytes:
    """Return a command as it goes over the wire."""
    return cast("bytes", hiredis.pack_command(words))  # type: ignore[arg-type]


class Direct:
    """A blocking connection to the store's socket that sends many commands at once."""

    def __init__(self, path: str | Path) -> None:
        """Connect to the unix socket `path` and see to it that the scripts of filling are known there."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_WITHIN_S)
        self._socket.connect(str(path))
        self._reader = hiredis.Reader()
        list(self.run(("SCRIPT", "LOAD", script.text) for script in (CREATE, ASSIGN, UNASSIGN, REGISTER)))

    def __enter__(self) -> Self:
        """Stay connected for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the socket go."""
        self._socket.close()

    def call(self, *words: Argument) -> Any:
        """Send one command and return its reply."""
        return next(self.run([words]))

    def run(self, commands: Iterable[Words]) -> Iterator[Any]:
        """Send commands, `AT_ONCE` at a time, and yield the replies in order.

        Raises:
            RuntimeError: the store or a script refused one.
        """
        source = iter(commands)
        while chunk := list(islice(source, AT_ONCE)):
            self._socket.sendall(b"".join(map(packed, chunk)))
            for words in chunk:
                yield self._reply(words)

    def used_memory(self) -> int:
        """Return the bytes that the store's data takes."""
        info = self.call("INFO", "memory").decode()
        return int(dict(line.split(":", 1) for line in info.split() if ":" in line)["used_memory"])

    def _reply(self, words: Words) -> Any:
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionResetError("the store closed the line")
            self._reader.feed(data)
        refused = type(reply) is list and reply and type(reply[0]) is int and reply[0] < 0
        if refused or isinstance(reply, hiredis.ReplyError):
            raise RuntimeError(f"{words[:4]!r} was answered {reply!r}")
        return reply


def fill(direct: Direct, commands: Iterable[Words], report: Callable[[int], None] = lambda _: None) -> list[Any]:
    """Run `commands` and return the second part of each reply (a create's number); `report` hears of each thousand."""
    seconds = []
    for at, reply in enumerate(direct.run(commands), 1):
        seconds.append(reply[1])
        if at % 1000 == 0:
            report(1000)
    return seconds


def creates(workspace: str, count: int, priority: int = 50, role: str = "") -> Iterator[Words]:
    """Return the commands that create `count` tasks."""
    return (create_words(workspace, n, priority, role) for n in range(count))


def register_words(workspace: str, instance: str) -> Words:
    """Return the command that registers an instance for an hour, one task at a time, without roles."""
    head = ("", instance, "")
    return ("EVALSHA", REGISTER.sha, 1, prefix(workspace), *head, b"{}", ",", 1, 3_600_000, "")


def denials(workspace: str, numbers: Iterable[int], instance: str) -> Iterator[Words]:
    """Return the commands after which `instance` was denied these tasks: reserve, and take away by an operator."""
    for n in numbers:
        yield script_words(ASSIGN, workspace, n, instance)
        yield script_words(UNASSIGN, workspace, n, 1)
