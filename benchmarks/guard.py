"""What a decision costs in process: by the number of rules, by the length of the line, on everyday and hostile lines.

    .venv/bin/python benchmarks/guard.py --save benchmarks/results/guard.json

Every line is judged in a folder of its own (no kept decision helps); times are CPU time of the one thread, which is how
long a line holds the event loop up on a machine that has a core for it.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from statistics import quantiles
from time import thread_time_ns
from typing import TYPE_CHECKING, Any

from claudebench.hooks.guard import Guard
from claudebench.hooks.model import ToolCall
from claudebench.hooks.rulebook import builtin, builtin_file
from claudebench.hooks.rulefile import read
from claudebench.hooks.rules import RuleSet

if TYPE_CHECKING:
    from collections.abc import Iterable

CORPUS = Path(__file__).parent.parent / "tests" / "unit" / "hooks" / "corpus.toml"
LENGTH = 16 * 1024
RULES = (10, 100, 1_000)
HOSTILE = {
    "one long word": "echo " + "x" * (LENGTH - 10),
    "words": "echo " + "ab " * (LENGTH // 3 - 10),
    "pipes": "cat a" + " | c" * (LENGTH // 4 - 10),
    "substitutions": "echo " + "$(" * 200 + "ls" + ")" * 200,
    "many substitutions": "echo " + "$(ls) " * (LENGTH // 6 - 10),
    "braces": "echo " + "{a,b}" * (LENGTH // 5 - 10),
    "quotes": "echo " + "'a' " * (LENGTH // 4 - 10),
    "unbalanced quotes": "echo " + "'a\" " * (LENGTH // 4 - 10),
    "redirections": "ls " + ">a " * (LENGTH // 3 - 10),
    "heredocs": "cat <<E\n" + "$(ls) `ls`\n" * (LENGTH // 11 - 10) + "E",
    "functions": "".join(f"f{n}() {{ f{n + 1}; f{n + 1}; }}; " for n in range(300)) + "f0",
    "open groups": "(" * LENGTH,
    "statements": "ls;" * (LENGTH // 3),
    "nested shells": "bash -c '" * 100 + "ls" + "'" * 100,
    "variables": "".join(f"v{n}=$v{n - 1}x; " for n in range(900)) + "$v899",
    "escapes": "echo " + "\\a" * (LENGTH // 2 - 10),
    "backticks": "echo " + "`ls` " * (LENGTH // 5 - 10),
}


def timed(guard: Guard, lines: Iterable[str]) -> list[float]:
    """Return the time of each decision in microseconds."""
    found = []
    for number, line in enumerate(lines):
        call = ToolCall("Bash", {"command": line}, cwd=f"/srv/shop-{number}", home="/home/dev")
        started = thread_time_ns()
        guard.decide(call)
        found.append((thread_time_ns() - started) / 1000)
    return found


def row(name: str, times: list[float]) -> dict[str, Any]:
    """Return the quantiles of some times, rounded."""
    cuts = quantiles(times, n=100)
    return {"what": name, "lines": len(times), "p50_us": round(cuts[49], 1), "p99_us": round(cuts[98], 1),
            "max_us": round(max(times), 1)}  # fmt: skip


def rules_of(count: int) -> RuleSet:
    """Return the built-in rules with more of every kind, or the first few of them."""
    shipped = builtin_file().rules
    kinds = ('program = ["tool{n}", "t{n}-*"]\nflags = ["-x"]', 'program = ["git"]\nverb = ["verb{n}"]',
             'program = ["rm", "cp"]\noperands = "file{n}.*"', 'text = "needle{n}"\nprogram = ["python*"]')  # fmt: skip
    more = "".join(
        f'[[rule]]\nid = "r{n}"\nseverity = "low"\naction = "ask"\nreason = "r"\n[[rule.command]]\n'
        + kinds[n % len(kinds)].replace("{n}", str(n)) + "\n"
        for n in range(max(0, count - len(shipped)))
    )  # fmt: skip
    return RuleSet([*shipped, *read(more, "more").rules][:count])


def everyday(rounds: int) -> list[str]:
    """Return the everyday lines of the corpus, again and again."""
    return [case["line"] for case in tomllib.loads(CORPUS.read_text())["pass"]] * rounds


def main() -> None:
    """Measure, print, and save."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--save", type=Path)
    asked = options.parse_args()
    gc.collect()
    gc.freeze()
    timed(Guard(builtin()), everyday(1))
    rows = [row(f"everyday, {count} rules", timed(Guard(rules_of(count)), everyday(asked.rounds))) for count in RULES]
    rows.append(
        row(f"everyday, the {len(builtin().rules)} built-in rules", timed(Guard(builtin()), everyday(asked.rounds)))
    )
    for name, line in HOSTILE.items():
        rows.append(row(f"16 KiB: {name}", timed(Guard(builtin()), [f"{line[: LENGTH - 8]} #{n}" for n in range(20)])))
    for each in rows:
        p50, p99, worst = each["p50_us"], each["p99_us"], each["max_us"]
        print(f"{each['what']:<40} p50 {p50:>9,.1f} us  p99 {p99:>9,.1f}  max {worst:>9,.1f}")
    if asked.save:
        machine = {
            "python": sys.version.split()[0],
            "machine": platform.machine(),
            "tree-sitter": version("tree-sitter"),
        }
        asked.save.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
