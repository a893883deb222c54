"""Checks the size habits: functions (median <= 8 lines, ninetieth percentile <= 25, none over 70), Lua files (<= 60).

A function's lines are those of its body that are neither docstring nor blank.
"""

from __future__ import annotations

import ast
import statistics
import sys
from pathlib import Path

SOURCE = Path("src/claudebench")
MEDIAN_MAX, P90_MAX, LONGEST_MAX, LUA_MAX = 8, 25, 70, 60
VAGUE = {"manager", "utils", "helpers", "common", "service", "misc", "core"}


def functions(path: Path) -> list[tuple[int, str]]:
    """Return the size and place of every function of a file."""
    text = path.read_text(encoding="utf-8")
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            lines = text.splitlines()[body[0].lineno - 1 : node.end_lineno]
            found.append((sum(1 for line in lines if line.strip()), f"{path}:{node.lineno} {node.name}"))
    return found


def main() -> int:
    """Print what is too long; return 1 if anything is."""
    sizes = [each for path in sorted(SOURCE.rglob("*.py")) for each in functions(path)]
    lengths = sorted(size for size, _ in sizes)
    median, p90 = statistics.median(lengths), lengths[int(len(lengths) * 0.9)]
    wrong = [f"{place}: {size} lines" for size, place in sizes if size > LONGEST_MAX]
    wrong += [f"{path}: a name that says nothing" for path in SOURCE.rglob("*.py") if path.stem in VAGUE]
    for path in SOURCE.rglob("*.lua"):
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LUA_MAX:
            wrong.append(f"{path}: {lines} lines of Lua")
    if median > MEDIAN_MAX or p90 > P90_MAX:
        wrong.append(f"median {median} (at most {MEDIAN_MAX}), ninetieth percentile {p90} (at most {P90_MAX})")
    print("\n".join(wrong) or f"sizes: {len(sizes)} functions, median {median:g}, p90 {p90}, longest {lengths[-1]}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
