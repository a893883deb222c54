"""Table I.8: hook.todo_write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.api import INVALID
from tests.contract.rows import cases, row

if TYPE_CHECKING:
    from tests.contract.api import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATUSES = ("pending", "in_progress", "completed")


def todo(status: str = "pending", **more: str) -> Json:
    """Return a line of a list."""
    return {"content": "Write the parser", "status": status, **more}


@row("I.8.1")
async def test_input_is_that_of_the_contract(api: Api) -> None:
    """An array of todos is what is required."""
    asked = (await api.published("hook.todo_write")).asked
    assert (asked["required"], asked["properties"]["todos"]["type"]) == (["todos"], "array")


@cases(
    "todos",
    {
        "I.8.2": [todo(status) for status in STATUSES],
        "I.8.3": [todo(activeForm="Writing the parser"), todo()],
        "I.8.4": [],
        "I.8.21": [todo("in_progress", activeForm="Writing the parser")],
        "I.8.22": [todo()],
        "I.8.23": [todo(activeForm="Writing"), todo("completed"), todo("in_progress", activeForm="Writing")],
        "I.8.24": [{"content": f"Step {at}", "status": STATUSES[at % 3]} for at in range(100)],
    },
)
async def test_a_list_is_noted(api: Api, todos: list[Json]) -> None:
    """The list is taken, and its event holds exactly what was written."""
    assert await api.call("hook.todo_write", todos=todos) == {"processed": True}
    assert (await api.newest("hook.todos_written"))["payload"]["todos"] == todos


@cases("statuses, taken", {"I.8.5": (STATUSES, True), "I.8.6": (("PENDING", "done", "IN_PROGRESS"), False)})
async def test_the_status_is_one_of_three(api: Api, statuses: tuple[str, ...], taken: bool) -> None:  # noqa: FBT001
    """The three values are taken, any other is refused."""
    for status in statuses:
        reply = await api.request("hook.todo_write", {"todos": [todo(status)]})
        assert ("result" in reply, reply.get("error", {}).get("code")) == (taken, None if taken else INVALID)


@cases(
    "wrong",
    {
        "I.8.7": [{"todos": [each]} for each in ({"content": "a"}, {"status": "pending"}, {})],
        "I.8.8": [{"todo": []}, {}],
        "I.8.15": [{"todoList": [todo()]}],
        "I.8.16": [{"todos": [{"text": "a", "status": "pending"}]}],
        "I.8.17": [{"todos": [{"title": "a", "status": "pending"}]}],
    },
)
async def test_other_input_is_refused(api: Api, wrong: list[Json]) -> None:
    """What is missing, or named otherwise, is refused and leaves no event."""
    assert [await api.refusal("hook.todo_write", **params) for params in wrong] == [INVALID] * len(wrong)
    assert (await api.call("event.list"))["events"] == []


@row("I.8.9")
async def test_output_is_that_of_the_contract(api: Api) -> None:
    """Processed is a boolean, and required."""
    told = (await api.published("hook.todo_write")).told
    assert (told["required"], told["properties"]) == (["processed"], {"processed": {"type": "boolean"}})


@cases("values", {"I.8.10": [True], "I.8.11": [True], "I.8.12": [False]})
async def test_processed_is_a_boolean(api: Api, values: list[bool]) -> None:
    """The published schema admits these, and a list that was taken is answered with true."""
    published = await api.published("hook.todo_write")

    assert [published.answers({"processed": value}) for value in values] == [True]
    assert await api.call("hook.todo_write", todos=[todo()]) == {"processed": True}


@cases(
    "wrong",
    {
        "I.8.13": [{"processed": each} for each in ("true", 1, {"done": True}, None)],
        "I.8.14": [{"accepted": True}, {"success": True}, {}],
        "I.8.18": [{"accepted": True}],
        "I.8.19": [{"success": True}],
    },
)
async def test_other_answers_are_none(api: Api, wrong: list[Any]) -> None:
    """The published schema admits no answer that says it otherwise or not at all."""
    published = await api.published("hook.todo_write")
    assert [published.answers(each) for each in wrong] == [False] * len(wrong)


@row("I.8.20")
async def test_a_todo_is_that_of_the_contract(api: Api) -> None:
    """Content and activeForm are texts, the status is one of three."""
    fields = (await api.published("hook.todo_write")).input["$defs"]["Todo"]["properties"]

    assert [fields[name]["type"] for name in ("content", "activeForm")] == ["string", "string"]
    assert set(fields["status"]["enum"]) == set(STATUSES)


@row("I.8.25")
async def test_the_handler_is_registered(api: Api) -> None:
    """The server names the command among its own."""
    assert (await api.published("hook.todo_write")).name == "hook.todo_write"
