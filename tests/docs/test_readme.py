"""The examples of the documents, run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

from claudebench.testing import serve

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINES_MAX = 15


def blocks(path: str, holds: str) -> dict[str, str]:
    """Return the blocks of a document that hold a text, the first of each language."""
    found = BLOCK.findall((ROOT / path).read_text(encoding="utf-8"))
    return {language: text for language, text in reversed(found) if holds in text}


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which modules of a folder can be imported."""
    return {"PYTHONPATH": f"{folder}:{ROOT / 'src'}"}


async def test_the_handler_of_the_readme_runs(tmp_path: Path) -> None:
    """The handler that the README shows is at most fifteen lines, and answers at the path that it names."""
    shown = blocks("README.md", "standup")
    (tmp_path / "standup.py").write_text(shown["python"])
    asked = re.search(r"localhost:7420(\S+) .* -d '(.*)'", shown["sh"])
    assert asked

    options = ("--app", "standup")
    async with serve(tmp_path / "data", *options, env=environment(tmp_path)) as server, server.client() as client:
        await client.call("system.register", id="w", roles=[])
        await client.call("task.create", text="write the docs")
        await client.call("task.claim", workerId="w")
        answer = await client.post(asked[1], asked[2].encode())

    assert answer.json == {"doing": {"write the docs": "w"}}
    assert len([line for line in shown["python"].splitlines() if line]) <= LINES_MAX
    assert f"claudebench up {' '.join(options)}\n" in shown["sh"]


async def test_the_app_of_the_how_to_runs(tmp_path: Path) -> None:
    """Handler, store and script of the how-to are a whole app, and its test holds."""
    path = "docs/how-to/own-handlers.md"
    command, store = blocks(path, "@handler(")["python"], blocks(path, "class Notes")["python"]
    package = tmp_path / "notes"
    (package / "scripts").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "scripts" / "add.lua").write_text(blocks(path, "-- add:")["lua"])
    (package / "handlers.py").write_text(
        "import msgspec\nfrom claudebench import *\n\n"
        "class Add(msgspec.Struct, forbid_unknown_fields=True):\n    text: str\n\n"
        f"class Added(msgspec.Struct):\n    number: int\n\n{store}\n{command}"
    )

    options = ("--app", "notes.handlers")
    async with serve(tmp_path / "data", *options, env=environment(tmp_path)) as server, server.client() as client:
        assert await client.call("notes.add", text="hello") == {"number": 1}
        assert (await client.call("event.list"))["events"][0]["type"] == "x.notes.added"
