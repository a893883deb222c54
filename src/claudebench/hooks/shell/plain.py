"""Lines without anything to expand, read without a tree: plain and quoted words, `&& || ; |`, redirections of output.

What is not surely such a line is left to the tree; what is, comes out the same.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from claudebench.hooks.shell.commands import RESERVED, run
from claudebench.hooks.shell.limits import NODES_MAX
from claudebench.hooks.shell.model import Redirect
from claudebench.hooks.shell.parts import Parts, Word
from claudebench.hooks.shell.pipelines import joined_by, piped

if TYPE_CHECKING:
    from claudebench.hooks.shell.walk import Walk

_CHARS = r"A-Za-z0-9_./:=,@%+^~*?-"
_TOKEN = re.compile(
    rf"(?:((?:[{_CHARS}]|{{}})+|\\;)|'([^'\x00-\x1f\x7f]*)'|\"([^\"$`\\!\x00-\x1f\x7f]*)\"|[12]?(>>?)([{_CHARS}]+)?"
    r"|[12]?>(&[12])|(&&|\|\||;|\|))(?: +|$|(?=;))"
)
_WORD, _SINGLE, _DOUBLE, _OPERATOR, _TARGET, _COPY, _JOINT = range(1, 8)
_OWN_SYNTAX = RESERVED | {"declare", "typeset", "export", "readonly", "local", "unset", "unsetenv", "coproc"}


class _List(msgspec.Struct):
    """Commands by the operators before them: a new pipeline at all but `|`."""

    joints: list[str]
    commands: list[Parts]


def read_plain(walk: Walk) -> bool:
    """Run a line that is plain throughout; return whether it is."""
    if not walk.ascii or len(walk.plain) > NODES_MAX:
        return False
    found = _tokens(walk.plain)
    if found is None:
        return False
    if len(found.commands) == 1:
        run(walk, found.commands[0])
        return True
    at, end = 0, len(found.commands)
    while at < end:
        joint, start = found.joints[at], at
        at += 1
        while at < end and found.joints[at] == "|":
            at += 1
        members = [partial(run, walk, parts) for parts in found.commands[start:at]]
        if joint == ";" and walk.maybe:
            walk.settle()
        joined_by(walk, joint, partial(piped, walk, members))
    return True


def _tokens(line: str) -> _List | None:
    """Return the commands of a plain line, or None when it is not plain."""
    parts = Parts()
    found = _List([""], [parts])
    at, redirect = 0, ""
    while at < len(line):
        match = _TOKEN.match(line, at)
        if match is None:
            return None
        kind = match.lastindex or 0
        text = match[kind]
        if kind == _JOINT:
            if not parts.words or redirect:
                return None
            if text == ";" and match.end() == len(line):
                break
            parts = Parts()
            found.joints.append(text)
            found.commands.append(parts)
        elif kind <= _DOUBLE and not redirect:
            if not parts.words and (kind != _WORD or "=" in text or "{" in text or text in _OWN_SYNTAX):
                return None
            parts.words.append(Word(_meant(text, quoted=kind != _WORD), at))
        elif not parts.words or (redirect and kind != _WORD):
            return None
        elif kind == _OPERATOR:
            redirect = text
        else:
            copies = kind == _COPY
            operator = redirect or (">&" if copies else match[_OPERATOR])
            parts.redirects.append(Redirect(operator, text[1:] if copies else text))
            redirect = ""
        at = match.end()
    return None if redirect or not parts.words else found


def _meant(text: str, *, quoted: bool) -> str:
    if quoted and text[:1] == "~":
        return f"./{text}"
    return ";" if text == "\\;" and not quoted else text
