"""Log lines that anybody can cause do not fill the disk."""

from __future__ import annotations

from typing import Any

from claudebench.telemetry.sparse import Sparse


def test_a_kind_of_line_is_said_once_a_second() -> None:
    """Within a second of a line the next are counted, and the line after it says how many."""
    said: list[tuple[str, dict[str, Any]]] = []
    now = 0.0
    warn = Sparse(lambda event, **fields: said.append((event, fields)), lambda: now)
    for _ in range(1_000):
        warn("trouble", code=1)
    now = 1.0
    warn("trouble", code=2)
    now = 3.0
    warn("trouble", code=3)

    assert said == [("trouble", {"code": 1}), ("trouble", {"code": 2, "left_out": 999}), ("trouble", {"code": 3})]
