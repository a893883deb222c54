"""The version of the key layout: a newer store is refused, since we could not keep what we do not know.

An older one is migrated, workspace by workspace, in steps that may be repeated. The new version is noted last, so a
migration that was cut off begins again. A server of the older format that is still running meets a fence: the key that
its scripts read first has another type, so each fails before it has written anything. One of a format that looks
(`outdated_by`, from 3 on) also learns that it is to stop.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.errors import StoreRefused
from claudebench.store.script import Script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from claudebench.store.connection import Connection

    Migration = Callable[[Connection, str], Awaitable[None]]

FORMAT = 3
SCANNED_AT_ONCE = 1_000
NO_WORKSPACE = "_"
CHECK = Script(__package__, "format")
FENCE = Script(__package__, "fence")
SCRIPTS = (CHECK, FENCE)
_WORKSPACE_META = re.compile(rb"cb:{([a-z0-9-]{1,40})}:meta")


async def check_format(connection: Connection, migration: Migration) -> None:
    """Note our format in an empty store, and bring an older one up to it.

    Raises:
        StoreRefused: the store was written by a newer version.
    """
    found, following = await connection.run(CHECK, NO_WORKSPACE, FORMAT, "")
    if (newest := max(found, following)) > FORMAT:
        raise StoreRefused(
            f"this store has format {newest} and this version knows {FORMAT}; type: pip install --upgrade claudebench"
        )
    if found < FORMAT:
        await connection.run(CHECK, NO_WORKSPACE, FORMAT, "begin")
        async for workspace in _workspaces(connection):
            await migrate(connection, workspace, migration)
        await connection.run(CHECK, NO_WORKSPACE, FORMAT, "end")


async def migrate(connection: Connection, workspace: str, migration: Migration) -> None:
    """Keep servers of an older format out of a workspace and bring it up to ours; may be repeated."""
    await connection.run(FENCE, workspace, FORMAT)
    await migration(connection, workspace)


async def outdated_by(connection: Connection) -> int:
    """Return the newer format that another server brought this store to, or is bringing it to; 0 for none."""
    newest: int = max(await connection.run(CHECK, NO_WORKSPACE, FORMAT, "look"))
    return newest if newest > FORMAT else 0


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
