"""What a hostile rule file may cost: to read it, and to ask it."""

from __future__ import annotations

import random
from fnmatch import fnmatchcase

import pytest

from claudebench.errors import SettingsError
from claudebench.hooks.globs import Globs
from claudebench.hooks.guard import Guard
from claudebench.hooks.model import ToolCall
from claudebench.hooks.paths import Places
from claudebench.hooks.rulebook import builtin_file
from claudebench.hooks.rulefile import EXPRESSIONS_MAX, LIST_MAX, read
from claudebench.hooks.rules import RuleSet
from claudebench.hooks.shell import parse
from claudebench.hooks.toml import MARKS_MAX

PIPES = " | ".join(["echo " + "a" * 70] * 200)


def rule(number: int, table: str, kind: str = "command") -> str:
    head = f'[[rule]]\nid = "r{number}"\nseverity = "low"\naction = "deny"\nreason = "no"\n'
    return f"{head}[[rule.{kind}]]\n{table}\n"


def over_the_built_in(table: str, count: int, kind: str = "command") -> RuleSet:
    """Return the built-in rules and many of one kind; NN is the number of each."""
    text = "".join(rule(number, table.replace("NN", str(number)), kind) for number in range(count))
    return RuleSet([*builtin_file().rules, *read(text, "hostile.toml").rules])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a." * 2_000 + "b = 1", "more than 4 parts (near line 1)"),
        ('\n"a"' + ' . "a"' * 2_000 + " = 1", "more than 4 parts (near line 2)"),
        ("[" + "'a'." * 2_000 + "b]", "parts"),
        ("x = {" + "a." * 2_000 + "b = 1}", "parts"),
        ('x = """y"""" \n' + "a." * 2_000 + 'b = 1\nz = "', "parts"),
        ("x = '''''''' \n" + "a." * 2_000 + "b = 1", "parts"),
        ('x = """\\""" """ \n' + "a." * 2_000 + "b = 1", "parts"),
        ("x = [" + "1," * MARKS_MAX + "]", "keys, values and tables"),
        ("[a]\n" * (MARKS_MAX + 1), "keys, values and tables"),
        ("x = " + "[" * 2_000, "too deep"),
        ("x = " + "9" * 5_000, "4300 digits"),
        ("[[rule]]\nid = 0x" + "f" * 20_000, "number 1"),
        (rule(1, 'verb = [" "]'), "a verb needs a word"),
        (rule(1, 'gets = ["[z-a]"]'), "no regular expression"),
        (rule(1, f"flags = {['-x'] * (LIST_MAX + 1)}"), "'flags' has more than"),
        ("".join(rule(n, f'text = "x{n}"') for n in range(EXPRESSIONS_MAX + 1)), "expressions and globs"),
        ("".join(rule(n, f'text = "(x{{1,60}}y{n}){{12}}"') for n in range(100)), "instructions"),
    ],
    ids=lambda value: value[:12],
)  # fmt: skip
def test_a_file_that_is_dear_to_read_is_refused(text: str, said: str) -> None:
    """What the parser, the checks or RE2 would take long or much memory for is refused by name, and before they do."""
    with pytest.raises(SettingsError) as error:
        read(text, "f.toml")

    assert said in error.value.message
    assert len(error.value.message) < 500


def test_dots_in_strings_and_comments_are_no_keys() -> None:
    """What only looks like a long key, inside a string or behind a sharp, is read as ever."""
    dotted = "a.b.c.d.e.f.g.h"
    keys = f"text = '''{dotted}'''\ngets = ['{dotted}', \"\\\"{dotted}\"] # ''' {dotted}"
    text = f"# {dotted} ' \"\n" + rule(1, keys)

    (found,) = read(text, "f.toml").rules

    assert found.command[0].text == dotted
    assert found.command[0].gets == (dotted, f'"{dotted}')


