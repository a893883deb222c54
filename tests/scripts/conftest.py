"""Fixtures: one private store for the session, a fresh workspace with a clock of its own for each test."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from tests.scripts.ledger import Ledger

from claudebench.app import SCRIPTS
from claudebench.store.connection import Address, Connection
from claudebench.store.engine import find_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def store_socket() -> Iterator[str]:
    """The socket of a store that keeps nothing on disk."""
    with tempfile.TemporaryDirectory(prefix="cb-") as folder:
        socket = Path(folder) / "s"
        words = ("--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder)
        with subprocess.Popen([find_engine().path, *words], stdout=subprocess.DEVNULL) as process:
            until = monotonic() + 10
            while not socket.exists():
                assert process.poll() is None, "the store ended"
                assert monotonic() < until, "the store does not listen"
            yield str(socket)
            process.kill()


@pytest.fixture
async def connection(store_socket: str) -> AsyncIterator[Connection]:
    """A connection with every script loaded."""
    opened = Connection(Address(socket=store_socket), SCRIPTS)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def ledger(connection: Connection) -> AsyncIterator[Ledger]:
    """A fresh workspace; after the test everything that must always hold is checked."""
    made = Ledger(connection, f"w{next(_numbers)}")
    await made.begin()
    yield made
    await made.check()
