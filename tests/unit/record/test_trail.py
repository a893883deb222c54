"""The audit in SQL: written with the events, its head in the store behind it, and nothing done to it goes unseen."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, insert, update
from tests.scripts.store import private_store
from tests.unit.record.chains import KEYS, TAMPERINGS, WORKSPACE, event, keys_of

from claudebench.errors import SettingsError
from claudebench.record.audit import NO_ROW, Head, Span
from claudebench.record.audit_key import Keys
from claudebench.record.database import Address, Database
from claudebench.record.tables import AUDIT
from claudebench.record.trail import SCRIPTS, Trail, page, tail
from claudebench.store import connection as store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from claudebench.record.audit import Row
    from claudebench.testing.postgres import Postgres


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    """A store for the tests of this file."""
    with private_store() as path:
        yield path


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A record of each kind."""
    if request.param == "sqlite":
        address = Address(file=tmp_path / "record.db")
    else:
        running: Postgres = request.getfixturevalue("postgresql")
        address = Address(url=await running.fresh())
    opened = Database(address)
    await opened.prepare()
    yield opened
    await opened.close()


@pytest.fixture
async def connection(socket: str) -> AsyncIterator[store.Connection]:
    """A connection to the store, which is emptied first."""
    opened = store.Connection(store.Address(socket=socket), SCRIPTS)
    await opened.open()
    await opened.command("FLUSHALL")
    yield opened
    await opened.close()


@pytest.fixture
def trail(database: Database, connection: store.Connection) -> Trail:
    return Trail(database, connection, KEYS)


async def commit(trail: Trail, first: int, behind: int) -> None:
    """Write events of a log in one transaction, as the projector does, and note nothing."""
    events = list(map(event, range(first, behind)))
    await trail.database.run(partial(trail.apply, workspace=WORKSPACE, events=events))


async def found(trail: Trail, limit: int = 100_000, timeout_ms: int = 0) -> list[str]:
    """Return the kinds of what a whole look at the chain finds."""
    after = NO_ROW
    kinds: list[str] = []
    while True:
        seen = await trail.verify(WORKSPACE, after, limit, timeout_ms)
        kinds += [each.kind for each in seen.findings]
        if seen.next is None:
            return kinds
        after = seen.next


async def put(database: Database, rows: list[Row]) -> None:
    """Make the table hold these rows and no others."""

    def work(sql: Connection) -> None:
        sql.execute(delete(AUDIT))
        for row in rows:
            values: dict[str, Any] = {name: getattr(row, name) for name in row.__struct_fields__}
            sql.execute(insert(AUDIT).values(workspace=WORKSPACE, **values))

    await database.run(work)


async def test_a_chain_and_its_head(trail: Trail) -> None:
    """Batches make one chain; the head follows each note; a whole chain is clean, whole or in portions."""
    for first in range(0, 60, 20):
        await commit(trail, first, first + 20)
        await trail.note(WORKSPACE)
        end = await trail.database.read(partial(tail, workspace=WORKSPACE))
        assert await trail.head(WORKSPACE) == end == Head(first + 20, end.id, end.mac, KEYS.current[0])

    assert await found(trail) == await found(trail, limit=7) == []


async def test_the_same_events_again_are_no_rows(trail: Trail) -> None:
    """Events that the chain has already, as when a record is rebuilt, make no second row."""
    await commit(trail, 0, 30)
    await commit(trail, 0, 40)
    await trail.note(WORKSPACE)

    rows = await trail.database.read(partial(page, workspace=WORKSPACE, after=0, limit=100))
    assert [row.seq for row in rows] == list(range(1, 41))
    assert await found(trail) == []


@pytest.mark.parametrize("noted", [0, 1, 2])
async def test_a_crash_between_commit_and_note(trail: Trail, noted: int) -> None:
    """A head that a crash left behind is legal, and the next server moves it on over what it looked at."""
    for batch in range(3):
        await commit(trail, batch * 10, batch * 10 + 10)
        if batch < noted:
            await trail.note(WORKSPACE)
    assert await found(trail) == []

    other = Trail(trail.database, trail.store, KEYS)
    await other.note(WORKSPACE)
    head = await other.head(WORKSPACE)
    assert (head and head.seq, other.trouble) == (30, {})


async def test_a_transaction_that_was_rolled_back_leaves_nothing(trail: Trail) -> None:
    """Rows of a transaction that failed are not taken for written ones."""

    def failing(sql: Connection) -> None:
        trail.apply(sql, WORKSPACE, list(map(event, range(5))))
        raise LookupError

    with pytest.raises(LookupError):
        await trail.database.run(failing)
    await commit(trail, 0, 8)
    await trail.note(WORKSPACE)

    head = await trail.head(WORKSPACE)
    assert head
    assert (head.seq, await found(trail), trail.trouble) == (8, [], {})


async def test_a_record_that_lost_its_end_makes_up_for_it(trail: Trail) -> None:
    """A record that is behind the head, as after a restore, is called cut until the same events made the same rows."""
    await commit(trail, 0, 30)
    await trail.note(WORKSPACE)
    await trail.database.run(lambda sql: sql.execute(delete(AUDIT).where(AUDIT.c.seq > 12)))
    assert await found(trail) == ["cut"]

    await commit(trail, 12, 20)
    await trail.note(WORKSPACE)
    head = await trail.head(WORKSPACE)
    assert (head and head.seq, trail.trouble) == (30, {})
    await commit(trail, 20, 40)
    await trail.note(WORKSPACE)
    head = await trail.head(WORKSPACE)
    assert (head and head.seq, await found(trail), trail.trouble) == (40, [], {})


