"""The file of a backup: a tar, compressed by gzip, of a manifest and the parts that it names with their checksums."""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import zlib
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Any

import msgspec

from claudebench.errors import BackupRefused, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_MAX = 16 * 2**20
CHUNK = 2**20
LEVEL = 3
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")


class Part(msgspec.Struct, frozen=True):
    """One file of a backup."""

    name: str
    bytes: int
    sha256: str


class StoreCopy(msgspec.Struct, frozen=True):
    """How the store was copied: `rdb`, by an engine, or `keys`, one by one; and how many keys there were."""

    kind: str
    engine: str
    version: str
    format: int
    keys: int


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """What a backup holds; `record` is `sqlite`, `tables` or `none`."""

    format: int
    version: str
    made_at: str
    store: StoreCopy
    record: str
    parts: list[Part]


class _Format(msgspec.Struct):
    format: int


def parts_of(folder: Path) -> list[Part]:
    """Return what the manifest says of the files in a folder."""
    return [_part(path) for path in sorted(folder.iterdir())]


def _part(path: Path) -> Part:
    digest, size = sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return Part(path.name, size, digest.hexdigest())


def write(target: Path, manifest: Manifest, folder: Path, tell: Callable[[int, int | None], None]) -> None:
    """Write a backup of the parts in a folder; the file is there whole or not at all, for its owner only."""
    fresh = target.with_name(f"{target.name}.partial")
    total, done = sum(part.bytes for part in manifest.parts), 0
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=LEVEL) as tar:
                _add(tar, MANIFEST, io.BytesIO(text := msgspec.json.encode(manifest)), len(text))
                for part in manifest.parts:
                    with (folder / part.name).open("rb") as content:
                        _add(tar, part.name, content, part.bytes)
                    tell(done := done + part.bytes, total)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
        sync_folder(target.parent)
    finally:
        fresh.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    tar.addfile(member, content)


def read_manifest(source: Path) -> Manifest:
    """Return the manifest of a backup.

    Raises:
        BackupRefused: it is no backup, it is damaged, or a newer version made it.
    """
    with _opened(source) as (_, tar):
        return _manifest(source, tar)


def unpack(source: Path, folder: Path, tell: Callable[[int, int | None], None]) -> Manifest:
    """Put the parts of a backup into a folder, each checked, and return its manifest.

    Raises:
        BackupRefused: a part is missing, damaged, or is not named by the manifest.
    """
    with _opened(source) as (stream, tar):
        manifest = _manifest(source, tar)
        wanted = {part.name: part for part in manifest.parts}
        total, done = sum(part.bytes for part in manifest.parts), 0
        while member := tar.next():
            part = wanted.pop(member.name, None)
            if part is None or not member.isfile():
                raise BackupRefused(f"{source}: {member.name[:60]!r} stands there, which its manifest does not name")
            _extract(source, tar, member, part, folder / part.name)
            tell(done := done + part.bytes, total)
        if wanted:
            raise BackupRefused(f"{source} is not whole: {', '.join(sorted(wanted))} is missing")
        while stream.read(CHUNK):
            """The rest, until gzip has seen whether its own checksum fits."""
    sync_folder(folder)
    return manifest


def _manifest(source: Path, tar: tarfile.TarFile) -> Manifest:
    member = tar.next()
    if member is None or member.name != MANIFEST or member.size > MANIFEST_MAX:
        raise BackupRefused(f"{source} is no backup: it does not begin with a manifest")
    content = tar.extractfile(member)
    text = content.read() if content else b""
    try:
        if (found := msgspec.json.decode(text, type=_Format).format) < 1:
            raise BackupRefused(f"{source}: its manifest is damaged: there is no format {found}")
        if found > FORMAT:
            raise BackupRefused(
                f"{source} has format {found} and this version knows {FORMAT}; type: pip install --upgrade claudebench"
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise BackupRefused(f"{source}: its manifest is damaged: {error}") from None
    if not all(_NAME.match(part.name) for part in manifest.parts):
        raise BackupRefused(f"{source}: its manifest names a file that cannot be one of a backup")
    return manifest


def _extract(source: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, part: Part, target: Path) -> None:
    content = tar.extractfile(member)
    assert content, "a file has content"
    if member.size != part.bytes:
        raise BackupRefused(f"{source}: {part.name} is damaged: it has not the size that its manifest says")
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    digest, size = sha256(), 0
    with os.fdopen(fd, "wb") as file:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if (size, digest.hexdigest()) != (part.bytes, part.sha256):
        raise BackupRefused(f"{source}: {part.name} is damaged: it is not what its checksum says")


@contextmanager
def _opened(source: Path) -> Iterator[tuple[gzip.GzipFile, tarfile.TarFile]]:
    try:
        with gzip.open(source) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            yield stream, tar
    except FileNotFoundError:
        raise SettingsError(f"there is no file {source}") from None
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise BackupRefused(f"{source} is no whole backup: {error}") from None


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    fd: Any = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):
        os.fsync(fd)
    os.close(fd)
