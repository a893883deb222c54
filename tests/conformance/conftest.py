"""Two processes in a workspace where events are delivered in one of the three ways, and a note of what each promised.

`python -m pytest tests/conformance --promises docs/reference/delivery.md` writes the table of the docs anew.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conformance.crew import Crew
from tests.conformance.promises import PROMISES, table

from claudebench.patterns.label import Pattern

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PAGE = "<!-- promises -->\n"
OBSERVED = pytest.StashKey[dict[tuple[str, Pattern], bool]]()
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the table is to be written."""
    parser.addoption("--promises", help="write what the ways to deliver were seen to promise into this page")


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing observed."""
    config.stash[OBSERVED] = {}


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the table, if it was asked for and all went well."""
    path = session.config.getoption("--promises", default=None)
    if path and exitstatus == 0:
        page = Path(path)
        head, _, rest = page.read_text().partition(PAGE)
        tail = rest.partition(PAGE)[2]
        page.write_text(head + PAGE + table(session.config.stash[OBSERVED]) + PAGE + tail)


@pytest.fixture(params=list(Pattern), ids=lambda way: way.value)
def way(request: pytest.FixtureRequest) -> Pattern:
    """One of the ways to deliver."""
    found: Pattern = request.param
    return found


@pytest.fixture
def shows(request: pytest.FixtureRequest, way: Pattern) -> Callable[[str, bool], None]:
    """Note whether a promise was kept, and fail unless that is what is promised."""

    def note(name: str, is_kept: bool) -> None:  # noqa: FBT001 - what was seen
        request.config.stash[OBSERVED][name, way] = is_kept
        assert is_kept == (way in PROMISES[name].kept_by), f"{name}: {way} {'keeps' if is_kept else 'breaks'} it"

    return note


@pytest.fixture
async def crew(store_socket: str, way: Pattern) -> AsyncIterator[Crew]:
    """A workspace in which events are delivered in that way, and nobody is there yet."""
    made = Crew(store_socket, f"w{next(_numbers)}", way)
    await made.prepare()
    yield made
    await made.end()
