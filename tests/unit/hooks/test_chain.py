"""The chain: order, rewrites, the strictest answer, fail modes, switching links."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from claudebench.hooks.chain import Chain, Link, declared, hook
from claudebench.hooks.model import ALLOW, Decision, FailMode, ToolCall
from claudebench.resilience.threads import THREADS_MAX, Threaded
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

CALL = ToolCall("Bash", {"command": "a"})


def says(decision: Decision | None) -> Callable[[ToolCall], Decision | None]:
    return lambda _: decision


def link(name: str, decision: Decision | None, priority: int = 50) -> Link:
    return Link(name=name, decide=says(decision), priority=priority)


async def test_links_are_asked_by_priority() -> None:
    """Lower priorities come first, equal ones in the order in which they were added."""
    asked: list[str] = []
    chain = Chain()

    def named(name: str, priority: int) -> Link:
        return Link(name=name, decide=lambda _: asked.append(name), priority=priority)

    for name, priority in (("c", 90), ("a", 10), ("b1", 50), ("b2", 50)):
        chain.add(named(name, priority))

    assert await chain.decide(CALL) is ALLOW
    assert asked == ["a", "b1", "b2", "c"]


async def test_the_first_deny_ends() -> None:
    """After a deny nobody else is asked, and it beats an ask before it."""
    asked: list[str] = []
    last = Link(name="last", decide=lambda _: asked.append("last"), priority=99)
    chain = Chain([link("ask", Decision("ask", "why"), 1), link("deny", Decision("deny", "no"), 2), last])

    assert (await chain.decide(CALL)).reason == "no"
    assert asked == []


async def test_an_ask_is_remembered() -> None:
    """Without a later deny the first ask is the answer, with what was rewritten since."""
    chain = Chain(
        [
            link("ask", Decision("ask", "why"), 1),
            link("write", Decision("rewrite", modified={"command": "b"}), 2),
            link("none", None),
        ]
    )
    decision = await chain.decide(CALL)

    assert (decision.decision, decision.reason, decision.modified) == ("ask", "why", {"command": "b"})


async def test_each_link_sees_the_rewrite_before_it() -> None:
    """A rewrite is what the next link judges, and the last one is the answer; warnings add up."""

    def add(letter: str) -> Callable[[ToolCall], Decision]:
        return lambda call: Decision("rewrite", modified=f"{call.params}{letter}", warnings=(letter,))

    chain = Chain([Link(name="1", decide=add("x")), Link(name="2", decide=add("y"))])
    decision = await chain.decide(ToolCall("Bash", "a"))

    assert (decision.decision, decision.modified, decision.warnings) == ("rewrite", "axy", ("x", "y"))


async def test_a_rewrite_is_shown_to_earlier_links_that_judge_again() -> None:
    """A later hook cannot slip a line past the guard."""
    guard = Link(
        name="guard",
        decide=lambda call: Decision("deny", "no") if call.params == "bad" else None,
        priority=0,
        again=True,
    )
    chain = Chain([guard, link("hook", Decision("rewrite", modified="bad"))])

    assert (await chain.decide(ToolCall("Bash", "good"))).decision == "deny"


@pytest.mark.parametrize(("mode", "expected"), [("deny", "deny"), ("ask", "ask"), ("allow", "allow")])
async def test_a_link_in_trouble_decides_by_its_fail_mode(mode: FailMode, expected: str) -> None:
    """Too slow, an exception and an answer that is no decision all end in the fail mode, and are told."""
    told: list[str] = []

    async def slow(_: ToolCall) -> Decision:
        await asyncio.Event().wait()
        return ALLOW

    def broken(_: ToolCall) -> Decision:
        raise RuntimeError("broken")

    for decide in (slow, broken, lambda _: True):
        one = Link(name="x", decide=decide, timeout_s=0.01, fail_mode=mode)  # type: ignore[arg-type]
        decision = await Chain(
            [one], on_error=lambda link, error: told.append(f"{link.name} {type(error).__name__}")
        ).decide(CALL)
        assert decision.decision == expected
        assert "x" in (decision.reason or decision.warnings[0])

    assert told == ["x TimeoutError", "x RuntimeError", "x TypeError"]


async def test_cancelling_the_caller_is_no_answer() -> None:
    """A call that is given up stays given up; no fail mode turns it into a decision."""
    started = asyncio.Event()

    async def wait(_: ToolCall) -> Decision:
        started.set()
        await asyncio.Event().wait()
        return ALLOW

    task = asyncio.create_task(Chain([Link(name="x", decide=wait, fail_mode="allow")]).decide(CALL))
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_links_are_switched_while_the_chain_lives() -> None:
    """A disabled link is not asked, an enabled one is again, a removed one is gone; wrong names say so."""
    chain = Chain([link("guard", Decision("deny"))])
    chain.enable("guard", enabled=False)
    assert (await chain.decide(CALL)).allow
    chain.enable("guard")
    assert not (await chain.decide(CALL)).allow
    with pytest.raises(ValueError, match="guard"):
        chain.enable("gaurd")
    with pytest.raises(ValueError, match="already"):
        chain.add(link("guard", None))
    chain.remove("guard")
    assert chain.links == ()


async def test_a_declared_function_becomes_a_link() -> None:
    """The decorator leaves the function as it is and notes how it wants to stand in the chain."""

    @hook("pre_tool", priority=7, timeout_s=0.5, fail_mode="ask")
    async def mine(call: ToolCall) -> Decision | None:
        return Decision("deny", call.tool)

    made = Link.of(mine)

    assert (made.priority, made.timeout_s, made.fail_mode) == (7, 0.5, "ask")
    assert (await Chain([made]).decide(CALL)).reason == "Bash"
    assert declared(says(None)) is None
    with pytest.raises(ValueError, match="@hook"):
        Link.of(says(None))
    with pytest.raises(ValueError, match="pre_tool"):
        hook("pre_tol")


@pytest.mark.parametrize(
    "wrong",
    [
        Decision("maybe"),  # type: ignore[arg-type]
        Decision("allow", reason=1),  # type: ignore[arg-type]
        Decision("allow", warnings=(1,)),  # type: ignore[arg-type]
        Decision("allow", severity="dire"),  # type: ignore[arg-type]
        Decision("allow", fail_mode="perhaps"),  # type: ignore[arg-type]
        Decision("ask", reason="\ud800"),
        Decision("rewrite"),
        Decision("rewrite", modified=object),
        Decision(None),  # type: ignore[arg-type]
    ],
    ids=repr,
)
async def test_a_decision_that_is_wrong_is_a_failure(wrong: Decision) -> None:
    """An unknown verdict, or any field that could not be answered or recorded, decides by the fail mode."""
    told: list[BaseException] = []
    one = Link(name="x", decide=says(wrong), fail_mode="ask")

    decision = await Chain([one], on_error=lambda _, error: told.append(error)).decide(CALL)

    assert (decision.decision, decision.rule_id, len(told)) == ("ask", "hook:x", 1)
    assert one.failures["failed"] == 1


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopIteration])
@pytest.mark.parametrize("kind", ["called", "awaited", "threaded"])
async def test_whatever_a_link_raises_is_a_failure(kind: str, error: type[BaseException]) -> None:
    """No kind of exception leaves the chain but the cancelling of the call itself."""

    def called(_: ToolCall) -> Decision:
        raise error

    async def awaited(_: ToolCall) -> Decision:
        raise error

    decides: dict[str, Any] = {"called": called, "awaited": awaited, "threaded": Threaded(called).call}
    one = Link(name="x", decide=decides[kind], fail_mode="ask", timeout_s=30)

    assert (await Chain([one]).decide(CALL)).decision == "ask"
    assert one.failures == {"failed": 1, "took too long": 0, "is busy": 0}


async def test_a_hook_that_hangs_is_busy_and_starves_nobody() -> None:
    """Once all threads of a hook hang, it decides at once, counted; others go on; free again, it answers."""
    free = threading.Event()

    def hangs(_: ToolCall) -> Decision | None:
        free.wait()
        return Decision("deny", "at last")

    stuck = Link(name="stuck", decide=Threaded(hangs).call, timeout_s=0.01, fail_mode="allow")
    other = Link(name="other", decide=Threaded(says(Decision("ask", "other"))).call, timeout_s=30)
    chain = Chain([stuck, other])
    for _ in range(THREADS_MAX):
        assert (await chain.decide(CALL)).reason == "other"
    stuck.timeout_s = 3_600
    try:
        for _ in range(3):
            decision = await chain.decide(CALL)
            assert (decision.reason, "is busy" in decision.warnings[0]) == ("other", True)
    finally:
        free.set()

    assert stuck.failures == {"failed": 0, "took too long": THREADS_MAX, "is busy": 3}
    await eventually(lambda: says_at_last(chain))


async def says_at_last(chain: Chain) -> bool:
    """Whether the hook that hung looks at calls again."""
    return (await chain.decide(CALL)).reason == "at last"


async def test_a_burst_waits_for_the_threads_of_a_hook() -> None:
    """More calls at once than a hook has threads are all answered by it."""
    one = Link(name="x", decide=Threaded(says(Decision("ask", "seen"))).call, timeout_s=30)
    chain = Chain([one])

    answers = await asyncio.gather(*(chain.decide(CALL) for _ in range(100)))

    assert {answer.reason for answer in answers} == {"seen"}
