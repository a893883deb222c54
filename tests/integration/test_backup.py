"""Backup and restore: taken from a running server, checked before anything is touched, never half."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import random
import re
import shlex
import stat
import sys
import tarfile
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.integration.typed import run
from tests.scripts.fleet import Fleet, snapshot, store_of
from tests.scripts.store import private_store

from claudebench.backup import restore as restoring
from claudebench.backup.record_copy import put_rows
from claudebench.backup.restore import restore
from claudebench.backup.take import connected
from claudebench.errors import BackupRefused, ClaudeBenchError
from claudebench.settings import load
from claudebench.store.connection import Address
from claudebench.testing import Server, eventually, serve

if TYPE_CHECKING:
    from claudebench.testing import AsyncClient
    from claudebench.testing.postgres import Postgres

ENDS_WITHIN_S = 60


async def begun(*words: object) -> asyncio.subprocess.Process:
    """Begin a command line in a process of its own."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "claudebench", *map(str, words), stdout=pipe, stderr=pipe
    )


async def cli(*words: object) -> tuple[int, str, str]:
    """Run a command line and return its exit code, output and errors."""
    ended = await run(Path.cwd(), *words)
    return ended.code, ended.out, ended.err


async def backed_up(server: Server, file: Path, *words: object) -> dict[str, Any]:
    """Take a backup of a server and return what was said of it."""
    code, out, errors = await cli("backup", file, "--data-dir", server.data_dir, "--json", *words)
    assert code == 0, errors
    told: dict[str, Any] = json.loads(out)
    return told


async def restored(file: Path, data_dir: Path, *words: object) -> dict[str, Any]:
    """Restore a backup and return what was said of it."""
    code, out, errors = await cli("restore", file, "--data-dir", data_dir, "--json", *words)
    assert code == 0, errors
    told: dict[str, Any] = json.loads(out)
    return told


def unheard(_done: int, _of: int | None) -> None:
    """Hear how far a restore is."""


async def texts(client: AsyncClient) -> set[str]:
    """Return the texts of all tasks."""
    return {task["text"] for task in (await client.call("task.list", limit=1000))["tasks"]}


