"""An empty record of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import claudebench.hooks.record
import claudebench.instances.record
import claudebench.tasks.record  # noqa: F401 - their tables
from claudebench.record.database import Address, Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from claudebench.testing.postgres import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
async def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return Address(file=tmp_path / "record.db")
    running: Postgres = request.getfixturevalue("postgresql")
    return Address(url=await running.fresh())


@pytest.fixture
async def database(address: Address) -> AsyncIterator[Database]:
    """A database with its tables."""
    opened = Database(address)
    await opened.prepare()
    yield opened
    await opened.close()
