"""`claudebench config`: what is set, and where."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from claudebench.cli import show as showing
from claudebench.cli.noun import verbs
from claudebench.cli.options import DEFAULT_URL, Json, example

if TYPE_CHECKING:
    from collections.abc import Iterator

app = verbs()


@app.command(epilog=example("claudebench config show"))
def show(json: Json = False) -> None:
    """Show every setting: its value, where that comes from, and the variable that sets it. Secrets are masked."""
    found = list(_settings())
    if json:
        showing.as_json({"settings": found})
        return
    showing.table(("setting", "value", "from", "variable"), (list(each.values()) for each in found))


def _settings() -> Iterator[dict[str, Any]]:
    from claudebench.settings import DEFAULT, ENVIRONMENT, PREFIX, load, sources

    settings = load()
    for name, source in sources().items():
        yield _row(name, _shown(name, getattr(settings, name)), source, PREFIX)
    for name, value in {"url": DEFAULT_URL, "token_file": None}.items():
        given = os.environ.get(f"{PREFIX}{name.upper()}")
        yield _row(name, given or value, ENVIRONMENT if given else DEFAULT, PREFIX)


def _row(name: str, value: Any, source: str, prefix: str) -> dict[str, Any]:
    return {"name": name, "value": value, "from": source, "variable": f"{prefix}{name.upper()}"}


def _shown(name: str, value: Any) -> Any:
    """Return a value without its secret, if it has one."""
    from pathlib import Path

    from claudebench.settings import SECRET_NAMES
    from claudebench.telemetry.secret import MASK, without_secrets

    if value is not None and name in SECRET_NAMES:
        return MASK
    if name in {"redis_url", "database_url"} and value:
        return without_secrets(value)
    return str(value) if isinstance(value, Path) else value
