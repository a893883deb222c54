"""What every adapter offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HookCall:
    """A native hook event as one of our commands."""

    command: str
    params: Json


class Adapter(Protocol):
    """An agent CLI's dialect. None from `read` means that we have no opinion on the event."""

    def read(self, event: Json) -> HookCall | None:
        """Turn a native event into a command."""

    def answer(self, event: Json, result: Json) -> Json:
        """Turn the command's result into the native answer."""

    def refusal(self, reason: str) -> Json:
        """Say no to a tool call, natively: what the guard's own trouble comes to."""

    def guards(self, event: Any) -> bool:
        """Tell whether an event waits for a decision, so that trouble must not read as yes."""
