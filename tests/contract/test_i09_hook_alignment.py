"""Table I.9: the four hooks beside the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.rows import cases, row

if TYPE_CHECKING:
    from tests.contract.api import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOOLEAN, STRING = {"type": "boolean"}, {"type": "string"}
TODO: Json = {"content": "a", "status": "pending", "activeForm": "b"}


def types(schema: Json, *names: str) -> list[str | None]:
    """Return the type of each member, None where it is anything."""
    return [schema["properties"][name].get("type") for name in names]


@cases(
    "method, required, expected",
    {
        "I.9.1": ("hook.pre_tool", ["tool", "params"], ["string", None]),
        "I.9.4": ("hook.post_tool", ["tool", "result"], ["string", None]),
        "I.9.7": ("hook.user_prompt", ["prompt", "context"], ["string", "object"]),
        "I.9.10": ("hook.todo_write", ["todos"], ["array"]),
    },
)
async def test_params_are_those_of_the_contract(
    api: Api, method: str, required: list[str], expected: list[str | None]
) -> None:
    """The published params have the names and types of the contract, and require what it requires."""
    published = await api.published(method)
    assert (published.asked["required"], types(published.asked, *required)) == (required, expected)
    if method == "hook.todo_write":
        todo = published.input["$defs"]["Todo"]
        assert (todo["required"], types(todo, "content", "activeForm")) == (["content", "status"], ["string"] * 2)


@row("I.9.2")
async def test_pre_tool_answers_by_the_contract(api: Api) -> None:
    """Allow is a boolean, the reason a text, modified anything; allow is required, the others are not."""
    told = (await api.published("hook.pre_tool")).told

    assert [told["properties"][name] for name in ("allow", "reason", "modified")] == [BOOLEAN, STRING, {}]
    assert {"allow", "reason", "modified"} & set(told["required"]) == {"allow"}


@row("I.9.3")
async def test_pre_tool_is_asked_and_answers(api: Api) -> None:
    """A request and its answer fit the published schemas."""
    published, params = await api.published("hook.pre_tool"), {"tool": "bash", "params": {"command": "ls"}}

    assert published.takes(params)
    assert published.answers(await api.call("hook.pre_tool", **params))


@row("I.9.5", "I.9.11")
async def test_processed_is_a_boolean_and_required(api: Api) -> None:
    """Both hooks that take note of something say so with one boolean, which is always there."""
    for method in ("hook.post_tool", "hook.todo_write"):
        told = (await api.published(method)).told
        assert (told["properties"], told["required"]) == ({"processed": BOOLEAN}, ["processed"])


@cases(
    "values",
    {"I.9.6": [{"id": 1}, "text", 123, None], "I.9.13": ["text", 123, {"a": 1}, [1], None]},
)
async def test_post_tool_answers_with_a_boolean_only(api: Api, values: list[Any]) -> None:
    """The published schema admits true and false, and nothing else; a missing one is no answer."""
    published = await api.published("hook.post_tool")

    assert published.answers(await api.call("hook.post_tool", tool="bash", result={"ok": True}))
    assert [published.answers({"processed": each}) for each in (True, False, *values)] == [True] * 2 + [False] * len(
        values
    )
    assert not published.answers({})


@row("I.9.8")
async def test_user_prompt_requires_nothing_of_its_answer(api: Api) -> None:
    """The published answer requires no member and names none: a prompt is not modified."""
    told = (await api.published("hook.user_prompt")).told
    assert (told["properties"], told["required"]) == ({}, [])


@row("I.9.9")
async def test_user_prompt_is_asked_and_answers(api: Api) -> None:
    """A request fits, and so does its answer, which is never another prompt."""
    published, params = await api.published("hook.user_prompt"), {"prompt": "drop database", "context": {"a": 1}}
    answer = await api.call("hook.user_prompt", **params)

    assert published.takes(params)
    assert published.answers(answer)
    assert answer == {}


@cases("wrong", {"I.9.12": ["true", 1, {"done": True}], "I.9.14": ["true", 1]})
async def test_todo_write_answers_with_a_boolean_only(api: Api, wrong: list[Any]) -> None:
    """A request and its answer fit the published schemas, which admit true and false and nothing else."""
    published, params = await api.published("hook.todo_write"), {"todos": [TODO]}

    assert published.takes(params)
    assert published.answers(await api.call("hook.todo_write", **params))
    assert [published.answers({"processed": each}) for each in (True, False)] == [True, True]
    assert [published.answers({"processed": each}) for each in wrong] == [False] * len(wrong)
