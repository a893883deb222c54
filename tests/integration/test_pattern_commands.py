"""The commands and the command line of the patterns: what is in force, switching it, what was switched, the shares."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import pytest_asyncio
from tests.integration.seam_worker import ALL_SCRIPTS, key_of, seat_of
from tests.integration.test_cli import run

from claudebench.app import COMMANDS
from claudebench.errors import Conflict, InvalidParams, NotFound, Unauthorized
from claudebench.store.connection import Address, Connection
from claudebench.testing import AsyncClient, Server, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.test_cli import Ended

pytestmark = pytest.mark.asyncio(loop_scope="module")
DONE, FAILED, USAGE, UNREACHABLE, NOT_FOUND, CONFLICT = range(6)


@pytest_asyncio.fixture(loop_scope="module")
async def asking(shared: Server) -> AsyncIterator[AsyncClient]:
    """The operator, in a workspace of this test's own."""
    async with shared.client(workspace=uuid4().hex, token=shared.operator_token) as connected:
        yield connected


def workspace_of(client: AsyncClient) -> str:
    """Return the workspace that a client calls in."""
    return client.path.removeprefix("/w/").removesuffix("/rpc")


@asynccontextmanager
async def members(server: Server, workspace: str, *names: str) -> AsyncIterator[Connection]:
    """Let processes take part beside those of the server, for the length of a block."""
    connection = Connection(Address(socket=str(server.data_dir / "store.sock")), ALL_SCRIPTS)
    await connection.open()
    tasks = [asyncio.create_task(seat_of(connection, workspace, name).run()) for name in names]
    try:
        yield connection
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await connection.close()


async def seam(client: AsyncClient) -> dict[str, Any]:
    """Return how the seam of the events stands."""
    (found,) = (await client.call("pattern.show", seam="events"))["seams"]
    return dict(found)


async def working(client: AsyncClient, strategy: str, *names: str) -> None:
    """Wait until these run a strategy."""

    async def is_so() -> bool:
        view = await seam(client)
        running = {each["process"] for each in view["members"] if each["state"] == "running"}
        return view["strategy"] == strategy and running >= set(names)

    await eventually(is_so)


async def test_a_switch_is_led_and_told(shared: Server, asking: AsyncClient) -> None:
    """The operator's word is followed by every process, and the answer's position is that of its last event."""
    async with members(shared, workspace_of(asking), "a", "b"):
        await working(asking, "hybrid", "a", "b")
        ended = await asking.call("pattern.switch", seam="events", to="B")
        position = asking.position
        view = await seam(asking)

    assert ended.pop("tookMs") >= 0
    assert ended == {"seam": "events", "from": "hybrid", "to": "distributed", "outcome": "completed"}
    assert {name: view[name] for name in ("strategy", "epoch", "phase")} == {
        "strategy": "distributed", "epoch": 2, "phase": "steady"
    }  # fmt: skip
    assert {"a", "b"} <= {each["process"] for each in view["members"] if each["state"] == "running"}
    assert "leader" not in view
    steps = (await asking.call("pattern.history"))["steps"]
    assert [(each["step"], each["from"], each["to"], each["epoch"]) for each in steps] == [
        ("started", "hybrid", "distributed", 1),
        ("switched", "hybrid", "distributed", 2),
        ("completed", "hybrid", "distributed", 2),
    ]
    assert (steps[-1]["id"], {each["role"] for each in steps}) == (position, {"operator"})


async def test_a_switch_that_fails_says_why(shared: Server, asking: AsyncClient) -> None:
    """It is rolled back, and answer, seam and log tell the reason."""
    async with members(shared, workspace_of(asking), "a", "b") as connection:
        await working(asking, "hybrid", "a", "b")
        await connection.command("SADD", key_of(workspace_of(asking), "faults"), "b verify centralized")
        ended = await asking.call("pattern.switch", seam="events", to="A")
        view = await seam(asking)

    reason = "b failed: RuntimeError: cannot verify with ***"
    assert (ended["outcome"], ended["reason"], view["reason"], view["strategy"]) == (
        "rolled_back", reason, reason, "hybrid"
    )  # fmt: skip
    steps = (await asking.call("pattern.history", seam="events"))["steps"]
    assert [(each["step"], each.get("reason")) for each in steps[-2:]] == [("undoing", reason), ("rolled_back", reason)]


