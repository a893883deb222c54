"""Table I.13: system.get_state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.rows import row

if TYPE_CHECKING:
    from tests.contract.api import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = ("tasks", "instances", "recentEvents")
EMPTY: Json = {"tasks": [], "instances": [], "recentEvents": []}


@row("I.13.1")
async def test_nothing_is_asked(api: Api) -> None:
    """An empty object is taken, and nothing is required."""
    assert (await api.published("system.get_state")).asked["required"] == []
    await api.call("system.get_state")


@row("I.13.2")
async def test_output_is_three_arrays(api: Api) -> None:
    """Tasks, instances and events are arrays, and all three are always there."""
    told = (await api.published("system.get_state")).told

    assert {name: field["type"] for name, field in told["properties"].items()} == dict.fromkeys(NAMES, "array")
    assert set(told["required"]) == set(NAMES)


@row("I.13.3")
async def test_no_array_is_left_out(api: Api) -> None:
    """Filled or empty, an answer has all three; one with fewer is none."""
    published = await api.published("system.get_state")
    fewer: list[Json] = [{name: [] for name in NAMES if name != without} for without in NAMES]

    assert published.answers(EMPTY)
    assert published.answers(EMPTY | {"tasks": [{"id": "t-1"}], "instances": [{"id": "w"}]})
    assert [published.answers(each) for each in [{}, *fewer]] == [False] * 4


@row("I.13.4")
async def test_invalid_answers_are_none(api: Api) -> None:
    """What is no array is none of the three."""
    published = await api.published("system.get_state")
    wrong = [EMPTY | {name: "text"} for name in NAMES] + [EMPTY | {"tasks": None}]
    assert [published.answers(each) for each in wrong] == [False] * 4


@row("I.13.5")
async def test_an_empty_state_is_three_empty_lists(api: Api) -> None:
    """Where nothing happened nothing is shown, however often it was asked: a question is no event."""
    assert [await api.call("system.get_state") for _ in range(2)] == [EMPTY, EMPTY]


@row("I.13.6")
async def test_tasks_are_shown(api: Api) -> None:
    """Each task is there."""
    ids = {(await api.call("task.create", text=text))["id"] for text in ("a", "b")}
    assert {each["id"] for each in (await api.call("system.get_state"))["tasks"]} == ids


@row("I.13.7")
async def test_instances_are_shown(api: Api) -> None:
    """Each instance is there."""
    for instance in ("worker-1", "worker-2"):
        await api.call("system.register", id=instance, roles=[])
    assert {each["id"] for each in (await api.call("system.get_state"))["instances"]} == {"worker-1", "worker-2"}


@row("I.13.8")
async def test_the_lists_are_bounded(api: Api) -> None:
    """Of twenty tasks and their events the newest ten are there."""
    for at in range(20):
        await api.call("task.create", text=f"n{at}")
    state = await api.call("system.get_state")

    assert [each["id"] for each in state["tasks"]] == [f"t-{n}" for n in range(20, 10, -1)]
    assert len(state["recentEvents"]) == 10


@row("I.13.9")
async def test_what_is_empty_is_an_empty_list(api: Api) -> None:
    """With one task there is that task and its event, and an empty list of instances."""
    task = await api.call("task.create", text="a")
    state = await api.call("system.get_state")

    assert (state["tasks"], state["instances"]) == ([task], [])
    assert [(each["type"], each["subject"]) for each in state["recentEvents"]] == [("task.created", task["id"])]


@row("I.13.10")
async def test_a_request_is_taken(api: Api) -> None:
    """A literal request with an id of text is answered under that id."""
    assert "result" in await api.request("system.get_state", {}, id="state-1")


@row("I.13.11")
async def test_a_response_has_its_form(api: Api) -> None:
    """The reply is JSON-RPC 2.0, and its result fits the published schema."""
    reply = await api.request("system.get_state")

    assert reply["jsonrpc"] == "2.0"
    assert (await api.published("system.get_state")).answers(reply["result"])


@row("I.13.12")
async def test_a_notification_is_not_answered(api: Api) -> None:
    """Without an id nothing comes back."""
    assert await api.notify("system.get_state", {}) == (204, b"")
