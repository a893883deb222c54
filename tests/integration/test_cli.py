"""The command line as a person types it: help, wrong words with the nearest right one, exit codes, up and demo."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from claudebench import __version__
from claudebench.testing import Server, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDED_WITHIN_S = 60.0
DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3


@dataclass(frozen=True)
class Ended:
    """How a run of the command line ended."""

    code: int
    out: str
    err: str


async def run(
    cwd: Path, *words: str, given: bytes = b"", environment: dict[str, str] | None = None, **variables: str
) -> Ended:
    """Type a command line in a folder, with no CLAUDEBENCH_* variable but those given, and text on its input."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLAUDEBENCH_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "claudebench",
        *words,
        cwd=cwd,
        env={**clean, "NO_COLOR": "1", "COLUMNS": "200", **(environment or {}), **variables},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(ENDED_WITHIN_S):
            out, err = await process.communicate(given)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One server for those tests of this module that only ask it."""
    async with serve(tmp_path_factory.mktemp("cli") / "data", "--durability", "always", fresh=True) as running:
        yield running


async def test_help_names_every_command(tmp_path: Path) -> None:
    """`claudebench --help` lists the commands that a newcomer needs."""
    ended = await run(tmp_path, "--help")

    assert ended.code == DONE
    assert all(
        re.search(rf"^\s+{command}\s", ended.out, re.MULTILINE) for command in ("up", "demo", "scripts", "bench")
    )


async def test_every_command_has_help(tmp_path: Path) -> None:
    """`--help` after a command tells its options, `--json` among them, and all those that `up` has by the design."""
    commands = ("up", "demo", "scripts", "bench")
    ended = await asyncio.gather(*(run(tmp_path, command, "--help") for command in commands))

    assert [(each.code, "--json" in each.out) for each in ended] == [(DONE, True)] * len(commands)
    options = "host port data-dir redis-url workspace durability limits max-memory"
    assert not [option for option in options.split() if f"--{option}" not in ended[0].out]


async def test_version_is_told(tmp_path: Path) -> None:
    """`--version` prints the version of the package."""
    ended = await run(tmp_path, "--version")

    assert (ended.code, ended.out.strip()) == (DONE, f"claudebench {__version__}")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("up", "--prot", "1"), "--port"),
        (("up", "--data-dri", "x"), "--data-dir"),
        (("demo", "--task", "20"), "--tasks"),
        (("dmeo",), "demo"),
    ],
)
async def test_unknown_word_offers_the_nearest(tmp_path: Path, words: tuple[str, ...], offered: str) -> None:
    """A mistyped option or command is a usage error that names the one that was meant."""
    ended = await run(tmp_path, *words)

    assert ended.code == USAGE
    assert offered in ended.err


async def test_unknown_variable_offers_the_nearest(tmp_path: Path) -> None:
    """CLAUDEBENCH_PROT is no setting; CLAUDEBENCH_PORT is offered and nothing starts."""
    ended = await run(tmp_path, "up", CLAUDEBENCH_PROT="1")

    assert ended.code == USAGE
    assert "CLAUDEBENCH_PROT" in ended.err
    assert "did you mean CLAUDEBENCH_PORT?" in ended.err


async def test_unknown_key_in_the_file_offers_the_nearest(tmp_path: Path) -> None:
    """A key of claudebench.toml that is no setting is refused by the name of the file."""
    (tmp_path / "claudebench.toml").write_text("prot = 7421\n")

    ended = await run(tmp_path, "up")

    assert ended.code == USAGE
    assert "claudebench.toml" in ended.err
    assert "did you mean port?" in ended.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("up", "--port", "x"), "port"),
        (("up", "--durability", "never"), "durability"),
        (("up", "--host", "0.0.0.0"), "CLAUDEBENCH_TOKEN"),
        (
            ("up", "--port", "0", "--max-memory", "5"),
            "max_memory cannot be 5, which is 5 bytes; write a number with its",
        ),
        (("up", "--port", "0", "--redis-url", "foo"), "redis_url must look like redis://127.0.0.1:6379/0"),
        (("up", "--port", "0", "--redis-url", ""), "redis_url cannot be ''"),
        (("up", "--port", "0", "--data-dir", __file__), "is a file; choose another `--data-dir`"),
        (("demo", "--tasks", "1"), "tasks"),
    ],
)
async def test_values_that_do_not_fit_are_usage_errors(tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    """A value out of bounds is exit 2 and one sentence that names the option, with no traceback."""
    ended = await run(tmp_path, *words, CLAUDEBENCH_DATA_DIR=str(tmp_path / "data"))

    assert ended.code == USAGE
    assert named in ended.err
    assert "Traceback" not in ended.err


async def test_an_address_that_is_not_ours_is_told_from_a_taken_port(tmp_path: Path) -> None:
    """Where the address is at fault, another address is asked for."""
    data, token = str(tmp_path / "data"), "t" * 16
    ended = await run(
        tmp_path, "up", "--host", "192.0.2.1", "--port", "0", CLAUDEBENCH_DATA_DIR=data, CLAUDEBENCH_TOKEN=token
    )

    assert (ended.code, "choose another with --host" in ended.err) == (USAGE, True)


async def test_a_server_that_is_not_there_is_exit_3(tmp_path: Path) -> None:
    """A command that reaches no server says where it looked and how to start one."""
    ended = await run(tmp_path, "scripts", "--json", "--url", "http://127.0.0.1:1")

    assert (ended.code, ended.out) == (UNREACHABLE, "")
    assert "http://127.0.0.1:1" in ended.err
    assert "claudebench up" in ended.err


async def test_scripts_lists_what_runs_in_the_store(tmp_path: Path, server: Server) -> None:
    """`scripts --json` prints each Lua script with its hash and calls; without --json the same names in a table."""
    async with server.client() as client:
        await client.call("task.create", text="a")
    listed = await run(tmp_path, "scripts", "--json", "--url", server.url)
    by_variable = await run(tmp_path, "scripts", "--json", CLAUDEBENCH_URL=server.url)
    table = await run(tmp_path, "scripts", "--url", server.url)

    scripts = {each["script"]: each for each in json.loads(listed.out)}
    assert (listed.code, by_variable.code, table.code) == (DONE, DONE, DONE)
    assert scripts["tasks.create"]["calls"] == 1
    assert len(scripts["tasks.create"]["sha"]) == 40
    assert {each["script"] for each in json.loads(by_variable.out)} == set(scripts)
    assert not [name for name in scripts if name not in table.out]


async def test_scripts_of_a_guarded_server_need_the_token(tmp_path: Path) -> None:
    """A refusal of the server is exit 1 and its sentence, not a traceback."""
    async with serve(tmp_path / "data", env={"CLAUDEBENCH_TOKEN": "t" * 20}) as server:
        ended = await run(tmp_path, "scripts", "--json", "--url", server.url)

    assert (ended.code, ended.out) == (FAILED, "")
    assert "token" in ended.err
    assert "Traceback" not in ended.err


async def test_ready_line_says_where_and_how_safe(server: Server) -> None:
    """The ready line is one JSON object with URL, durability, data directory and version."""
    ready = server.ready

    assert ready == {
        "ready": True,
        "url": f"http://127.0.0.1:{server.port}",
        "durability": ready["durability"],
        "dataDir": str(server.data_dir),
        "version": __version__,
    }
    assert ready["durability"].startswith("always")


async def test_sigterm_ends_with_0(tmp_path: Path) -> None:
    """SIGTERM and SIGINT drain the server and its store, and end with exit code 0."""
    async with serve(tmp_path / "data", fresh=True) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            store_pid = server.store_pid
            server.process.send_signal(number)
            async with asyncio.timeout(ENDED_WITHIN_S):
                assert await server.process.wait() == DONE
            with pytest.raises(ProcessLookupError):
                os.kill(store_pid, 0)
            await server.start()


async def test_the_collector_goes_on_after_the_imports(tmp_path: Path) -> None:
    """What a start imports is not searched for garbage; what comes after it, from the apps on, is."""
    look = "import gc\nprint(gc.isenabled(), gc.get_freeze_count() > 10_000, flush=True)\n"
    (tmp_path / "look.py").write_text(f"{look}from claudebench import on\n@on('')\nasync def ends_here(event): ...\n")
    source = os.environ.get("PYTHONPATH", "")

    ended = await run(
        tmp_path, "up", "--port", "0", "--data-dir", "data", "--app", "look", PYTHONPATH=f"{tmp_path}:{source}"
    )

    assert (ended.code, ended.out) == (USAGE, "True True\n")


async def test_second_up_is_told_who_holds_the_data(tmp_path: Path, server: Server) -> None:
    """A second `up` on one data directory ends with 1 and names the holder's pid, its URL and the way out."""
    ended = await run(tmp_path, "up", "--port", "0", "--data-dir", str(server.data_dir))
    async with server.client() as client:
        assert await client.is_healthy()

    assert (ended.code, ended.out) == (FAILED, "")
    assert str(server.process.pid) in ended.err
    assert server.url in ended.err
    assert "--data-dir" in ended.err


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """A port that another program has is named with the option that chooses another, and nothing is left behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = await run(tmp_path, "up", "--port", str(port), "--data-dir", str(tmp_path / "data"))

    assert ended.code == USAGE
    assert f"127.0.0.1:{port}" in ended.err
    assert "--port" in ended.err
    assert not (tmp_path / "data").exists()


async def test_file_settings_are_taken(tmp_path: Path) -> None:
    """claudebench.toml in the folder sets what no option and no variable says."""
    (tmp_path / "claudebench.toml").write_text('durability = "never"\n')

    ended = await run(tmp_path, "up", "--data-dir", str(tmp_path / "data"))

    assert ended.code == USAGE
    assert "never" in ended.err


async def test_demo_shows_the_main_job(tmp_path: Path) -> None:
    """A small demo ends with 0 and one JSON object: all tasks done once, one taken over, one command denied."""
    ended = await run(tmp_path, "demo", "--tasks", "20", "--workers", "2", "--json")

    assert ended.code == DONE, ended.err
    story = json.loads(ended.out)
    assert (story["ok"], story["broken"], story["tasks"]) == (True, [], 20)
    assert sum(story["doneBy"].values()) == 20
    assert story["denied"]["decision"] == "deny"
    assert story["killed"]["task"].startswith("t-")
    assert story["killed"]["takenOverSeconds"] > 0
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - pathlib's is no less blocking
