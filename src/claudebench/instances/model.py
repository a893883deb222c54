"""What an instance is: as it registers, as it is answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from claudebench.rpc.envelope import InstanceId

Role = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$(?!\n)", description="a role: 1 to 64 letters, digits, dots, - and _")
]
State = Literal["ACTIVE", "SUSPECT", "OFFLINE"]

BEATS, MISSED_MAX = 5, 2
DOC_MAX = 65_536


class SystemRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A system request; what the 2025 bridge sends with any of them is known and not used."""

    session_id: str | None = None
    timestamp: int | float | str | None = None
    metadata: dict[str, Any] = {}


class Register(SystemRequest):
    """system.register."""

    id: InstanceId
    roles: Annotated[list[Role], Meta(max_length=32)]
    capacity: Annotated[int, Meta(ge=1, le=1000)] = 10
    dead_after_ms: Annotated[int, Meta(ge=500, le=86_400_000)] = 5000
    boot_id: Annotated[str, Meta(max_length=128)] = ""
    capabilities: Any = None


class Named(SystemRequest):
    """system.unregister and system.heartbeat."""

    instance_id: InstanceId


class ListInstances(SystemRequest):
    """instance.list."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Doc(msgspec.Struct, rename="camel", omit_defaults=True):
    """The fields of a registration that no script looks into."""

    roles: list[str]
    capacity: int
    dead_after_ms: int
    capabilities: Any = None
    metadata: dict[str, Any] = {}


class Registered(msgspec.Struct):
    """A registration; `returned` names the tasks of a former incarnation that are free again."""

    registered: bool
    incarnation: int
    returned: list[str]


class Unregistered(msgspec.Struct):
    """A leave; `returned` names the tasks that are free again."""

    unregistered: bool
    returned: list[str]


class Holding(msgspec.Struct):
    """A task that an instance holds, with the epoch that fences it."""

    id: str
    epoch: int


class Beat(msgspec.Struct):
    """The answer to a heartbeat; `alive` is False for who is not registered."""

    alive: bool
    held: list[Holding]
    incarnation: int | UnsetType = UNSET


class Instance(msgspec.Struct, rename="camel"):
    """An instance as it is answered."""

    id: str
    state: State
    incarnation: int
    held: int
    registration: Raw


class Instances(msgspec.Struct):
    """The instances heard of, and those that went OFFLINE in the last day."""

    instances: list[Instance]


def state(deadline_ms: int, now_ms: int, dead_after_ms: int) -> State:
    """Return the state of an instance whose deadline lies at `deadline_ms`; 0 is OFFLINE."""
    if not deadline_ms:
        return "OFFLINE"
    silent_ms = now_ms - (deadline_ms - dead_after_ms)
    return "SUSPECT" if silent_ms > MISSED_MAX * dead_after_ms / BEATS else "ACTIVE"
