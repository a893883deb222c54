"""Does one table of a rule fit: a simple command, a file that is about to be written, the parameters of a tool."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from claudebench.hooks import expressions
from claudebench.hooks.arguments import Arguments, read_arguments
from claudebench.hooks.globs import Globs, globs_of
from claudebench.hooks.hosts import hosts_in, hosts_of_words
from claudebench.hooks.paths import PathClass, Places
from claudebench.hooks.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from claudebench.hooks.model import ToolCall
    from claudebench.hooks.shell import Command, Script

Words = tuple[str, ...]
Classes = tuple[PathClass, ...]

VERBS_KEPT_MAX = 4_096
FEW = 8  # words are part of the step that their table costs
GLOB = frozenset("*?[")
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
    """The script of one line where its paths lie, with what was once found out of its commands, and the steps left."""

    def __init__(self, script: Script, places: Places) -> None:
        self.script = script
        self.places = places
        self.steps = Steps()
        self._places: dict[int, int] | None = None
        self._arguments: dict[tuple[int, Words, bool], Arguments] = {}
        self._sources: dict[int, list[Command]] = {}
        self._hosts: dict[int, list[str]] = {}
        self._said: dict[int, str] = {}
        self._writing: list[Command] | None = None

    def arguments(self, command: Command, values: Words, *, own: bool) -> Arguments:
        """Return the options and operands of a command of the line, sorted once for all tables."""
        key = (id(command), values, own)
        found = self._arguments.get(key)
        if found is None:
            if len(command.words) >= FEW:
                self.steps.spend(len(command.words) >> 3)
            found = self._arguments[key] = read_arguments(command.words, values, own=own)
        return found

    def touches(self, wanted: Classes, path: str, command: Command) -> bool:
        """Whether a path, as the command sees it, is of one of these classes."""
        return not self.places.classes(path, command.directory).isdisjoint(wanted)

    def fits(self, globs: Globs, text: str) -> bool:
        """Whether one of some globs fits a text."""
        if globs.weight or globs.fixed:
            self.steps.search(globs.weight, text, globs.fixed)
        return globs.fit(text)

    def finds(self, pattern: str, text: str) -> bool:
        """Whether an expression matches somewhere in a text."""
        self.steps.search(expressions.weight(pattern), text)
        return expressions.found(pattern, text)

    def hosts(self, command: Command) -> list[str]:
        """Return the hosts that a command names."""
        found = self._hosts.get(id(command))
        if found is None:
            found = self._hosts[id(command)] = list(hosts_of_words(command.words))
        self.steps.spend(len(found))
        return found

    def said(self, command: Command) -> str:
        """Return a command as `gets` names it."""
        found = self._said.get(id(command))
        if found is None:
            found = self._said[id(command)] = " ".join((command.program, *command.words[1:]))
        return found

    def sources(self, command: Command) -> list[Command]:
        """Return the commands whose output it gets: by a pipe, a substitution, a variable, a file they wrote."""
        found = self._sources.get(id(command))
        if found is None:
            found = self._sources[id(command)] = list(_sources(command, self))
        self.steps.spend(len(found))
        return found

    def before(self, command: Command) -> tuple[Command, ...]:
        """Return the commands before one of the line."""
        return self.script.commands[: self._place(command)]

    def writers_before(self, command: Command) -> list[Command]:
        """Return the commands before one of the line that write a file."""
        if self._writing is None:
            self._writing = [one for one in self.script.commands if any(r.writes for r in one.redirects)]
        place = self._place(command)
        found = [one for one in self._writing if self._place(one) < place]
        self.steps.spend(len(found))
        return found

    def _place(self, command: Command) -> int:
        if self._places is None:
            self._places = {id(one): at for at, one in enumerate(self.script.commands)}
        return self._places.get(id(command), 0)


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
        length = _verb_length(match.verb, operands, line)
        if not length:
            return False
        operands = operands[length:]
    if (match.flags or match.without) and not _fits_options(match, found, line):
        return False
    if match.operands_max is not None and len(operands) > match.operands_max:
        return False
    if match.operands and not _is_operand(match.operands, operands, line):
        return False
    return not match.paths or _points(match, command, operands, line)


def _is_operand(pattern: str, operands: Sequence[str], line: Line) -> bool:
    weight = expressions.weight(pattern)
    for one in operands:
        line.steps.search(weight, one)
        if expressions.whole(pattern, one):
            return True
    return False


def _verb_length(verbs: Words, operands: Sequence[str], line: Line) -> int:
    """Return how many operands the verb takes that fits, or 0."""
    if operands and operands[0] in verbs:
        return 1
    several = _several(verbs)
    if several:
        line.steps.spend(2 * len(several))
    for parts in several:
        if len(parts) <= len(operands) and all(map(line.fits, parts, operands)):
            return len(parts)
    return 0


@lru_cache(maxsize=VERBS_KEPT_MAX)
def _several(verbs: Words) -> tuple[tuple[Globs, ...], ...]:
    """Return the verbs that are more than one plain word."""
    parts = (verb.split() for verb in verbs)
    return tuple(
        tuple(globs_of((one,)) for one in verb) for verb in parts if len(verb) > 1 or not GLOB.isdisjoint(verb[0])
    )


def _fits_options(match: CommandMatch, found: Arguments, line: Line) -> bool:
    """Whether every entry of `flags` is there, and nothing of `without`."""
    line.steps.spend((len(match.flags) + len(match.without)) * (1 + (len(found.options) >> 3)) >> 1)
    return all(any(found.has(one, abbreviated=True) for one in entry.split()) for entry in match.flags) and not any(
        found.has(one, abbreviated=False) for one in match.without
    )


def _points(match: CommandMatch, command: Command, operands: Sequence[str], line: Line) -> bool:
    if match.prefix:
        operands = [word[len(match.prefix) :] for word in command.words[1:] if word.startswith(match.prefix)]
    if match.last:
        operands = operands[-1:]
    if len(operands) >= FEW:
        line.steps.spend(len(operands))
    return any(line.touches(match.paths, word, command) for word in operands)


def _runs_itself(_match: CommandMatch, command: Command, _line: Line) -> bool:
    return command.recursive


def _is_wrapped(match: CommandMatch, command: Command, _line: Line) -> bool:
    return not set(command.wrappers).isdisjoint(match.wrapped)


def _is_unwrapped(match: CommandMatch, command: Command, _line: Line) -> bool:
    return set(command.wrappers).isdisjoint(match.unwrapped)


def _writes(match: CommandMatch, command: Command, line: Line) -> bool:
    if len(command.redirects) >= FEW:
        line.steps.spend(len(command.redirects))
    return any(each.writes and line.touches(match.writes, each.target, command) for each in command.redirects)


def _runs_within(match: CommandMatch, command: Command, line: Line) -> bool:
    return bool(command.directory) and line.touches(match.within, ".", command)


def _saves(_match: CommandMatch, command: Command, _line: Line) -> bool:
    return any(r.writes and not r.target.isdigit() and not r.target.startswith("/dev/") for r in command.redirects)


def _assigns(match: CommandMatch, command: Command, line: Line) -> bool:
    globs = globs_of(match.assigns)
    return any(line.fits(globs, f"{name}={value}") for name, value in command.assignments)


def _runs_output(match: CommandMatch, command: Command, line: Line) -> bool:
    start, end = command.code_from
    line.steps.spend(end - start)
    return any(one.program in match.output_of for one in line.script.commands[start:end])


def _names_hosts(match: CommandMatch, command: Command, line: Line) -> bool:
    return _names_host(match.hosts, line.hosts(command), line.steps)


def _holds_text(match: CommandMatch, command: Command, line: Line) -> bool:
    pattern = match.text or ""
    return line.finds(pattern, " ".join(command.words)) or (
        bool(command.stdin) and line.finds(pattern, str(command.stdin))
    )


def _names_others(match: CommandMatch, command: Command, line: Line) -> bool:
    return not _only_names(match.except_hosts, command.words, line.steps)


def _carries(match: CommandMatch, command: Command, line: Line) -> bool:
    inputs = (redirect.target for redirect in command.redirects if not redirect.writes)
    return _names_path(match.carries, command, match.values, line) or any(
        line.touches(match.carries, each, command) for each in inputs
    )


def _sources(command: Command, line: Line) -> Iterator[Command]:
    yield from _printed_by(command, line.script)
    for writer in _writers(command, line):
        yield writer
        yield from _printed_by(writer, line.script)


def _printed_by(command: Command, script: Script) -> Iterator[Command]:
    for span in (command.upstream, command.inner, *command.drawn):
        yield from script.commands[slice(*span)]


def _writers(command: Command, line: Line) -> Iterator[Command]:
    """Yield the commands before it that write a file which it names."""
    writers = line.writers_before(command)
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


def _gets(match: CommandMatch, command: Command, line: Line) -> bool:
    return any(_names_path(match.reads, one, (), line) for one in line.sources(command))


def _gets_from(match: CommandMatch, command: Command, line: Line) -> bool:
    globs = globs_of(match.gets)
    return any(line.fits(globs, line.said(one)) for one in line.sources(command))


def _runs_fetched(match: CommandMatch, command: Command, line: Line) -> bool:
    ran = _file_run(command)
    if not ran:
        return False
    absolute = line.places.absolute
    path = absolute(ran, command.directory)
    return any(
        path == absolute(name, one.directory)
        for one in line.before(command)
        if _fetches(match.fetched_by, one, line)
        for name in _saved(one)
    )


def _fetches(programs: Words, command: Command, line: Line) -> bool:
    """Whether a command is one of these programs, or gets the output of one; what it saves is looked at next."""
    printed = list(_printed_by(command, line.script))
    line.steps.spend(1 + len(printed))
    if command.program not in programs and not any(each.program in programs for each in printed):
        return False
    line.steps.spend(len(command.words))
    return True


def _file_run(command: Command) -> str:
    """Return the file that a command runs: the program by its path, or the script of an interpreter."""
    if (command.program.rstrip("0123456789.") or command.program) in _INTERPRETERS:
        return next((word for word in command.words[1:] if not word.startswith("-")), "")
    return command.words[0] if command.words and "/" in command.words[0] else ""


def _saved(command: Command) -> Iterator[str]:
    """Yield what may be the name of a file that a command saves what it gets in; more than these do no harm."""
    yield from (redirect.target for redirect in command.redirects if redirect.writes)
    for word, after in zip(command.words[1:], (*command.words[2:], ""), strict=False):
        option = _SAVES_IN.fullmatch(word)
        if option:
            yield option[1] or option[2] or after
        elif command.program == "tee":
            yield word
        else:
            yield word.partition("?")[0].rstrip("/").rpartition("/")[2]


def _names_path(wanted: Classes, command: Command, values: Words, line: Line) -> bool:
    skip = False
    line.steps.spend(len(command.words) + len(command.redirects) >> 1)
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


def fits_file(match: FileMatch, path: str, content: str, places: Places, steps: Steps) -> bool:
    """Whether every condition of the table holds for a file."""
    steps.spend(1)
    if match.paths and places.classes(path).isdisjoint(match.paths):
        return False
    if match.like and not _is_like(match.like, path, places, steps):
        return False
    if match.unlike and _is_like(match.unlike, path, places, steps):
        return False
    return not match.text or _holds(match.text, content, steps)


def _is_like(wanted: Words, path: str, places: Places, steps: Steps) -> bool:
    globs, absolute = globs_of(wanted), places.absolute(path)
    steps.search(globs.weight, absolute, globs.fixed)
    return globs.fit(absolute)


def _holds(pattern: str, text: str, steps: Steps) -> bool:
    steps.search(expressions.weight(pattern), text)
    return expressions.found(pattern, text)


class Told:
    """The texts in the parameters of a call and the hosts in them, found once for all tables, and the steps left."""

    def __init__(self, call: ToolCall) -> None:
        self.steps = Steps()
        self.texts = call.texts
        self._hosts: list[str] | None = None

    @property
    def hosts(self) -> list[str]:
        """The hosts of the URLs in the texts."""
        if self._hosts is None:
            self._hosts = list(hosts_in(self.texts))
        self.steps.spend(len(self._hosts))
        return self._hosts


def fits_call(match: CallMatch, told: Told) -> bool:
    """Whether every condition of the table holds for the parameters of a tool."""
    told.steps.spend(1)
    return (not match.hosts or _names_host(match.hosts, told.hosts, told.steps)) and (
        not match.text or any(_holds(match.text, text, told.steps) for text in told.texts)
    )


def _names_host(wanted: Words, hosts: Iterable[str], steps: Steps) -> bool:
    globs = globs_of(wanted)
    for host in hosts:
        steps.search(globs.weight, host, globs.fixed)
        if globs.fit(host):
            return True
    return False


def _only_names(wanted: Words, words: tuple[str, ...], steps: Steps) -> bool:
    """Whether the URLs of a command, or else the hosts that it names without a scheme, are all of these."""
    steps.spend(len(words))
    words = tuple(word for word in words if not word.startswith(_BUCKETS))
    bare = hosts_of_words(tuple(word for word in words if not word.startswith("-")))
    named = list(hosts_in(words)) or [host for host in bare if "." in host or host in wanted]
    return bool(named) and all(_names_host(wanted, [host], steps) for host in named)
