"""Declaring a command: what is refused at import, how stores are bound, what a policy admits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest

from claudebench.app import COMMANDS
from claudebench.errors import Conflict, Internal, InvalidParams, Unauthorized, UnknownCommand
from claudebench.events.log import EventLog
from claudebench.events.model import Catalogue
from claudebench.patterns.label import Consistency, Pattern
from claudebench.resilience.policy import Breaker, Policy, RateLimit
from claudebench.rpc.command import DEFAULT_DOORS, Command, handler
from claudebench.rpc.context import Caller, Context, Role
from claudebench.rpc.dispatcher import Dispatcher, fingerprint
from claudebench.rpc.envelope import Metadata
from claudebench.rpc.registry import HandlerRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

A, LINEARIZABLE = Pattern.CENTRALIZED, Consistency.LINEARIZABLE


class Ask(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A request."""

    word: str = ""
    some_number: int = 0


class Told(msgspec.Struct):
    """A reply."""

    word: str


class Shelf:
    """A store."""

    def __init__(self, word: str) -> None:
        """Hold one word."""
        self.word = word


class Absent:
    """A store that nobody provides."""


def declare(name: str = "shelf.ask", **more: Any) -> Callable[[Any], Command]:
    """Return the decorator with labels that fit."""
    return handler(name, pattern=A, consistency=LINEARIZABLE, **more)


@declare()
async def ask(request: Ask, context: Context, shelf: Shelf) -> Told:
    """Tell a word.

    And more that is not the summary.
    """
    return Told(f"{shelf.word} {request.word} {context.workspace}")


async def plain(request: Ask) -> Told:
    """Tell the word back."""
    return Told(request.word)


def dispatcher(*commands: Command) -> Dispatcher:
    """Return a dispatcher of these commands with one shelf and no store behind the log."""
    registry = HandlerRegistry(commands, {Shelf: Shelf("red")})
    return Dispatcher(registry, EventLog(None, Catalogue(())), str)  # type: ignore[arg-type]


# -- declaring


def test_a_declaration_keeps_what_was_said() -> None:
    """Name, types, labels, defaults and the docstring's first line stand in the declaration."""
    assert (ask.name, ask.input, ask.output, ask.pattern, ask.consistency) == (
        "shelf.ask", Ask, Told, A, LINEARIZABLE,
    )  # fmt: skip
    assert (ask.changes, ask.persist, ask.operator, ask.doors, ask.policy) == (
        True,
        True,
        False,
        DEFAULT_DOORS,
        Policy(),
    )
    assert ask.summary == "Tell a word."
    assert ask.wants == {"context": Context, "shelf": Shelf}


@pytest.mark.parametrize("name", ["task.create", "system.quorum.vote", "hook.pre_tool", "a1.b2"])
def test_names_of_two_or_three_words_are_taken(name: str) -> None:
    """`domain.action` and `domain.noun.action` are names."""
    assert declare(name)(plain).name == name


@pytest.mark.parametrize(
    "name", ["", "task", "Task.create", "task.Create", "task..create", ".create", "task.", "a.b.c.d", "task create",
             "1task.create", "task.create\n", "task-x.create", "__proto__.x"],
)  # fmt: skip
def test_other_names_are_refused(name: str) -> None:
    """What is no wire name cannot be declared."""
    with pytest.raises(TypeError, match="is no command"):
        declare(name)(plain)


def test_unknown_doors_are_refused() -> None:
    """A door that does not exist cannot be declared, and some doors alone can."""
    with pytest.raises(TypeError, match="is no command"):
        declare(doors=frozenset({"telepathy"}))(plain)
    assert declare(doors=frozenset({"hooks"}))(plain).doors == {"hooks"}


async def no_request() -> Told:
    """Ask nothing."""
    return Told("")


async def request_of_a_builtin(request: dict[str, Any]) -> Told:
    """Ask anything."""
    return Told(str(request))


async def returns_nothing_known(request: Ask):  # type: ignore[no-untyped-def] # noqa: ANN201
    """Return something."""
    return request


