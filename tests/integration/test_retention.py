"""Finished tasks leave a running server by themselves, a few at a time, whatever happens to its store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.scripts.fleet import snapshot, store_of

from claudebench.errors import NotFound, SettingsError
from claudebench.settings import load
from claudebench.tasks.store import RETIRE, UPDATE
from claudebench.testing import AsyncClient, Server, eventually, serve
from claudebench.testing.fill import Direct, creates, fill, script_words
from claudebench.testing.server import answers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DAY_MS = 86_400_000
MANY = 6_000


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that keeps what is finished for two days."""
    async with serve(tmp_path / "data", "--retain", "2") as running:
        yield running


def direct(server: Server) -> Direct:
    """Connect to the embedded store of a server, past it."""
    return Direct(json.loads((server.data_dir / "lock").read_text())["store"]["socket"])


async def backdate(server: Server, ids: list[str], days: int, workspace: str = "default") -> None:
    """Let tasks have ended so many days earlier."""
    async with store_of(server) as connection:
        for id_ in ids:
            await connection.command("ZINCRBY", f"cb:{{{workspace}}}:finished", -days * DAY_MS, id_[2:])


async def finished(client: AsyncClient, **asked: Any) -> str:
    """Make a task, complete it and return its id."""
    id_: str = (await client.call("task.create", text="a task", **asked))["id"]
    await client.call("task.update", id=id_, updates={"status": "completed"})
    return id_


async def is_gone(client: AsyncClient, id_: str) -> bool:
    """Whether a task is stored no more."""
    try:
        await client.call("task.get", id=id_)
    except NotFound as error:
        return bool(error.data["reason"] == "gone")
    return False


async def test_what_stayed_its_time_goes(server: Server, client: AsyncClient) -> None:
    """After `--retain` days a finished task is gone, others stay, and a dependency on it counts as completed."""
    old, young, open_ = await finished(client), await finished(client), await client.call("task.create", text="open")
    await backdate(server, [old], 2)
    await backdate(server, [young], 1)

    await eventually(lambda: is_gone(client, old))

    assert (await client.call("task.get", id=young))["status"] == "completed"
    assert (await client.call("task.create", text="next", dependsOn=[old, open_["id"]]))["waitsFor"] == 1
    assert (await client.call("task.count"))["completed"] == 1


async def test_every_workspace_is_looked_at(server: Server) -> None:
    """Also one that rests, in which nobody ever registered."""
    async with server.client(workspace="quiet") as quiet:
        id_ = await finished(quiet)
        await backdate(server, [id_], 2, "quiet")
        await eventually(lambda: is_gone(quiet, id_))


async def test_a_killed_store_goes_on_where_it_was(server: Server, client: AsyncClient) -> None:
    """A store that is killed in the middle of thousands has lost no index; the rest is retired when it is back."""
    open_ = (await client.call("task.create", text="open"))["id"]
    with direct(server) as store:
        numbers = fill(store, creates("default", MANY))
        list(store.run([("SCRIPT", "LOAD", UPDATE.text)]))
        end = ("completed", "", "", "", "", "", "", "", "")
        list(store.run(script_words(UPDATE, "default", n, *end) for n in numbers))
        list(store.run(("ZINCRBY", "cb:{default}:finished", -2 * DAY_MS, n) for n in numbers))
    await eventually(lambda: begun(client))

    server.kill_store()

    await answers(server)
    await eventually(lambda: is_worked_off(client), within_s=60)
    found = await snapshot(server)
    assert {f"t-{n}" for n in found.tasks} == {open_}
    assert found.done == set(numbers)


async def begun(client: AsyncClient) -> bool:
    """Whether retiring has begun."""
    completed: int = (await client.call("task.count"))["completed"]
    return completed < MANY


async def is_worked_off(client: AsyncClient) -> bool:
    """Whether every finished task is gone."""
    return bool((await client.call("task.count"))["completed"] == 0)


@pytest.mark.parametrize("days", [0, -1, 3651, "a week", 0.5])
def test_the_bounds_of_the_time(days: Any) -> None:
    """A day at least, ten years at most."""
    with pytest.raises(SettingsError, match="retain_days"):
        load(retain_days=days)
    assert load(retain_days=3650).retain_days == 3650
    assert RETIRE.grows is False
