"""What a process knows of webhooks: the same subscriptions until something changes, and the store seldom asked."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from claudebench.app import SCRIPTS
from claudebench.store.connection import Address, Connection
from claudebench.store.origin import Origin
from claudebench.webhooks import delivering
from claudebench.webhooks.address import Allowed
from claudebench.webhooks.delivering import Webhooks
from claudebench.webhooks.model import Doc
from claudebench.webhooks.sending import Sender
from claudebench.webhooks.store import LIST, WebhookStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_numbers = itertools.count(1)


class Known:
    """The webhooks of a process, with its clock in the test's hand, and a workspace of this test's own."""

    def __init__(self, connection: Connection) -> None:
        """Take the connection."""
        self.store, self.workspace, self.now_s = WebhookStore(connection), f"k{next(_numbers)}", 1000.0
        self.webhooks = Webhooks(self.store, Sender(Allowed()))

    async def add(self) -> str:
        """Add a webhook."""
        doc = Doc("https://a.example/", ["task.*"], "", 3, "nonce")
        return (await self.store.add(Origin(self.workspace), doc, "whsec_a", "https://a.example")).result[0]

    async def later(self, seconds: float = 1.0) -> list[str]:
        """Let time pass, and return whose subscriptions there are."""
        self.now_s += seconds
        return [each.group for each in await self.webhooks.subscriptions(self.workspace)]


@pytest.fixture
async def known(store_socket: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Known]:
    """A process that knows of none."""
    connection = Connection(Address(socket=store_socket), SCRIPTS)
    await connection.open()
    made = Known(connection)
    monkeypatch.setattr(delivering, "monotonic", lambda: made.now_s)
    yield made
    await connection.close()


async def test_what_did_not_change_is_the_same(known: Known) -> None:
    """A webhook keeps its very subscription while others come, go, rotate and are switched off."""
    assert await known.later() == []
    one, two = await known.add(), await known.add()
    assert await known.later() == [f"webhook.{one}", f"webhook.{two}"]
    (first, _) = await known.webhooks.subscriptions(known.workspace)
    await known.store.rotate(Origin(known.workspace), one, "whsec_b", 0)
    await known.store.switch_off(Origin(known.workspace), two, "gone")
    assert await known.later() == [f"webhook.{one}"]
    (same,) = await known.webhooks.subscriptions(known.workspace)
    assert same is first
    assert (same.retries, same.patterns, same.registers) == (3, ("task.*",), False)
    await known.store.remove(Origin(known.workspace), one)
    assert await known.later() == []


async def test_the_store_is_asked_now_and_then(known: Known) -> None:
    """Within half a second it is asked once; of many workspaces each is asked less often, 256 a second at most."""
    await known.later()
    before = LIST.latency.count
    for _ in range(10):
        await known.later(0.04)
    assert LIST.latency.count == before
    await known.later(0.2)
    assert LIST.latency.count == before + 1

    many = [f"{known.workspace}-{n}" for n in range(1024)]
    for name in many:
        await known.webhooks.subscriptions(name)
    before = LIST.latency.count
    for _ in range(40):
        known.now_s += 0.25
        for name in many:
            await known.webhooks.subscriptions(name)
    assert 1024 <= LIST.latency.count - before <= 10 * 256 + 1024
