"""Programs with a way of their own to be told what to run: `parallel`, `tmux`, `screen`, `at`, `vim`."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.shell.limits import LOOP_VALUES_MAX
from claudebench.hooks.shell.peeling import first_operand, inside, wrapper
from claudebench.hooks.shell.shells import nest, reads_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.hooks.shell.parts import Parts
    from claudebench.hooks.shell.walk import Walk

_PLACE = re.compile(r"\{[^{}\s]*\}")
_KEYS = {"Enter": "\n", "C-m": "\n", "C-j": "\n", "KPEnter": "\n", "Space": " ", "Tab": " "}
_KEY = re.compile(r"[CMS]-.|F\d+|Escape|BSpace|BTab|Up|Down|Left|Right|Home|End|DC|IC|NPage|PPage|PageUp|PageDown")
_TMUX_VALUES = frozenset({"-t", "-s", "-n", "-c", "-e", "-x", "-y", "-F", "-N", "-l", "-p", "-L", "-S", "-f", "-T"})
_TYPES = ("send-keys", "send")
_STARTS = frozenset({
    "new-session", "new", "new-window", "neww", "split-window", "splitw", "respawn-pane", "respawnp", "respawn-window",
    "respawnw", "run-shell", "run", "if-shell", "if", "display-popup", "popup", "pipe-pane", "pipep",
})  # fmt: skip
_LISTS = re.compile(r"-[lrdcfV]")


def parallel(walk: Walk, parts: Parts) -> None:
    """`parallel command ::: items`: the command is a shell line with an item in it; without a command, each item is."""
    words = [word.text for word in parts.words[first_operand(walk, parts) :]]
    cut = next((at for at, word in enumerate(words) if word.startswith(":::")), None)
    line = " ".join(words[:cut])
    items = [word for word in words[cut:] if not word.startswith(":::")] if cut is not None else _read(walk, parts)
    if len(items) > LOOP_VALUES_MAX:
        walk.found.doubt("parallel runs more commands than are followed")
    if not line and not items:
        walk.found.doubt("parallel runs lines that are only known when it runs")
    for item in items[:LOOP_VALUES_MAX]:
        nest(walk, _with_item(line, item), parts.without_input())
    if not items and line:
        nest(walk, line, parts.without_input())


def _read(walk: Walk, parts: Parts) -> list[str]:
    return ((parts.stdin or walk.scope.stdin).text or "").splitlines()


def _with_item(line: str, item: str) -> str:
    if not line:
        return item
    quoted = shlex.quote(item)
    return _PLACE.sub(lambda _: quoted, line) if _PLACE.search(line) else f"{line} {quoted}"


def tmux(walk: Walk, parts: Parts) -> None:
    """`tmux`: what is typed into a shell by `send-keys`, and what a new window runs."""
    words = [*parts.words[1:], replace(parts.words[0], text=";")]
    start = 0
    for at, word in enumerate(words):
        if word.text.endswith(";") and len(word.text) <= 2:  # noqa: PLR2004 - with a backslash
            _tmux_command(walk, parts, [one.text for one in words[start:at]])
            start = at + 1


def _tmux_command(walk: Walk, parts: Parts, words: Sequence[str]) -> None:
    verb = next((at for at, word in enumerate(words) if word in _STARTS or word in _TYPES), None)
    if verb is None:
        return
    at = verb + 1
    types = words[verb] in _TYPES
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _TMUX_VALUES and not (types and words[at] == "-l") else 1
    if types:
        nest(walk, "".join(_KEYS.get(word, word) for word in words[at:] if not _KEY.fullmatch(word)), parts)
    elif words[at:]:
        nest(walk, " ".join(words[at:]), parts)


def flock(walk: Walk, parts: Parts) -> None:
    """`flock FILE -c 'line'`: the option may stand behind the file."""
    texts = [word.text for word in parts.words]
    at = next((at for at, text in enumerate(texts) if text in ("-c", "--command")), len(texts))
    for line in texts[at + 1 : at + 2]:
        nest(walk, line, parts)
    if at == len(texts):
        wrapper(walk, parts)


def ssh(walk: Walk, parts: Parts) -> None:
    """`ssh HOST command`; without a command a shell there runs what it reads."""
    wrapper(walk, parts)
    if len(parts.words) <= first_operand(walk, parts) + 1:
        reads_code(walk, parts)


def screen(walk: Walk, parts: Parts) -> None:
    """`screen -dm command`, `screen -X stuff 'typed text'`."""
    texts = [word.text for word in parts.words]
    if "stuff" in texts:
        typed = " ".join(texts[texts.index("stuff") + 1 :])
        nest(walk, re.sub(r"\^M|\\n|\\r|\\015|\r", "\n", typed), parts)
    elif "-X" in texts:
        rest = texts.index("-X") + 2
        inside(walk, parts, parts.words[rest:] if texts[rest - 1 : rest] in (["exec"], ["screen"]) else (), "screen")
    else:
        inside(walk, parts, parts.words[first_operand(walk, parts) :], "screen")


def at(walk: Walk, parts: Parts) -> None:
    """`at`, `batch`: what they read is run later by a shell."""
    if not any(_LISTS.match(word.text) for word in parts.words[1:]):
        reads_code(walk, parts)


def vim(walk: Walk, parts: Parts) -> None:
    """`vim -c ':!command'`, and lines that it reads: what stands behind the first `!` is run by a shell."""
    texts = [word.text for word in parts.words[1:]]
    commands = [value for option, value in pairwise(texts) if option in ("-c", "--cmd")]
    typed = [
        line for line in ((parts.stdin or walk.scope.stdin).text or "").splitlines() if line.lstrip(": ")[:1] == "!"
    ]
    for command in commands + typed + [text[1:] for text in texts if text.startswith("+")]:
        if "!" in command:
            nest(walk, command.partition("!")[2], parts)
        if re.search(r"\b(system|systemlist|py3?|python3?|perl|ruby|lua|execute|term|terminal)\b", command):
            walk.found.doubt("an editor runs code")
