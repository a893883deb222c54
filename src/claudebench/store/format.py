"""The version of the key layout: a newer store is refused, since we could not keep what we do not know.

An older one is migrated, workspace by workspace, in steps that may be repeated. The new version is noted last, so a
migration that was cut off begins again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.errors import StoreRefused
from claudebench.store.script import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from claudebench.store.connection import Connection

    Migration = Callable[[Connection, str], Awaitable[None]]

FORMAT = 2
SCANNED_AT_ONCE = 1_000
NO_WORKSPACE = "_"
CHECK = Script(__package__, "format")
SCRIPTS = (CHECK,)
_WORKSPACE_META = re.compile(rb"cb:{([a-z0-9-]{1,40})}:meta")


async def check_format(connection: Connection, migrations: Mapping[int, Migration]) -> None:
    """Note our format in an empty store, and bring an older one up to it; `migrations[1]` leads from 1 to 2.

    Raises:
        StoreRefused: the store was written by a newer version.
    """
    found = await connection.run(CHECK, NO_WORKSPACE, FORMAT, "")
    if found > FORMAT:
        raise StoreRefused(
            f"this store has format {found} and this version knows {FORMAT}; type: pip install --upgrade claudebench"
        )
    for step in range(found, FORMAT):
        async for workspace in _workspaces(connection):
            await migrations[step](connection, workspace)
        await connection.run(CHECK, NO_WORKSPACE, step + 1, "set")


async def _workspaces(connection: Connection) -> AsyncIterator[str]:
    """Yield every workspace that has a key, some perhaps twice; asked at start only, never on the way of a request."""
    cursor = b"0"
    while True:
        cursor, keys = await connection.command("SCAN", cursor, "MATCH", "cb:{*}:meta", "COUNT", SCANNED_AT_ONCE)
        for key in keys:
            if found := _WORKSPACE_META.fullmatch(key):
                yield found[1].decode()
        if cursor == b"0":
            return
