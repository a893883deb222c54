"""`claudebench new`: the beginnings of things that people write."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from claudebench.cli.noun import verbs
from claudebench.cli.options import Json, example

app = verbs()


@app.callback()
def main() -> None:
    """Begin something of your own."""


@app.command(epilog=example("claudebench new handler notes"))
def handler(
    name: Annotated[str, typer.Argument(help="Name of the app, its package and its commands, such as notes.")],
    directory: Annotated[
        Path, typer.Option(help="Where its folder goes, made if it is not there [default: here].")
    ] = Path(),
    json: Json = False,
) -> None:
    """Write a small working package: commands, Lua scripts, and a test on a real server."""
    from claudebench.app import COMMANDS
    from claudebench.own.loading import domains_of
    from claudebench.own.template import write_app

    is_new = not directory.exists()
    written = write_app(name, directory, domains_of(command.name for command in COMMANDS))
    folder = directory / name
    if json:
        print(
            jsonlib.dumps(
                {"directory": str(folder), "app": f"{name}.handlers", "files": [str(each) for each in written]}
            )
        )
        return
    print("\n".join((*([f"{directory} was not there and is new"] if is_new else []), *map(str, written))))
    print(f"\ncd {folder}\npython -m pytest\nclaudebench up --app {name}.handlers")
