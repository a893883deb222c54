"""`claudebench backup` and `claudebench restore`, for a person and for a program."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from claudebench.backup.restore import restore
from claudebench.backup.take import TOKEN, take
from claudebench.cli import show
from claudebench.errors import ClaudeBenchError, SettingsError
from claudebench.record.audit_key import FILE as AUDIT_KEY
from claudebench.telemetry.secret import without_secrets

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from claudebench.settings import Settings

T = TypeVar("T")
SECRETS = "it holds {}, in clear: keep it where you would keep a private key"


def take_backup(file: Path, settings: Settings, *, force: bool, json: bool) -> None:
    """Take a backup and say what it holds."""
    file = file.expanduser().absolute()
    if file.exists() and not force:
        raise SettingsError(f"{file} is there already; --force replaces it")
    if not file.parent.is_dir():
        raise SettingsError(f"there is no folder {file.parent}")
    with show.progress("backup") as tell:
        manifest, warnings = _whole_or_not(take(settings, file, tell))
    told = {"file": str(file), "bytes": file.stat().st_size, **msgspec.to_builtins(manifest), "warnings": warnings}
    for each in warnings:
        show.note(f"warning: {each}")
    if json:
        show.as_json(told)
        return
    show.record({name: told[name] for name in ("file", "bytes", "madeAt", "version", "record")})
    show.note(SECRETS.format(_secrets([part.name for part in manifest.parts])))


def _whole_or_not(work: Coroutine[Any, Any, T]) -> T:
    """Run what is done whole or not at all, so an error leaves no doubt of that."""
    try:
        return asyncio.run(work)
    except ClaudeBenchError as error:
        error.outcome = "not_done"
        raise


def _secrets(names: list[str]) -> str:
    held = [said for name, said in ((TOKEN, "the operator's token"), (AUDIT_KEY, "the audit's key")) if name in names]
    return " and ".join([*held, "whatever your tasks say"])


def restore_backup(file: Path, settings: Settings, *, force: bool, json: bool) -> None:
    """Restore a backup and say what became of what was there."""
    with show.progress("restore") as tell:
        done = _whole_or_not(restore(file.expanduser(), settings, tell, force=force))
    if json:
        show.as_json(msgspec.to_builtins(done))
        return
    show.record({name: value for name, value in msgspec.to_builtins(done).items() if value})
    show.note(f"start it with: claudebench up {_options(done.data_dir, settings)}")


def _options(data_dir: str, settings: Settings) -> str:
    """Return the options of a server on what was restored, without passwords."""
    urls = {"--redis-url": settings.redis_url, "--database-url": settings.database_url}
    given = {"--data-dir": data_dir} | {name: without_secrets(url) for name, url in urls.items() if url}
    return shlex.join(word for option in given.items() for word in option)
