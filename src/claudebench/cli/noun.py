"""A noun of the command line, whose verbs are imported when one is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from claudebench.cli.options import NO_HELP_ASKED, example

if TYPE_CHECKING:
    from collections.abc import MutableMapping

NOUNS = {
    "task": ("The ledger: tasks, each in the hands of at most one agent.", "claudebench task list --status pending"),
    "instance": ("The instances: workers, servers and agent sessions that registered.", "claudebench instance list"),
    "event": ("The log: every change, with who made it and when.", "claudebench event tail"),
    "webhook": (
        "Webhooks: URLs to which events are sent, signed; changes are the operator's.",
        "claudebench webhook add https://hooks.example.com/tasks --events 'task.*'",
    ),
    "audit": ("The audit: who did what, and whether that is whole; the operator's.", "claudebench audit verify"),
    "record": (
        "The record: everything that happened, in SQL, retired tasks included.",
        "claudebench record status",
    ),
    "pattern": ("The strategies in force at the seams of the server.", "claudebench pattern switch events distributed"),
    "command": ("Any command of the server.", "claudebench command list"),
    "guard": (
        "Ask the guard, without a server: decisions explained, rules, corpora.",
        "claudebench guard explain 'rm -rf /'",
    ),
    "new": ("The beginnings of something of your own.", "claudebench new handler notes"),
    "config": ("The settings of a server and of this command line.", "claudebench config show"),
}


def add_nouns(app: typer.Typer) -> None:
    """Give the command line its nouns; the verbs of each are the `app` of the module of that name."""
    for name, (about, line) in NOUNS.items():
        app.add_typer(noun(about, line, cls=_Late), name=name)


def noun(about: str, line: str, **given: Any) -> typer.Typer:
    """Return a noun without verbs; `line` is an example of its use."""
    return typer.Typer(
        help=about,
        epilog=example(line),
        context_settings=NO_HELP_ASKED,
        no_args_is_help=True,
        rich_markup_mode=None,
        **given,
    )


def verbs() -> typer.Typer:
    """Return an empty list of verbs, for a module to fill."""
    return typer.Typer(rich_markup_mode=None)


class _Late(TyperGroup):
    """A noun that gets its verbs when they are asked for."""

    _commands: MutableMapping[str, Any] | None = None

    @property
    def commands(self) -> MutableMapping[str, Any]:
        """The verbs."""
        if self._commands is None:
            self._commands = get_group(import_module(f"claudebench.cli.{self.name}").app).commands
        return self._commands

    @commands.setter
    def commands(self, _none: MutableMapping[str, Any]) -> None:
        """Take nothing: the base class begins with no verbs."""
