"""Does one table of a rule fit: a simple command, a file that is about to be written, the parameters of a tool."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from claudebench.hooks import expressions
from claudebench.hooks.hosts import hosts_in, hosts_of_words
from claudebench.hooks.paths import PathClass, Places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from claudebench.hooks.model import ToolCall
    from claudebench.hooks.shell import Command, Script

Words = tuple[str, ...]
Classes = tuple[PathClass, ...]

_INTERPRETERS = frozenset(
    ["sh", "bash", "zsh", "dash", "ksh", "fish", "source", ".", "python", "perl", "ruby", "node", "php", "bun", "pwsh"]
)
_BUCKETS = ("s3://", "gs://")  # name no host
_SAVES_IN = re.compile(r"--output(?:-document)?(?:=(.*))?|-[A-Za-z#]*?[oO](.*)", re.DOTALL)


class CommandMatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one simple command must look like."""

    program: Words = ()  # names of programs, globs allowed
    verb: Words = ()  # its first operands, globs allowed: "push" of git, "* delete" of gh
    values: Words = ()  # options whose next word is their value and no operand
    flags: Words = ()
    without: Words = ()
    own: bool = False  # judge only the words before its first operand: the options of sudo, not those of what it runs
    operands: str | None = None  # a regular expression that one operand matches as a whole
    operands_max: int | None = None  # at most so many, the verb not counted
    prefix: str = ""  # judge only words that begin so, without it: "of=" of dd
    last: bool = False  # judge only the last operand: where cp copies to
    paths: Classes = ()  # an operand points there
    carries: Classes = ()  # any word, also behind "@" or "=", or its input, points there
    reads: Classes = ()  # a command whose output it gets names such a path
    gets: Words = ()  # a command whose output it gets is one of these, globs allowed: "gh auth token*"
    writes: Classes = ()  # a redirection writes there
    saves: bool = False  # a redirection writes some file
    output_of: Words = ()  # it runs the output of one of these programs as code
    assigns: Words = ()  # it sets such a variable, globs allowed: "HISTSIZE=0"
    fetched_by: Words = ()  # it runs a file that one of these programs wrote earlier in the line
    wrapped: Words = ()  # it stands behind one of these
    unwrapped: Words = ()  # it stands behind none of these
    hosts: Words = ()  # a word names such a host, globs allowed
    except_hosts: Words = ()  # not if it names such hosts and no other, globs allowed
    text: str | None = None  # a regular expression found in its words or in what it reads
    recursive: bool = False  # a function that starts itself, in a pipeline or in the background


class FileMatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file that is about to be written must look like."""

    paths: Classes = ()
    like: Words = ()  # globs on the absolute path
    unlike: Words = ()  # globs on the absolute path that must not fit
    text: str | None = None  # a regular expression found in what is written


class CallMatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the parameters of a tool must look like."""

    hosts: Words = ()  # a URL in them names such a host, globs allowed
    text: str | None = None  # a regular expression found in one of their texts


class _Arguments(msgspec.Struct):
    """The words of a command behind its name, sorted into options and operands."""

    letters: set[str]
    options: set[str]
    operands: list[str]


def _arguments(words: Sequence[str], values: Sequence[str], *, own: bool) -> _Arguments:
    found = _Arguments(set(), set(), [])
    rest = iter(words[1:])
    for word in rest:
        if word == "--":
            found.operands += rest
        elif not word.startswith("-") or word == "-":
            if own:
                break
            found.operands.append(word)
        else:
            _option(word, values, found)
            if word in values:
                next(rest, None)
    return found


def _option(word: str, values: Sequence[str], found: _Arguments) -> None:
    """Note an option; what stands behind the letter of one that takes a value is that value, no more letters."""
    found.options.add(word.partition("=")[0])
    if word.startswith("--") or word in values:
        found.letters.update(word[1:] if len(word) == 2 else "")  # noqa: PLR2004 - a dash and a letter
        return
    for letter in word[1:]:
        found.letters.add(letter)
        if f"-{letter}" in values:
            return


def _has(flag: str, found: _Arguments, *, abbreviated: bool) -> bool:
    if len(flag) == 2:  # noqa: PLR2004 - a dash and a letter
        return flag[1] in found.letters
    if flag in found.options:
        return True
    return abbreviated and flag.startswith("--") and any(len(o) > 4 and flag.startswith(o) for o in found.options)  # noqa: PLR2004


