"""What the server says of itself: health, state, metrics, its commands; and the position of every change."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

import claudebench
from claudebench.app import COMMANDS, SCRIPTS
from claudebench.errors import ClaudeBenchError
from claudebench.testing import AsyncClient, Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

CREATES, REFUSED = 7, 3


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One server for this module."""
    async with serve(tmp_path_factory.mktemp("system") / "data") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client in a workspace of this test's own, whose first task is t-1."""
    async with server.client(workspace=uuid4().hex) as connected:
        yield connected


async def test_health_names_only_what_is_used(client: AsyncClient) -> None:
    """A healthy server says so with its store, its durability and its version, over HTTP as over RPC."""
    answer = await client.get("/health")
    said = await client.call("system.health")

    assert (answer.status, answer.json) == (200, said)
    assert (said["status"], said["version"]) == ("healthy", claudebench.__version__)
    assert said["services"]["redis"] is True
    assert not {"postgres", "mcp"} & set(said["services"])
    assert said["durability"].startswith("everysec")


async def test_liveness_asks_nobody(client: AsyncClient) -> None:
    """`/health?live` says that the process answers, and nothing more."""
    answer = await client.get("/health?live")

    assert (answer.status, answer.json) == (200, {"status": "alive"})


async def test_state_of_an_empty_workspace_is_empty(client: AsyncClient) -> None:
    """Where nothing happened nothing is shown."""
    assert await client.call("system.get_state") == {"tasks": [], "instances": [], "recentEvents": []}


async def test_state_shows_the_newest(client: AsyncClient) -> None:
    """The newest ten tasks and events, newest first, and who is there with what it holds."""
    await client.call("system.register", id="w", roles=["worker"])
    for at in range(12):
        await client.call("task.create", text=f"n{at}")
    await client.call("task.claim", workerId="w")

    state = await client.call("system.get_state")

    assert [task["id"] for task in state["tasks"]] == [f"t-{n}" for n in range(12, 2, -1)]
    assert [event["type"] for event in state["recentEvents"]] == ["task.claimed"] + ["task.created"] * 9
    assert state["recentEvents"][0]["subject"] == "t-1"
    assert [(each["id"], each["state"], each["held"]) for each in state["instances"]] == [("w", "ACTIVE", 1)]


async def test_metrics_count_what_happened(server: Server, client: AsyncClient) -> None:
    """Tasks, events, calls and errors are counted exactly, and memory is this process's own."""
    before = figures_of(await client.call("system.metrics"), "task.create")
    await client.call("system.register", id="w", roles=[])
    for _ in range(CREATES):
        await client.call("task.create", text="a")
    for _ in range(REFUSED):
        await client.rpc({"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": {}})
    await client.call("task.claim", workerId="w")
    await client.call("task.complete", id="t-1", workerId="w", epoch=1)

    found = await client.call("system.metrics")
    after = figures_of(found, "task.create")

    assert found["tasks"] == {"pending": 6, "inProgress": 0, "completed": 1, "failed": 0, "deadLetters": 0}
    assert (found["tasksCompleted"], found["eventsProcessed"]) == (1, 1 + CREATES + 2)
    assert after["calls"] - before["calls"] == CREATES + REFUSED
    assert after["errors"]["-32602"] - before["errors"].get("-32602", 0) == REFUSED
    assert 0 < after["p50Ms"] <= after["p99Ms"]
    assert after["pattern"] == "centralized"
    assert found["averageLatency"] > 0
    assert found["memoryUsage"] == pytest.approx(server.resident_mb, rel=0.2)


def figures_of(metrics: Any, command: str) -> dict[str, Any]:
    """Return the figures of one command, or those of one that was never called."""
    found = [each for each in metrics["commands"] if each["command"] == command]
    return found[0] if found else {"calls": 0, "errors": {}}


async def test_a_metric_without_samples_is_absent(tmp_path: Path) -> None:
    """On a fresh server nothing is shown of what was never called: no 0 and no constant in its place."""
    async with serve(tmp_path / "data") as fresh, fresh.client() as client:
        families = prometheus((await client.get("/metrics")).body)
        found = await client.call("system.metrics")

    assert not [name for name, samples in families.items() if "command" in name and samples]
    assert {each["command"] for each in found["commands"]} == {"task.count"}
    never = [each for each in found["scripts"] if not each["calls"]]
    assert [each["script"] for each in never if "p50Ms" in each or "p99Ms" in each] == []
    assert {"tasks.create", "tasks.claim", "events.append"} <= {each["script"] for each in never}