async def test_what_was_cut_and_overgrown_stays_found(trail: Trail) -> None:
    """Rows cut off behind a running projector stay found, however long the chain grows, until it is accepted."""
    await commit(trail, 0, 30)
    await trail.note(WORKSPACE)
    await trail.database.run(lambda sql: sql.execute(delete(AUDIT).where(AUDIT.c.seq > 25)))
    await commit(trail, 30, 32)
    await trail.note(WORKSPACE)
    assert (await found(trail), trail.trouble[WORKSPACE][:11]) == (["cut"], "row 28: cut")
    for first in range(32, 60, 10):
        await commit(trail, first, first + 10)
        await trail.note(WORKSPACE)

    assert await found(trail) == [each.kind for each in await trail.at_head(WORKSPACE)] == ["rewritten"]
    assert trail.trouble[WORKSPACE].startswith("row 30: rewritten")
    await trail.accept(WORKSPACE)
    assert (await found(trail), trail.trouble) == ([], {})


async def test_tamperings_in_sql_are_found(trail: Trail) -> None:
    """What is done to the table itself is found, on either database, with the head in the store."""
    await commit(trail, 0, 40)
    await trail.note(WORKSPACE)
    whole = await trail.database.read(partial(page, workspace=WORKSPACE, after=0, limit=100))
    for tampering in TAMPERINGS:
        for seed in range(5):
            changed, kinds = tampering(random.Random(seed), list(whole))
            if len({row.seq for row in changed}) < len(changed):
                continue
            await put(trail.database, changed)
            seen = await found(trail)
            assert kinds & set(seen), f"{tampering.__name__} {seed}: {seen}"
    await put(trail.database, list(whole))
    assert await found(trail) == []


async def test_servers_of_one_store_share_the_key(trail: Trail) -> None:
    """A server that lacks a key is refused with its id; one that has both, or knows that one is lost, is not."""
    await trail.check_key()
    with pytest.raises(SettingsError, match=KEYS.current[0]):
        await Trail(trail.database, trail.store, keys_of(b"another's")).check_key()

    await Trail(trail.database, trail.store, keys_of(b"the installation's", b"another's")).check_key()
    with pytest.raises(SettingsError, match="share that file"):
        await trail.check_key()
    lost = Keys(keys_of(b"another's").secrets, frozenset({KEYS.current[0]}))
    await Trail(trail.database, trail.store, lost).check_key()


async def test_what_accepting_ends_is_told_before(trail: Trail) -> None:
    """What the head and the rows behind it tell is found at the head; what is wrong before it stays a finding."""
    await commit(trail, 0, 30)
    await trail.note(WORKSPACE)
    assert await trail.at_head(WORKSPACE) == []
    await trail.database.run(lambda sql: sql.execute(update(AUDIT).where(AUDIT.c.seq == 5).values(actor="nobody")))
    await trail.database.run(lambda sql: sql.execute(delete(AUDIT).where(AUDIT.c.seq > 20)))

    assert [(each.kind, each.seq, each.to) for each in await trail.at_head(WORKSPACE)] == [("cut", 21, 30)]
    await trail.accept(WORKSPACE)
    assert (await found(trail), await trail.at_head(WORKSPACE)) == (["altered"], [])


async def test_a_lost_key_is_believed_only_where_it_signed(trail: Trail) -> None:
    """The store knows from which row on a key signs; a row there that claims the lost one before it is found."""
    await commit(trail, 0, 10)
    await trail.note(WORKSPACE)
    new = keys_of(b"the next")
    other = Trail(trail.database, trail.store, Keys(new.secrets, frozenset({KEYS.current[0]})))
    await commit(other, 10, 20)
    await other.note(WORKSPACE)
    standing = await other.standing(WORKSPACE)
    assert standing.spans == (Span(1, KEYS.current[0]), Span(11, new.current[0]))
    assert await found(other) == ["unchecked"]

    claim = update(AUDIT).where(AUDIT.c.seq.between(11, 19)).values(key=KEYS.current[0], actor="nobody")
    await trail.database.run(lambda sql: sql.execute(claim))
    assert await found(other) == ["unchecked", "key"]
    assert set(await found(other, limit=3)) == {"unchecked", "key"}


async def test_a_record_that_went_back_is_made_anew_with_the_keys_of_then(trail: Trail) -> None:
    """After a change of keys a record that is restored as it was before makes the same rows again: no alarm."""
    await commit(trail, 0, 20)
    await trail.note(WORKSPACE)
    both = keys_of(b"the installation's", b"the next")
    rotated = Trail(trail.database, trail.store, both)
    await commit(rotated, 20, 40)
    await rotated.note(WORKSPACE)
    await trail.database.run(lambda sql: sql.execute(delete(AUDIT).where(AUDIT.c.seq > 12)))

    again = Trail(trail.database, trail.store, both)
    await again.note(WORKSPACE)
    await commit(again, 12, 50)
    await again.note(WORKSPACE)
    head = await again.head(WORKSPACE)
    assert (head and head.seq, await found(again), again.trouble) == (50, [], {})


async def test_an_altered_row_behind_the_head_stops_it(trail: Trail) -> None:
    """A row that was altered before its head was noted keeps the head where it was, and is named."""
    await commit(trail, 0, 10)
    await trail.note(WORKSPACE)
    await commit(trail, 10, 20)
    await trail.database.run(lambda sql: sql.execute(update(AUDIT).where(AUDIT.c.seq == 15).values(actor="nobody")))

    other = Trail(trail.database, trail.store, KEYS)
    await other.note(WORKSPACE)

    head = await other.head(WORKSPACE)
    assert (head and head.seq) == 10
    assert other.trouble[WORKSPACE].startswith("row 15: altered")
