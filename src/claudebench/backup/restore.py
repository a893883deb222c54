"""Restoring a backup: everything is checked and built beside the data directory, then the two change places at once."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import shutil
import tempfile
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from claudebench.backup import archive
from claudebench.backup.record_copy import (
    ANEW,
    RECORD_FILE,
    ROWS_FILE,
    check_rows,
    check_sqlite,
    put_rows,
    take_rows_back,
)
from claudebench.backup.store_copy import KEPT_KEYS, SNAPSHOT, as_append_only, put_keys, refuse_filled, take_keys_back
from claudebench.backup.take import ENGINE, TOKEN, connected
from claudebench.errors import BackupRefused, ClaudeBenchError, SettingsError, StoreHeld
from claudebench.record.audit_key import FILE as AUDIT_KEY
from claudebench.record.audit_key import read_keys
from claudebench.record.database import Address as DatabaseAddress
from claudebench.store.connection import Address
from claudebench.store.datadir import APPEND_ONLY, MANIFEST, DataDir
from claudebench.store.engine import find_engine
from claudebench.store.format import FORMAT, NO_WORKSPACE
from claudebench.store.keys import KEYS, prefix
from claudebench.store.server import EmbeddedStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.backup.archive import Manifest
    from claudebench.settings import Settings

RECORDS = {"tables": "that of a PostgreSQL: name one with --database-url", "sqlite": "SQLite", "none": "none"}
OURS_ALONE = ("lock", "store.lock", "store.conf", "store.log", "store.sock", "reserve")
EXCHANGE, AT_CWD = 2, -100


class Restored(msgspec.Struct, rename="camel"):
    """What a restore did; `movedTo` is where the former data directory is now."""

    data_dir: str
    made_at: str
    version: str
    moved_to: str = ""


async def restore(
    source: Path, settings: Settings, tell: Callable[[int, int | None], None], *, force: bool = False
) -> Restored:
    """Put a backup in the place of the data directory, and into the store that the settings name.

    Raises:
        BackupRefused: the backup is damaged, newer than we, or of another kind of store.
        StoreHeld: a server uses the data directory.
        SettingsError: the data directory holds something and `force` is False.
    """
    target = DataDir(settings.data_dir)
    _refuse_in_use(target, force=force)
    _check(archive.read_manifest(source), settings)
    target.path.parent.mkdir(parents=True, exist_ok=True)
    await _clear_leftovers(target.path)
    fresh = Path(tempfile.mkdtemp(prefix=_leftover(target.path), dir=target.path.parent))
    try:
        manifest = await asyncio.to_thread(archive.unpack, source, fresh, tell)
        await asyncio.to_thread(_check_parts, fresh)
        await _refuse_filled(fresh, settings)
        async with AsyncExitStack() as undo:
            await _build(fresh, manifest, settings, undo)
            moved_to = _exchange(fresh, target)
            undo.pop_all()
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Restored(str(target.path), manifest.made_at, manifest.version, moved_to)


def _refuse_in_use(target: DataDir, *, force: bool) -> None:
    if holder := target.look():
        raise StoreHeld(f"server {holder.pid} uses {target.path}; stop it first: kill {holder.pid}", pid=holder.pid)
    if not force and target.path.exists() and any(target.path.iterdir()):
        raise SettingsError(f"{target.path} is not empty; --force moves it aside, or name another with --data-dir")


def _check(manifest: Manifest, settings: Settings) -> None:
    """Refuse what this version, this engine or these settings cannot take."""
    store = manifest.store
    if store.format > FORMAT:
        raise BackupRefused(
            f"its store has format {store.format} and this version knows {FORMAT}; "
            "type: pip install --upgrade claudebench"
        )
    if settings.redis_url and store.kind == "rdb":
        raise BackupRefused("this is the backup of an embedded store; restore it without --redis-url")
    wanted = DatabaseAddress.from_settings(settings.database_url, settings.data_dir, embedded=not settings.redis_url)
    if (manifest.record == "tables") != bool(wanted and wanted.url):
        raise BackupRefused(
            f"the record in this backup is {RECORDS.get(manifest.record, 'of a kind unknown here')}; restore it as that"
        )
    names = {part.name for part in manifest.parts}
    if {"rdb": SNAPSHOT, "keys": KEPT_KEYS}.get(store.kind) not in names:
        raise BackupRefused(f"this backup has no copy of its store of the kind {store.kind!r}")


def _check_parts(fresh: Path) -> None:
    """Refuse parts that no server could begin with, whatever their checksums say."""
    if (fresh / RECORD_FILE).exists():
        check_sqlite(fresh / RECORD_FILE)
    if (fresh / TOKEN).exists() and not (fresh / TOKEN).read_bytes().strip():
        raise BackupRefused("the operator's token in this backup is empty")
    if (fresh / AUDIT_KEY).exists():
        try:
            read_keys(fresh / AUDIT_KEY)
        except SettingsError as error:
            said = error.message.replace(f"{fresh}/", "")
            raise BackupRefused(f"the audit's key in this backup is damaged: {said}") from None


async def _refuse_filled(fresh: Path, settings: Settings) -> None:
    """Refuse a database and a store of yours that do not answer or are not empty, before anything is put there."""
    if settings.database_url and (fresh / ROWS_FILE).exists():
        await check_rows(settings.database_url, fresh / ROWS_FILE)
    if settings.redis_url:
        async with connected(Address.from_url(settings.redis_url)) as connection:
            await refuse_filled(connection)


async def _build(fresh: Path, manifest: Manifest, settings: Settings, undo: AsyncExitStack) -> None:
    """Make a data directory of the parts, and have an engine read the store's; then fill what is not in it."""
    if manifest.store.kind == "rdb":
        as_append_only(fresh / SNAPSHOT, fresh, APPEND_ONLY, MANIFEST)
        await _load(fresh, None)
    else:
        (fresh / ENGINE).unlink(missing_ok=True)
        if not settings.redis_url:
            await _load(fresh, fresh / KEPT_KEYS)
    await _fill(fresh, settings, undo)
    for name in (*OURS_ALONE, KEPT_KEYS, ROWS_FILE):
        (fresh / name).unlink(missing_ok=True)
    archive.sync_folder(fresh)


