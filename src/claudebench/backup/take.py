"""Taking a backup, of a running server or of a data directory that nobody holds."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from claudebench import __version__
from claudebench.backup import archive
from claudebench.backup.archive import Manifest, StoreCopy
from claudebench.backup.record_copy import copy_rows, copy_sqlite
from claudebench.backup.store_copy import keys_of, snapshot, was_recorded
from claudebench.errors import SettingsError
from claudebench.hooks.signature import FILE as SIGNATURES
from claudebench.record.audit_key import FILE as AUDIT_KEY
from claudebench.record.database import NONE
from claudebench.record.database import Address as DatabaseAddress
from claudebench.store.connection import Address, Connection
from claudebench.store.datadir import DataDir
from claudebench.store.format import FORMAT
from claudebench.store.server import EmbeddedStore
from claudebench.telemetry.time import now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from claudebench.settings import Settings

TOKEN, ENGINE = "token", "engine.json"
ANSWER_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Site:
    """A store that can be copied; `data_dir` is where an embedded one writes."""

    connection: Connection
    data_dir: Path | None


async def take(settings: Settings, target: Path, tell: Callable[[int, int | None], None]) -> tuple[Manifest, list[str]]:
    """Write everything of an installation into one file; return what it holds, and what of it is missing.

    Raises:
        ClaudeBenchError: there is nothing to be saved, or what there is cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix=".claudebench-backup-", dir=target.parent) as name:
        folder = Path(name)
        record = await _record(settings, folder)  # before the store, so that it is never ahead of it
        async with _site(settings) as site:
            store = await _store(site, folder)
            is_recorded = await was_recorded(site.connection)
        _keys(settings, folder)
        parts = await asyncio.to_thread(archive.parts_of, folder)
        manifest = Manifest(archive.FORMAT, __version__, now(), store, record, parts)
        await asyncio.to_thread(archive.write, target, manifest, folder, tell)
    return manifest, list(_lacks({part.name for part in parts}, record, settings, is_recorded=is_recorded))


def _lacks(names: set[str], record: str, settings: Settings, *, is_recorded: bool) -> Iterator[str]:
    """Say what the backup lacks of what its store has had."""
    if record == "none" and is_recorded and settings.database_url != NONE:
        yield (
            "it has NO RECORD and no audit, and this store has had one. If that is a PostgreSQL, take the backup again "
            "with the server's --database-url; if it is given up, say --database-url none"
        )
    if is_recorded and AUDIT_KEY not in names:
        yield (
            f"it has NO KEY of the audit: there is no {settings.audit_key_path}; what is restored from it refuses to "
            "start. Name the key in CLAUDEBENCH_AUDIT_KEY and take the backup again"
        )
    if TOKEN not in names:
        yield f"it has no operator's token: there is no {settings.data_dir / TOKEN}; a restored server makes a new one"


async def _record(settings: Settings, folder: Path) -> str:
    address = DatabaseAddress.from_settings(settings.database_url, settings.data_dir, embedded=not settings.redis_url)
    if address and address.url:
        await copy_rows(address.url, folder)
        return "tables"
    if address is None or address.file is None or not address.file.exists():
        return "none"
    await asyncio.to_thread(copy_sqlite, address.file, folder)
    return "sqlite"


async def _store(site: Site, folder: Path) -> StoreCopy:
    told = (await site.connection.command("INFO", "server")).decode()
    found = dict(line.split(":", 1) for line in told.split() if ":" in line)
    name = "valkey" if found.get("server_name") == "valkey" else "redis"
    version = found.get("valkey_version") or found["redis_version"]
    if site.data_dir:
        await snapshot(site.connection, site.data_dir, folder)
        return StoreCopy("rdb", name, version, FORMAT, 0)
    _, count = await keys_of(site.connection, folder)
    return StoreCopy("keys", name, version, FORMAT, count)


def _keys(settings: Settings, folder: Path) -> None:
    """Copy what is not in the store: the operator's token, the audit's key, signatures of rules, the engine."""
    named = {name: settings.data_dir / name for name in (TOKEN, SIGNATURES, ENGINE)}
    for name, path in (named | {AUDIT_KEY: settings.audit_key_path}).items():
        if path.exists():
            shutil.copyfile(path, folder / name)


@asynccontextmanager
async def _site(settings: Settings) -> AsyncIterator[Site]:
    """Open the store: yours, that of the running server, or one that is started for the length of this."""
    if settings.redis_url:
        async with connected(Address.from_url(settings.redis_url)) as connection:
            yield Site(connection, None)
        return
    data_dir = DataDir(settings.data_dir)
    if holder := data_dir.look():
        if not holder.store_socket or not holder.url:
            raise SettingsError(f"the server of {data_dir.path} is just starting; try again")
        async with connected(Address(socket=holder.store_socket)) as connection:
            yield Site(connection, data_dir.path)
        return
    if not (data_dir.path / ENGINE).exists():
        raise SettingsError(f"{data_dir.path} holds no data; name another with --data-dir")
    with data_dir:
        store = EmbeddedStore(data_dir)
        await store.start()
        try:
            async with connected(Address(socket=str(store.socket_path))) as connection:
                yield Site(connection, data_dir.path)
        finally:
            await store.stop()


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Connection]:
    """Connect to a store for the length of a block, with the patience that large answers need."""
    connection = Connection(address, timeout_s=ANSWER_WITHIN_S)
    await connection.open()
    try:
        yield connection
    finally:
        await connection.close()
