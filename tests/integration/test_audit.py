"""The audit of a running server: every change is in it, it is whole after every kill, and it is the operator's."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.typed import run
from tests.scripts.fleet import Fleet, snapshot, store_of

from claudebench.errors import Unauthorized
from claudebench.testing import AsyncClient, Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from claudebench.testing.postgres import Postgres

KILLS = 3


@pytest.fixture
async def operator(server: Server) -> AsyncIterator[AsyncClient]:
    """A client with the operator's token."""
    async with server.client(token=server.operator_token) as connected:
        yield connected


async def cli(server: Server, *words: object) -> tuple[int, str, str]:
    """Run a command line as the operator of a server."""
    token = ("--url", server.url, "--token-file", server.data_dir / "token")
    ended = await run(Path.cwd(), *words, *(token if "--file" not in words and words[0] == "audit" else ()))
    return ended.code, ended.out, ended.err


async def recorded(operator: AsyncClient) -> list[dict[str, Any]]:
    """Return every row of the audit, once it holds the newest event of the log."""
    state = await operator.call("system.get_state")
    rows: list[dict[str, Any]] = []
    newest = state["recentEvents"][0]["id"] if state["recentEvents"] else ""
    while True:
        found = await operator.call("audit.tail", behind=len(rows), limit=1000, after=newest)
        rows += found["rows"]
        if not found["hasMore"]:
            return rows


async def events(server: Server) -> list[str]:
    """Return the positions of the whole log."""
    async with store_of(server) as connection:
        return [each[0].decode() for each in await connection.command("XRANGE", "cb:{default}:ev", "-", "+")]


async def test_every_event_is_one_row(server: Server, client: AsyncClient, operator: AsyncClient) -> None:
    """Who, what, when and the outcome of each change are in the audit; secrets are masked by name; so is the role."""
    await client.call("task.create", {"instanceId": "i-1"}, text="one", metadata={"apiToken": "hunter2", "kept": 1})
    await operator.call("task.create", text="two")
    await client.call("hook.pre_tool", tool="Bash", params={"command": "rm -rf /"})
    with pytest.raises(Unauthorized):
        await client.call("audit.tail")
    rows = await eventually(lambda: of(operator, "security.refused"))

    told = {row["action"]: row for row in rows if row["actor"] or row["action"] != "task.created"}
    created, decided, refused = (told[name] for name in ("task.created", "hook.decided", "security.refused"))
    assert (created["actor"], created["subject"], created["outcome"], created["role"]) == ("i-1", "t-1", "done", "")
    assert ("hunter2" in created["detail"], '"kept":1' in created["detail"]) == (False, True)
    assert decided["outcome"] == "deny"
    assert (refused["outcome"], json.loads(refused["detail"])["kinds"]) == ("refused", {"role": 1})
    assert [row["role"] for row in rows if row["subject"] == "t-2"] == ["operator"]
    asked = await eventually(lambda: of(operator, "operator.commanded"))
    assert {row["subject"] for row in asked if row["action"] == "operator.commanded"} == {"audit.tail"}


async def of(operator: AsyncClient, action: str) -> list[dict[str, Any]] | None:
    """Return the audit once it has a row of that action."""
    rows = await recorded(operator)
    return rows if any(row["action"] == action for row in rows) else None


async def test_kills_under_load_leave_the_audit_whole(server: Server) -> None:
    """A server killed under load has, after each start, an audit that is whole: each event of the log one row."""
    async with Fleet(server) as fleet:
        for _ in range(KILLS):
            await fleet.goes_on(30)
            await server.kill()
            await server.start()
            async with server.client(token=server.operator_token) as operator:
                seen = await operator.call("audit.verify", limit=100_000)
                assert (seen["intact"], seen["findings"]) == (True, [])
        await fleet.finish()
    async with server.client(token=server.operator_token) as operator:
        log = await events(server)
        rows = await recorded(operator)
        assert [row["id"] for row in rows][: len(log)] == log
        assert (await operator.call("audit.verify", limit=100_000))["intact"]


