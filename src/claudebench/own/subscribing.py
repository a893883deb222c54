"""Subscribers of an app: functions declared with `@on`, given what they ask for, in the loop or in threads.

The first parameter is the event. Others are given by their type: `Delivery`, and, if the function is async, `Context`
and the stores of apps. One that is not async runs in a thread, so that it holds nobody up; each has a few of its own.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from claudebench.errors import SettingsError
from claudebench.events.model import Event
from claudebench.events.subscriber import Delivery, On, Subscription, declared
from claudebench.own.store import OwnStore
from claudebench.resilience.threads import Threaded
from claudebench.rpc.context import Caller, Context
from claudebench.rpc.envelope import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from claudebench.events.model import Catalogue
    from claudebench.events.subscriber import Handler
    from claudebench.rpc.context import Runner

RESERVED = frozenset({"record"})
RESERVED_PREFIX = "webhook.wh-"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A function declared with `@on`, what it asks for besides the event, and who brought it."""

    function: Callable[..., Any]
    on: On
    wants: Mapping[str, Any]
    source: str

    @property
    def place(self) -> str:
        """Where it is declared."""
        return f"{self.function.__module__}.{getattr(self.function, '__qualname__', '?')}"

    @property
    def stores(self) -> list[type[OwnStore]]:
        """The stores that it asks for."""
        return [wanted for wanted in self.wants.values() if issubclass(wanted, OwnStore)]

    def check(self, catalogue: Catalogue, reserved: Collection[str] = RESERVED) -> None:
        """Refuse a group that is ours, and events that nobody emits.

        Raises:
            SettingsError: it names what, and the nearest that there is.
        """
        if self.on.group in reserved or self.on.group.startswith(RESERVED_PREFIX):
            raise SettingsError(f"{self.source}: {self.place}: the group {self.on.group!r} is ClaudeBench's own")
        for pattern in self.on.patterns:
            if not catalogue.knows(pattern):
                near = catalogue.nearest(pattern)
                like = f"; did you mean {near!r}?" if near else ""
                raise SettingsError(f"{self.source}: {self.place}: there is no event of type {pattern!r}{like}")

    def bound(self, stores: Mapping[type, Any], runner: Callable[[], Runner]) -> Subscription:
        """Return the subscription, its function given what it asks for."""
        filled = {name: stores[wanted] for name, wanted in self.wants.items() if issubclass(wanted, OwnStore)}
        call = self.function
        if not inspect.iscoroutinefunction(call):
            call = Threaded(call, self.on.group).call
        return Subscription.of(self.on, _handler(call, self.wants, filled, runner))


def _handler(
    call: Callable[..., Any], wants: Mapping[str, Any], filled: Mapping[str, Any], runner: Callable[[], Runner]
) -> Handler:
    async def handle(event: Event, delivery: Delivery) -> None:
        given = dict(filled)
        for name, wanted in wants.items():
            if wanted is Delivery:
                given[name] = delivery
            elif wanted is Context:
                given[name] = Context(runner(), _caller(event, delivery))
        # by place, since a function in a thread is called without names
        await call(event, *(given[name] for name in wants))

    return handle


def _caller(event: Event, delivery: Delivery) -> Caller:
    about = Metadata(correlation_id=event.correlation_id, causation_id=event.id, traceparent=event.traceparent)
    return Caller(delivery.workspace, metadata=about)


def read_subscriber(function: Callable[..., Any], source: str) -> Subscriber:
    """Return the subscriber that a function declared with `@on` is.

    Raises:
        SettingsError: its parameters cannot be given.
    """
    on = declared(function)
    assert on, "only what is declared is read"
    place = f"{source}: {function.__module__}.{getattr(function, '__qualname__', '?')}"
    try:
        hints, names = get_type_hints(function), list(inspect.signature(function).parameters)
    except (NameError, TypeError, ValueError) as error:
        raise SettingsError(f"{place}: an annotation is not known at run time ({error})") from None
    if not names or hints.get(names[0], Event) is not Event:
        raise SettingsError(f"{place}: a subscriber takes the event first, such as `async def f(event: Event)`")
    wants = {name: hints.get(name) for name in names[1:]}
    for name, wanted in wants.items():
        _check_wanted(place, name, wanted, waits=inspect.iscoroutinefunction(function))
    return Subscriber(function, on, wants, source)


def _check_wanted(place: str, name: str, wanted: Any, *, waits: bool) -> None:
    is_store = isinstance(wanted, type) and issubclass(wanted, OwnStore)
    if wanted is not Delivery and wanted is not Context and not is_store:
        raise SettingsError(
            f"{place} asks for {name}: {wanted!r}; a subscriber is given the event, a Delivery, a Context and its own "
            "stores"
        )
    if not waits and wanted is not Delivery:
        raise SettingsError(f"{place} asks for {name}: {wanted.__name__}, which only an async function can use")
