"""A command of the server as a verb of the command line: its options are the fields of its request.

The request's type is imported when the options are needed, not when the noun's help is: the server's types cost as much
to import as everything else here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from inspect import Parameter, Signature
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperCommand
from typer.main import get_command

from claudebench.cli import show
from claudebench.cli.options import DEFAULT_URL, NO_HELP_ASKED, IdempotencyKey, Json, TokenFile, Url, Workspace, example
from claudebench.cli.words import MEMBERS, object_of, value_of
from claudebench.errors import ClaudeBenchError, InvalidParams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from claudebench.cli.client import Client

Schema = dict[str, Any]
PAGE = 1000
KINDS = {"integer": int, "number": float, "array": list[str], "object": list[str]}
METAVARS = {"array": "A,B", "object": MEMBERS, "": "JSON|TEXT"}
BOUNDS = (("minimum", "maximum", ""), ("minLength", "maxLength", " characters"), ("minItems", "maxItems", ""))
MEANINGS = {
    "after": "Position behind which to begin; without it at the oldest",
    "archived": "Ask the record, which also knows what was retired",
    "assignedTo": "Only those of this instance",
    "cursor": "Where the page before this one ended",
    "dependsOn": "Tasks that must be completed first",
    "epoch": "Epoch under which it is held; a late word is refused",
    "error": "What went wrong",
    "id": "The task, t-<number>",
    "instanceId": "The instance's name",
    "leaseMs": "How long it is held without a renewal, in milliseconds",
    "limit": "How many at most",
    "maxAttempts": "How often it may be begun",
    "maxTasks": "How many at most",
    "metadata": "What you keep with it",
    "order": "Which comes first",
    "orderBy": "What they are ordered by",
    "priority": "How urgent; the highest is taken first",
    "priorityMin": "Only this urgent or more",
    "requires": "Roles that whoever takes it must have",
    "result": "What came out",
    "retryable": "Free it for another attempt while one is left",
    "status": "Its state",
    "taskId": "The task, t-<number>",
    "timeoutMs": "How long to wait for the record to have seen it, in milliseconds",
    "text": "What is to be done",
    "textPrefix": "Only those whose text begins so",
    "types": "Only these types of event, such as task.* or task.failed",
    "workerId": "Who holds it",
}


@dataclass(frozen=True, slots=True)
class Pages:
    """How the pages of a list hang together: the list, the option that asks for the next page, where it stands."""

    items: str
    ask: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A command as a verb; the fields of its request that are `arguments` are given by their place.

    `meanings` says what fields are whose names mean something else in other requests; `fails` tells which answers are
    no success though nothing was refused: exit 1.
    """

    name: str
    command: str
    request: str
    about: str
    example: str
    arguments: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    changes: bool = True
    meanings: Mapping[str, str] = field(default_factory=dict)
    pages: Pages | None = None
    show: Callable[[Any], None] = show.record
    fails: Callable[[Any], bool] = lambda _: False


def declare(app: typer.Typer, *verbs: Verb) -> None:
    """Give a noun its verbs."""
    for verb in verbs:
        app.command(
            verb.name,
            cls=cast("type[TyperCommand]", partial(_Late, verb)),
            context_settings=NO_HELP_ASKED,
            help=verb.about,
            epilog=example(verb.example),
        )(_unread)


def _unread() -> None:
    """Stand in for what a verb does until its options are read."""


class _Late(TyperCommand):
    """A command that reads its options off a request when they are asked for."""

    def __init__(self, verb: Verb, **given: Any) -> None:
        self._verb = verb
        self._params: list[Any] | None = None
        super().__init__(**given)

    @property
    def params(self) -> list[Any]:
        """The options and arguments."""
        if self._params is None:
            built = _command(self._verb)
            self._params, self.callback = list(built.params), built.callback
            for param in self._params:
                param._runtime_param = _AS_TYPED  # noqa: SLF001 - where typer keeps what it would make with pydantic
        return self._params

    @params.setter
    def params(self, _none: list[Any]) -> None:
        """Take nothing: the base class begins with no options."""


