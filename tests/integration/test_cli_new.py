"""`claudebench new handler`: what it writes works as it stands, and nothing is ever written over."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration import typed

from claudebench.testing import serve

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from tests.integration.test_cli import Ended

SOURCE = Path(__file__).parents[2] / "src"


def run(*words: str, cwd: Path) -> CompletedProcess[str]:
    """Run Python with our sources on its path."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def new(*words: str, cwd: Path) -> Ended:
    """Run `claudebench new handler`."""
    return asyncio.run(typed.run(cwd, "new", "handler", *words))


async def test_a_new_app_works_as_it_stands(tmp_path: Path) -> None:
    """The package passes its own test, and a server that is started with it answers its commands over HTTP."""
    made = await typed.run(tmp_path, "new", "handler", "notes", "--directory", "apps", "--json")
    told = json.loads(made.out)
    folder = tmp_path / told["directory"]
    written = sorted(str(path.relative_to(tmp_path)) for path in folder.rglob("*") if path.is_file())
    tested = run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder)

    assert (folder, written) == (tmp_path / "apps" / "notes", sorted(told["files"]))
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout

    environment = {"PYTHONPATH": f"{folder}:{SOURCE}"}
    async with serve(tmp_path / "data", "--app", told["app"], env=environment) as server, server.client() as client:
        added = await client.post("/notes/add", b'{"text":"hello"}')
        listed = await client.post("/notes/list", b"{}")
    assert (added.status, added.json, listed.json) == (200, {"number": 1}, {"entries": ["hello"]})


def test_a_directory_that_is_made_is_named(tmp_path: Path) -> None:
    """`--directory` makes what is not there, and says so; what is there is not spoken of."""
    made, again = (new(name, "--directory", "some/where", cwd=tmp_path).out.splitlines() for name in ("one", "two"))

    assert made[:2] == ["some/where was not there and is new", "some/where/one/README.md"]
    assert again[0] == "some/where/two/README.md"


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A folder that is there is left as it is, even an empty one."""
    (tmp_path / "notes").mkdir()
    refused = new("notes", cwd=tmp_path)

    assert (refused.code, refused.out) == (5, "")
    assert refused.err == "claudebench: notes exists already; nothing was written\n"
    assert list(tmp_path.rglob("*")) == [tmp_path / "notes"]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("Notes", "cannot name a package"),
        ("../notes", "cannot name a package"),
        ("class", "cannot name a package"),
        ("a" * 41, "cannot name a package"),
        ("task", "is ClaudeBench's; choose another name, such as my_task"),
        ("hooks", "is ClaudeBench's"),
        ("json", "is a module of Python"),
        ("tests", "is a module of Python or of ours"),
        ("msgspec", "there is a module 'msgspec' already"),
    ],
)
def test_a_name_that_would_not_work(tmp_path: Path, name: str, complaint: str) -> None:
    """A name that no package, no domain or no import could have is a usage error, and nothing is written."""
    refused = new(name, cwd=tmp_path)

    assert refused.code == 2
    assert complaint in refused.err
    assert not list(tmp_path.rglob("*"))
