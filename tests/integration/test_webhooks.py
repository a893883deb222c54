"""Webhooks of running servers, to a real receiver: signed, tried again, in order, given up, switched off, secret."""

from __future__ import annotations

import asyncio
import base64
import itertools
import re
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.integration.receiver import Got, Receiver, is_signed, receiver
from tests.scripts.store import private_store

from claudebench.errors import Conflict, InvalidParams, LimitReached, NotFound, Unauthorized
from claudebench.testing import AsyncClient, Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")
ALLOW = ("--webhook-allow", "127.0.0.1")
BROKEN = "500 Internal Server Error"
_numbers = itertools.count(1)


class Hooks:
    """A workspace of this test's own, its operator and a receiver."""

    def __init__(self, server: Server, client: AsyncClient, operator: AsyncClient, to: Receiver) -> None:
        """Take the server, who speaks to it, and who is told."""
        self.server, self.client, self.operator, self.to = server, client, operator, to

    async def add(self, *events: str, **options: Any) -> dict[str, Any]:
        """Add a webhook to the receiver."""
        given = {"url": self.to.url, "events": list(events) or ["x.hook.*"], **options}
        found: dict[str, Any] = await self.operator.call("webhook.add", **given)
        return found

    async def say(self, *subjects: str, **payload: Any) -> list[str]:
        """Emit events about subjects; return their ids."""
        told = [
            await self.client.call("event.emit", type="x.hook.said", subject=each, payload=payload) for each in subjects
        ]
        return [each["id"] for each in told]

    async def came(self, count: int = 1) -> list[Got]:
        """Wait until so much came."""
        await eventually(lambda: len(self.to.got) >= count, within_s=30)
        return self.to.got

    async def dead(self) -> list[dict[str, Any]]:
        """Return the dead letters."""
        found: list[dict[str, Any]] = (await self.client.call("event.dead.list"))["letters"]
        return found

    async def told(self, *types: str) -> list[dict[str, Any]]:
        """Return the events of types."""
        found: list[dict[str, Any]] = (await self.client.call("event.list", types=list(types), limit=1000))["events"]
        return found


