"""The API as an OpenRPC document: it is valid, it is complete, and every example in it is what the server does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import pytest_asyncio
from jsonschema import Draft7Validator, Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry
from referencing.jsonschema import DRAFT7
from tests.scripts.fleet import store_of

from claudebench.app import COMMANDS, TOLD
from claudebench.errors import TREE, ClaudeBenchError
from claudebench.events.cursor import Cursors
from claudebench.testing import AsyncClient, Server, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from claudebench.rpc.command import Command
    from claudebench.rpc.examples import Example

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIXTURES = Path(__file__).parents[1] / "fixtures"
JSON_SCHEMA = "https://meta.json-schema.tools"
TOKEN = "a-token-of-at-least-sixteen"
WITHOUT_EXAMPLE = {"system.discover", "rpc.discover"}  # their answer is the whole API
VARIES = {
    "createdAt", "updatedAt", "assignedAt", "completedAt", "leaseUntil", "time", "payload", "rulesVersion", "recorded",
    "reason", "services", "durability", "version", "memoryUsage", "commands", "scripts", "averageLatency",
    "database", "position", "logEnd", "term", "recordBehindMs",
    "mac", "key", "at", "detail", "workspace", "members", "share", "tookMs", "secret", "formerSecretUntil", "behind",
    "behindMs",
}  # fmt: skip
POSITION = re.compile(r"\d{13}-\d+")
EXAMPLES = [(name, example) for name, told in TOLD.items() for example in told.examples]


@pytest.fixture(scope="module")
def server(shared: Server) -> Server:
    """The server that other modules ask too."""
    return shared


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client in a workspace of this test's own, whose first task is t-1."""
    async with server.client(workspace=uuid4().hex) as connected:
        yield connected


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def document(server: Server) -> dict[str, Any]:
    """The document of the server."""
    async with server.client() as client:
        found: dict[str, Any] = (await client.get("/openrpc.json")).json
    return found


