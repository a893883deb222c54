"""A new app, written out: a handler, its store, two scripts, a test, and what installs them."""

from __future__ import annotations

import keyword
import sys
from importlib.resources import files
from importlib.util import find_spec
from string import Template
from typing import TYPE_CHECKING

from claudebench.errors import Conflict, SettingsError
from claudebench.own.store import APP

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

SUFFIX = ".txt"
PACKAGE = "package"
TAKEN = frozenset({"test", "tests", "claudebench"})


def write_app(name: str, directory: Path, domains: Collection[str]) -> list[Path]:
    """Write an app into a new folder of its name below `directory`, and return its files.

    Args:
        name: the app, its package and its domain.
        directory: where the folder goes; it is made if it is not there.
        domains: those that no app may have.

    Raises:
        SettingsError: the name is none for a package, or is taken.
        Conflict: the folder is there already; nothing was written.
    """
    target = directory / name
    _check_name(name, domains)
    if target.exists():
        raise Conflict(f"{target} exists already; nothing was written")
    if find_spec(name):
        raise SettingsError(f"there is a module {name!r} already, which the app would hide; choose another name")
    target.mkdir(parents=True)
    return [_write(target, name, parts, text) for parts, text in _texts(files(__package__) / "template", ())]


def _check_name(name: str, domains: Collection[str]) -> None:
    if not APP.match(name) or keyword.iskeyword(name):
        raise SettingsError(f"{name!r} cannot name a package; take letters, digits and _, such as my_notes")
    if name in domains:
        raise SettingsError(f"the domain {name!r} is ClaudeBench's; choose another name, such as my_{name}")
    if name in TAKEN | sys.stdlib_module_names:
        raise SettingsError(f"{name!r} is a module of Python or of ours; choose another name, such as my_{name}")


def _texts(folder: Traversable, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for each in sorted(folder.iterdir(), key=lambda found: found.name):
        if each.is_dir():
            yield from _texts(each, (*above, each.name))
        elif each.name.endswith(SUFFIX):
            yield (*above, each.name.removesuffix(SUFFIX)), each.read_text(encoding="utf-8")


def _write(target: Path, name: str, parts: tuple[str, ...], text: str) -> Path:
    path = target.joinpath(*(name if part == PACKAGE else part for part in parts))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Template(text).substitute(name=name), encoding="utf-8")
    return path
