"""The Tab key in a real zsh and a real fish, as `claudebench completion SHELL --install` leaves them."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.soak
WITHIN_S = 60.0
TYPED = [
    ("claudebench task cr", "claudebench task create"),
    ("claudebench gua", "claudebench guard"),
    ("claudebench task list --status p", "claudebench task list --status pending"),
    ("claudebench task create --pri", "claudebench task create --priority"),
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and `claudebench` on PATH."""
    program = tmp_path / "bin" / "claudebench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m claudebench "$@"\n')
    program.chmod(0o700)
    home = {"HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")}
    return {**os.environ, **home, "PATH": f"{program.parent}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "READY> "}


def install(shell: str, environment: dict[str, str]) -> None:
    """Let a shell complete, as a person does."""
    subprocess.run(["claudebench", "completion", shell, "--install"], env=environment, check=True, capture_output=True)


@pytest.mark.parametrize(("typed", "completed"), TYPED)
def test_the_first_tab_completes_in_zsh(environment: dict[str, str], typed: str, completed: str) -> None:
    """In a new zsh, at the first Tab."""
    install("zsh", environment)
    pid, terminal = pty.fork()
    if not pid:
        os.execvpe("zsh", ["zsh", "-i"], environment)
    try:
        read_until(terminal, "READY> ")
        os.write(terminal, f"{typed}\t".encode())
        assert completed in read_until(terminal, completed)
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def read_until(terminal: int, wanted: str) -> str:
    """Return what a terminal showed until it showed something, or for as long as one may wait."""
    shown, until = "", time.monotonic() + WITHIN_S
    while wanted not in shown and time.monotonic() < until:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 65_536).decode(errors="replace")
    return shown


@pytest.mark.parametrize(("typed", "completed"), TYPED)
def test_tab_completes_in_fish(environment: dict[str, str], typed: str, completed: str) -> None:
    """In a new fish, which is asked for what the Tab key would offer."""
    install("fish", environment)
    line = ["fish", "-c", f"complete -C '{typed}'"]
    told = subprocess.run(line, env=environment, check=True, capture_output=True, text=True).stdout

    assert told.partition("\t")[0].strip() == completed.rsplit(maxsplit=1)[-1]
