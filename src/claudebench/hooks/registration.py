"""Hooks of somebody's own: functions declared with `@hook` that an app brings."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from claudebench.errors import SettingsError
from claudebench.hooks.chain import Link, declared
from claudebench.resilience.threads import Threaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from claudebench.hooks.model import ToolCall

ASKED_KINDS = ("pre_tool",)


def is_hook(value: object) -> bool:
    """Tell a declared hook from any other value."""
    return declared(value) is not None


def links_of(functions: Iterable[Callable[[ToolCall], Any]]) -> list[Link]:
    """Return the links that declared functions are.

    A function that is not async runs in a thread, so that it can be given up at its time-out and holds nobody up; each
    has a few threads of its own.

    Raises:
        SettingsError: nobody asks hooks of that kind.
    """
    return [_link(function) for function in functions]


def _link(function: Callable[[ToolCall], Any]) -> Link:
    found = declared(function)
    if found and found.kind not in ASKED_KINDS:
        raise SettingsError(f"--app {function.__module__}: nobody asks hooks of the kind {found.kind!r} yet")
    link = Link.of(function)
    if not inspect.iscoroutinefunction(function):
        link.decide = Threaded(function).call
    return link
