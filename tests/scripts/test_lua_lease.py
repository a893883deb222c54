"""The lease: one holder per term, terms that only grow, and a stale one that is refused."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from tests.scripts.ledger import HOUR, SECOND

from claudebench.app import SCRIPTS
from claudebench.errors import Stale
from claudebench.store.connection import Connection
from claudebench.store.keys import KEYS
from claudebench.store.lease import Held, Leases
from claudebench.store.script import Script, Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.scripts.ledger import Ledger

    from claudebench.store.connection import Address

ROLE = "leader"
TAKERS, CONNECTIONS, TERMS = 50, 5, 200
ACT = Script.of(
    "test",
    Source(
        "act",
        "-- act: something that only the holder may do.\n-- uses  term\n-- KEYS  own\n-- ARGV  role owner term\n"
        "-- Returns how often it was done.\n"
        "local holds, refusal = holds_term(role, owner, term)\nif not holds then return refusal end\n"
        "return redis.call('ZINCRBY', k_own('acts'), 1, 1)\n",
        KEYS,
    ),
)


class Roles:
    """The leases of a test's workspace, at the time that its ledger stands at."""

    def __init__(self, ledger: Ledger) -> None:
        """Take the ledger whose clock counts."""
        self.ledger = ledger
        self.leases = Leases(ledger.connection, lambda: str(ledger.now_ms))

    async def take(self, owner: str, lease_ms: int = 10 * SECOND) -> Held | None:
        """Take the role."""
        return await self.leases.take(self.ledger.workspace, ROLE, owner, lease_ms)

    async def taken(self, owner: str, lease_ms: int = 10 * SECOND) -> Held:
        """Take the role and want it."""
        held = await self.take(owner, lease_ms)
        assert held, "somebody else holds it"
        return held

    async def show(self) -> tuple[str, int, int]:
        """Return owner, term and time left."""
        return await self.leases.show(self.ledger.workspace, ROLE)


@pytest.fixture
def roles(ledger: Ledger) -> Roles:
    """The leases of this test's workspace."""
    return Roles(ledger)


@pytest.fixture
async def connections(store_socket: str, connection: Connection) -> AsyncIterator[list[Connection]]:
    """Connections of their own, as several processes have them."""
    address: Address = connection.address
    assert address.socket == store_socket
    opened = [Connection(address, SCRIPTS) for _ in range(CONNECTIONS)]
    await asyncio.gather(*(each.open() for each in opened))
    yield opened
    await asyncio.gather(*(each.close() for each in opened))


async def test_nobody_takes_over_before_the_end(roles: Roles) -> None:
    """Another gets the role when the lease is over by the store's clock, not a millisecond before."""
    await roles.taken("a")
    roles.ledger.now_ms += 10 * SECOND - 1
    assert await roles.take("b") is None
    assert await roles.show() == ("a", 1, 1)

    roles.ledger.now_ms += 1

    assert (await roles.taken("b")).term == 2
    assert await roles.show() == ("b", 2, 10 * SECOND)


async def test_the_same_owner_keeps_its_term(roles: Roles) -> None:
    """Taking again prolongs; so does taking after the end, if nobody was there in between."""
    first = await roles.taken("a")
    roles.ledger.now_ms += 9 * SECOND
    assert await roles.taken("a") == first
    roles.ledger.now_ms += 9 * SECOND
    assert await roles.take("b") is None
    roles.ledger.now_ms += HOUR

    assert (await roles.taken("a")).term == 1


async def test_a_term_never_restarts(roles: Roles) -> None:
    """Each change of owner raises it by one; also behind a release, and when the role was long nobody's."""
    terms = []
    for owner in "abab":
        held = await roles.taken(owner)
        terms.append(held.term)
        await roles.leases.release(held)
        roles.ledger.now_ms += 365 * 24 * HOUR
    terms.append((await roles.taken("b")).term)

    assert terms == [1, 2, 3, 4, 5]


async def test_released_is_free_at_once(roles: Roles) -> None:
    """The next need not wait for the end; who released holds it no more."""
    held = await roles.taken("a")
    await roles.leases.release(held)
    assert await roles.show() == ("", 1, 0)
    assert (await roles.taken("b")).term == 2

    await roles.leases.release(held)

    assert not await roles.leases.renew(held)
    assert await roles.show() == ("b", 2, 10 * SECOND)


async def test_renewing_prolongs(roles: Roles) -> None:
    """A holder that renews in time stays; one that is late stays if nobody came; one that lost it is told."""
    held = await roles.taken("a")
    for _ in range(5):
        roles.ledger.now_ms += 9 * SECOND
        assert await roles.leases.renew(held)
        assert await roles.take("b") is None
    roles.ledger.now_ms += HOUR
    assert await roles.leases.renew(held)
    roles.ledger.now_ms += HOUR
    await roles.taken("b")

    assert not await roles.leases.renew(held)


async def test_a_stale_term_is_refused(roles: Roles) -> None:
    """What the holder does under its term is done; who was overtaken is refused, and reads the present term."""
    workspace, run = roles.ledger.workspace, roles.ledger.connection.run
    old = await roles.taken("a")
    await run(ACT, workspace, ROLE, old.owner, old.term)
    roles.ledger.now_ms += HOUR
    await run(ACT, workspace, ROLE, old.owner, old.term)
    new = await roles.taken("b")

    for owner, term in ((old.owner, old.term), (old.owner, new.term), (new.owner, old.term), ("", 0)):
        with pytest.raises(Stale) as caught:
            await run(ACT, workspace, ROLE, owner, term)
        assert caught.value.data["current"] == 2
    assert await run(ACT, workspace, ROLE, new.owner, new.term) == b"3"
    await roles.ledger.connection.command("DEL", f"cb:{{{workspace}}}:own:acts")


async def test_a_clock_that_ran_backwards_keeps_nobody_out_for_long(roles: Roles) -> None:
    """A lease ends at the latest its own length after somebody else asked for it."""
    await roles.taken("a")
    roles.ledger.now_ms -= HOUR
    assert await roles.take("b") is None
    roles.ledger.now_ms += 10 * SECOND

    assert (await roles.taken("b")).term == 2


async def test_workspaces_have_roles_of_their_own(roles: Roles) -> None:
    """The same role of another workspace is another role."""
    await roles.taken("a")
    other = await roles.leases.take("_", f"{ROLE}-{roles.ledger.workspace}", "b", SECOND)

    assert other
    assert other.term == 1


async def test_one_holder_per_term(connections: list[Connection], ledger: Ledger) -> None:
    """Fifty take at once, over and over, by the store's own clock: each term has one owner, and none is left out."""
    owners: dict[int, set[str]] = defaultdict(set)

    async def go_on(number: int) -> None:
        leases = Leases(connections[number % CONNECTIONS])
        while len(owners) < TERMS:
            if held := await leases.take(ledger.workspace, ROLE, f"owner-{number}", 2):
                owners[held.term].add(held.owner)
                assert owners[held.term] == {held.owner}, "two hold the role at one term"
                if held.term % 3 == 0:
                    await leases.release(held)

    async with asyncio.TaskGroup() as takers:
        for number in range(TAKERS):
            takers.create_task(go_on(number))

    assert sorted(owners) == list(range(1, max(owners) + 1))
    assert len(set.union(*owners.values())) > 1
