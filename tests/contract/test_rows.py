"""The rows against the tests and the assessment: none is passed over, each that is answered differently says why."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.rows import DIFFERENT, NOT_BUILT, ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ASSESSMENT = HERE.parents[1] / "docs" / "assessment.md"
SIZES = (9, 10, 10, 12, 18, 21, 18, 25, 14, 11, 13, 9, 12, 14)


def _functions() -> Iterator[tuple[str, Any]]:
    for path in sorted(HERE.glob("test_i*.py")):
        module = importlib.import_module(f"tests.contract.{path.stem}")
        yield from ((path.stem, each) for name, each in vars(module).items() if name.startswith("test_"))


def _tested() -> Iterator[tuple[str, str]]:
    """Yield each module with the rows that its tests are."""
    for module, function in _functions():
        for mark in getattr(function, "pytestmark", ()):
            if mark.name == "parametrize" and "row" in mark.args[0]:
                yield from ((module, param.values[0]) for param in mark.args[1])


def _listed() -> dict[str, list[str]]:
    """Return the rows of the section of the assessment, each with the cells that speak of it."""
    section = ASSESSMENT.read_text(encoding="utf-8").partition("\n## Contract rows\n")[2].partition("\n## ")[0]
    tables = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| I.")]
    return {each: cells for first, *cells in tables for each in first.split()}


def test_the_rows_are_those_of_the_reference() -> None:
    """Each of the fourteen tables is here with as many rows as the reference has."""
    counts = Counter(row.rpartition(".")[0] for row in ROWS)
    assert counts == {f"I.{at}": size for at, size in enumerate(SIZES, 1)}


def test_every_row_is_a_test() -> None:
    """Each row is a test in the module of its table, and no test names a row that does not exist."""
    tested = {(module[:8], row) for module, row in _tested()}
    assert tested == {(f"test_i{int(row.split('.')[1]):02}", row) for row in ROWS}


def test_every_difference_has_its_reason() -> None:
    """A row that is answered differently stands in the assessment with what is done instead and why; no other does."""
    listed = _listed()
    assert listed.keys() == DIFFERENT | NOT_BUILT
    assert not DIFFERENT & NOT_BUILT
    assert [row for row, cells in listed.items() if len(cells) != 3 or not all(cells)] == []
    assert {row for row, cells in listed.items() if cells[-1].startswith("not built yet")} == NOT_BUILT


@pytest.mark.parametrize("word", ["as is", "deliberately different", "not built yet"])
def test_the_counts_of_the_assessment_are_right(word: str) -> None:
    """The assessment says how many rows are answered as they were, differently, and not yet."""
    counts = {
        "as is": len(ROWS) - len(DIFFERENT) - len(NOT_BUILT),
        "deliberately different": len(DIFFERENT),
        "not built yet": len(NOT_BUILT),
    }
    said = re.search(rf"(\d+) {word}", ASSESSMENT.read_text(encoding="utf-8").partition("\n## Contract rows\n")[2])
    assert said
    assert int(said[1]) == counts[word]
