"""Subscribers of an app in running servers: order, kills, dead letters, time-outs, effects that happen once."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.integration.test_own_handlers import paths
from tests.scripts.fleet import store_of
from tests.scripts.store import private_store

from claudebench.errors import Conflict, InvalidParams, NotFound, Unauthorized
from claudebench.events.trim import TRIM
from claudebench.store.origin import Origin
from claudebench.testing import AsyncClient, Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")
APP = ("--app", "diary.handlers")
_numbers = itertools.count(1)


class Diary:
    """What a test says and looks at in a workspace of its own."""

    def __init__(self, server: Server, client: AsyncClient, operator: AsyncClient) -> None:
        """Take the server, and who speaks to it."""
        self.server, self.client, self.operator = server, client, operator

    async def say(self, *subjects: str, kind: str = "turned", **payload: Any) -> list[str]:
        """Emit events about subjects."""
        told = [
            await self.client.call("event.emit", type=f"x.page.{kind}", subject=each, payload=payload)
            for each in subjects
        ]
        return [each["id"] for each in told]

    async def read(self) -> dict[str, Any]:
        """Return what was told."""
        found: dict[str, Any] = await self.client.call("diary.read")
        return found

    async def tries(self, subject: str) -> int:
        """Return how often the diary was told of a subject."""
        return sum(line.endswith(f" {subject}") for line in (await self.read())["lines"])

    async def counted(self) -> dict[str, int]:
        """Return how often each subject was counted."""
        sums: dict[str, int] = (await self.read())["sums"]
        return sums

    async def dead(self) -> list[dict[str, Any]]:
        """Return the dead letters."""
        found: list[dict[str, Any]] = (await self.client.call("event.dead.list"))["letters"]
        return found


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with the diary."""
    data = tmp_path_factory.mktemp("diary") / "data"
    async with serve(data, *APP, env=paths()) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def diary(server: Server) -> AsyncIterator[Diary]:
    """The diary of this test's own workspace."""
    workspace = f"d{next(_numbers)}"
    token = server.operator_token
    async with (
        server.client(workspace=workspace) as client,
        server.client(workspace=workspace, token=token) as operator,
    ):
        yield Diary(server, client, operator)


async def test_what_is_wanted_is_told(diary: Diary) -> None:
    """A subscriber is told of the events that it asked for, in a workspace that appeared after the start too."""
    (id_,) = await diary.say("one")
    await diary.client.call("event.emit", type="x.else.said", subject="two")

    await eventually(lambda: diary.tries("one"))
    assert (await diary.read())["lines"] == [f"{id_} one"]
    await eventually(lambda: is_counted(diary, {"one": 1}))


async def is_counted(diary: Diary, sums: dict[str, int]) -> bool:
    """Whether exactly this was counted."""
    return await diary.counted() == sums


async def test_a_failing_event_is_a_dead_letter(diary: Diary) -> None:
    """After its tries it is listed with its error, secrets masked, told as an event, and others go on."""
    await diary.client.call("diary.fault", subject="bad")
    (bad,) = await diary.say("bad", secret="hunter22")
    await diary.say("good")

    (letter,) = await eventually(diary.dead)
    assert (letter["id"], letter["tries"], letter["event"]["subject"]) == (bad, 3, "bad")
    assert letter["error"] == "RuntimeError: no: token=***"
    assert await diary.tries("bad") == 3
    await eventually(lambda: diary.tries("good"))
    (told,) = (await diary.client.call("event.list", types=["event.dead"]))["events"]
    assert told["payload"]["id"] == bad


async def test_a_retry_is_delivered_once(diary: Diary) -> None:
    """Retried it is delivered once, and dead again if it fails again; after that a retry that works leaves nothing."""
    await diary.client.call("diary.fault", subject="bad")
    (bad,) = await diary.say("bad")
    await eventually(diary.dead)
    assert await diary.operator.call("event.dead.retry", group="diary", id=bad) == {"count": 1}
    await eventually(lambda: is_tried(diary, 6))
    await eventually(diary.dead)
    await diary.client.call("diary.fault", subject="bad", on=False)
    assert await diary.operator.call("event.dead.retry", group="diary", all=True) == {"count": 1}
    await eventually(lambda: is_tried(diary, 7))

    with pytest.raises(NotFound):
        await diary.operator.call("event.dead.retry", group="diary", id=bad)
    (lag,) = (await diary.client.call("event.lag", group="diary"))["groups"]
    await eventually(lambda: is_empty(diary))
    assert lag["dead"] == 0


