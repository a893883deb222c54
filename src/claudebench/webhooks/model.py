"""What a webhook is: as it is asked for, as it is stored, as it is answered."""

from __future__ import annotations

from dataclasses import dataclass
from time import time
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from claudebench.events.patterns import LENGTH_MAX, PATTERN

URL_MAX = 2048
EVENTS_MAX = 50
KEEP_MAX_S = 604_800
Url = Annotated[str, Meta(min_length=1, max_length=URL_MAX, description="Where events are POSTed to, https://...")]
Id = Annotated[str, Meta(pattern=r"^wh-[0-9]{1,15}$(?!\n)", description="a webhook's id, wh-<number>")]
Wanted = Annotated[str, Meta(max_length=LENGTH_MAX, pattern=PATTERN, description="an event type or pattern, task.*")]


class Request(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A request about webhooks."""


class Add(Request):
    """webhook.add. `retries` further tries follow one that failed."""

    url: Url
    events: Annotated[
        list[Wanted], Meta(min_length=1, max_length=EVENTS_MAX, description="Which events, such as task.* or *")
    ]
    description: Annotated[str, Meta(max_length=200, description="What it is for")] = ""
    retries: Annotated[int, Meta(ge=0, le=100, description="How many further tries follow one that failed")] = 8


class ListWebhooks(Request):
    """webhook.list."""


class One(Request):
    """webhook.show, webhook.remove and webhook.test."""

    id: Id


class Rotate(Request):
    """webhook.rotate. For `keepS` seconds the former secret signs too; 0 ends it at once."""

    id: Id
    keep_s: Annotated[
        int, Meta(ge=0, le=KEEP_MAX_S, description="For how many seconds the former secret signs too")
    ] = 86_400


class Doc(msgspec.Struct, rename="camel"):
    """The fields of a webhook that no script looks into; `nonce` makes its message ids its own."""

    url: str
    events: list[str]
    description: str
    retries: int
    nonce: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A webhook as the server knows it, secrets included; it shows none of them."""

    id: str
    doc: Doc
    created_ms: int
    secret: str
    former: str
    former_ms: int
    off: str
    off_ms: int

    @property
    def group(self) -> str:
        """The group of cursors under which it reads the log."""
        return f"webhook.{self.id}"

    @property
    def is_on(self) -> bool:
        """Whether anything is sent to it."""
        return not self.off

    @property
    def secrets(self) -> list[str]:
        """The secrets that sign now, the present one first."""
        return [self.secret, *([self.former] if self.former and time() * 1000 < self.former_ms else [])]

    def message(self, event: str) -> str:
        """Return the id under which a receiver knows an event of ours, however often it is sent."""
        return f"msg_{self.doc.nonce}_{event}"

    def __repr__(self) -> str:
        """Name it without its secrets."""
        return f"Kept({self.id})"


class Webhook(msgspec.Struct, rename="camel"):
    """A webhook as it is answered. Its URL is shown whole to the operator, to others without path and query."""

    id: str
    url: str
    events: list[str]
    description: str
    retries: int
    state: Literal["on", "off"]
    created_at: str
    off_at: str | UnsetType = UNSET
    off_because: str | UnsetType = UNSET
    former_secret_until: str | UnsetType = UNSET


class Added(msgspec.Struct, rename="camel"):
    """A webhook that was added; its `secret` is shown this once."""

    id: str
    secret: str
    created_at: str


class Webhooks(msgspec.Struct):
    """The webhooks of a workspace."""

    webhooks: list[Webhook]


class Shown(Webhook, kw_only=True):
    """A webhook and how far it is: events of the log before it, dead letters, those to be sent once more."""

    behind: int
    behind_exact: bool
    behind_ms: int
    dead: int
    retrying: int


class Removed(msgspec.Struct):
    """A webhook that is gone."""

    id: str
    removed: bool


class Rotated(msgspec.Struct, rename="camel"):
    """A new secret, shown this once, and until when the former one signs too."""

    id: str
    secret: str
    former_secret_until: str


class Tested(msgspec.Struct, rename="camel"):
    """What came of a `webhook.ping`: whether a 2xx came, the status (none without an answer), the time, or why not."""

    delivered: bool
    took_ms: int
    status: int | UnsetType = UNSET
    error: str | UnsetType = UNSET
