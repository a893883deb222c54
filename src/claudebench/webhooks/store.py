"""Webhooks in the store: one method, one script, one transition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from claudebench.events.cursor import PARTITIONS
from claudebench.rpc.context import Change
from claudebench.store.script import Script
from claudebench.webhooks.model import Doc, Kept

if TYPE_CHECKING:
    from claudebench.store.connection import Connection
    from claudebench.store.origin import Origin

ADD = Script(__package__, "add")
REMOVE = Script(__package__, "remove")
ROTATE = Script(__package__, "rotate")
SWITCH_OFF = Script(__package__, "switch_off")
LIST = Script(__package__, "list")
SCRIPTS = (ADD, REMOVE, ROTATE, SWITCH_OFF, LIST)

FIELDS = 8
NO_VERSION = "-"
_encode = msgspec.json.Encoder().encode
_doc = msgspec.json.Decoder(Doc)


class Listed(NamedTuple):
    """The webhooks of a workspace, and the version under which they are as they are."""

    version: str
    kept: dict[str, Kept]


@dataclass(frozen=True, slots=True)
class WebhookStore:
    """The webhooks of every workspace."""

    connection: Connection

    async def add(self, origin: Origin, doc: Doc, secret: str, to: str) -> Change[tuple[str, int]]:
        """Add a webhook; return its id, and when that was, in ms.

        Raises:
            LimitReached: there are 16 webhooks, or 32 groups that read the log.
        """
        told = _encode({"to": to, "events": doc.events})
        position, id_, at_ms = await self.connection.change(ADD, origin, _encode(doc), secret, told, PARTITIONS)
        return Change(position.decode(), (id_.decode(), at_ms))

    async def remove(self, origin: Origin, id_: str) -> Change[None]:
        """Remove a webhook with everything that is kept for it.

        Raises:
            NotFound: there is none of this id.
        """
        (position,) = await self.connection.change(REMOVE, origin, id_)
        return Change(position.decode(), None)

    async def rotate(self, origin: Origin, id_: str, secret: str, keep_ms: int) -> Change[int]:
        """Give a webhook another secret; return until when, in ms, the former one signs too.

        Raises:
            NotFound: there is none of this id.
        """
        position, until_ms = await self.connection.change(ROTATE, origin, id_, secret, keep_ms)
        return Change(position.decode(), until_ms)

    async def switch_off(self, origin: Origin, id_: str, reason: str) -> bool:
        """Send nothing to a webhook any more; return whether that was not so before."""
        _, is_new = await self.connection.change(SWITCH_OFF, origin, id_, _encode(reason))
        return bool(is_new)

    async def list(self, workspace: str) -> dict[str, Kept]:
        """Return the webhooks, by their ids, in the order in which they were added."""
        listed = await self.changed(workspace, NO_VERSION)
        assert listed, "no version is called so"
        return listed.kept

    async def changed(self, workspace: str, version: str) -> Listed | None:
        """Return the webhooks unless they are as they were at a version ('' where there never was one)."""
        told = [each.decode() for each in await self.connection.run(LIST, workspace, version)]
        if told[0] == version:
            return None
        rows = (told[at : at + FIELDS] for at in range(1, len(told), FIELDS))
        return Listed(told[0], {row[0]: _kept(*row) for row in rows})


def _kept(  # noqa: PLR0917 - as the script answers it
    id_: str, doc: str, created: str, secret: str, former: str, former_ms: str, off: str, off_ms: str
) -> Kept:
    reason = msgspec.json.decode(off, type=str) if off else ""
    return Kept(id_, _doc.decode(doc), int(created), secret, former, int(former_ms or 0), reason, int(off_ms or 0))
