"""The whole API as one OpenRPC 1.3 document, made from what is declared."""

from __future__ import annotations

import inspect
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.errors import (
    TREE,
    ClaudeBenchError,
    Conflict,
    Internal,
    InvalidParams,
    LimitReached,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from claudebench.patterns.label import Consistency, Pattern
from claudebench.rpc.command import handler
from claudebench.rpc.examples import Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from claudebench.rpc.command import Command
    from claudebench.rpc.examples import Example
    from claudebench.rpc.registry import HandlerRegistry

OPENRPC = "1.3.2"
SCHEMAS = "#/components/schemas/{name}"
REFUSED_ANYWHERE = (InvalidParams, Unauthorized, Unavailable, TimedOut, Internal)
REFUSED_CHANGE = (Conflict, LimitReached)
ABOUT = """\
Every command is a method of `POST /rpc` (JSON-RPC 2.0) with params by name. Beside `params` a request may carry
`metadata`: `idempotencyKey`, `instanceId`, `sessionId`, `correlationId`, `causationId`, `traceparent`; the answer to a
change carries `metadata.position`, that of its event. Every error carries `data.outcome`: `done`, `not_done` or
`unknown`.

`x-claudebench.http` is the same command as plain HTTP: POST its params, the answer is its result with the status 200,
or problem+json. The headers `Idempotency-Key`, `ClaudeBench-Instance`, `ClaudeBench-Session` and `traceparent` stand
for the metadata; the position is in the header `ClaudeBench-Position`.

Another workspace than the default one is behind `/w/{workspace}`, at either door."""
Json = dict[str, Any]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """rpc.discover."""


class Document(msgspec.Struct):
    """An OpenRPC document."""

    openrpc: str
    info: Json
    servers: list[Json]
    methods: list[Json]
    components: Json


class Api:
    """Describes the commands of this server; `registry` is set once every command is bound."""

    registry: HandlerRegistry

    def __init__(self, version: str, told: Mapping[str, Told]) -> None:
        """Take this server's version and what the rooms tell of their commands, by name."""
        self._version = version
        self._told = told

    @cached_property
    def document(self) -> Document:
        """The document, made when it is first asked for."""
        found = [bound.command for bound in self.registry.all()]
        types = [type_ for command in found for type_ in (command.input, command.output)]
        refs, schemas = msgspec.json.schema_components(types, ref_template=SCHEMAS)
        methods = [
            _method(command, schemas[_name(asked)], answered, self._told.get(command.name, Told()))
            for command, asked, answered in zip(found, refs[::2], refs[1::2], strict=True)
        ]
        info = {"title": "ClaudeBench", "version": self._version, "description": ABOUT, "license": {"name": "MIT"}}
        errors = {error.__name__: {"code": error.code, "message": inspect.getdoc(error)} for error in TREE}
        return Document(OPENRPC, info, _servers(), methods, {"schemas": schemas, "errors": errors})

    @cached_property
    def text(self) -> bytes:
        """The document as JSON."""
        return msgspec.json.encode(self.document)


def _servers() -> list[Json]:
    name = {"workspace": {"default": "default", "description": "[a-z0-9-]{1,40}"}}
    return [
        {"name": "the default workspace", "url": "/rpc"},
        {"name": "any workspace", "url": "/w/${workspace}/rpc", "variables": name},
    ]


def _method(command: Command, asked: Json, answered: Json, told: Told) -> Json:
    return {
        "name": command.name,
        "summary": command.summary,
        "tags": [{"name": f"pattern:{command.pattern}"}, {"name": f"consistency:{command.consistency}"}],
        "paramStructure": "by-name",
        "params": list(_params(asked)),
        "result": {"name": "result", "schema": answered},
        "errors": [{"$ref": f"#/components/errors/{error.__name__}"} for error in _errors(command, told.refuses)],
        "examples": [_example(each) for each in told.examples],
        "x-claudebench": {
            "pattern": command.pattern,
            "consistency": command.consistency,
            "changes": command.changes,
            "operator": command.operator,
            "doors": sorted(command.doors),
            **({"http": command.path} if "http" in command.doors else {}),
        },
    }


def _params(schema: Json) -> Iterator[Json]:
    """Yield the fields of a request, those first that must be given."""
    required = schema.get("required", ())
    for name in sorted(schema["properties"], key=lambda name: name not in required):
        field = schema["properties"][name]
        about = {"description": field["description"]} if "description" in field else {}
        yield {"name": name, **about, "required": name in required, "schema": field}


def _errors(command: Command, refuses: tuple[type[ClaudeBenchError], ...]) -> Iterable[type[ClaudeBenchError]]:
    named = {*REFUSED_ANYWHERE, *refuses, *(REFUSED_CHANGE if command.changes else ())}
    if command.policy.rate:
        named.add(RateLimited)
    return (error for error in TREE if error in named)


def _example(example: Example) -> Json:
    return {
        "name": example.name,
        "params": [{"name": name, "value": value} for name, value in example.params.items()],
        "result": {"name": "result", "value": example.result},
    }


def _name(ref: Json) -> str:
    return str(ref["$ref"]).rpartition("/")[2]


@handler("rpc.discover", pattern=Pattern.CENTRALIZED, consistency=Consistency.DERIVED, changes=False)
async def discover(request: Nothing, api: Api) -> Document:  # noqa: ARG001 - it asks nothing
    """Return the whole API as an OpenRPC document, the one of `GET /openrpc.json`."""
    return api.document


COMMANDS = (discover,)
