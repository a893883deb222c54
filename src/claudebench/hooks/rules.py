"""Rules as data: what a rule says, and a set of them, asked by the name of a program or of a tool.

A rule has `[[rule.command]]` tables (one of them must fit one simple command of a line), `[[rule.file]]` tables (for
tools that write files) or `[[rule.call]]` tables (for the parameters of any other tool); one with `tools` and no table
fits every call of these tools. Inside a table everything that is given must hold; inside a list one entry is enough,
but for `flags`, where each entry must hold and offers its alternatives separated by spaces ("-r -R --recursive").
"""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from claudebench.hooks.globs import globs_of
from claudebench.hooks.handed import handed
from claudebench.hooks.index import CommandIndex
from claudebench.hooks.matching import CallMatch, CommandMatch, FileMatch, Line, Told, fits_call, fits_file
from claudebench.hooks.model import FailMode, Severity
from claudebench.hooks.steps import Steps, TooManySteps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from claudebench.hooks.model import ToolCall
    from claudebench.hooks.paths import Places
    from claudebench.hooks.shell import Command, Script  # noqa: TC004 - a hit is never decoded

HANDED = "a program that may run its words as a command is handed this one:"
NAMES_KEPT_MAX = 1_000
RuleAction = Literal["deny", "ask", "rewrite", "warn"]
Words = tuple[str, ...]
_Kept = TypeVar("_Kept")


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule. The reason tells the agent what to do instead; `fail_mode` decides when nothing can be recorded."""

    id: str  # unique among all files in force
    severity: Severity  # the most severe of equally strict ones is answered
    action: RuleAction  # deny, ask, rewrite (takes away what `wrapped` names) or warn
    reason: str  # why, and what to do instead
    tools: Words = ()  # only these tools, globs allowed; empty: every tool of its kind
    command: tuple[CommandMatch, ...] = ()  # one of these fits a simple command of the line
    file: tuple[FileMatch, ...] = ()  # one of these fits a file that is written
    call: tuple[CallMatch, ...] = ()  # one of these fits the parameters of the tool
    fail_mode: FailMode | None = None  # what is decided when nothing can be recorded

    def covers(self, tool: str) -> bool:
        """Whether the rule is meant for this tool."""
        return not self.tools or globs_of(tuple(map(str.lower, self.tools))).fit(tool.lower())

    @property
    def whole_tools(self) -> bool:
        """Whether it fits every call of its tools."""
        return not (self.command or self.file or self.call)


class Hit(msgspec.Struct, frozen=True):
    """A rule that fits, and the command that it fits."""

    rule: Rule
    command: Command | None = None


TOO_MUCH = Rule(
    id="too-much",
    severity="medium",
    action="ask",
    reason="this call and the rules in force are together more than the guard may look at; split it into several.",
)


class RuleSet:
    """Rules in the order of their files, and the hooks that are switched off. `version` names exactly this content.

    A set with `trouble` (what could not be read) lets nothing pass unasked: what that file forbids is not known.
    """

    def __init__(self, rules: Sequence[Rule], trouble: str = "", hooks_off: frozenset[str] = frozenset()) -> None:
        self.rules = tuple(rules)
        self.trouble = trouble
        self.hooks_off = hooks_off
        content = (self.rules, trouble, sorted(hooks_off))
        self.version = hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:12]
        self._commands = CommandIndex((rule, match) for rule in self.rules for match in rule.command)
        self._by_tool: dict[tuple[str, bool], list[Rule]] = {}
        self._files = [(rule, match) for rule in self.rules for match in rule.file]
        self._calls = [rule for rule in self.rules if rule.call or rule.whole_tools]

    def on_script(self, script: Script, places: Places, tool: str = "Bash") -> list[Hit]:
        """Return every rule that fits a command of the script."""
        line = Line(script, places)
        return _counted(chain(self._hits(script.commands, line, tool), self._handed(script, line, tool)))

    def _hits(self, commands: Iterable[Command], line: Line, tool: str) -> Iterator[Hit]:
        for command in commands:
            for rule in self._commands.fitting(command, line):
                if rule.covers(tool):
                    yield Hit(rule, command)

    def _handed(self, script: Script, line: Line, tool: str) -> Iterator[Hit]:
        """Yield what would be denied among the words of programs that may run them, as something to ask about."""
        commands = list(handed(script, self._commands.names))
        for hit in self._hits(commands, line, tool):
            if hit.rule.action == "deny":
                reason = f"{HANDED} {hit.rule.reason}"
                yield Hit(msgspec.structs.replace(hit.rule, action="ask", reason=reason), hit.command)

    def on_file(self, path: str, content: str, places: Places, tool: str = "Write") -> list[Hit]:
        """Return every rule that fits a file that is about to be written."""
        steps = Steps()
        return _counted(
            Hit(rule)
            for rule, match in self._files
            if fits_file(match, path, content, places, steps) and rule.covers(tool)
        )

    def on_call(self, call: ToolCall, *, other: bool) -> list[Hit]:
        """Return every rule that fits the tool or its parameters; `other`: it is neither a shell nor a writer."""
        candidates = self._about(call.tool, other=other) if self._calls else []
        if not candidates:
            return []
        told = Told(call)
        return _counted(
            Hit(rule) for rule in candidates if rule.whole_tools or any(fits_call(m, told) for m in rule.call)
        )

    def asks_about(self, tool: str, *, other: bool) -> bool:
        """Whether any rule may have something to say of a tool by its name or its parameters."""
        return bool(self.trouble or (self._calls and self._about(tool, other=other)))

    def _about(self, tool: str, *, other: bool) -> list[Rule]:
        found = self._by_tool.get((tool, other))
        if found is None:
            covering = [rule for rule in self._calls if (rule.tools or other) and rule.covers(tool)]
            found = _keep(self._by_tool, (tool, other), covering)
        return found


def _counted(hits: Iterator[Hit]) -> list[Hit]:
    """Return all hits; those up to where the steps ended, and that they did."""
    found: list[Hit] = []
    try:
        for hit in hits:
            found.append(hit)  # noqa: PERF402 - what was found before the steps ended counts
    except TooManySteps:
        found.append(Hit(TOO_MUCH))
    return found


def _keep(kept: dict[_Kept, list], name: _Kept, found: list) -> list:  # type: ignore[type-arg]
    """Keep what was found for a name while names are few."""
    if len(kept) < NAMES_KEPT_MAX:
        kept[name] = found
    return found
