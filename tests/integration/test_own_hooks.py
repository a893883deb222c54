"""Hooks of somebody's own in a running server: their chain, time-outs, fail modes, switches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.integration.test_own_handlers import paths

from claudebench.testing import AsyncClient, Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOOKS = """
import time
from claudebench import hook
from claudebench.hooks.model import Decision

def line(call):
    return call.params["command"] if call.tool == "Bash" else ""

@hook("pre_tool", priority=10)
def shorten(call):
    if line(call).startswith("lengthy "):
        return Decision("rewrite", "shorter", "shorten", {**call.params, "command": line(call)[8:]})

@hook("pre_tool", priority=20)
async def no_deploy(call):
    if line(call).startswith("deploy"):
        return Decision("deny", "not on a Friday: wait for Monday.", "no-deploy", severity="high")

@hook("pre_tool", priority=30)
def careful(call):
    if "deploy" in line(call) or "production" in line(call):
        return Decision("ask", "production.", "careful", severity="medium")

@hook("pre_tool", priority=40, timeout_s=0.05)
def slow(call):
    if "slow" in line(call):
        time.sleep(1)

@hook("pre_tool", priority=50, fail_mode="ask")
def broken(call):
    if "broken" in line(call):
        raise RuntimeError("as expected")

@hook("pre_tool", priority=60)
def nonsense(call):
    if "nonsense" in line(call):
        return True

@hook("pre_tool", priority=70)
async def quits(call):
    if "quit" in line(call):
        raise SystemExit(3)

@hook("pre_tool", priority=80, timeout_s=30)
def stops(call):
    if "stop" in line(call):
        next(iter(()))

@hook("pre_tool", priority=90)
def perhaps(call):
    if "perhaps" in line(call):
        return Decision("perhaps")
"""


HOOKS_OF = {
    "echo broken": "broken",
    "echo nonsense": "nonsense",
    "echo quit": "quits",
    "echo stop": "stops",
    "echo perhaps": "perhaps",
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with the hooks above in its chain."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_hooks.py").write_text(HOOKS)
    async with serve(folder / "data", "--app", "own_hooks", env=paths(folder)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[AsyncClient]:
    """A client with a socket of its own."""
    async with server.client() as connected:
        yield connected


async def decide(client: AsyncClient, line: str) -> dict[str, Any]:
    """Ask about a line."""
    answer: dict[str, Any] = await client.call("hook.pre_tool", tool="Bash", params={"command": line})
    return answer


async def test_several_hooks_are_chained(client: AsyncClient) -> None:
    """IH6: each hook sees what the one before it made of the call, and the guard judges a rewrite again."""
    assert (await decide(client, "lengthy make"))["modified"] == {"command": "make"}
    assert (await decide(client, "lengthy deploy now"))["ruleId"] == "no-deploy"
    assert (await decide(client, "lengthy rm -rf /"))["ruleId"] == "delete-whole"


async def test_priorities_are_respected(client: AsyncClient) -> None:
    """IH7: the first deny ends the chain; a later ask does not soften it, the guard comes first of all."""
    assert (await decide(client, "deploy production"))["ruleId"] == "no-deploy"
    assert (await decide(client, "echo production"))["ruleId"] == "careful"
    assert (await decide(client, "rm -rf / # production"))["ruleId"] == "delete-whole"


async def test_a_slow_hook_is_given_up(client: AsyncClient) -> None:
    """IH10: a hook that takes too long decides by its fail mode, and others are served meanwhile."""
    answer = await decide(client, "echo slow")

    assert (answer["decision"], answer["ruleId"]) == ("deny", "hook:own_hooks.slow")
    assert "took too long" in answer["reason"]
    assert (await decide(client, "ls"))["decision"] == "allow"


@pytest.mark.parametrize(
    ("line", "decision"),
    [
        ("echo broken", "ask"),
        ("echo nonsense", "deny"),
        ("echo quit", "deny"),
        ("echo stop", "deny"),
        ("echo perhaps", "deny"),
    ],
)
async def test_a_failing_hook_never_allows(client: AsyncClient, line: str, decision: str) -> None:
    """A hook that raises whatever it be, or answers what is no decision, decides by its fail mode, and is counted."""
    assert (await decide(client, line))["decision"] == decision
    figures = (await client.get("/metrics")).body.decode()
    failed = f'{{hook="own_hooks.{HOOKS_OF[line]}",trouble="failed"}} 1.0'
    assert f"claudebench_hook_failures_total{failed}" in figures


async def test_a_failing_hook_is_in_the_log(server: Server, client: AsyncClient) -> None:
    """The log, which is standard error and nothing else, names the hook that failed and how."""

    async def is_logged() -> bool:
        await decide(client, "echo broken")
        lines = server.log_path.read_text().splitlines()
        return any("own_hooks.broken" in line and "RuntimeError: as expected" in line for line in lines)

    await eventually(is_logged)


async def test_a_hook_is_switched_while_the_server_runs(server: Server, client: AsyncClient) -> None:
    """The user's rules switch a hook off and on again without a restart."""
    rules = server.data_dir.parent / "rules.toml"
    assert not (await decide(client, "deploy"))["allow"]

    rules.write_text('[[hook]]\nname = "own_hooks.no_deploy"\nenabled = false\n')
    await eventually(lambda: decides(client, "deploy", "careful"))
    rules.unlink()
    await eventually(lambda: decides(client, "deploy", "no-deploy"))


async def decides(client: AsyncClient, line: str, rule_id: str) -> bool:
    """Whether this rule decides about a line now."""
    return (await decide(client, line)).get("ruleId") == rule_id
