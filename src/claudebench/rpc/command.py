"""The declaration of a command: one decorator on an async function."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from claudebench.resilience.policy import Policy

if TYPE_CHECKING:
    from claudebench.patterns.label import Consistency, Pattern

Function = Callable[..., Awaitable[Any]]
DEFAULT_DOORS = frozenset({"jsonrpc", "http"})
DOORS = DEFAULT_DOORS | {"hooks"}
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,2}\Z")


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was declared. Its first parameter is the request, the others are bound by their type."""

    name: str
    function: Function
    input: type[msgspec.Struct]
    output: Any
    pattern: Pattern
    consistency: Consistency
    policy: Policy
    changes: bool
    persist: bool
    operator: bool
    doors: frozenset[str]

    @property
    def summary(self) -> str:
        """The first sentence of the handler's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def path(self) -> str:
        """Where it is reached as plain HTTP, `/task/create` for task.create."""
        return path_of(self.name)

    @property
    def wants(self) -> dict[str, Any]:
        """The parameters after the request, by name, with the types they are bound by."""
        hints = _hints(self.function)
        return dict(list(hints.items())[1:])


def path_of(name: str) -> str:
    """Return the path of a command as plain HTTP."""
    return "/" + name.replace(".", "/")


def handler(
    name: str,
    *,
    pattern: Pattern,
    consistency: Consistency,
    policy: Policy | None = None,
    changes: bool = True,
    persist: bool = True,
    operator: bool = False,
    doors: frozenset[str] = DEFAULT_DOORS,
) -> Callable[[Function], Command]:
    """Declare an async function as the command `name`.

    Args:
        name: the wire name, `domain.action` or `domain.noun.action`.
        pattern: where the decision is taken; a label for metrics and people.
        consistency: what a reader may expect of what it wrote.
        policy: limit, breaker, time-out and cache; the defaults of `Policy` when absent.
        changes: False for a query, which needs no idempotency key.
        persist: False keeps it out of the SQL record and the audit's detail; it is always in the log.
        operator: True asks for the operator's token.
        doors: where it can be reached; the CLI comes through `jsonrpc`.

    Raises:
        TypeError: the name, the annotations or the doors do not fit.
    """

    def declare(function: Function) -> Command:
        hints = _read_hints(name, function)
        output = hints.pop("return", None)
        request = hints.get(next(iter(inspect.signature(function).parameters), ""))
        if not _NAME.match(name) or not doors <= DOORS:
            raise TypeError(f"{name!r} with doors {sorted(doors)} is no command")
        if not (isinstance(request, type) and issubclass(request, msgspec.Struct)) or output is None:
            raise TypeError(f"{name}: annotate the request with a msgspec Struct, and what is returned")
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{name}: a handler is an async function")
        return Command(
            name=name,
            function=function,
            input=request,
            output=output,
            pattern=pattern,
            consistency=consistency,
            policy=policy or Policy(),
            changes=changes,
            persist=persist,
            operator=operator,
            doors=doors,
        )

    return declare


def _read_hints(name: str, function: Function) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except NameError as error:
        raise TypeError(f"{name}: an annotation is not known at run time ({error}); import it for real") from None


def _hints(function: Function) -> dict[str, Any]:
    hints = get_type_hints(function)
    hints.pop("return", None)
    return hints