def method(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the method of a name."""
    (found,) = (each for each in document["methods"] if each["name"] == name)
    return dict(found)


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """Return what validates a value against a schema that stands in the document."""
    return Draft202012Validator(schema | {"components": document["components"]})


def openrpc() -> Draft7Validator:
    """Return what validates an OpenRPC document; its schema of schemas has a name on the web, which is not asked."""
    meta, inner = (json.loads((FIXTURES / name).read_text()) for name in ("openrpc.json", "json_schema.json"))
    schemas = [(uri, DRAFT7.create_resource(inner)) for uri in (JSON_SCHEMA, f"{JSON_SCHEMA}/")]
    return Draft7Validator(meta, registry=Registry().with_resources(schemas))


def steady(value: Any) -> Any:
    """Return a value without what differs from one run to the next."""
    if isinstance(value, dict):
        return {name: "varies" if name in VARIES else steady(each) for name, each in value.items()}
    if isinstance(value, list):
        return [steady(each) for each in value]
    return "position" if isinstance(value, str) and POSITION.fullmatch(value) else value


async def test_the_document_is_valid(document: dict[str, Any]) -> None:
    """The document fits the meta-schema of OpenRPC 1.3."""
    assert document["openrpc"].startswith("1.3.")
    assert [each.message for each in openrpc().iter_errors(document)] == []


async def test_a_broken_document_is_found_out(document: dict[str, Any]) -> None:
    """The meta-schema is really applied: a method without params and a schema that is none are found."""
    first, *others = document["methods"]
    wrong = ({"name": first["name"]}, first | {"result": {"name": "result", "schema": {"type": 5}}})

    for each in wrong:
        assert not openrpc().is_valid(document | {"methods": [each, *others]})


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """Each `$ref` names something in the document, and each schema is a schema."""
    for ref in references(document):
        found: Any = document
        for part in ref.removeprefix("#/").split("/"):
            found = found[part]
    for each in document["methods"]:
        for schema in (each["result"]["schema"], *(param["schema"] for param in each["params"])):
            Draft202012Validator.check_schema(schema)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def references(value: Any) -> Iterator[str]:
    """Yield every reference in a JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


async def test_every_command_is_described(document: dict[str, Any]) -> None:
    """Each command is a method, once, in the order of their names."""
    assert [each["name"] for each in document["methods"]] == sorted(command.name for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
async def test_a_method_says_what_was_declared(document: dict[str, Any], command: Command) -> None:
    """Labels, doors and path of a method are those of its declaration, its params the fields of its request."""
    found = method(document, command.name)

    assert found["summary"] == command.summary
    assert {each["name"] for each in found["tags"]} == {
        f"pattern:{command.pattern}", f"consistency:{command.consistency}"
    }  # fmt: skip
    assert found["x-claudebench"] == {
        "pattern": command.pattern,
        "consistency": command.consistency,
        "changes": command.changes,
        "operator": command.operator,
        "doors": sorted(command.doors),
        "http": "/" + command.name.replace(".", "/"),
    }
    assert {each["name"] for each in found["params"]} == set(command.input.__struct_encode_fields__)
    required = [each["required"] for each in found["params"]]
    assert (found["paramStructure"], required) == ("by-name", sorted(required, reverse=True))


async def test_errors_have_their_codes(document: dict[str, Any]) -> None:
    """Each error of the document has the code of its class, and every command may answer bad params."""
    errors = document["components"]["errors"]

    assert {name: each["code"] for name, each in errors.items()} == {each.__name__: each.code for each in TREE}
    assert all(-32602 in codes(document, each["name"]) for each in document["methods"])
    assert (-32011 in codes(document, "task.get"), -32011 in codes(document, "task.create")) == (False, True)


def codes(document: dict[str, Any], name: str) -> set[int]:
    """Return the codes that a method may answer."""
    errors = document["components"]["errors"]
    return {errors[each["$ref"].rpartition("/")[2]]["code"] for each in method(document, name)["errors"]}


REFUSALS: list[tuple[str, dict[str, Any], int]] = [
    ("task.create", {"text": "a", "dependsOn": ["t-99"]}, -32010),
    ("task.get", {"id": "t-99"}, -32010),
    ("task.list", {"limit": 0}, -32602),
    ("task.assign", {"taskId": "t-2", "instanceId": "nobody"}, -32010),
    ("task.assign", {"taskId": "t-2", "instanceId": "w"}, -32013),
    ("task.assign", {"taskId": "t-1", "instanceId": "w"}, -32011),
    ("task.unassign", {"id": "t-2"}, -32011),
    ("task.claim", {"workerId": "nobody"}, -32010),
    ("task.renew", {"id": "t-1", "workerId": "w", "epoch": 9}, -32012),
    ("task.complete", {"id": "t-2"}, -32011),
    ("task.complete", {"id": "t-1", "workerId": "other"}, -32012),
    ("task.fail", {"id": "t-1", "epoch": 9}, -32012),
    ("task.release", {"id": "t-1", "epoch": 9}, -32012),
    ("task.update", {"id": "t-1", "updates": {"status": "completed"}, "epoch": 9}, -32012),
    ("task.update", {"id": "t-99", "updates": {"priority": 1}}, -32010),
    ("task.retry", {"id": "t-3"}, -32002),
    ("task.retry", {"id": "t-2"}, -32011),
    ("task.delete", {"id": "t-1"}, -32011),
    ("task.delete", {"id": "t-99"}, -32010),
]


@pytest.mark.parametrize(("name", "params", "code"), REFUSALS, ids=[f"{each[0]} {each[2]}" for each in REFUSALS])
async def test_what_is_refused_was_announced(
    client: AsyncClient, document: dict[str, Any], name: str, params: dict[str, Any], code: int
) -> None:
    """A code that a command answers stands among the errors of its method."""
    await client.call("system.register", id="w", roles=[], capacity=1)
    await client.call("task.create", text="held", priority=90)
    await client.call("task.create", text="free", priority=10)
    await client.call("task.create", text="dead", maxAttempts=1, priority=100)
    await client.call("task.claim", workerId="w")
    await client.call("task.fail", id="t-3", retryable=True)
    await client.call("task.claim", workerId="w")
    with pytest.raises(ClaudeBenchError) as caught:
        await client.call(name, **params)

    assert caught.value.code == code
    assert code in codes(document, name)


async def test_every_command_has_an_example(document: dict[str, Any]) -> None:
    """Each command but the descriptions themselves is shown by one example at least, and no other is told of."""
    shown = {each["name"] for each in document["methods"] if each["examples"]}

    assert shown == {command.name for command in COMMANDS} - WITHOUT_EXAMPLE
    assert TOLD.keys() <= {command.name for command in COMMANDS}


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[f"{name}: {each.name}" for name, each in EXAMPLES])
async def test_an_example_fits_its_method(document: dict[str, Any], name: str, example: Example) -> None:
    """The document shows each example by its params and result, which fit the schemas beside them."""
    found = method(document, name)
    (shown,) = (each for each in found["examples"] if each["name"] == example.name)
    schemas = {each["name"]: each["schema"] for each in found["params"]}

    assert {each["name"]: each["value"] for each in shown["params"]} == example.params
    for each in shown["params"]:
        validator(document, schemas[each["name"]]).validate(each["value"])
    assert {each["name"] for each in found["params"] if each["required"]} <= example.params.keys()
    validator(document, found["result"]["schema"]).validate(shown["result"]["value"])


def is_operators(document: dict[str, Any], name: str) -> bool:
    """Whether a command is the operator's only."""
    return bool(method(document, name)["x-claudebench"]["operator"])


@pytest.mark.parametrize("door", ["rpc", "http"])
@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[f"{name}: {each.name}" for name, each in EXAMPLES])
async def test_an_example_is_what_is_answered(  # noqa: PLR0917 - what a case needs
    server: Server, client: AsyncClient, document: dict[str, Any], name: str, example: Example, door: str
) -> None:
    """Run on the server, at either door, an example is answered as it says, but for what differs each time."""
    for given, params in example.given:
        client.token = server.operator_token if is_operators(document, given) else ""
        await client.call(given, **params)
    if name.startswith("audit."):  # by a command that is not itself in the audit
        await client.call("task.list", archived=True, after=client.position)
    if name == "event.group.drop":  # no command makes a group
        async with store_of(server) as connection:
            await Cursors(connection).register(client.path.split("/")[2], example.params["group"])
    client.token = server.operator_token if is_operators(document, name) else ""
    if door == "rpc":
        result = await client.call(name, **example.params)
    else:
        path = client.path.removesuffix("/rpc") + method(document, name)["x-claudebench"]["http"]
        result = (await client.post(path, json.dumps(example.params).encode())).json

    assert steady(result) == steady(example.result)
    validator(document, method(document, name)["result"]["schema"]).validate(result)


