"""Table I.14: system.metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.api import INVALID
from tests.contract.rows import row

if TYPE_CHECKING:
    from tests.contract.api import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = ("eventsProcessed", "tasksCompleted", "averageLatency", "memoryUsage")
COUNTED = {"eventsProcessed", "tasksCompleted", "memoryUsage"}


async def work(api: Api, tasks: int, completed: int) -> None:
    """Let an instance complete some of some tasks: one event for it, one for each task, two for each completion."""
    await api.call("system.register", id="w", roles=[])
    for _ in range(tasks):
        await api.call("task.create", text="a")
    for _ in range(completed):
        task = (await api.call("task.claim", workerId="w"))["task"]
        await api.call("task.complete", id=task["id"], workerId="w", epoch=task["epoch"])


@row("I.14.1")
async def test_nothing_is_asked(api: Api) -> None:
    """An empty object is taken, and nothing is required."""
    assert (await api.published("system.metrics")).asked["required"] == []
    await api.call("system.metrics")


@row("I.14.2")
async def test_output_is_four_numbers(api: Api) -> None:
    """The four names of the contract are numbers; what is counted is always there, a mean only with samples."""
    told = (await api.published("system.metrics")).told

    assert {told["properties"][name]["type"] for name in NAMES} == {"integer", "number"}
    assert set(NAMES) & set(told["required"]) == COUNTED


@row("I.14.3")
async def test_no_count_is_left_out(api: Api) -> None:
    """An answer without a count is none, one without a mean is."""
    published, answer = await api.published("system.metrics"), await api.call("system.metrics")
    without = {name: {key: value for key, value in answer.items() if key != name} for name in NAMES}

    assert {name for name in NAMES if not published.answers(without[name])} == COUNTED
    assert not published.answers({})


@row("I.14.4")
async def test_invalid_answers_are_none(api: Api) -> None:
    """What is no number is none of the four."""
    published, answer = await api.published("system.metrics"), await api.call("system.metrics")
    wrong = [answer | {name: value} for name in NAMES for value in ("100", None, "fast", True)]
    assert [published.answers(each) for each in wrong] == [False] * 16


@row("I.14.5")
async def test_what_is_missing_is_no_key(api: Api) -> None:
    """A mean that does not exist is no member: neither null nor 0 stands for it."""
    published, answer = await api.published("system.metrics"), await api.call("system.metrics")
    del answer["averageLatency"]

    assert published.answers(answer)
    assert not published.answers(answer | {"averageLatency": None})


@row("I.14.6")
async def test_figures_are_numbers(api: Api) -> None:
    """The answer fits the published schema, and what is there of the four is a number."""
    answer = await api.call("system.metrics")

    assert (await api.published("system.metrics")).answers(answer)
    assert {type(answer[name]) for name in NAMES if name in answer} <= {int, float}


@row("I.14.7")
async def test_memory_is_measured(api: Api) -> None:
    """The server uses some memory, and less than ten gigabytes."""
    assert 0 < (await api.call("system.metrics"))["memoryUsage"] < 10_000


@row("I.14.8")
async def test_figures_are_counted(api: Api) -> None:
    """Events and completions are those of the workspace, counted one by one; the mean is measured."""
    await work(api, tasks=4, completed=3)
    answer = await api.call("system.metrics")

    assert (answer["eventsProcessed"], answer["tasksCompleted"]) == (1 + 4 + 2 * 3, 3)
    assert answer["averageLatency"] > 0


@row("I.14.9", "I.14.10")
async def test_a_count_of_zero_is_answered(api: Api) -> None:
    """Where nothing happened both counts are 0, not missing."""
    answer = await api.call("system.metrics")

    assert (answer["eventsProcessed"], answer["tasksCompleted"]) == (0, 0)
    assert answer["memoryUsage"] > 0


@row("I.14.11")
async def test_a_request_is_taken(api: Api) -> None:
    """A literal request with an id of text is answered under that id."""
    assert "result" in await api.request("system.metrics", {}, id="metrics-1")


@row("I.14.12")
async def test_a_response_has_its_form(api: Api) -> None:
    """The reply is JSON-RPC 2.0, and its result fits the published schema."""
    reply = await api.request("system.metrics")

    assert reply["jsonrpc"] == "2.0"
    assert (await api.published("system.metrics")).answers(reply["result"])


@row("I.14.13")
async def test_a_notification_is_not_answered(api: Api) -> None:
    """Without an id nothing comes back."""
    assert await api.notify("system.metrics", {}) == (204, b"")


@row("I.14.14")
async def test_an_error_has_its_form(api: Api) -> None:
    """A refusal holds a code and a message in place of a result."""
    wrong: Json = {"window": 5}
    reply = await api.request("system.metrics", wrong)

    assert (reply["error"]["code"], "result" in reply) == (INVALID, False)
    assert reply["error"]["message"]