def fits_command(match: CommandMatch, command: Command, script: Script, places: Places) -> bool:
    """Whether every condition of the table holds; the cheap ones are asked first."""
    return (
        (not match.recursive or command.recursive)
        and (not match.wrapped or not set(command.wrappers).isdisjoint(match.wrapped))
        and (not match.unwrapped or set(command.wrappers).isdisjoint(match.unwrapped))
        and (not match.writes or _writes(match.writes, command, places))
        and (not match.saves or _saves(command))
        and (not match.assigns or _assigns(match.assigns, command))
        and (not match.output_of or _runs_output(match.output_of, command, script))
        and (not _asks_words(match) or _fits_words(match, command, places))
        and (not match.hosts or _names_host(match.hosts, hosts_of_words(command.words)))
        and (not match.text or _holds_text(match.text, command))
        and not (match.except_hosts and _only_names(match.except_hosts, command.words))
        and (not match.carries or _carries(match, command, places))
        and (not match.reads or _gets(match.reads, command, script, places))
        and (not match.gets or _gets_from(match.gets, command, script))
        and (not match.fetched_by or _runs_fetched(match.fetched_by, command, script, places))
    )


def _asks_words(match: CommandMatch) -> bool:
    return bool(
        match.verb or match.flags or match.without or match.paths or match.operands or match.operands_max is not None
    )


def _may_fit(match: CommandMatch, words: Sequence[str]) -> bool:
    """Tell cheaply that a verb or every option is missing."""
    if match.verb and not any(verb in words or not _is_word(verb) for verb in match.verb):
        return False
    return not match.flags or any(word[:1] == "-" for word in words)


def _fits_words(match: CommandMatch, command: Command, places: Places) -> bool:
    if not _may_fit(match, command.words):
        return False
    found = _arguments(command.words, match.values, own=match.own)
    operands = found.operands
    if match.verb:
        length = _verb_length(match.verb, operands)
        if not length:
            return False
        operands = operands[length:]
    if not _fits_options(match, found):
        return False
    if match.operands_max is not None and len(operands) > match.operands_max:
        return False
    if match.operands and not any(expressions.whole(match.operands, one) for one in operands):
        return False
    return not match.paths or _points(match, command, operands, places)


@lru_cache(maxsize=4096)
def _is_word(verb: str) -> bool:
    """Whether a verb is one word without globs."""
    return not any(char in verb for char in " *?[")


def _verb_length(verbs: Words, operands: Sequence[str]) -> int:
    """Return how many operands the verb takes that fits, or 0."""
    if operands and operands[0] in verbs:
        return 1
    for verb in verbs:
        parts = verb.split()
        if len(parts) <= len(operands) and all(map(fnmatchcase, operands, parts)):
            return len(parts)
    return 0


def _fits_options(match: CommandMatch, found: _Arguments) -> bool:
    """Whether every entry of `flags` is there, and nothing of `without`."""
    return all(any(_has(one, found, abbreviated=True) for one in entry.split()) for entry in match.flags) and not any(
        _has(one, found, abbreviated=False) for one in match.without
    )


def _points(match: CommandMatch, command: Command, operands: Sequence[str], places: Places) -> bool:
    if match.prefix:
        operands = [word[len(match.prefix) :] for word in command.words[1:] if word.startswith(match.prefix)]
    if match.last:
        operands = operands[-1:]
    return any(not places.classes(word, command.directory).isdisjoint(match.paths) for word in operands)


def _writes(wanted: Classes, command: Command, places: Places) -> bool:
    return any(
        redirect.writes and not places.classes(redirect.target, command.directory).isdisjoint(wanted)
        for redirect in command.redirects
    )


def _assigns(wanted: Words, command: Command) -> bool:
    return any(fnmatchcase(f"{name}={value}", one) for name, value in command.assignments for one in wanted)


def _saves(command: Command) -> bool:
    return any(r.writes and not r.target.isdigit() and not r.target.startswith("/dev/") for r in command.redirects)


def _runs_output(programs: Words, command: Command, script: Script) -> bool:
    start, end = command.code_from
    return any(one.program in programs for one in script.commands[start:end])


