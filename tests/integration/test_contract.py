"""The JSON-RPC contract of 2025 on a running server: every method of it that exists, and by name those that do not."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import pytest_asyncio
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claudebench.testing import AsyncClient, Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN = Path(__file__).parent.parent / "fixtures" / "contract.json"
SHARED = Path(__file__).parents[3] / "shared" / "contracts" / "jsonrpc-contract.json"
NOT_BUILT_YET = {"mcp.tool.execute", "mcp.tool.list"}
STEPS: list[tuple[str, dict[str, Any]]] = [
    ("system.health", {}),
    ("system.register", {"id": "worker-1", "roles": ["worker", "observer"]}),
    ("task.create", {"text": "Write the parser", "priority": 75}),
    ("task.update", {"id": "t-1", "updates": {"text": "Write the lexer", "priority": 0, "metadata": {"a": 1}}}),
    ("task.update", {"id": "t-1", "updates": {}}),
    ("task.assign", {"taskId": "t-1", "instanceId": "worker-1"}),
    ("task.complete", {"id": "t-1", "result": {"ok": True}}),
    ("system.heartbeat", {"instanceId": "worker-1"}),
    ("hook.pre_tool", {"tool": "Bash", "params": {"command": "ls -la"}}),
    ("hook.pre_tool", {"tool": "Bash", "params": {"command": "rm -rf /"}}),
    ("hook.pre_tool", {"tool": "Bash", "params": {"command": "sudo make"}}),
    ("hook.post_tool", {"tool": "Bash", "result": {"stdout": "ok"}}),
    ("hook.post_tool", {"tool": "Read", "result": None}),
    ("hook.user_prompt", {"prompt": "Build it", "context": {"userId": "u", "sessionId": "s"}}),
    ("hook.todo_write", {"todos": [{"content": "Do it", "status": "pending", "activeForm": "Doing it"}]}),
    ("hook.todo_write", {"todos": []}),
    ("system.get_state", {}),
    ("system.metrics", {}),
]

Contract = dict[str, Any]


@pytest.fixture(scope="module")
def server(shared: Server) -> Server:
    """The server that other modules ask too."""
    return shared


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client in a workspace of this test's own, whose first task is t-1."""
    async with server.client(workspace=uuid4().hex) as connected:
        yield connected


@pytest.fixture(params=[OWN, SHARED], ids=["own", "shared"])
def contract(request: pytest.FixtureRequest) -> Contract:
    """The contract: our own part of it, and the whole where it lies beside the repository."""
    path: Path = request.param
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    found: Contract = json.loads(path.read_text())
    return (
        {**found, "events": {name: parts(name, **own) for name, own in found["methods"].items()}}
        if path == OWN
        else found
    )


def parts(method: str, params: object = None, result: object = None) -> Contract:
    """Spell a method of our own part out as the contract does."""
    asked = {"method": {"const": method}} | ({"params": params} if params else {})
    spelt = {"request": {"allOf": [{"$ref": "#/definitions/jsonrpcRequest"}], "properties": asked}}
    if result:
        answered = {"allOf": [{"$ref": "#/definitions/jsonrpcResponse"}], "properties": {"result": result}}
        spelt["response"] = answered
    return spelt


def validate(contract: Contract, method: str, part: str, message: object) -> None:
    """Hold a message against its part of the contract."""
    schema = contract["events"][method].get(part)
    if schema:
        Draft7Validator.check_schema(schema)
        Draft7Validator({**schema, "definitions": contract["definitions"]}).validate(message)


async def call(client: AsyncClient, contract: Contract, method: str, params: dict[str, Any]) -> Any:
    """Send a request that fits the contract and return the reply, held against it."""
    metadata = {"sessionId": "s-1", "correlationId": "c-1", "timestamp": 1_732_392_000_000}
    message = {"jsonrpc": "2.0", "id": uuid4().hex, "method": method, "params": params, "metadata": metadata}
    validate(contract, method, "request", message)
    reply = await client.rpc(message)
    validate(contract, method, "response", reply)
    Draft7Validator({**contract["definitions"]["jsonrpcResponse"]}).validate(reply)
    assert reply["id"] == message["id"]
    return reply


async def test_every_method_that_exists_fits_the_contract(client: AsyncClient, contract: Contract) -> None:
    """Requests by the contract are answered with results by the contract, in the order create, assign, complete."""
    for method, params in STEPS:
        reply = await call(client, contract, method, params)
        assert "result" in reply, (method, params, reply)


async def test_no_method_of_the_contract_is_forgotten(contract: Contract) -> None:
    """Each method of the contract is either called above or named here as not built yet."""
    assert {method for method, _ in STEPS} | NOT_BUILT_YET == set(contract["events"])


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("mcp.tool.execute", {"tool": "task__create", "params": {}}),
        ("mcp.tool.list", {}),
    ],
)
async def test_methods_not_built_yet_say_so(
    client: AsyncClient, contract: Contract, method: str, params: dict[str, Any]
) -> None:
    """These do not exist yet and answer -32601; whoever builds one takes it out of this list."""
    reply = await call(client, contract, method, params)

    assert reply["error"]["code"] == -32601


async def test_order_of_the_contract_holds(client: AsyncClient, contract: Contract) -> None:
    """A task that was created, assigned and completed by id alone is completed, and keeps its result."""
    await call(client, contract, "system.register", {"id": "worker-1", "roles": []})
    created = (await call(client, contract, "task.create", {"text": "a"}))["result"]
    assigned = (await call(client, contract, "task.assign", {"taskId": "t-1", "instanceId": "worker-1"}))["result"]
    completed = (await call(client, contract, "task.complete", {"id": "t-1", "result": 0}))["result"]

    task = await client.call("task.get", id=created["id"])
    assert (created["status"], created["priority"]) == ("pending", 50)
    assert (assigned["taskId"], assigned["instanceId"]) == ("t-1", "worker-1")
    assert (completed["status"], task["status"], task["result"]) == ("completed", "completed", 0)


async def test_times_are_in_utc(client: AsyncClient) -> None:
    """Every time on the wire is ISO-8601 and ends in Z."""
    await client.call("system.register", id="w", roles=[])
    task = await client.call("task.create", text="a")
    assigned = await client.call("task.assign", taskId="t-1", instanceId="w")
    completed = await client.call("task.complete", id="t-1")
    (event, *_) = (await client.call("system.get_state"))["recentEvents"]

    times = [task["createdAt"], task["updatedAt"], assigned["assignedAt"], completed["completedAt"], event["time"]]
    assert all(time.endswith("Z") and datetime.fromisoformat(time).tzinfo for time in times)


async def test_decisions_of_the_guard_carry_what_the_contract_names(client: AsyncClient, contract: Contract) -> None:
    """Allow, deny with its reason, and a rewrite with the whole modified params."""
    answers = [
        (await call(client, contract, "hook.pre_tool", {"tool": "Bash", "params": params}))["result"]
        for params in ({"command": "ls"}, {"command": "rm -rf /"}, {"command": "sudo ls -l", "timeout": 5})
    ]

    assert [answer["allow"] for answer in answers] == [True, False, True]
    assert "reason" not in answers[0]
    assert "delete" in answers[1]["reason"]
    assert answers[2]["modified"] == {"command": "ls -l", "timeout": 5}
