"""What a room tells of its commands besides their declarations: a call and its answer, and what may be refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claudebench.errors import ClaudeBenchError

Call = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Example:
    """One call and its answer, in a workspace where nothing but the calls of `given` was done before.

    It is run by the tests: times, versions and measures differ, everything else is answered as it stands here.
    """

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    given: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """The examples of a command, and the errors of its own that it can answer beside those of every command."""

    examples: tuple[Example, ...] = ()
    refuses: tuple[type[ClaudeBenchError], ...] = ()
