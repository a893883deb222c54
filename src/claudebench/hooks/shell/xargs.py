"""`xargs`: the words that it reads are the command's last ones, or stand where -I says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.paths import SOME
from claudebench.hooks.shell.limits import LOOP_VALUES_MAX
from claudebench.hooks.shell.parts import Parts, Word
from claudebench.hooks.shell.peeling import first_operand, inside
from claudebench.hooks.shell.shells import SHELLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudebench.hooks.shell.walk import Walk

_FROM_FILE = re.compile(r"-[0rtxpo]*a|--arg-file")
_DELIMITER = re.compile(r"-[0rtxpo]*d|--delimiter")
_NUL = re.compile(r"-[rtxpo]*0[rtxpo]*|--null")
_QUOTED = re.compile(r"""'[^'\n]*'|"[^"\n]*"|\\.""", re.DOTALL)
_LISTS = re.compile(
    r"(ls|fd|fdfind|git ls-files|find(?! .*-(exec|printf|fprint))|(grep|rg) -\w*l)( |$)"
    r"|(sort|uniq|head|tail)( -\S+| \d+)*$",
    re.DOTALL,
)
_NAME = "_name_of_a_file_"
_TAKE_NAMES = frozenset({
    "wc", "cat", "head", "tail", "echo", "ls", "stat", "file", "grep", "du", "test", "[", "basename", "dirname",
    "md5sum", "sha256sum", "diff", "sort", "cut", "jq",
})  # fmt: skip
_ITEM = re.compile(r"""(?:'[^'\n]*'|"[^"\n]*"|\\.|[^\s'"\\])+""", re.DOTALL)


def xargs(walk: Walk, parts: Parts) -> None:
    """Follow the command that `xargs` makes of its words and of what it reads."""
    at = first_operand(walk, parts)
    options = [word.text for word in parts.words[1:at]]
    words = parts.words[at:]
    if not words:
        return
    place = _place(options)
    given = _given(options, (parts.stdin or walk.scope.stdin).text, by_line=bool(place))
    if given is not None and len(given) > LOOP_VALUES_MAX:
        walk.found.doubt("xargs runs more commands than are followed")
    rest = parts if any(_FROM_FILE.match(option) for option in options) else parts.without_input()
    rest = replace(rest, open_ended=given is None and not place)
    if place and given is None and _gets_names(walk, parts, options):
        _with_names(walk, rest, words, place)
    elif place:
        for one in given[:LOOP_VALUES_MAX] if given is not None else [None]:
            inside(walk, rest, [_placed(word, place, one, words[0].text) for word in words], "xargs")
    else:
        _check_code(walk, words, given)
        inside(walk, rest, [*words, *map(Word, given or ())], "xargs")


def _gets_names(walk: Walk, parts: Parts, options: Sequence[str]) -> bool:
    """Whether what it reads are names of files that another command lists."""
    source = (parts.stdin or walk.scope.stdin).source
    lists = [_LISTS.match(" ".join(command.words)) for command in walk.found.commands[slice(*source)]]
    return bool(lists) and all(lists) and not any(_FROM_FILE.match(option) for option in options)


def _with_names(walk: Walk, parts: Parts, words: Sequence[Word], place: str) -> None:
    """Follow a command that has the name of a file in a word; in a text for a shell that may be no program."""
    if words[0].text not in SHELLS:
        inside(walk, parts, [_placed(word, place, None, words[0].text) for word in words], "xargs")
        return
    first = len(walk.found.commands) + 1
    inside(walk, parts, [replace(word, text=word.text.replace(place, _NAME)) for word in words], "xargs")
    for command in walk.found.commands[first:]:
        if _NAME in " ".join(command.words) and (command.program not in _TAKE_NAMES or _NAME in command.words[0]):
            walk.found.doubt("xargs gives a shell text that is only known when it runs")


def _given(options: Sequence[str], text: str | None, *, by_line: bool) -> list[str] | None:
    """Return the items that xargs makes of a text, or None when nobody knows them."""
    if text is None or any(_FROM_FILE.match(option) or _DELIMITER.match(option) for option in options):
        return None
    if any(_NUL.fullmatch(option) for option in options):
        return [text]
    if any(quote in _QUOTED.sub("", text) for quote in ("'", '"')):
        return None
    lines = text.split("\n") if by_line else [text]
    items = [_unquoted(item) for line in lines for item in ([line.lstrip()] if by_line else _ITEM.findall(line))]
    return [item for item in items if item] if by_line else items


def _unquoted(item: str) -> str:
    return _QUOTED.sub(lambda match: match[0][1:] if match[0][0] == "\\" else match[0][1:-1], item)


def _place(options: Sequence[str]) -> str:
    """Return the text that -I, -i or --replace asks to be replaced."""
    for at, option in enumerate(options):
        if option == "-I":
            return options[at + 1] if at + 1 < len(options) else ""
        if option.startswith("-I"):
            return option[2:]
        if option.startswith("-i"):
            return option[2:] or "{}"
        if option.startswith("--replace"):
            return option.partition("=")[2] or "{}"
    return ""


def _placed(word: Word, place: str, item: str | None, program: str) -> Word:
    """What xargs puts in a word may not be known. In a text for a shell the place stays, to be judged as a name."""
    if place not in word.text:
        return word
    if item is not None:
        return replace(word, text=word.text.replace(place, item))
    text = word.text if program in SHELLS else word.text.replace(place, SOME)
    return replace(word, text=text, sure=False)


def _check_code(walk: Walk, words: Sequence[Word], given: Sequence[str] | None) -> None:
    """A shell under xargs runs what is read: `xargs sh -c` without a text of its own, a wrapper without a command."""
    if words[-1].text in ("-c", "eval") and (given is None or len(given) != 1):
        walk.found.doubt("xargs gives a shell text that is only known when it runs")
