"""Which tables of the rules may fit a command at all: by its program, by its verb, by what it bears."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claudebench.hooks.globs import Globs, globs_of
from claudebench.hooks.matching import GLOB, conditions_of, fits_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from claudebench.hooks.matching import CommandMatch, Condition, Line
    from claudebench.hooks.rules import Rule
    from claudebench.hooks.shell import Command

PROGRAMS_KEPT_MAX = 1_000
MARKS: dict[str, Callable[[Command], object]] = {
    "writes": lambda command: command.redirects,
    "saves": lambda command: command.redirects,
    "wrapped": lambda command: command.wrappers,
    "output_of": lambda command: command.code_from[1],
    "recursive": lambda command: command.recursive,
    "assigns": lambda command: command.assignments,
}


class Table(NamedTuple):
    """One `[[rule.command]]` with its place among all, its rule and what it asks."""

    place: int
    rule: Rule
    match: CommandMatch
    conditions: tuple[Condition, ...]


class _Tables:
    """The tables of one program: those of a verb are asked only of a command that has the verb's first word."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self._any: list[Table] = []
        self._by_word: dict[str, list[Table]] = {}
        for table in tables:
            firsts = {verb.split()[0] for verb in table.match.verb}
            if not firsts or any(not GLOB.isdisjoint(first) for first in firsts):
                self._any.append(table)
                continue
            for first in firsts:
                self._by_word.setdefault(first, []).append(table)

    def about(self, command: Command) -> Iterator[Table]:
        """Yield those that may fit, in no order; one whose verbs begin with several words may come twice."""
        yield from self._any
        for word in self._by_word.keys() & command.words:
            yield from self._by_word[word]


class CommandIndex:
    """All tables on commands, asked by a command."""

    def __init__(self, tables: Iterable[tuple[Rule, CommandMatch]]) -> None:
        """Take them in the order of the files."""
        self._named: dict[str, list[Table]] = {}
        self._globbed: list[tuple[Globs, Table]] = []
        self._marked: dict[
            str, tuple[Callable[[Command], object], list[Table]]
        ] = {}  # for any program that redirects, is wrapped ...
        self._general: list[Table] = []
        self._kept: dict[str, _Tables] = {}
        for place, (rule, match) in enumerate(tables):
            self._add(Table(place, rule, match, conditions_of(match)))
        self._weight = sum(globs.weight for globs, _ in self._globbed)
        self._fixed = (len(self._globbed) >> 4) + sum(globs.fixed for globs, _ in self._globbed)

    def _add(self, table: Table) -> None:
        match = table.match
        for name in match.program:
            if GLOB.isdisjoint(name):
                self._named.setdefault(name, []).append(table)
        globs = globs_of(tuple(name for name in match.program if not GLOB.isdisjoint(name)))
        if globs.any:
            self._globbed.append((globs, table))
        if not match.program:
            mark = next((mark for mark in MARKS if getattr(match, mark)), None)
            (self._marked.setdefault(mark, (MARKS[mark], []))[1] if mark else self._general).append(table)

    def fitting(self, command: Command, line: Line) -> list[Rule]:
        """Return the rule of every table that fits a command of the line, in the order of the files."""
        line.steps.search(self._weight, command.program, self._fixed)
        tables = list(self._about(command))
        line.steps.spend(len(tables))
        found = {}
        for table in tables:
            if fits_command(table.match, table.conditions, command, line):
                found[table.place] = table.rule
        return [found[place] for place in sorted(found)] if found else []

    def names(self, program: str) -> bool:
        """Tell whether a table asks of this very program."""
        return program in self._named

    def _about(self, command: Command) -> Iterator[Table]:
        yield from self._of(command.program).about(command)
        for bears, tables in self._marked.values():
            if bears(command):
                yield from tables
        yield from self._general

    def _of(self, program: str) -> _Tables:
        found = self._kept.get(program)
        if found is None:
            globbed = (table for globs, table in self._globbed if globs.fit(program))
            found = _Tables([*self._named.get(program, ()), *globbed])
            if len(self._kept) < PROGRAMS_KEPT_MAX:
                self._kept[program] = found
        return found