@asynccontextmanager
async def opened(server: Server, to: Receiver, workspace: str) -> AsyncIterator[Hooks]:
    """Speak to a server in a workspace."""
    async with (
        server.client(workspace=workspace) as client,
        server.client(workspace=workspace, token=server.operator_token) as operator,
    ):
        yield Hooks(server, client, operator, to)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server that may reach this machine."""
    async with serve(tmp_path_factory.mktemp("hooks") / "data", *ALLOW) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def hooks(server: Server) -> AsyncIterator[Hooks]:
    """A workspace and a receiver."""
    async with receiver() as to, opened(server, to, f"h{next(_numbers)}") as made:
        yield made


async def test_an_event_is_posted_and_signed(hooks: Hooks) -> None:
    """What happens after a webhook was added is POSTed as every door shows it, and its signature holds."""
    await hooks.say("before")
    added = await hooks.add(description="all that is said")
    (id_,) = await hooks.say("one", colour="blue")

    (got,) = await hooks.came()
    (event,) = (await hooks.client.call("event.list", types=["x.hook.said"], subject="one"))["events"]
    assert got.line == "POST /hooks/path-s3cr3t?sig=query-s3cr3t HTTP/1.1"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == f"127.0.0.1:{hooks.to.port}"
    assert got.json == {
        "type": "x.hook.said",
        "timestamp": event["time"],
        "workspace": hooks.client.path.split("/")[2],
        "data": event,
    }
    assert got.id.endswith(id_)
    assert "." not in got.id
    assert is_signed(got, added["secret"])
    assert not is_signed(got, "whsec_" + base64.b64encode(bytes(32)).decode())
    assert len(base64.b64decode(added["secret"].removeprefix("whsec_"))) == 32


async def test_only_what_is_wanted_is_posted(hooks: Hooks) -> None:
    """A webhook gets the types that it names, and those of a kind, and no other."""
    await hooks.add("task.created", "x.hook.*")
    task = await hooks.client.call("task.create", text="write")
    await hooks.client.call("task.delete", id=task["id"])
    await hooks.say("last")

    await eventually(lambda: hooks.to.about("x.hook.said"))
    await eventually(lambda: hooks.to.about("task.created"))
    assert not hooks.to.about("task.deleted")


async def test_a_try_that_failed_is_made_again(hooks: Hooks) -> None:
    """It is the same message under the same id, signed at its own time, and nothing of its subject overtakes it."""
    added = await hooks.add(retries=3)
    hooks.to.answer = lambda _: BROKEN if len(hooks.to.got) < 3 else "200 OK"
    await hooks.say("one", "one", "one")

    got = await hooks.came(5)
    assert len({each.id for each in got}) == 3
    assert [each.id for each in got[:3]] == [got[0].id] * 3
    assert [each.body for each in got[:3]] == [got[0].body] * 3
    assert got[2].headers["webhook-timestamp"] > got[0].headers["webhook-timestamp"]
    assert all(is_signed(each, added["secret"]) for each in got)
    ids = [each.json["data"]["id"] for each in got[2:]]
    assert ids == sorted(ids)
    assert await hooks.dead() == []


async def test_what_is_refused_to_the_end_is_a_dead_letter(hooks: Hooks) -> None:
    """After its tries an event is a dead letter; retried by the operator it comes under the id that it had."""
    added = await hooks.add(retries=1)
    hooks.to.answer = lambda got: f"{BROKEN}\n\nno: token=hunter22 {got.line}" if got.subject == "bad" else "200 OK"
    (bad, _) = await hooks.say("bad", "good")

    (letter,) = await eventually(hooks.dead)
    assert (letter["group"], letter["id"], letter["tries"]) == (f"webhook.{added['id']}", bad, 2)
    assert letter["error"].startswith(f"NotTaken: 127.0.0.1:{hooks.to.port} answered 500: no: token=***")
    await eventually(lambda: "good" in hooks.to.subjects())
    shown = await hooks.client.call("webhook.show", id=added["id"])
    assert (shown["dead"], shown["retrying"], shown["state"]) == (1, 0, "on")

    hooks.to.answer = lambda _: "200 OK"
    await hooks.operator.call("event.dead.retry", group=letter["group"], id=bad)
    await eventually(lambda: hooks.to.subjects().count("bad") == 3)
    assert len({each.id for each in hooks.to.got if each.subject == "bad"}) == 1
    assert await hooks.dead() == []


async def test_who_is_gone_is_sent_nothing_more(hooks: Hooks) -> None:
    """410 switches a webhook off: it says so, keeps no place in the log, and what comes later is not sent."""
    added = await hooks.add()
    hooks.to.answer = lambda _: "410 Gone"
    await hooks.say("one")
    (told,) = await eventually(lambda: hooks.told("webhook.switched_off"))
    await hooks.say("one", "two", "three")

    assert told["payload"] == {"id": added["id"], "reason": "the receiver answered 410 Gone"}
    (shown,) = (await hooks.client.call("webhook.list"))["webhooks"]
    assert (shown["state"], shown["offBecause"]) == ("off", "the receiver answered 410 Gone")
    await eventually(lambda: has_ended(hooks))
    assert hooks.to.subjects() == ["one"]
    with pytest.raises(NotFound):
        await hooks.client.call("event.lag", group=f"webhook.{added['id']}")


async def has_ended(hooks: Hooks) -> bool:
    """Whether no server has a part in the group of a webhook any more, which another, still there, shows by coming."""
    other = hooks.to.url.replace("path-s3cr3t", "other")
    await hooks.operator.call("webhook.add", url=other, events=["x.hook.said"])
    before = len(hooks.to.got)
    await hooks.say("after")
    hooks.to.answer = lambda _: "200 OK"
    await eventually(lambda: len(hooks.to.got) > before)
    hooks.to.got[:] = [each for each in hooks.to.got if each.subject != "after"]
    return True


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_retry_after_is_kept_to(hooks: Hooks, status: str) -> None:
    """Who asks to be left alone for a while is; a first try and the next are that far apart."""
    await hooks.add(retries=2)
    hooks.to.answer = lambda _: f"{status}\nRetry-After: 3" if len(hooks.to.got) == 1 else "200 OK"
    await hooks.say("one")

    one, two = await hooks.came(2)
    apart_s = int(two.headers["webhook-timestamp"]) - int(one.headers["webhook-timestamp"])
    assert 3 <= apart_s < 10
    assert one.id == two.id


@pytest.mark.parametrize(("way", "tries"), [("centralized", 2), ("distributed", 1)])
async def test_every_way_to_deliver_sends(hooks: Hooks, way: str, tries: int) -> None:
    """Webhooks are served in the other ways to deliver events too; distributed makes one try."""
    await hooks.add(retries=1)
    await hooks.operator.call("pattern.switch", seam="events", to=way)
    hooks.to.answer = lambda got: BROKEN if got.subject == "bad" else "200 OK"
    await hooks.say("bad", *(f"s{n}" for n in range(8)))

    (letter,) = await eventually(hooks.dead)
    assert letter["tries"] == tries
    await eventually(lambda: len(set(hooks.to.subjects())) == 9)


async def test_a_redirect_is_not_followed(hooks: Hooks) -> None:
    """A receiver that points elsewhere did not take the event, and nobody goes there."""
    async with receiver() as other:
        await hooks.add(retries=0)
        hooks.to.answer = lambda _: f"302 Found\nLocation: {other.url}"
        await hooks.say("one")

        (letter,) = await eventually(hooks.dead)
        assert "answered 302" in letter["error"]
        assert other.connections == 0


async def test_a_slow_receiver_slows_nobody_else(hooks: Hooks) -> None:
    """While one receiver takes requests and does not answer, commands are answered and another is told."""
    async with receiver() as fast:
        await hooks.add()
        await hooks.operator.call("webhook.add", url=fast.url, events=["x.hook.*"])
        hooks.to.holds.clear()
        subjects = [f"s{n}" for n in range(40)]
        async with asyncio.timeout(4):
            await hooks.say(*subjects)
            await eventually(lambda: set(fast.subjects()) == set(subjects))
        assert len(hooks.to.got) <= 4, "no more tries at once than are stated"


async def test_rotation_signs_with_both(hooks: Hooks) -> None:
    """For as long as is said, both secrets sign; with 0 seconds the former one is over at once."""
    first = await hooks.add()
    second = await hooks.operator.call("webhook.rotate", id=first["id"])
    await hooks.say("one")
    (one,) = await hooks.came()
    (shown,) = (await hooks.client.call("webhook.list"))["webhooks"]
    third = await hooks.operator.call("webhook.rotate", id=first["id"], keepS=0)
    await hooks.say("two")
    two = (await hooks.came(2))[-1]

    assert is_signed(one, first["secret"])
    assert is_signed(one, second["secret"])
    assert one.headers["webhook-signature"].startswith("v1,")
    assert len(one.headers["webhook-signature"].split(" ")) == 2
    assert shown["formerSecretUntil"] == second["formerSecretUntil"]
    assert is_signed(two, third["secret"])
    assert not is_signed(two, second["secret"])


async def test_a_removed_webhook_gets_nothing(hooks: Hooks) -> None:
    """Once it is removed no try begins; its group and its dead letters are gone, and its id is never another's."""
    first = await hooks.add(retries=0)
    hooks.to.answer = lambda _: BROKEN
    await hooks.say("one")
    await eventually(hooks.dead)
    assert await hooks.operator.call("webhook.remove", id=first["id"]) == {"id": first["id"], "removed": True}
    await hooks.say("two")
    second = await hooks.add()
    await hooks.say("three")

    await eventually(lambda: "three" in hooks.to.subjects())
    assert "two" not in hooks.to.subjects()
    assert second["id"] != first["id"]
    assert await hooks.dead() == []
    assert [each["id"] for each in (await hooks.client.call("webhook.list"))["webhooks"]] == [second["id"]]
    for verb in ("remove", "rotate", "test"):
        with pytest.raises(NotFound):
            await hooks.operator.call(f"webhook.{verb}", id=first["id"])


