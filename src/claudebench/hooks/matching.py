"""Does one table of a rule fit: a simple command, a file that is about to be written, the parameters of a tool."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from claudebench.hooks import expressions
from claudebench.hooks.arguments import Arguments, read_arguments
from claudebench.hooks.hosts import hosts_in, hosts_of_words
from claudebench.hooks.paths import PathClass, Places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from claudebench.hooks.model import ToolCall
    from claudebench.hooks.shell import Command, Script

Words = tuple[str, ...]
Classes = tuple[PathClass, ...]

GLOBS_KEPT_MAX = 1_000
_INTERPRETERS = frozenset(
    ["sh", "bash", "zsh", "dash", "ksh", "fish", "source", ".", "python", "perl", "ruby", "node", "php", "bun", "pwsh"]
)
_BEFORE_PATH = re.compile("[@=]")
_BUCKETS = ("s3://", "gs://")  # name no host
_SAVES_IN = re.compile(r"--output(?:-document)?(?:=(.*))?|-[A-Za-z#]*?[oO](.*)", re.DOTALL)


class CommandMatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one simple command must look like."""

    program: Words = ()  # names of programs, globs allowed
    verb: Words = ()  # its first operands, globs allowed: "push" of git, "* delete" of gh
    values: Words = ()  # options whose next word is their value and no operand
    flags: Words = ()  # each is there; alternatives of one stand in it, separated by spaces
    without: Words = ()  # options none of which is there
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
    within: Classes = ()  # the directory that it runs in lies there
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

    paths: Classes = ()  # it lies there
    like: Words = ()  # globs on the absolute path
    unlike: Words = ()  # globs on the absolute path that must not fit
    text: str | None = None  # a regular expression found in what is written


class CallMatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the parameters of a tool must look like."""

    hosts: Words = ()  # a URL in them names such a host, globs allowed
    text: str | None = None  # a regular expression found in one of their texts


class Line:
    """The script of one line where its paths lie, with what was once found out of its commands."""

    def __init__(self, script: Script, places: Places) -> None:
        self.script = script
        self.places = places
        self._arguments: dict[tuple[Words, Words, bool], Arguments] = {}

    def arguments(self, command: Command, values: Words, *, own: bool) -> Arguments:
        """Return the options and operands of a command of the line, sorted once for all tables."""
        key = (command.words, values, own)
        found = self._arguments.get(key)
        if found is None:
            found = self._arguments[key] = read_arguments(command.words, values, own=own)
        return found

    def touches(self, wanted: Classes, path: str, command: Command) -> bool:
        """Whether a path, as the command sees it, is of one of these classes."""
        return not self.places.classes(path, command.directory).isdisjoint(wanted)


Condition = Callable[[CommandMatch, "Command", Line], object]


def conditions_of(match: CommandMatch) -> tuple[Condition, ...]:
    """Return the conditions of a table that say anything, the cheap ones first; all of them must hold."""
    return tuple(holds for names, holds in CONDITIONS if any(_is_given(getattr(match, name)) for name in names))


def _is_given(value: object) -> bool:
    return value is not False and value not in ((), "", None)


def fits_command(match: CommandMatch, conditions: Sequence[Condition], command: Command, line: Line) -> bool:
    """Whether a simple command of a line fits a table whose conditions these are."""
    for holds in conditions:  # noqa: SIM110 - a generator costs more than most conditions
        if not holds(match, command, line):
            return False
    return True


def _may_fit(match: CommandMatch, words: Sequence[str]) -> bool:
    """Tell cheaply that every option is missing."""
    return not match.flags or any(word[:1] == "-" for word in words)


def _fits_words(match: CommandMatch, command: Command, line: Line) -> bool:
    if not _may_fit(match, command.words):
        return False
    found = line.arguments(command, match.values, own=match.own)
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
    return not match.paths or _points(match, command, operands, line)


def _verb_length(verbs: Words, operands: Sequence[str]) -> int:
    """Return how many operands the verb takes that fits, or 0."""
    if operands and operands[0] in verbs:
        return 1
    for verb in verbs:
        parts = verb.split()
        if len(parts) <= len(operands) and all(map(fnmatchcase, operands, parts)):
            return len(parts)
    return 0


def _fits_options(match: CommandMatch, found: Arguments) -> bool:
    """Whether every entry of `flags` is there, and nothing of `without`."""
    return all(any(found.has(one, abbreviated=True) for one in entry.split()) for entry in match.flags) and not any(
        found.has(one, abbreviated=False) for one in match.without
    )


def _points(match: CommandMatch, command: Command, operands: Sequence[str], line: Line) -> bool:
    if match.prefix:
        operands = [word[len(match.prefix) :] for word in command.words[1:] if word.startswith(match.prefix)]
    if match.last:
        operands = operands[-1:]
    return any(line.touches(match.paths, word, command) for word in operands)


def _runs_itself(_match: CommandMatch, command: Command, _line: Line) -> bool:
    return command.recursive


def _is_wrapped(match: CommandMatch, command: Command, _line: Line) -> bool:
    return not set(command.wrappers).isdisjoint(match.wrapped)


def _is_unwrapped(match: CommandMatch, command: Command, _line: Line) -> bool:
    return set(command.wrappers).isdisjoint(match.unwrapped)


def _writes(match: CommandMatch, command: Command, line: Line) -> bool:
    return any(each.writes and line.touches(match.writes, each.target, command) for each in command.redirects)


def _runs_within(match: CommandMatch, command: Command, line: Line) -> bool:
    return bool(command.directory) and line.touches(match.within, ".", command)


def _saves(_match: CommandMatch, command: Command, _line: Line) -> bool:
    return any(r.writes and not r.target.isdigit() and not r.target.startswith("/dev/") for r in command.redirects)


def _assigns(match: CommandMatch, command: Command, _line: Line) -> bool:
    return any(fnmatchcase(f"{name}={value}", one) for name, value in command.assignments for one in match.assigns)


def _runs_output(match: CommandMatch, command: Command, line: Line) -> bool:
    start, end = command.code_from
    return any(one.program in match.output_of for one in line.script.commands[start:end])


def _names_hosts(match: CommandMatch, command: Command, _line: Line) -> bool:
    return _names_host(match.hosts, hosts_of_words(command.words))


def _holds_text(match: CommandMatch, command: Command, _line: Line) -> bool:
    pattern = match.text or ""
    return expressions.found(pattern, " ".join(command.words)) or (
        bool(command.stdin) and expressions.found(pattern, str(command.stdin))
    )


def _names_others(match: CommandMatch, command: Command, _line: Line) -> bool:
    return not _only_names(match.except_hosts, command.words)


def _carries(match: CommandMatch, command: Command, line: Line) -> bool:
    inputs = (redirect.target for redirect in command.redirects if not redirect.writes)
    return _names_path(match.carries, command, match.values, line) or any(
        line.touches(match.carries, each, command) for each in inputs
    )


def _sources(command: Command, line: Line) -> Iterator[Command]:
    """Yield the commands whose output it gets: by a pipe, a substitution, a variable, or a file that they wrote."""
    yield from _printed_by(command, line.script)
    for writer in _writers(command, line):
        yield writer
        yield from _printed_by(writer, line.script)


def _printed_by(command: Command, script: Script) -> Iterator[Command]:
    for span in (command.upstream, command.inner, *command.drawn):
        yield from script.commands[slice(*span)]


def _writers(command: Command, line: Line) -> Iterator[Command]:
    """Yield the commands before it that write a file which it names."""
    writers = [one for one in _before(command, line.script) if any(r.writes for r in one.redirects)]
    if not writers:
        return
    absolute = line.places.absolute
    named = {absolute(path, command.directory) for path in _named(command)}
    for one in writers:
        if any(r.writes and absolute(r.target, one.directory) in named for r in one.redirects):
            yield one


def _named(command: Command) -> Iterator[str]:
    yield from (_BEFORE_PATH.split(word)[-1] for word in command.words[1:])
    yield from (redirect.target for redirect in command.redirects if not redirect.writes)


def _before(command: Command, script: Script) -> tuple[Command, ...]:
    return script.commands[: next((at for at, one in enumerate(script.commands) if one is command), 0)]


def _gets(match: CommandMatch, command: Command, line: Line) -> bool:
    return any(_names_path(match.reads, one, (), line) for one in _sources(command, line))


def _gets_from(match: CommandMatch, command: Command, line: Line) -> bool:
    told = [" ".join((one.program, *one.words[1:])) for one in _sources(command, line)]
    return any(fnmatchcase(each, one) for each in told for one in match.gets)


def _runs_fetched(match: CommandMatch, command: Command, line: Line) -> bool:
    ran = _file_run(command)
    if not ran:
        return False
    programs, script, absolute = match.fetched_by, line.script, line.places.absolute
    path = absolute(ran, command.directory)
    return any(
        path == absolute(name, one.directory)
        for one in _before(command, script)
        if one.program in programs or any(each.program in programs for each in _printed_by(one, script))
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


def _names_path(wanted: Classes, command: Command, values: Words, line: Line) -> bool:
    skip = False
    for word in command.words[1:]:
        if skip or word in values:
            skip = not skip
            continue
        path = _BEFORE_PATH.split(word)[-1]
        if ("/" in path or "." in path or "id_" in path or path[:1] == "~") and line.touches(wanted, path, command):
            return True
    return any(line.touches(wanted, each.target, command) for each in command.redirects)


CONDITIONS: tuple[tuple[Words, Condition], ...] = (
    (("recursive",), _runs_itself),
    (("wrapped",), _is_wrapped),
    (("unwrapped",), _is_unwrapped),
    (("writes",), _writes),
    (("within",), _runs_within),
    (("saves",), _saves),
    (("assigns",), _assigns),
    (("output_of",), _runs_output),
    (("verb", "flags", "without", "paths", "operands", "operands_max"), _fits_words),
    (("hosts",), _names_hosts),
    (("text",), _holds_text),
    (("except_hosts",), _names_others),
    (("carries",), _carries),
    (("reads",), _gets),
    (("gets",), _gets_from),
    (("fetched_by",), _runs_fetched),
)


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
    fits = _any_of(wanted).match
    return any(fits(host) for host in hosts)


@lru_cache(maxsize=GLOBS_KEPT_MAX)
def _any_of(globs: Words) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, globs)))


def _only_names(wanted: Words, words: tuple[str, ...]) -> bool:
    """Whether the URLs of a command, or else the hosts that it names without a scheme, are all of these."""
    words = tuple(word for word in words if not word.startswith(_BUCKETS))
    bare = hosts_of_words(tuple(word for word in words if not word.startswith("-")))
    named = list(hosts_in(words)) or [host for host in bare if "." in host or host in wanted]
    return bool(named) and all(_names_host(wanted, [host]) for host in named)
