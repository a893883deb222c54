"""Signatures of the Standard Webhooks specification, 1.0: HMAC-SHA256 of `id.timestamp.body`, one for each secret."""

from __future__ import annotations

import hmac
import secrets
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "whsec_"
BYTES = 32


def new_secret() -> str:
    """Return a secret of 32 random bytes."""
    return PREFIX + b64encode(secrets.token_bytes(BYTES)).decode()


def signed(secrets_: Iterable[str], message: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers of a message that is sent at a time in Unix seconds, signed with each of the secrets."""
    content = f"{message}.{at_s}.".encode() + body
    signatures = [f"v1,{_signature(each, content)}" for each in secrets_]
    return {"webhook-id": message, "webhook-timestamp": str(at_s), "webhook-signature": " ".join(signatures)}


def _signature(secret: str, content: bytes) -> str:
    return b64encode(hmac.digest(b64decode(secret.removeprefix(PREFIX)), content, "sha256")).decode()
