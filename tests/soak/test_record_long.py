"""Twenty kills under load on each database, a PostgreSQL away for half a minute, and how long the record took."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import pytest
from tests.integration.recorded import check, is_level
from tests.integration.test_liveness import elapsed
from tests.scripts.fleet import Fleet

from claudebench.testing import eventually, serve

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.testing.postgres import Postgres

pytestmark = pytest.mark.soak
KILLS, AWAY_S = 20, 30


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_killed_twenty_times(tmp_path: Path, request: pytest.FixtureRequest, kind: str) -> None:
    """A server killed twenty times under load leaves a record that equals the ledger to the row."""
    postgres: Postgres | None = request.getfixturevalue("postgresql") if kind == "postgresql" else None
    options = ("--database-url", await postgres.fresh()) if postgres else ()
    async with serve(tmp_path / "data", *options) as server:
        async with Fleet(server) as fleet:
            for _ in range(KILLS):
                await fleet.goes_on(50)
                await server.kill()
                await server.start()
            await fleet.finish()
        await check(server, postgres)


async def test_half_a_minute_without_the_database(
    tmp_path: Path, postgresql: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    """While PostgreSQL is away for half a minute no command fails; then the record catches up and is the ledger."""
    url = await postgresql.fresh()
    async with serve(tmp_path / "data", "--database-url", url) as server:
        async with Fleet(server) as fleet:
            await fleet.goes_on(100)
            postgresql.stop()
            done = len(fleet.completed)
            await elapsed(AWAY_S)
            done = len(fleet.completed) - done
            postgresql.start()
            await fleet.goes_on(100)
            await fleet.finish()
        began = monotonic()
        await eventually(lambda: is_level(server), within_s=120)
        took = monotonic() - began
        assert fleet.errors == []
        assert done > 0
        await check(server, postgresql)
    with capsys.disabled():
        print(f"\n{done} tasks done in {AWAY_S} s without the database; level {took:.1f} s after the load")  # noqa: T201
