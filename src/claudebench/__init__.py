"""ClaudeBench: the server between your coding agents.

What people who write handlers need, and nothing else; each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claudebench.errors import ClaudeBenchError, Conflict, InvalidParams, LimitReached, NotFound
    from claudebench.events.cursor import Mark
    from claudebench.events.model import Event, EventType
    from claudebench.events.subscriber import Delivery, on
    from claudebench.hooks.chain import hook
    from claudebench.hooks.model import Decision
    from claudebench.own.store import OwnStore
    from claudebench.patterns.label import Consistency, Pattern
    from claudebench.resilience.policy import Breaker, Policy, RateLimit
    from claudebench.rpc.command import handler
    from claudebench.rpc.context import Context
    from claudebench.store.keys import Key

__version__ = "0.1.0"
__all__ = [
    "Breaker",
    "ClaudeBenchError",
    "Conflict",
    "Consistency",
    "Context",
    "Decision",
    "Delivery",
    "Event",
    "EventType",
    "InvalidParams",
    "Key",
    "LimitReached",
    "Mark",
    "NotFound",
    "OwnStore",
    "Pattern",
    "Policy",
    "RateLimit",
    "handler",
    "hook",
    "on",
]

_HOMES = {
    "Breaker": "resilience.policy",
    "ClaudeBenchError": "errors",
    "Conflict": "errors",
    "Consistency": "patterns.label",
    "Context": "rpc.context",
    "Decision": "hooks.model",
    "Delivery": "events.subscriber",
    "Event": "events.model",
    "EventType": "events.model",
    "InvalidParams": "errors",
    "Key": "store.keys",
    "LimitReached": "errors",
    "Mark": "events.cursor",
    "NotFound": "errors",
    "OwnStore": "own.store",
    "Pattern": "patterns.label",
    "Policy": "resilience.policy",
    "RateLimit": "resilience.policy",
    "handler": "rpc.command",
    "hook": "hooks.chain",
    "on": "events.subscriber",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
