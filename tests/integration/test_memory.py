"""A store whose memory runs out: it is said before, creating is refused, and work goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claudebench.errors import LimitReached
from claudebench.testing import AsyncClient, eventually, serve

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"filler": "x" * 60_000}


async def health(client: AsyncClient) -> dict[str, Any]:
    """Return what the server says of itself."""
    answer: dict[str, Any] = (await client.get("/health")).json
    return answer


async def test_memory_is_an_alarm_first_and_a_refusal_later(tmp_path: Path) -> None:
    """At 80 % health is degraded; when it is full creating is refused, and what ends work and reads goes on."""
    async with serve(tmp_path / "data", "--max-memory", "16mb") as server, server.client() as client:
        assert (await health(client))["services"]["memory"]
        await client.call("system.register", id="w", roles=[], deadAfterMs=600_000)
        for _ in range(3):
            await client.call("task.create", text="early")
        held = [(await client.call("task.claim", workerId="w"))["task"]["id"] for _ in range(3)]
        with pytest.raises(LimitReached) as refused:
            await fill(client)

        assert (refused.value.data["reason"], refused.value.outcome) == ("memory", "not_done")
        await eventually(lambda: is_tight(client))
        await client.call("task.renew", id=held[0], workerId="w")
        await client.call("task.complete", id=held[0], workerId="w")
        await client.call("task.release", id=held[1], workerId="w")
        await client.call("task.fail", id=held[2], workerId="w", error="no")
        assert (await client.call("task.list", limit=1))["tasks"]


async def fill(client: AsyncClient) -> None:
    """Create until the store takes no more."""
    for _ in range(2_000):
        await client.call("task.create", text="heavy", metadata=HEAVY)


async def is_tight(client: AsyncClient) -> bool:
    """Whether health says that memory is the trouble."""
    told = await health(client)
    return told["status"] == "degraded" and not told["services"]["memory"]
