"""`--redis-url` as a person gets it wrong: a refusal is one line that says what is wrong, at once if it will stay."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from tests.integration.test_ledger import redis
from tests.integration.typed import run

from claudebench.errors import Unavailable
from claudebench.store.connection import Address, Connection
from claudebench.testing import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not on PATH"),
]
USAGE = 2


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A Redis of this module's own, whose password is `pass word`."""
    async with redis(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("redis://{address}", "it wants a password, and redis_url names none"),
        ("redis://:wr0ng@{address}", "user or password of redis_url is wrong"),
        ("redis://bob:pass%20word@{address}", "user or password of redis_url is wrong"),
        ("redis://:pass%20word@{address}/99", "it does not have the database that redis_url names"),
    ],
)
async def test_a_login_that_is_refused_is_said_once(tmp_path: Path, url: str, given: str, said: str) -> None:
    """Exit 2 and one line, without the password; nothing is tried again, and nothing is called our fault."""
    address = urlsplit(url).netloc.rpartition("@")[2]
    ended = await run(tmp_path, "up", "--port", "0", "--data-dir", "d", "--redis-url", given.format(address=address))

    assert (ended.code, ended.out, ended.err.count("\n")) == (USAGE, "", 1)
    assert f"does not let this server in: {said}" in ended.err
    assert "wr0ng" not in ended.err


async def test_a_database_of_its_own(tmp_path: Path, url: str) -> None:
    """What a server writes is in the database that the URL names, and in no other."""
    third = f"{url.removesuffix('/0')}/3"
    async with serve(tmp_path / "data", "--redis-url", third) as server, server.client() as client:
        await client.call("task.create", text="here")
    sizes = []
    for each in (url, third):
        connection = Connection(Address.from_url(each))
        await connection.open()
        sizes.append(await connection.command("DBSIZE"))
        await connection.close()

    assert sizes[0] == 0
    assert sizes[1] > 0


@pytest.mark.parametrize(
    ("scheme", "answer", "said"),
    [
        ("redis", b"HTTP/1.1 400 Bad Request\r\n\r\n", "is it a Redis, without TLS?"),
        ("redis", b"", "is it a Redis, without TLS?"),
        ("rediss", None, "no answer in 0.3 s; does it speak TLS?"),
    ],
    ids=["another server", "gone", "no TLS"],
)
async def test_what_is_no_store_is_asked_about(scheme: str, answer: bytes | None, said: str) -> None:
    """Something else at the address is told from nothing there."""
    silent = asyncio.Event()

    async def serve_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        if answer is None:
            await silent.wait()
        writer.write(answer or b"")
        writer.close()

    async with await asyncio.start_server(serve_nonsense, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        connection = Connection(Address.from_url(f"{scheme}://127.0.0.1:{port}"), timeout_s=0.3)
        with pytest.raises(Unavailable) as caught:
            await connection.open(1.0)
        silent.set()

    assert caught.value.message.startswith(f"no store answers at 127.0.0.1:{port}/0: ")
    assert caught.value.message.endswith(said)