def prometheus(text: bytes) -> dict[str, list[Any]]:
    """Return the samples of each family, parsed by Prometheus' own reader."""
    return {family.name: family.samples for family in text_string_to_metric_families(text.decode())}


async def test_metrics_page_is_prometheus_text(client: AsyncClient) -> None:
    """`/metrics` is read by Prometheus' own parser and holds the same counts as system.metrics."""
    await client.call("task.create", text="a")
    await client.rpc({"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": {}})
    answer = await client.get("/metrics")
    found = figures_of(await client.call("system.metrics"), "task.create")

    families = prometheus(answer.body)
    labels = {"command": "task.create", "pattern": "centralized"}
    seconds = {each.name: each.value for each in families["claudebench_command_seconds"] if each.labels == labels}
    errors = {each.labels["code"]: each.value for each in families["claudebench_command_errors"]}
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert seconds["claudebench_command_seconds_count"] == found["calls"]
    assert seconds["claudebench_command_seconds_sum"] > 0
    assert errors["-32602"] >= found["errors"]["-32602"] >= 1
    assert families["claudebench_store_up"][0].value == 1


async def test_scripts_are_named_with_their_promise_and_hash(client: AsyncClient) -> None:
    """Every Lua script is listed with a hash, a sentence, and real calls; those that succeed one of old say so."""
    await client.call("task.create", text="a")
    scripts = {each["script"]: each for each in (await client.call("system.metrics"))["scripts"]}

    assert set(scripts) == {script.title for script in SCRIPTS}
    assert all(re.fullmatch("[0-9a-f]{40}", each["sha"]) and each["promise"] for each in scripts.values())
    assert scripts["tasks.create"]["calls"] >= 1
    assert 0 < scripts["tasks.create"]["p50Ms"] <= scripts["tasks.create"]["p99Ms"]
    assert scripts["tasks.assign"]["succeeds"] == "ASSIGN_TASK_WITH_LOAD_BALANCING"


async def test_discover_lists_every_command_with_valid_schemas(client: AsyncClient) -> None:
    """Every command that exists is described: a summary, its labels, its doors, and JSON Schemas that are valid."""
    found = (await client.call("system.discover"))["commands"]

    assert [each["name"] for each in found] == sorted(command.name for command in COMMANDS)
    for each in found:
        Draft202012Validator.check_schema(each["input"])
        Draft202012Validator.check_schema(each["output"])
        assert each["summary"].endswith("."), each["name"]
        assert each["pattern"] in {"centralized", "distributed", "hybrid"}
        assert each["consistency"] in {"linearizable", "ordered", "derived", "agreed"}
        assert "jsonrpc" in each["doors"]


@pytest.mark.parametrize(
    ("params", "fits"),
    [
        ({"text": "a"}, True),
        ({"text": "a", "priority": 0, "requires": ["x"], "metadata": {"a": []}}, True),
        ({}, False),
        ({"text": ""}, False),
        ({"text": "x" * 501}, False),
        ({"text": "a", "priority": 101}, False),
        ({"text": "a", "priority": "5"}, False),
        ({"text": "a", "colour": 1}, False),
    ],
)
async def test_discovered_schema_judges_as_the_server_does(
    client: AsyncClient, params: dict[str, Any], *, fits: bool
) -> None:
    """What the described input of task.create takes, the server takes, and what it refuses, the server refuses."""
    (schema,) = [
        each["input"] for each in (await client.call("system.discover"))["commands"] if each["name"] == "task.create"
    ]

    reply = await client.rpc({"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": params})

    assert (Draft202012Validator(schema).is_valid(params), "result" in reply) == (fits, fits)


async def test_declared_labels_are_those_of_the_design(client: AsyncClient) -> None:
    """A claim is B, the todo list is C, and the ledger's other commands are A."""
    labels = {each["name"]: each["pattern"] for each in (await client.call("system.discover"))["commands"]}

    assert labels["task.claim"] == "distributed"
    assert labels["hook.todo_write"] == "hybrid"
    tasks = {name: label for name, label in labels.items() if name.startswith("task.") and name != "task.claim"}
    assert set(tasks.values()) == {"centralized"}


CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("system.register", {"id": "w", "roles": []}, "instance.registered"),
    ("task.create", {"text": "a"}, "task.created"),
    ("task.create", {"text": "b"}, "task.created"),
    ("task.assign", {"taskId": "t-1", "instanceId": "w"}, "task.assigned"),
    ("task.unassign", {"id": "t-1"}, "task.returned"),
    ("task.claim", {"workerId": "w"}, "task.claimed"),
    ("task.release", {"id": "t-1", "workerId": "w", "epoch": 3}, "task.returned"),
    ("task.claim", {"workerId": "w"}, "task.claimed"),
    ("task.complete", {"id": "t-1", "workerId": "w"}, "task.completed"),
    ("task.claim", {"workerId": "w"}, "task.claimed"),
    ("task.fail", {"id": "t-2", "workerId": "w", "error": "no"}, "task.failed"),
    ("task.retry", {"id": "t-2"}, "task.reopened"),
    ("task.update", {"id": "t-2", "updates": {"priority": 1}}, "task.updated"),
    ("task.update", {"id": "t-2", "updates": {"status": "failed"}}, "task.failed"),
    ("task.delete", {"id": "t-2"}, "task.deleted"),
    ("hook.post_tool", {"tool": "Bash", "result": {}}, "hook.tool_used"),
    ("hook.user_prompt", {"prompt": "p", "context": {}}, "hook.prompted"),
    ("hook.todo_write", {"todos": []}, "hook.todos_written"),
    ("event.emit", {"type": "x.build.done"}, "x.build.done"),
    ("system.unregister", {"instanceId": "w"}, "instance.unregistered"),
]


async def test_every_change_answers_with_the_position_of_its_event(client: AsyncClient) -> None:
    """Each changing reply, and its header, holds the id of the event that stands newest in the log then."""
    for method, params, type_ in CHANGES:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = await client.post(client.path, json.dumps(body).encode())
        newest = (await client.call("system.get_state"))["recentEvents"][0]
        assert "result" in answer.json, answer.json
        assert newest["type"] == type_, (method, newest)
        assert answer.json["metadata"]["position"] == answer.headers["claudebench-position"] == newest["id"]


async def test_every_changing_command_is_in_that_list(client: AsyncClient) -> None:
    """No agent's command declared as changing is left out above, but renew, which is a touch and no event."""
    declared = {command.name for command in COMMANDS if command.changes and not command.operator}

    assert declared - {method for method, _, _ in CHANGES} == {"task.renew"}


async def test_queries_and_empty_claims_have_no_position(client: AsyncClient) -> None:
    """What changed nothing answers without a position."""
    await client.call("system.register", id="w", roles=[])
    for method, params in (
        ("task.claim", {"workerId": "w"}),
        ("task.list", {}),
        ("task.count", {}),
        ("system.health", {}),
        ("system.heartbeat", {"instanceId": "w"}),
    ):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = await client.post(client.path, json.dumps(body).encode())
        assert "metadata" not in answer.json, method
        assert "claudebench-position" not in answer.headers, method


async def test_a_server_whose_store_is_silent_says_so(tmp_path: Path) -> None:
    """Health is 503 and unhealthy, a change is refused with its outcome unknown, and both end with the silence."""
    async with serve(tmp_path / "data") as running, running.client() as client, running.client() as other:
        await client.call("task.create", text="kept")
        running.pause_store()
        health, change, state = await asyncio.gather(
            client.get("/health"), refusal(running, "task.create", text="late"), refusal(running, "system.get_state")
        )
        running.resume_store()

        assert (health.status, health.json["status"], health.json["services"]["redis"]) == (503, "unhealthy", False)
        assert {change.code, state.code} <= {-32001, -32004}
        assert change.outcome == "unknown"
        assert change.data.get("retryAfterMs", 1) != 0
        await eventually(other.is_healthy)
        assert (await other.call("task.get", id="t-1"))["text"] == "kept"


async def refusal(server: Server, method: str, **params: Any) -> ClaudeBenchError:
    """Return the error that a command must come to."""
    async with server.client() as client:
        with pytest.raises(ClaudeBenchError) as caught:
            await client.call(method, **params)
    return caught.value


async def test_unknown_paths_are_404_and_say_where(client: AsyncClient) -> None:
    """A path that nothing answers is 404 as problem+json, for GET as for POST."""
    for answer in (await client.get("/helth"), await client.post("/nothing", b"{}")):
        assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
        assert answer.json["outcome"] == "not_done"
