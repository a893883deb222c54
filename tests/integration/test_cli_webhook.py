"""`claudebench webhook` as a person and a program type it: what is shown, what never, and what to do when it fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.integration.receiver import is_signed, receiver
from tests.integration.test_cli import Ended, run

from claudebench.testing import Server, eventually, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")
DONE, FAILED, USAGE, UNREACHABLE, NOT_FOUND, CONFLICT = range(6)


class Shell:
    """A shell of the operator, or of anybody."""

    def __init__(self, server: Server, cwd: Path) -> None:
        """Take where it looks."""
        self.server, self.cwd = server, cwd

    async def __call__(self, *words: str, token: bool = True, workspace: str = "default") -> Ended:
        """Type a command line."""
        shown = ("--token-file", str(self.server.data_dir / "token")) if token else ()
        return await run(
            self.cwd, "webhook", *words, *shown, CLAUDEBENCH_URL=self.server.url, CLAUDEBENCH_WORKSPACE=workspace
        )

    async def json(self, *words: str, token: bool = True) -> Any:
        """Type a command line that succeeds; return the document that it prints."""
        ended = await self(*words, "--json", token=token)
        assert (ended.code, ended.err) == (DONE, "")
        return json.loads(ended.out)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server that may reach this machine."""
    async with serve(tmp_path_factory.mktemp("cli") / "data", "--webhook-allow", "127.0.0.1") as running:
        yield running


@pytest.fixture
def shell(server: Server, tmp_path: Path) -> Shell:
    """A shell."""
    return Shell(server, tmp_path)


async def test_a_webhook_lives_its_life_from_the_shell(shell: Shell) -> None:
    """Added, listed, tested, told, rotated, shown, removed; its secret is printed when it is made and never again."""
    async with receiver() as to, shell.server.client() as client:
        words = ("add", to.url, "--events", "x.a.*,task.created", "--events", "x.b.said", "--description", "mine")
        added = await shell.json(*words)
        assert added["secret"].startswith("whsec_")
        tested = await shell("test", added["id"])
        assert "delivered\ttrue\n" in tested.out
        assert "status\t204\n" in tested.out
        await client.call("event.emit", type="x.b.said", subject="one", payload={})
        await eventually(lambda: len(to.got) == 2)
        rotated = await shell.json("rotate", added["id"], "--keep-s", "60")
        listed, seen, shown = await shell("list"), await shell("list", token=False), await shell("show", added["id"])
        removed = await shell.json("remove", added["id"])
        none = await shell("list")

    cells = [added["id"], "on", "x.a.*, task.created, x.b.said", "8", to.url, "mine"]
    assert listed.out.splitlines()[1].split("\t") == cells
    assert seen.out.splitlines()[1].split("\t")[4] == f"http://127.0.0.1:{to.port}/***"
    assert {"dead\t0", "state\ton"} <= set(shown.out.splitlines())
    assert removed == {"id": added["id"], "removed": True}
    assert len(none.out.splitlines()) == 1
    assert is_signed(to.got[0], added["secret"])
    for text in (listed.out, seen.out, shown.out, tested.out):
        assert not [each for each in (added["secret"], rotated["secret"]) if each in text]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add", "http://127.0.0.1:9/", "--events", "*"), DONE, ""),
        (("add", "https://10.1.2.3/", "--events", "*"), USAGE, "--webhook-allow 10.1.2.3"),
        (("add", "https://169.254.169.254/", "--events", "*"), USAGE, "link-local"),
        (("add", "http://93.184.215.14/", "--events", "*"), USAGE, "over https"),
        (("add", "https://a:b@127.0.0.1/", "--events", "*"), USAGE, "no login"),
        (("add", "https://127.0.0.1/"), USAGE, "--events"),
        (("add", "https://127.0.0.1/", "--events", "task.craeted"), USAGE, "did you mean task.created?"),
        (("add", "https://127.0.0.1/", "--events", "*", "--retries", "101"), USAGE, "--retries"),
        (("show", "wh-99"), NOT_FOUND, "see what there is: claudebench webhook list"),
        (("remove", "wh-99"), NOT_FOUND, "see what there is"),
        (("rotate", "99"), USAGE, "a webhook's id, wh-<number>"),
        (("test", "wh-99"), NOT_FOUND, "see what there is"),
    ],
)
async def test_a_failure_says_what_to_do(shell: Shell, words: tuple[str, ...], code: int, said: str) -> None:
    """Each is one line with the option that is meant, and the exit code of its kind."""
    ended = await shell(*words, workspace="wrong")
    assert (ended.code, said in ended.err) == (code, True), ended.err
    assert len(ended.err.splitlines()) == (code != DONE)


async def test_changes_need_the_operators_token(shell: Shell) -> None:
    """Without it a change is refused, and it is said where the token is."""
    ended = await shell("add", "https://127.0.0.1/", "--events", "*", token=False)
    assert (ended.code, "--token-file" in ended.err) == (FAILED, True)


async def test_a_wrong_setting_ends_the_start(tmp_path: Path) -> None:
    """A server that cannot read what it may reach does not start, and says how it is written."""
    ended = await run(tmp_path, "up", "--data-dir", "data", "--port", "0", "--webhook-allow", "http://a.example")
    assert (ended.code, ended.out) == (USAGE, "")
    assert "webhook_allow cannot hold 'http://a.example'; it lists hosts and networks" in ended.err
