"""Secrets in what is shown: values that are obviously secret become `***` before a reason is stored or told.

Only what says itself that it is a secret is found: by the name before it, by its place in a URL or a header, by the
prefix of a well-known kind of token. A word that merely is a password cannot be told from any other word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.hooks import expressions
from claudebench.telemetry.secret import MASK
from claudebench.telemetry.secret import NAME as _NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Every expression takes linear time: it begins only where a name or a URL begins, and never looks far ahead.
_VALUE = r"""(?:\\?"[^"]*"?|'[^']*'?|[^\s"'&;|<>,)}]+)"""
_NAMED = re.compile(rf"(?<![\w-])({_NAME}\\?[\"']?\s?[:=]\s?){_VALUE}", re.IGNORECASE)
_OPTION = re.compile(rf"(?<![\w-])(--{_NAME}\s){_VALUE}", re.IGNORECASE)
_SCHEME = re.compile(r"(?<!\w)((?:proxy-)?authorization\s?[:=]\s?[\"']?)[^\"'\r\n]+", re.IGNORECASE)
_BEARER = re.compile(r"(?<!\w)(bearer\s)[\w.~+/=-]{4,}", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^/\s:@]*:)[^/\s]+@")
_MYSQL = re.compile(r"(?<!\w)((?:mysql|mariadb)[\w-]{0,16}\s(?:[^|;&\n]{0,200}\s)?-p)[^\s\"';|&]+")
_PAIR = re.compile(
    r"(?<!\w)(curl\s(?:[^|;&\n]{0,200}\s)?(?:-u|-U|--user|--proxy-user)\s?[\"']?[^\s:\"']{1,64}:)[^\s\"']+"
)
_SHORT = re.compile(r"(?<!\w)(sshpass\s-p\s?|(?:redis|valkey)-cli\s(?:[^|;&\n]{0,200}\s)?-a\s)[^\s\"';|&]+")
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(?:gh[pousr]_|github_pat_|glpat-|sk-|xox[abeprs]-|AKIA|ASIA|npm_|pypi-)[\w-]{16,}"
)
# Every text that one of the above changes holds one of these.
_HINT = (
    r"(?i)pass|token|secret|apikey|[_-](?:key|pwd|auth|credential)|authorization|bearer|://[^/\s:@]*:|mysql|mariadb|curl"
    r"|-cli|gh[pousr]_|github_pat_|glpat-|sk-|xox|AKIA|ASIA|npm_|pypi-"
)
_WHOLE_WORD = re.compile(rf"(-{{0,2}}{_NAME}=).+", re.IGNORECASE | re.DOTALL)
_WHOLE_OPTION = re.compile(rf"--{_NAME}", re.IGNORECASE)

# Programs with a short option for a password: glued to it, as the next word, or behind a name and a colon.
_ATTACHED = dict.fromkeys(("mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "mariadb-dump"), "-p")
_SEPARATE = {"sshpass": ("-p",), "redis-cli": ("-a",), "valkey-cli": ("-a",), "login": ("-p",)}
_PAIRS = {"curl": ("-u", "--user", "-U", "--proxy-user")}


def masked(text: str) -> str:
    """Return the text with the values of its obvious secrets as `***`."""
    if not expressions.found(_HINT, text):
        return text
    text = _SCHEME.sub(rf"\1{MASK}", text)
    text = _BEARER.sub(rf"\1{MASK}", text)
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    for option in (_MYSQL, _PAIR, _SHORT, _OPTION):
        text = option.sub(rf"\1{MASK}", text)
    text = _NAMED.sub(_named, text)
    return _KNOWN.sub(MASK, text)


def _named(found: re.Match[str]) -> str:
    return found[0] if found[0].endswith(MASK) else f"{found[1]}{MASK}"


def masked_words(words: Sequence[str]) -> Iterator[str]:
    """Yield the words of one simple command, masked: a word's quotes are gone, so its value is the whole rest."""
    program = before = ""
    for word in words:
        yield _masked_word(word, before, program)
        program = _program(word, before) or program
        before = word


def _program(word: str, before: str) -> str | None:
    """Return the program that a word names, behind a wrapper too, if it has a short option for a password."""
    name = word.rpartition("/")[2]
    if name == "login":  # elsewhere docker's -p is a port
        return name if before.endswith(("docker", "podman")) else None
    return name if name in _ATTACHED or name in _SEPARATE or name in _PAIRS else None


def _masked_word(word: str, before: str, program: str) -> str:
    if _WHOLE_OPTION.fullmatch(before) and not word.startswith("-"):
        return MASK
    if whole := _WHOLE_WORD.fullmatch(word):
        return f"{whole[1]}{MASK}"
    return _by_program(word, before, program) or masked(word)


def _by_program(word: str, before: str, program: str) -> str | None:
    """Return the word masked where its program makes it a password, else None."""
    if before in _SEPARATE.get(program, ()):
        return MASK
    if before in _PAIRS.get(program, ()) and ":" in word:
        return f"{word.partition(':')[0]}:{MASK}"
    attached = (_ATTACHED.get(program), *_SEPARATE.get(program, ()))
    option = next((each for each in attached if each and word.startswith(each) and word != each), None)
    return f"{option}{MASK}" if option else None
