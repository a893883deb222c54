"""A client that asks as the contract does: results, refusals by their code, and the schemas that are published."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft7Validator, Draft202012Validator  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from claudebench.testing import AsyncClient

CONTRACT = json.loads((Path(__file__).parents[1] / "fixtures" / "contract.json").read_text())
INVALID, UNKNOWN, CONFLICT = -32602, -32010, -32011
Json = dict[str, Any]


@dataclass(frozen=True)
class Published:
    """The schemas of one command as the server publishes them: what it takes, what it answers."""

    name: str
    input: Json
    output: Json

    def takes(self, params: object) -> bool:
        """Tell whether these params fit."""
        return bool(Draft202012Validator(self.input).is_valid(params))

    def answers(self, result: object) -> bool:
        """Tell whether this could be an answer."""
        return bool(Draft202012Validator(self.output).is_valid(result))

    @property
    def asked(self) -> Json:
        """The object of the params."""
        return _root(self.input)

    @property
    def told(self) -> Json:
        """The object of the result."""
        return _root(self.output)


def _root(schema: Json) -> Json:
    found: Json = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    return found


@dataclass(frozen=True)
class Api:
    """The `/rpc` of a real server, in a workspace of one test."""

    client: AsyncClient

    async def request(self, method: str, params: Json | None = None, **members: Any) -> Any:
        """Send one request and return the whole reply; what fits the contract is answered by the contract."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}} | members
        reply = await self.client.rpc(body)
        _fits(reply, CONTRACT["definitions"]["jsonrpcResponse"])
        assert reply["id"] == body["id"]
        if "result" in reply:
            _fits(reply["result"], CONTRACT["methods"].get(method, {}).get("result", {}))
        return reply

    async def call(self, method: str, **params: Any) -> Any:
        """Return the result of a request that must succeed."""
        reply = await self.request(method, params)
        assert "result" in reply, (method, params, reply)
        return reply["result"]

    async def refusal(self, method: str, **params: Any) -> int:
        """Return the code of a request that must be refused, and must have done nothing."""
        reply = await self.request(method, params)
        assert "error" in reply, (method, params, reply)
        assert reply["error"]["data"]["outcome"] == "not_done"
        code: int = reply["error"]["code"]
        return code

    async def notify(self, method: str, params: Json) -> tuple[int, bytes]:
        """Send a notification and return status and body of what came back."""
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()
        answer = await self.client.post(self.client.path, body)
        return answer.status, answer.body

    async def published(self, method: str) -> Published:
        """Return the schemas of a command."""
        commands = (await self.call("system.discover"))["commands"]
        (found,) = (each for each in commands if each["name"] == method)
        return Published(method, found["input"], found["output"])

    async def newest(self, type_: str) -> Json:
        """Return the newest event of a type."""
        events: list[Json] = (await self.call("event.list", types=[type_], limit=1000))["events"]
        return events[-1]

    async def instance(self, instance: str) -> Json:
        """Return an instance as the server lists it."""
        listed = (await self.call("instance.list"))["instances"]
        found: list[Json] = [each for each in listed if each["id"] == instance]
        return found[0]


def _fits(value: object, schema: Json) -> None:
    Draft7Validator(schema).validate(value)
