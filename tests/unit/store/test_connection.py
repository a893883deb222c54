"""The multiplexer against a real socket whose other end does what the test says."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import hiredis
import pytest

from claudebench.errors import (
    ClaudeBenchError,
    Conflict,
    Internal,
    LimitReached,
    SettingsError,
    Stale,
    TimedOut,
    Unavailable,
)
from claudebench.store.connection import Address, Connection
from claudebench.tasks.store import CLAIM, CREATE, GET
from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claudebench.store.script import Script

INFO = b"redis_version:7.2.4\r\nvalkey_version:9.1.2\r\n"
HUGE = "x" * 2**20


def bulk(text: bytes) -> bytes:
    """Return a bulk string as RESP spells it."""
    return b"$%d\r\n%s\r\n" % (len(text), text)


class FakeStore:
    """Speaks RESP on a real socket: greets as a store does, keeps every other command until the test answers it."""

    def __init__(self) -> None:
        """Listen nowhere yet."""
        self.greetings: list[list[bytes]] = []
        self.commands: asyncio.Queue[list[bytes]] = asyncio.Queue()
        self.received: list[list[bytes]] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.connections = 0
        self.info = INFO
        self.refuse_loads: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.scripts: dict[str, str] = {}
        self._server: asyncio.Server

    async def start(self) -> Address:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return Address(port=self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Cut everything."""
        self._server.close()
        self.cut()
        self.reads.set()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Cut every socket."""
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    def say(self, data: bytes) -> None:
        """Send bytes, whole replies or pieces of them."""
        self.writers[-1].write(data)

    async def hear(self) -> list[bytes]:
        """Return the next command that is no greeting."""
        async with asyncio.timeout(10):
            return await self.commands.get()

    async def say_and_cut(self, data: bytes) -> None:
        """Send bytes and close the socket after them."""
        writer = self.writers.pop()
        writer.write(data)
        await writer.drain()
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        parser = hiredis.Reader()
        try:
            while await self.reads.wait() and (data := await reader.read(65536)):
                parser.feed(data)
                while (words := parser.gets()) is not False:
                    self._take(words, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _take(self, words: list[bytes], writer: asyncio.StreamWriter) -> None:
        match words:
            case [b"INFO", b"server"]:
                writer.write(bulk(self.info))
            case [b"SCRIPT", b"LOAD", _] if self.refuse_loads:
                writer.write(self.refuse_loads.pop(0))
            case [b"SCRIPT", b"LOAD", text]:
                writer.write(bulk(self.scripts.get(text.decode(), "").encode()))
            case [b"AUTH", *_] | [b"SELECT", _]:
                writer.write(b"+OK\r\n")
            case _:
                self.received.append(words)
                self.commands.put_nowait(words)
                return
        self.greetings.append(words)


@asynccontextmanager
async def fake(*scripts: Script, **options: Any) -> AsyncIterator[tuple[FakeStore, Connection]]:
    """Run a fake store and a connection to it."""
    store = FakeStore()
    store.scripts = {text.text: text.sha for script in scripts for text in script.texts}
    connection = Connection(await store.start(), scripts, **options)
    try:
        await connection.open()
        yield store, connection
    finally:
        await connection.close()
        await store.stop()


async def works(store: FakeStore, connection: Connection) -> None:
    """Want that a call is served, on a new socket if need be."""
    await eventually(lambda: store.writers and connection.is_up)
    reply = connection.command("GET", "sound")
    while (await store.hear())[-1] != b"sound":
        pass
    store.say(b"+whole\r\n")
    assert await reply == b"whole"


async def outcome(reply: asyncio.Future[Any]) -> tuple[type[ClaudeBenchError], str]:
    """Return how a call failed."""
    with pytest.raises(ClaudeBenchError) as refusal:
        async with asyncio.timeout(10):
            await reply
    return type(refusal.value), refusal.value.outcome


REPLIES = {"simple": b"+OK\r\n", "bulk": bulk(b"hello"), "array": b"*2\r\n:1\r\n$2\r\nab\r\n", "error": b"-ERR no\r\n"}


@pytest.mark.parametrize("kind", REPLIES)
async def test_a_socket_cut_at_every_byte_of_a_reply(kind: str) -> None:
    """Wherever a reply is cut, its call is `unknown`, the one answered before keeps its answer, and the next works."""
    reply = REPLIES[kind]
    async with fake() as (store, connection):
        for at in range(len(reply)):
            first, second = connection.command("GET", "first"), connection.command("GET", "second")
            await store.hear()
            await store.hear()
            await store.say_and_cut(bulk(b"first") + reply[:at])

            assert await first == b"first"
            assert await outcome(second) == (Unavailable, "unknown")
            await eventually(lambda: store.writers and connection.is_up)
        await works(store, connection)


async def test_a_reply_in_single_bytes() -> None:
    """Replies that arrive byte by byte are as good as those that arrive at once."""
    async with fake() as (store, connection):
        replies = [connection.command("GET", at) for at in range(4)]
        for _ in replies:
            await store.hear()
        for byte in b"".join((b"$-1\r\n", bulk(b"\r\n$3\r\n"), b"*0\r\n", b":7\r\n")):
            store.say(bytes([byte]))
            await store.writers[-1].drain()

        assert [await reply for reply in replies] == [None, b"\r\n$3\r\n", [], 7]


async def test_a_cancelled_call_keeps_its_slot() -> None:
    """Calls cancelled in flight, and before they are written, do not move the replies of the others."""
    async with fake() as (store, connection):
        replies = [connection.command("GET", at) for at in range(10)]
        replies[0].cancel()
        for _ in replies[:5]:
            await store.hear()
        for at in (2, 3, 7):
            replies[at].cancel()
        for at in range(10):
            store.say(bulk(b"%d" % at))

        for at in (1, 4, 5, 6, 8, 9):
            assert await replies[at] == b"%d" % at
        assert all(replies[at].cancelled() for at in (0, 2, 3, 7))


async def test_calls_of_one_turn_are_written_at_once() -> None:
    """However many calls are made in a turn of the loop, they reach the store in their order, in one piece."""
    async with fake() as (store, connection):
        replies = [connection.command("GET", at) for at in range(1000)]
        store_heard = [(await store.hear())[1] for _ in replies]
        store.say(b"".join(bulk(word) for word in store_heard))

        assert [await reply for reply in replies] == [b"%d" % at for at in range(1000)]


async def test_a_silent_store() -> None:
    """No answer in time is `unknown`; then calls are refused at once as `not_done` until the store speaks again."""
    async with fake(timeout_s=0.1, silence_max_s=60) as (store, connection):
        reply = connection.command("GET", "slow")
        assert await outcome(reply) == (TimedOut, "unknown")

        begun = monotonic()
        with pytest.raises(Unavailable) as refusal:
            connection.command("GET", "refused")
        assert (refusal.value.outcome, refusal.value.data["reason"]) == ("not_done", "store")
        assert refusal.value.data["retryAfterMs"]
        assert monotonic() - begun < 0.1
        assert not connection.is_up

        store.say(b"+late\r\n")
        await works(store, connection)
        assert store.connections == 1
        assert [b"GET", b"refused"] not in store.received


async def test_a_late_reply_finds_nobody_else() -> None:
    """The reply of a call that timed out is not taken for the reply of the call after it."""
    async with fake(timeout_s=0.2, silence_max_s=60) as (store, connection):
        slow = connection.command("GET", "slow")
        assert await outcome(slow) == (TimedOut, "unknown")
        store.say(b"+slow\r\n")
        await eventually(lambda: connection.is_up)
        next_ = connection.command("GET", "next")
        store.say(b"+next\r\n")

        assert await next_ == b"next"


async def test_a_store_silent_for_too_long_is_given_up() -> None:
    """After the longest silence the socket is made anew, and a store that answers again is used."""
    async with fake(timeout_s=0.1, silence_max_s=0.3) as (store, connection):
        assert await outcome(connection.command("GET", "slow")) == (TimedOut, "unknown")
        await eventually(lambda: store.connections > 1)
        await works(store, connection)


async def test_what_never_reached_the_socket_was_not_done() -> None:
    """When the line is full and then cut, what was held back is `not_done`, and the store never saw a word of it."""
    async with fake() as (store, connection):
        store.reads.clear()
        wire = connection._wire
        assert wire
        calls: list[asyncio.Future[Any]] = []
        while wire._writable:
            calls.append(connection.command("SET", len(calls), HUGE))
            await asyncio.sleep(0)
        calls += [connection.command("SET", len(calls) + at, "small") for at in range(5)]
        await asyncio.sleep(0)
        store.cut()
        store.reads.set()

        outcomes = [(await outcome(call))[1] for call in calls]

        assert outcomes == sorted(outcomes, reverse=True)
        assert outcomes[-5:] == ["not_done"] * 5
        assert outcomes[0] == "unknown"
        held_back = {b"%d" % at for at, each in enumerate(outcomes) if each == "not_done"}
        await works(store, connection)
        assert not held_back.intersection(words[1] for words in store.received if words[0] == b"SET")


async def test_a_full_line_that_empties_is_written_on() -> None:
    """What was held back while the socket was full is sent when it empties, in its order."""
    async with fake() as (store, connection):
        store.reads.clear()
        calls = [connection.command("SET", at, HUGE) for at in range(8)]
        await asyncio.sleep(0)
        calls += [connection.command("SET", 8 + at, "small") for at in range(100)]
        store.reads.set()
        for at in range(len(calls)):
            assert (await store.hear())[1] == b"%d" % at
            store.say(b"+OK\r\n")

        assert [await call for call in calls] == [b"OK"] * len(calls)


async def test_a_call_without_a_connection_was_not_done() -> None:
    """With no store there, a call is refused at once as `not_done` and says when to come again."""
    async with fake() as (store, connection):
        await store.stop()
        await eventually(lambda: not connection.is_up)

        with pytest.raises(Unavailable) as refusal:
            connection.command("GET", "x")
        assert (refusal.value.outcome, refusal.value.data["reason"]) == ("not_done", "store")
        assert refusal.value.data["retryAfterMs"]


async def test_a_backlog_has_a_bound() -> None:
    """As many calls wait as the bound says; one more is refused as `not_done` and never sent."""
    async with fake(calls_max=3) as (store, connection):
        replies = [connection.command("GET", at) for at in range(3)]
        with pytest.raises(Unavailable) as refusal:
            connection.command("GET", "too many")
        assert (refusal.value.outcome, refusal.value.data["reason"]) == ("not_done", "backlog")
        for at in range(3):
            await store.hear()
            store.say(bulk(b"%d" % at))

        assert [await reply for reply in replies] == [b"0", b"1", b"2"]
        await works(store, connection)
        assert len(store.received) == 4


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        ("LOADING Redis is loading the dataset in memory", Unavailable, "not_done"),
        ("BUSY Redis is busy running a script", Unavailable, "not_done"),
        ("READONLY You can't write against a read only replica.", Unavailable, "not_done"),
        ("MOVED 3999 127.0.0.1:6381", Unavailable, "not_done"),
        ("ASK 3999 127.0.0.1:6381", Unavailable, "not_done"),
        ("CLUSTERDOWN The cluster is down", Unavailable, "not_done"),
        ("MASTERDOWN Link with MASTER is down", Unavailable, "not_done"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Unavailable, "not_done"),
        ("NOREPLICAS Not enough good replicas to write.", Unavailable, "not_done"),
        ("OOM command not allowed when used memory > 'maxmemory'.", LimitReached, "not_done"),
        ("ERR user_script:7: attempt to index a nil value", Internal, "unknown"),
    ],
)
async def test_what_the_store_refuses(answer: str, kind: type[ClaudeBenchError], told: str) -> None:
    """A refusal that the store answered did nothing and says so; an error inside a script may have done anything."""
    async with fake(GET) as (store, connection):
        reply = connection.run(GET, "w", 1)
        await store.hear()
        store.say(f"-{answer}\r\n".encode())

        assert await outcome(reply) == (kind, told)
        await works(store, connection)


async def test_what_a_script_refuses() -> None:
    """A list that begins with a negative code is the script's refusal, with its sentence and its fields."""
    async with fake(GET) as (store, connection):
        stale, conflict, plain = connection.run(GET, "w", 1), connection.run(GET, "w", 2), connection.run(GET, "w", 3)
        for _ in range(3):
            await store.hear()
        store.say(b"*4\r\n:-32012\r\n$5\r\nstale\r\n$7\r\ncurrent\r\n:3\r\n")
        store.say(b"*2\r\n:-32011\r\n$2\r\nno\r\n")
        store.say(b"*2\r\n:32011\r\n$2\r\nno\r\n")

        with pytest.raises(Stale, match="stale") as refusal:
            await stale
        assert (refusal.value.outcome, refusal.value.data) == ("not_done", {"current": 3})
        with pytest.raises(Conflict):
            await conflict
        assert await plain == [32011, b"no"]


