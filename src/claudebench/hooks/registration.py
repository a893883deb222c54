"""Hooks of somebody's own: functions declared with `@hook` in modules that are named at start (`--app`)."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from claudebench.errors import SettingsError
from claudebench.hooks.chain import Link, declared

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from claudebench.hooks.model import Decision, ToolCall

THREADS = 4
ASKED_KINDS = ("pre_tool",)


def links_of(modules: str) -> list[Link]:
    """Return the links that the modules, named with commas between them, declare.

    A function that is not async runs in a thread, so that it can be given up at its time-out and holds nobody up; all
    of them share a few threads.

    Raises:
        SettingsError: a module cannot be imported, declares no hook, or one that nobody asks.
    """
    threads = ThreadPoolExecutor(THREADS, "hooks")
    return [link for name in filter(None, map(str.strip, modules.split(","))) for link in _links(name, threads)]


def _links(name: str, threads: ThreadPoolExecutor) -> list[Link]:
    try:
        module = import_module(name)
    except Exception as error:
        raise SettingsError(f"--app {name}: cannot be imported: {error}") from error
    links = [_link(function, threads) for function in _declared_in(module)]
    if not links:
        raise SettingsError(f"--app {name}: declares nothing with @hook")
    return links


def _declared_in(module: ModuleType) -> list[Any]:
    found = [value for value in vars(module).values() if declared(value) and value.__module__ == module.__name__]
    for function in found:
        hook = declared(function)
        if hook and hook.kind not in ASKED_KINDS:
            raise SettingsError(f"--app {module.__name__}: nobody asks hooks of the kind {hook.kind!r} yet")
    return found


def _link(function: Callable[[ToolCall], Any], threads: ThreadPoolExecutor) -> Link:
    link = Link.of(function)
    if not inspect.iscoroutinefunction(function):
        link.decide = partial(_in_thread, function, threads)
    return link


async def _in_thread(
    function: Callable[[ToolCall], Decision | None], threads: ThreadPoolExecutor, call: ToolCall
) -> Decision | None:
    return await asyncio.get_running_loop().run_in_executor(threads, function, call)
