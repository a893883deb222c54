"""Copies of a store: whole, as an engine's own snapshot, or the keys of each workspace as the engine dumps them."""

from __future__ import annotations

import asyncio
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.errors import BackupRefused, ClaudeBenchError, Internal, Unavailable
from claudebench.store.format import NO_WORKSPACE
from claudebench.store.keys import KEYS, prefix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from claudebench.store.connection import Connection

SNAPSHOT, KEPT_KEYS = "store.rdb", "store.keys"
ENGINES_FILE = "dump.rdb"
POLL_S = 0.05
WORKSPACE_BYTES_MAX = 256 * 2**20
SENT_AT_ONCE = 200
RESTORING = 1_000_000_000
"""The format that a store has while keys are put back: no server begins on half of them."""
_FORMAT_KEY = prefix(NO_WORKSPACE) + KEYS["format"].tail
_SCAN_COUNT = 1_000
_LENGTH = struct.Struct(">I")
_DUMP = """#!lua flags=no-writes
local cursor, found, bytes = '0', {}, 0
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1], 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    local dumped = redis.call('DUMP', key)
    if dumped then
      found[#found + 1] = {key, redis.call('PEXPIRETIME', key), dumped}
      bytes = bytes + #dumped
      if bytes > tonumber(ARGV[2]) then return {} end
    end
  end
until cursor == '0'
return found
"""


class _Kept(msgspec.Struct, array_like=True):
    key: bytes
    expires_ms: int
    dumped: bytes


async def snapshot(connection: Connection, data_dir: Path, folder: Path) -> Path:
    """Have an embedded store write itself down as it is at one moment, and take the file.

    Raises:
        Unavailable: the engine could not write it; its log says why.
    """
    written = data_dir / ENGINES_FILE
    before = await _idle(connection)
    await connection.command("BGSAVE", "SCHEDULE")
    try:
        while (now := await _idle(connection))["rdb_saves"] == before["rdb_saves"]:
            if now["rdb_last_bgsave_status"] != "ok":
                raise Unavailable(
                    f"the store could not write its snapshot; see {data_dir / 'store.log'}", reason="disk"
                )
            await asyncio.sleep(POLL_S)
        await asyncio.to_thread(_move, written, folder / SNAPSHOT)
    finally:
        written.unlink(missing_ok=True)
    return folder / SNAPSHOT


def _move(source: Path, target: Path) -> None:
    """Take a file to another folder, which may be on another disk."""
    try:
        source.replace(target)
    except OSError:
        with source.open("rb") as old, target.open("wb") as new:
            while chunk := old.read(2**20):
                new.write(chunk)
    target.chmod(0o600)


async def _idle(connection: Connection) -> dict[str, str]:
    """Return what the engine says of its files, once no snapshot is under way or waits for its turn."""
    while True:
        told = (await connection.command("INFO", "persistence")).decode()
        found = dict(line.split(":", 1) for line in told.split() if ":" in line)
        if found["rdb_bgsave_in_progress"] == found["aof_rewrite_in_progress"] == "0":
            return found
        await asyncio.sleep(POLL_S)


async def was_recorded(connection: Connection) -> bool:
    """Tell whether a record of this store was ever kept: a key has signed an audit of it."""
    return bool(await connection.command("EXISTS", prefix(NO_WORKSPACE) + KEYS["auditkeys"].tail))


async def keys_of(connection: Connection, folder: Path) -> tuple[Path, int]:
    """Write down the keys of every workspace, each workspace in one atom; return the file and how many they are.

    Raises:
        BackupRefused: a workspace is larger than one atom should be.
    """
    target, count = folder / KEPT_KEYS, 0
    with target.open("wb") as file:
        for workspace in await _workspaces(connection):
            pattern = prefix(workspace).replace("{", "\\{").replace("}", "\\}") + "*"
            found = await connection.command("EVAL", _DUMP, 0, pattern, WORKSPACE_BYTES_MAX)
            if not found:
                raise BackupRefused(_too_large(workspace))
            kept = {key: _Kept(key, expires, dumped) for key, expires, dumped in found}
            for each in kept.values():
                encoded = msgspec.msgpack.encode(each)
                file.write(_LENGTH.pack(len(encoded)) + encoded)
            count += len(kept)
    return target, count


