"""Table I.10: system.health."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.api import Api
from tests.contract.rows import row

from claudebench.testing import Server, eventually, serve

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.api import Json

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATUSES = ["healthy", "degraded", "unhealthy"]
SERVICES = {"redis", "disk", "memory", "log", "record", "audit"}


@row("I.10.1")
async def test_nothing_is_asked(api: Api) -> None:
    """An empty object is taken, and nothing is required."""
    asked = (await api.published("system.health")).asked

    assert (asked["type"], asked["required"]) == ("object", [])
    await api.call("system.health")


@row("I.10.2")
async def test_output_is_that_of_the_contract(api: Api) -> None:
    """Status and services are required, and each status may come with any services."""
    published = await api.published("system.health")

    assert set(published.told["required"]) == {"status", "services"}
    samples = [{"status": each, "services": {"redis": each != "unhealthy"}} for each in STATUSES]
    assert all(published.answers(each) for each in samples)


@row("I.10.3")
async def test_the_status_is_one_of_three(api: Api) -> None:
    """The published schema names the three values."""
    assert set((await api.published("system.health")).told["properties"]["status"]["enum"]) == set(STATUSES)


@row("I.10.4")
async def test_services_are_booleans(api: Api) -> None:
    """Each service is a boolean; which there are is not fixed, since only what is used is named."""
    services = (await api.published("system.health")).told["properties"]["services"]

    assert services == {"type": "object", "additionalProperties": {"type": "boolean"}}
    assert {"postgres", "mcp"}.isdisjoint((await api.call("system.health"))["services"])


@row("I.10.5")
async def test_invalid_answers_are_none(api: Api) -> None:
    """Without a status, without services, or with another value it is no answer."""
    published = await api.published("system.health")
    wrong: list[Json] = [
        {}, {"status": "healthy"}, {"services": {}}, {"status": "unknown", "services": {}},
        {"status": "healthy", "services": {"redis": "yes"}},
    ]  # fmt: skip
    assert [published.answers(each) for each in wrong] == [False] * 5


@row("I.10.6")
async def test_every_service_is_told(api: Api) -> None:
    """A status of the three, and a boolean for each service that this server uses."""
    answer = await api.call("system.health")

    assert answer["status"] in STATUSES
    assert {name: type(value) for name, value in answer["services"].items()} == dict.fromkeys(SERVICES, bool)


@row("I.10.7")
async def test_a_failing_service_is_told(tmp_path: Path) -> None:
    """While the store is gone the answer fits all the same, and says so; it is well again when the store is."""
    async with serve(tmp_path / "data") as server, server.client() as client:
        published = await Api(client).published("system.health")
        server.kill_store()
        ill = await eventually(lambda: _ill(client_of(server)))
        await eventually(client.is_healthy)

    assert (ill["status"], ill["services"]["redis"]) == ("unhealthy", False)
    assert published.answers(ill)


def client_of(server: Server) -> Api:
    """Return the API of a server's default workspace."""
    return Api(server.client())


async def _ill(api: Api) -> Json | None:
    async with api.client:
        answer: Json = await api.call("system.health")
    return None if answer["status"] == "healthy" else answer


@row("I.10.8")
async def test_the_status_follows_the_services(api: Api) -> None:
    """Where nobody is registered and every service is well the server is healthy: it waits for work."""
    answer = await api.call("system.health")

    assert (await api.call("instance.list"))["instances"] == []
    assert (answer["status"], set(answer["services"].values())) == ("healthy", {True})


@row("I.10.9")
async def test_a_request_is_taken(api: Api) -> None:
    """A literal request with an id of text is answered under that id."""
    assert "result" in await api.request("system.health", {}, id="health-1")


@row("I.10.10")
async def test_a_response_has_its_form(api: Api) -> None:
    """The reply is JSON-RPC 2.0, and its result fits the published schema."""
    reply = await api.request("system.health")

    assert (reply["jsonrpc"], {"status", "services"} <= reply["result"].keys()) == ("2.0", True)
    assert (await api.published("system.health")).answers(reply["result"])


@row("I.10.11")
async def test_a_notification_is_not_answered(api: Api) -> None:
    """Without an id nothing comes back."""
    assert await api.notify("system.health", {}) == (204, b"")
