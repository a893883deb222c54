"""Quoting: characters that lost their meaning to a quote are marked, so that what expands later lets them be."""

from __future__ import annotations

import re
import sys

from claudebench.hooks.paths import UNKNOWN

_SPECIAL = "{},*?[]~ \t\n"
_QUOTED = {ord(char): 0x10F000 + ord(char) for char in _SPECIAL}
_QUOTED_BRACES = {ord(char): _QUOTED[ord(char)] for char in "{},"}
_UNQUOTED = {code: char for char, code in _QUOTED.items()}
_MARKED_TILDE = chr(_QUOTED[ord("~")])
_ANSI = re.compile(r"\\(x\{|x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{1,4}|U[0-9A-Fa-f]{1,8}|[0-7]{1,3}|c.|.)", re.DOTALL)
_ECHO_QUOTE = re.compile(r"""((?<!\\)(?:\\\\)*)\\(['"?])""")
_ECHO_OCTAL = re.compile(r"((?<!\\)(?:\\\\)*)\\0([0-7]{0,3})")
_ANSI_NAMED = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def quoted(text: str) -> str:
    """Return the text with every special character marked."""
    return text.translate(_QUOTED)


def quoted_braces(text: str) -> str:
    """Return the text of an unquoted expansion: its words split and its globs hold, but its braces do nothing."""
    return text.translate(_QUOTED_BRACES)


def quoted_value(value: str) -> str:
    """Return the value of a variable in double quotes; a leading tilde stays: only we write a home that way."""
    return value.translate(_QUOTED)[:1].replace(_MARKED_TILDE, "~") + value[1:].translate(_QUOTED)


def unquoted(raw: str) -> str:
    """Return the text without marks; a quoted tilde at its start is a file of that name."""
    text = raw.translate(_UNQUOTED)
    return f"./{text}" if raw[:1] == _MARKED_TILDE else text


def decode_ansi(text: str) -> str:
    r"""Return what the inside of $'...' stands for: \x41, \101, \n and the rest."""
    return _ANSI.sub(lambda match: _ansi_char(match[1]), text)


def decode_echo(text: str) -> str:
    r"""Return what `echo -e` and `%b` make of a text: octal is \0101 there, a quote keeps its backslash."""
    text = _ECHO_QUOTE.sub(lambda match: f"{match[1]}\\\\{match[2]}", text)
    return decode_ansi(_ECHO_OCTAL.sub(lambda match: f"{match[1]}\\{int(match[2] or '0', 8) & 0xFF:03o}", text))


def _ansi_char(code: str) -> str:
    if code == "x{":
        return UNKNOWN
    if code[0] in "xuU" and len(code) > 1:
        value = int(code[1:], 16)
        return chr(value) if value <= sys.maxunicode else UNKNOWN
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    if code[0] == "c" and len(code) > 1:
        return chr(ord(code[1]) & 0x1F)
    return _ANSI_NAMED.get(code, code if code in "\\'\"?" else "\\" + code)
