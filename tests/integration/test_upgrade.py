"""An older store is brought up to this version, a newer one is refused, and servers of two versions never harm one."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import tarfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.test_ledger import REDIS, redis
from tests.scripts.fleet import Fleet, snapshot, store_of

import claudebench
from claudebench.app import CATALOGUE
from claudebench.errors import Unavailable
from claudebench.events.log import EventLog
from claudebench.store.connection import Address, Connection
from claudebench.store.engine import find_engine
from claudebench.store.format import FORMAT
from claudebench.testing import AsyncClient, Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STORES = Path("tests/fixtures/stores")
KEEP = ("--retain", "3650")
NEWER = (
    ("store/format.py", f"FORMAT = {FORMAT}", f"FORMAT = {FORMAT + 1}"),
    ("store/format.py", ":meta", f":meta{FORMAT}"),
    ("store/keys.py", rf'"meta",\s+"meta{FORMAT}"', f'"meta", "meta{FORMAT + 1}"'),
    ("store/keys.py", r'"fence",\s+"meta"', f'"fence", "meta{FORMAT}"'),
)
on_redis = pytest.mark.skipif(REDIS is None, reason="redis-server is not on PATH")
on_valkey = pytest.mark.skipif(find_engine().name != "valkey", reason="the stored files are Valkey's")


def unpacked(name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Unpack the data directory that a former version left, and what its ledger answered then."""
    with tarfile.open(STORES / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder, json.loads((folder / "told.json").read_text())


def newer(folder: Path) -> dict[str, str]:
    """Make a version whose format is one more than ours, and return the environment that runs it."""
    source = Path(claudebench.__file__).parent
    shutil.copytree(source, folder / "claudebench", ignore=shutil.ignore_patterns("__pycache__"))
    for name, ours, theirs in NEWER:
        file = folder / "claudebench" / name
        text, found = re.subn(ours, theirs, file.read_text())
        assert found, f"{name} no longer says {ours}"
        file.write_text(text)
    return {"PYTHONPATH": str(folder)}


async def refused(*options: str, env: dict[str, str] | None = None) -> str:
    """Start a server that will not start, and return what it said."""
    words = ("-m", "claudebench", "up", "--port", "0", *options)
    ended = await asyncio.create_subprocess_exec(
        sys.executable, *words, stderr=asyncio.subprocess.PIPE, env={**os.environ, **(env or {})}
    )
    _, said = await ended.communicate()
    assert ended.returncode == 1
    return said.decode()


@asynccontextmanager
async def external(url: str) -> AsyncIterator[Connection]:
    """Connect to a store that no server of ours started."""
    connection = Connection(Address.from_url(url))
    await connection.open()
    yield connection
    await connection.close()


async def contents(connection: Connection) -> dict[bytes, bytes]:
    """Return every key of a store with what it holds."""
    return {key: await connection.command("DUMP", key) for key in await connection.command("KEYS", "*")}


async def last(server: Server, workspace: str) -> str:
    """Return the position of the last event in a workspace's log."""
    async with store_of(server) as connection:
        return (await EventLog(connection, CATALOGUE).span(workspace)).last


def unmoved(task: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """Return of a task what a former version told of it; a lease may have run out since, so only what it is for."""
    names = {"id", "text", "metadata"} if "leaseUntil" in told else told.keys()
    return {name: task[name] for name in names}


@on_valkey
@pytest.mark.parametrize("name", ["format-1", "format-2"])
async def test_a_data_directory_of_a_former_version(tmp_path: Path, name: str) -> None:
    """What a former version left is answered as it answered it, every index is whole, and work goes on."""
    folder, told = unpacked(name, tmp_path / "data")
    async with serve(folder, *KEEP) as server:
        for worker in ("w1", "w2"):
            async with server.client() as client:
                await client.call("system.heartbeat", instanceId=worker)
        for workspace, was in told.items():
            since = await last(server, workspace)
            async with server.client(workspace=workspace) as client:
                page = await client.call("task.list", limit=1000)
                assert [task["id"] for task in page["tasks"]] == [task["id"] for task in was["tasks"]]
                for task, before in zip(page["tasks"], was["tasks"], strict=True):
                    assert unmoved(task, before) == unmoved(before, before)
                assert (await client.call("task.count"))["completed"] == was["counts"]["completed"]
                highest = max(int(task["id"][2:]) for task in was["tasks"])
                assert int((await client.call("task.create", text="next"))["id"][2:]) > highest
            await snapshot(server, workspace, since)
        async with store_of(server) as connection:
            assert await connection.command("HMGET", "cb:{_}:meta", "schema", "next") == [str(FORMAT).encode(), None]


@on_valkey
async def test_a_migration_that_is_cut_off_begins_again(tmp_path: Path) -> None:
    """A server that is killed in the middle of a migration leaves a store that the next one brings up."""
    folder, told = unpacked("format-2", tmp_path / "data")
    async with serve(folder, *KEEP) as server:
        async with store_of(server) as connection:
            await connection.command("HSET", "cb:{_}:meta", "schema", 2, "next", FORMAT)
            await connection.command("DEL", "cb:{default}:finished", "cb:{default}:ls:pending:priority")
            await connection.command("DEL", "cb:{quiet}:ls:pending:updated")
            await connection.command("RENAME", "cb:{quiet}:meta3", "cb:{quiet}:meta")
        await server.stop()
        await server.start()
        for workspace, was in told.items():
            since = await last(server, workspace)
            assert len((await snapshot(server, workspace, since)).tasks) == len(was["tasks"])


@on_redis
@pytest.mark.parametrize("field", ["schema", "next"])
async def test_a_newer_store_is_refused(tmp_path: Path, field: str) -> None:
    """A store of a newer format, or on its way to one, is refused with what to type, and nothing is written."""
    async with redis(tmp_path) as url:
        async with serve(tmp_path / "data", "--redis-url", url) as server, server.client() as client:
            await client.call("task.create", text="theirs")
        async with external(url) as connection:
            await connection.command("HSET", "cb:{_}:meta", field, FORMAT + 1)
            before = await contents(connection)
            said = await refused("--data-dir", str(tmp_path / "data"), "--redis-url", url)
            assert await contents(connection) == before
    assert f"format {FORMAT + 1}" in said
    assert "pip install --upgrade claudebench" in said


@on_redis
async def test_two_servers_of_one_format_under_load(tmp_path: Path) -> None:
    """Nothing that either acknowledged is lost or done twice, also when callers move from one to the other."""
    async with (
        redis(tmp_path) as url,
        serve(tmp_path / "one", "--redis-url", url) as one,
        serve(tmp_path / "two", "--redis-url", url) as two,
        Fleet(one) as first,
    ):
        async with Fleet(two, creators=2, workers=0) as second:
            await first.goes_on()
            await first.move(two)
            await first.goes_on()
            await first.move(one)
            await first.goes_on()
        found = await first.finish()
        assert second.created <= {f"t-{n}" for n in found.tasks}


@on_redis
async def test_a_server_is_stopped_by_a_newer_one(tmp_path: Path) -> None:
    """Under load a newer server brings the store to its format: ours lets nothing in any more, and nothing is lost."""
    async with (
        redis(tmp_path) as url,
        serve(tmp_path / "ours", "--redis-url", url) as ours,
        Fleet(ours) as fleet,
        ours.client() as caller,
    ):
        await fleet.goes_on()
        async with serve(tmp_path / "theirs", "--redis-url", url, env=newer(tmp_path / "newer")) as theirs:
            await eventually(lambda: is_stopped(caller))
            assert (await caller.get("/health")).status == 503
            await fleet.move(theirs)
            await fleet.goes_on()
            found = await fleet.finish()
            said = await refused("--data-dir", str(tmp_path / "ours"), "--redis-url", url)
        assert f"format {FORMAT + 1}" in said
        assert fleet.created <= {f"t-{n}" for n in found.tasks}
        assert not [line for line in ours.log_path.read_text().splitlines() if "Traceback" in line]


@on_redis
async def test_a_workspace_that_an_older_server_made_meanwhile(tmp_path: Path) -> None:
    """A workspace of the older format that nobody migrated is brought up when ours first changes it."""
    async with redis(tmp_path) as url, serve(tmp_path / "data", "--redis-url", url) as server:
        async with server.client(workspace="late") as late:
            await late.call("task.create", text="first")
        async with store_of(server) as connection:
            await connection.command("DEL", "cb:{late}:ls:pending:updated")
            await connection.command("RENAME", "cb:{late}:meta3", "cb:{late}:meta")
        async with server.client(workspace="late") as late:
            assert (await eventually(lambda: created(late)))["id"] == "t-2"
        await snapshot(server, "late")


async def created(client: AsyncClient) -> dict[str, Any] | None:
    """Create a task, or return None while the workspace is being migrated."""
    try:
        task: dict[str, Any] = await client.call("task.create", text="second")
    except Unavailable as error:
        if (error.data["reason"], error.outcome) != ("format", "not_done"):
            raise
        return None
    return task


async def is_stopped(client: AsyncClient) -> bool:
    """Whether a server says that it has to be stopped, in so many words."""
    try:
        await client.call("task.count")
    except Unavailable as error:
        return f"format {FORMAT + 1}" in error.message
    return False
