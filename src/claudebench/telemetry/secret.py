"""Which names say of themselves that what they name is a secret."""

from __future__ import annotations

import re

# An expression of linear time: it never looks far ahead.
_PART = r"[\w-]{0,64}"
NAME = (
    rf"(?:{_PART}secret{_PART}|{_PART}(?:token|apikey|password|passwd|passphrase)"
    rf"|{_PART}[_-](?:key|pass|pwd|auth|credentials?)|pass)"
)
MASK = "***"
_IN_EVERY = (b"pass", b"token", b"secret", b"key", b"pwd", b"auth", b"credential", b"bearer", b"cookie", b"\\u")
_WORD = r"\w{0,64}(?:Key|Pwd)|(?:proxy-)?authorization|auth|key|pwd|credentials?|bearer|(?:set-)?cookie"
_NAME, _OF_MEMBER = re.compile(NAME, re.IGNORECASE), re.compile(rf"(?:{_WORD})", re.IGNORECASE)
_NO_SECRET = frozenset({"idempotencykey", "partitionkey"})


def may_name(text: bytes) -> bool:
    """Tell whether a JSON text may hold such a name, spelt out or escaped: False is certain."""
    low = text.lower()
    return any(each in low for each in _IN_EVERY)


def is_secret(name: str) -> bool:
    """Tell whether a member of this name holds a secret."""
    return bool(_NAME.fullmatch(name) or _OF_MEMBER.fullmatch(name)) and name.lower() not in _NO_SECRET
