"""One tree of errors: the docstring is the message, the class carries every code that a door needs.

`outcome` tells the caller whether its change happened: "done", "not_done", or "unknown", and the last only for what
was handed to the store's socket and never answered.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Outcome = Literal["done", "not_done", "unknown"]


class ClaudeBenchError(Exception):
    """Something went wrong in ClaudeBench"""

    code: ClassVar[int] = -32603
    status: ClassVar[int] = 500

    def __init__(self, message: str = "", *, outcome: Outcome = "not_done", **data: object) -> None:
        """Take a message (default: the class's docstring), the outcome and the fields of `error.data`; None is none."""
        super().__init__(message or (self.__doc__ or "").strip())
        self.outcome: Outcome = outcome
        self.data = {name: value for name, value in data.items() if value is not None}

    @property
    def message(self) -> str:
        """What a person reads."""
        return str(self.args[0])


class ParseError(ClaudeBenchError):
    """The body is not valid JSON"""

    code, status = -32700, 400


class InvalidRequest(ClaudeBenchError):
    """The request does not have the form that this door takes"""

    code, status = -32600, 400


class InvalidParams(ClaudeBenchError):
    """The parameters do not fit the command"""

    code, status = -32602, 400


class UnknownCommand(ClaudeBenchError):
    """There is no such command"""

    code, status = -32601, 404


class NotFound(ClaudeBenchError):
    """There is nothing under this id"""

    code, status = -32010, 404


class RateLimited(ClaudeBenchError):
    """Too many calls; try again after retryAfterMs"""

    code, status = -32000, 429


class LimitReached(ClaudeBenchError):
    """A limit is reached; the reason names it"""

    code, status = -32013, 429


class Unavailable(ClaudeBenchError):
    """The store cannot answer now; try again after retryAfterMs"""

    code, status = -32001, 503


class TimedOut(ClaudeBenchError):
    """No answer came in time"""

    code, status = -32004, 504


class Unauthorized(ClaudeBenchError):
    """This needs a token that the call did not carry"""

    code, status = -32002, 401


class Blocked(ClaudeBenchError):
    """A hook blocked this"""

    code, status = -32003, 403


class Conflict(ClaudeBenchError):
    """The state does not allow this"""

    code, status = -32011, 409


class Stale(ClaudeBenchError):
    """The owner changed since; the epoch or version you sent is no longer the current one"""

    code, status = -32012, 412


class Internal(ClaudeBenchError):
    """An error on our side; the reference finds it in the server's log"""

    code, status = -32603, 500


class SettingsError(ClaudeBenchError):
    """A setting is unknown or has a value that does not fit"""


class StoreHeld(ClaudeBenchError):
    """Another server holds this data directory"""


class BackupRefused(ClaudeBenchError):
    """This file is no backup that can be restored"""


class StoreRefused(ClaudeBenchError):
    """The store found here is not one that this server may use"""


TREE: tuple[type[ClaudeBenchError], ...] = (
    ParseError, InvalidRequest, InvalidParams, UnknownCommand, NotFound, RateLimited, LimitReached, Unavailable,
    TimedOut, Unauthorized, Blocked, Conflict, Stale, Internal,
)  # fmt: skip
BY_CODE: dict[int, type[ClaudeBenchError]] = {error.code: error for error in TREE}


def from_wire(answer: Mapping[str, Any]) -> ClaudeBenchError:
    """Return the error that a server answered, as JSON-RPC or as problem+json."""
    data = dict(answer.get("data", {}))
    outcome = data.pop("outcome", answer.get("outcome", "unknown"))
    message = answer.get("message") or answer.get("detail", "")
    return BY_CODE.get(answer.get("code", 0), Internal)(message, outcome=outcome, **data)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like `word`, or None when nothing is like it."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return found[0] if found else None