def _holds_text(pattern: str, command: Command) -> bool:
    return expressions.found(pattern, " ".join(command.words)) or expressions.found(pattern, command.stdin or "")


def _carries(match: CommandMatch, command: Command, places: Places) -> bool:
    named = _names_path(match.carries, command, match.values, places)
    inputs = [r.target for r in command.redirects if not r.writes]
    return named or any(not places.classes(one, command.directory).isdisjoint(match.carries) for one in inputs)


def _sources(command: Command, script: Script) -> tuple[Command, ...]:
    """Return the commands whose output it gets."""
    return (*script.commands[slice(*command.upstream)], *script.commands[slice(*command.inner)])


def _gets(wanted: Classes, command: Command, script: Script, places: Places) -> bool:
    return any(_names_path(wanted, one, (), places) for one in _sources(command, script))


def _gets_from(wanted: Words, command: Command, script: Script) -> bool:
    lines = [" ".join((one.program, *one.words[1:])) for one in _sources(command, script)]
    return any(fnmatchcase(line, one) for line in lines for one in wanted)


def _runs_fetched(programs: Words, command: Command, script: Script, places: Places) -> bool:
    ran = _file_run(command)
    if not ran:
        return False
    path = places.absolute(ran, command.directory)
    before = script.commands[: next(at for at, one in enumerate(script.commands) if one is command)]
    return any(
        path == places.absolute(name, one.directory)
        for one in before
        if one.program in programs or any(each.program in programs for each in _sources(one, script))
        for name in _saved(one)
    )


def _file_run(command: Command) -> str:
    """Return the file that a command runs: the program by its path, or the script of an interpreter."""
    if (command.program.rstrip("0123456789.") or command.program) in _INTERPRETERS:
        return next((word for word in command.words[1:] if not word.startswith("-")), "")
    return command.words[0] if command.words and "/" in command.words[0] else ""


def _saved(command: Command) -> Iterator[str]:
    """Yield what may be the name of a file that a command saves what it gets in; more than these do no harm."""
    yield from (redirect.target for redirect in command.redirects if redirect.writes)
    for word, after in zip(command.words[1:], (*command.words[2:], ""), strict=True):
        option = _SAVES_IN.fullmatch(word)
        if option:
            yield option[1] or option[2] or after
        elif command.program == "tee":
            yield word
        else:
            yield word.partition("?")[0].rstrip("/").rpartition("/")[2]


def _names_path(wanted: Classes, command: Command, values: Words, places: Places) -> bool:
    skip = False
    for word in command.words[1:]:
        if skip or word in values:
            skip = not skip
            continue
        path = re.split(r"[@=]", word)[-1]
        if ("/" in path or "." in path or "id_" in path) and not places.classes(path, command.directory).isdisjoint(
            wanted
        ):
            return True
    return any(not places.classes(r.target, command.directory).isdisjoint(wanted) for r in command.redirects)


def fits_file(match: FileMatch, path: str, content: str, places: Places) -> bool:
    """Whether every condition of the table holds for a file."""
    if match.paths and places.classes(path).isdisjoint(match.paths):
        return False
    if match.like and not _is_like(match.like, path, places):
        return False
    if match.unlike and _is_like(match.unlike, path, places):
        return False
    return not match.text or expressions.found(match.text, content)


def _is_like(wanted: Words, path: str, places: Places) -> bool:
    return any(fnmatchcase(places.absolute(path), one) for one in wanted)


def fits_call(match: CallMatch, call: ToolCall) -> bool:
    """Whether every condition of the table holds for the parameters of a tool."""
    return (not match.hosts or _names_host(match.hosts, hosts_in(call.texts))) and (
        not match.text or any(expressions.found(match.text, text) for text in call.texts)
    )


def _names_host(wanted: Words, hosts: Iterable[str]) -> bool:
    return any(fnmatchcase(host, one) for host in hosts for one in wanted)


def _only_names(wanted: Words, words: tuple[str, ...]) -> bool:
    """Whether the URLs of a command, or else the hosts that it names without a scheme, are all of these."""
    words = tuple(word for word in words if not word.startswith(_BUCKETS))
    bare = hosts_of_words(tuple(word for word in words if not word.startswith("-")))
    named = list(hosts_in(words)) or [host for host in bare if "." in host or host in wanted]
    return bool(named) and all(_names_host(wanted, [host]) for host in named)
