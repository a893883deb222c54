"""Hooks of somebody's own: functions declared with `@hook` that an app brings."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from claudebench.errors import SettingsError
from claudebench.hooks.chain import Link, declared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from claudebench.hooks.model import Decision, ToolCall

THREADS = 4
ASKED_KINDS = ("pre_tool",)


def is_hook(value: object) -> bool:
    """Tell a declared hook from any other value."""
    return declared(value) is not None


def links_of(functions: Iterable[Callable[[ToolCall], Any]]) -> list[Link]:
    """Return the links that declared functions are.

    A function that is not async runs in a thread, so that it can be given up at its time-out and holds nobody up; all
    of them share a few threads.

    Raises:
        SettingsError: nobody asks hooks of that kind.
    """
    threads = ThreadPoolExecutor(THREADS, "hooks")
    return [_link(function, threads) for function in functions]


def _link(function: Callable[[ToolCall], Any], threads: ThreadPoolExecutor) -> Link:
    found = declared(function)
    if found and found.kind not in ASKED_KINDS:
        raise SettingsError(f"--app {function.__module__}: nobody asks hooks of the kind {found.kind!r} yet")
    link = Link.of(function)
    if not inspect.iscoroutinefunction(function):
        link.decide = partial(_in_thread, function, threads)
    return link


async def _in_thread(
    function: Callable[[ToolCall], Decision | None], threads: ThreadPoolExecutor, call: ToolCall
) -> Decision | None:
    return await asyncio.get_running_loop().run_in_executor(threads, function, call)
