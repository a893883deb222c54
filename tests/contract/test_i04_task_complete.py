"""Table I.4: task.complete."""

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

WORKER = "worker-a"


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def worker(api: Api) -> str:
    """An instance."""
    await api.call("system.register", id=WORKER, roles=["worker"])
    return WORKER


async def assigned(api: Api) -> str:
    """Create a task, assign it and return its id."""
    task: Json = await api.call("task.create", text="To be completed")
    await api.call("task.assign", taskId=task["id"], instanceId=WORKER)
    return str(task["id"])


@row("I.4.1")
async def test_input_is_taken_by_the_contract(api: Api) -> None:
    """An id is enough, and a result may be any JSON."""
    await api.call("task.complete", id=await assigned(api))
    for result in ({"ok": True}, "text", 42, None):
        n = await assigned(api)
        await api.call("task.complete", id=n, result=result)
        assert (await api.call("task.get", id=n))["result"] == result


@row("I.4.2")
async def test_invalid_input_is_refused(api: Api) -> None:
    """Without an id, or with an empty one, nothing is completed."""
    wrong: list[Json] = [{}, {"id": ""}, {"result": {"ok": True}}]
    assert [await api.refusal("task.complete", **params) for params in wrong] == [INVALID] * 3


@row("I.4.3")
async def test_a_task_is_completed(api: Api) -> None:
    """The answer holds id, status and time, and the task keeps all three and its result."""
    n, result = await assigned(api), {"output": "done", "files": ["a", "b"]}
    answer = await api.call("task.complete", id=n, result=result)
    task = await api.call("task.get", id=n)

    assert (answer["id"], answer["status"]) == (n, "completed")
    assert datetime.fromisoformat(answer["completedAt"]) <= datetime.now(UTC)
    kept = (task["status"], task["completedAt"], task["result"])
    assert kept == ("completed", answer["completedAt"], result)


@row("I.4.4")
async def test_a_task_without_result_is_completed(api: Api) -> None:
    """Nothing, 0, false and an empty text are ends as good as any; a task fails only when somebody says so."""
    given: list[Json] = [{}, {"result": None}, {"result": 0}, {"result": False}, {"result": ""}]
    answers = [await api.call("task.complete", id=await assigned(api), **each) for each in given]
    said = await api.call("task.fail", id=await assigned(api), error="it broke")

    assert [each["status"] for each in answers] == ["completed"] * 5
    assert said["status"] == "failed"


@row("I.4.5")
async def test_an_unassigned_task_is_refused(api: Api) -> None:
    """What nobody holds nobody completes."""
    n = (await api.call("task.create", text="a"))["id"]

    assert await api.refusal("task.complete", id=n) == CONFLICT
    assert (await api.call("task.get", id=n))["status"] == "pending"


@row("I.4.6")
async def test_an_unknown_task_is_refused(api: Api) -> None:
    """An id that no task can have does not fit, one that no task has is not found."""
    assert await api.refusal("task.complete", id="t-nonexistent") == INVALID
    assert await api.refusal("task.complete", id="t-999") == UNKNOWN


@row("I.4.7")
async def test_no_second_completion(api: Api) -> None:
    """Said again by anybody it is refused; said again by its holder it is answered again, and done once."""
    n = await assigned(api)
    holder: dict[str, Any] = {"id": n, "workerId": WORKER, "epoch": 1}
    first = await api.call("task.complete", **holder)

    assert await api.refusal("task.complete", id=n) == CONFLICT
    assert await api.call("task.complete", **holder) == first
    events = (await api.call("event.list", types=["task.completed"]))["events"]
    assert [each["subject"] for each in events] == [n]


@row("I.4.8")
async def test_the_figures_are_counted(api: Api) -> None:
    """What an instance completed is counted by a list of its tasks, what all did by the metrics."""
    for _ in range(3):
        await api.call("task.complete", id=await assigned(api))
    listed = await api.call("task.list", assignedTo=WORKER, status="completed")

    assert len(listed["tasks"]) == 3
    assert (await api.call("system.metrics"))["tasksCompleted"] == 3


@row("I.4.9")
async def test_a_duration_is_two_times(api: Api) -> None:
    """How long a task took is the difference of two times by one clock, in the task and in its event."""
    n = await assigned(api)
    await api.call("task.complete", id=n)
    task, payload = await api.call("task.get", id=n), (await api.newest("task.completed"))["payload"]

    begun, ended = (datetime.fromisoformat(task[name]) for name in ("createdAt", "completedAt"))
    assert payload["completedMs"] - payload["createdMs"] == round((ended - begun).total_seconds() * 1000) >= 0
    assert "duration" not in task


@row("I.4.10")
async def test_an_event_is_written(api: Api) -> None:
    """The newest event of its type names task, status and result."""
    n = await assigned(api)
    await api.call("task.complete", id=n, result={"ok": True})
    payload = (await api.newest("task.completed"))["payload"]

    assert (payload["id"], payload["status"], payload["result"]) == (n, "completed", {"ok": True})


@row("I.4.11")
async def test_a_request_is_taken(api: Api) -> None:
    """A literal request with an id of text is answered under that id."""
    params = {"id": await assigned(api), "result": {"success": True}}
    assert (await api.request("task.complete", params, id="req-126"))["result"]["status"] == "completed"


@row("I.4.12")
async def test_a_response_has_its_form(api: Api) -> None:
    """The reply is JSON-RPC 2.0, and its result fits the published schema."""
    reply = await api.request("task.complete", {"id": await assigned(api), "result": 1})

    assert reply["jsonrpc"] == "2.0"
    assert (await api.published("task.complete")).answers(reply["result"])