def _too_large(workspace: str) -> str:
    return (
        f"the workspace {workspace} holds more than {WORKSPACE_BYTES_MAX >> 20} MB, too much to be copied in one atom; "
        "use your store's own snapshots (BGSAVE) for it"
    )


async def _workspaces(connection: Connection) -> list[str]:
    """Return every workspace that has a key, what belongs to none first."""
    found: set[str] = set()
    cursor = b"0"
    while True:
        cursor, keys = await connection.command("SCAN", cursor, "MATCH", "cb:{*}:*", "COUNT", _SCAN_COUNT)
        found.update(key.decode().partition("{")[2].partition("}")[0] for key in keys)
        if cursor == b"0":
            return sorted(found, key=lambda each: (each != NO_WORKSPACE, each))


async def refuse_filled(connection: Connection) -> None:
    """Look whether keys may be put into a store, and change nothing there.

    Raises:
        BackupRefused: the store is in use.
        Unavailable: it does not answer.
    """
    schema = await connection.command("HGET", _FORMAT_KEY, "schema")
    in_use = await _workspaces(connection) if schema is None else schema != str(RESTORING).encode()
    if in_use:
        raise BackupRefused(f"the store at {connection.address} is in use; a backup is restored into an empty one")


async def put_keys(connection: Connection, source: Path) -> int:
    """Put the keys of a copy into a store that has none of ours; return how many. May be repeated after a kill.

    Raises:
        BackupRefused: the store is in use, or its engine cannot read what another dumped; then none is left there.
    """
    await refuse_filled(connection)
    try:
        return await _put_keys(connection, source)
    except BaseException:
        with suppress(ClaudeBenchError):  # what stays then is marked, and the next restore takes it away
            await take_keys_back(connection)
        raise


async def take_keys_back(connection: Connection) -> None:
    """Take away all that a restore has put into a store.

    Raises:
        Unavailable: the store does not answer.
    """
    await connection.command("HSET", _FORMAT_KEY, "schema", RESTORING)
    await _remove(connection)
    await connection.command("DEL", _FORMAT_KEY)


async def _put_keys(connection: Connection, source: Path) -> int:
    await connection.command("HSET", _FORMAT_KEY, "schema", RESTORING)
    await _remove(connection)
    count, last = 0, None
    for batch in _batches(source):
        sent = [each for each in batch if each.key != _FORMAT_KEY.encode()]
        last = last or next((each for each in batch if each.key == _FORMAT_KEY.encode()), None)
        await asyncio.gather(*(_restore(connection, each) for each in sent))
        count += len(sent)
    if last is None:
        raise BackupRefused(f"{source.name} does not say which format it has")
    await _restore(connection, last)
    return count + 1


async def _restore(connection: Connection, kept: _Kept) -> None:
    try:
        await connection.command(
            "RESTORE", kept.key, max(0, kept.expires_ms), kept.dumped, "REPLACE", *(["ABSTTL"] * (kept.expires_ms > 0))
        )
    except Internal as error:
        raise BackupRefused(f"the store cannot take {kept.key.decode()!r}: {error.__cause__}") from None


async def _remove(connection: Connection) -> None:
    """Take away what an earlier restore, that was killed, had put there."""
    cursor = b"0"
    while True:
        cursor, keys = await connection.command("SCAN", cursor, "MATCH", "cb:{*}:*", "COUNT", _SCAN_COUNT)
        if keys := [key for key in keys if key != _FORMAT_KEY.encode()]:
            await connection.command("UNLINK", *keys)
        if cursor == b"0":
            return


def _batches(source: Path) -> Iterator[list[_Kept]]:
    decode: Any = msgspec.msgpack.Decoder(_Kept).decode
    batch: list[_Kept] = []
    with source.open("rb") as file:
        while head := file.read(_LENGTH.size):
            batch.append(decode(file.read(_LENGTH.unpack(head)[0])))
            if len(batch) == SENT_AT_ONCE:
                yield batch
                batch = []
    yield batch


def as_append_only(snapshot_path: Path, data_dir: Path, folder_name: str, manifest_name: str) -> None:
    """Make a snapshot the base of an append-only file, which is what an embedded store begins with."""
    folder = data_dir / folder_name
    folder.mkdir(mode=0o700)
    base, rest = "appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"
    snapshot_path.replace(folder / base)
    (folder / rest).touch(mode=0o600)
    text = f"file {base} seq 1 type b\nfile {rest} seq 1 type i\n"
    fd = os.open(folder / manifest_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
