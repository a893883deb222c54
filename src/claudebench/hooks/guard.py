"""The guard: judges one tool call by the rules, at once and in process. The assessment's HookValidator."""

from __future__ import annotations

import asyncio
import shlex
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from claudebench.hooks.masking import masked, masked_words
from claudebench.hooks.model import ALLOW, SEVERITIES, STRICTNESS, Decision, FailMode, ToolCall, Verdict
from claudebench.hooks.paths import PATH_CHARS_MAX, Places
from claudebench.hooks.rules import Hit
from claudebench.hooks.shell import Script, parse
from claudebench.hooks.tools import (
    LINE_FIELDS,
    code_lines_of,
    content_of,
    folder_of,
    is_quick,
    is_words,
    kind_of,
    lines_beside,
    lines_of,
    paths_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from claudebench.hooks.rules import Rule, RuleSet
    from claudebench.hooks.shell import Command
    from claudebench.hooks.tools import Kind

CACHED_DECISIONS_MAX = 10_000
CACHED_KEY_BYTES_MAX = 4 * 1024
REWRITES_MAX = 4
UNSURE = "unsure"
UNREADABLE = "a file of rules that counts here cannot be read, so nobody knows what it forbids:"


class Reading(msgspec.Struct, frozen=True):
    """One text that was judged on the way to a decision: a command line (as a script) or the path of a file."""

    text: str
    script: Script | None
    hits: tuple[Hit, ...]


class Explanation(msgspec.Struct, frozen=True):
    """A decision and how it came about: what was read, in order; a rewritten line is read again."""

    kind: str
    readings: tuple[Reading, ...]
    decision: Decision


class Guard:
    """Judges tool calls. Deny beats ask beats rewrite beats allow; trouble of its own denies."""

    def __init__(
        self,
        rules: RuleSet,
        *,
        ours: tuple[str, ...] = (),
        on_error: Callable[[ToolCall, Exception], None] | None = None,
    ) -> None:
        """Take the rules of calls that bring none, our own folders, and whom to tell when judging itself failed."""
        self.rules = rules
        self._ours = ours
        self._on_error = on_error
        self._kept: dict[tuple[object, ...], Decision] = {}
        self._lock = threading.Lock()
        self._aside = ThreadPoolExecutor(1, "guard")

    def decide(self, call: ToolCall) -> Decision:
        """Judge one call. Never raises."""
        try:
            return self._kept_or_judged(call, kind_of(call.tool, call.params))
        except Exception as error:  # noqa: BLE001 - whatever went wrong must not become an allow
            return self._denied(call, error)

    def answer(self, call: ToolCall) -> Decision | Awaitable[Decision]:
        """Judge a short call at once, and a long one in a thread, so that it holds nobody else up."""
        if is_quick(call.params):
            return self.decide(call)
        return asyncio.get_running_loop().run_in_executor(self._aside, self.decide, call)

    def explain(self, call: ToolCall) -> Explanation:
        """Judge one call as `decide` does, past its cache, and return what was read on the way. Never raises."""
        notes: list[Reading] = []
        kind = kind_of(call.tool, call.params)
        try:
            decision = _judge(call, kind, call.rules or self.rules, self._places(call), notes)
        except Exception as error:  # noqa: BLE001 - as in `decide`
            decision = self._denied(call, error)
        return Explanation(kind, tuple(notes), decision)

    def _denied(self, call: ToolCall, error: Exception) -> Decision:
        self._tell(call, error)
        return Decision(
            "deny",
            "the guard could not judge this call and denies it; try a simpler one.",
            "guard-error",
            severity="high",
        )

    def _tell(self, call: ToolCall, error: Exception) -> None:
        if self._on_error is not None:
            with suppress(Exception):  # telling is best effort; the decision stands
                self._on_error(call, error)

    def _kept_or_judged(self, call: ToolCall, kind: Kind) -> Decision:
        rules = call.rules or self.rules
        if kind == "other" and not rules.asks_about(call.tool, other=True) and not _lines(call):
            return ALLOW
        key = _key(call, rules.version)
        if key is not None and (kept := self._recall(key)) is not None:
            return kept
        places = self._places(call)
        decision = _judge(call, kind, rules, places)
        if key is not None and not places.followed:
            self._keep(key, decision)
        return decision

    def _places(self, call: ToolCall) -> Places:
        return Places(folder_of(call), call.home, call.root, self._ours)

    def _recall(self, key: tuple[object, ...]) -> Decision | None:
        with self._lock:
            decision = self._kept.pop(key, None)
            if decision is not None:
                self._kept[key] = decision
            return decision

    def _keep(self, key: tuple[object, ...], decision: Decision) -> None:
        with self._lock:
            self._kept[key] = decision
            while len(self._kept) > CACHED_DECISIONS_MAX:
                del self._kept[next(iter(self._kept))]


def _key(call: ToolCall, version: str) -> tuple[object, ...] | None:
    """Return what a decision depends on, or None when that is too big to keep."""
    params = msgspec.json.encode(call.params, order="sorted")
    if len(params) > CACHED_KEY_BYTES_MAX:
        return None
    return call.tool, params, call.cwd, call.home, call.root, version


class _Case(NamedTuple):
    """What a call is judged by, where its readings are noted, and how often its line was rewritten."""

    rules: RuleSet
    places: Places
    tool: str
    notes: list[Reading] | None = None
    rounds: int = 0

    def note(self, text: str, script: Script | None, hits: Iterable[Hit]) -> None:
        """Keep what was read, if somebody wants an explanation."""
        if self.notes is not None:
            self.notes.append(Reading(text, script, tuple(hits)))


def _judge(call: ToolCall, kind: Kind, rules: RuleSet, places: Places, notes: list[Reading] | None = None) -> Decision:
    case = _Case(rules, places, call.tool, notes)
    by_kind = _by_kind(kind, call, case)
    decision = _with_hits(by_kind, rules.on_call(call, other=kind == "other"))
    if rules.trouble and decision.decision != "deny":
        return Decision("ask", f"{UNREADABLE} {rules.trouble}", "rules-unreadable", severity="high")
    return decision


def _by_kind(kind: Kind, call: ToolCall, case: _Case) -> Decision:
    if kind == "shell":
        return _judge_shell(call, case)
    if kind == "write":
        return _judge_write(call, case)
    return _judge_lines(call, case)


def _lines(call: ToolCall) -> list[str]:
    return [*lines_of(call.params), *code_lines_of(call.tool, call.params)]


def _judge_lines(call: ToolCall, case: _Case) -> Decision:
    """Judge a text that some other tool may run: what a rule forbids counts, but whether it is shell is not known."""
    lines = _lines(call)
    found = [_judge_line(line, case) for line in lines]
    return _strictest([ALLOW, *(one for one in found if one.decision in ("deny", "ask") and one.rule_id != UNSURE)])


def _with_hits(decision: Decision, hits: list[Hit]) -> Decision:
    """Return the stricter of a decision and what rules say of the tool itself."""
    worst = _worst(hits)
    if worst is None:
        return decision
    warnings = tuple(dict.fromkeys((*decision.warnings, *_warnings(hits))))
    if STRICTNESS[worst.rule.action] > STRICTNESS[decision.decision] and worst.rule.action != "warn":
        return _decided(worst, warnings)
    return msgspec.structs.replace(decision, warnings=warnings, fail_mode=_fail_mode(hits) or decision.fail_mode)


def _fail_mode(hits: Iterable[Hit]) -> FailMode | None:
    """Return the strictest fail mode of some rules, if any of them names one."""
    modes = [hit.rule.fail_mode for hit in hits if hit.rule.fail_mode]
    return max(modes, key=STRICTNESS.__getitem__, default=None)


def _warnings(hits: Iterable[Hit]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(hit.rule.reason for hit in hits if hit.rule.action == "warn"))


# -- shells


def _judge_shell(call: ToolCall, case: _Case) -> Decision:
    """Judge every field that may hold a command line: which of them the tool runs is not ours to guess."""
    if isinstance(call.params, str):
        return _with_line(_judge_line(call.params, case), lambda line: line)
    if not isinstance(call.params, dict):
        return _malformed("the parameters of a shell tool must be an object with a `command`")
    fields = [name for name in LINE_FIELDS if name in call.params]
    beside = lines_beside(call.params)
    if not fields and not beside:
        return _malformed("a shell tool needs a `command`")
    judged = [_judge_field(call, name, case) for name in fields]
    return _strictest([*judged, *(_judge_line(line, case) for line in beside)])


def _judge_field(call: ToolCall, name: str, case: _Case) -> Decision:
    params: Mapping[str, object] = call.params if isinstance(call.params, dict) else {}
    value = params[name]
    if isinstance(value, str):
        return _with_line(_judge_line(value, case), lambda line: {**params, name: line})
    if is_words(value):
        decision = _judge_line(shlex.join(value), case)
        return _with_line(decision, lambda line: {**params, name: shlex.split(line)})
    return _malformed(f"`{name}` must be a text")


def _with_line(decision: Decision, place: Callable[[str], object]) -> Decision:
    """Put a rewritten line back into the parameters that it came from."""
    if not isinstance(decision.modified, str):
        return decision
    return msgspec.structs.replace(decision, modified=place(decision.modified))


def _malformed(what: str) -> Decision:
    return Decision("deny", f"malformed call: {what}.", "malformed", severity="high")


def _judge_line(line: str, case: _Case) -> Decision:
    """Judge one command line; `modified` is the rewritten line."""
    script = parse(line)
    hits = case.rules.on_script(script, case.places, case.tool)
    case.note(line, script, hits)
    warnings = _warnings(hits)
    worst = _worst(hits)
    if script.unsure and (worst is None or worst.rule.action != "deny"):
        return _ask_unsure(script, warnings)
    if worst is None or worst.rule.action == "warn":
        return Decision("allow", warnings=warnings, fail_mode=_fail_mode(hits)) if worst else ALLOW
    if worst.rule.action == "rewrite":
        return _rewritten(line, script, hits, case)
    return _decided(worst, warnings)


def _worst(hits: Iterable[Hit]) -> Hit | None:
    return max(hits, key=lambda hit: (STRICTNESS[hit.rule.action], -SEVERITIES.index(hit.rule.severity)), default=None)


def _decided(hit: Hit, warnings: tuple[str, ...] = ()) -> Decision:
    rule = hit.rule
    verdict: Verdict = "deny" if rule.action == "deny" else "ask"
    shown = f" [{_shown(hit.command)}]" if hit.command else ""
    return Decision(verdict, f"{rule.reason}{shown}", rule.id, warnings=warnings, severity=rule.severity)


def _shown(command: Command, longest: int = 120) -> str:
    """Quote a command in a reason: short, printable, its secrets masked before anything is cut off."""
    text = " ".join(masked_words(command.words)) or " ".join(f"{r.operator} {r.target}" for r in command.redirects)
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _ask_unsure(script: Script, warnings: tuple[str, ...]) -> Decision:
    why = masked("; ".join(script.unsure[:3]))
    reason = f"this command line cannot be judged with certainty: {why}. Write it as plain commands, names spelt out."
    return Decision("ask", reason, UNSURE, warnings=warnings, severity="medium")


def _rewritten(line: str, script: Script, hits: list[Hit], case: _Case) -> Decision:
    """Take away the wrappers that the rules name, and judge what is left."""
    rules = [hit.rule for hit in hits if hit.rule.action == "rewrite"]
    names = {name for rule in rules for match in rule.command for name in match.wrapped}
    found = {span for command in script.commands for name, span in command.prefixes if name in names}
    spans = sorted(span for span in found if span is not None)
    if case.rounds >= REWRITES_MAX or len(spans) != len(found):
        told = f"{rules[0].reason} It stands inside another command: write it without."
        return Decision("ask", told, rules[0].id, severity=rules[0].severity)
    return _judged_again(_without(line, spans), rules[0], case._replace(rounds=case.rounds + 1))


def _judged_again(left: str, rule: Rule, case: _Case) -> Decision:
    again = _judge_line(left, case)
    if not again.allow:
        return again
    modified = again.modified if isinstance(again.modified, str) else left
    fail_mode = again.fail_mode or rule.fail_mode
    return Decision("rewrite", rule.reason, rule.id, modified, again.warnings, rule.severity, fail_mode)


def _without(line: str, spans: list[tuple[int, int]]) -> str:
    source = line.encode("utf-8", "surrogatepass")
    kept, at = [], 0
    for start, end in spans:
        kept.append(source[at : max(at, start)])
        at = max(at, end)
    return b"".join([*kept, source[at:]]).decode("utf-8", "surrogatepass")


def _strictest(decisions: Iterable[Decision]) -> Decision:
    """Return the strictest; of several rewrites only one can be carried out, so they ask."""
    all_of_them = list(decisions)
    worst = max(all_of_them, key=lambda decision: STRICTNESS[decision.decision])
    if worst.decision == "rewrite" and len(all_of_them) > 1:
        return Decision("ask", worst.reason, worst.rule_id, severity=worst.severity)
    return worst


# -- tools that write files


def _judge_write(call: ToolCall, case: _Case) -> Decision:
    paths = paths_of(call)
    if not paths or not all(isinstance(path, str) and 0 < len(path) <= PATH_CHARS_MAX for path in paths):
        return _malformed(f"a tool that writes needs the path of a file, a text of at most {PATH_CHARS_MAX} characters")
    content = content_of(call.params)
    hits = [hit for path in map(str, paths) for hit in _file_hits(path, content, case)]
    return _with_hits(ALLOW, hits)


def _file_hits(path: str, content: str, case: _Case) -> list[Hit]:
    hits = case.rules.on_file(path, content, case.places, case.tool)
    case.note(path, None, hits)
    return hits
