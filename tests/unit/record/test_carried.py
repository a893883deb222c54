"""The audit carried away: a third party with the key sees in it what a server would see in the record."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.unit.record.chains import KEYS, TAMPERINGS, WORKSPACE, chain, keys_of

from claudebench.errors import SettingsError
from claudebench.record.audit import Head, Standing, head_of
from claudebench.record.carried import Carrier, Form, verify_file

if TYPE_CHECKING:
    from pathlib import Path

    from claudebench.record.audit import Row
    from claudebench.record.audit_key import Keys

FORMS: tuple[Form, ...] = ("jsonl", "csv")


def carried(path: Path, form: Form, rows: list[Row], head: Head | None) -> Path:
    """Write an export."""
    with path.open("w", encoding="utf-8", newline="") as file:
        Carrier(file, form, WORKSPACE, Standing(head)).write(rows)
    return path


def kinds(path: Path, keys: Keys = KEYS) -> list[str]:
    """Return the kinds of what is found in an export."""
    return [each.kind for each in verify_file(path, keys, lambda _done, _total: None).findings()]


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_export_is_clean(tmp_path: Path, form: Form) -> None:
    """An export is clean with the key and named with another one; an empty one is clean too."""
    whole = chain(30)
    path = carried(tmp_path / "a", form, whole, head_of(whole[-1]))

    assert kinds(path) == []
    assert set(kinds(path, keys_of(b"another's"))) == {"key"}
    assert kinds(carried(tmp_path / "b", form, [], None)) == []


@pytest.mark.parametrize("form", FORMS)
def test_tamperings_of_an_export_are_found(tmp_path: Path, form: Form) -> None:
    """What is done to an export is found; without a head, which CSV has not, but for its end and a new chain."""
    needs_head = {"cut_tail", "rewrite_with_key", "rewrite_shorter_with_key"}
    for tampering in TAMPERINGS:
        if form == "csv" and tampering.__name__ in needs_head:
            continue
        for seed in range(10):
            whole = chain(12)
            changed, _ = tampering(random.Random(seed), whole)
            if form == "csv" and changed == whole[: len(changed)]:
                continue
            assert changed == whole or kinds(carried(tmp_path / "a", form, changed, head_of(whole[-1])))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"audit":1,"workspace":"w"}\nnothing\n', "line 2"),
        ("{}\n", "line 1"),
        ("", "is empty"),
        ("a,b\n1,2\n", "line 2"),
        ("\xff", "line|read"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """A file that is no export is refused with the line."""
    path = tmp_path / "a"
    path.write_text(text, encoding="latin-1")

    with pytest.raises(SettingsError, match=said):
        kinds(path)