async def _fill(fresh: Path, settings: Settings, undo: AsyncExitStack) -> None:
    """Fill a database and a store of yours; `undo` takes back what was put there when what follows fails.

    The rows are put first, all of them or none; the keys are marked as half until the last is there.
    """
    if settings.database_url and (fresh / ROWS_FILE).exists():
        await put_rows(settings.database_url, fresh / ROWS_FILE)
        undo.push_async_callback(_take_rows_back, settings.database_url)
    if settings.redis_url:
        address = Address.from_url(settings.redis_url)
        async with connected(address) as connection:
            await put_keys(connection, fresh / KEPT_KEYS)
        undo.push_async_callback(_take_keys_back, address)


async def _take_rows_back(url: str) -> None:
    try:
        await take_rows_back(url)
    except ClaudeBenchError as error:
        raise BackupRefused(f"the restore failed, and its rows are in the record at --database-url: {ANEW}") from error


async def _take_keys_back(address: Address) -> None:
    try:
        async with connected(address) as connection:
            await take_keys_back(connection)
    except ClaudeBenchError as error:
        raise BackupRefused(
            f"the restore failed, and its keys are in the store at {address}: remove all that begin with cb: there"
        ) from error


async def _load(fresh: Path, keys: Path | None) -> None:
    """Let an embedded store begin with what is there, or take the keys, and end again with all of it on disk."""
    with DataDir(fresh) as data_dir:
        store = EmbeddedStore(data_dir, durability="always", engine=find_engine())
        try:
            await store.start()
        except ClaudeBenchError as error:
            raise BackupRefused(_without_folder(error.message, data_dir.path)) from error
        try:
            async with connected(Address(socket=str(store.socket_path))) as connection:
                if keys:
                    await put_keys(connection, keys)
                if not await connection.command("EXISTS", prefix(NO_WORKSPACE) + KEYS["format"].tail):
                    raise BackupRefused("the store in this backup is empty, or is not one of ours")
        finally:
            await store.stop()


def _without_folder(said: str, folder: Path) -> str:
    """Return what an engine's start says, without advice about a folder that is gone by then."""
    what = said.partition(" (all of it:")[0].replace(f"{folder}/", "")
    kept = what.partition(f"{folder}")[0].partition(". ")[0]
    return f"the engine here cannot begin with the store in this backup: {kept}"


def _exchange(fresh: Path, target: DataDir) -> str:
    """Put the fresh directory in the place of the other, and return where that is now, '' for nothing."""
    if not target.path.exists():
        fresh.rename(target.path)
        archive.sync_folder(target.path.parent)
        return ""
    with target:
        was_empty = {path.name for path in target.path.iterdir()} <= {"lock"}
        _swap(fresh, target.path)
        archive.sync_folder(target.path.parent)
        if was_empty:
            return ""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        aside = target.path.with_name(f"{target.path.name}.replaced-{stamp}")
        fresh.rename(aside)
        return str(aside)


def _swap(one: Path, other: Path) -> None:
    """Let two directories change names in one step; where the kernel has none for that, in two."""
    libc = ctypes.CDLL(None, use_errno=True)
    with suppress(AttributeError):
        if not libc.renameat2(AT_CWD, os.fsencode(one), AT_CWD, os.fsencode(other), EXCHANGE):
            return
        if (number := ctypes.get_errno()) not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
            raise OSError(number, os.strerror(number), str(other))
    aside = other.with_name(f"{other.name}.swapping")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def _leftover(target: Path) -> str:
    return f".{target.name}.restoring-"


async def _clear_leftovers(target: Path) -> None:
    """Remove what a restore that was killed left, its store too; what another restore holds is let alone."""
    for path in target.parent.glob(f"{_leftover(target)}*"):
        with suppress(ClaudeBenchError):
            with DataDir(path) as data_dir:
                if data_dir.store_lives():
                    orphan = EmbeddedStore(data_dir)
                    await orphan.start()
                    await orphan.stop()
            shutil.rmtree(path, ignore_errors=True)