async def request_without_type(request) -> Told:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Ask something."""
    return Told(str(request))


async def request_without_type_before_a_struct(request, other: Ask) -> Told:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Ask something."""
    return Told(f"{request}{other}")


def not_async(request: Ask) -> Told:
    """Answer at once."""
    return Told(request.word)


@pytest.mark.parametrize(
    "function",
    [no_request, request_of_a_builtin, returns_nothing_known, request_without_type,
     request_without_type_before_a_struct, not_async],
)  # fmt: skip
def test_functions_that_are_no_handlers_are_refused(function: Any) -> None:
    """A handler is an async function whose first parameter is a Struct and whose return is annotated."""
    with pytest.raises(TypeError, match=r"shelf\.ask"):
        declare()(function)


@pytest.mark.parametrize(
    ("letter", "pattern"),
    [("A", Pattern.CENTRALIZED), ("B", Pattern.DISTRIBUTED), ("C", Pattern.HYBRID), ("b", Pattern.DISTRIBUTED),
     ("centralized", Pattern.CENTRALIZED), ("distributed", Pattern.DISTRIBUTED), ("hybrid", Pattern.HYBRID)],
)  # fmt: skip
def test_patterns_go_by_name_and_by_letter(letter: str, pattern: Pattern) -> None:
    """The assessment's letters mean the patterns that it names."""
    assert Pattern(letter) is pattern


@pytest.mark.parametrize("letter", ["D", "", "central", "AB"])
def test_other_patterns_do_not_exist(letter: str) -> None:
    """There are three patterns."""
    with pytest.raises(ValueError, match=f"{letter!r} is not a valid Pattern"):
        Pattern(letter)


# -- policy


def test_default_policy_is_that_of_the_design() -> None:
    """100 a second with a burst of 1,000, a breaker, five seconds, no cache."""
    policy = Policy()

    assert policy.rate == RateLimit(calls=100, per_s=1.0, burst=1000)
    assert (policy.breaker, policy.timeout_s, policy.cache_s) == (Breaker(), 5.0, 0.0)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (RateLimit, {"calls": 0}),
        (RateLimit, {"per_s": 0}),
        (RateLimit, {"per_s": -1}),
        (RateLimit, {"burst": 0}),
        (Breaker, {"failures": 0}),
        (Breaker, {"cool_down_s": 0}),
        (Breaker, {"probes": 0}),
        (Policy, {"timeout_s": 0}),
        (Policy, {"timeout_s": -1}),
        (Policy, {"timeout_s": 601}),
        (Policy, {"timeout_s": float("nan")}),
        (Policy, {"cache_s": -1}),
        (Policy, {"cache_s": 601}),
    ],
)
def test_policies_that_make_no_sense_are_refused(kind: Any, values: dict[str, float]) -> None:
    """A limit that admits nothing, a breaker that never closes and a time out of bounds fail when they are declared."""
    with pytest.raises(ValueError, match=next(iter(values))):
        kind(**values)


def test_a_policy_may_leave_parts_out_and_does_not_change() -> None:
    """No limit and no breaker are choices; once declared, a policy is frozen."""
    policy = Policy(rate=None, breaker=None, timeout_s=600, cache_s=600)

    assert (policy.rate, policy.breaker) == (None, None)
    with pytest.raises(AttributeError):
        policy.timeout_s = 1.0  # type: ignore[misc]


# -- binding


async def test_stores_are_bound_by_type() -> None:
    """A handler gets the store of the type it asks for, and the context of its call."""
    result, position = await dispatcher(ask).dispatch("shelf.ask", b'{"word":"apple"}', Caller("fruit"))

    assert (result, position) == (Told("red apple fruit"), "")


async def test_a_handler_may_ask_for_nothing() -> None:
    """A handler of the request alone is bound and run."""
    result, _ = await dispatcher(declare("a.b")(plain)).dispatch("a.b", b'{"word":"x"}', Caller())

    assert result == Told("x")


