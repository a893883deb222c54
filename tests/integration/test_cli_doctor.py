"""`claudebench doctor` on set-ups that are well, and on those that are broken in one place each."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.integration.typed import run
from tests.scripts.fleet import store_of

from claudebench.events.cursor import Cursors
from claudebench.store.engine import ask
from claudebench.testing import eventually, serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.test_cli import Ended

DONE, FAILED, USAGE = 0, 1, 2
NAMES = [
    "settings", "data dir", "token", "data", "lock", "disk", "port", "server", "store", "durability", "clock",
    "python", "packages", "open files", "memory",
]  # fmt: skip
NOWHERE = "http://127.0.0.1:1"


async def doctor(folder: Path, *words: str, **variables: str) -> tuple[Ended, dict[str, dict[str, Any]]]:
    """Type `claudebench doctor --json` for a data directory in a folder; return what it found by name."""
    given = {"CLAUDEBENCH_DATA_DIR": str(folder / "data"), "CLAUDEBENCH_PORT": "0", **variables}
    ended = await run(folder, "doctor", "--json", *words, environment=given)
    told = json.loads(ended.out)
    assert told["ok"] == (ended.code == DONE)
    return ended, {each["name"]: each for each in told["checks"]}


async def test_before_the_first_start_all_is_well(tmp_path: Path) -> None:
    """Where no server was ever started nothing is bad, the missing server is noted, and nothing was made."""
    ended, found = await doctor(tmp_path)

    assert (ended.code, ended.err, list(found)) == (DONE, "", NAMES)
    assert {each["level"] for each in found.values()} <= {"ok", "note"}
    assert "starts with the server" in found["store"]["seen"]
    assert all(each["why"] for each in found.values())
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - pathlib's is no less blocking


async def test_a_running_server_is_well(tmp_path: Path) -> None:
    """A running server is found by its data directory, its store is asked, and who holds the lock is named."""
    async with serve(tmp_path / "data", "--durability", "always") as server:
        ended, found = await doctor(tmp_path)
        external, facts = await doctor(
            tmp_path,
            CLAUDEBENCH_DATA_DIR=str(tmp_path / "other"),
            CLAUDEBENCH_REDIS_URL=f"unix://{server.data_dir}/store.sock",
        )
        (server.data_dir / "token").chmod(0o644)
        leaking, leak = await doctor(tmp_path)

    assert (ended.code, ended.err) == (DONE, "")
    assert server.url in found["server"]["seen"]
    assert f"server {server.process.pid} holds it" in found["lock"]["seen"]
    assert found["durability"]["seen"].startswith("always")
    assert "valkey" in found["store"]["seen"] or "redis" in found["store"]["seen"]
    assert "answers in" in found["store"]["seen"]
    assert "ahead" in found["clock"]["seen"] or "behind" in found["clock"]["seen"]
    assert (external.code, facts["durability"]["seen"]) == (DONE, "appendonly yes, appendfsync always")
    assert (leaking.code, leak["data dir"]["type"]) == (FAILED, f"chmod 600 {server.data_dir}/token")


@pytest.mark.parametrize(
    ("variables", "words", "wrong"),
    [
        ({"CLAUDEBENCH_PROT": "1"}, [], {"settings"}),
        ({"CLAUDEBENCH_DATA_DIR": "/dev/null/data"}, [], {"data dir"}),
        ({}, ["--url", NOWHERE], {"server"}),
        ({"CLAUDEBENCH_REDIS_URL": "redis://127.0.0.1:1"}, [], {"store"}),
        ({"CLAUDEBENCH_REDIS_URL": "http://127.0.0.1"}, [], {"store"}),
    ],
)
async def test_what_is_broken_is_named(
    tmp_path: Path, variables: dict[str, str], words: list[str], wrong: set[str]
) -> None:
    """One thing that is wrong is the one that is bad, with what to type, and the exit code is 1."""
    ended, found = await doctor(tmp_path, *words, **variables)

    assert (ended.code, ended.err) == (FAILED, "")
    bad = {name for name, each in found.items() if each["level"] == "bad"}
    assert bad == wrong
    assert all(found[name]["type"] for name in bad)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that a server has used."""
    folder = tmp_path_factory.mktemp("used") / "data"
    async with serve(folder):
        """Used."""
    return folder


def _remove_manifest(data: Path) -> None:
    (data / "appendonlydir" / "appendonly.aof.manifest").unlink()


def _remove_files(data: Path) -> None:
    shutil.rmtree(data / "appendonlydir")


def _empty_token(data: Path) -> None:
    (data / "token").write_text("\n")


def _damage_note(data: Path) -> None:
    (data / "engine.json").write_text('{"name": "val')


