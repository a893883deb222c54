"""What a request or a command line leaves behind is freed at once: it may be large, and the collector comes late."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from claudebench.app import App
from claudebench.asgi import Doors
from claudebench.cli.serve import _config, _Server
from claudebench.hooks.shell.reading import parse
from claudebench.settings import load
from claudebench.testing.client import AsyncClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINES = (
    "f() { git push; }; f && g",
    "f() { f x; }; f",
    "cat <<EOF | sh\n$(ls)\nEOF",
    'for i in a b; do eval "echo $i"; done; x=(1 2); echo ${x[@]}',
    "a \\\n b; f() { ls; }",
    "((((",
)  # fmt: skip


@contextmanager
def garbage() -> Iterator[Counter[str]]:
    """Count what only the collector can free of all that is made in the block, by type."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.update(type(each).__name__ for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_reading_a_line_leaves_nothing_for_the_collector() -> None:
    """A tree is memory that the collector does not even see, so no circle may hold one."""
    for line in LINES:
        parse(line)
    with garbage() as found:
        for line in LINES:
            parse(line)
    assert not found


async def test_answering_a_request_leaves_nothing_for_the_collector(tmp_path: Path) -> None:
    """A request holds its body, up to 1 MiB of it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = _Server(_config(Doors(App(load(data_dir=tmp_path)))))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        async with AsyncClient(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            await _ask(client)
            with garbage() as found:
                await _ask(client)
        server.should_exit = True
        await serving
    assert not found["RequestResponseCycle"], found


async def _ask(client: AsyncClient) -> None:
    assert (await client.get("/health?live")).status == 200
    assert (await client.post("/rpc", b"{}")).status == 503
    assert (await client.post("/task/create", b"{}")).status == 503
