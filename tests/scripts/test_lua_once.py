"""Idempotency keys: a keyed change happens once, whoever repeats it gets the first reply."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from claudebench.errors import Conflict, LimitReached, NotFound
from claudebench.store.origin import Origin
from claudebench.tasks.store import CLAIM, COMPLETE, CREATE

if TYPE_CHECKING:
    from tests.scripts.ledger import Ledger

DAY_MS = 86_400_000


def keyed(ledger: Ledger, key: str, fingerprint: bytes = b"f", now_ms: int | None = None) -> Origin:
    """Return where a keyed change of this test comes from."""
    given = str(ledger.now_ms if now_ms is None else now_ms)
    return Origin(ledger.workspace, given_ms=given, once=(key, fingerprint))


async def create(ledger: Ledger, origin: Origin, text: str = "a") -> Any:
    """Add a task and return the script's reply."""
    return await ledger.connection.change(CREATE, origin, f'{{"text":"{text}"}}', 50, "", 3, 100, "")


async def test_a_repetition_gets_the_first_reply(ledger: Ledger) -> None:
    """A hundred at once with one key make one task, and all are told of it."""
    replies = await asyncio.gather(*(create(ledger, keyed(ledger, "k")) for _ in range(100)))

    assert len({(position, n) for position, n, _ in replies}) == 1
    assert await ledger.total() == 1


async def test_another_call_with_the_same_key_is_refused(ledger: Ledger) -> None:
    """The same key with another fingerprint is a conflict, and changes nothing."""
    await create(ledger, keyed(ledger, "k"))
    with pytest.raises(Conflict):
        await create(ledger, keyed(ledger, "k", b"g"))

    assert await ledger.total() == 1


async def test_a_refusal_is_not_kept(ledger: Ledger) -> None:
    """What was refused may be tried again with the same key."""
    for _ in range(2):
        with pytest.raises(NotFound):
            await ledger.connection.change(COMPLETE, keyed(ledger, "k"), 999, "", "", "")


async def test_a_reply_too_long_says_that_it_was_done(ledger: Ledger) -> None:
    """A repetition of a change whose reply was not kept is told that it was done, and it is not done again."""
    await ledger.register("w")
    for number in range(3):
        await create(ledger, keyed(ledger, f"c{number}"), "x" * 3_000)
    claim = replace(keyed(ledger, "k"), actor="w")
    await ledger.connection.change(CLAIM, claim, 3, "")
    with pytest.raises(Conflict) as error:
        await ledger.connection.change(CLAIM, claim, 3, "")

    assert error.value.outcome == "done"


async def test_keys_are_forgotten_after_a_day(ledger: Ledger) -> None:
    """A key counts for a day; then two old ones go with each new one."""
    for number in range(4):
        await create(ledger, keyed(ledger, f"k{number}"))
    later = ledger.now_ms + DAY_MS + 1
    await create(ledger, keyed(ledger, "new", now_ms=later))
    await create(ledger, keyed(ledger, "newer", now_ms=later))

    prefix = f"cb:{{{ledger.workspace}}}:"
    assert await ledger.connection.command("HLEN", f"{prefix}idem") == 2
    assert await ledger.connection.command("ZCARD", f"{prefix}idemage") == 2


async def test_an_old_key_is_new_again(ledger: Ledger) -> None:
    """After a day a key serves for another call, also while older ones wait to be forgotten."""
    for number in range(4):
        await create(ledger, keyed(ledger, f"k{number}"))
    later = ledger.now_ms + DAY_MS
    await create(ledger, keyed(ledger, "k3", now_ms=later - 1))
    assert await ledger.total() == 4

    await create(ledger, keyed(ledger, "k3", b"another", now_ms=later))
    await create(ledger, keyed(ledger, "k3", b"another", now_ms=later + 1))
    assert await ledger.total() == 5


async def test_a_full_memory_of_keys_refuses(ledger: Ledger) -> None:
    """Past the bound a keyed change is refused before it happens; nothing is forgotten to make room."""
    prefix = f"cb:{{{ledger.workspace}}}:"
    await create(ledger, keyed(ledger, "first"))
    for start in range(0, 1_000_000, 50_000):
        pairs = [word for n in range(start, start + 50_000) for word in (ledger.now_ms + DAY_MS, f"filler{n}")]
        await ledger.connection.command("ZADD", f"{prefix}idemage", *pairs)
    with pytest.raises(LimitReached):
        await create(ledger, keyed(ledger, "k"))

    await create(ledger, keyed(ledger, "first"))
    await ledger.connection.command("DEL", f"{prefix}idemage", f"{prefix}idem")
    assert await ledger.total() == 1
