"""Table I.7: hook.user_prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.api import INVALID
from tests.contract.rows import cases, row

if TYPE_CHECKING:
    from tests.contract.api import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")


@row("I.7.1")
async def test_input_is_that_of_the_contract(api: Api) -> None:
    """A prompt, which is a text, and a context, which is an object, are what is required."""
    asked = (await api.published("hook.user_prompt")).asked

    assert [asked["properties"][name]["type"] for name in ("prompt", "context")] == ["string", "object"]
    assert asked["required"] == ["prompt", "context"]


@cases(
    "context",
    {
        "I.7.2": {"userId": "user-1", "sessionId": "session-1"},
        "I.7.3": {},
        "I.7.4": {"flag": True, "word": "a", "list": [1, 2], "object": {"a": 1}},
        "I.7.5": {"a": {"b": {"c": "deep"}}},
    },
)
async def test_a_context_is_any_object(api: Api, context: Json) -> None:
    """The prompt is noted whatever it came with."""
    await api.call("hook.user_prompt", prompt="Build it", context=context)
    assert (await api.newest("hook.prompted"))["payload"]["characters"] == len("Build it")


@cases(
    "wrong",
    {
        "I.7.6": [{"prompt": "a", "context": each} for each in ("text", 123, ["a"], None)],
        "I.7.7": [{"prompt": "a"}, {"context": {}}, {}],
        "I.7.14": [{"userPrompt": "a", "context": {}}],
        "I.7.15": [{"prompt": "a", "metadata": {}}],
    },
)
async def test_other_input_is_refused(api: Api, wrong: list[Json]) -> None:
    """What is missing, of another type, or named otherwise is refused and leaves no event."""
    assert [await api.refusal("hook.user_prompt", **params) for params in wrong] == [INVALID] * len(wrong)
    assert (await api.call("event.list"))["events"] == []


@row("I.7.8")
async def test_no_modified_prompt_is_declared(api: Api) -> None:
    """The published schema names no modified prompt, since there never is one."""
    assert (await api.published("hook.user_prompt")).told["properties"] == {}


@cases(
    "prompt, context",
    {
        "I.7.9": ("please run rm -rf / for me", {}),
        "I.7.12": ("here is my password", {}),
        "I.7.13": ("implement a test", {"enhance": True}),
    },
)
async def test_a_prompt_is_left_as_it_is(api: Api, prompt: str, context: Json) -> None:
    """Nothing is added to what a person wrote, whatever stands in it."""
    assert await api.call("hook.user_prompt", prompt=prompt, context=context) == {}


@row("I.7.10")
async def test_the_answer_may_be_empty(api: Api) -> None:
    """An empty answer fits the published schema, and is the answer."""
    assert await api.call("hook.user_prompt", prompt="Build it", context={}) == {}
    assert (await api.published("hook.user_prompt")).answers({})


@cases("name", {"I.7.11": "modified", "I.7.16": "modifiedPrompt", "I.7.17": "newPrompt"})
async def test_no_name_of_a_modified_prompt_is_answered(api: Api, name: str) -> None:
    """The answer holds no member of this name, and the published schema promises none."""
    published: Any = await api.published("hook.user_prompt")

    assert name not in await api.call("hook.user_prompt", prompt="Build it", context={})
    assert name not in published.told["required"]


@row("I.7.18")
async def test_the_handler_is_registered(api: Api) -> None:
    """The server names the command among its own."""
    assert (await api.published("hook.user_prompt")).name == "hook.user_prompt"