def test_a_name_twice_is_refused() -> None:
    """Two commands of one name cannot both be there."""
    with pytest.raises(TypeError, match=r"shelf\.ask is declared twice"):
        HandlerRegistry([ask, ask], {Shelf: Shelf("red")})


def test_a_store_that_nobody_provides_is_refused() -> None:
    """A handler whose store is missing fails at start, by its name, not at its first call."""

    async def lost(request: Ask, absent: Absent) -> Told:
        """Ask in vain."""
        return Told(f"{request}{absent}")

    lost.__annotations__ = {"request": Ask, "absent": Absent, "return": Told}
    with pytest.raises(TypeError, match=r"shelf\.ask asks for .*Absent"):
        HandlerRegistry([declare()(lost)], {Shelf: Shelf("red")})


def test_an_unknown_name_offers_the_nearest() -> None:
    """What is not there is named, cut to a length, with the nearest that is."""
    registry = HandlerRegistry([ask], {Shelf: Shelf("red")})

    with pytest.raises(UnknownCommand) as near:
        registry.find("shelf.aks")
    with pytest.raises(UnknownCommand) as far:
        registry.find("z" * 10_000)
    assert near.value.data == {"nearest": "shelf.ask"}
    assert (far.value.data, len(far.value.message) < 200) == ({}, True)


def test_commands_are_listed_by_name() -> None:
    """The list of commands is in the order of their names."""
    registry = HandlerRegistry([declare("b.b")(plain), declare("a.a")(plain)], {})

    assert [bound.command.name for bound in registry.all()] == ["a.a", "b.b"]


# -- dispatching


@pytest.mark.parametrize(
    ("params", "path", "near"),
    [(b'{"wrod":"x"}', "wrod", "word"), (b'{"someNumbr":1}', "someNumbr", "someNumber"), (b'{"word":1}', "word", None),
     (b'{"zz":1}', "zz", None), (b"[]", "", None)],
)  # fmt: skip
async def test_bad_params_name_the_path_and_the_nearest(params: bytes, path: str, near: str | None) -> None:
    """A field that does not fit is named as it stands on the wire, an unknown one with the nearest."""
    with pytest.raises(InvalidParams) as caught:
        await dispatcher(ask).dispatch("shelf.ask", params, Caller())

    errors: Any = caught.value.data["errors"]
    (issue,) = errors
    assert (issue["path"], issue.get("nearest")) == (path, near)


async def test_operator_commands_ask_for_the_operator() -> None:
    """An agent is refused before its params are looked at; the operator is let in."""
    guarded = dispatcher(declare(operator=True)(plain))

    with pytest.raises(Unauthorized):
        await guarded.dispatch("shelf.ask", b"not even JSON", Caller())
    assert await guarded.dispatch("shelf.ask", b"{}", Caller(role="operator"))


async def test_an_idempotency_key_reaches_every_change_of_a_call() -> None:
    """The first change of a call uses the caller's key, each further one a key made of it; a query uses none."""
    seen: list[Any] = []

    async def change(request: Ask, context: Context) -> Told:
        seen.extend(context.origin().once for _ in range(2))
        return await plain(request)

    caller = Caller(metadata=Metadata(idempotency_key="k"))
    both = dispatcher(declare("a.change")(change), declare("a.query", changes=False)(change))
    for name in ("a.change", "a.query"):
        await both.dispatch(name, b"{}", caller)

    assert [once and once[0] for once in seen] == ["k", "k#1", None, None]
    assert seen[0][1] == seen[1][1] == fingerprint("a.change", Caller(), b"{ }")


def test_a_fingerprint_is_that_of_the_call() -> None:
    """The spelling of the parameters does not matter; command, caller, role and values do."""

    def by(instance: str, role: Role = "agent") -> Caller:
        return Caller(role=role, metadata=Metadata(instance_id=instance))

    same = fingerprint("a.b", by("i"), b'{"x": 1, "y": [2]}')

    assert same == fingerprint("a.b", by("i"), b'{"y":[2],"x":1}')
    assert len({same, fingerprint("a.c", by("i"), b'{"x":1,"y":[2]}'), fingerprint("a.b", by("j"), b'{"x":1,"y":[2]}'),
                fingerprint("a.b", by("i"), b'{"x":1,"y":[3]}'),
                fingerprint("a.b", by("i", "operator"), b'{"x":1,"y":[2]}')}) == 5  # fmt: skip


