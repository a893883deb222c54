"""Fixtures: a workspace of the shared server for each test, and the row that the test is."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import pytest_asyncio
from tests.contract.api import Api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claudebench.testing import Server


@pytest.fixture(autouse=True)
def row(request: pytest.FixtureRequest) -> str:
    """The number of the row that this test is."""
    found: str = getattr(request, "param", "")
    return found


@pytest_asyncio.fixture(loop_scope="module")
async def api(shared: Server) -> AsyncIterator[Api]:
    """The API in a workspace of this test's own, whose first task is t-1."""
    async with shared.client(workspace=uuid4().hex) as client:
        yield Api(client)
