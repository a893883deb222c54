"""The benchmark runs: its load goes through today's scripts and doors, and every answer is checked."""

from __future__ import annotations

import json
import subprocess
import sys


def test_bench_measures_each_row_it_is_asked_for() -> None:
    """The limit and the rows that were asked for have requests, and no answer was wrong."""
    words = ["bench", "--only", "alone", "--seconds", "0.5", "--rounds", "1", "--json"]
    ended = subprocess.run([sys.executable, "-m", "claudebench", *words], capture_output=True, text=True, check=True)

    rows = {row["name"]: row["medians"]["requests"] for row in json.loads(ended.stdout)["rows"]}
    assert len(rows) > 2
    assert min(rows.values()) > 0
