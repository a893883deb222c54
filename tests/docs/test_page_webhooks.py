"""The page on webhooks: its receivers are written out as they stand there, and get what a server sends."""

from __future__ import annotations

import re
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.docs.test_events_live import lines_of

from claudebench.testing import eventually, serve

if TYPE_CHECKING:
    from claudebench.testing import AsyncClient

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "webhooks.md").read_text(encoding="utf-8")
RECEIVERS = {"receiver.py": "python", "receiver.mjs": "js"}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("name", RECEIVERS)
async def test_a_receiver_of_the_page_works(tmp_path: Path, name: str) -> None:
    """It takes what is signed with its secret, also while that is rotated, once; whatever else comes is 401."""
    program = sys.executable if name.endswith(".py") else shutil.which("node")
    if program is None:
        pytest.skip("node is not on PATH")
    (text,) = re.findall(rf"^```{RECEIVERS[name]}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / name).write_text(text)
    port = free_port()
    async with (
        serve(tmp_path / "data", "--webhook-allow", "127.0.0.1") as server,
        server.client(token=server.operator_token) as client,
    ):
        added = await client.call("webhook.add", url=f"http://127.0.0.1:{port}/", events=["task.created"])
        words = (f"WEBHOOK_SECRET={added['secret']}", f"PORT={port}", program, str(tmp_path / name))
        async with lines_of("env", *words) as said:
            await eventually(lambda: is_taken(client, added["id"]), within_s=30)
            await client.call("webhook.rotate", id=added["id"])
            task = await client.call("task.create", text="one")
            await eventually(lambda: f"task.created {task['id']}" in said, within_s=30)
            await client.call("webhook.rotate", id=added["id"], keepS=0)
            tested = await client.call("webhook.test", id=added["id"])

    assert (tested["delivered"], tested["status"]) == (False, 401)
    assert said.count(f"task.created {task['id']}") == 1
    assert "webhook.ping" in said


async def is_taken(client: AsyncClient, id_: str) -> bool:
    """Whether a ping is taken, by a receiver that may only be starting."""
    return bool((await client.call("webhook.test", id=id_))["delivered"])


def test_the_page_says_what_holds() -> None:
    """The bounds that the page names are those of the code."""
    from claudebench.webhooks import delivering, exchange, sending
    from claudebench.webhooks.model import Add, Rotate

    assert Add(url="a", events=["*"]).retries == 8
    assert Rotate(id="wh-1").keep_s == 86_400
    assert (sending.WHOLE_S, exchange.CONNECT_WITHIN_S, delivering.RETRY_AFTER_MAX_S) == (15, 5, 300)
    assert (delivering.BACKOFF.first_s, delivering.BACKOFF.most_s, delivering.AT_ONCE) == (1, 300, 4)
    assert delivering.ASK_EVERY_S * delivering.ASKED_PER_S == 128
    assert sum(delivering.BACKOFF.delay_s(tries) for tries in range(1, 9)) == 255
