"""Nouns and verbs as a person and a program type them: every verb, both forms of answer, every exit code."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.integration.test_cli import ENDED_WITHIN_S, Ended
from tests.integration.typed import run
from tests.scripts.fleet import store_of
from typer.main import get_command

from claudebench.app import COMMANDS
from claudebench.cli.main import app
from claudebench.cli.verb import MEANINGS, Verb, _fields
from claudebench.events.cursor import Cursors
from claudebench.testing import Server, eventually, serve

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

DONE, FAILED, USAGE, UNREACHABLE, NOT_FOUND, CONFLICT = range(6)
NOWHERE = "http://127.0.0.1:1"
STEPS: list[tuple[str, dict[str, Any]]] = [
    ("create wr\x1bite --priority 70 --requires docs --metadata a=1", {"id": "t-1", "priority": 70}),
    ("get t-1", {"text": "wr\x1bite", "requires": ["docs"], "metadata": {"a": 1}}),
    ("update t-1 --priority 80 --metadata ticket=42", {"priority": 80, "metadata": {"a": 1, "ticket": 42}}),
    ("assign t-1 w", {"taskId": "t-1", "instanceId": "w"}),
    ("unassign t-1", {"status": "pending", "epoch": 2}),
    ("claim w --lease-ms 60000", {}),
    ("renew t-1 --worker-id w --epoch 3", {"status": "in_progress"}),
    ("release t-1 --worker-id w", {"status": "pending"}),
    ("update t-1 --status in_progress --worker-id w", {"status": "in_progress"}),
    ("fail t-1 --worker-id w --error red", {"id": "t-1", "status": "failed"}),
    ("retry t-1", {"status": "pending", "attempts": 0}),
    ("update t-1 --status in_progress --worker-id w", {"assignedTo": "w"}),
    ('complete t-1 --worker-id w --result {"ok":[0]}', {"id": "t-1", "status": "completed"}),
    ("get t-1", {"result": {"ok": [0]}}),
    ("delete t-1", {"id": "t-1", "deleted": True}),
]  # fmt: skip


@pytest.fixture(scope="module")
def server(shared: Server) -> Server:
    """The server that other modules ask too."""
    return shared


class Shell:
    """A shell that knows a server and a workspace."""

    def __init__(self, server: Server, cwd: Path, workspace: str) -> None:
        """Take where it looks."""
        self.server, self.cwd, self.workspace = server, cwd, workspace

    async def __call__(self, *words: str) -> Ended:
        """Type a command line."""
        return await run(self.cwd, *words, CLAUDEBENCH_URL=self.server.url, CLAUDEBENCH_WORKSPACE=self.workspace)

    async def json(self, *words: str) -> Any:
        """Type a command line that succeeds, and return the one JSON document that it prints."""
        ended = await self(*words, "--json")
        assert (ended.code, ended.err) == (DONE, "")
        return json.loads(ended.out)

    async def call(self, command: str, **params: Any) -> Any:
        """Call the server directly."""
        async with self.server.client(workspace=self.workspace) as client:
            return await client.call(command, **params)


@pytest.fixture
def shell(server: Server, tmp_path: Path, request: pytest.FixtureRequest) -> Shell:
    """A shell with a workspace that is named after the test."""
    name = "".join(each if each.isalnum() else "-" for each in request.node.name.lower())
    return Shell(server, tmp_path, name[-40:])


def _as_lines(expected: dict[str, Any]) -> list[str]:
    shown = {
        name: value if isinstance(value, str) else json.dumps(value).strip("[]").replace('["docs"]', "docs")
        for name, value in expected.items()
    }
    return [f"{name}\t{text}".replace("\x1b", "\\x1b").replace('"docs"', "docs") for name, text in shown.items()]


@pytest.mark.parametrize("form", ["json", "lines"])
async def test_a_task_lives_its_life_from_the_shell(shell: Shell, form: str) -> None:
    """Every verb of `task` does its work; the answer is the server's JSON, or lines that hold the same."""
    await shell.call("system.register", id="w", roles=["docs"], deadAfterMs=600_000)
    for step, expected in STEPS:
        verb, *words = step.split()
        ended = await shell("task", verb, *words, *(["--json"] if form == "json" else []))
        assert (ended.code, ended.err) == (DONE, ""), step
        if form == "json":
            assert expected.items() <= json.loads(ended.out).items(), step
        else:
            assert not [line for line in _as_lines(expected) if f"{line}\n" not in ended.out], step


