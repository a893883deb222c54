"""Which names say of themselves that what they name is a secret."""

from __future__ import annotations

import re
from urllib.parse import unquote

# An expression of linear time: it never looks far ahead.
_PART = r"[\w-]{0,64}"
NAME = (
    rf"(?:{_PART}secret{_PART}|{_PART}(?:token|apikey|password|passwd|passphrase)"
    rf"|{_PART}[_-](?:key|pass|pwd|auth|credentials?)|pass)"
)
MASK = "***"
_WORD = r"\w{0,64}(?:Key|Pwd)|(?:proxy-)?authorization|auth|key|pwd|credentials?|bearer|(?:set-)?cookie"
_NAME, _OF_MEMBER = re.compile(NAME, re.IGNORECASE), re.compile(rf"(?:{_WORD})", re.IGNORECASE)
_NO_SECRET = frozenset({"idempotencykey", "partitionkey"})


def may_name(text: bytes) -> bool:
    """Tell whether a JSON text may hold such a name, spelt out or escaped: False is certain."""
    low = text.lower()
    word = b"pass" in low or b"token" in low or b"secret" in low or b"key" in low or b"pwd" in low or b"auth" in low
    return word or b"credential" in low or b"bearer" in low or b"cookie" in low or b"\\u" in low


def is_secret(name: str) -> bool:
    """Tell whether a member of this name holds a secret."""
    return bool(_NAME.fullmatch(name) or _OF_MEMBER.fullmatch(name)) and name.lower() not in _NO_SECRET


def without_secrets(url: str) -> str:
    """Return a URL with its password masked, and what its query names as a secret."""
    scheme, separator, rest = url.partition("://")
    before, mark, query = rest.partition("?")
    if "@" in query and not {"@", "/"} & set(before):  # the `?` is one of the password
        before, mark, query = rest, "", ""
    login, at, address = before.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{user}{colon}{MASK if colon else ''}{at}{address}"
    return f"{scheme}{separator}{shown}{mark}{'&'.join(map(_masked, query.split('&')))}"


def _masked(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return f"{name}{equals}{MASK}" if equals and is_secret(unquote(name)) else parameter
