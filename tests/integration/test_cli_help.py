"""What the command line says of itself: help that costs little, the Tab key, the settings in force."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.integration.test_cli import run

from claudebench.cli.noun import NOUNS

if TYPE_CHECKING:
    from pathlib import Path

DONE, USAGE = 0, 2
LATE = {"asyncio", "hiredis", "pydantic", "rich", "structlog", "tree_sitter", "uvicorn", "uvloop"}
HEAVY = LATE | {"email", "http", "msgspec"}
LOOK = """
import sys
from claudebench.cli.main import run
sys.argv[0] = "claudebench"
try:
    run()
finally:
    print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""
TAB = """
eval "$(claudebench completion bash)"
COMP_WORDS=(claudebench "$@") COMP_CWORD=$# COMPREPLY=()
_claudebench_completion claudebench "${@: -1}"
echo "${COMPREPLY[*]}"
"""


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        *((f"{noun} --help", HEAVY) for noun in ("", *NOUNS)),
        ("task create --help", LATE),
        ("task get t-1 --url http://127.0.0.1:1", LATE),
    ],
)
async def test_nothing_heavy_is_imported_unasked(words: str, unwanted: set[str]) -> None:
    """The help of a noun imports no library that takes long; a verb none that converts words or draws tables."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOOK, *words.split(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    told = (await process.communicate())[0].decode()
    help_, _, imported = told.partition("imported:")

    assert ("Example: claudebench " in help_) == ("--help" in words)
    assert "typer" in imported.split()
    assert not unwanted & set(imported.split())


async def test_help_of_a_verb_tells_its_options(tmp_path: Path) -> None:
    """The help of a verb has what its command takes, with bounds, choices and defaults, and an example on one line."""
    created, listed = await asyncio.gather(
        run(tmp_path, "task", "create", "--help", COLUMNS="80"), run(tmp_path, "task", "list", "--help")
    )

    assert (created.code, listed.code) == (DONE, DONE)
    assert "--priority" in created.out
    assert "0 to 100. [default: 50]" in " ".join(created.out.split())
    assert "completed|failed|in_progress|pending" in listed.out
    assert "\n  Example: claudebench task list --status pending --order-by priority\n" in listed.out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["ta"], "task"),
        (["task", "c"], "create claim complete"),
        (["task", "list", "--status", ""], "completed failed in_progress pending"),
        (["guard", "rules", "s"], "show sign"),
        (["completion", ""], "bash zsh fish"),
    ],
)
async def test_tab_completes_in_bash(tmp_path: Path, typed: list[str], offered: str) -> None:
    """In bash the Tab key offers nouns, verbs, and the values of an option."""
    assert await _in_shell(tmp_path, "bash", "-c", TAB, "bash", *typed) == f"{offered}\n"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
async def test_other_shells_are_answered(tmp_path: Path, shell: str) -> None:
    """The script of zsh and of fish asks as those shells do, and what they ask is answered."""
    script, offered = await asyncio.gather(
        _in_shell(tmp_path, "claudebench", "completion", shell),
        _in_shell(
            tmp_path, "claudebench", _CLAUDEBENCH_COMPLETE=f"complete_{shell}",
            _TYPER_COMPLETE_ARGS="claudebench task cr", _TYPER_COMPLETE_FISH_ACTION="get-args",
        ),
    )  # fmt: skip

    assert f"_CLAUDEBENCH_COMPLETE=complete_{shell}" in script
    assert "create" in offered
    assert "claim" not in offered


async def test_a_script_that_zsh_loads_answers_at_once(tmp_path: Path) -> None:
    """The file that zsh reads at the first Tab also answers that one; tests/soak/test_shells.py presses the key."""
    await _in_shell(tmp_path, "claudebench", "completion", "zsh", "--install", HOME=str(tmp_path))
    script = (tmp_path / ".zfunc" / "_claudebench").read_text()

    assert script.startswith("#compdef claudebench\n")
    assert script.endswith('[[ $funcstack[1] == _claudebench ]] && _claudebench_completion "$@"\n')


async def test_completion_is_installed(tmp_path: Path) -> None:
    """`completion bash --install` writes the script into the home directory, from where bash reads it."""
    said = await _in_shell(tmp_path, "claudebench", "completion", "bash", "--install", HOME=str(tmp_path))
    offered = await _in_shell(
        tmp_path, "bash", "-c", f". {tmp_path}/.bashrc; {TAB.partition(')')[2][1:]}", "bash", "ta"
    )

    assert str(tmp_path) in said
    assert offered == "task\n"


async def _in_shell(folder: Path, *words: str, **variables: str) -> str:
    """Run a program with `claudebench` on PATH and return what it printed."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "claudebench").write_text(f'#!/bin/sh\nexec {sys.executable} -m claudebench "$@"\n')
    (folder / "bin" / "claudebench").chmod(0o700)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", **variables}
    process = await asyncio.create_subprocess_exec(*words, env=environment, cwd=folder, stdout=subprocess.PIPE)
    return (await process.communicate())[0].decode()


async def test_settings_are_shown_with_their_source(tmp_path: Path) -> None:
    """`config show` tells where each value comes from and shows no secret; an unknown name is a usage error."""
    (tmp_path / "claudebench.toml").write_text('port = 7500\ndurability = "always"\n')
    given = {
        "CLAUDEBENCH_PORT": "7600", "CLAUDEBENCH_LIMITS": "", "CLAUDEBENCH_TOKEN": "s3cret-s3cret-s3cret",
        "CLAUDEBENCH_REDIS_URL": "redis://me:s3cret@store:6379/0",
    }  # fmt: skip
    told, table, wrong = await asyncio.gather(
        run(tmp_path, "config", "show", "--json", environment=given),
        run(tmp_path, "config", "show", environment=given),
        run(tmp_path, "config", "show", environment={"CLAUDEBENCH_PROT": "1"}),
    )

    found = {each["name"]: (each["value"], each["from"]) for each in json.loads(told.out)["settings"]}
    assert found["port"] == (7600, "env")
    assert found["durability"] == ("always", "claudebench.toml")
    assert found["limits"] == ("on", "default")
    assert found["token"] == ("***", "env")
    assert found["redis_url"] == ("redis://me:***@store:6379/0", "env")
    assert found["url"] == ("http://127.0.0.1:7420", "default")
    assert "s3cret" not in told.out + table.out
    assert "port\t7600\tenv\tCLAUDEBENCH_PORT\n" in table.out
    assert (wrong.code, "did you mean CLAUDEBENCH_PORT?" in wrong.err) == (USAGE, True)