async def test_only_the_operator_switches(shared: Server, asking: AsyncClient) -> None:
    """Without the token a switch is refused and nothing has changed; everybody may look."""
    async with shared.client(workspace=workspace_of(asking)) as anybody:
        with pytest.raises(Unauthorized):
            await anybody.call("pattern.switch", seam="events", to="A")
        assert (await seam(anybody))["epoch"] == 0
        assert (await anybody.call("pattern.history"))["steps"] == []


async def test_what_is_refused(asking: AsyncClient) -> None:
    """Seams and strategies that there are none of, what is in force already, and times out of bounds."""
    with pytest.raises(Conflict, match="in force already"):
        await asking.call("pattern.switch", seam="events", to="hybrid")
    for name in ("pattern.show", "pattern.history"):
        with pytest.raises(NotFound) as caught:
            await asking.call(name, seam="event")
        assert caught.value.data["nearest"] == "events"
    with pytest.raises(NotFound):
        await asking.call("pattern.switch", seam="event", to="A")
    wrong: tuple[dict[str, Any], ...] = (
        {"seam": "events", "to": "D"},
        {"seam": "events"},
        {"to": "A"},
        {"seam": "", "to": "A"},
        {"seam": "events\n", "to": "A"},
        {"seam": "e" * 41, "to": "A"},
        {"seam": "events", "to": "A", "timeoutMs": 99},
        {"seam": "events", "to": "A", "timeoutMs": 600_001},
        {"seam": "events", "to": "A", "force": True},
    )
    for params in wrong:
        with pytest.raises(InvalidParams):
            await asking.call("pattern.switch", **params)
    for params in ({"after": "yesterday"}, {"limit": 0}, {"limit": 1001}):
        with pytest.raises(InvalidParams):
            await asking.call("pattern.history", **params)
    view = await seam(asking)
    assert (view["epoch"], view["strategy"]) == (0, "hybrid")


async def test_a_switch_under_a_key_begins_once(asking: AsyncClient) -> None:
    """Repeated, it says that it was begun, by which event, and changes nothing; the lead is free."""
    about = {"idempotencyKey": "k"}
    await asking.call("pattern.switch", about, seam="events", to="A")
    await asking.call("pattern.switch", seam="events", to="B")
    with pytest.raises(Conflict, match="begun before") as caught:
        await asking.call("pattern.switch", about, seam="events", to="A")

    steps = (await asking.call("pattern.history"))["steps"]
    assert (caught.value.outcome, caught.value.data["position"]) == ("done", steps[0]["id"])
    assert (await seam(asking))["strategy"] == "distributed"
    assert len(steps) == 6
    assert (await asking.call("pattern.switch", seam="events", to="C"))["outcome"] == "completed"


async def test_history_is_read_page_by_page(asking: AsyncClient) -> None:
    """Each page goes on behind the one before, past whatever else the log holds."""
    for to in ("A", "B"):
        await asking.call("pattern.switch", seam="events", to=to)
        await asking.call("task.create", text="between")
    pages, after = [], ""
    while True:
        page = await asking.call("pattern.history", limit=2, after=after)
        pages.append([each["step"] for each in page["steps"]])
        after = page["nextAfter"]
        if not page["hasMore"]:
            break

    steps = ["started", "switched", "completed"]
    assert [step for page in pages for step in page] == [*steps, *steps]
    assert max(map(len, pages)) == 2


async def test_shares_are_counted(asking: AsyncClient) -> None:
    """Each command counts once, under its pattern and under its consistency, beside what the assessment names."""
    told = await asking.call("pattern.shares")

    for label, rows in told.items():
        name = label.removesuffix("s")
        assert {each["label"]: each["commands"] for each in rows if each["commands"]} == Counter(
            str(getattr(command, name)) for command in COMMANDS
        )
        assert sum(each["share"] for each in rows) == pytest.approx(1, abs=0.001)
    assert [each.get("claimed") for each in told["patterns"]] == [0.52, 0.19, 0.29]
    assert [each.get("claimed") for each in told["consistency"]] == [0.6, None, 0.25, 0.15]


