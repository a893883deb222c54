"""The scripts of webhooks: each change with its event and its group, bounds, and what nobody is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scripts.ledger import SECOND

from claudebench.errors import LimitReached, NotFound, Stale
from claudebench.events.cursor import Cursors, Mark
from claudebench.events.letters import DeadLetters, Letter
from claudebench.events.model import Event
from claudebench.webhooks.model import Doc, Kept
from claudebench.webhooks.store import WebhookStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.scripts.ledger import Ledger

WEBHOOKS_MAX, GROUPS_MAX, LEASE_MS = 16, 32, 10 * SECOND


class Hooks:
    """The webhooks of a test's workspace, at the time that its ledger stands at."""

    def __init__(self, ledger: Ledger) -> None:
        """Take the ledger whose clock counts."""
        self.ledger, self.workspace = ledger, ledger.workspace
        self.store = WebhookStore(ledger.connection)
        self.cursors = Cursors(ledger.connection, lambda: str(ledger.now_ms))
        self.letters = DeadLetters(ledger.connection, lambda: str(ledger.now_ms))

    async def add(self, secret: str = "whsec_one") -> str:
        """Add a webhook; return its id."""
        doc = Doc('https://a.example/"p', ["task.*"], "", 8, "nonce")
        change = await self.store.add(self.ledger.origin(), doc, secret, "https://a.example")
        return change.result[0]

    async def one(self, id_: str) -> Kept:
        """Return a webhook as it is stored."""
        return (await self.store.list(self.workspace))[id_]

    async def version(self) -> str:
        """Return the version of the list."""
        listed = await self.store.changed(self.workspace, "-")
        assert listed
        return listed.version

    async def told(self) -> Sequence[tuple[str, str, object]]:
        """Return the events of webhooks: position, type, payload."""
        events = (await self.ledger.read()).events
        return [(each.position, each.type, each.payload) for each in events if each.type.startswith("webhook.")]

    async def die(self, id_: str) -> None:
        """Let the group of a webhook give up on an event."""
        event = Event(id="1-0", type="task.created", subject="t-1", payload=b"{}", time="now")  # type: ignore[arg-type]
        await self.letters.write(self.workspace, f"webhook.{id_}", None, Letter(event=event, error="no", tries=1), 3)


@pytest.fixture
async def hooks(ledger: Ledger) -> Hooks:
    """A workspace without webhooks."""
    return Hooks(ledger)


async def test_a_webhook_its_event_and_its_group_are_one(hooks: Hooks) -> None:
    """It is listed, told with its origin only, and its group stands right behind that event in every partition."""
    id_ = await hooks.add()
    ((position, type_, payload),) = await hooks.told()

    assert (id_, type_) == ("wh-1", "webhook.added")
    assert payload == {"id": "wh-1", "to": "https://a.example", "events": ["task.*"]}
    lags = await hooks.cursors.lag(hooks.workspace, "webhook.wh-1")
    assert [(each.position, each.fence) for each in lags] == [(position, 0)] * 16
    kept = await hooks.one(id_)
    assert (kept.created_ms, kept.secret, kept.former, kept.is_on) == (hooks.ledger.now_ms, "whsec_one", "", True)
    assert kept.doc.url == 'https://a.example/"p'


async def test_the_list_is_sent_when_it_changed(hooks: Hooks) -> None:
    """Who knows the version is answered nothing; each change makes another version, the position of its event."""
    assert await hooks.store.changed(hooks.workspace, "") is None
    seen = [await hooks.version()]
    id_ = await hooks.add()
    seen.append(await hooks.version())
    await hooks.store.rotate(hooks.ledger.origin(), id_, "whsec_two", 0)
    seen.append(await hooks.version())
    await hooks.store.switch_off(hooks.ledger.origin(), id_, "gone")
    seen.append(await hooks.version())
    await hooks.store.remove(hooks.ledger.origin(), id_)
    seen.append(await hooks.version())

    assert seen == ["", *(position for position, _, _ in await hooks.told())]
    assert len(set(seen)) == 5
    assert await hooks.store.changed(hooks.workspace, seen[-1]) is None
    stale = await hooks.store.changed(hooks.workspace, seen[1])
    assert stale
    assert stale.kept == {}


