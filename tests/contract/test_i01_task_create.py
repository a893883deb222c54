"""Table I.1: task.create."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.contract.api import INVALID, UNKNOWN
from tests.contract.rows import row

if TYPE_CHECKING:
    from tests.contract.api import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATUSES = ["pending", "in_progress", "completed", "failed"]
WRONG: list[Json] = [{"text": ""}, {"text": "x" * 501}, {"text": "a", "priority": -1}, {"text": "a", "priority": 101}]


@row("I.1.1")
async def test_input_is_taken_by_the_contract(api: Api) -> None:
    """Text of 1 to 500 characters and a priority of 0 to 100 are taken, anything beyond is refused."""
    given: list[Json] = [
        {"text": "Test task", "priority": 50}, {"text": "x" * 500}, {"text": "a", "priority": 0},
        {"text": "a", "priority": 100},
    ]  # fmt: skip
    for params in given:
        await api.call("task.create", **params)
    assert [await api.refusal("task.create", **params) for params in WRONG] == [INVALID] * 4


@row("I.1.2")
async def test_output_fits_the_contract(api: Api) -> None:
    """What the contract requires of an answer is promised by the published schema, and a real answer fits both."""
    published = await api.published("task.create")

    assert {"id", "text", "status", "priority", "createdAt"} <= set(published.told["required"])
    assert published.answers(await api.call("task.create", text="Test task", priority=50))


@row("I.1.3")
async def test_status_is_one_of_four(api: Api) -> None:
    """The published schema names the four values, and admits each of them and no other."""
    published = await api.published("task.create")
    task = await api.call("task.create", text="a")

    assert set(published.told["properties"]["status"]["enum"]) == set(STATUSES)
    assert [published.answers(task | {"status": status}) for status in [*STATUSES, "done"]] == [True] * 4 + [False]


@row("I.1.4")
async def test_ids_have_a_form(api: Api) -> None:
    """An id is t- and a number from 1: such a one is looked up, anything else is refused before."""
    named = {UNKNOWN: ["t-123", "t-1234567890"], INVALID: ["t-0", "task-123", "123", "t_123", "t-abc"]}

    assert re.fullmatch(r"t-\d+", (await api.call("task.create", text="a"))["id"])
    for code, ids in named.items():
        assert [await api.refusal("task.get", id=each) for each in ids] == [code] * len(ids)


@row("I.1.5")
async def test_a_task_is_created(api: Api) -> None:
    """The answer holds id, text, status, priority and time, and so does what is read afterwards."""
    task = await api.call("task.create", text="Contract task", priority=75)

    assert re.fullmatch(r"t-\d+", task["id"])
    assert (task["text"], task["status"], task["priority"]) == ("Contract task", "pending", 75)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", task["createdAt"])
    assert await api.call("task.get", id=task["id"]) == task


@row("I.1.6")
async def test_violations_are_refused(api: Api) -> None:
    """Whatever does not fit creates nothing; what names a text only has the priority 50."""
    assert [await api.refusal("task.create", **params) for params in [*WRONG, {}]] == [INVALID] * 5
    assert (await api.call("task.list"))["totalCount"] == 0
    assert (await api.call("task.create", text="Test"))["priority"] == 50


@row("I.1.7")
async def test_an_event_is_written(api: Api) -> None:
    """The newest event of its type tells of the task: moving fields as in every event, the text in the document."""
    task = await api.call("task.create", text="Event task", priority=60)
    event = await api.newest("task.created")

    assert (event["subject"], event["payload"]["id"]) == (task["id"], task["id"])
    assert (event["payload"]["doc"]["text"], event["payload"]["priority"]) == ("Event task", 60)


@row("I.1.8")
async def test_a_request_is_taken(api: Api) -> None:
    """A literal request with an id of text is answered under that id."""
    reply = await api.request("task.create", {"text": "Test task", "priority": 50}, id="req-123")
    assert reply["id"] == "req-123"


@row("I.1.9")
async def test_a_response_has_its_form(api: Api) -> None:
    """The reply is JSON-RPC 2.0, and its result fits the published schema."""
    reply = await api.request("task.create", {"text": "Test task"})

    assert (reply["jsonrpc"], reply["id"]) == ("2.0", 1)
    assert (await api.published("task.create")).answers(reply["result"])
