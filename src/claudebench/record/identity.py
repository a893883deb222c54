"""Which store a record is of: each has the same id, so that no database is written by two stores that know of no other.

neither has one            both take a new one
the store alone            the record takes it
the record alone           the store lost everything, or is another: it takes the id when whoever starts it says so;
                           beside the store's own data nobody else can have written it, so there it takes it at once
both, and they differ      refused
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from claudebench.errors import StoreRefused
from claudebench.record.tables import STORE
from claudebench.store.format import NO_WORKSPACE
from claudebench.store.script import Script

if TYPE_CHECKING:
    from sqlalchemy import Connection as Sql

    from claudebench.record.database import Database
    from claudebench.store.connection import Connection
    from claudebench.store.wire import Argument

IDENTITY = Script(__package__, "identity")
SCRIPTS = (IDENTITY,)
_KEEP = text("INSERT INTO store (one, id) VALUES (1, :id) ON CONFLICT DO NOTHING")


@dataclass(slots=True)
class Identity:
    """The ids of a store and its record; `adopts` is whether a store without one may take the record's."""

    store: Connection
    database: Database
    adopts: bool
    id: str = ""

    async def check(self) -> None:
        """Look once whether the record is this store's.

        Raises:
            StoreRefused: it is, or may be, another's; the message says what to do.
            Unavailable: one of them cannot be had.
        """
        if self.id:
            return
        recorded = await self.database.read(_recorded)
        own = await self._own(recorded if self.adopts else "")
        if recorded and own != recorded:
            raise StoreRefused(_foreign(own) if own else _forgotten())
        offered = own or await self._own(secrets.token_hex(8))
        self.id = recorded or await self.database.run(lambda sql: _keep(sql, offered))
        if self.id != offered:
            raise StoreRefused(_foreign(offered))

    def again(self) -> tuple[Script, str, tuple[Argument, ...]]:
        """Return what a store that comes back with nothing is told of itself."""
        return IDENTITY, NO_WORKSPACE, (self.id,)

    async def _own(self, offered: str) -> str:
        found: bytes = await self.store.run(IDENTITY, NO_WORKSPACE, offered)
        return found.decode()


def _recorded(sql: Sql) -> str:
    return sql.scalar(select(STORE.c.id)) or ""


def _keep(sql: Sql, offered: str) -> str:
    """Note an id in a record without one; return the one it has, which another server may have been first to note."""
    sql.execute(_KEEP, {"id": offered})
    return _recorded(sql)


def _foreign(own: str) -> str:
    return (
        f"the database is the record of another store than this one ({own}); give this store a database of its own "
        "with --database-url, or none"
    )


def _forgotten() -> str:
    return (
        "the database is the record of a store, and this one has nothing: if it is another, give it a database of its "
        "own with --database-url; if it is that one and lost everything, start once with CLAUDEBENCH_ADOPT_RECORD=true"
    )