def _garble(data: Path) -> None:
    (path,) = (data / "appendonlydir").glob("*.incr.aof")
    content = path.read_bytes()
    at = content.rindex(b"\r\n*") + 2
    path.write_bytes(content[:at] + b"no command" + content[at + 10 :])


def _become_file(data: Path) -> None:
    shutil.rmtree(data)
    data.touch()


def _become_folder(name: str, data: Path) -> None:
    (data / name).unlink()
    (data / name).mkdir()
    (data / name / "kept").touch()


@pytest.mark.parametrize(
    ("broken", "wrong", "seen"),
    [
        (_remove_manifest, "data", "manifest is missing"),
        pytest.param(_remove_files, "data", "manifest is missing", marks=pytest.mark.soak),
        (_damage_note, "data", "engine.json is damaged"),
        pytest.param(partial(_become_folder, "engine.json"), "data", "engine.json is damaged", marks=pytest.mark.soak),
        (_garble, "data", "is damaged behind byte"),
        (_empty_token, "token", "token is empty"),
        pytest.param(partial(_become_folder, "token"), "token", "token is no file", marks=pytest.mark.soak),
        (partial(_become_folder, "lock"), "lock", "lock is a folder"),
        pytest.param(partial(_become_folder, "store.lock"), "lock", "store.lock is a folder", marks=pytest.mark.soak),
        (_become_file, "data dir", "data is no folder"),
    ],
)
async def test_what_hinders_a_start_is_bad_and_mended_by_what_is_to_be_typed(
    used: Path, tmp_path: Path, broken: Callable[[Path], None], wrong: str, seen: str
) -> None:
    """A used data directory that `up` refuses is bad in one place, and starts once the line given was typed."""
    shutil.copytree(used, tmp_path / "data")
    broken(tmp_path / "data")
    refused = await run(tmp_path, "up", "--port", "0", "--data-dir", "data")
    ended, found = await doctor(tmp_path)
    bad = [name for name, each in found.items() if each["level"] == "bad"]
    subprocess.run(["sh", "-ec", found[wrong]["type"]], check=True)  # noqa: ASYNC221 - a line of ours

    assert refused.code in {FAILED, USAGE}
    assert (ended.code, bad) == (FAILED, [wrong])
    assert seen in found[wrong]["seen"]
    async with serve(tmp_path / "data"):
        """It starts."""


async def test_data_that_goes_missing_under_a_server_can_be_written_anew(tmp_path: Path) -> None:
    """Where a server still runs, its store has everything: it is told to write it, and all is well again."""
    async with serve(tmp_path / "data") as server:
        _remove_manifest(server.data_dir)
        _, found = await doctor(tmp_path)
        program, _, address, command = found["data"]["type"].partition(",")[0].split()
        await ask(Path(address), (command,))
        await eventually((server.data_dir / "appendonlydir" / "appendonly.aof.manifest").exists)
        after, _ = await doctor(tmp_path)

    assert (found["data"]["level"], program) == ("bad", "redis-cli")
    assert after.code == DONE


async def test_a_taken_port_is_bad(tmp_path: Path) -> None:
    """A port that another program listens on is bad, and another port is offered."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended, found = await doctor(tmp_path, CLAUDEBENCH_PORT=str(taken.getsockname()[1]))

    assert ended.code == FAILED
    assert found["port"]["level"] == "bad"
    assert found["port"]["type"] == "claudebench up --port 0"


async def test_a_gap_is_bad_and_leads_to_how_it_is_ended(tmp_path: Path) -> None:
    """Of a group that lost events the server's health is bad; what is to be typed shows it, the log says where."""
    async with serve(tmp_path / "data") as server, store_of(server) as connection, server.client() as client:
        await client.call("task.create", text="so that the workspace is known")
        await Cursors(connection).register("default", "digest", 1)
        await Cursors(connection).gap("default", "digest", 0, "1-0", "2-0")

        async def is_known() -> bool:
            return not (await client.call("system.health"))["services"]["log"]

        await eventually(is_known)
        _, found = await doctor(tmp_path)
        assert (found["server"]["level"], found["server"]["type"]) == ("bad", "claudebench event lag")
        assert server.log_path.read_text().count("claudebench event lag --workspace default") == 1


async def test_a_person_reads_a_line_for_each_check(tmp_path: Path) -> None:
    """Without --json each check is a line: level, name, what was seen, why it matters, what to type."""
    given = {"CLAUDEBENCH_DATA_DIR": str(tmp_path / "data"), "CLAUDEBENCH_PORT": "0"}
    ended = await run(tmp_path, "doctor", "--url", NOWHERE, environment=given)
    lines = {line.split("\t")[1]: line.split("\t") for line in ended.out.splitlines()[1:]}

    assert (ended.code, list(lines)) == (FAILED, NAMES)
    assert (lines["server"][0], lines["server"][4]) == ("bad", "claudebench up")
