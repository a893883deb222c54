"""What a free-form member may weigh."""

from __future__ import annotations

from claudebench.errors import InvalidParams


def bound(field: str, text: bytes, bytes_max: int) -> bytes:
    """Return `text`, the JSON of a member, or raise InvalidParams when it is longer than `bytes_max` bytes."""
    if len(text) > bytes_max:
        message = f"{field} is {len(text)} bytes of JSON; at most {bytes_max} are kept"
        raise InvalidParams(message, errors=[{"path": field, "message": message}])
    return text
