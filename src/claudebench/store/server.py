"""The embedded store: one Valkey process beside the server, started, watched, brought back and stopped with it.

A server that is killed leaves its store alive, and a second store on the same folder would be a second writer of the
same append-only file. So a start asks first who lives. `store.lock` says whether a store of ours does (see `datadir`):
then it is adopted if it answers on the noted socket, from our folder, as the noted process; it is refused if it does
not answer. A store that answers there and is not ours is refused. Only when nobody lives a new one is started.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import hiredis

from claudebench.errors import SettingsError, StoreRefused, Unavailable
from claudebench.store.datadir import APPEND_ONLY, birth
from claudebench.store.engine import SYNC, ask, config_text, find_engine, identify, memory_bytes
from claudebench.store.reserve import Reserve
from claudebench.store.sync import Syncer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from claudebench.store.datadir import DataDir
    from claudebench.store.engine import Durability, Engine, Identity

READY_WITHIN = 60.0
ORPHAN_ANSWERS_WITHIN = 5.0
STOP_WITHIN = 10.0
POLL = 0.01
WATCH_ORPHAN_EVERY = 0.1
RESTART_FIRST, RESTART_LAST = 0.05, 1.0
STEADY_AFTER = 10.0
LOG_BYTES_MAX = 4 * 1024 * 1024

logger = logging.getLogger("claudebench.store")


class EmbeddedStore:
    """The one store process of a held data directory."""

    def __init__(
        self,
        data_dir: DataDir,
        *,
        durability: Durability = "everysec",
        max_memory: str | int | None = None,
        engine: Engine | None = None,
    ) -> None:
        """Take a directory that is held; `engine` overrules what `find_engine` finds."""
        self.data_dir, self.durability = data_dir, durability
        self.max_memory = memory_bytes(max_memory)
        self.socket_path = data_dir.path / "store.sock"
        self.pid = 0
        self.restarts = 0
        self._engine, self._running = engine, engine
        self._child: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._syncer: Syncer | None = None
        self.reserve = Reserve(data_dir.path)

    @property
    def sync_behind_s(self) -> float:
        """Seconds since the moment up to which everything acknowledged is on disk; 0 when each write is synced."""
        return self._syncer.behind_s if self._syncer else 0.0

    @property
    def engine(self) -> Engine:
        """The engine that runs, which an adopted store may have older than the one installed."""
        assert self._running, "known from start on"
        return self._running

    @property
    def adopted(self) -> bool:
        """Whether the running store was started by an earlier server."""
        return bool(self.pid) and self._child is None

    async def start(self) -> None:
        """Adopt the store that an earlier server left, or start one; return when it answers.

        Raises:
            StoreRefused: A store lives that is not ours or does not answer, or the engine may not read this data.
            SettingsError: Files of the data are missing.
            Unavailable: The store ended, or did not answer within a minute.
        """
        engine = self._engine = self._engine or find_engine()
        self.data_dir.admit(engine)
        orphan = await self._find_orphan()
        try:
            await (self._adopt(orphan) if orphan else self._start_first(engine))
        except BaseException:
            await self.stop()
            raise
        self._watch = asyncio.create_task(self._keep_alive(engine), name="embedded store")
        self.reserve.check()
        if self.durability == "everysec":
            self._syncer = Syncer(self.data_dir.path / APPEND_ONLY, self.reserve.check)
            self._syncer.start()

    async def stop(self) -> None:
        """End the store: SIGTERM, and SIGKILL when it takes too long."""
        if self._watch:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        self._watch = None
        if not self.pid:
            return
        written = await self._all_written()
        await self._end()
        if self._syncer:
            await asyncio.to_thread(self._syncer.stop)
            self._syncer = None
        self.data_dir.forget_store()
        logger.info("store %d stopped", self.pid)
        self.pid, self._child = 0, None
        if not written:
            raise Unavailable("The store stopped with changes that its disk did not take; they are lost", reason="disk")

    async def _all_written(self) -> bool:
        """Wait until the store owes its file nothing; with a full disk it gets the reserve to write into."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(STOP_WITHIN):
                while await self._owes():
                    self.reserve.give_up()
                    await asyncio.sleep(WATCH_ORPHAN_EVERY)
            return True
        return not await self._owes()

    async def _owes(self) -> bool:
        """Whether the last write of the store failed; a store that is gone owes nothing that waiting would bring."""
        try:
            (info,) = await ask(self.socket_path, ("INFO", "persistence"))
        except OSError:
            return False
        return "aof_last_write_status:err" in str(info)

    async def _find_orphan(self) -> Identity | None:
        """Return the store of an earlier server, or None when the folder is free; refuse everything between."""
        noted, loop = self.data_dir.store, asyncio.get_running_loop()
        self.socket_path = Path(noted.socket) if noted else self.socket_path
        patience = loop.time() + ORPHAN_ANSWERS_WITHIN
        while loop.time() < patience:
            lives = self.data_dir.store_lives()
            with suppress(TimeoutError):
                if found := await identify(self.socket_path):
                    return self._ours(found, lives=lives)
                if not lives:
                    return None
            await asyncio.sleep(POLL)
        raise StoreRefused(_silent(noted.pid if noted else None, self.socket_path))

    def _ours(self, found: Identity, *, lives: bool) -> Identity:
        noted, folder = self.data_dir.store, os.path.realpath(found.directory)
        if lives and folder == str(self.data_dir.path) and (not noted or noted.fits(found.pid, found.run_id)):
            return found
        raise StoreRefused(_unknown(found, self.socket_path))

    async def _adopt(self, orphan: Identity) -> None:
        self.pid, self._running = orphan.pid, orphan.engine
        self.data_dir.begin_store(self.socket_path)
        self.data_dir.note_store(orphan.pid, orphan.run_id)
        await self._ready()
        wanted = ("appendfsync", SYNC[self.durability], "maxmemory", str(self.max_memory))
        (answer,) = await ask(self.socket_path, ("CONFIG", "SET", *wanted))
        if isinstance(answer, hiredis.ReplyError):
            raise StoreRefused(f"The store {self.pid} does not take its settings: {answer}")
        logger.warning("adopted store %d (%s), left by a server that was killed", self.pid, orphan.engine)

    async def _start_first(self, engine: Engine) -> None:
        self.data_dir.miss_nothing()
        self.data_dir.forget_store()
        self.socket_path = self.data_dir.fresh_socket()
        await self._start(engine)

    async def _start(self, engine: Engine) -> None:
        """Start a store on the socket chosen, which stays the same from one life to the next."""
        self.data_dir.admit(engine)
        self.data_dir.begin_store(self.socket_path)
        self._child = await self._spawn(engine)
        self.pid, self._running = self._child.pid, engine
        self.data_dir.note_store(self.pid)
        await self._ready()
        self.data_dir.note_engine(engine)
        logger.info("store %d (%s) answers on %s", self.pid, engine, self.socket_path)

    async def _spawn(self, engine: Engine) -> asyncio.subprocess.Process:
        """Start the process; it inherits `store.lock` and nothing else that is ours."""
        config = self._write_config()
        with _closing(self._open_log()) as log, _closing(self.data_dir.take_store_lock()) as lock:
            launch = asyncio.ensure_future(
                asyncio.create_subprocess_exec(
                    str(engine.path),
                    str(config),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=(lock,),
                )
            )
            try:
                return await asyncio.shield(launch)
            except asyncio.CancelledError:
                await _kill(await launch)
                raise

    def _write_config(self) -> Path:
        path = self.data_dir.path / "store.conf"
        text = config_text(self.socket_path, self.data_dir.path, self.durability, self.max_memory)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        (self.data_dir.path / APPEND_ONLY).mkdir(mode=0o700, exist_ok=True)
        return path

    @property
    def _log_path(self) -> Path:
        return self.data_dir.path / "store.log"

    def _open_log(self) -> int:
        with suppress(FileNotFoundError):
            if self._log_path.stat().st_size > LOG_BYTES_MAX:
                self._log_path.replace(self._log_path.with_suffix(".log.1"))
        return os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def _ready(self) -> None:
        """Wait until the store serves; as long as it says that it loads, it is given its time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(READY_WITHIN) as limit:
                while not await self._serves(lambda: limit.reschedule(loop.time() + READY_WITHIN)):
                    if not self._alive():
                        raise Unavailable(f"The store ended before it served: {self._last_words()}{self._help()}")
                    await asyncio.sleep(POLL)
                found = await identify(self.socket_path)
        except TimeoutError:
            raise Unavailable(f"The store did not answer in {READY_WITHIN:.0f} s: {self._last_words()}") from None
        if found:
            self.data_dir.note_store(self.pid, found.run_id)

    async def _serves(self, loads: Callable[[], None]) -> bool:
        try:
            (answer,) = await ask(self.socket_path, ("PING",))
        except OSError:
            return False
        if isinstance(answer, hiredis.ReplyError) and str(answer).startswith("LOADING"):
            loads()
        return bool(answer == "PONG")

    def _last_words(self) -> str:
        """Return the last line of the store's log and where the others are."""
        lines: list[str] = []
        with suppress(OSError), self._log_path.open("rb") as log:
            log.seek(max(0, self._log_path.stat().st_size - 4096))
            lines = [line for line in log.read().decode(errors="replace").split("\n") if line.strip()]
        return f"{lines[-1] if lines else 'no word'} (all of it: {self._log_path})"

    def _help(self) -> str:
        """Return what finds the damage, where the data is damaged."""
        if "Bad file format" not in self._last_words():
            return ""
        return f"; `CLAUDEBENCH_DATA_DIR={self.data_dir.path} claudebench doctor` tells where, and what to type"

    def _alive(self) -> bool:
        return self._child.returncode is None if self._child else self.data_dir.store_lives()

    async def _ended(self) -> None:
        if self._child:
            await self._child.wait()
        while self.data_dir.store_lives():  # noqa: ASYNC110 - a lock has no event that tells
            await asyncio.sleep(WATCH_ORPHAN_EVERY)

    async def _end(self) -> None:
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._ended(), STOP_WITHIN)
        except TimeoutError:
            logger.warning("store %d did not stop in %.0f s; killed", self.pid, STOP_WITHIN)
            self._signal(signal.SIGKILL)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended(), STOP_WITHIN)

    def _signal(self, number: signal.Signals) -> None:
        """Signal the store, never a process that has its pid after it."""
        noted = self.data_dir.store
        with suppress(ProcessLookupError):
            if self._child:
                self._child.send_signal(number)
            elif noted and noted.start_time == birth(self.pid):
                os.kill(self.pid, number)

    async def _keep_alive(self, engine: Engine) -> None:
        """Bring the store back whenever it ends, at once the first time, slower when it does not stay."""
        loop, delay = asyncio.get_running_loop(), RESTART_FIRST
        while True:
            since = loop.time()
            await self._ended()
            delay = RESTART_FIRST if loop.time() - since > STEADY_AFTER else delay
            logger.error("store %d ended by itself; bringing it back: %s", self.pid, self._last_words())
            await asyncio.sleep(delay)
            delay = min(delay * 2, RESTART_LAST)
            try:
                self.data_dir.miss_nothing()
                await self._start(engine)
                self.restarts += 1
            except (StoreRefused, SettingsError, Unavailable, OSError) as error:
                logger.warning("the store does not come back yet: %s", error)
                with suppress(OSError):
                    await self._end()


@contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _unknown(found: Identity, socket: Path) -> str:
    return (
        f"A store that no server of this directory started answers on {socket}: {found.engine}, pid {found.pid}, "
        f"folder {found.directory}. If it may go, type `kill {found.pid}` and start again, "
        "else choose another `--data-dir`"
    )


def _silent(pid: int | None, socket: Path) -> str:
    if pid:
        return (
            f"The store that an earlier server left, pid {pid}, lives and does not answer. Wake it with "
            f"`kill -CONT {pid}` or end it with `kill -9 {pid}`, and start again"
        )
    return f"Something holds {socket} and does not answer. Find it with `lsof {socket}`, end it, and start again"
