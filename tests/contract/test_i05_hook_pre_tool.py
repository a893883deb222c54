"""Table I.5: hook.pre_tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.api import INVALID
from tests.contract.rows import cases, row

if TYPE_CHECKING:
    from tests.contract.api import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")

HARMLESS: Json = {"tool": "bash", "params": {"command": "ls -la"}}


@row("I.5.1")
async def test_input_is_that_of_the_contract(api: Api) -> None:
    """A tool, which is a text, and params, which are anything, are what is required."""
    asked = (await api.published("hook.pre_tool")).asked

    assert (asked["properties"]["tool"]["type"], asked["properties"]["params"]) == ("string", {})
    assert asked["required"] == ["tool", "params"]


@cases(
    "tool, params",
    {
        "I.5.2": ("bash", {"command": "ls"}),
        "I.5.3": ("file.write", {"path": "notes.txt", "content": "hello"}),
        "I.5.4": ("custom", "hello world"),
        "I.5.5": ("custom", ["a", "b", "c"]),
        "I.5.6": ("custom", None),
    },
)
async def test_params_are_any_json(api: Api, tool: str, params: Any) -> None:
    """A call with these params is judged, and allowed since nothing speaks against it."""
    assert (await api.call("hook.pre_tool", tool=tool, params=params))["allow"] is True


@cases(
    "wrong",
    {
        "I.5.7": [{"tool": "bash"}, {"params": {}}, {}],
        "I.5.14": [{"toolName": "bash", "params": {}}],
        "I.5.15": [{"tool": "bash", "toolParams": {}}],
    },
)
async def test_other_input_is_refused(api: Api, wrong: list[Json]) -> None:
    """What is missing, or named otherwise, is refused: never judged, never allowed."""
    assert [await api.refusal("hook.pre_tool", **params) for params in wrong] == [INVALID] * len(wrong)


@row("I.5.8")
async def test_output_is_that_of_the_contract(api: Api) -> None:
    """Allow is a boolean and required, a reason is a text, modified is anything."""
    told = (await api.published("hook.pre_tool")).told
    named = {name: told["properties"][name] for name in ("allow", "reason", "modified")}

    assert named == {"allow": {"type": "boolean"}, "reason": {"type": "string"}, "modified": {}}
    assert {"reason", "modified"}.isdisjoint(told["required"])
    assert "allow" in told["required"]


@row("I.5.9")
async def test_a_denial_has_its_reason(api: Api) -> None:
    """What is denied is denied with a reason."""
    answer = await api.call("hook.pre_tool", tool="bash", params={"command": "rm -rf /"})
    assert (answer["allow"], bool(answer["reason"])) == (False, True)


@row("I.5.10")
async def test_an_allow_needs_no_reason(api: Api) -> None:
    """What is allowed is allowed without a reason and without other params."""
    answer = await api.call("hook.pre_tool", **HARMLESS)

    assert answer["allow"] is True
    assert {"reason", "modified"}.isdisjoint(answer)


@cases(
    "given, modified",
    {
        "I.5.11": ({"command": "sudo ls -l", "timeout": 5}, {"command": "ls -l", "timeout": 5}),
        "I.5.12": ("sudo ls -l", "ls -l"),
        "I.5.17": ({"command": "sudo ls -l"}, {"command": "ls -l"}),
    },
)
async def test_a_rewrite_has_the_form_of_the_params(api: Api, given: Any, modified: Any) -> None:
    """Rewritten params come back whole, in the form in which they came, under the name modified; any JSON may."""
    published, answer = await api.published("hook.pre_tool"), await api.call("hook.pre_tool", tool="bash", params=given)

    assert (answer["allow"], answer["modified"], "modifiedParams" in answer) == (True, modified, False)
    assert all(published.answers(answer | {"modified": any_json}) for any_json in ("text", 42, [1, 2], None))


@cases("change", {"I.5.13": {}, "I.5.16": {"allowed": True}})
async def test_an_answer_without_allow_is_none(api: Api, change: Json) -> None:
    """The published schema admits a real answer, and none that says allow otherwise or not at all."""
    published, answer = await api.published("hook.pre_tool"), await api.call("hook.pre_tool", **HARMLESS)
    without = {name: value for name, value in answer.items() if name != "allow"}

    assert published.answers(answer)
    others: list[Json] = [without | change, {"reason": "a", **change}, {"modified": 1, **change}, change]
    assert [published.answers(each) for each in others] == [False] * 4


@row("I.5.18")
async def test_the_handler_is_registered(api: Api) -> None:
    """The server names the command among its own."""
    assert (await api.published("hook.pre_tool")).name == "hook.pre_tool"