async def test_lists_are_tables_or_the_whole_answer(shell: Shell) -> None:
    """`task list` prints a line for each task in a pipe; `--all` follows the pages, without it the rest is counted."""
    for number in range(5):
        await shell.call("task.create", text=f"task {number}")
    page, whole, both, events, log = await asyncio.gather(
        shell("task", "list", "--limit", "2", "--order", "asc"),
        shell("task", "list", "--limit", "2", "--all"),
        shell.json("task", "list", "--limit", "2", "--all"),
        shell.json("event", "list", "--limit", "2", "--all", "--types", "task.created"),
        shell("event", "list", "--limit", "2"),
    )

    assert [line.split("\t")[0] for line in page.out.splitlines()] == ["id", "t-1", "t-2"]
    assert "2 of 5" in page.err
    assert (len(whole.out.splitlines()), whole.err) == (6, "")
    assert ([task["id"] for task in both["tasks"]], both["hasMore"]) == (["t-5", "t-4", "t-3", "t-2", "t-1"], False)
    assert [event["subject"] for event in events["events"]] == ["t-1", "t-2", "t-3", "t-4", "t-5"]
    assert ["task.created" in line for line in log.out.splitlines()] == [False, True, True]
    assert f"--after {log.out.splitlines()[-1].split()[0]}" in log.err


async def test_a_claim_tells_what_was_got(shell: Shell) -> None:
    """`task claim` lists the tasks with their epochs; when none is free that is said, and is no failure."""
    await shell.call("system.register", id="w", roles=[], deadAfterMs=600_000)
    await shell.call("task.create", text="one")
    got = await shell("task", "claim", "w")
    none, answer = await asyncio.gather(shell("task", "claim", "w"), shell.json("task", "claim", "w"))

    assert (got.code, got.out.splitlines()[1].split("\t")) == (DONE, ["t-1", "1", "50", "one"])
    assert (none.code, none.out, "nothing is free" in none.err) == (DONE, "", True)
    assert answer == {"claimed": False, "tasks": []}


async def test_instances_are_listed_and_shown(shell: Shell) -> None:
    """`instance list` names who is there; `instance show` adds the tasks in its hands, not those it has finished."""
    await shell.call("system.register", id="worker-1", roles=["docs"], deadAfterMs=600_000)
    for number in range(2):
        await shell.call("task.create", text=f"task {number}")
        await shell.call("task.claim", workerId="worker-1")
    await shell.call("task.complete", id="t-1", workerId="worker-1")
    table, listed, shown, told, wrong = await asyncio.gather(
        shell("instance", "list"),
        shell.json("instance", "list"),
        shell("instance", "show", "worker-1"),
        shell.json("instance", "show", "worker-1"),
        shell("instance", "show", "worker-2"),
    )

    assert table.out.splitlines()[1].split("\t") == ["worker-1", "ACTIVE", "1", "10", "1", "docs"]
    assert [each["id"] for each in listed["instances"]] == ["worker-1"]
    assert ("tasks\tt-2\n" in shown.out, [task["id"] for task in told["tasks"]]) == (True, ["t-2"])
    assert (wrong.code, "did you mean worker-1?" in wrong.err) == (NOT_FOUND, True)


async def test_any_command_can_be_called(shell: Shell) -> None:
    """`command call` takes JSON, key=value words and standard input; text stays text where text is wanted."""
    by_words = await shell.json("command", "call", "task.create", "text=12", "priority=7", "metadata.a.b=[1]")
    by_json = await shell.json("command", "call", "task.update", '{"id": "t-1", "updates": {"text": "13"}}')
    by_input = await run(
        shell.cwd, "command", "call", "task.get", "-", "--json",
        given=b'{"id": "t-1"}', CLAUDEBENCH_URL=shell.server.url, CLAUDEBENCH_WORKSPACE=shell.workspace,
    )  # fmt: skip
    plain = await shell("command", "call", "task.get", "id=t-1")

    assert (by_words["text"], by_words["priority"], by_words["metadata"]) == ("12", 7, {"a": {"b": [1]}})
    assert by_json["text"] == "13"
    assert json.loads(by_input.out) == json.loads(plain.out) == by_json
    assert plain.out.startswith("{\n  ")


