"""Where a change comes from: the arguments that every changing script begins with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """The workspace of a change, who makes it, its trace, and, on a test store only, the time it is given.

    `once` makes it safe to repeat: an idempotency key, and the fingerprint of the call that uses it.
    """

    workspace: str
    actor: str = ""
    meta: bytes = b""
    given_ms: str = ""
    once: tuple[str, bytes] | None = None

    @property
    def head(self) -> tuple[str, str, bytes]:
        """The first three arguments, `given_ms actor meta`."""
        return (self.given_ms, self.actor, self.meta)
