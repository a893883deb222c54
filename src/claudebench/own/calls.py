"""A handler of an app, called so that what is wrong with it costs its caller an error and nobody else anything.

It is given up at the time-out of its policy: it is cancelled at the next place where it waits. What it had done by then
is done, so a change that was given up has the outcome `unknown`. Code that never waits cannot be given up: it holds
everybody up, and that is logged with the name of the command and the time that it took.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import wraps
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from claudebench.errors import ClaudeBenchError, Outcome, TimedOut
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from claudebench.rpc.command import Command

_warn = Sparse.to_log("warning")
_encode = msgspec.json.Encoder().encode
_Status = Annotated[int, msgspec.Meta(ge=400, le=599)]
_refusal = msgspec.json.Decoder(tuple[str, Outcome, dict[str, Any], int, _Status])
ANSWER_MAX = 1_048_576
HELD_MAX_S = 0.1


class Misbehaved(Exception):
    """A handler of an app did what none may; the caller reads a reference, the log the rest."""


def guarded(command: Command) -> Command:
    """Return the command of an app with its handler under guard."""
    read = msgspec.json.Decoder(command.output).decode
    outcome: Outcome = "unknown" if command.changes else "not_done"
    function = command.function

    @wraps(function)
    async def call(request: Any, **bound: Any) -> Any:
        watched = _Watched(function(request, **bound), command.name)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(command.policy.timeout_s) as patience:
                answer = await watched
        except BaseException as error:
            if watched.is_given_up(error):
                raise
            await watched.settle()
            if isinstance(error, TimeoutError) and patience.expired():
                message = f"{command.name} did not answer within {command.policy.timeout_s:g} s and was given up"
                raise TimedOut(message, outcome=outcome) from None
            if isinstance(error, ClaudeBenchError):
                _check_refusal(command.name, error)
            if isinstance(error, Exception):
                raise
            raise Misbehaved(f"{command.name} ended with {type(error).__name__}, which none may raise") from error
        if await watched.settle():
            raise Misbehaved(f"{command.name} cancelled itself")
        _check(command.name, answer, read)
        return answer

    return replace(command, function=call)


def _check_refusal(name: str, error: ClaudeBenchError) -> None:
    """Raise unless what a handler refuses with can be sent."""
    try:
        encoded = _encode((error.message, error.outcome, error.data, error.code, error.status))
        _refusal.decode(encoded)
    except Exception as wrong:
        raise Misbehaved(f"{name} refuses with a {type(error).__name__} that cannot be sent") from wrong
    if len(encoded) > ANSWER_MAX:
        raise Misbehaved(f"{name} refuses with {len(encoded)} bytes; at most {ANSWER_MAX} are sent")


def _check(name: str, answer: Any, read: Any) -> None:
    """Raise unless an answer is what the handler promised, and can be sent."""
    try:
        encoded = _encode(answer)
        if len(encoded) > ANSWER_MAX:
            raise Misbehaved(f"{name} answers {len(encoded)} bytes; at most {ANSWER_MAX} are sent")
        read(encoded)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise Misbehaved(f"{name} does not answer what it declares: {error}") from error


class _Watched:
    """A coroutine, timed between the places where it waits, whose cancelling of its own task is told from ours.

    It runs in the task of its call, so that the calls of a batch begin in their order. A task that is cancelled between
    two places where the coroutine waits was cancelled by the coroutine.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], name: str) -> None:
        self._coroutine, self._name = coroutine, name
        self._task: asyncio.Task[Any] | None = None
        self._cancels = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        self._task = asyncio.current_task()
        step, given = self._coroutine.send, None
        while True:
            began, cancelled = perf_counter(), self._cancelling()
            try:
                waits_for = step(given)
            except StopIteration as end:
                return end.value
            finally:
                self._note(perf_counter() - began)
                self._cancels = max(0, self._cancels + self._cancelling() - cancelled)
            try:
                given, step = (yield waits_for), self._coroutine.send
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in is the coroutine's
                given, step = error, self._coroutine.throw

    def is_given_up(self, error: BaseException) -> bool:
        """Tell whether the call itself is given up: cancelled by another, or closed after its loop has ended."""
        if not isinstance(error, asyncio.CancelledError | GeneratorExit):
            return False
        try:
            here = asyncio.current_task()
        except RuntimeError:
            return True
        return here is not self._task or self._cancelling() > self._cancels

    async def settle(self) -> bool:
        """Take back what the coroutine did to its task; return whether it cancelled it."""
        cancels, self._cancels = self._cancels, 0
        if not cancels or self._task is None:
            return False
        for _ in range(cancels):
            self._task.uncancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if self._cancelling():
                raise
        return True

    def _cancelling(self) -> int:
        return self._task.cancelling() if self._task else 0

    def _note(self, took_s: float) -> None:
        if took_s > HELD_MAX_S:
            _warn("a handler of an app held everybody up", command=self._name, seconds=round(took_s, 3))