async def test_a_ping_says_what_came_of_it(hooks: Hooks) -> None:
    """A test sends one signed ping at once and tells status and time, and what went wrong."""
    added = await hooks.add()
    taken = await hooks.operator.call("webhook.test", id=added["id"])
    hooks.to.answer = lambda got: f"403 Forbidden\n\nnot {added['secret']} at {got.line.split()[1]}"
    refused = await hooks.operator.call("webhook.test", id=added["id"])

    assert (taken["delivered"], taken["status"]) == (True, 204)
    assert 0 <= taken["tookMs"] < 15_000
    assert (refused["delivered"], refused["status"]) == (False, 403)
    assert refused["error"] == f"127.0.0.1:{hooks.to.port} answered 403: not whsec_*** at /***"
    assert [each.json["type"] for each in hooks.to.got] == ["webhook.ping"] * 2
    assert all(is_signed(each, added["secret"]) for each in hooks.to.got)


async def test_changes_are_the_operators(hooks: Hooks) -> None:
    """Nobody else adds, removes, rotates or tests; others see no path and no query of a URL."""
    added = await hooks.add()
    calls = [("add", {"url": hooks.to.url, "events": ["*"]})]
    calls += [(verb, {"id": added["id"]}) for verb in ("remove", "rotate", "test")]
    for verb, params in calls:
        with pytest.raises(Unauthorized):
            await hooks.client.call(f"webhook.{verb}", **params)

    (seen,) = (await hooks.client.call("webhook.list"))["webhooks"]
    (whole,) = (await hooks.operator.call("webhook.list"))["webhooks"]
    assert seen["url"] == f"http://127.0.0.1:{hooks.to.port}/***"
    assert whole["url"] == hooks.to.url
    assert (await hooks.client.call("webhook.show", id=added["id"]))["url"] == seen["url"]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"url": "http://127.0.0.2/"}, "url"),
        ({"url": "ftp://127.0.0.1/"}, "url"),
        ({"url": "http://me:pw@127.0.0.1/"}, "url"),
        ({"url": ""}, "url"),
        ({"url": "https://" + "a" * 2048}, "url"),
        ({"events": []}, "events"),
        ({"events": ["task.craeted"]}, "events[0]"),
        ({"events": ["*", "Task"]}, "events[1]"),
        ({"events": ["*"] * 51}, "events"),
        ({"description": "d" * 201}, "description"),
        ({"retries": 101}, "retries"),
        ({"retries": -1}, "retries"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
async def test_what_does_not_fit_stores_nothing(hooks: Hooks, given: dict[str, Any], path: str) -> None:
    """Parameters that cannot be are refused by their place, and no webhook is there."""
    with pytest.raises(InvalidParams) as refused:
        await hooks.add(**given)

    errors: Any = refused.value.data["errors"]
    assert [each["path"] for each in errors] == [path]
    assert (await hooks.client.call("webhook.list"))["webhooks"] == []
    assert await hooks.told("webhook.*") == []


async def test_there_are_sixteen_at_most(hooks: Hooks) -> None:
    """The seventeenth webhook is refused, and leaves neither group nor event."""
    for _ in range(16):
        await hooks.add()
    with pytest.raises(LimitReached) as refused:
        await hooks.add()

    assert refused.value.data["reason"] == "webhooks"
    assert len(await hooks.told("webhook.added")) == 16
    groups = (await hooks.client.call("event.lag"))["groups"]
    assert len([each for each in groups if each["group"].startswith("webhook.")]) == 16


async def test_a_repeated_call_is_done_once(hooks: Hooks) -> None:
    """Under its idempotency key an add is one webhook and answers the same secret; another call is refused."""
    about = {"idempotencyKey": "add-1"}
    params = {"url": hooks.to.url, "events": ["x.hook.*"]}
    one, two = [await hooks.operator.call("webhook.add", about, **params) for _ in range(2)]
    with pytest.raises(Conflict):
        await hooks.operator.call("webhook.add", about, url=hooks.to.url, events=["*"])
    await hooks.say("one")

    assert one == two
    (got,) = await hooks.came()
    assert is_signed(got, one["secret"])


async def test_secrets_and_paths_are_told_to_nobody(tmp_path: Path) -> None:
    """Neither secret nor path nor query is in any event, answer, dead letter, metric, log, or in the SQL record."""
    async with serve(tmp_path / "data", *ALLOW) as server, receiver() as to, opened(server, to, "w") as hooks:
        secrets = []
        added = await hooks.add(retries=0)
        secrets.append(added["secret"])
        secrets.append((await hooks.operator.call("webhook.rotate", id=added["id"]))["secret"])
        to.answer = lambda got: f"{BROKEN}\n\n{secrets} {got.line}"
        await hooks.say("one")
        await eventually(hooks.dead)
        to.answer = lambda _: "410 Gone"
        await hooks.say("two")
        await eventually(lambda: hooks.told("webhook.switched_off"))
        answers = [
            await hooks.client.call(name, **params)
            for name, params in (
                ("webhook.list", {}),
                ("webhook.show", {"id": added["id"]}),
                ("event.list", {"limit": 1000}),
                ("event.dead.list", {}),
                ("event.lag", {}),
                ("system.metrics", {}),
            )
        ]
        answers.append(await hooks.operator.call("webhook.list"))
        answers.append((await hooks.client.get("/metrics")).body)
        await hooks.operator.call("webhook.remove", id=added["id"])
        await hooks.client.call("event.emit", type="x.hook.last", subject="last")
        record = tmp_path / "data" / "record.db"
        await eventually(lambda: b"x.hook.last" in dumped(record))
        answers.append(dumped(record))
    told = " ".join(map(str, answers))

    assert "claudebench_webhook_dead_total 1.0" in told
    for text in (told.replace(hooks.to.url, ""), server.log_path.read_text()):
        assert not [each for each in (*secrets, "path-s3cr3t", "query-s3cr3t") if each in text]
        assert not re.search(r"whsec_\w", text)


def dumped(record: Path) -> bytes:
    """Return the rows of every table of a record."""
    with sqlite3.connect(f"file:{record}?mode=ro", uri=True) as database:
        text = "\n".join(database.iterdump())
    database.close()
    return text.encode()


# -- fleets


async def test_any_server_of_a_fleet_delivers(tmp_path: Path) -> None:
    """A webhook added at one server is delivered by another that was there before, and ends there when removed."""
    with private_store() as socket:
        options = (*ALLOW, "--redis-url", f"unix://{socket}")
        async with AsyncExitStack() as stack:
            to = await stack.enter_async_context(receiver())
            one = await stack.enter_async_context(serve(tmp_path / "one", *options))
            two = await stack.enter_async_context(serve(tmp_path / "two", *options))
            at_one = await stack.enter_async_context(opened(one, to, "default"))
            at_two = await stack.enter_async_context(opened(two, to, "default"))
            await at_two.say("known")
            added = await at_one.add()
            await eventually(lambda: holders(at_two, added["id"], 2), within_s=30)
            await one.stop()
            await at_two.say("one")
            await at_two.came()
            await at_two.operator.call("webhook.remove", id=added["id"])
            await at_two.say("two")
            again = await at_two.add()
            await at_two.say("three")
            await eventually(lambda: "three" in to.subjects())

    assert to.subjects() == ["one", "three"]
    assert is_signed(to.got[0], added["secret"])
    assert is_signed(to.got[-1], again["secret"])


async def holders(hooks: Hooks, id_: str, count: int) -> bool:
    """Whether so many servers share a webhook's group."""
    (lag,) = (await hooks.client.call("event.lag", group=f"webhook.{id_}"))["groups"]
    return len({each.get("holder") for each in lag["partitions"]} - {None, ""}) == count


async def test_a_killed_server_leaves_nothing_unsent(tmp_path: Path) -> None:
    """Killed in the middle, it or another sends again what was not answered, under the same ids, and all the rest."""
    with private_store() as socket:
        options = (*ALLOW, "--redis-url", f"unix://{socket}")
        async with AsyncExitStack() as stack:
            to = await stack.enter_async_context(receiver())
            one = await stack.enter_async_context(serve(tmp_path / "one", *options))
            two = await stack.enter_async_context(serve(tmp_path / "two", *options))
            at_one = await stack.enter_async_context(opened(one, to, "default"))
            at_two = await stack.enter_async_context(opened(two, to, "default"))
            await at_two.say("known")
            added = await at_one.add()
            await eventually(lambda: holders(at_two, added["id"], 2), within_s=30)
            to.holds.clear()
            ids = await at_two.say(*(f"s{n}" for n in range(24)))
            await at_two.came(8)
            await one.kill()
            to.holds.set()
            await eventually(lambda: {each.json["data"]["id"] for each in to.got} == set(ids), within_s=40)
            await eventually(lambda: is_done(at_two, added["id"]), within_s=40)

    by_event: dict[str, set[str]] = {}
    for each in to.got:
        by_event.setdefault(each.json["data"]["id"], set()).add(each.id)
    assert {len(each) for each in by_event.values()} == {1}
    assert len(to.got) > len(ids), "what was under way came again"
    assert all(is_signed(each, added["secret"]) for each in to.got)


async def is_done(hooks: Hooks, id_: str) -> bool:
    """Whether a webhook has taken everything."""
    return bool((await hooks.client.call("webhook.show", id=id_))["behind"] == 0)