async def test_an_unknown_script_is_sent_and_runs_once() -> None:
    """NOSCRIPT is answered with the script's text, once, and the caller gets the reply as if nothing had been."""
    async with fake(CLAIM, GET) as (store, connection):
        claim = connection.run(CLAIM, "w", "", "me", "", 1, "")
        get = connection.run(GET, "w", 1)
        after = connection.command("GET", "x")
        assert (await store.hear())[:3] == [b"EVALSHA", CLAIM.sha.encode(), b"1"]
        await store.hear()
        await store.hear()
        store.say(b"-NOSCRIPT No matching script.\r\n" + b"*1\r\n+got\r\n" + b"+x\r\n")

        assert await get == [b"got"]
        assert await after == b"x"
        sent = await store.hear()
        assert sent == [b"EVAL", CLAIM.text.encode(), b"1", b"cb:{w}:", b"", b"me", b"", b"1", b""]
        store.say(b"*1\r\n+\r\n")
        assert await claim == [b""]
        assert [words[0] for words in store.received] == [b"EVALSHA", b"EVALSHA", b"GET", b"EVAL"]


async def test_a_cut_after_noscript_is_unknown() -> None:
    """A script that was sent again and not answered may have run: `unknown`."""
    async with fake(CLAIM) as (store, connection):
        claim = connection.run(CLAIM, "w", "", "me", "", 1, "")
        await store.hear()
        store.say(b"-NOSCRIPT No matching script.\r\n")
        await store.hear()
        store.cut()

        assert await outcome(claim) == (Unavailable, "unknown")


