"""Fixtures: a real server on an embedded store, per test or per module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from claudebench.testing import AsyncClient, Server, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server of this test's own."""
    async with serve(tmp_path / "data") as running:
        yield running


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client of this test's own server."""
    async with server.client() as connected:
        yield connected
