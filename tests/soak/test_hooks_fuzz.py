"""The door of the hooks under everything that is thrown at it, for as long as `SOAK_S` says (an hour)."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from claudebench.testing import AsyncClient, Server

pytestmark = pytest.mark.soak

SOAK_S = float(os.environ.get("SOAK_S", "3600"))
CLIENTS = 8
ANSWERED_WITHIN_S = 300.0  # beside other work; what a decision takes is told by the server
DOOR = "/hooks/claude-code"
FIXTURES = Path(__file__).parent.parent / "fixtures" / "claude_code_hooks.json"
PIECES = [
    *(
        "rm -rf /",
        "ls",
        "echo",
        "a b",
        "'",
        '"',
        "`",
        "$(",
        ")",
        "((",
        "${",
        "}",
        "{",
        "<<EOF",
        "\n",
        "EOF",
        "|",
        "&&",
        ";",
    ),
    *("\\", "$x", "~", "/etc", "sudo ", "bash -c ", "eval ", "xargs ", "find . -exec ", "{a,b}", "$'\\x41'", "<(", ">"),
    *("!", "time ", "coproc ", "function f ", "f() { f|f& };", "python3 -c ", "node -e ", "docker exec x ", "ssh h "),
    *(
        "\t",
        "é",
        "\u202e",
        "\ufeff",
        "[[ a == b ]]",
        "case x in x)",
        "esac",
        "for i in a; do",
        "done",
        "if :; then",
        "fi",
    ),
    *("#", "=", "A=1 "),
]
VALUES: list[Any] = [None, True, 0, -1, 1e300, 2**70, "", "x" * 300, [], {}, [[]], {"a": {"b": []}}, "\0", "PreToolUse"]
TOOLS = ["Bash", "Write", "Edit", "WebFetch", "X"]


def line(chance: random.Random) -> str:
    """Return a line that a shell may or may not take."""
    text = "".join(chance.choice(PIECES) + chance.choice(["", " "]) for _ in range(chance.randint(1, 40)))
    return text * chance.choice([1, 1, 1, 1, 30, 300])


def body(chance: random.Random, known: list[dict[str, Any]]) -> bytes:
    """Return a body: a line in a real event, a real event with something else in it, or bytes with damage."""
    event = json.loads(json.dumps(chance.choice(known)))
    kind = chance.randrange(4)
    if kind:
        event |= {
            "hook_event_name": "PreToolUse",
            "tool_name": chance.choice(["Bash", "Write", "Edit", "WebFetch", "X"]),
        }
        event["tool_input"] = {chance.choice(["command", "file_path", "url", "content"]): line(chance)}
    for _ in range(chance.choice([0, 0, 1, 3])):
        event[chance.choice([*event, "more"])] = chance.choice(VALUES)
    raw = bytearray(json.dumps(event).encode())
    if kind == 0:
        for _ in range(chance.randint(1, 5)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
    return bytes(raw)


async def throw(server: Server, seed: int, until: float) -> int:
    """Post one body after the other; every answer is 200 with a native object."""
    chance, count = random.Random(seed), 0
    known = list(json.loads(FIXTURES.read_text())["preToolUse"].values())
    async with server.client(within_s=ANSWERED_WITHIN_S) as client:
        while monotonic() < until:
            sent = body(chance, known)
            try:
                answer = await client.post(DOOR, sent)
            except BaseException as error:
                error.add_note(f"seed {seed}, body {count}: {sent!r}")
                raise
            assert answer.status == 200, (answer, sent)
            assert set(answer.json) <= {"hookSpecificOutput"}, (answer, sent)
            count += 1
    return count


async def test_no_body_breaks_the_door(server: Server) -> None:
    """Whatever is posted is answered natively, no decision takes long, and the server stays small and well."""
    until = monotonic() + SOAK_S
    counts = await asyncio.gather(*(throw(server, 1_000 + at, until) for at in range(CLIENTS)))
    async with server.client() as client:
        assert await client.is_healthy()
        worst = await _slowest(client)
    told = f"{sum(counts)} bodies, the slowest decisions: {worst}; server at {server.resident_mb:.0f} MB"
    sys.stderr.write(f"\n{told}\n")
    assert "the guard failed" not in server.log_path.read_text()
    assert "Traceback" not in server.log_path.read_text()


async def _slowest(client: AsyncClient) -> list[tuple[int, str]]:
    """Return the five longest times of a decision in microseconds, with their lines."""
    found: list[tuple[int, str]] = []
    after, more = "", True
    while more:
        page = await client.call("event.list", after=after, types=["hook.decided"], limit=1000)
        told = [event["payload"] for event in page["events"]]
        found = sorted([*found, *((each["us"], str(each.get("command"))[:200]) for each in told)], reverse=True)[:5]
        after, more = page["nextAfter"], page["hasMore"]
    return found
