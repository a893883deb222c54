"""Table I.6: hook.post_tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.api import INVALID
from tests.contract.rows import cases, row

if TYPE_CHECKING:
    from tests.contract.api import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")


@row("I.6.1")
async def test_input_is_that_of_the_contract(api: Api) -> None:
    """A tool, which is a text, and a result, which is anything, are what is required."""
    asked = (await api.published("hook.post_tool")).asked

    assert (asked["properties"]["tool"]["type"], asked["properties"]["result"]) == ("string", {})
    assert asked["required"] == ["tool", "result"]


@cases(
    "result",
    {
        "I.6.2": {"stdout": "ok", "exitCode": 0},
        "I.6.3": "plain text",
        "I.6.4": [1, "two", {"three": 3}],
        "I.6.5": None,
        "I.6.6": 42,
        "I.6.7": {"error": "not found", "code": "ENOENT"},
    },
)
async def test_a_result_is_any_json(api: Api, result: Any) -> None:
    """The use of a tool is noted whatever came of it."""
    assert await api.call("hook.post_tool", tool="bash", result=result) == {"processed": True}
    assert (await api.newest("hook.tool_used"))["payload"]["tool"] == "bash"


@cases(
    "wrong",
    {
        "I.6.8": [{"tool": "bash"}, {"result": {}}, {}],
        "I.6.17": [{"toolName": "bash", "result": {}}],
        "I.6.18": [{"tool": "bash", "toolResult": {}}],
    },
)
async def test_other_input_is_refused(api: Api, wrong: list[Json]) -> None:
    """What is missing, or named otherwise, is refused and leaves no event."""
    assert [await api.refusal("hook.post_tool", **params) for params in wrong] == [INVALID] * len(wrong)
    assert (await api.call("event.list"))["events"] == []


@row("I.6.9")
async def test_processed_is_declared_as_a_boolean(api: Api) -> None:
    """Processed is required, and a boolean: that the fact was taken is all that the answer says."""
    told = (await api.published("hook.post_tool")).told
    assert (told["required"], told["properties"]) == (["processed"], {"processed": {"type": "boolean"}})


@row("I.6.10")
async def test_processed_is_a_boolean(api: Api) -> None:
    """A fact that was taken is answered with true."""
    answer = await api.call("hook.post_tool", tool="bash", result={})

    assert answer["processed"] is True
    assert (await api.published("hook.post_tool")).answers(answer)


@cases(
    "tool, result, earlier",
    {
        "I.6.11": ("task.create", {"id": "t-1"}, {"acknowledged": True, "taskId": "t-1"}),
        "I.6.12": ("file.write", {"path": "a.txt"}, "completed"),
        "I.6.13": ("api.call", {"status": 200}, 42),
        "I.6.14": ("list", [1, 2, 3], [1, 2, 3]),
        "I.6.15": ("nothing", None, None),
    },
)
async def test_processed_is_nothing_else(api: Api, tool: str, result: Any, earlier: Any) -> None:
    """No tool has an answer of its own: it is true, and the published schema admits nothing but a boolean."""
    assert await api.call("hook.post_tool", tool=tool, result=result) == {"processed": True}
    assert not (await api.published("hook.post_tool")).answers({"processed": earlier})


@cases(
    "wrong",
    {
        "I.6.16": [{"success": True}, {"acknowledged": True}, {}],
        "I.6.19": [{"acknowledged": True}],
        "I.6.20": [{"success": True}],
    },
)
async def test_an_answer_without_processed_is_none(api: Api, wrong: list[Json]) -> None:
    """The published schema admits no answer that says it otherwise or not at all."""
    published = await api.published("hook.post_tool")
    assert [published.answers(each) for each in wrong] == [False] * len(wrong)


@row("I.6.21")
async def test_the_handler_is_registered(api: Api) -> None:
    """The server names the command among its own."""
    assert (await api.published("hook.post_tool")).name == "hook.post_tool"
