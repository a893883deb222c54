"""Fixtures: a store that the machine has to itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scripts.store import private_store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def store_socket() -> Iterator[str]:
    """The socket of a store that nobody else uses, since the machine empties it after each run."""
    with private_store() as socket:
        yield socket
