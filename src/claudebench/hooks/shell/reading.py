"""Reads a line: once as it is written, and once more with its lines joined where a backslash splits a word."""

from __future__ import annotations

from msgspec.structs import replace

from claudebench.hooks.shell.functions import walk_uncalled
from claudebench.hooks.shell.grammar import GRAMMAR
from claudebench.hooks.shell.limits import JOINS_MAX, LINE_BYTES_MAX
from claudebench.hooks.shell.model import Script
from claudebench.hooks.shell.plain import read_plain
from claudebench.hooks.shell.residue import has_control, is_split, joined
from claudebench.hooks.shell.scope import Scope
from claudebench.hooks.shell.walk import Found, Walk


def parse(line: str) -> Script:
    """Return every simple command that `line` would run, and the reasons for doubt."""
    source = line.encode("utf-8", "surrogatepass")
    if len(source) > LINE_BYTES_MAX:
        return Script((), (f"it is longer than {LINE_BYTES_MAX} bytes",))
    if source.count(b"\\\n") > JOINS_MAX:
        return Script((), ("it joins more lines than are followed",))
    found = Found()
    _read(line, source, found)
    if b"\\\n" in source and is_split(line):
        whole = joined(line)
        again = Found(nodes=found.nodes, steps=found.steps, chars=found.chars)
        _read(whole, whole.encode("utf-8", "surrogatepass"), again)
        found = _both(found, again)
    return Script(tuple(found.commands), tuple(found.unsure))


def _read(line: str, source: bytes, found: Found) -> None:
    if has_control(line):
        found.doubt("it holds control characters")
        if "\0" in line:
            return
    try:
        walk = Walk(source, found, Scope(), GRAMMAR)
        if not read_plain(walk):
            walk.script()
        walk_uncalled(found)
    except RecursionError:
        found.doubt("it is nested or repeated too often")
    finally:
        found.functions.clear()  # they hold the walk that holds them, and with it the tree


def _both(first: Found, whole: Found) -> Found:
    """Unite two readings: as written, and with the lines joined. They must tell the same story."""
    bare = [[word.replace("\\\n", "") for word in command.words] for command in first.commands]
    if bare != [list(command.words) for command in whole.commands]:
        first.doubt("a backslash at the end of a line splits a word")
    first.commands += [replace(c, prefixes=tuple((name, None) for name, _ in c.prefixes)) for c in whole.commands]
    first.unsure.update(whole.unsure)
    return first
