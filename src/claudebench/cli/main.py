"""The commands and their options."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.main import get_command

from claudebench import __version__
from claudebench.cli import completion, failure
from claudebench.cli.noun import add_nouns
from claudebench.cli.options import DEFAULT_URL, NO_HELP_ASKED, Json, TokenFile, Url, Workspace, example
from claudebench.errors import ClaudeBenchError

app = typer.Typer(
    name=completion.NAME,
    help="The server between your coding agents: tasks handed out once, tool calls judged, everything on record.",
    epilog=example("claudebench up"),
    context_settings=NO_HELP_ASKED,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
add_nouns(app)
DataDir = Annotated[Path | None, typer.Option(help="Folder of the store, the lock and the operator's token.")]
RedisUrl = Annotated[str | None, typer.Option(help="Use this Redis or Valkey >= 7.0, not the embedded one.")]
DatabaseUrl = Annotated[
    str | None, typer.Option(help="PostgreSQL of the record, or none [default: SQLite; none with --redis-url].")
]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"claudebench {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that come before a command."""


@app.command(epilog=example("claudebench up --data-dir ./data --durability always"))
def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one [default: 7420].")] = None,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
    database_url: DatabaseUrl = None,
    workspace: Annotated[str | None, typer.Option(help="Workspace of plain paths [default: default].")] = None,
    durability: Annotated[str | None, typer.Option(help="everysec or always [default: everysec].")] = None,
    limits: Annotated[
        str | None, typer.Option(help="on or off: the loop guard, declared and not enforced yet [default: on].")
    ] = None,
    retain: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Days that a finished task stays, 1 to 3650 [default: 7].")
    ] = None,
    max_memory: Annotated[str | None, typer.Option(help="Bound of the embedded store, such as 512mb.")] = None,
    rules: Annotated[Path | None, typer.Option(help="Your own guard rules, read again when they change.")] = None,
    app: Annotated[
        str | None,
        typer.Option(
            help="Modules, comma-separated: @handler functions become commands, @hook functions join the guard."
        ),
    ] = None,
    webhook_allow: Annotated[
        str | None,
        typer.Option(
            metavar="HOSTS",
            help="Hosts and networks, comma-separated, that webhooks may reach besides the public Internet.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Run the server in the foreground until it is interrupted."""
    gc.disable()  # of 800 modules next to nothing is garbage, and looking for it is a tenth of a start
    from claudebench.cli import serve
    from claudebench.settings import load

    settings = load(
        host=host,
        port=port,
        data_dir=data_dir,
        redis_url=redis_url,
        database_url=database_url,
        workspace=workspace,
        durability=durability,
        limits=limits,
        retain_days=retain,
        max_memory=max_memory,
        rules=rules,
        app=app,
        webhook_allow=webhook_allow,
    )
    serve.run(settings, json=json)


@app.command(epilog=example("claudebench demo --tasks 1000 --workers 8"))
def demo(
    tasks: Annotated[int, typer.Option(min=10, max=100_000, help="How many tasks the fleet works off.")] = 400,
    workers: Annotated[int, typer.Option(min=2, max=32, help="How many agents, each a process.")] = 4,
    json: Json = False,
) -> None:
    """Show the main job: a simulated fleet on an embedded store, a killed agent, a denied command."""
    from claudebench.cli import demo as show

    raise typer.Exit(show.run(tasks=tasks, workers=workers, json=json))


@app.command(epilog=example("claudebench scripts"))
def scripts(
    url: Url = DEFAULT_URL, workspace: Workspace = None, token_file: TokenFile = None, json: Json = False
) -> None:
    """List the Lua scripts: what each succeeds, its hash, its calls and its times on this server."""
    from claudebench.cli.client import connect
    from claudebench.cli.scripts import show_scripts

    show_scripts(connect(url, workspace, token_file), json=json)


@app.command(epilog=example("claudebench patterns"))
def patterns(
    url: Url = DEFAULT_URL, workspace: Workspace = None, token_file: TokenFile = None, json: Json = False
) -> None:
    """Show how many commands are of which pattern and consistency, beside the assessment's shares."""
    from claudebench.cli.pattern import show_patterns

    show_patterns(url, workspace, token_file, json=json)


@app.command(epilog=example("claudebench doctor"))
def doctor(url: Url = DEFAULT_URL, token_file: TokenFile = None, json: Json = False) -> None:
    """Look at everything that a server stands on: what was seen, why it matters, what to type; exit 1 if it is bad."""
    from claudebench.cli import doctor as checks

    raise typer.Exit(checks.run(url, token_file, json=json))


@app.command(epilog=example("claudebench backup ~/claudebench-2026-03-01.backup"))
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where it is written; the folder must have room.")],
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
    database_url: DatabaseUrl = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    json: Json = False,
) -> None:
    """Write store, record, audit and keys into one file, from a running server or a stopped one. It holds secrets."""
    from claudebench.cli import backup as backups
    from claudebench.settings import load

    backups.take_backup(
        file, load(data_dir=data_dir, redis_url=redis_url, database_url=database_url), force=force, json=json
    )


@app.command(epilog=example("claudebench restore ~/claudebench-2026-03-01.backup --data-dir ./data"))
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `claudebench backup` wrote.")],
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
    database_url: DatabaseUrl = None,
    force: Annotated[bool, typer.Option("--force", help="Move a data directory that is not empty aside.")] = False,
    json: Json = False,
) -> None:
    """Put a backup in the place of a data directory that is empty or absent; nothing changes before all is checked."""
    from claudebench.cli import backup as backups
    from claudebench.settings import load

    backups.restore_backup(
        file, load(data_dir=data_dir, redis_url=redis_url, database_url=database_url), force=force, json=json
    )


@app.command("completion", epilog=example("claudebench completion bash --install"))
def complete(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="|".join(completion.SHELLS), help="The shell.", autocompletion=lambda: completion.SHELLS
        ),
    ],
    install: Annotated[bool, typer.Option("--install", help="Put it where that shell reads it.")] = False,
) -> None:
    """Print the script that lets a shell complete nouns, verbs and options."""
    completion.complete(shell, install=install)


@app.command(epilog=example("claudebench bench --only create --rounds 1"))
def bench(
    seconds: Annotated[float, typer.Option(min=0.5, max=600, help="How long each row runs, per round.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Rounds; the median counts.")] = 3,
    only: Annotated[str | None, typer.Option(help="Only the rows whose name holds this.")] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the figures, machine and versions to this JSON file.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure a fresh server against the store's own limit in the same run."""
    from claudebench.cli.bench import run as run_bench

    run_bench(seconds=seconds, rounds=rounds, only=only, save=save, json=json)


def run() -> None:
    """Run the command line; whatever goes wrong becomes one line and an exit code."""
    completion.prepare()
    try:
        sys.exit(get_command(app).main(prog_name=completion.NAME, standalone_mode=False))
    except typer.TyperException as error:
        _end(failure.usage_line(error), error.exit_code)
    except ClaudeBenchError as error:
        _end(f"claudebench: {failure.line(error)}", failure.exit_code(error))
    except OSError as error:
        _end(f"claudebench: {error.strerror}: {error.filename or ''}", failure.FAILED)


def _end(line: str, code: int) -> NoReturn:
    print(line, file=sys.stderr)
    sys.exit(code)
