"""Fixtures: one private store for the session, a fresh workspace with a clock of its own for each test."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from tests.scripts.ledger import Ledger
from tests.scripts.store import private_store

from claudebench.app import SCRIPTS
from claudebench.store.connection import Address, Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_numbers = itertools.count(1)
WHOLE_READ_WITHIN_S = 60.0  # of a workspace with a million keys, beside other tests


@pytest.fixture(scope="session")
def store_socket() -> Iterator[str]:
    """The socket of a store that keeps nothing on disk."""
    with private_store() as socket:
        yield socket


@pytest.fixture
async def connection(store_socket: str) -> AsyncIterator[Connection]:
    """A connection with every script loaded."""
    opened = Connection(Address(socket=store_socket), SCRIPTS, timeout_s=WHOLE_READ_WITHIN_S)
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
