"""Servers that are forked: what a test sees of one is what it sees of a start as people make it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.typed import run

from claudebench.testing import Server, eventually, serve
from claudebench.testing.forked import Forked, Forks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SOURCE = Path(__file__).parents[2] / "src"
both = pytest.mark.parametrize("fresh", [False, True], ids=["forked", "fresh"])


@pytest.fixture
async def one(tmp_path: Path, *, fresh: bool) -> AsyncIterator[Server]:
    """A server, forked or started as people start it."""
    async with serve(tmp_path / "data", fresh=fresh) as running:
        yield running


def state(pid: int) -> str:
    """Return the letter by which the kernel calls what a process does."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def files(server: Server) -> set[str]:
    """Return what a server has open, as the kernel calls it."""
    return {str(each.readlink()) for each in Path(f"/proc/{server.process.pid}/fd").iterdir()}


def parent(pid: int) -> int:
    """Return the pid of the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@both
async def test_a_test_holds_the_server_itself(one: Server, *, fresh: bool) -> None:
    """Its pid is that of the process which holds the data directory; forked it is no child of the test's."""
    assert isinstance(one.process, Forked) is not fresh
    assert f'"pid": {one.process.pid}' in (one.data_dir / "lock").read_text()
    assert (parent(one.process.pid) == os.getpid()) is fresh
    assert one.process.returncode is None


@both
async def test_a_term_drains_and_ends_with_0(one: Server) -> None:
    """SIGTERM and SIGINT end a server with 0, and its store with it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        store = one.store_pid
        one.process.send_signal(number)
        assert await one.process.wait() == 0
        with pytest.raises(ProcessLookupError):
            one.process.send_signal(number)
        with pytest.raises(ProcessLookupError):
            os.kill(store, 0)
        await one.start()


@both
async def test_a_kill_is_seen_unasked_and_leaves_the_store(one: Server) -> None:
    """SIGKILL is the exit code -9 without anybody waiting for it; no process is left over, and the store lives on."""
    store, pid = one.store_pid, one.process.pid
    one.process.kill()

    assert await eventually(lambda: one.process.returncode) == -signal.SIGKILL
    assert await one.process.wait() == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert state(store) != "Z"
    await one.start()
    assert one.store_pid == store


@both
async def test_a_stop_halts_and_a_cont_goes_on(one: Server) -> None:
    """SIGSTOP stops the server in its tracks, and SIGCONT lets it answer again."""
    one.process.send_signal(signal.SIGSTOP)
    await eventually(lambda: state(one.process.pid) == "T")
    one.process.send_signal(signal.SIGCONT)
    async with one.client() as client:
        assert await client.is_healthy()


async def test_a_refused_start_says_why(tmp_path: Path) -> None:
    """A start that is refused has its exit code and its standard error."""
    with pytest.raises(RuntimeError, match=r"the server ended with 2: claudebench: workspace cannot be 'No'"):
        async with serve(tmp_path / "data", "--workspace", "No"):
            pass


async def test_settings_are_of_one_server(tmp_path: Path) -> None:
    """A setting in the environment of one server is no other's."""
    async with (
        serve(tmp_path / "one", env={"CLAUDEBENCH_WORKSPACE": "theirs"}) as one,
        serve(tmp_path / "two") as two,
        one.client() as first,
        two.client() as second,
    ):
        await first.call("task.create", text="in the workspace of plain paths")
        await second.call("task.create", text="in the default one")
        async with one.client(workspace="theirs") as theirs, two.client(workspace="default") as default:
            assert [(await each.call("task.count"))["pending"] for each in (theirs, default)] == [1, 1]


@both
async def test_a_server_holds_nothing_of_an_earlier_one(tmp_path: Path, one: Server, *, fresh: bool) -> None:
    """A server has no file and no socket of one that was started before it, and the end of that one is seen."""
    async with serve(tmp_path / "other", fresh=fresh) as other:
        assert not any(str(one.data_dir) in name for name in files(other))
        assert not {name for name in files(other) & files(one) if name.startswith("socket:")}
        assert await one.stop() == 0


async def test_a_command_line_is_typed_in_its_folder(tmp_path: Path) -> None:
    """Its folder is where it stands and where modules are looked for first."""
    (tmp_path / "here.py").touch()
    (tmp_path / "mine.toml").touch()
    refused = await run(tmp_path, "new", "handler", "here")
    checked = await run(tmp_path, "guard", "rules", "check", "mine.toml")

    assert (refused.code, refused.out, "there is a module 'here' already" in refused.err) == (2, "", True)
    assert (checked.code, "ok, 0 rules" in checked.out, checked.err) == (0, True, "")


async def test_another_claudebench_is_not_forked(tmp_path: Path) -> None:
    """A start is forked where its path of modules leads to more, not where imports would find another ClaudeBench."""
    (tmp_path / "apps").mkdir()
    (tmp_path / "other" / "claudebench").mkdir(parents=True)
    ours = {**os.environ, "PYTHONPATH": f"{tmp_path}/apps:{SOURCE}"}
    assert Server.forks

    assert Server.forks.fit(ours)
    assert not Server.forks.fit({**ours, "PYTHONPATH": f"{tmp_path}/other:{SOURCE}"})
    assert not Server.forks.fit({**ours, "HOME": str(tmp_path)})


async def test_what_was_forked_outlives_the_fork_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork server that is ended takes no server along."""
    with Forks() as forks:
        monkeypatch.setattr(Server, "forks", forks)
        running = Server(tmp_path / "data")
        await running.start()
    try:
        async with running.client() as client:
            assert await client.is_healthy()
    finally:
        os.kill(running.process.pid, signal.SIGTERM)
        with pytest.raises(RuntimeError, match="the fork server has ended"):
            await running.process.wait()