async def is_tried(diary: Diary, times: int, subject: str = "bad") -> bool:
    """Whether the diary was told of a subject so often."""
    return await diary.tries(subject) == times


async def is_empty(diary: Diary) -> bool:
    """Whether nothing waits to be delivered once more."""
    (lag,) = (await diary.client.call("event.lag", group="diary"))["groups"]
    return (lag["dead"], lag["retrying"]) == (0, 0)


async def test_dead_letters_are_the_operators(diary: Diary) -> None:
    """Nobody else retries or drops them; dropped they are gone."""
    await diary.client.call("diary.fault", subject="bad")
    (bad,) = await diary.say("bad")
    await eventually(diary.dead)
    for verb in ("retry", "drop"):
        with pytest.raises(Unauthorized):
            await diary.client.call(f"event.dead.{verb}", group="diary", id=bad)

    assert await diary.operator.call("event.dead.drop", group="diary", id=bad) == {"count": 1}
    assert await diary.dead() == []


async def test_what_hangs_slows_no_command(diary: Diary) -> None:
    """While handlers hang, in the loop and in threads, commands are answered; then the events are given up."""
    subjects = [f"hang{n}" for n in range(20)]
    for each in subjects:
        await diary.client.call("diary.fault", subject=each)
    await diary.say(*subjects)
    await diary.say("blocks", kind="slow", seconds=5)
    async with asyncio.timeout(4):
        for _ in range(50):
            await diary.client.call("task.create", text="is answered")

    letters = await eventually(lambda: has_dead(diary, 1), within_s=30)
    assert letters[0]["error"].startswith("TimeoutError")


async def has_dead(diary: Diary, count: int) -> list[dict[str, Any]]:
    """Return the dead letters once there are so many."""
    found = await diary.dead()
    return found if len(found) >= count else []


async def test_figures_are_told(diary: Diary) -> None:
    """What subscribers handled, failed at and gave up on is in the metrics, by group."""
    await diary.say("one")
    await eventually(lambda: diary.tries("one"))
    figures = (await diary.client.get("/metrics")).body.decode()
    for name in ("handled_total", "failed_total", "timed_out_total", "dead_total", "behind_seconds"):
        assert f'claudebench_subscriber_{name}{{group="diary"}}' in figures
    assert 'claudebench_seam_strategy{seam="events",strategy="hybrid",workspace="' in figures
    assert 'claudebench_delivery_seconds_count{strategy="hybrid"}' in figures


async def test_killed_servers_lose_nothing_and_count_once(tmp_path: Path) -> None:
    """Two servers on one store, one killed again and again: each event counted once, each partition in order."""
    env = {**paths(), "DIARY_WORK_S": "0.002"}
    with private_store() as socket:
        options = (*APP, "--redis-url", f"unix://{socket}")
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(serve(tmp_path / "one", *options, env=env))
            two = await stack.enter_async_context(serve(tmp_path / "two", *options, env=env))
            client = await stack.enter_async_context(one.client(workspace="kills"))
            diary = Diary(one, client, client)
            written: list[str] = []
            for _ in range(3):
                written += await diary.say(*(f"s{n % 40}" for n in range(120)))
                await two.kill()
                written += await diary.say(*(f"s{n % 40}" for n in range(40)))
                await two.start()

            async def all_counted() -> bool:
                return sum((await diary.counted()).values()) >= len(written)

            await eventually(all_counted, within_s=60)
            found = await diary.read()
            assert sum(found["sums"].values()) == len(written)
            orders = [order for order in found["orders"] if order]
            assert sorted(each for order in orders for each in order) == sorted(written)
            for order in orders:
                assert order == [each for each in written if each in set(order)]
            await eventually(lambda: all_told(diary, set(written)), within_s=30)


