"""What stands between an open door and the dispatcher: the caller's role, the server's readiness, the workspace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from claudebench.rpc.context import Role
    from claudebench.rpc.dispatcher import Dispatcher


class Entry(NamedTuple):
    """A caller who may come in."""

    dispatcher: Dispatcher
    workspace: str
    role: Role
    address: str = ""


Enter = Callable[[], Entry]
"""Returns the entry, or raises one of our errors, which each door answers in its own dialect."""
