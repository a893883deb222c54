"""`${name%pattern}`, `${name##pattern}`: a piece cut from a value, where the pattern is a text with at most one `*`."""

from __future__ import annotations

from claudebench.hooks.paths import SOME, UNKNOWN

CUTS = ("%", "%%", "#", "##")
_SPECIAL = frozenset("*?[]\\\"'$`{}()~!")


def cut(value: str, operator: str, pattern: str) -> str:
    """Return what is left of the value; UNKNOWN when that cannot be told."""
    text = pattern.removesuffix("*") if operator[0] == "%" else pattern.removeprefix("*")
    starred = text != pattern
    if UNKNOWN in value or SOME in value or not text or not _SPECIAL.isdisjoint(text):
        return UNKNOWN
    if value.partition("/")[0] == "~":
        return _below_home(value, operator, text, starred=starred)
    if not starred:
        return value.removesuffix(text) if operator[0] == "%" else value.removeprefix(text)
    if operator[0] == "%":
        at = value.rfind(text) if operator == "%" else value.find(text)
        return value if at < 0 else value[:at]
    at = value.find(text) if operator == "#" else value.rfind(text)
    return value if at < 0 else value[at + len(text) :]


def _below_home(value: str, operator: str, text: str, *, starred: bool) -> str:
    """A home has a path that is not known here; what is below it can be cut, and the folder above it is named."""
    if not starred:
        return value.removesuffix(text) if operator[0] == "%" and value[1:].endswith(text) else UNKNOWN
    at = value.rfind(text, 1)
    if operator == "%" and text == "/" and at < 0:
        return f"{value}/.."
    if at < 0 or operator not in ("%", "##"):
        return UNKNOWN
    return value[:at] if operator == "%" else value[at + len(text) :]