def names(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def test_a_backup_under_load_holds_all_that_was_acknowledged(server: Server, tmp_path: Path) -> None:
    """A backup taken under load, restored elsewhere, keeps every invariant and every task acknowledged before it."""
    async with Fleet(server) as fleet:
        await fleet.goes_on()
        created, completed = set(fleet.created), set(fleet.completed)
        told = await backed_up(server, tmp_path / "b")
        await fleet.goes_on(20)
        await fleet.finish()
    assert told["store"]["kind"] == "rdb"
    assert not list(server.data_dir.glob("*.rdb"))

    await restored(tmp_path / "b", tmp_path / "other")
    async with serve(tmp_path / "other") as other:
        found = await snapshot(other)
        assert other.operator_token == server.operator_token
    assert created <= {f"t-{n}" for n in found.tasks}
    assert completed <= {f"t-{n}" for n, row in found.tasks.items() if row.status == "completed"}


async def test_a_stopped_server_is_backed_up_too(server: Server, client: AsyncClient, tmp_path: Path) -> None:
    """A data directory that nobody holds is backed up and left as it was; the file is its owner's alone."""
    await client.call("task.create", text="kept")
    await server.stop()
    code, _, errors = await cli("backup", tmp_path / "b", "--data-dir", server.data_dir)
    assert (code, "keep it where" in errors) == (0, True)
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600

    await restored(tmp_path / "b", tmp_path / "other")
    for data_dir in (tmp_path / "other", server.data_dir):
        async with serve(data_dir) as running, running.client() as connected:
            assert await texts(connected) == {"kept"}
    assert not [name for name in names(tmp_path) if "backup" in name or "restoring" in name]


@pytest.mark.parametrize("into", [pytest.param("another store", marks=pytest.mark.soak), "an embedded store"])
async def test_a_store_of_yours_is_copied_by_its_keys(tmp_path: Path, into: str) -> None:
    """A backup of an external store, taken under load, is restored into an empty one or into an embedded one."""
    with private_store() as socket, private_store() as empty:
        options = ("--redis-url", f"unix://{socket}")
        async with serve(tmp_path / "data", *options) as server, Fleet(server) as fleet:
            await fleet.goes_on()
            created = set(fleet.created)
            told = await backed_up(server, tmp_path / "b", *options)
            assert told["store"]["kind"] == "keys"
            code, _, errors = await cli("restore", tmp_path / "b", "--data-dir", tmp_path / "no", *options)
            assert (code, "is in use" in errors) == (1, True)
        wanted = ("--redis-url", f"unix://{empty}") if into == "another store" else ()
        await restored(tmp_path / "b", tmp_path / "other", *wanted)
        async with serve(tmp_path / "other", *wanted) as other:
            found = await snapshot(other)
            async with store_of(other) as connection:
                assert await connection.command("DBSIZE") >= told["store"]["keys"]
    assert created <= {f"t-{n}" for n in found.tasks}


async def test_what_a_backup_lacks_is_said(server: Server, client: AsyncClient, tmp_path: Path) -> None:
    """A backup without the record or the audit's key that its store has had says so; a whole one says nothing."""
    await client.call("task.create", text="kept")
    assert (await backed_up(server, tmp_path / "whole"))["warnings"] == []
    await server.stop()
    (server.data_dir / "audit.key").rename(tmp_path / "audit.key")
    for path in server.data_dir.glob("record.db*"):
        path.unlink()

    code, out, errors = await cli("backup", tmp_path / "b", "--data-dir", server.data_dir, "--json")
    warnings = json.loads(out)["warnings"]
    assert (code, [each[:13] for each in warnings]) == (0, ["it has NO REC", "it has NO KEY"])
    assert errors.count("warning: ") == 2
    _, _, errors = await cli("backup", tmp_path / "none", "--data-dir", server.data_dir, "--database-url", "none")
    assert ("NO RECORD" in errors, "the audit's key, in clear" in errors) == (False, False)


async def test_a_damaged_record_is_not_backed_up(server: Server, tmp_path: Path) -> None:
    """A record that is garbage ends the backup with one line that says so, and no file is written."""
    await server.stop()
    for path in server.data_dir.glob("record.db*"):
        path.unlink()
    (server.data_dir / "record.db").write_bytes(random.Random(1).randbytes(50_000))

    code, _, errors = await cli("backup", tmp_path / "b", "--data-dir", server.data_dir)
    assert (code, errors.count("\n"), "no backup was written: file is not a database" in errors) == (1, 1, True)
    away = ("--database-url", "postgresql://u@127.0.0.1:1/db")
    code, _, errors = await cli("backup", tmp_path / "b", "--data-dir", server.data_dir, *away)
    assert (code, "is not known" in errors) == (1, False)
    assert not (tmp_path / "b").exists()


# -- a store and a database of yours


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def of_yours(tmp_path_factory: pytest.TempPathFactory, postgresql: Postgres) -> bytes:
    """The bytes of a whole backup of a small server on a store and a database of yours."""
    folder = tmp_path_factory.mktemp("yours")
    with private_store() as socket:
        options = ("--redis-url", f"unix://{socket}", "--database-url", await postgresql.fresh())
        async with serve(folder / "data", *options) as server, server.client(token=server.operator_token) as client:
            await client.call("task.create", text="kept")
            await client.call("audit.tail", after=client.position)
            assert (await backed_up(server, folder / "b", *options))["warnings"] == []
            forgotten = await backed_up(server, folder / "forgotten", *options[:2])
            assert "the server's --database-url" in forgotten["warnings"][0]
    return (folder / "b").read_bytes()


async def keys_in(socket: str) -> int:
    """Return how many keys a store has."""
    async with connected(Address(socket=socket)) as connection:
        return int(await connection.command("DBSIZE"))


@pytest.mark.parametrize("how", ["filled", "away"])
async def test_a_database_that_cannot_take_it_leaves_the_store_empty(
    of_yours: bytes, postgresql: Postgres, tmp_path: Path, how: str
) -> None:
    """With a database that is filled or away nothing is put into the store, and the next restore goes into it."""
    (tmp_path / "b").write_bytes(of_yours)
    with private_store() as socket:
        into = {"redis_url": f"unix://{socket}", "data_dir": tmp_path / "data"}
        wrong = "postgresql://u@127.0.0.1:1/none"
        if how == "filled":
            wrong = await postgresql.fresh()
            await put_rows(wrong, unpacked(of_yours, tmp_path / "rows") / "record.jsonl")
        with pytest.raises(ClaudeBenchError, match=r"not empty|refused|failed") as refused:
            await restore(tmp_path / "b", load(**into, database_url=wrong), unheard)
        assert (await keys_in(socket), "dropdb" in refused.value.message) == (0, how == "filled")

        right = await postgresql.fresh()
        await restore(tmp_path / "b", load(**into, database_url=right), unheard)
        options = ("--redis-url", f"unix://{socket}", "--database-url", right)
        async with serve(tmp_path / "data", *options) as server, server.client() as client:
            assert await texts(client) == {"kept"}


async def test_the_next_step_names_the_store_and_the_database(
    of_yours: bytes, postgresql: Postgres, tmp_path: Path
) -> None:
    """What a restore says to type begins a server on all that was restored, and shows no password."""
    (tmp_path / "b").write_bytes(of_yours)
    with private_store() as socket:
        url = (await postgresql.fresh()).replace("postgres@", "postgres:hunter2@")
        options = ("--redis-url", f"unix://{socket}", "--database-url", url)
        code, _, errors = await cli("restore", tmp_path / "b", "--data-dir", tmp_path / "data", *options)
    shown = shlex.join(("--data-dir", str(tmp_path / "data"), *options)).replace("hunter2", "***")
    assert (code, errors.strip().replace("'", "")) == (0, f"start it with: claudebench up {shown}".replace("'", ""))


def unpacked(backup: bytes, folder: Path) -> Path:
    """Put the parts of a backup into a folder."""
    with tarfile.open(fileobj=io.BytesIO(backup), mode="r:gz") as tar:
        tar.extractall(folder, filter="data")
    return folder


async def test_a_store_that_cannot_take_it_leaves_the_database_empty(
    of_yours: bytes, postgresql: Postgres, tmp_path: Path
) -> None:
    """Keys that the store refuses, behind rows that are in, are taken back with the rows; so is what is ready."""
    (tmp_path / "b").write_bytes(of_yours)
    (tmp_path / "bad").write_bytes(rebuilt(of_yours, damaged_keys))
    with private_store() as socket:
        url = await postgresql.fresh()
        settings = load(redis_url=f"unix://{socket}", data_dir=tmp_path / "data", database_url=url)
        with pytest.raises(BackupRefused, match="the store cannot take"):
            await restore(tmp_path / "bad", settings, unheard)
        assert (await keys_in(socket), names(tmp_path)) == (0, ["b", "bad"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(restoring, "_exchange", failing)
            with pytest.raises(LookupError):
                await restore(tmp_path / "b", settings, unheard)
        assert (await keys_in(socket), await postgresql.fetch("SELECT subject FROM events", url=url)) == (0, [])

        await restore(tmp_path / "b", settings, unheard)
        assert await keys_in(socket) > 0


def failing(*_arguments: object) -> str:
    """Fail where the directories would change places."""
    raise LookupError


def damaged_keys(parts: dict[str, bytes]) -> dict[str, bytes]:
    """Return the members with the last key of the store damaged."""
    return with_part(parts, "store.keys", parts["store.keys"][:-1] + b"x")


def with_part(parts: dict[str, bytes], name: str, content: bytes) -> dict[str, bytes]:
    """Return the members with another content of one, which the manifest names as it is."""
    named = [each for each in json.loads(parts["manifest.json"])["parts"] if each["name"] != name]
    told = {"name": name, "bytes": len(content), "sha256": sha256(content).hexdigest()}
    return with_manifest(parts, parts=[*named, told]) | {name: content}


# -- what is refused


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a whole backup of a small server."""
    folder = tmp_path_factory.mktemp("good")
    async with serve(folder / "data") as server, server.client() as client:
        for number in range(50):
            await client.call("task.create", text=f"task {number}")
        await backed_up(server, folder / "b")
    return (folder / "b").read_bytes()


def rebuilt(good: bytes, change: Any) -> bytes:
    """Return a backup whose members were changed."""
    with tarfile.open(fileobj=io.BytesIO(good), mode="r:gz") as tar:
        parts = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in change(parts).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def with_manifest(members: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    """Return the members with another manifest."""
    return {**members, "manifest.json": json.dumps(json.loads(members["manifest.json"]) | changes).encode()}


def escaping(parts: dict[str, bytes]) -> dict[str, bytes]:
    """Return the members with one that would lie outside the folder."""
    named = json.loads(parts["manifest.json"])["parts"]
    return with_manifest(parts, parts=[*named, {"name": "../../evil", "bytes": 1, "sha256": "0"}]) | {
        "../../evil": b"x"
    }


BROKEN: dict[str, tuple[Any, str]] = {
    "empty": (lambda _: b"", "no whole backup"),
    "text": (lambda _: b"hello", "no whole backup"),
    "cut": (lambda good: good[: len(good) // 2], "no whole backup"),
    "cut at the end": (lambda good: good[:-9], "no whole backup"),
    "newer": (lambda good: rebuilt(good, lambda parts: with_manifest(parts, format=99)), "format 99"),
    "newer store": (
        lambda good: rebuilt(
            good,
            lambda parts: with_manifest(parts, store={**json.loads(parts["manifest.json"])["store"], "format": 99}),
        ),
        "format 99",
    ),
    "no manifest": (
        lambda good: rebuilt(good, lambda parts: {name: parts[name] for name in parts if name != "manifest.json"}),
        "does not begin with a manifest",
    ),
    "another token": (
        lambda good: rebuilt(good, lambda parts: parts | {"token": b"x" * len(parts["token"])}),
        "what its checksum says",
    ),
    "a part too few": (
        lambda good: rebuilt(good, lambda parts: {name: parts[name] for name in parts if name != "token"}),
        "token is missing",
    ),
    "a part too many": (lambda good: rebuilt(good, lambda parts: parts | {"more": b"x"}), "'more' stands there"),
    "a part elsewhere": (lambda good: rebuilt(good, escaping), "cannot be one of a backup"),
    "no format": (lambda good: rebuilt(good, lambda parts: with_manifest(parts, format=-1)), "no format -1"),
    "a part too long": (
        lambda good: rebuilt(good, lambda parts: parts | {"token": parts["token"] + bytes(2**24)}),
        "token is damaged: it has not the size",
    ),
    "an empty token": (lambda good: rebuilt(good, lambda parts: with_part(parts, "token", b"")), "token in this"),
    "a bad key": (
        lambda good: rebuilt(good, lambda parts: with_part(parts, "audit.key", b"z")),
        "damaged: audit.key, line",
    ),
    "an empty record": (lambda good: rebuilt(good, lambda parts: with_part(parts, "record.db", b"")), "it is empty"),
    "no store": (
        lambda good: rebuilt(
            good,
            lambda parts: with_manifest(
                {name: parts[name] for name in parts if name != "store.rdb"},
                parts=[each for each in json.loads(parts["manifest.json"])["parts"] if each["name"] != "store.rdb"],
            ),
        ),
        "no copy of its store",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_damaged_backup_is_refused(good: bytes, tmp_path: Path, how: str) -> None:
    """A file that is no whole backup is refused with what is wrong, and nothing is left of the attempt."""
    make, said = BROKEN[how]
    (tmp_path / "b").write_bytes(make(good))

    with pytest.raises(BackupRefused, match=re.escape(said)):
        await restore(tmp_path / "b", load(data_dir=tmp_path / "data"), unheard)

    assert names(tmp_path) == ["b"]


@pytest.mark.parametrize(("name", "content"), [("store.rdb", b"x" * 2000), ("engine.json", b"{")])
async def test_what_an_engine_refuses_is_said_without_a_folder_that_is_gone(
    good: bytes, tmp_path: Path, name: str, content: bytes
) -> None:
    """A store that no engine can begin with is refused, with no advice about a folder that is gone by then."""
    (tmp_path / "b").write_bytes(rebuilt(good, lambda parts: with_part(parts, name, content)))

    with pytest.raises(BackupRefused, match="cannot begin with the store") as refused:
        await restore(tmp_path / "b", load(data_dir=tmp_path / "data"), unheard)
    assert ("restoring" in refused.value.message, names(tmp_path)) == (False, ["b"])


async def test_a_flipped_bit_is_found_wherever_it_is(good: bytes, tmp_path: Path) -> None:
    """A file with one wrong bit, anywhere, is refused, or it is in what nobody reads and everything is there."""
    source = random.Random(7)
    for _ in range(20):
        at = source.randrange(len(good))
        flipped = good[:at] + bytes([good[at] ^ 1 << source.randrange(8)]) + good[at + 1 :]
        (tmp_path / "b").write_bytes(flipped)
        try:
            await restore(tmp_path / "b", load(data_dir=tmp_path / f"data-{at}"), unheard)
        except BackupRefused:
            assert not (tmp_path / f"data-{at}").exists()
        else:
            assert gzip.decompress(flipped) == gzip.decompress(good), f"a wrong bit at {at} passed"


async def test_what_is_there_is_not_overwritten(server: Server, client: AsyncClient, tmp_path: Path) -> None:
    """A held or filled data directory is refused; `--force` moves a filled one aside, and it can still be started."""
    await client.call("task.create", text="then")
    await backed_up(server, tmp_path / "b")
    assert (await cli("backup", tmp_path / "b", "--data-dir", server.data_dir))[0] == 2
    await client.call("task.create", text="now")

    code, _, errors = await cli("restore", tmp_path / "b", "--data-dir", server.data_dir, "--force")
    assert (code, "stop it first" in errors) == (1, True)
    await server.stop()
    code, _, errors = await cli("restore", tmp_path / "b", "--data-dir", server.data_dir)
    assert (code, "--force moves it aside" in errors) == (2, True)
    told = await restored(tmp_path / "b", server.data_dir, "--force")

    async with serve(server.data_dir) as running, running.client() as connected:
        assert await texts(connected) == {"then"}
    aside = tmp_path / told["movedTo"]
    async with serve(aside) as running, running.client() as connected:
        assert await texts(connected) == {"then", "now"}


REACHED = (
    ".data.restoring-*",
    ".data.restoring-*/token",
    ".data.restoring-*/appendonlydir",
    ".data.restoring-*/store.sock",
    ".data.restoring-*/engine.json",
    "data.replaced-*",
)


def has_come_to(process: asyncio.subprocess.Process, folder: Path, name: str) -> bool:
    """Tell whether a process has ended, or a file of such a name is there."""
    return process.returncode is not None or any(folder.glob(name))


@pytest.mark.soak
async def test_a_killed_restore_leaves_nothing_half(good: bytes, server: Server, tmp_path: Path) -> None:
    """A restore that is killed wherever it is leaves the old data or the new; the next one clears what was left."""
    await server.stop()
    (tmp_path / "b").write_bytes(good)
    cut_short = 0
    for reached in REACHED:
        process = await begun("restore", tmp_path / "b", "--data-dir", server.data_dir, "--force")
        await eventually(partial(has_come_to, process, tmp_path, reached))
        with suppress(ProcessLookupError):
            process.kill()
        cut_short += await process.wait() != 0
        async with serve(server.data_dir) as running, running.client() as connected:
            assert len(await texts(connected)) in {0, 50}
    assert cut_short >= 3
    await restored(tmp_path / "b", server.data_dir, "--force")

    async with serve(server.data_dir) as running, running.client() as connected:
        assert len(await texts(connected)) == 50
    assert not [name for name in names(tmp_path) if name.startswith(".")]
    assert not _stores_in(tmp_path)


def _stores_in(folder: Path) -> list[int]:
    """Return the processes that work in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if entry.readlink().is_relative_to(folder):
                found.append(int(entry.parent.name))
    return found
