"""The version of the key layout: a newer store is refused, since we could not keep what we do not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudebench.errors import StoreRefused
from claudebench.store.script import Script

if TYPE_CHECKING:
    from claudebench.store.connection import Connection

FORMAT = 1
NO_WORKSPACE = "_"
CHECK = Script(__package__, "format")
SCRIPTS = (CHECK,)


async def check_format(connection: Connection) -> None:
    """Note our format in an empty store.

    Raises:
        StoreRefused: the store was written by a newer version.
    """
    found = await connection.run(CHECK, NO_WORKSPACE, FORMAT)
    if found > FORMAT:
        raise StoreRefused(
            f"this store has format {found} and this version knows {FORMAT}; type: pip install --upgrade claudebench"
        )
