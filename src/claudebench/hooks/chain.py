"""The chain: deciders one after the other, by priority. The assessment's HookManager.

A link that needs no event loop is called at once; only one that does gets a timeout. Each link sees the rewrite of the
one before. The first deny ends; an ask is remembered unless a later link denies. A link that fails decides by its fail
mode: one that raises whatever it be, takes too long, is busy, or answers what is no decision. Links that judge `again`
see the parameters once more when a later link has changed them.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import msgspec

from claudebench.errors import nearest
from claudebench.hooks.model import ALLOW, Decision, FailMode, ToolCall
from claudebench.resilience.threads import Busy

if TYPE_CHECKING:
    from collections.abc import Iterable

HookKind = Literal[
    "pre_tool",
    "post_tool",
    "user_prompt",
    "todo_write",
    "session_start",
    "session_end",
    "stop",
    "compact",
    "notification",
]
LINKS_MAX = 256
FAILURES = ("failed", "took too long", "is busy")
_DECLARED = "__claudebench_hook__"
_Function = TypeVar("_Function", bound="Callable[..., Any]")


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """What the decorator declares about a function."""

    kind: HookKind
    priority: int = 50
    timeout_s: float = 1.0
    fail_mode: FailMode = "deny"


def hook(
    kind: str, *, priority: int = 50, timeout_s: float = 1.0, fail_mode: FailMode = "deny"
) -> Callable[[_Function], _Function]:
    """Declare a function as a link of the chain. The function stays what it is; nothing is registered anywhere."""
    if kind not in get_args(HookKind):
        like = nearest(kind, get_args(HookKind))
        raise ValueError(f"there is no hook {kind!r}" + (f"; did you mean {like!r}?" if like else ""))
    if fail_mode not in get_args(FailMode) or not timeout_s > 0:
        raise ValueError("fail_mode is deny, allow or ask, and timeout_s is above 0")
    declared = Hook(kind=kind, priority=priority, timeout_s=timeout_s, fail_mode=fail_mode)  # type: ignore[arg-type]

    def declare(function: _Function) -> _Function:
        setattr(function, _DECLARED, declared)
        return function

    return declare


def declared(function: object) -> Hook | None:
    """Return what `hook` declared about a function, if it did."""
    found = getattr(function, _DECLARED, None)
    return found if isinstance(found, Hook) else None


class Link(msgspec.Struct, kw_only=True):
    """One decider and how it stands in the chain. `waits`: it needs the event loop."""

    name: str
    decide: Callable[[ToolCall], Decision | Awaitable[Decision | None] | None]
    priority: int = 50
    timeout_s: float = 1.0
    fail_mode: FailMode = "deny"
    enabled: bool = True
    again: bool = False
    failures: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(FAILURES, 0))

    @classmethod
    def of(cls, function: Callable[[ToolCall], Any], name: str = "") -> Link:
        """Return the link that a function declared with `hook` is."""
        found = declared(function)
        if found is None:
            raise ValueError("this function is not declared with @hook")
        return cls(
            name=name or f"{function.__module__}.{getattr(function, '__qualname__', 'hook')}",
            decide=function,
            priority=found.priority,
            timeout_s=found.timeout_s,
            fail_mode=found.fail_mode,
        )


class _Course(msgspec.Struct):
    """How far one call has come."""

    call: ToolCall
    worst: Decision = ALLOW
    rewrite: Decision | None = None
    warnings: list[str] = msgspec.field(default_factory=list)


class Chain:
    """Links in order of priority (lower first; equal ones as they were added)."""

    def __init__(
        self, links: Iterable[Link] = (), *, on_error: Callable[[Link, BaseException], None] | None = None
    ) -> None:
        """Take the first links, and whom to tell when a link fails."""
        self._on_error = on_error
        self._all: list[Link] = []
        self._enabled: tuple[Link, ...] = ()
        for link in links:
            self.add(link)

    @property
    def links(self) -> tuple[Link, ...]:
        """All links, the disabled ones too, in their order."""
        return tuple(self._all)

    def add(self, link: Link) -> None:
        """Put a link in its place. Its name must be new."""
        if any(one.name == link.name for one in self._all) or len(self._all) >= LINKS_MAX:
            raise ValueError(f"there is a link {link.name!r} already, or there are {LINKS_MAX}")
        self._all.append(link)
        self._arrange()

    def remove(self, name: str) -> None:
        """Take a link out."""
        self._all.remove(self._named(name))
        self._arrange()

    def enable(self, name: str, *, enabled: bool = True) -> None:
        """Switch a link on or off while calls go on; calls on their way keep the links that they began with."""
        self._named(name).enabled = enabled
        self._arrange()

    def _named(self, name: str) -> Link:
        for link in self._all:
            if link.name == name:
                return link
        like = nearest(name, [link.name for link in self._all])
        raise ValueError(f"there is no link {name!r}" + (f"; did you mean {like!r}?" if like else ""))

    def _arrange(self) -> None:
        self._all.sort(key=lambda link: link.priority)
        self._enabled = tuple(link for link in self._all if link.enabled)

    async def decide(self, call: ToolCall) -> Decision:
        """Ask every link; the strictest answer wins."""
        course = _Course(call)
        links = self._enabled
        if call.rules is not None and call.rules.hooks_off:
            links = tuple(link for link in links if link.name not in call.rules.hooks_off)
        for at, link in enumerate(links):
            decision = await self._ask(link, course.call)
            if decision is None or decision is ALLOW:
                continue
            if decision.decision == "deny":
                return _ended(decision, course)
            if _take(decision, course) and (denied := await self._again(links[:at], course)):
                return _ended(denied, course)
        return _result(course)

    async def _again(self, before: Iterable[Link], course: _Course) -> Decision | None:
        """Show a rewrite to the earlier links that want to see it."""
        for link in before:
            if link.again:
                decision = await self._ask(link, course.call)
                if decision is not None and decision.decision == "deny":
                    return decision
                if decision is not None:
                    _take(decision, course)
        return None

    async def _ask(self, link: Link, call: ToolCall) -> Decision | None:
        try:
            decision = link.decide(call)
            if inspect.isawaitable(decision):
                async with asyncio.timeout(link.timeout_s):
                    decision = await decision
            return decision if decision is None or decision is ALLOW else _checked(decision)
        except BaseException as error:
            if _is_ours(error):
                raise
            return self._failed(link, error)

    def _failed(self, link: Link, error: BaseException) -> Decision:
        trouble = FAILURES[1 if isinstance(error, TimeoutError) else 2 if isinstance(error, Busy) else 0]
        link.failures[trouble] += 1
        if self._on_error is not None:
            self._on_error(link, error)
        shown = f"failed ({type(error).__name__})" if trouble == FAILURES[0] else trouble
        told = f"the hook {link.name} {shown}; its fail mode is {link.fail_mode}."
        if link.fail_mode == "allow":
            return Decision("allow", warnings=(told,))
        return Decision(link.fail_mode, told, f"hook:{link.name}", severity="high")


def _is_ours(error: BaseException) -> bool:
    """Whether the call itself is given up: its task is cancelled, or closed after its loop has ended."""
    if not isinstance(error, asyncio.CancelledError | GeneratorExit):
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return True
    return task is None or task.cancelling() > 0


def _checked(decision: object) -> Decision:
    """Return a decision whose every field is what it should be, so that it can be answered and recorded.

    Raises:
        TypeError: it is none.
        ValueError: a field of it is wrong.
    """
    if not isinstance(decision, Decision):
        raise TypeError(f"a link answers a Decision or None, not {type(decision).__name__}")
    checked = msgspec.convert(msgspec.structs.asdict(decision), Decision)
    if checked.decision == "rewrite" and checked.modified is None:
        raise ValueError("a rewrite needs `modified`")
    msgspec.json.encode(checked)
    return checked


def _take(decision: Decision, course: _Course) -> bool:
    """Note what a link decided; return whether it changed the parameters."""
    course.warnings += [warning for warning in decision.warnings if warning not in course.warnings]
    if decision.decision == "ask" and course.worst.decision != "ask":
        course.worst = decision
    if decision.decision == "rewrite":
        course.call = course.call.with_params(decision.modified)
        course.rewrite = decision
        return True
    return False


def _ended(decision: Decision, course: _Course) -> Decision:
    warnings = (*course.warnings, *decision.warnings)
    return msgspec.structs.replace(decision, warnings=warnings) if course.warnings else decision


def _result(course: _Course) -> Decision:
    warnings = tuple(course.warnings)
    rewrite = course.rewrite
    if course.worst.decision == "ask":
        return msgspec.structs.replace(course.worst, warnings=warnings, modified=rewrite.modified if rewrite else None)
    if rewrite is not None:
        return msgspec.structs.replace(rewrite, warnings=warnings)
    return Decision("allow", warnings=warnings) if warnings else ALLOW
