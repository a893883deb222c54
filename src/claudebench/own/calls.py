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
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.errors import Outcome, TimedOut
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from claudebench.rpc.command import Command

_warn = Sparse.to_log("warning")
_encode = msgspec.json.Encoder().encode
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
        try:
            async with asyncio.timeout(command.policy.timeout_s) as patience:
                answer = await _Watched(function(request, **bound), command.name)  # type: ignore[arg-type]
        except TimeoutError:
            if not patience.expired():
                raise
            message = f"{command.name} did not answer within {command.policy.timeout_s:g} s and was given up"
            raise TimedOut(message, outcome=outcome) from None
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            raise Misbehaved(f"{command.name} cancelled itself") from None
        except (SystemExit, KeyboardInterrupt) as error:
            raise Misbehaved(f"{command.name} tried to end the server: {error!r}") from error
        _check(command.name, answer, read)
        return answer

    return replace(command, function=call)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


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
    """A coroutine, timed between the places where it waits."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], name: str) -> None:
        self._coroutine, self._name = coroutine, name

    def __await__(self) -> Generator[Any, Any, Any]:
        step, given = self._coroutine.send, None
        while True:
            began = perf_counter()
            try:
                waits_for = step(given)
            except StopIteration as end:
                return end.value
            finally:
                self._note(perf_counter() - began)
            try:
                given, step = (yield waits_for), self._coroutine.send
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in is the coroutine's
                given, step = error, self._coroutine.throw

    def _note(self, took_s: float) -> None:
        if took_s > HELD_MAX_S:
            _warn("a handler of an app held everybody up", command=self._name, seconds=round(took_s, 3))
