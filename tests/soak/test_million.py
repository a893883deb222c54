"""A million tasks in one ledger: who claims gets the right one, each once. By hand: pytest -m soak tests/soak -s."""

from __future__ import annotations

import json
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import pytest

from claudebench.testing.fill import Direct, create_words, fill
from claudebench.testing.load import figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudebench.store.wire import Argument
    from claudebench.testing import AsyncClient, Server

TASKS = 1_000_000
CLAIMS = 2000
AT_ONCE = 10

pytestmark = pytest.mark.soak


def _priority(n: int) -> int:
    return n * 7919 % 101


def _is_foreign(n: int) -> bool:
    return n % 10 == 0


def _tasks() -> Iterator[tuple[Argument, ...]]:
    return (create_words("default", n, _priority(n), "gpu" if _is_foreign(n) else "") for n in range(TASKS))


def _urgent_first() -> list[str]:
    """Return the ids that a claimer without the foreign role gets first, by priority, then age."""
    numbers = sorted((-_priority(n), n + 1) for n in range(TASKS) if not _is_foreign(n))
    return [f"t-{n}" for _, n in numbers[:CLAIMS]]


async def _claim_all(client: AsyncClient, samples: list[int]) -> list[dict[str, Any]]:
    held: list[dict[str, Any]] = []
    while len(held) < CLAIMS:
        started = perf_counter_ns()
        got = await client.call("task.claim", workerId="claimer", maxTasks=AT_ONCE)
        samples.append(perf_counter_ns() - started)
        held += got["tasks"]
        for task in got["tasks"]:
            await client.call("task.complete", id=task["id"], workerId="claimer", epoch=task["epoch"])
    return held


async def test_a_million_tasks_are_claimed_by_priority_then_age_each_once_and_foreign_roles_skipped(
    server: Server, client: AsyncClient
) -> None:
    """From a million tasks a claimer gets the most urgent, oldest first, each once, none that asks for another role."""
    with Direct(json.loads((server.data_dir / "lock").read_text())["store"]["socket"]) as direct:
        assert fill(direct, _tasks()) == list(range(1, TASKS + 1))
        memory = direct.used_memory()
    await client.call("system.register", id="claimer", roles=["worker"], capacity=AT_ONCE, deadAfterMs=3_600_000)
    samples: list[int] = []

    held = await _claim_all(client, samples)

    assert [task["id"] for task in held] == _urgent_first()
    assert {task["epoch"] for task in held} == {1}
    counts = await client.call("task.count")
    assert (counts["completed"], counts["inProgress"], counts["pending"]) == (CLAIMS, 0, TASKS - CLAIMS)
    print(f"\nclaims of {AT_ONCE} from {TASKS:,}: {figures(samples, 1.0)}; {memory / TASKS:.0f} bytes a task")  # noqa: T201