async def test_nothing_is_sent_twice() -> None:
    """What was in flight when the line was cut is not repeated on the next line."""
    async with fake(CREATE) as (store, connection):
        reply = connection.run(CREATE, "w", "", "", "", "{}", 50, "", 3, 10, "")
        await store.hear()
        store.cut()
        assert await outcome(reply) == (Unavailable, "unknown")
        await works(store, connection)

        assert [words[0] for words in store.received] == [b"EVALSHA", b"GET"]


async def test_every_connection_loads_the_scripts_before_it_serves() -> None:
    """A new connection authenticates, chooses its database and loads each script before the first call is sent."""
    store = FakeStore()
    store.scripts = {text.text: text.sha for text in (*CREATE.texts, *GET.texts)}
    found = await store.start()
    address = Address(port=found.port, username="me", password="secret", database=3)
    connection = Connection(address, (CREATE, GET))
    await connection.open()
    await works(store, connection)
    greeting = [[b"AUTH", b"me", b"secret"], [b"SELECT", b"3"], [b"INFO", b"server"]]
    loads = [[b"SCRIPT", b"LOAD", each.text.encode()] for each in (*CREATE.texts, *GET.texts)]
    assert store.greetings == greeting + loads

    store.cut()
    await eventually(lambda: store.connections == 2 and connection.is_up)
    assert store.greetings == (greeting + loads) * 2
    await connection.close()
    await store.stop()


