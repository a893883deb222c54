"""Table I.2: task.update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.api import INVALID, UNKNOWN
from tests.contract.rows import row

if TYPE_CHECKING:
    from tests.contract.api import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def created(api: Api, **params: Any) -> str:
    """Create a task and return its id."""
    task: Json = await api.call("task.create", text="before", **params)
    return str(task["id"])


@row("I.2.1")
async def test_input_is_taken_by_the_contract(api: Api) -> None:
    """A full update, each member alone and none at all are taken; id and updates are what is required."""
    full = {"text": "Updated", "status": "in_progress", "priority": 75}
    for updates in (full, {"text": "Updated"}, {"status": "completed"}, {"priority": 1}, {}):
        await api.call("task.update", id=await created(api), updates=updates)
    assert (await api.published("task.update")).asked["required"] == ["id", "updates"]


@row("I.2.2")
async def test_invalid_input_is_refused(api: Api) -> None:
    """Without an id, without updates, or with a value out of its bounds nothing is updated."""
    n = await created(api)
    wrong: list[Json] = [
        {"updates": {}}, {"id": "", "updates": {}}, {"id": n}, {"id": n, "updates": {"text": "x" * 501}},
        {"id": n, "updates": {"status": "INVALID"}}, {"id": n, "updates": {"priority": -1}},
        {"id": n, "updates": {"priority": 101}},
    ]  # fmt: skip
    before = await api.call("task.get", id=n)

    assert [await api.refusal("task.update", **params) for params in wrong] == [INVALID] * len(wrong)
    assert await api.call("task.get", id=n) == before


@row("I.2.3")
async def test_each_status_is_taken(api: Api) -> None:
    """Each of the four values is one that an update may name."""
    for status in ("pending", "in_progress", "completed", "failed"):
        assert (await api.call("task.update", id=await created(api), updates={"status": status}))["status"] == status


@row("I.2.4")
async def test_priority_has_a_range(api: Api) -> None:
    """0 to 100 are taken and kept, -1, 101 and 1000 refused."""
    n = await created(api)
    for priority in (0, 1, 50, 99, 100):
        assert (await api.call("task.update", id=n, updates={"priority": priority}))["priority"] == priority
    codes = [await api.refusal("task.update", id=n, updates={"priority": each}) for each in (-1, 101, 1000)]
    assert codes == [INVALID] * 3


@row("I.2.5")
async def test_a_task_is_updated(api: Api) -> None:
    """The answer holds the new values and a later time, and so does what is read afterwards."""
    n = await created(api, priority=50)
    updates = {"text": "Updated task", "status": "in_progress", "priority": 85}
    task = await api.call("task.update", id=n, updates=updates)

    assert {name: task[name] for name in updates} == updates
    assert task["updatedAt"] >= task["createdAt"]
    assert await api.call("task.get", id=n) == task


@row("I.2.6")
async def test_the_rest_is_kept(api: Api) -> None:
    """Text, status and priority change one by one, also once the task is completed; each leaves the others alone."""
    n = await created(api, priority=85)
    seen = []
    for updates in ({"text": "after"}, {"status": "completed"}, {"priority": 10}):
        task = await api.call("task.update", id=n, updates=updates)
        seen.append((task["text"], task["status"], task["priority"]))
    assert seen == [("after", "pending", 85), ("after", "completed", 85), ("after", "completed", 10)]


@row("I.2.7")
async def test_an_unknown_task_is_refused(api: Api) -> None:
    """An id that no task can have does not fit, one that no task has is not found."""
    assert await api.refusal("task.update", id="t-nonexistent", updates={"text": "a"}) == INVALID
    assert await api.refusal("task.update", id="t-999", updates={"text": "a"}) == UNKNOWN


@row("I.2.8")
async def test_an_event_is_written(api: Api) -> None:
    """The newest event of its type names the task, what was changed and to what."""
    n = await created(api)
    await api.call("task.update", id=n, updates={"text": "Event update"})
    payload = (await api.newest("task.updated"))["payload"]

    assert (payload["id"], payload["changed"], payload["patch"]) == (n, ["text"], {"text": "Event update"})


@row("I.2.9")
async def test_a_request_is_taken(api: Api) -> None:
    """A literal request with an id of text is answered under that id."""
    params = {"id": await created(api), "updates": {"status": "completed"}}
    assert (await api.request("task.update", params, id="req-124"))["result"]["status"] == "completed"


@row("I.2.10")
async def test_a_response_has_its_form(api: Api) -> None:
    """The reply is JSON-RPC 2.0, and its result fits the published schema."""
    reply = await api.request("task.update", {"id": await created(api), "updates": {"text": "a"}})

    assert reply["jsonrpc"] == "2.0"
    assert (await api.published("task.update")).answers(reply["result"])
