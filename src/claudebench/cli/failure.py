"""How the command line fails: one line on stderr that says what happened and what to do, and an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claudebench.errors import (
    BY_CODE,
    ClaudeBenchError,
    Conflict,
    Internal,
    InvalidParams,
    NotFound,
    SettingsError,
    Stale,
    Unauthorized,
    Unavailable,
    UnknownCommand,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import typer

FAILED, USAGE, UNREACHABLE, NOT_FOUND, CONFLICT = 1, 2, 3, 4, 5
EXIT_CODES = {-32602: USAGE, -32010: NOT_FOUND, -32601: NOT_FOUND, -32011: CONFLICT, -32012: CONFLICT}
TOKEN_HINT = "give yours with --token-file, or in CLAUDEBENCH_TOKEN; the operator's is `token` in the data directory"  # noqa: S105
REGISTER_HINT = "register it: claudebench command call system.register id={} 'roles=[]' deadAfterMs=600000"


def exit_code(error: ClaudeBenchError) -> int:
    """Return the exit code that an error ends with."""
    if isinstance(error, SettingsError):
        return USAGE
    if isinstance(error, Unavailable) and error.data.get("reason") == "server":
        return UNREACHABLE
    return EXIT_CODES.get(error.code, FAILED) if type(error) in BY_CODE.values() else FAILED


def line(error: ClaudeBenchError) -> str:
    """Return an error on one line: what happened, what was meant, what to do, whether it was done."""
    return _joined(_parts(error))


def usage_line(error: typer.TyperException) -> str:
    """Return a misuse of the command line on one line; one that is a whole help text is left alone."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if "\n" in message or context is None:
        return message
    return f"claudebench: {_joined((message.rstrip('.'), f'see: {context.command_path} --help'))}"


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(" ".join(part.split()) for part in parts).replace("?; ", "? ")


def _parts(error: ClaudeBenchError) -> Iterator[str]:
    issues: Any = error.data.get("errors") if isinstance(error, InvalidParams) else None
    yield from map(issue, issues) if issues else (error.message,)
    if near := error.data.get("nearest"):
        yield f"did you mean {near}?"
    if hint := _hint(error, error.data):
        yield hint
    if error.outcome == "unknown":
        yield "whether it was done is not known, so look before you repeat it"


def _hint(error: ClaudeBenchError, data: dict[str, Any]) -> str:
    hint = ""
    match error:
        case NotFound() if "instanceId" in data:
            hint = REGISTER_HINT.format(data["instanceId"])
        case NotFound() if "task" in error.message:
            hint = "see what there is: claudebench task list"
        case NotFound() if "webhook" in error.message:
            hint = "see what there is: claudebench webhook list"
        case UnknownCommand():
            hint = "see them all: claudebench command list"
        case Stale() if "current" in data:
            hint = f"its epoch is {data['current']} now"
        case Conflict() if "status" in data or "assignedTo" in data:
            hint = "see how it stands: claudebench task get ID"
        case Unauthorized():
            hint = TOKEN_HINT
        case Internal() if "reference" in data:
            hint = f"the server's log has it under {data['reference']}"
        case _ if "retryAfterMs" in data:
            hint = f"try again in {data['retryAfterMs']} ms"
    return hint


def issue(told: dict[str, str]) -> str:
    """Return one place where parameters do not fit."""
    where = f"{told['path']}: " if told["path"] else ""
    meant = f" (did you mean {told['nearest']}?)" if "nearest" in told else ""
    return f"{where}{told['message']}{meant}"
