"""Handlers of somebody's own that do what none may: an error for the caller, and nothing else for anybody."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from tests.integration.test_own_handlers import paths

from claudebench.errors import Conflict, Internal, InvalidParams, TimedOut
from claudebench.testing import AsyncClient, Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with the hostile app."""
    data = tmp_path_factory.mktemp("hostile") / "data"
    async with serve(data, "--app", "hostile_app", env=paths()) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client; after the test the same process answers, and the next call of its store finds its own reply."""
    async with server.client() as connected:
        yield connected
        assert await connected.call("hostile.pid") == {"word": str(server.process.pid)}
        assert await connected.call("hostile.runs", word="plain") == {"word": "[]"}
        assert await connected.is_healthy()


async def fails(client: AsyncClient, name: str, word: str = "") -> Internal:
    """Return the error that is said to be ours; the log knows more under its reference."""
    with pytest.raises(Internal) as found:
        await client.call(f"hostile.{name}", word=word)
    error = found.value
    assert (error.message, set(error.data)) == (
        "An error on our side; the reference finds it in the server's log",
        {"reference"},
    )
    return error


async def test_what_is_raised_stays_inside(server: Server, client: AsyncClient) -> None:
    """A handler that raises is -32603 with a reference and no word of its own; the log has the whole of it."""
    error = await fails(client, "raises", "of-mine")
    answer = await client.post("/hostile/raises", b'{"word":"of-mine"}')

    logged = server.log_path.read_text()
    line = next(line for line in logged.splitlines() if str(error.data["reference"]) in line)
    assert "secret of-mine" in line
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body


@pytest.mark.parametrize("name", ["exits", "interrupts", "cancels", "recurses", "times_out"])
async def test_nobody_ends_the_server(client: AsyncClient, name: str) -> None:
    """A handler that would end the process, its task or the stack is an error of its caller."""
    await fails(client, name)


async def test_a_batch_goes_on(client: AsyncClient) -> None:
    """What one handler does is no matter of the calls beside it in a batch."""
    calls = [("raises", ""), ("pid", "x"), ("exits", ""), ("answers", "object"), ("pid", "y")]
    batch = [
        {"jsonrpc": "2.0", "id": at, "method": f"hostile.{name}", "params": {"word": word}}
        for at, (name, word) in enumerate(calls)
    ]

    replies = await client.rpc(batch)

    assert ["result" in reply for reply in replies] == [False, True, False, False, True]


DESTROYERS = [
    *(("cancels_task", word) for word in ("at once", "later", "callback", "returns")),
    *(("throws", word) for word in ("generator", "group", "base")),
    *(("refuses", word) for word in ("object", "surrogate", "long")),
]


@pytest.mark.parametrize(("name", "word"), DESTROYERS)
async def test_a_batch_outlives_each_of_them(server: Server, client: AsyncClient, name: str, word: str) -> None:
    """Who cancels the task, raises what is no `Exception` or refuses unsendably spoils its own line and no other."""
    methods = [("task.create", {"text": "x"}), (f"hostile.{name}", {"word": word}), ("task.create", {"text": "y"})]
    batch = [{"jsonrpc": "2.0", "id": at, "method": each, "params": given} for at, (each, given) in enumerate(methods)]

    first, spoilt, last = await client.rpc(batch)

    assert ["result" in reply for reply in (first, last)] == [True, True]
    assert (spoilt["id"], spoilt["error"]["code"]) == (1, Internal.code)
    assert spoilt["error"]["data"]["reference"] in server.log_path.read_text()


@pytest.mark.parametrize(("name", "word"), [*DESTROYERS, ("refuses", "endless")])
async def test_nobody_sees_a_bare_error(server: Server, client: AsyncClient, name: str, word: str) -> None:
    """Alone and over plain HTTP such a call is a problem with a code and a reference that the log knows."""
    answer = await client.post(f"/hostile/{name}", json.dumps({"word": word}).encode())

    assert (answer.status, answer.json["code"]) == (500, Internal.code)
    assert answer.json["reference"] in server.log_path.read_text()


async def test_who_waits_too_long_is_given_up(client: AsyncClient) -> None:
    """A handler is given up at the time-out of its policy; what it did by then nobody knows."""
    with pytest.raises(TimedOut) as found:
        await client.call("hostile.waits")

    assert found.value.outcome == "unknown"
    assert "hostile.waits did not answer within 0.2 s" in found.value.message


async def test_others_are_served_meanwhile(server: Server, client: AsyncClient) -> None:
    """While a handler waits, everybody else is answered."""
    async with server.client() as other:
        waiting = asyncio.create_task(other.call("hostile.waits"))
        await client.call("system.health")

        assert not waiting.done()
        with pytest.raises(TimedOut):
            await waiting


async def test_who_holds_the_loop_is_named(server: Server, client: AsyncClient) -> None:
    """Code that never waits cannot be given up: it is answered when it ends, and the log names it."""
    assert await client.call("hostile.blocks", word="x") == {"word": "x"}

    assert await eventually(lambda: "hostile.blocks" in held_up(server))


def held_up(server: Server) -> str:
    """Return what the log says of handlers that held everybody up."""
    lines = server.log_path.read_text().splitlines()
    return "\n".join(line for line in lines if "held everybody up" in line)


async def test_who_does_not_go_is_answered(client: AsyncClient) -> None:
    """A handler that goes on when it is given up, and answers, is answered: it was done."""
    assert await client.call("hostile.stays", word="x") == {"word": "x"}


@pytest.mark.parametrize("word", ["object", "set", "wrong", "type", "none", "long", "surrogate"])
async def test_an_answer_that_was_not_promised(client: AsyncClient, word: str) -> None:
    """What cannot be JSON, is not of the declared type, or is over 1 MiB is no answer."""
    await fails(client, "answers", word)


async def test_an_undeclared_event(client: AsyncClient) -> None:
    """An event that no app declares is not written; one of ours is refused."""
    await fails(client, "emits", "x.hostile.undeclared")
    with pytest.raises(InvalidParams):
        await client.call("hostile.emits", word="task.completed")


@pytest.mark.parametrize("word", ["nothing", "refuses", "half", "fails", "wrongtype", "plan", "query"])
async def test_a_script_that_does_not_keep_its_word(client: AsyncClient, word: str) -> None:
    """A script that answers no position, refuses what there is not, or fails, costs its caller an error."""
    await fails(client, "runs", word)


async def test_a_change_is_no_query(client: AsyncClient) -> None:
    """A script that changes something is not run as one that reads."""
    await fails(client, "reads", "plain")


@pytest.mark.parametrize("word", ["dict", "none", "surrogate", "object"])
async def test_what_cannot_be_sent_takes_no_slot(client: AsyncClient, word: str) -> None:
    """An argument that no store takes is an error before anything is sent; later replies find their owners."""
    await fails(client, "packs", word)


async def test_a_repeated_failure_is_not_kept(client: AsyncClient) -> None:
    """The idempotency key of a call that failed is free for another try, not a conflict."""
    for _ in range(2):
        with pytest.raises(Internal):
            await client.call("hostile.runs", {"idempotencyKey": "k"}, word="fails")
    with pytest.raises((Conflict, Internal)):
        await client.call("hostile.runs", {"idempotencyKey": "k"}, word="wrongtype")
