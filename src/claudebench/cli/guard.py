"""`claudebench guard`: what the guard would decide and why. No server is asked; nothing is run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from claudebench.cli.options import Json  # noqa: TC001 - typer reads it at run time

app = typer.Typer(
    help="Ask the guard, without a server: decisions explained, rules, corpora.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
rules = typer.Typer(help="The rules that the guard judges by.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(rules, name="rules")

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, metavar="FILE")]


@app.command()
def explain(
    command: Annotated[str, typer.Argument(help="The command line in quotes; the path for a tool that writes files.")],
    cwd: Annotated[Path | None, typer.Option(help="Folder it would run in [default: this one].")] = None,
    tool: Annotated[str, typer.Option(help="Name of the tool that would be called.")] = "Bash",
    json: Json = False,
) -> None:
    """Explain what the guard decides about a command line: what it runs, what is unsure, the rules hit."""
    from claudebench.cli.explain import explain as show

    show(command, cwd=cwd or Path.cwd(), tool=tool, json=json)


@app.command("test")
def judge(file: File, json: Json = False) -> None:
    """Judge every line of a TOML corpus ([[stop]] and [[pass]]); exit 1 if a decision is not the wanted one."""
    from claudebench.cli.corpus import judge as judge_file

    raise typer.Exit(judge_file(file, json=json))


@rules.command("list")
def list_(json: Json = False) -> None:
    """List the rules: id, severity, tools, action and reason."""
    from claudebench.cli.rules import show_all

    show_all(json=json)


@rules.command()
def show(rule_id: Annotated[str, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Show one rule with everything that it looks for."""
    from claudebench.cli.rules import show_one

    show_one(rule_id, json=json)


@rules.command()
def check(file: File, json: Json = False) -> None:
    """Read a file of rules and tell what is wrong with it; exit 2 if anything is."""
    from claudebench.cli.rules import check as check_file

    check_file(file, json=json)
