"""The page on subscribers: its app is written out as it stands there, and run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.integration.test_own_handlers import paths

from claudebench.testing import eventually, serve

if TYPE_CHECKING:
    from claudebench.testing import AsyncClient

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "subscribers.md"
FILE = re.compile(r"`(tally/[a-z/]+\.(?:py|lua))`:\n\n```(?:python|lua)\n(.*?)```", re.DOTALL)


async def types(client: AsyncClient, type_: str) -> list[dict[str, Any]]:
    """Return the events of a type."""
    found: list[dict[str, Any]] = (await client.call("event.list", types=[type_]))["events"]
    return found


async def test_the_app_of_the_page_works(tmp_path: Path) -> None:
    """Its files load, its subscribers count what ended, each once, and follow up what failed."""
    files = FILE.findall(PAGE.read_text(encoding="utf-8"))
    assert len(files) == 4
    for name, text in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "tally" / "__init__.py").touch()
    running = serve(tmp_path / "data", "--app", "tally.handlers", env=paths(tmp_path))
    async with running as server, server.client() as client:
        await client.call("system.register", id="w", roles=["worker"])
        for _ in range(2):
            await client.call("task.create", text="one")
        claimed = await client.call("task.claim", workerId="w", maxTasks=2)
        one, two = (each["id"] for each in claimed["tasks"])
        await client.call("task.complete", id=one, workerId="w")
        await client.call("task.fail", id=two, workerId="w", error="no", retryable=False)

        async def is_followed() -> bool:
            return len(await types(client, "task.created")) == 3

        await eventually(is_followed)
        counted = await eventually(lambda: _two(client))
        assert sorted(each["subject"] for each in counted) == ["task.completed", "task.failed"]
        assert (await client.call("event.dead.list"))["letters"] == []
        groups = {each["group"] for each in (await client.call("event.lag"))["groups"]}
        assert groups >= {"tally.handlers.count", "follow-up", "announce"}


async def _two(client: AsyncClient) -> list[dict[str, Any]]:
    found = await types(client, "x.tally.counted")
    return found if len(found) == 2 else []