async def all_told(diary: Diary, written: set[str]) -> bool:
    """Whether the diary was told of everything at least once."""
    return {line.split(" ")[0] for line in (await diary.read())["lines"]} >= written


async def test_what_fails_behind_its_effect_is_done_once(diary: Diary) -> None:
    """A function that fails each time after its effect has it once, and leaves no dead letter: the mark is there."""
    await diary.say("late", "late", "other")

    await eventually(lambda: has_failed(diary, "counter", 12))
    await eventually(lambda: is_counted(diary, {"late": 2, "other": 1}))
    assert await diary.dead() == []


async def has_failed(diary: Diary, group: str, tries: int) -> bool:
    """Whether so many tries of a subscriber failed in this server."""
    figures = (await diary.client.get("/metrics")).body.decode()
    return f'claudebench_subscriber_failed_total{{group="{group}"}} {tries:.1f}' in figures


@asynccontextmanager
async def opened(server: Server) -> AsyncIterator[Diary]:
    """A diary in the workspace `w` of a server, as the operator, until that server is killed."""
    async with server.client(workspace="w", token=server.operator_token) as client:
        yield Diary(server, client, client)


async def test_a_retry_outlives_its_server(tmp_path: Path) -> None:
    """What is to be delivered once more is in the store: a server that is killed delivers it when it is back."""
    async with serve(tmp_path / "data", *APP, env=paths()) as server:
        async with opened(server) as diary:
            await diary.client.call("diary.fault", subject="hang")
            (hangs,) = await diary.say("hang")
            await eventually(diary.dead)
            await diary.client.call("event.dead.retry", group="diary", id=hangs)
            await eventually(lambda: is_tried(diary, 4, "hang"))
        await server.kill()
        await server.start()
        async with opened(server) as diary:
            await diary.client.call("diary.fault", subject="hang", on=False)
            await eventually(lambda: is_empty(diary), within_s=30)
            assert await diary.tries("hang") > 4


async def test_a_kill_right_behind_the_effect(tmp_path: Path) -> None:
    """A process that dies after the effect and before anybody knows has had it once: the mark was written with it."""
    async with serve(tmp_path / "data", *APP, env=paths()) as server:
        async with opened(server) as diary:
            with suppress(OSError, EOFError):  # it may be gone before it has answered
                await diary.say("die")
            await asyncio.wait_for(server.process.wait(), 30)
        await server.start()
        async with opened(server) as diary:
            await diary.say("after")
            await eventually(lambda: is_counted(diary, {"die": 1, "after": 1}), within_s=30)


async def test_a_group_whose_app_is_gone_is_dropped(tmp_path: Path) -> None:
    """While a server serves it, that is refused and changes nothing; without the app it goes, and the log moves on."""
    async with serve(tmp_path / "data", *APP, env=paths()) as server:
        async with opened(server) as diary:
            await diary.client.call("diary.fault", subject="bad")
            await diary.say("bad", "good")
            await eventually(diary.dead)
            await eventually(lambda: is_counted(diary, {"bad": 1, "good": 1}))
            with pytest.raises(Conflict, match=r"served by .*; stop the server that serves it, or take the subscriber"):
                await diary.operator.call("event.group.drop", group="diary")
            assert len(await diary.dead()) == 1
        server.options = tuple(each for each in server.options if each not in APP)
        await server.stop()
        await server.start()
        async with opened(server) as diary:
            await refused_in_words(diary, server)
            assert await trimmed(server) == 0
            dropped = {"group": "diary", "partitions": 16, "dead": 1, "retrying": 0}
            for _ in range(2):
                about = {"idempotencyKey": "drop-1"}
                assert await diary.operator.call("event.group.drop", about, group="diary") == dropped
            for group in ("counter", "threaded"):
                await diary.operator.call("event.group.drop", group=group)
            assert await diary.dead() == []
            told = (await diary.client.call("event.list", types=["event.group_dropped"]))["events"]
            assert [each["subject"] for each in told] == ["diary", "counter", "threaded"]
            assert (told[0]["payload"], told[0]["role"]) == (dropped, "operator")
            await eventually(lambda: trimmed(server))


