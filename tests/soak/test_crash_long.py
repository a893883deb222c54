"""Ten kills instead of three, a store that stands still for ten seconds, and how long each return took."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from tests.integration.test_liveness import Beating, elapsed
from tests.scripts.fleet import Fleet, snapshot, store_of

from claudebench.testing import eventually
from claudebench.testing.server import answers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from claudebench.testing import Server

pytestmark = pytest.mark.soak
TIMES = 10


async def kill_server(server: Server) -> None:
    """Kill the server and start it again."""
    await server.kill()
    await server.start()


async def kill_store(server: Server) -> None:
    """Kill the store; the server brings it back."""
    store = server.store_pid
    server.kill_store()

    def is_back() -> bool:
        with suppress(TypeError):
            return server.store_pid != store
        return False

    await eventually(is_back)


async def kill_both(server: Server) -> None:
    """Kill both in the same moment and start again."""
    server.kill_store()
    await kill_server(server)


async def terminate(server: Server) -> None:
    """Ask the server to end and start it again."""
    assert await server.stop() == 0
    await server.start()


@pytest.mark.parametrize("fault", [kill_server, kill_store, kill_both, terminate])
async def test_ten_faults_in_mid_load(
    server: Server, fault: Callable[[Server], Awaitable[None]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten times the same fault under load: no acknowledged task lost, none done twice, and the load goes on."""
    took = []
    async with Fleet(server, creators=8, workers=16) as fleet:
        for _ in range(TIMES):
            await fleet.goes_on(200)
            begun = monotonic()
            await fault(server)
            await answers(server)
            took.append(monotonic() - begun)
        await fleet.goes_on(200)
        found = await fleet.finish()
    with capsys.disabled():
        print(f"\n{fault.__name__}: {len(fleet.created)} tasks acknowledged, {len(found.tasks)} done,")  # noqa: T201
        print(f"ready again after median {median(took):.2f} s, at most {max(took):.2f} s (limit 2 s)")  # noqa: T201


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not on PATH")
async def test_a_store_killed_while_its_disk_is_slow(server: Server) -> None:
    """A store killed in the middle of a slow fsync has lost no acknowledged write: the kernel had them before."""
    slow = ("-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_enter=800000", "-o", "/dev/null")
    strace = await asyncio.create_subprocess_exec("strace", "-f", "-q", *slow, "-p", str(server.store_pid))
    try:
        await eventually(lambda: "TracerPid:\t0\n" not in Path(f"/proc/{server.store_pid}/status").read_text())
        async with store_of(server) as store:
            until = monotonic() + 3

            async def syncs() -> bool:
                """Whether the store syncs now, or has had the time to and leaves that to its server."""
                await store.command("INCR", "acknowledged")
                return monotonic() > until or b"aof_pending_bio_fsync:1" in await store.command("INFO", "persistence")

            await eventually(syncs)
            acknowledged = [await store.command("INCR", "acknowledged") for _ in range(100)][-1]
            await kill_store(server)
            await answers(server)
        async with store_of(server) as store:
            assert int(await store.command("GET", "acknowledged")) == acknowledged
    finally:
        with suppress(ProcessLookupError):
            strace.terminate()
        await strace.wait()


async def test_a_store_paused_for_ten_seconds(server: Server) -> None:
    """A store that stands still for ten seconds kills no worker at the default deadAfterMs of five."""
    async with Beating(server, [f"w{at}" for at in range(20)], 5000) as fleet:
        held = dict(fleet.held)
        server.pause_store()
        await elapsed(10)
        server.resume_store()
        await fleet.beaten(10)
        assert fleet.held == held
    assert (await snapshot(server)).of_type("instance.offline") == []
