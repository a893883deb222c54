"""What is asked of the audit and answered."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from claudebench.events.model import Position
from claudebench.record.audit import Head, Row, Span
from claudebench.record.tampering import Finding

Seq = Annotated[int, Meta(ge=0, le=2**53)]
Mac = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)", description="the mac of a row")]


class Ask(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What is asked of the audit; `after` is a position, as changes answer it, and is waited for."""

    after: Position = ""
    timeout_ms: Annotated[int, Meta(ge=0, le=60_000, description="How long the record is waited for")] = 5_000


class Verify(Ask):
    """audit.verify; what a former answer called `next` goes on where that ended."""

    behind: Annotated[Seq, Meta(description="Row behind which to begin; 0 is the beginning")] = 0
    mac: Annotated[Mac, Meta(description="The mac of that row")] = ""
    limit: Annotated[int, Meta(ge=1, le=100_000, description="How many rows at most")] = 20_000


class Following(msgspec.Struct):
    """Where a look at the chain goes on."""

    behind: int
    mac: str


class Verified(msgspec.Struct):
    """What was seen: `intact` when nothing was found in these rows. `last` is the newest row there is."""

    intact: bool
    rows: int
    last: int
    findings: list[Finding]
    head: Head | UnsetType = UNSET
    next: Following | UnsetType = UNSET


class Tail(Ask):
    """audit.tail; without `behind` the newest rows."""

    behind: Annotated[Seq, Meta(description="Row behind which to begin")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000, description="How many rows at most")] = 20


class Rows(msgspec.Struct, rename="camel"):
    """Rows of the audit, oldest first; `nextBehind` asks for those that follow, `spans` says which key signed them."""

    workspace: str
    rows: list[Row]
    next_behind: int
    has_more: bool
    spans: list[Span]
    head: Head | UnsetType = UNSET


class Accept(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """audit.accept; why is on record."""

    reason: Annotated[str, Meta(min_length=1, max_length=500, description="Why")]


class Accepted(msgspec.Struct):
    """The head that was set, and what was found of the former one and behind it."""

    head: Head
    found: list[Finding]