async def refused_in_words(diary: Diary, server: Server) -> None:
    """Check what is refused for another reason than a server: each says what to do, and tells no event."""
    hook = await diary.operator.call("webhook.add", url="https://93.184.215.14/", events=["x.hook.*"])
    for group, said in (
        ("record", "--database-url none"),
        (f"webhook.{hook['id']}", "claudebench webhook remove wh-1"),
    ):
        with pytest.raises(Conflict, match=said):
            await diary.operator.call("event.group.drop", group=group)
    for group, near in (("dairy", "diary"), ("webhook.wh-2", "webhook.wh-1")):
        with pytest.raises(NotFound) as caught:
            await diary.operator.call("event.group.drop", group=group)
        assert caught.value.data["nearest"] == near
    for group in ("", "Diary", "a b", "x" * 65):
        with pytest.raises(InvalidParams):
            await diary.operator.call("event.group.drop", group=group)
    async with server.client(workspace="w") as stranger:
        with pytest.raises(Unauthorized):
            await stranger.call("event.group.drop", group="diary")
    await diary.operator.call("webhook.remove", id=hook["id"])
    groups = (await diary.client.call("event.lag"))["groups"]
    assert [each["group"] for each in groups] == ["counter", "diary", "record", "threaded"]
    assert (await diary.client.call("event.list", types=["event.group_dropped"]))["events"] == []


async def trimmed(server: Server) -> int:
    """Let a step of trimming take all that it may; return how many events went."""
    async with store_of(server) as connection:
        gone, _ = await connection.change(TRIM, Origin("w"), 10**13, 0)
        return int(gone)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@on('task.craeted')\nasync def f(event): ...", "did you mean 'task.created'"),
        ("@on('task.*', group='No')\nasync def f(event): ...", "must be a name of"),
        ("@on('task.*', retries=-1)\nasync def f(event): ...", "retries lie in 0..100"),
        ("@on('task.*', backoff=(2, 1))\nasync def f(event): ...", "0 < first <= most"),
        ("@on('task.*', timeout_s=0)\nasync def f(event): ...", "timeout_s lies in"),
        ("@on('Task')\nasync def f(event): ...", "a pattern is"),
        ("@on('task.*', group='record')\nasync def f(event): ...", "ClaudeBench's own"),
        ("@on('task.*', group='webhook.wh-1')\nasync def f(event): ...", "ClaudeBench's own"),
        (
            "@on('task.*', group='a')\nasync def f(event): ...\n@on('hook.*', group='a')\nasync def g(event): ...",
            "two subscribers",
        ),
        ("@on('task.*')\nasync def f(event, other: int): ...", "asks for other"),
        ("@on('task.*')\ndef f(event, context: Context): ...", "only an async function"),
    ],
)
async def test_what_is_misdeclared_ends_the_start(tmp_path: Path, text: str, said: str) -> None:
    """A subscriber that cannot be is said at start, with the name of its app and what is wrong."""
    (tmp_path / "wrong.py").write_text(f"from claudebench import Context, on\n{text}\n")
    with pytest.raises(RuntimeError) as refused:
        async with serve(tmp_path / "data", "--app", "wrong", env=paths(tmp_path)):
            pass

    shown = " ".join(str(refused.value).split())
    assert said in shown
    assert "--app wrong" in shown


STUBBORN = """
import asyncio
from claudebench import Event, on

@on("x.stubborn.said", group="stubborn")
async def stay(event: Event) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
"""


async def test_a_server_ends_though_a_function_does_not(tmp_path: Path) -> None:
    """One that swallows its cancellation is left behind: the server ends in order, exits 0, and says so."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    options = ("--app", "stubborn")
    async with serve(tmp_path / "data", *options, env={"PYTHONPATH": str(tmp_path)}, fresh=True) as server:
        async with server.client(workspace="w") as client:
            await client.call("event.emit", type="x.stubborn.said", subject="s", payload={})

            async def is_busy() -> bool:
                groups = (await client.call("event.lag"))["groups"]
                return any(
                    each["behind"] and any("holder" in part for part in each["partitions"])
                    for each in groups
                    if each["group"] == "stubborn"
                )

            await eventually(is_busy)
        assert await server.stop() == 0
        assert "is left behind" in server.log_path.read_text()
