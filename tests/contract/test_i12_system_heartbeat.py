"""Table I.12: system.heartbeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.api import INVALID
from tests.contract.rows import row

from claudebench.testing import eventually

if TYPE_CHECKING:
    from tests.contract.api import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def beat(api: Api, instance: str = "worker-123") -> Any:
    """Beat once."""
    return await api.call("system.heartbeat", instanceId=instance)


@row("I.12.1")
async def test_input_is_taken_by_the_contract(api: Api) -> None:
    """The id of an instance is required and taken; none, an empty one or a number are refused."""
    wrong: list[Json] = [{}, {"instanceId": ""}, {"instanceId": 123}]
    await beat(api)

    assert (await api.published("system.heartbeat")).asked["required"] == ["instanceId"]
    assert [await api.refusal("system.heartbeat", **params) for params in wrong] == [INVALID] * 3


@row("I.12.2")
async def test_output_is_that_of_the_contract(api: Api) -> None:
    """Alive is a boolean, and required; members that are not known are no harm."""
    published, answer = await api.published("system.heartbeat"), await beat(api)
    given = (True, False, "true", 1)

    assert [published.answers(answer | {"alive": each}) for each in given] == [True, True, False, False]
    assert not published.answers({})
    assert published.answers(answer | {"other": 1})


@row("I.12.3")
async def test_the_answer_tells_more(api: Api) -> None:
    """Beside alive it names what the instance holds, each with its epoch, and which incarnation it is."""
    await api.call("system.register", id="worker-123", roles=[])
    await api.call("task.create", text="a")
    await api.call("task.claim", workerId="worker-123")

    assert await beat(api) == {"alive": True, "held": [{"id": "t-1", "epoch": 1}], "incarnation": 1}


@row("I.12.4")
async def test_an_unknown_instance_is_not_alive(api: Api) -> None:
    """Who is not registered is not alive, holds nothing, and is not registered by a beat."""
    assert await beat(api) == {"alive": False, "held": []}
    assert (await api.call("instance.list"))["instances"] == []


@row("I.12.5")
async def test_a_registered_instance_is_alive(api: Api) -> None:
    """A beat of who fell silent makes it ACTIVE again: a deadline by the store's clock, which every beat moves."""
    await api.call("system.register", id="worker-123", roles=[], deadAfterMs=500)
    await eventually(lambda: _silent(api))

    assert (await beat(api))["alive"] is True
    assert (await api.instance("worker-123"))["state"] == "ACTIVE"


async def _silent(api: Api) -> bool:
    state: str = (await api.instance("worker-123"))["state"]
    return state != "ACTIVE"


@row("I.12.6")
async def test_every_beat_counts(api: Api) -> None:
    """Three beats one after the other are each answered, and each is heard: none comes from a cache."""
    await api.call("system.register", id="worker-123", roles=[], deadAfterMs=1000)
    for _ in range(3):
        await eventually(lambda: _silent(api))
        assert (await beat(api))["alive"] is True
        assert not await _silent(api)


@row("I.12.7")
async def test_a_request_is_taken(api: Api) -> None:
    """A literal request with an id of text is answered under that id."""
    assert "result" in await api.request("system.heartbeat", {"instanceId": "worker-123"}, id="beat-1")


@row("I.12.8")
async def test_a_response_has_its_form(api: Api) -> None:
    """The reply is JSON-RPC 2.0, and alive is a boolean, also for who is not registered."""
    reply = await api.request("system.heartbeat", {"instanceId": "unregistered"})

    assert (reply["jsonrpc"], reply["result"]["alive"]) == ("2.0", False)
    assert (await api.published("system.heartbeat")).answers(reply["result"])


@row("I.12.9")
async def test_a_notification_is_not_answered(api: Api) -> None:
    """Without an id nothing comes back."""
    assert await api.notify("system.heartbeat", {"instanceId": "worker-123"}) == (204, b"")