async def test_a_rotation_keeps_the_former_secret_until_then(hooks: Hooks) -> None:
    """The former secret stays until the time that is answered and told; a second rotation forgets what was before."""
    id_ = await hooks.add("whsec_one")
    until = (await hooks.store.rotate(hooks.ledger.origin(), id_, "whsec_two", 60 * SECOND)).result
    kept = await hooks.one(id_)
    assert (kept.secret, kept.former, kept.former_ms, until) == (
        "whsec_two",
        "whsec_one",
        until,
        hooks.ledger.now_ms + 60_000,
    )
    await hooks.store.rotate(hooks.ledger.origin(), id_, "whsec_three", 0)
    assert [(await hooks.one(id_)).secret, (await hooks.one(id_)).former] == ["whsec_three", "whsec_two"]
    assert [payload for _, type_, payload in await hooks.told() if type_ == "webhook.rotated"] == [
        {"id": id_, "formerUntilMs": until},
        {"id": id_, "formerUntilMs": hooks.ledger.now_ms},
    ]
    assert "whsec_" not in str(await hooks.told())


async def test_what_is_removed_leaves_nothing(hooks: Hooks) -> None:
    """Cursors, letters and retries go in the same step; who holds a partition is refused; no id comes back."""
    keys_before = await keys(hooks)
    id_ = await hooks.add()
    await hooks.die(id_)
    await hooks.letters.retry(hooks.ledger.origin(), f"webhook.{id_}", "1-0")
    await hooks.die(id_)
    taken = await hooks.cursors.take(hooks.workspace, f"webhook.{id_}", "a", LEASE_MS)
    await hooks.store.remove(hooks.ledger.origin(), id_)

    assert {each.split(":")[-1] for each in await keys(hooks) - keys_before} <= {"ev", "meta", "webhooks_meta"}
    mark = Mark(f"webhook.{id_}", 0, "a", taken.cursors[0].fence, "9-0")
    with pytest.raises(Stale):
        await hooks.cursors.commit(hooks.workspace, mark, LEASE_MS)
    with pytest.raises(NotFound):
        await hooks.cursors.take(hooks.workspace, f"webhook.{id_}", "a", LEASE_MS)
    assert await hooks.add() == "wh-2"


async def keys(hooks: Hooks) -> set[str]:
    """Return the keys of the workspace."""
    found = await hooks.ledger.connection.command("KEYS", f"cb:{{{hooks.workspace}}}:*")
    return {each.decode() for each in found}


async def test_switching_off_is_told_once(hooks: Hooks) -> None:
    """It ends the group and keeps the webhook with its reason; again, or of one that is gone, it changes nothing."""
    id_, origin = await hooks.add(), hooks.ledger.origin()
    assert await hooks.store.switch_off(origin, id_, 'gone "for ever"')
    assert not await hooks.store.switch_off(origin, id_, "again")
    assert not await hooks.store.switch_off(origin, "wh-9", "never there")

    kept = await hooks.one(id_)
    assert (kept.is_on, kept.off, kept.off_ms) == (False, 'gone "for ever"', hooks.ledger.now_ms)
    assert await hooks.cursors.groups(hooks.workspace) == {}
    (_, (_, type_, payload)) = await hooks.told()
    assert (type_, payload) == ("webhook.switched_off", {"id": id_, "reason": 'gone "for ever"'})


@pytest.mark.parametrize("step", ["remove", "rotate"])
async def test_what_is_not_there_is_refused(hooks: Hooks, step: str) -> None:
    """A webhook of another id is not found, and nothing is written."""
    await hooks.add()
    more = ("whsec_x", 0) if step == "rotate" else ()
    with pytest.raises(NotFound):
        await getattr(hooks.store, step)(hooks.ledger.origin(), "wh-2", *more)
    assert len(await hooks.told()) == 1


async def test_the_bounds_are_kept(hooks: Hooks) -> None:
    """The 17th webhook is refused, and one for which the log has no group left; nothing of either is written."""
    for _ in range(WEBHOOKS_MAX):
        await hooks.add()
    with pytest.raises(LimitReached) as many:
        await hooks.add()
    assert (many.value.data["reason"], many.value.data["limit"]) == ("webhooks", WEBHOOKS_MAX)

    await hooks.store.remove(hooks.ledger.origin(), "wh-1")
    for n in range(GROUPS_MAX - WEBHOOKS_MAX + 1):
        await hooks.cursors.register(hooks.workspace, f"g{n}", 1)
    before = await keys(hooks)
    with pytest.raises(LimitReached) as full:
        await hooks.add()
    assert full.value.data["reason"] == "groups"
    assert await keys(hooks) == before
    assert len(await hooks.told()) == WEBHOOKS_MAX + 1


async def test_a_gap_of_a_dropped_group_is_no_gap(hooks: Hooks) -> None:
    """Whoever still read for a webhook that is gone, and found the log cut, leaves no gap behind that nobody closes."""
    id_ = await hooks.add()
    await hooks.store.remove(hooks.ledger.origin(), id_)
    await hooks.cursors.gap(hooks.workspace, f"webhook.{id_}", 3, "1-0", "2-0")
    assert [type_ for _, type_, _ in await hooks.told()] == ["webhook.added", "webhook.removed"]
