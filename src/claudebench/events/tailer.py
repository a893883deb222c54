"""One reader of the log per server process, for all who listen there: `XREAD BLOCK` on a connection of its own.

It reads the streams of those workspaces that somebody listens to, goes on from the last event that it passed on, and
so loses none and doubles none, whatever becomes of the connection. Each event is encoded once. What it cannot read on
from it says: when a new connection finds a log that no longer holds the event where it stood (the store came back
older than it was), or when so much was cut while it was away that a whole batch comes at once, the readers are told
of a gap.

After a large delivery it pauses for as long as that took, 10 ms at most: commands get their share of the process, and
what happens meanwhile goes out in fewer writes.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from claudebench.errors import ClaudeBenchError
from claudebench.events.channel import PAGES_AT_ONCE, Channel, Figures, Gap, Reader, gap_at
from claudebench.events.log import EventLog, Page, event_of
from claudebench.events.model import Event
from claudebench.events.position import BEGINNING, number
from claudebench.events.ring import FRAMES_MAX, Frame, Ring
from claudebench.store.keys import KEYS, prefix
from claudebench.telemetry.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudebench.events.channel import Sink
    from claudebench.events.log import Seen
    from claudebench.events.patterns import Patterns
    from claudebench.store.connection import Connection
    from claudebench.store.wire import Words

_failed = Sparse.to_log("error")
_event = msgspec.json.Decoder(Event)
BLOCK_MS = 2_000
BATCH = 250
AGAIN_AFTER_S = 0.1
NOTICE_AFTER_S = 0.005
PAUSE_MAX_S = 0.010
PAUSE_FROM_S = 0.001


class Tailer:
    """Reads what happens and passes it on."""

    def __init__(self, log: EventLog, connection: Connection, frames_max: int = FRAMES_MAX) -> None:
        """Take the log as commands read it, and a connection that nothing else uses, since it is kept waiting."""
        self.figures = Figures()
        self._log = log
        self._connection = connection
        self._own_log = EventLog(connection, log.catalogue)
        self._frames_max = frames_max
        self._channels: dict[str, Channel] = {}
        self._pages = asyncio.Semaphore(PAGES_AT_ONCE)
        self._wanted = asyncio.Event()
        self._generation = 0
        self._client = 0
        self._watched: frozenset[str] = frozenset()

    async def join(self, workspace: str, sink: Sink, patterns: Patterns, begin: str = "") -> Reader:
        """Let somebody listen, from now on or from behind the position `begin`.

        Raises:
            ClaudeBenchError: the store does not answer.
        """
        gap = gap_at(begin, await self._log.seen(workspace, begin)) if begin else None
        channel = self._channels.get(workspace) or await self._open(workspace)
        return channel.add(Reader(sink, patterns, channel), begin, gap)

    async def position(self, workspace: str) -> str:
        """Return the newest position.

        Raises:
            ClaudeBenchError: the store does not answer.
        """
        channel = self._channels.get(workspace)
        return channel.ring.position if channel else (await self._log.seen(workspace, "")).last or BEGINNING

    def recent(self, workspace: str, after: str, limit: int, wants: Callable[[str], bool]) -> Page | None:
        """Return the events behind a position, of the types that are wanted, that this process has read already.

        None when it does not have all that is behind the position. What it has yet to read, it has not.
        """
        channel = self._channels.get(workspace)
        if not channel or not channel.ring.floor <= number(after) < channel.ring.last:
            return None
        ring = channel.ring
        frames = list(islice(ring.from_(ring.place_after(number(after))), limit))
        events = [_event.decode(frame.json) for frame in frames if wants(frame.type)]
        return Page(events, frames[-1].id < ring.last, frames[-1].position, "")

    async def run(self) -> None:
        """Read and pass on until it is cancelled."""
        while True:
            await self._wanted.wait()
            try:
                await self._turn()
            except ClaudeBenchError:
                await asyncio.sleep(AGAIN_AFTER_S)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who listen are not left without a word
                _failed("the log could not be followed", exc_info=error)
                await asyncio.sleep(AGAIN_AFTER_S)
            for channel in list(self._channels.values()):
                channel.cut_stalled()

    async def _open(self, workspace: str) -> Channel:
        last = (await self._log.seen(workspace, "")).last or BEGINNING
        if workspace not in self._channels:
            ring = Ring(last, self._frames_max)

            def close() -> None:
                if self._channels.get(workspace) is channel:
                    del self._channels[workspace]
                if not self._channels:
                    self._wanted.clear()

            channel = Channel(workspace, self._log, ring, self.figures, self._pages, close)
            self._channels[workspace] = channel
            self._wanted.set()
            asyncio.get_running_loop().call_soon(self._notice, workspace)
        return self._channels[workspace]

    def _notice(self, workspace: str) -> None:
        """Let a waiting read end, so that the next one has this workspace too."""
        if workspace in self._watched or workspace not in self._channels or not self._client:
            return
        try:
            self._log.connection.command("CLIENT", "UNBLOCK", self._client).add_done_callback(self._heed)
        except ClaudeBenchError:
            return
        asyncio.get_running_loop().call_later(NOTICE_AFTER_S, self._notice, workspace)

    def _heed(self, told: asyncio.Future[Any]) -> None:
        """Ask no more of a store that does not let us; its reads end by themselves."""
        if not told.cancelled() and told.exception():
            self._client = 0

    async def _turn(self) -> None:
        """Read once: what is new in the log of every channel, or nothing for two seconds."""
        generation = self._connection.generation
        if generation != self._generation:
            self._client = 0
            self._client = await self._connection.command("CLIENT", "ID")
            for channel in list(self._channels.values()):
                await self._check(channel)
            if generation != self._connection.generation:
                return
            self._generation = generation
        channels = {_key(name): channel for name, channel in self._channels.items()}
        if channels:
            await self._read(channels)

    async def _read(self, channels: dict[bytes, Channel]) -> None:
        self._watched = frozenset(channel.workspace for channel in channels.values())
        positions = [channel.ring.position for channel in channels.values()]
        words: Words = ("XREAD", "COUNT", BATCH, "BLOCK", BLOCK_MS, "STREAMS", *channels, *positions)
        try:
            reply = await self._connection.command(*words)
        finally:
            self._watched = frozenset()
        began = perf_counter()
        for key, entries in reply or ():
            channel = channels[key]
            if len(entries) == BATCH:
                await self._check(channel)
            self._pass_on(channel, entries)
        await asyncio.sleep(0)
        took = perf_counter() - began
        if took > PAUSE_FROM_S:
            await asyncio.sleep(min(took, PAUSE_MAX_S))

    def _pass_on(self, channel: Channel, entries: list[Any]) -> None:
        """Pass on what is behind the ring's end: a check may have moved it."""
        frames = (Frame(event_of(position.decode(), fields)) for position, fields in entries)
        channel.take([frame for frame in frames if frame.id > channel.ring.last])

    async def _check(self, channel: Channel) -> None:
        """Tell a channel when the log does not go on from where it stands."""
        ring, position = channel.ring, channel.ring.position
        seen = await self._own_log.seen(channel.workspace, position)
        if number(position) < number(seen.trimmed):
            channel.break_off(Gap(position, trimmed=seen.trimmed), seen.trimmed)
        elif seen.lacks(position) and ring.begin < ring.end:
            last = await self._last_common(channel, seen)
            channel.break_off(Gap(position, last=last), last)
        elif number(position) > number(seen.last):
            last = seen.last or BEGINNING
            channel.break_off(Gap(position, last=last), last)

    async def _last_common(self, channel: Channel, seen: Seen) -> str:
        """Return the newest position of the ring that the log still holds: it lost its tail, and only that."""
        frames = list(channel.ring.from_(channel.ring.begin))
        low, high = 0, len(frames)
        while low < high:
            middle = (low + high) // 2
            known = await self._own_log.seen(channel.workspace, frames[middle].position)
            low, high = (low, middle) if known.lacks(frames[middle].position) else (middle + 1, high)
        return frames[low - 1].position if low else min(channel.ring.foot, seen.last or BEGINNING, key=number)


def _key(workspace: str) -> bytes:
    return f"{prefix(workspace)}{KEYS['ev'].tail}".encode()