async def broken(request: Ask) -> Told:
    """Fail in a way of our own."""
    raise RuntimeError(f"secret of the house {request.word}")


async def refused(request: Ask) -> Told:
    """Refuse in a way of the wire's."""
    raise Conflict("no", current=request.some_number)


async def test_an_exception_becomes_an_internal_error_that_tells_nothing() -> None:
    """A bug of ours is -32603 with a reference to the log, an unknown outcome, and none of its words."""
    with pytest.raises(Internal) as caught:
        await dispatcher(declare()(broken)).dispatch("shelf.ask", b"{}", Caller())

    assert "secret" not in f"{caught.value.message} {caught.value.data}"
    assert (caught.value.outcome, set(caught.value.data)) == ("unknown", {"reference"})


async def test_every_end_of_a_call_is_counted() -> None:
    """A result, a refusal, bad params and a bug are one sample each, and errors are counted by their codes."""
    running = dispatcher(declare("a.fine")(plain), declare("a.no")(refused), declare("a.bug")(broken))
    for name in ("a.fine", "a.no", "a.bug"):
        for params in (b"{}", b"[]"):
            try:
                await running.dispatch(name, params, Caller())
            except (Conflict, InvalidParams, Internal):
                continue

    counted = {bound.command.name: bound.instrument for bound in running.registry.all()}
    assert {name: each.latency.count for name, each in counted.items()} == {"a.fine": 2, "a.no": 2, "a.bug": 2}
    assert {name: dict(each.errors) for name, each in counted.items()} == {
        "a.fine": {-32602: 1},
        "a.no": {-32011: 1, -32602: 1},
        "a.bug": {-32603: 1, -32602: 1},
    }


async def test_a_handler_calls_another_by_its_context() -> None:
    """A nested call runs for the same caller and hands back the result."""

    async def outer(request: Ask, context: Context) -> Told:
        """Ask the other."""
        told: Told = await context.call("shelf.ask", word=request.word)
        return told

    outer.__annotations__ = {"request": Ask, "context": Context, "return": Told}
    result, _ = await dispatcher(ask, declare("a.outer")(outer)).dispatch("a.outer", b'{"word":"x"}', Caller("w"))

    assert result == Told("red x w")


async def test_own_events_begin_with_x() -> None:
    """A handler cannot forge an event of the catalogue."""

    async def forge(request: Ask, context: Context) -> Told:
        """Emit what is not ours."""
        await context.emit("task.completed", request.word, {})
        return Told("")

    forge.__annotations__ = {"request": Ask, "context": Context, "return": Told}
    with pytest.raises(InvalidParams, match=r"x\."):
        await dispatcher(declare()(forge)).dispatch("shelf.ask", b"{}", Caller())


# -- all commands of this server


@pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])
def test_every_command_is_well_declared(command: Command) -> None:
    """Each has a sentence, refuses unknown fields, and is reached by JSON-RPC."""
    assert command.summary.endswith("."), command.summary
    assert command.input.__struct_config__.forbid_unknown_fields
    assert "jsonrpc" in command.doors


def _structs(type_: Any) -> Iterator[type[msgspec.Struct]]:
    """Yield a struct and those within it."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        yield type_
        for each in msgspec.structs.fields(type_):
            yield from _structs(each.type)
    for argument in get_args(type_):
        yield from _structs(argument)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_what_an_answer_always_holds_is_declared_as_required(command: Command) -> None:
    """A field of an answer is either always there, and then without a default, or left out when there is nothing."""
    loose = [
        f"{struct.__name__}.{each.name}"
        for struct in _structs(command.output)
        for each in msgspec.structs.fields(struct)
        if not each.required and each.default is not msgspec.UNSET and not struct.__struct_config__.omit_defaults
    ]
    assert loose == []
