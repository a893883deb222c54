"""Command lines with the decision that each must get, as TOML: `[[stop]]` and `[[pass]]` tables.

A line under `stop` must be denied or asked (which of them, where `expect` says so), one under `pass` allowed.
"""

from __future__ import annotations

import tomllib

import msgspec

from claudebench.errors import SettingsError, nearest
from claudebench.hooks.model import Verdict

CASES_MAX = 100_000
STOPPED: tuple[Verdict, ...] = ("deny", "ask")


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line: what must be decided about it and why; the folder it runs in, if that matters."""

    line: str
    expect: Verdict | None = None
    why: str = ""
    cwd: str | None = None


class Wanted(msgspec.Struct, frozen=True):
    """A case and the decisions that are right for it."""

    case: Case
    right: tuple[Verdict, ...]


class _Corpus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stop: tuple[Case, ...] = ()
    pass_: tuple[Case, ...] = msgspec.field(default=(), name="pass")


def read(text: str, file: str) -> list[Wanted]:
    """Return the cases of one TOML text; a SettingsError names the file, the place and the key that is wrong."""
    try:
        corpus = msgspec.convert(tomllib.loads(text), _Corpus)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file}: {error}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {error}{_hint(str(error))}") from error
    wanted = [_wanted(case, STOPPED) for case in corpus.stop] + [_wanted(case, ("allow",)) for case in corpus.pass_]
    if not wanted or len(wanted) > CASES_MAX:
        raise SettingsError(f"{file}: needs 1 to {CASES_MAX} [[stop]] or [[pass]] tables, has {len(wanted)}")
    return wanted


def _wanted(case: Case, usual: tuple[Verdict, ...]) -> Wanted:
    return Wanted(case, (case.expect,) if case.expect else usual)


def _hint(message: str) -> str:
    """Return the nearest known key when the message quotes an unknown one."""
    known = ("stop", "pass", *Case.__struct_fields__, "deny", "ask", "allow", "rewrite")
    quoted = message.split("`")[1] if "unknown field" in message else message.partition("enum value '")[2].split("'")[0]
    like = nearest(quoted, known) if quoted else None
    return f"; did you mean {like!r}?" if like else ""
