"""Table I.3: task.assign."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.contract.api import CONFLICT, INVALID, UNKNOWN
from tests.contract.rows import row

if TYPE_CHECKING:
    from tests.contract.api import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASSIGN = {"taskId": "t-1", "instanceId": "worker-a"}


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def task(api: Api) -> Json:
    """A task, t-1, and two instances, worker-a and worker-b."""
    for instance in ("worker-a", "worker-b"):
        await api.call("system.register", id=instance, roles=["worker"])
    made: Json = await api.call("task.create", text="To be assigned")
    return made


@row("I.3.1")
async def test_input_is_taken_by_the_contract(api: Api) -> None:
    """Task and instance are what is required, and are taken."""
    published = await api.published("task.assign")

    assert published.asked["required"] == ["taskId", "instanceId"]
    await api.call("task.assign", **ASSIGN)


@row("I.3.2")
async def test_invalid_input_is_refused(api: Api) -> None:
    """A member that is missing or empty is refused."""
    wrong: list[Json] = [{}, {"taskId": "t-1"}, {"instanceId": "worker-a"}, ASSIGN | {"taskId": ""}]
    wrong.append(ASSIGN | {"instanceId": ""})
    assert [await api.refusal("task.assign", **params) for params in wrong] == [INVALID] * 5


@row("I.3.3")
async def test_a_task_is_assigned(api: Api) -> None:
    """It is the instance's, stays pending, and the instance is told of it with its next beat."""
    answer = await api.call("task.assign", **ASSIGN)
    task = await api.call("task.get", id="t-1")
    held = (await api.call("system.heartbeat", instanceId="worker-a"))["held"]

    assert (answer["taskId"], answer["instanceId"]) == ("t-1", "worker-a")
    assert datetime.fromisoformat(answer["assignedAt"]) <= datetime.now(UTC)
    assert (task["assignedTo"], task["status"]) == ("worker-a", "pending")
    assert held == [{"id": "t-1", "epoch": 1}]


@row("I.3.4")
async def test_an_unknown_instance_is_refused(api: Api) -> None:
    """Nobody is assigned what nobody registered for, and the task stays free."""
    assert await api.refusal("task.assign", taskId="t-1", instanceId="unknown") == UNKNOWN
    assert "assignedTo" not in await api.call("task.get", id="t-1")


@row("I.3.5")
async def test_an_unknown_task_is_refused(api: Api) -> None:
    """An id that no task can have does not fit, one that no task has is not found."""
    assert await api.refusal("task.assign", **ASSIGN | {"taskId": "t-nonexistent"}) == INVALID
    assert await api.refusal("task.assign", **ASSIGN | {"taskId": "t-999"}) == UNKNOWN


@row("I.3.6")
async def test_no_second_assignment(api: Api) -> None:
    """What is one instance's is not assigned to another."""
    await api.call("task.assign", **ASSIGN)

    assert await api.refusal("task.assign", taskId="t-1", instanceId="worker-b") == CONFLICT
    assert (await api.call("task.get", id="t-1"))["assignedTo"] == "worker-a"


@row("I.3.7")
async def test_the_history_is_the_log(api: Api) -> None:
    """Who was assigned the task, and when, is read from the events about it."""
    answers: list[Any] = []
    for instance in ("worker-a", "worker-b"):
        answers.append(await api.call("task.assign", taskId="t-1", instanceId=instance))
        await api.call("task.unassign", id="t-1")
    events = (await api.call("event.list", types=["task.assigned"]))["events"]

    history = [(each["subject"], each["payload"]["assignedTo"], each["time"]) for each in events]
    assert history == [("t-1", each["instanceId"], each["assignedAt"]) for each in answers]


@row("I.3.8")
async def test_an_event_is_written(api: Api) -> None:
    """The newest event of its type names task and instance as every event of a task does."""
    await api.call("task.assign", **ASSIGN)
    payload = (await api.newest("task.assigned"))["payload"]

    assert (payload["id"], payload["assignedTo"], payload["status"]) == ("t-1", "worker-a", "pending")


@row("I.3.9")
async def test_a_request_is_taken(api: Api) -> None:
    """A literal request with an id of text is answered under that id."""
    assert (await api.request("task.assign", ASSIGN, id="req-125"))["result"]["taskId"] == "t-1"


@row("I.3.10")
async def test_a_response_has_its_form(api: Api) -> None:
    """The reply is JSON-RPC 2.0, and its result fits the published schema."""
    reply = await api.request("task.assign", ASSIGN)

    assert reply["jsonrpc"] == "2.0"
    assert (await api.published("task.assign")).answers(reply["result"])
