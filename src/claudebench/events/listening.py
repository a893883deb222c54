"""The subscribers of one server process: in every workspace that it knows, one group for each subscription.

A workspace is joined when it is heard of, and told of by the process's tailer: a group looks at the log when something
was written that one of the subscriptions wants, and by itself only every `POLL_S`. At most `GROUPS_MAX` groups run in
a process; workspaces beyond are left out, which is logged. When it ends, all groups finish what has begun, together.

`further` tells which subscriptions a workspace has besides, and may say otherwise the next time: it is asked at each
look. What is new begins, what is gone or another ends.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING

from claudebench.errors import ClaudeBenchError
from claudebench.events.cursor import Cursors
from claudebench.events.group import Group, Reader
from claudebench.events.letters import RETRIED
from claudebench.events.patterns import PATTERNS_MAX, compiled
from claudebench.events.subscriber import Delivering
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from claudebench.events import channel
    from claudebench.events.letters import DeadLetters
    from claudebench.events.log import EventLog
    from claudebench.events.patterns import Patterns
    from claudebench.events.ring import Frame
    from claudebench.events.subscriber import Subscription
    from claudebench.events.tailer import Tailer

GROUPS_MAX = 512
LOOK_EVERY_S, POLL_S, FINISH_S, AGAIN_AFTER_S = 0.25, 2.0, 3.0, 5.0
_left_out = Sparse.to_log("error")
_ended = Sparse.to_log("error")
_untold = Sparse.to_log("error")


def _nothing(_frame: Frame) -> bytes:
    return b"."


@dataclass(frozen=True, slots=True)
class Waker:
    """A listener on the log that only says that something is there."""

    wake: Callable[[], None]
    is_full: bool = False

    @property
    def shape(self) -> Callable[[Frame], bytes]:
        """How it wants its frames: not at all."""
        return _nothing

    def write(self, data: bytes) -> None:  # noqa: ARG002 - what it was is read from the log
        """Look: there is something."""
        self.wake()

    def tell_begin(self, position: str) -> None:
        """Take where it begins; the groups have places of their own."""

    def tell_gap(self, gap: channel.Gap) -> None:  # noqa: ARG002 - the groups find it themselves
        """Look: the log is not as it was."""
        self.wake()

    def cut(self, at: str) -> None:
        """End; a waker is never full, so never cut."""


class _Registered(Cursors):
    """Cursors of groups that somebody else registers."""

    async def register(self, workspace: str, group: str, partitions: int = 0, start: str = "") -> bool:  # noqa: ARG002
        """Leave it to whoever does."""
        return False


@dataclass(slots=True)
class Listening:
    """The subscribers of this process; `mask` hides secrets in the errors that are told."""

    subscriptions: Sequence[Subscription]
    log: EventLog
    cursors: Cursors
    letters: DeadLetters
    tailer: Tailer
    process: str
    known: Callable[[], list[str]]
    mask: Callable[[str], str] = str
    further: Callable[[str], Awaitable[Sequence[Subscription]]] | None = None
    groups: dict[tuple[str, str], Group] = field(default_factory=dict)  # by workspace and name
    _told: dict[str, dict[str, Subscription]] = field(default_factory=dict)  # by workspace and name, of `further`
    _tasks: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict)
    _readers: dict[str, channel.Reader] = field(default_factory=dict)

    async def run(self) -> None:
        """Listen until it is cancelled; then let what has begun end, for `FINISH_S`."""
        if not self.subscriptions and not self.further:
            return
        try:
            while True:
                await self._ask()
                for workspace in self.known() if self.subscriptions else list(self._told):
                    await self._join(workspace)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            for reader in self._readers.values():
                reader.leave()
            for task in self._tasks.values():
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks.values())

    async def _ask(self) -> None:
        """Ask what else there is."""
        if not self.further:
            return
        asked = self.known()
        answers = await asyncio.gather(*map(self.further, asked), return_exceptions=True)
        for workspace, answer in zip(asked, answers, strict=True):
            if not isinstance(answer, BaseException):
                self._meet(workspace, {each.group: each for each in answer})
            elif not isinstance(answer, ClaudeBenchError):
                _untold("it is not known who else subscribes", workspace=workspace, exc_info=answer)

    def _meet(self, workspace: str, wanted: dict[str, Subscription]) -> None:
        """End what is gone or another; what is new begins once nothing of its name is at work any more."""
        told = self._told.pop(workspace, {})
        for name, each in told.items():
            if wanted.get(name) != each and (task := self._tasks.get((workspace, name))):
                task.cancel()
        if left := {name: each for name, each in wanted.items() if told.get(name, each) == each}:
            self._told[workspace] = left
        if not self._all(workspace) and (reader := self._readers.pop(workspace, None)):
            reader.leave()
        elif (reader := self._readers.get(workspace)) and reader.patterns is not (wakes := self._wanted(workspace)):
            reader.want(wakes)

    def _all(self, workspace: str) -> list[Subscription]:
        return [*self.subscriptions, *self._told.get(workspace, {}).values()]

    async def _join(self, workspace: str) -> None:
        for subscription in self._all(workspace):
            key = (workspace, subscription.group)
            if key in self._tasks:
                continue
            if len(self._tasks) >= GROUPS_MAX:
                _left_out("too many workspaces for the subscribers of one server", left_out=workspace)
                return
            self._start(key, subscription)
        if workspace not in self._readers:
            with suppress(ClaudeBenchError):
                waker = Waker(lambda: self._wake(workspace))
                self._readers[workspace] = await self.tailer.join(workspace, waker, self._wanted(workspace))

    def _wanted(self, workspace: str) -> Patterns:
        """Return what wakes the groups."""
        patterns = frozenset(pattern for each in self._all(workspace) for pattern in each.patterns) | {RETRIED}
        return compiled(patterns if len(patterns) <= PATTERNS_MAX else frozenset("*"))

    def _start(self, key: tuple[str, str], subscription: Subscription) -> None:
        workspace, name = key
        delivering = Delivering(subscription, workspace, self.cursors, self.letters, self.mask)
        reader = Reader(
            workspace,
            name,
            delivering.deliver,
            subscription.partitions,
            wants=subscription.wanted.match,
            letters=self.letters,
            poll_s=POLL_S,
            finish_s=FINISH_S,
        )
        cursors = self.cursors
        if not subscription.registers:
            cursors = _Registered(cursors.connection, cursors.given_ms)
        group = self.groups[key] = Group(self.log, cursors, self.process, reader)
        task = self._tasks[key] = asyncio.create_task(self._take_part(group, key), name=f"group {name} of {workspace}")
        task.add_done_callback(lambda _: self._forget(key))

    def _forget(self, key: tuple[str, str]) -> None:
        del self._tasks[key], self.groups[key]

    async def _take_part(self, group: Group, key: tuple[str, str]) -> None:
        """Run a group, and again a while after it could not: it has other partitions, or there are too many."""
        while True:
            try:
                await group.run()
            except* Exception as errors:  # noqa: BLE001 - whatever it is, it is said, and the others go on
                _ended(
                    "a subscriber cannot read the log", workspace=key[0], group=key[1], error=str(errors.exceptions[0])
                )
            await asyncio.sleep(AGAIN_AFTER_S)

    def _wake(self, workspace: str) -> None:
        for subscription in self._all(workspace):
            if group := self.groups.get((workspace, subscription.group)):
                group.wake()

    def lags_s(self) -> Iterator[tuple[str, float]]:
        """Yield each subscription, and how long ago the oldest event was written that it has yet to handle here."""
        now_ms = int(time() * 1000)
        for each in self.subscriptions:
            groups = (group for (_, name), group in self.groups.items() if name == each.group)
            yield each.group, max((group.behind_ms(now_ms) for group in groups), default=0) / 1000