async def test_what_is_done_to_the_table_degrades_health(server: Server, operator: AsyncClient) -> None:
    """Rows cut from the table of a running server are found, and health says so until it is accepted."""
    for number in range(20):
        await operator.call("task.create", text=f"task {number}")
    await recorded(operator)
    with closing(sqlite3.connect(server.data_dir / "record.db", timeout=10)) as opened:
        opened.execute("DELETE FROM audit WHERE seq > 15")
        opened.commit()
    await operator.call("task.create", text="after")

    code, out, _ = await eventually(lambda: found_by(server))
    assert (code, {each["kind"] for each in json.loads(out)["findings"]} <= {"cut", "rewritten"}) == (1, True)
    await eventually(lambda: says(operator, "degraded"))
    answer = await operator.call("audit.accept", reason="a test")
    accepted = operator.position
    await eventually(lambda: says(operator, "healthy"))
    (row,) = [row for row in await recorded(operator) if row["action"] == "audit.accepted"]
    detail = json.loads(row["detail"])
    assert (row["id"], detail["reason"], detail["total"]) == (accepted, "a test", len(answer["found"]))
    assert {each["kind"] for each in detail["found"]} == {each["kind"] for each in answer["found"]} != set()
    assert (await cli(server, "audit", "verify"))[0] == 0


async def says(client: AsyncClient, status: str) -> bool:
    """Tell whether health has that status."""
    return bool((await client.call("system.health"))["status"] == status)


async def found_by(server: Server) -> tuple[int, str, str] | None:
    """Return what a look at the audit says, once it finds anything."""
    told = await cli(server, "audit", "verify", "--json")
    return told if told[0] else None


@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_an_export_is_verified_without_a_server(
    server: Server, operator: AsyncClient, tmp_path: Path, form: str
) -> None:
    """An export and the key are all that a third party needs; an altered export is named, a wrong key too."""
    for number in range(30):
        await operator.call("task.create", text=f"task {number}, 'quoted' \"twice\"\nand é")
    await recorded(operator)
    export, key = tmp_path / "export", server.data_dir / "audit.key"
    assert (await cli(server, "audit", "export", "--out", export, "--form", form))[0] == 0
    assert stat.S_IMODE(export.stat().st_mode) == 0o600
    await server.stop()

    code, out, errors = await cli(server, "audit", "verify", "--file", export, "--key", key, "--json")
    assert (code, json.loads(out)["rows"] >= 30) == (0, True), errors
    export.write_text(export.read_text().replace("t-7", "t-8", 1))
    code, out, _ = await cli(server, "audit", "verify", "--file", export, "--key", key)
    assert (code, "altered" in out) == (1, True)
    key.write_text("0" * 64)
    code, out, _ = await cli(server, "audit", "verify", "--file", export, "--key", key)
    assert (code, "which is not in" in out) == (1, True)


async def test_a_server_with_another_key_is_refused(server: Server, tmp_path: Path) -> None:
    """A start with another key than the store's audits were signed with ends with its id and what to do."""
    await server.stop()
    (server.data_dir / "audit.key").write_text("0" * 64)

    with pytest.raises(RuntimeError, match=r"were signed with the key .* share that file"):
        await server.start()


async def differences(operator: AsyncClient) -> list[dict[str, Any]]:
    """Return where the record differs from the store."""
    found: list[dict[str, Any]] = []
    at: str | None = ""
    while at is not None:
        step = await operator.call("record.verify", at=at)
        found += step["differences"]
        at = step.get("next")
    return found


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
async def test_a_backup_brings_the_audit_along(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """A backup under load, restored: the audit is whole and goes on, each event of the log is one row of it."""
    first: tuple[str, ...] = ()
    second: tuple[str, ...] = ()
    if kind == "postgresql":
        running: Postgres = request.getfixturevalue("postgresql")
        first, second = [("--database-url", await running.fresh()) for _ in range(2)]
    async with serve(tmp_path / "data", *first) as server, Fleet(server) as fleet:
        await fleet.goes_on(100)
        code, _, errors = await cli(server, "backup", tmp_path / "b", "--data-dir", server.data_dir, *first)
        assert code == 0, errors
    code, _, errors = await cli(server, "restore", tmp_path / "b", "--data-dir", tmp_path / "other", *second)
    assert code == 0, errors

    async with serve(tmp_path / "other", *second) as other, other.client(token=other.operator_token) as client:
        await snapshot(other)
        await client.call("task.create", text="goes on")
        await client.call("audit.tail", after=client.position)
        seen = await client.call("audit.verify", limit=100_000)
        assert (seen["intact"], seen["findings"]) == (True, [])
        assert await differences(client) == []
        log = await events(other)
        assert [row["id"] for row in await recorded(client)][: len(log)] == log
