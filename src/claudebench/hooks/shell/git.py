"""`git`: settings, options and verbs whose value is a command line."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.paths import relative_to
from claudebench.hooks.shell.shells import nest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from claudebench.hooks.shell.parts import Parts
    from claudebench.hooks.shell.walk import Walk

_RUNS = re.compile(
    r"core\.(pager|editor|sshcommand|fsmonitor|askpass|gitproxy)|sequence\.editor|pager\..+|diff\.external"
    r"|diff\..+\.(command|textconv)|merge\..+\.driver|filter\..+\.(clean|smudge|process)|(diff|merge)tool\..+\.cmd"
    r"|gpg\.(.+\.)?program|interactive\.difffilter|uploadpack\.packobjectshook|trailer\..+\.(cmd|command)"
    r"|(browser|man)\..+\.cmd|sendemail\.(smtpserver|tocmd|cccmd)|remote\..+\.(uploadpack|receivepack)",
    re.IGNORECASE,
)
_RUNS_MARKED = re.compile(r"alias\..+|credential\.(.+\.)?helper|submodule\..+\.update", re.IGNORECASE)  # behind a "!"
_OPTIONS: dict[str, tuple[str, ...]] = {
    "rebase": ("-x", "--exec"),
    "difftool": ("-x", "--extcmd"),
    "grep": ("-O", "--open-files-in-pager"),
    "clone": ("-u", "--upload-pack"),
    "fetch": ("--upload-pack",),
    "pull": ("--upload-pack",),
    "ls-remote": ("--upload-pack", "--exec"),
    "push": ("--receive-pack", "--exec"),
    "archive": ("--exec",),
    "filter-branch": (
        "--tree-filter", "--index-filter", "--msg-filter", "--env-filter", "--commit-filter", "--parent-filter",
        "--tag-name-filter", "--setup",
    ),
}  # fmt: skip
_TREE = "GIT_WORK_TREE"
_VALUES = frozenset({"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--super-prefix", "--config-env"})


def git(walk: Walk, parts: Parts) -> None:
    """Follow every command line that `git` is given."""
    texts = [word.text for word in parts.words]
    at = _verb(texts)
    name, rest = (texts[at], texts[at + 1 :]) if at < len(texts) else ("", [])
    with walk.inside_directory(_directory(walk, parts, texts[1:at])):
        if walk.found.commands[-1].words == tuple(texts):
            walk.found.commands[-1] = replace(walk.found.commands[-1], directory=walk.scope.directory)
        for key, value in _settings(texts[1:at], name, rest):
            _set(walk, parts, key, value)
        for line in _lines(name, rest):
            nest(walk, line, parts)


def _directory(walk: Walk, parts: Parts, options: Sequence[str]) -> str | None:
    """Return where `git` works: `-C dir`, then `--work-tree dir` or the variable of that name."""
    found, tree = "", _tree_of_environment(walk, parts)
    for option, value in pairwise([*options, ""]):
        if option == "-C":
            found = relative_to(found, value)
        elif option == "--work-tree":
            tree = value
        elif option.startswith("--work-tree="):
            tree = option.partition("=")[2]
    return (relative_to(found, tree) if tree else found) or None


def _tree_of_environment(walk: Walk, parts: Parts) -> str:
    given = dict([*(parts.environment or ()), *parts.assignments])
    exported = _TREE in walk.scope.exported and parts.environment is not None
    return given.get(_TREE) or (walk.scope.value(_TREE).text if exported else "")


def _verb(texts: Sequence[str]) -> int:
    at = 1
    while at < len(texts) and texts[at].startswith("-"):
        at += 2 if texts[at] in _VALUES else 1
    return at


def _settings(options: Sequence[str], name: str, rest: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each setting: of `-c name=value` and of `git config name value`."""
    for option, value in pairwise([*options, ""]):
        if option == "-c":
            yield value.partition("=")[0], value.partition("=")[2]
    for option, value in pairwise(rest):
        if name == "clone" and option in ("-c", "--config"):
            yield value.partition("=")[0], value.partition("=")[2]
        elif name == "config":
            yield option, value


def _set(walk: Walk, parts: Parts, key: str, value: str) -> None:
    if _RUNS_MARKED.fullmatch(key) and value.startswith("!"):
        nest(walk, value[1:], parts)
    elif key.lower().startswith("alias.") and value:
        nest(walk, f"git {value}", parts)
    elif _RUNS.fullmatch(key) and value:
        nest(walk, value, parts)


def _lines(name: str, rest: Sequence[str]) -> Iterator[str]:
    """Yield the command lines among the words behind the verb."""
    if name == "bisect" and rest[:1] == ["run"]:
        yield " ".join(rest[1:])
    if name == "submodule" and "foreach" in rest:
        yield " ".join(word for word in rest[rest.index("foreach") + 1 :] if word != "--recursive")
    for option in _OPTIONS.get(name, ()):
        for at, word in enumerate(rest):
            if word == option and at + 1 < len(rest):
                yield rest[at + 1]
            elif word.startswith(f"{option}=" if option.startswith("--") else option):
                yield word[len(option) :].removeprefix("=")
    yield from (word.removeprefix("ext::") for word in rest if word.startswith("ext::"))
