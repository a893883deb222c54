"""What a decision leaves behind: its event, and the same calls judged again by other rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.typed import run

from claudebench.errors import InvalidParams

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.testing import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def server(shared: Server) -> Server:
    """The server that other modules ask too."""
    return shared


async def decide(server: Server, workspace: str, tool: str, params: Any, **about: Any) -> dict[str, Any]:
    """Ask about a call in a workspace."""
    async with server.client(workspace=workspace) as client:
        answer: dict[str, Any] = await client.call("hook.pre_tool", tool=tool, params=params, **about)
    return answer


async def events(server: Server, workspace: str, **about: Any) -> list[dict[str, Any]]:
    """Return the events of a workspace."""
    async with server.client(workspace=workspace) as client:
        page = await client.call("event.list", **about)
    found: list[dict[str, Any]] = page["events"]
    return found


async def test_a_decision_is_on_record_with_all_that_explains_it(server: Server) -> None:
    """Tool, rule, reason, the call on one line, its folder, the version of the rules and the time it took."""
    answer = await decide(server, "one", "Bash", {"command": "rm -rf ~"}, cwd="/srv/shop", sessionId="s-1")
    (event,) = await events(server, "one")

    told = event["payload"]
    assert (event["type"], event["subject"]) == ("hook.decided", "s-1")
    assert (told["tool"], told["decision"], told["ruleId"]) == ("Bash", "deny", "delete-whole")
    assert (told["command"], told["cwd"], told["severity"]) == ("rm -rf ~", "/srv/shop", "critical")
    assert told["rulesVersion"] == answer["rulesVersion"]
    assert told["us"] > 0


async def test_no_secret_is_on_record(server: Server) -> None:
    """A secret in a line, in a header, in another tool's parameters or in a reason is masked before it is stored."""
    await decide(
        server, "two", "Bash", {"command": "curl -H 'Authorization: Bearer s3cr3tvalue' https://a:s3cr3tvalue@x"}
    )
    await decide(server, "two", "Bash", {"command": "API_KEY=s3cr3tvalue rm -rf / --token s3cr3tvalue"})
    await decide(server, "two", "WebFetch", {"url": "https://u:s3cr3tvalue@x", "headers": {"api_key": "s3cr3tvalue"}})
    found = await events(server, "two")

    assert len(found) == 3
    assert "s3cr3tvalue" not in json.dumps(found)


async def test_other_tools_are_judged_by_their_hosts(server: Server) -> None:
    """A tool that fetches is judged by where it goes, however the address is spelt."""
    for url in ("http://169.254.169.254/latest/meta-data", "http://2852039166/", "http://[fd00:ec2::254]/"):
        assert (await decide(server, "three", "WebFetch", {"url": url}))["decision"] == "deny"
    assert (await decide(server, "three", "WebFetch", {"url": "https://example.com/169.254.169.254"}))["allow"]


async def test_a_long_call_is_recorded_short(server: Server) -> None:
    """However long a call, what is recorded of it is bounded."""
    await decide(server, "four", "Bash", {"command": "echo " + "x" * 15_000})
    await decide(server, "four", "Write", {"file_path": "/srv/a", "content": "y" * 500_000})
    await decide(server, "four", "Other", {"blob": "z" * 500_000})
    found = await events(server, "four")

    assert [len(json.dumps(event)) < 4_000 for event in found] == [True, True, True]


async def test_the_log_is_read_by_pages(server: Server) -> None:
    """Pages follow each other without a gap or a repeat, and a filter shortens a page without ending it."""
    for number in range(7):
        await decide(server, "five", "Bash", {"command": f"echo {number}"})
    async with server.client(workspace="five") as client:
        await client.call("hook.user_prompt", prompt="p", context={})
        seen, after, more = [], "", True
        while more:
            page = await client.call("event.list", after=after, types=["hook.decided"], limit=3)
            seen += [event["payload"]["command"] for event in page["events"]]
            after, more = page["nextAfter"], page["hasMore"]

    assert seen == [f"echo {number}" for number in range(7)]


@pytest.mark.parametrize("wrong", [{"after": "x"}, {"limit": 0}, {"limit": 1001}, {"types": "hook"}, {"aftr": ""}])
async def test_a_wrong_page_is_refused(server: Server, wrong: dict[str, Any]) -> None:
    """A position, a limit or a name that does not fit is -32602."""
    async with server.client() as client:
        with pytest.raises(InvalidParams):
            await client.call("event.list", **wrong)


async def test_a_page_of_heavy_events_stops_early(server: Server) -> None:
    """A page holds little more than 1 MiB however many events are asked for, and says that more follow."""
    todos = [{"content": "c" * 1_000, "status": "pending"} for _ in range(200)]
    async with server.client(workspace="heavy") as client:
        for _ in range(12):
            await client.call("hook.todo_write", todos=todos)
        page = await client.call("event.list", limit=1000)

    assert page["hasMore"]
    assert len(json.dumps(page)) < 5_000_000
    assert len(page["events"]) < 12 + 16


async def replay(server: Server, file: Path, *words: str) -> tuple[int, str, str]:
    """Type `claudebench guard replay`."""
    ended = await run(file.parent, "guard", "replay", "--rules", file, "--url", server.url, *words)
    return ended.code, ended.out, ended.err


async def test_recorded_calls_are_judged_by_other_rules(server: Server, tmp_path: Path) -> None:
    """Replay tells which recorded calls a set of rules would have decided otherwise, and by which rule."""
    for line in ("npm publish-nothing", "make all", "make all", "reboot"):
        await decide(server, "six", "Bash", {"command": line})
    await decide(server, "six", "Write", {"file_path": "/srv/a.md", "content": "x"})
    rules = tmp_path / "mine.toml"
    rules.write_text(
        '[[rule]]\nid = "no-make"\nseverity = "low"\naction = "deny"\nreason = "no"\n[[rule.command]]\n'
        'program = ["make"]\n[[override]]\nid = "power"\naction = "off"\n'
    )
    code, out, err = await replay(server, rules, "--workspace", "six", "--since", "1h", "--json")

    told = json.loads(out)
    assert (code, err, told["judged"]) == (0, "", 5)
    assert {(each["before"], each["after"], each["rule_id"], each["times"]) for each in told["changed"]} == {
        ("allow", "deny", "no-make", 2),
        ("deny", "allow", None, 1),
    }
    code, out, _ = await replay(server, rules, "--workspace", "six")
    assert "allow -> deny by no-make (2 times)" in out
    assert "5 recorded calls judged" in out


async def test_replay_says_what_is_wrong(server: Server, tmp_path: Path) -> None:
    """A wrong span or a wrong file is exit code 2 with what to write."""
    rules = tmp_path / "mine.toml"
    rules.write_text("")
    assert (await replay(server, rules, "--since", "yesterday"))[::2] == (
        2,
        "claudebench: --since 'yesterday' is no time span; write 7d, 12h, 30m or 45s\n",
    )
    rules.write_text("[[rul]]")
    assert (await replay(server, rules))[0] == 2
