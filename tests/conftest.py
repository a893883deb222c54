"""Fixtures: real servers on embedded stores, one of each test's own, and one for all that only ask."""

from __future__ import annotations

from compileall import compile_dir
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import pytest_asyncio
from tests.scripts.store import private_store

import claudebench
from claudebench.testing import AsyncClient, Server, serve
from claudebench.testing.forked import Forks
from claudebench.testing.postgres import Postgres, postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def pytest_configure(config: pytest.Config) -> None:
    """Compile the package once: where PYTHONDONTWRITEBYTECODE is set, each of some 500 processes would do it again."""
    if not hasattr(config, "workerinput"):
        compile_dir(Path(claudebench.__file__).parent, quiet=2)


@pytest.fixture(scope="session", autouse=True)
def forks() -> Iterator[Forks]:
    """Servers are forked from a process that has imported everything, but for those that a test wants fresh."""
    with Forks() as Server.forks:
        yield Server.forks
    Server.forks = None


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server of this test's own."""
    async with serve(tmp_path / "data") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server for all tests that do it no harm, each in a workspace of its own."""
    allowed = ("--webhook-allow", "127.0.0.1,hooks.corp.example")
    async with serve(tmp_path_factory.mktemp("shared") / "data", *allowed) as running:
        yield running


@pytest.fixture
async def asking(shared: Server) -> AsyncIterator[AsyncClient]:
    """A client in a workspace of this test's own, on the server that all share."""
    async with shared.client(workspace=uuid4().hex) as connected:
        yield connected


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client of this test's own server."""
    async with server.client() as connected:
        yield connected


@pytest.fixture(scope="module")
def store_socket() -> Iterator[str]:
    """The socket of a store that keeps nothing on disk."""
    with private_store() as socket:
        yield socket


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgres]:
    """A PostgreSQL of this run; a test that stops it starts it again."""
    with postgres() as running:
        yield running
