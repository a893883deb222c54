"""Table I.11: system.register."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.api import INVALID
from tests.contract.rows import row

from claudebench.testing import eventually

if TYPE_CHECKING:
    from tests.contract.api import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def roles(api: Api, instance: str = "w") -> list[str]:
    """Return the roles under which an instance is registered."""
    found: list[str] = (await api.instance(instance))["registration"]["roles"]
    return found


@row("I.11.1")
async def test_input_is_taken_by_the_contract(api: Api) -> None:
    """An id and roles are what is required: one, several or none."""
    assert (await api.published("system.register")).asked["required"] == ["id", "roles"]
    for given in (["worker"], ["worker", "monitor"], []):
        await api.call("system.register", id="w", roles=given)


@row("I.11.2")
async def test_invalid_input_is_refused(api: Api) -> None:
    """Without an id or roles, with an empty id or one of another type, nobody is registered."""
    wrong: list[Json] = [
        {}, {"id": "w"}, {"roles": ["worker"]}, {"id": "", "roles": []}, {"id": 123, "roles": []},
        {"id": "w", "roles": "worker"}, {"id": "w", "roles": [123]},
    ]  # fmt: skip
    assert [await api.refusal("system.register", **params) for params in wrong] == [INVALID] * 7
    assert (await api.call("instance.list"))["instances"] == []


@row("I.11.3")
async def test_output_is_that_of_the_contract(api: Api) -> None:
    """Registered is a boolean, and required."""
    published, answer = (
        await api.published("system.register"),
        await api.call("system.register", id="w", roles=["worker"]),
    )

    assert "registered" in published.told["required"]
    given = (True, False, "true", None)
    assert [published.answers(answer | {"registered": each}) for each in given] == [True, True, False, False]


@row("I.11.4")
async def test_the_answer_tells_more(api: Api) -> None:
    """Beside registered it names the incarnation, and the tasks of a former one that are free again."""
    answer = await api.call("system.register", id="w", roles=[])
    assert answer.keys() == {"registered", "incarnation", "returned"}


@row("I.11.5")
async def test_roles_are_texts(api: Api) -> None:
    """The published schema wants an array of strings."""
    field = (await api.published("system.register")).asked["properties"]["roles"]
    assert (field["type"], field["items"]["type"]) == ("array", "string")


@row("I.11.6")
async def test_a_new_instance_is_registered(api: Api) -> None:
    """It is the first incarnation, took nothing from a former one, and is listed with its roles."""
    answer = await api.call("system.register", id="w", roles=["worker", "monitor"])

    assert answer == {"registered": True, "incarnation": 1, "returned": []}
    assert set(await roles(api)) == {"worker", "monitor"}


@row("I.11.7")
async def test_an_instance_may_have_no_roles(api: Api) -> None:
    """It is registered all the same, and listed without any."""
    assert (await api.call("system.register", id="w", roles=[]))["registered"] is True
    assert await roles(api) == []


@row("I.11.8")
async def test_registering_again_replaces(api: Api) -> None:
    """The later roles are those that count."""
    await api.call("system.register", id="w", roles=["worker"])
    assert (await api.call("system.register", id="w", roles=["worker", "coordinator"]))["registered"] is True
    assert set(await roles(api)) == {"worker", "coordinator"}


@row("I.11.9")
async def test_roles_decide_who_gets_a_task(api: Api) -> None:
    """The list names each instance with its roles, and a task goes only to one that has what it requires."""
    await api.call("system.register", id="w", roles=["worker", "observer", "gpu"])
    await api.call("system.register", id="other", roles=["worker"])
    await api.call("task.create", text="a", requires=["gpu", "worker"])

    assert set(await roles(api)) == {"worker", "observer", "gpu"}
    claims = [(await api.call("task.claim", workerId=each))["claimed"] for each in ("other", "w")]
    assert claims == [False, True]


@row("I.11.10")
async def test_silence_ends_in_offline(api: Api) -> None:
    """Nothing of an instance expires: after the silence that it registered with it is OFFLINE, and listed as that."""
    await api.call("system.register", id="w", roles=["worker"], deadAfterMs=500)
    assert (await api.instance("w"))["registration"]["deadAfterMs"] == 500

    await eventually(lambda: _is(api, "OFFLINE"))
    assert await roles(api) == ["worker"]


async def _is(api: Api, state: str) -> bool:
    found: str = (await api.instance("w"))["state"]
    return found == state


@row("I.11.11")
async def test_a_request_is_taken(api: Api) -> None:
    """A literal request with an id of text is answered under that id."""
    assert "result" in await api.request("system.register", {"id": "w", "roles": ["worker"]}, id="register-1")


@row("I.11.12")
async def test_a_response_has_its_form(api: Api) -> None:
    """The reply is JSON-RPC 2.0, and its result fits the published schema."""
    reply = await api.request("system.register", {"id": "w", "roles": ["worker"]})

    assert (reply["jsonrpc"], type(reply["result"]["registered"])) == ("2.0", bool)
    assert (await api.published("system.register")).answers(reply["result"])


@row("I.11.13")
async def test_a_notification_is_not_answered(api: Api) -> None:
    """Without an id nothing comes back, and it is done all the same."""
    assert await api.notify("system.register", {"id": "w", "roles": ["worker"]}) == (204, b"")
    assert await roles(api) == ["worker"]