class _AsTyped:
    """Takes words as they are typed: the server judges them, and pydantic takes a tenth of a second to import."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002 - the signature is typer's
        """Return the value, an empty tuple for a list of none (typer calls this)."""
        return () if value is None and param.multiple else value


_AS_TYPED = _AsTyped()


def _command(verb: Verb) -> Any:
    places = list(_fields(verb))
    shared = [
        *(
            [_parameter("all_", bool, typer.Option("--all", help="Follow the pages to the end."), False)]
            * bool(verb.pages)
        ),
        *([_parameter("idempotency_key", IdempotencyKey, default=None)] * verb.changes),
        _parameter("url", Url, default=DEFAULT_URL),
        _parameter("workspace", Workspace, default=None),
        _parameter("token_file", TokenFile, default=None),
        _parameter("json", Json, default=False),
    ]

    def run(**words: Any) -> None:
        _run(verb, places, words)

    parameters = [*(place.parameter() for place in places), *shared]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    app = typer.Typer(add_completion=False)
    app.command()(run)
    return get_command(app)


def _parameter(name: str, type_: Any, about: Any = None, default: Any = None) -> Parameter:
    annotation = Annotated[type_, about] if about else type_
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


# -- from the fields of a request to options


@dataclass(frozen=True, slots=True)
class Place:
    """A field of a request, however deep, and the option or argument that fills it."""

    path: tuple[str, ...]
    schema: Schema
    is_argument: bool
    default: Any
    meaning: str = ""

    @property
    def name(self) -> str:
        """The name of the parameter; that of an argument is like no option's, such as --url."""
        return "_".join(self.path) + "_" * self.is_argument

    @property
    def said(self) -> str:
        """What a person types for it: `--max-attempts`, or `TEXT` for an argument."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", self.path[-1])
        return words.upper() if self.is_argument else f"--{words.lower()}"

    @property
    def kind(self) -> str:
        """The JSON type, '' for any."""
        return str(self.schema.get("type", ""))

    def parameter(self) -> Parameter:
        """Return what typer makes an option or an argument of."""
        if self.is_argument:
            return _parameter(self.name, str, typer.Argument(metavar=self.said, help=self._help()), Parameter.empty)
        if self.kind == "boolean":
            return _parameter(self.name, bool, typer.Option(self.said, help=self._help()), False)
        choices = self.schema.get("enum", ())
        metavar = "|".join(choices) or METAVARS.get(self.kind)
        about = typer.Option(
            self.said, metavar=metavar, help=self._help(), autocompletion=_completion(choices) if choices else None
        )
        return _parameter(self.name, KINDS.get(self.kind, str) | None, about)

    def value(self, word: Any) -> Any:
        """Return what is sent for a word of the command line."""
        if self.kind == "array":
            return [part for each in word for part in each.split(",") if part]
        if self.kind == "object":
            return object_of(word)
        if self.kind in ("integer", "number"):
            return value_of(word)
        return word if self.kind else value_of(word)

    def _help(self) -> str:
        meaning = self.meaning or MEANINGS.get(self.path[-1], self.schema.get("description", ""))
        bounds = [
            f"{self.schema[least]} to {self.schema[most]}{unit}"
            if least in self.schema
            else f"at most {self.schema[most]}{unit}"
            for least, most, unit in BOUNDS
            if most in self.schema
        ]
        default = "" if self.default in (None, "", [], {}, False) else f" [default: {self.default}]"
        return f"{', '.join([meaning, *bounds] if meaning else bounds)}.{default}"


def _completion(choices: list[str]) -> Callable[[str], list[str]]:
    def beginning(incomplete: str) -> list[str]:
        return [each for each in choices if each.startswith(incomplete)]

    return beginning


def _fields(verb: Verb) -> Iterator[Place]:
    """Yield the places of a request: arguments in their order, then options in that of the type."""
    from importlib import import_module

    module, _, name = verb.request.partition(":")
    places = {place.path: place for place in _places(getattr(import_module(module), name), verb)}
    yield from (places.pop((name,)) for name in verb.arguments)
    yield from (place for place in places.values() if place.path[0] not in verb.hidden)


def _places(type_: Any, verb: Verb, outer: tuple[str, ...] = ()) -> Iterator[Place]:
    import msgspec

    for each in msgspec.structs.fields(type_):
        path = (*outer, each.encode_name)
        if isinstance(each.type, type) and issubclass(each.type, msgspec.Struct):
            yield from _places(each.type, verb, path)
            continue
        schema = msgspec.json.schema(each.type)
        given = [one for one in schema.get("anyOf", (schema,)) if one.get("type") != "null"]
        default = None if each.default in (msgspec.NODEFAULT, msgspec.UNSET) else each.default
        yield Place(path, given[0], path[0] in verb.arguments, default, verb.meanings.get(path[-1], ""))


# -- from words to an answer


def _run(verb: Verb, places: list[Place], words: dict[str, Any]) -> None:
    from claudebench.cli.client import connect

    params: dict[str, Any] = {}
    for place in places:
        if (word := words[place.name]) is not None and word is not False:
            _put(params, place.path, place.value(word))
    client = connect(words["url"], words["workspace"], words["token_file"])
    about = {} if (key := words.get("idempotency_key")) is None else {"idempotencyKey": key}
    try:
        if verb.pages:
            answer = _answer(client, verb, params, _wanted(places, params, whole=words["all_"]))
        else:
            answer = client.call(verb.command, about, **params)
    except ClaudeBenchError as error:
        raise _said(error, verb, places) from None
    (show.as_json if words["json"] else verb.show)(answer)
    if verb.fails(answer):
        raise typer.Exit(1)


def _put(params: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *outer, last = path
    for name in outer:
        params = params.setdefault(name, {})
    params[last] = value


def _wanted(places: list[Place], params: dict[str, Any], *, whole: Any) -> float:
    """Return how many items of a list are asked for; a number that is none is for the server to refuse."""
    default = next(place.default for place in places if place.path == ("limit",))
    given = params.get("limit", default)
    return inf if whole else given if isinstance(given, int) else 0


def _answer(client: Client, verb: Verb, params: dict[str, Any], wanted: float) -> dict[str, Any]:
    """Follow the pages, which may be short, until so many items are there; the answer is the last page's with them."""
    assert verb.pages, "only a verb with pages is followed"
    items: list[Any] = []
    asked = dict(params) if wanted < inf else {"limit": PAGE} | params
    with show.progress(verb.pages.items) as tell:
        while True:
            page = client.call(verb.command, **asked)
            items += page[verb.pages.items]
            tell(len(items), page.get("totalCount"))
            if not page["hasMore"] or len(items) >= wanted:
                return {**page, verb.pages.items: items}
            asked[verb.pages.ask] = page[verb.pages.next]
            if wanted < inf:
                asked["limit"] = wanted - len(items)


def _said(error: ClaudeBenchError, verb: Verb, places: list[Place]) -> ClaudeBenchError:
    """Return an error in terms of the command line; what was only asked leaves no doubt whether it was done."""
    if not verb.changes:
        error.outcome = "not_done"
    if isinstance(error, InvalidParams):
        issues: Any = error.data.get("errors", ())
        for issue in issues:
            issue["path"] = _option(issue["path"], places)
    return error


def _option(path: str, places: list[Place]) -> str:
    for place in places:
        dotted = ".".join(place.path)
        if path == dotted or path.startswith((f"{dotted}.", f"{dotted}[")):
            return f"{place.said} {path[len(dotted) :].lstrip('.')}".rstrip()
    below = [place.said for place in places if path and ".".join(place.path).startswith(f"{path}.")]
    return f"one of {', '.join(below)}" if below else path