async def test_commands_are_listed(shell: Shell) -> None:
    """`command list` names every command of the server; with --json each is described with its parameters."""
    table, listed = await asyncio.gather(shell("command", "list"), shell.json("command", "list"))

    names = {command.name for command in COMMANDS}
    assert {line.split("\t")[0] for line in table.out.splitlines()[1:]} == names
    assert {method["name"] for method in listed if "params" in method} == names


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("task get t-99", NOT_FOUND, "claudebench task list"),
        ("task claim nobody", NOT_FOUND, "command call system.register id=nobody"),
        ("command call task.crate", NOT_FOUND, "did you mean task.create?"),
        ("task delete t-1", CONFLICT, "claudebench task get"),
        ("task complete t-1 --worker-id w --epoch 9", CONFLICT, "its epoch is 1 now"),
        ("task create x --priority 700", USAGE, "--priority: must be a whole number from 0 to 100, not 700"),
        ("task update t-1 --status pendig", USAGE, "--status"),
        ("task create x --priority much", USAGE, '--priority: must be a whole number from 0 to 100, not "much"'),
        ("task get 1", USAGE, 'ID: must be t-<number>, not "1" (did you mean t-1?)'),
        ("task list --status done", USAGE, "must be one of pending, in_progress, completed, failed"),
        ("task list --priority high", USAGE, '--priority: must be a whole number from 0 to 100, not "high"'),
        ("task update t-1", USAGE, "one of --text, --status, --priority, --metadata: is required"),
        ("task create x --metadata nonsense", USAGE, "nonsense"),
        ("command call task.create txt=x", USAGE, "did you mean text?"),
        ("task list --statu pending", USAGE, "--status"),
        ("task creat x", USAGE, "create"),
        ("tsak list", USAGE, "task"),
        ("task get", USAGE, "ID"),
        ("task list --workspace oth/er", USAGE, "workspace"),
        ("task list --token-file /nowhere", USAGE, "/nowhere"),
        ("task list --url nowhere", USAGE, "http://127.0.0.1:7420"),
        ("completion zhs", USAGE, "did you mean zsh?"),
        (f"task list --url {NOWHERE}", UNREACHABLE, "claudebench up"),
        (f"event tail --url {NOWHERE}", UNREACHABLE, NOWHERE),
    ],
)
async def test_a_failure_is_one_line_and_a_code(failing: Shell, line: str, code: int, said: str) -> None:
    """Whatever goes wrong is one line on stderr that says what to do, nothing on stdout, and the code of its kind."""
    ended = await failing(*line.split(), *(["--json"] if "completion" not in line else []))

    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
    assert ended.err.startswith("claudebench: ")
    assert said in ended.err


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def failing(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell of a workspace with one task in the hands of `w`."""
    shell = Shell(server, tmp_path_factory.mktemp("failing"), "failing")
    await shell.call("system.register", id="w", roles=[], deadAfterMs=600_000)
    await shell.call("task.create", text="x")
    await shell.call("task.claim", workerId="w")
    return shell


async def test_a_foreign_server_is_no_server_of_ours(tmp_path: Path) -> None:
    """What answers with something else than our JSON is told from our server, by exit code 3."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as foreign:
        port = foreign.sockets[0].getsockname()[1]
        ended = await run(tmp_path, "task", "create", "x", "--url", f"http://127.0.0.1:{port}")

    assert (ended.code, ended.out) == (UNREACHABLE, "")
    assert "no ClaudeBench server" in ended.err


async def test_what_was_cut_off_is_not_known(tmp_path: Path) -> None:
    """A server that is gone before it answers leaves a change in doubt, and that is said; a question leaves none."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with await asyncio.start_server(cut, "127.0.0.1", 0) as cutting:
        url = f"http://127.0.0.1:{cutting.sockets[0].getsockname()[1]}"
        change, question = await asyncio.gather(
            run(tmp_path, "task", "create", "x", "--url", url), run(tmp_path, "task", "get", "t-1", "--url", url)
        )

    assert (change.code, "not known" in change.err) == (UNREACHABLE, True)
    assert (question.code, "not known" in question.err) == (UNREACHABLE, False)


async def test_a_dead_letter_needs_the_operators_token(shell: Shell) -> None:
    """Without the token the refusal says where it is; with --token-file, or the token in a variable, it is done."""
    await shell.call("system.register", id="w", roles=[], deadAfterMs=600_000)
    for n in (1, 2):
        await shell.call("task.create", text="x", maxAttempts=1)
        await shell.call("task.claim", workerId="w")
        await shell.call("task.fail", id=f"t-{n}", workerId="w", retryable=True)
    token = shell.server.data_dir / "token"
    refused = await shell("task", "retry", "t-1")
    by_file, by_variable = await asyncio.gather(
        shell("task", "retry", "t-1", "--token-file", str(token)),
        run(
            shell.cwd,
            "task",
            "retry",
            "t-2",
            "--url",
            shell.server.url,
            "--workspace",
            shell.workspace,
            CLAUDEBENCH_TOKEN=token.read_text(),
        ),
    )

    assert (refused.code, "--token-file" in refused.err) == (FAILED, True)
    assert (by_file.code, by_variable.code) == (DONE, DONE)


async def test_a_change_under_a_key_is_done_once(shell: Shell) -> None:
    """`--idempotency-key` makes a repeated change the first one again."""
    first = await shell.json("task", "create", "x", "--idempotency-key", "k")
    again = await shell.json("task", "create", "x", "--idempotency-key", "k")

    assert again == first


async def test_a_limit_is_filled_from_further_on(shell: Shell) -> None:
    """`--limit 1` of a type that comes late shows it; a list is followed until it has as many as were asked for."""
    for _ in range(1_100):
        await shell.call("event.emit", type="x.noise")
    await shell.call("event.emit", type="x.signal", subject="s")
    await shell.call("event.emit", type="x.signal", subject="t")

    one = await shell.json("event", "list", "--limit", "1", "--types", "x.signal")
    both = await shell.json("event", "list", "--types", "x.signal,x.signal.*")

    assert [event["subject"] for event in one["events"]] == ["s"]
    assert [event["subject"] for event in both["events"]] == ["s", "t"]
    assert (await shell("event", "list", "--subject", "t")).out.splitlines()[-1].split("\t")[2:4] == ["x.signal", "t"]


async def test_events_of_ones_own_and_their_readers(shell: Shell) -> None:
    """`emit` tells, `lag` shows who reads; a type that no event has is a misuse that names the one meant."""
    told = await shell.json("event", "emit", "x.build.done", "--subject", "b-7", "--payload", "ok=true")
    (event,) = (await shell.json("event", "list"))["events"]
    assert (event["id"], event["payload"]) == (told["id"], {"ok": True})

    lag = await shell("event", "lag")
    assert (lag.code, f"the log ends at {told['id']}" in lag.err) == (DONE, True)
    (record,) = (await shell.json("event", "lag"))["groups"]
    assert (record["group"], len(record["partitions"])) == ("record", 1)
    wrong = await shell("event", "list", "--types", "task.complet")
    assert (wrong.code, "did you mean task.completed?" in wrong.err) == (USAGE, True)
    assert (await shell("event", "emit", "task.completed")).code == USAGE
    assert (await shell("event", "lag", "--group", "nobody")).code == NOT_FOUND


async def test_a_group_and_its_gaps_are_ended_from_the_shell(shell: Shell) -> None:
    """`lag` says how a gap is ended; `acknowledge` ends it and `drop` the group, with the operator's token."""
    token = ("--token-file", str(shell.server.data_dir / "token"))
    async with store_of(shell.server) as connection:
        cursors = Cursors(connection)
        await cursors.register(shell.workspace, "notify", 1)
        await cursors.gap(shell.workspace, "notify", 0, "1-0", "2-0")
    assert "claudebench event group acknowledge notify" in (await shell("event", "lag")).err

    assert (await shell("event", "group", "drop", "notify")).code == FAILED
    ended = await shell.json("event", "group", "acknowledge", "notify", *token)
    assert ended == {"group": "notify", "gaps": 1}
    assert "acknowledge" not in (await shell("event", "lag")).err
    missed = await shell("event", "group", "drop", "notfy", *token)
    assert (missed.code, "did you mean notify?" in missed.err) == (NOT_FOUND, True)
    dropped = await shell.json("event", "group", "drop", "notify", *token)
    assert dropped == {"group": "notify", "partitions": 1, "dead": 0, "retrying": 0}
    assert (await shell("event", "lag", "--group", "notify")).code == NOT_FOUND


async def test_tail_shows_what_happens_and_ends_by_ctrl_c(shell: Shell) -> None:
    """An event that is made while `event tail` runs is printed as a line of JSON; Ctrl-C ends it with 0."""
    process = await _start(shell, "event", "tail", "--types", "task.created", "--json")
    assert process.stdout
    line = asyncio.ensure_future(process.stdout.readline())

    async def seen() -> bool:
        await shell.call("system.register", id="w", roles=[], deadAfterMs=600_000)
        await shell.call("task.create", text="x")
        return line.done()

    await eventually(seen)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(ENDED_WITHIN_S):
        assert await process.wait() == DONE
    assert json.loads(line.result())["type"] == "task.created"


async def test_tail_begins_behind_a_position_and_ends_by_count(shell: Shell) -> None:
    """`--after` begins there and `--count` ends it; without --json a line has its cells between tabs."""
    for text in "abc":
        await shell.call("task.create", text=text)
    first = (await shell.call("event.list", limit=1))["nextAfter"]
    ended = await shell("event", "tail", "--after", first, "--count", "2")

    assert (ended.code, [line.split("\t")[3] for line in ended.out.splitlines()]) == (DONE, ["t-2", "t-3"])


async def test_tail_says_where_to_go_on(tmp_path: Path) -> None:
    """When the server ends, `event tail` ends with 3 and names the position behind which to go on."""
    async with serve(tmp_path / "data") as own:
        shell = Shell(own, tmp_path, "default")
        position = (await shell.call("task.create", text="x")) and (await shell.call("event.list"))["nextAfter"]
        process = await _start(shell, "event", "tail", "--after", "0-0", "--json")
        assert process.stdout
        assert process.stderr
        await process.stdout.readline()
        await own.stop()
        said = (await process.stderr.read()).decode()

    assert await process.wait() == UNREACHABLE
    assert f"--after {position}" in said


async def _start(shell: Shell, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "claudebench", *words,
        env={**os.environ, "CLAUDEBENCH_URL": shell.server.url, "CLAUDEBENCH_WORKSPACE": shell.workspace},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, preexec_fn=_hears_ctrl_c,
    )  # fmt: skip


def _hears_ctrl_c() -> None:
    """Undo what a shell does to a job in the background, so that the tests may be one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def test_a_terminal_gets_a_table(shell: Shell) -> None:
    """On a terminal a list is a table that fits, in which nothing of a task's text acts on the terminal."""
    await shell.call("task.create", text=f"\x1b]0;owned\x07 [bold]{'long ' * 90}")
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "claudebench", "task", "list", "--url", shell.server.url, "--workspace", shell.workspace,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"}, stdout=theirs,
    )  # fmt: skip
    assert await process.wait() == DONE
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)

    assert "\t" not in shown
    assert "pending" in shown
    assert "[bold]" in shown
    assert "\x1b]0" not in shown
    assert len(shown.splitlines()) == 2


def _verbs(command: Any) -> list[Verb]:
    if below := getattr(command, "commands", None):
        return [verb for each in below.values() for verb in _verbs(each)]
    return [verb] if isinstance(verb := getattr(command, "_verb", None), Verb) else []


@pytest.mark.parametrize("verb", _verbs(get_command(app)), ids=lambda verb: verb.command)
async def test_a_verb_takes_what_its_command_takes(verb: Verb) -> None:
    """A verb names its command's own request, says rightly whether that changes something, and explains each option."""
    command = next(each for each in COMMANDS if each.name == verb.command)
    module, _, name = verb.request.partition(":")

    assert (command.input.__module__, command.input.__name__) == (module, name)
    assert verb.changes == command.changes
    assert [
        place.said for place in _fields(verb) if not place.schema.get("description", MEANINGS.get(place.path[-1]))
    ] == []