@pytest.mark.parametrize(
    ("runs", "told"), [(["a", "a", "a"], 1), (["a", "b", "b"], 2), (["", "", ""], 3)], ids=["same", "anew", "unknown"]
)
async def test_what_comes_first_is_told_to_a_store_that_was_started_anew(runs: list[str], told: int) -> None:
    """A store that may have forgotten is told what comes first before it serves; one that only lost the line is not."""
    asked = 0

    async def first() -> list[Any]:
        nonlocal asked
        asked += 1
        return []

    def is_connected(times: int) -> bool:
        return store.connections == times and connection.is_up

    store = FakeStore()
    connection = Connection(await store.start())
    connection.first = first
    for at, run in enumerate(runs, 1):
        store.info = INFO + (f"run_id:{run}\r\n".encode() if run else b"")
        if at == 1:
            await connection.open()
        else:
            store.cut()
        await eventually(partial(is_connected, at))
    assert asked == told
    await connection.close()
    await store.stop()


async def test_a_store_that_still_loads_is_waited_for() -> None:
    """A store that answers LOADING to the greeting is asked again until it serves."""
    store = FakeStore()
    store.scripts = {GET.text: GET.sha}
    store.refuse_loads = [b"-LOADING Redis is loading the dataset in memory\r\n"] * 3
    connection = Connection(await store.start(), (GET,))

    await connection.open()

    assert store.connections == 4
    await connection.close()
    await store.stop()