def test_globs_mean_what_a_shell_means() -> None:
    """A glob fits the same texts as before it was translated, whatever signs it is made of."""
    chance = random.Random(7)
    for _ in range(5_000):
        glob = "".join(chance.choices("ab*?[]!-.^\\é\n\0", k=chance.randint(0, 6)))
        text = "".join(chance.choices("ab-.[]!^\\é\n\0", k=chance.randint(0, 5)))
        if "-" not in glob:
            assert Globs((glob,)).fit(text) == fnmatchcase(text, glob), (glob, text)
    assert Globs(("x[a-c]?", "[!0-9]")).fit("xbz")
    assert not Globs(("x[a-c]?", "[!0-9]")).fit("7")


@pytest.mark.parametrize(
    ("table", "count", "line"),
    [
        ('gets = ["*?a*?a*?a*?a*NNb"]', 250, PIPES),
        ('gets = ["aNN*"]', 1_000, PIPES),
        ('output_of = ["cNN"]', 1_000, PIPES + " | sh"),
        ('assigns = ["*?a*NN"]', 400, "; ".join(["x=" + "a" * 40] * 200)),
        ('program = ["*?a*xNN"]', 400, "; ".join(f"{'a' * 60}{number}" for number in range(200))),
        ('program = ["git"]\nverb = ["*?a* x NN"]', 400, "; ".join(["git aaaaaaaaaaaaaa x y"] * 240)),
        ('text = "(a|b)*a(a|b){30}NN"', 200, "echo " + "ab" * 8_000),
        ('hosts = ["*a*NN"]', 1_000, "echo " + "https://aaaaaa.example/ " * 600),
        ('fetched_by = ["cNN"]', 1_000, "; ".join(f"tee a{number} b c; ./x{number}" for number in range(120))),
        ('flags = ["--xNN"]\nwithout = ["--NN"]', 1_000, "; ".join(["echo -a -b -c -d"] * 240)),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_line_that_is_dear_to_judge_asks(table: str, count: int, line: str) -> None:
    """Many tables and a long line together come to an end, the same each time, and end in an ask that says so."""
    rules = over_the_built_in(table, count)
    script = parse(line)

    first, second = ([hit.rule.id for hit in rules.on_script(script, Places("/srv"))] for _ in range(2))

    assert first == second
    assert first[-1] == "too-much"
    decision = Guard(rules).decide(ToolCall("Bash", {"command": f"{line} # x"}))
    assert decision.decision == "ask"


def test_what_was_found_before_the_end_counts() -> None:
    """A command that is denied stays denied, however much stands behind it."""
    rules = over_the_built_in('gets = ["aNN*"]', 1_000)

    decision = Guard(rules).decide(ToolCall("Bash", {"command": f"rm -rf / ; {PIPES}"}))

    assert (decision.decision, decision.rule_id) == ("deny", "delete-whole")


def test_a_write_and_a_call_that_are_dear_to_judge_ask() -> None:
    """The text of a file and the texts of a call are not searched by any number of rules."""
    text = "x" * 1_000_000
    files = Guard(over_the_built_in('text = "needleNN"', 100, "file"))
    calls = Guard(over_the_built_in('text = "needleNN"', 100, "call"))

    written = files.decide(ToolCall("Write", {"file_path": "/srv/a", "content": text}, cwd="/srv"))
    called = calls.decide(ToolCall("Fetch", {"body": text}))

    assert (written.decision, written.rule_id) == ("ask", "too-much")
    assert (called.decision, called.rule_id) == ("ask", "too-much")


def test_everyday_lines_are_far_from_the_bound() -> None:
    """A thousand rules of a user and a long everyday line are judged to their end."""
    rules = over_the_built_in('program = ["toolNN", "tNN-*"]\nflags = ["-x"]', 900)
    line = "; ".join(f"git commit -m 'part {number}' && npm test -- file{number}.ts" for number in range(100))

    assert rules.on_script(parse(line), Places("/srv")) == []