class Shell:
    """A shell that knows a server, a workspace and the operator's token."""

    def __init__(self, server: Server, cwd: Path, workspace: str) -> None:
        """Take where it looks."""
        self.cwd = cwd
        self.variables = {
            "CLAUDEBENCH_URL": server.url,
            "CLAUDEBENCH_WORKSPACE": workspace,
            "CLAUDEBENCH_TOKEN": server.operator_token,
        }

    async def __call__(self, *words: str, **variables: str) -> Ended:
        """Type a command line."""
        return await run(self.cwd, *words, environment=self.variables | variables)

    async def on_a_terminal(self, *words: str) -> str:
        """Type a command line where a person looks on, and return what is shown."""
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "claudebench", *words,
            env={**os.environ, **self.variables, "TERM": "xterm", "COLUMNS": "120"}, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        assert await process.wait() == DONE
        os.close(theirs)
        shown = os.read(ours, 20_000).decode()
        os.close(ours)
        return shown


@pytest.fixture
def shell(shared: Server, asking: AsyncClient, tmp_path: Path) -> Shell:
    """A shell in the workspace of this test."""
    return Shell(shared, tmp_path, workspace_of(asking))


async def test_the_command_line_switches(shared: Server, asking: AsyncClient, shell: Shell) -> None:
    """It shows, switches and lists; a switch that is rolled back exits 1, one that is refused as any conflict."""
    async with members(shared, workspace_of(asking), "a", "b") as connection:
        await working(asking, "hybrid", "a", "b")
        shown = await shell("pattern", "show")
        switched = await shell("pattern", "switch", "events", "A")
        again = await shell("pattern", "switch", "events", "A")
        await connection.command("SADD", key_of(workspace_of(asking), "faults"), "b verify distributed")
        failed = await shell("pattern", "switch", "events", "B", "--json")
        listed = await shell("pattern", "history")

    lines = [line.split("\t") for line in shown.out.splitlines()]
    assert lines[0][:6] == ["seam", "strategy", "epoch", "phase", "process", "does"]
    assert {("a", "running"), ("b", "running")} <= {(line[4], line[5]) for line in lines[1:]}
    assert (switched.code, "outcome\tcompleted" in switched.out, switched.err) == (DONE, True, "")
    assert (again.code, "in force already" in again.err) == (CONFLICT, True)
    assert (failed.code, '"outcome": "rolled_back"' in failed.out) == (FAILED, True)
    assert [line.split("\t")[3] for line in listed.out.splitlines()[1:]] == [
        "started", "switched", "completed", "started", "switched", "undoing", "rolled_back"
    ]  # fmt: skip


async def test_the_command_line_refuses(shell: Shell) -> None:
    """A seam or a strategy that is none, no token, no server: each has its exit code."""
    unknown, wrong, anybody, nowhere = await asyncio.gather(
        shell("pattern", "switch", "event", "A"),
        shell("pattern", "switch", "events", "D"),
        shell("pattern", "switch", "events", "A", CLAUDEBENCH_TOKEN=""),
        shell("pattern", "switch", "events", "A", CLAUDEBENCH_URL="http://127.0.0.1:1"),
    )

    assert (unknown.code, "events" in unknown.err) == (NOT_FOUND, True)
    assert (wrong.code, anybody.code, nowhere.code) == (USAGE, FAILED, UNREACHABLE)


async def test_shares_are_shown(shell: Shell) -> None:
    """In a pipe as lines, on a terminal with bars beside the assessment's."""
    ended = await shell("patterns")
    shown = await shell.on_a_terminal("patterns")

    assert ended.code == DONE
    assert ["A centralized", "52%"] in [line.split("\t")[::3] for line in ended.out.splitlines()]
    assert "\u2588" not in ended.out
    assert "\u2588" in shown


async def test_a_switch_is_watched_on_a_terminal(shared: Server, asking: AsyncClient, shell: Shell) -> None:
    """Where a person looks on, it is told how far it is while it runs."""
    async with members(shared, workspace_of(asking), "a", "b") as connection:
        await working(asking, "hybrid", "a", "b")
        await connection.command("SADD", key_of(workspace_of(asking), "faults"), "b hang drain")
        shown = await shell.on_a_terminal("pattern", "switch", "events", "A")

    assert "hybrid -> centralized: draining, " in shown
    assert "completed" in shown