async def test_the_command_answers_the_same_document(client: AsyncClient, document: dict[str, Any]) -> None:
    """rpc.discover answers the document, in any workspace, and takes no params."""
    (described,) = (each for each in document["methods"] if each["name"] == "rpc.discover")

    assert await client.call("rpc.discover") == document
    assert (await client.get(client.path.removesuffix("rpc") + "openrpc.json")).json == document
    assert described["params"] == []
    validator(document, described["result"]["schema"]).validate(document)


async def test_who_has_the_document_is_told_so(client: AsyncClient) -> None:
    """Asked again with its ETag, strong, weak, among others or as `*`, the server answers 304 and no body."""
    first = await client.get("/openrpc.json")
    tag = first.headers["etag"]

    assert (first.status, first.headers["content-type"]) == (200, "application/json")
    assert first.headers["cache-control"] == "no-cache"
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await client.get("/openrpc.json", {"If-None-Match": given})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert "content-length" not in again.headers
    for given in ('"other"', tag.strip('"'), ""):
        assert (await client.get("/openrpc.json", {"If-None-Match": given})).json == first.json


async def test_the_document_is_for_who_may_come_in(tmp_path: Path) -> None:
    """A server with a token shows its API to nobody without it, and tells no token in it."""
    async with serve(tmp_path / "data", env={"CLAUDEBENCH_TOKEN": TOKEN}) as running:
        async with running.client() as stranger:
            assert (await stranger.get("/openrpc.json")).status == 401
        async with running.client(token=TOKEN) as known:
            answer = await known.get("/openrpc.json")

    assert answer.status == 200
    assert not [text for text in (TOKEN, running.operator_token) if text in answer.body.decode()]
