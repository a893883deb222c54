"""Servers and stores that are killed and paused under load: what was acknowledged stays, and is done once."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from tests.scripts.fleet import Fleet, snapshot

from claudebench.testing import eventually, serve
from claudebench.testing.server import answers

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.testing import Server

EXIT_WITHIN_S = 10


async def test_server_killed_in_mid_load(server: Server) -> None:
    """A server killed three times under load loses no acknowledged task or completion and does nothing twice."""
    async with Fleet(server) as fleet:
        for _ in range(3):
            await fleet.goes_on()
            await server.kill()
            await server.start()
        await fleet.goes_on()
        await fleet.finish()

    assert fleet.errors, "the load never met the fault"


def met_more(fleet: Fleet, refusals: int) -> bool:
    """Whether the load was refused more often than that."""
    return len(fleet.refusals) > refusals


async def test_store_killed_in_mid_load(server: Server) -> None:
    """When its store is killed, the server lives, says when to come again, brings it back and has lost nothing."""
    async with Fleet(server) as fleet:
        for _ in range(3):
            await fleet.goes_on()
            faced = len(fleet.refusals)
            server.kill_store()
            await eventually(partial(met_more, fleet, faced))
        await fleet.goes_on()
        await fleet.finish()

    assert server.process.returncode is None
    assert {refusal.code for refusal in fleet.refusals} == {-32001}
    assert all(refusal.data["retryAfterMs"] for refusal in fleet.refusals)
    assert {refusal.outcome for refusal in fleet.refusals} <= {"not_done", "unknown"}


async def test_server_and_store_killed_at_once(server: Server) -> None:
    """When both are killed in the same moment, a new start finds everything that was acknowledged."""
    async with Fleet(server) as fleet:
        for _ in range(2):
            await fleet.goes_on()
            server.kill_store()
            await server.kill()
            await server.start()
        await fleet.goes_on()
        await fleet.finish()


async def test_terminated_under_load(server: Server) -> None:
    """A server that is asked to end under load drains, exits with 0 in ten seconds, and has lost nothing."""
    async with Fleet(server) as fleet:
        await fleet.goes_on()
        async with asyncio.timeout(EXIT_WITHIN_S):
            assert await server.stop() == 0
        acknowledged = len(fleet.created)
        await server.start()
        await fleet.goes_on()
        await fleet.finish()

    assert 0 < acknowledged < len(fleet.created)


async def test_a_restart_brings_everything_back(server: Server) -> None:
    """Tasks, owners, epochs, instances and the log are after a restart what they were before it."""
    async with Fleet(server) as fleet:
        await fleet.goes_on()
        await fleet.finish()
    async with server.client() as client:
        for _ in range(3):
            await client.call("task.create", text="open")
        await client.call("task.claim", workerId="worker-0")
    before = await snapshot(server)

    assert await server.stop() == 0
    await server.start()

    after = await snapshot(server)
    for found in (before, after):
        del found.hashes["group:record:0"]  # how far the record is moves behind the log
    assert (after.tasks, after.events, after.hashes) == (before.tasks, before.events, before.hashes)
    assert after.instances == before.instances


async def test_the_store_stays_away(server: Server) -> None:
    """While the store cannot answer at all, health is 503, commands are refused, and both end when it is back."""
    async with server.client(within_s=60) as client:
        await client.call("task.create", text="before")
        server.pause_store()
        refusal = await client.rpc({"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": {"text": "during"}})
        assert (refusal["error"]["code"], refusal["error"]["data"]["outcome"]) == (-32004, "unknown")
        refusal = await client.rpc({"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": {"text": "refused"}})
        assert (refusal["error"]["code"], refusal["error"]["data"]["outcome"]) == (-32001, "not_done")
        assert refusal["error"]["data"]["retryAfterMs"] > 0
        assert (await client.get("/health")).status == 503
        assert (await client.get("/health?live")).status == 200

        server.resume_store()
        await answers(server)
        texts = [task["text"] for task in (await client.call("task.list"))["tasks"]]

    assert texts == ["during", "before"]


async def test_a_second_server_takes_over_the_orphan_under_load(tmp_path: Path) -> None:
    """A store whose server was killed is adopted by the next server while clients keep knocking."""
    async with serve(tmp_path / "data") as server, Fleet(server) as fleet:
        await fleet.goes_on()
        store = server.store_pid
        await server.kill()
        await server.start()
        assert server.store_pid == store
        await fleet.goes_on()
        await fleet.finish()