async def test_a_store_that_hashes_otherwise_is_not_served() -> None:
    """When a script's hash is not the one we call it by, the connection does not open and says why."""
    store = FakeStore()
    store.scripts = {GET.text: "0" * 40}
    connection = Connection(await store.start(), (GET,))

    with pytest.raises(Unavailable, match="hashes"):
        await connection.open(within_s=0.3)
    await store.stop()


async def test_an_old_store_is_refused() -> None:
    """A store older than 7.0 is a setting that does not fit, told at once."""
    store = FakeStore()
    store.info = b"redis_version:6.2.14\r\n"
    connection = Connection(await store.start())

    with pytest.raises(SettingsError, match=r"6\.2\.14"):
        await connection.open()
    await connection.close()
    await store.stop()


async def test_nobody_there() -> None:
    """Where nobody listens, opening fails within its time and says where it looked."""
    store = FakeStore()
    address = await store.start()
    await store.stop()

    with pytest.raises(Unavailable, match=str(address.port)):
        await Connection(address).open(within_s=0.2)


@pytest.mark.parametrize("noise", [b"+unasked\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff\r\n"])
async def test_a_peer_that_speaks_no_resp_is_cut(noise: bytes) -> None:
    """Bytes that answer nothing end the connection, calls in flight are `unknown`, and a new one is made."""
    async with fake() as (store, connection):
        reply = connection.command("GET", "x")
        await store.hear()
        store.say(b"+x\r\n" + noise)
        assert await reply == b"x"
        await eventually(lambda: store.connections == 2)
        await works(store, connection)


async def test_a_connection_that_is_closed_stays_closed() -> None:
    """Closing ends what is in flight as `unknown` and makes no new socket."""
    async with fake() as (store, connection):
        reply = connection.command("GET", "x")
        await store.hear()
        await connection.close()

        assert await outcome(reply) == (Unavailable, "unknown")
        assert not connection.is_up
        with pytest.raises(Unavailable):
            connection.command("GET", "y")
        assert store.connections == 1


async def test_a_wrong_number_of_arguments_reaches_no_socket() -> None:
    """A script called with too few or too many arguments is a TypeError here, and the store sees nothing."""
    async with fake(GET) as (store, connection):
        for arguments in ((), (1, 2)):
            with pytest.raises(TypeError, match=r"tasks\.get takes n"):
                connection.run(GET, "w", *arguments)
        await works(store, connection)
        assert len(store.received) == 1


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", Address(host="h")),
        ("redis://u%40:p%2F@h:1/2", Address(host="h", port=1, username="u@", password="p/", database=2)),
        ("redis://:p@[::1]:7/", Address(host="::1", port=7, password="p")),
        ("rediss://h:1", Address(host="h", port=1, tls=True)),
        ("unix:///run/my%20store.sock", Address(socket="/run/my store.sock")),
    ],
)
def test_urls_are_read(url: str, address: Address) -> None:
    """A URL says where the store is, with what credentials, in which database, and is shown without its password."""
    assert Address.from_url(url) == address
    assert not address.password or address.password not in str(address)


URLS = (
    "http://h", "localhost:6379", "redis://h/seven", "foo", "redis:h", "redis:", "redis://h/-1", "redis://h:99999",
    "redis://h:p", "unix://", "unix://host/run/x.sock", "secret", "user:secret@h:6379", "redis://:se/cret@h",
)  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_urls_that_are_none(url: str) -> None:
    """A URL of another kind is a setting that does not fit; the forms that do are named, and nothing of it is shown."""
    with pytest.raises(SettingsError, match=r"redis://127\.0\.0\.1:6379/0, .*rediss://.* unix:///") as caught:
        Address.from_url(url)
    assert "secret" not in caught.value.message


def test_a_user_without_a_password_is_told() -> None:
    """A user of an access list may have none."""
    assert Address.from_url("redis://u@h").greeting() == [("AUTH", "u", "")]
