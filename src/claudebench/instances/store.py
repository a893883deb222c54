"""Instances in the store: one method, one script, one transition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from claudebench.instances import model
from claudebench.rpc.bounds import bound
from claudebench.rpc.context import Change
from claudebench.store.script import Script

if TYPE_CHECKING:
    from claudebench.store.connection import Connection
    from claudebench.store.origin import Origin

REGISTER = Script(__package__, "register")
UNREGISTER = Script(__package__, "unregister")
HEARTBEAT = Script(__package__, "heartbeat")
SWEEP = Script(__package__, "sweep")
LIST = Script(__package__, "list")
SCRIPTS = (REGISTER, UNREGISTER, HEARTBEAT, SWEEP, LIST)

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class InstanceStore:
    """The instances of every workspace."""

    connection: Connection

    async def register(self, origin: Origin, doc: model.Doc, boot_id: str) -> Change[model.Registered]:
        """Note that the actor of `origin` is there."""
        roles, text = f",{','.join(doc.roles)},", bound("metadata", _encode(doc), model.DOC_MAX)
        given = (text, roles, doc.capacity, doc.dead_after_ms, boot_id)
        position, incarnation, *returned = await self.connection.change(REGISTER, origin, *given)
        return Change(
            position.decode(), model.Registered(registered=True, incarnation=incarnation, returned=_ids(returned))
        )

    async def unregister(self, origin: Origin, instance: str) -> Change[model.Unregistered]:
        """Let `instance` leave."""
        position, *returned = await self.connection.change(UNREGISTER, origin, instance)
        return Change(position.decode(), model.Unregistered(unregistered=True, returned=_ids(returned)))

    async def heartbeat(self, origin: Origin) -> model.Beat:
        """Note that the actor of `origin` was heard of, and tell what it holds."""
        incarnation, *held = await self.connection.run(HEARTBEAT, origin.workspace, *origin.head)
        if not incarnation:
            return model.Beat(alive=False, held=[])
        pairs = zip(held[::2], held[1::2], strict=True)
        holdings = [model.Holding(f"t-{n}", epoch) for n, epoch in pairs]
        return model.Beat(alive=True, held=holdings, incarnation=incarnation)

    async def sweep(self, origin: Origin) -> int:
        """Take back what the dead held (the tick); return how many instances and leases are left to watch."""
        return int(await self.connection.run(SWEEP, origin.workspace, *origin.head))

    async def list(self, workspace: str, given_ms: str, limit: int) -> list[model.Instance]:
        """Return at most `limit` instances heard of, then at most `limit` that went OFFLINE in the last day."""
        now_ms, *fields = await self.connection.run(LIST, workspace, given_ms, limit)
        rows = (fields[at : at + 6] for at in range(0, len(fields), 6))
        return [
            model.Instance(
                id=id_.decode(),
                state=model.state(int(float(deadline)), now_ms, int(dead_after)),
                incarnation=int(incarnation),
                held=held,
                registration=msgspec.Raw(doc),
            )
            for id_, deadline, held, doc, incarnation, dead_after in rows
        ]


def _ids(numbers: list[int]) -> list[str]:
    return [f"t-{n}" for n in numbers]
