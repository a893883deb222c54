"""The examples of the page on live events, as they stand there."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claudebench.testing import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claudebench.testing import AsyncClient, Server

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "events-live.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]
CURL = re.findall(r"^curl -N '(.*)'$", PAGE, re.MULTILINE)[0]


@asynccontextmanager
async def lines_of(*words: str) -> AsyncIterator[list[str]]:
    """Run a program; yield the lines that it has printed so far."""
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    said: list[str] = []

    async def read() -> None:
        assert process.stdout
        while line := await process.stdout.readline():
            said.append(line.decode().strip())

    reading = asyncio.create_task(read())
    try:
        yield said
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await reading
        await process.wait()


async def is_told(client: AsyncClient, said: list[str], what: str) -> bool:
    """Whether a task that is made now, or one before it, was told."""
    client.cut()
    await client.call("task.create", text="told live")
    return any(what in line for line in said)


async def test_the_python_example_goes_on_after_a_restart(server: Server, client: AsyncClient) -> None:
    """The example prints each task once, in order, those too that are made after the server came back."""
    async with lines_of(sys.executable, "-u", "-c", PYTHON.replace("127.0.0.1:7420", server.url[7:])) as said:
        await eventually(lambda: is_told(client, said, "task.created t-"), within_s=30)
        await server.stop()
        await server.start()
        client.cut()
        newest = (await client.call("task.create", text="behind the restart"))["id"]
        await eventually(lambda: f"task.created {newest}" in said, within_s=30)
        told = [int(line.rpartition("-")[2]) for line in said if line.startswith("task.created")]
    assert told == list(range(told[0], told[-1] + 1))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on PATH")
async def test_the_curl_example_prints_what_happens(server: Server, client: AsyncClient) -> None:
    """The command with curl prints events as they happen."""
    async with lines_of("curl", "-sN", CURL.replace("http://127.0.0.1:7420", server.url)) as said:
        await eventually(lambda: is_told(client, said, "event: task.created"), within_s=30)
