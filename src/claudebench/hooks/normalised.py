"""A call as it is recorded: what it was about, on one line, bounded, its secrets masked; and a recorded call read back.

A recorded call can be judged again (`guard replay`); what was masked or cut off is judged as it stands there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.hooks.masking import masked
from claudebench.hooks.model import ToolCall
from claudebench.hooks.tools import kind_of, lines_of, paths_of

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT_MAX = 2_048
BEYOND = 1_024
PATHS_MAX = 32
_json = msgspec.json.Encoder().encode


def recorded(call: ToolCall) -> dict[str, Any]:
    """Return what the decision's event says of a call: its command, its paths, or its parameters as JSON."""
    kind = kind_of(call.tool, call.params)
    if kind == "shell" and (lines := lines_of(call.params)):
        return {"command": _masked("\n".join(lines))}
    if kind == "write" and (paths := paths_of(call)):
        return {"paths": [str(path)[:TEXT_MAX] for path in paths[:PATHS_MAX]]}
    return {"input": _masked(_json(call.params).decode())}


def recalled(payload: Mapping[str, Any]) -> ToolCall | None:
    """Return the call that a decision's event is about, or None where too little of it was recorded."""
    tool, cwd = payload.get("tool"), payload.get("cwd")
    if not isinstance(tool, str):
        return None
    if "command" in payload:
        return ToolCall(tool, {"command": payload["command"]}, cwd=cwd)
    if payload.get("paths"):
        return ToolCall(
            tool, {"edits": [], **dict(zip(("file_path", "path"), payload["paths"], strict=False))}, cwd=cwd
        )
    try:
        return ToolCall(tool, msgspec.json.decode(payload.get("input", "")), cwd=cwd)
    except msgspec.DecodeError:
        return None


def _masked(text: str) -> str:
    """Mask a text and cut it to its bound; what is masked reaches past the cut, so no secret is cut before it."""
    return masked(text[: TEXT_MAX + BEYOND])[:TEXT_MAX]
