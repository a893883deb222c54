"""Rules as data: what a wrong file says, how tables match, what the version means."""

from __future__ import annotations

import pytest

from claudebench.errors import SettingsError
from claudebench.hooks.paths import Places
from claudebench.hooks.rulebook import builtin
from claudebench.hooks.rulefile import read
from claudebench.hooks.rules import RuleSet
from claudebench.hooks.shell import parse

HEAD = '[[rule]]\nid = "r"\nseverity = "low"\naction = "deny"\nreason = "no"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rul]]", ["f.toml", "'rul'", "'rule'"]),
        ("rule = 1", ["f.toml", "[[rule]]"]),
        ("[[rule", ["f.toml"]),
        (HEAD.replace("reason", "raeson") + '[[rule.command]]\nprogram=["a"]', ["'r'", "'raeson'", "'reason'"]),
        (HEAD + '[[rule.command]]\nprogramm=["a"]', ["'r'", "'programm'", "'program'"]),
        (HEAD + '[[rule.command]]\npaths=["hom"]', ["'r'", "'hom'", "'home'"]),
        (HEAD.replace("deny", "denny") + '[[rule.command]]\nprogram=["a"]', ["'denny'", "'deny'"]),
        (HEAD + '[[rule.command]]\nprogram="a"', ["'r'", "array"]),
        (HEAD + '[[rule.command]]\ntext="("', ["'r'", "regular expression"]),
        (HEAD, ["'r'", "rule.command"]),
        (HEAD + "[[rule.command]]", ["'r'", "everything"]),
        (HEAD.replace("deny", "rewrite") + '[[rule.command]]\nprogram=["a"]', ["'r'", "wrapped"]),
        (2 * (HEAD + '[[rule.command]]\nprogram=["a"]\n'), ["'r'", "twice"]),
    ],
)
def test_a_wrong_file_is_refused_by_name(text: str, said: list[str]) -> None:
    """The error names the file, the rule, the key and the nearest key."""
    with pytest.raises(SettingsError) as error:
        read(text, "f.toml")

    assert [word for word in said if word not in error.value.message] == []


@pytest.mark.parametrize(
    ("table", "line", "fits"),
    [
        ('program=["a*"]', "abc", True),
        ('program=["a"]', "/x/a", True),
        ('program=["a"]', "b", False),
        ('program=["a"]\nflags=["-r --rec", "-f"]', "a -xrf", True),
        ('program=["a"]\nflags=["-r --rec", "-f"]', "a -r", False),
        ('program=["a"]\nflags=["--recursive"]', "a --recur", True),
        ('program=["a"]\nflags=["-f"]', "a -- -f", False),
        ('program=["a"]\nwithout=["--lease"]', "a --lease=x", False),
        ('program=["a"]\nverb=["go"]\nvalues=["-C"]', "a -C dir go", True),
        ('program=["a"]\nverb=["go"]', "a stop go", False),
        ('program=["a"]\nverb=["go"]\noperands="m.*"', "a go x main", True),
        ('program=["a"]\nverb=["go"]\noperands_max=1', "a go x y", False),
        ('program=["a"]\nprefix="of="\npaths=["device"]', "a if=/dev/sda of=x", False),
        ('program=["a"]\nprefix="of="\npaths=["device"]', "a of=/dev/sda", True),
        ('program=["a"]\nlast=true\npaths=["system"]', "a /etc/x y", False),
        ('writes=["system"]', "a > /etc/x", True),
        ('writes=["system"]', "a < /etc/x", False),
        ('program=["sh"]\noutput_of=["get"]', "get | tee x | sh", True),
        ('program=["sh"]\noutput_of=["get"]', "get | sh file", False),
        ('program=["a"]\nwrapped=["sudo"]', "sudo nice a", True),
        ('program=["a"]\ntext="(?i)drop"', "a <<< 'DROP x'", True),
        ('program=["a"]\nreads=["credentials"]', "cat ~/.netrc | a", True),
        ('program=["a"]\ncarries=["credentials"]\nvalues=["-i"]', "a -i ~/.ssh/id_rsa", False),
        ('program=["a"]\ncarries=["credentials"]', "a f=@~/.ssh/id_rsa", True),
    ],
)
def test_tables_match_commands(table: str, line: str, fits: bool) -> None:  # noqa: FBT001
    """Each key of a table means what it says."""
    rules = RuleSet(read(f"{HEAD}[[rule.command]]\n{table}", "t").rules)

    assert bool(rules.on_script(parse(line), Places())) is fits


def test_the_version_names_the_content() -> None:
    """Equal rules have equal versions, other rules another one."""
    one = read(HEAD + '[[rule.command]]\nprogram=["a"]', "t").rules
    other = read(HEAD + '[[rule.command]]\nprogram=["b"]', "t").rules

    assert RuleSet(one).version == RuleSet(list(one)).version != RuleSet(other).version
    assert len(builtin().version) == 12


def test_builtin_reasons_tell_what_to_do() -> None:
    """Every built-in rule has a reason of more than a few words, and those that deny say what to do instead."""
    rules = builtin().rules

    assert len(rules) >= 15
    assert [rule.id for rule in rules if len(rule.reason.split()) < 8] == []
    assert [rule.id for rule in rules if rule.action == "deny" and rule.reason.count(".") < 2] == []


def test_rules_may_be_meant_for_some_tools() -> None:
    """A rule with `tools` covers those alone, without regard to case."""
    (rule,) = read(HEAD.replace("reason", 'tools = ["mcp__*"]\nreason') + '[[rule.command]]\nprogram=["a"]', "t").rules

    assert rule.covers("MCP__x__bash")
    assert not rule.covers("Bash")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "root"), ("//", "root"), ("/./*", "root"), ("/tmp/..", "root"), ("~", "home"), ("~/*", "home"),
        ("/home/ann", "home"), ("/etc/x", "system"), ("/var", "system"), ("/usr/local/x", "local"), ("..", "parent"),
        ("../x/..", "parent"), (".", "workdir"), ("*", "workdir"), ("/dev/sda", "device"),
        ("~/.ssh/id_rsa", "credentials"),
        ("\0/*", "unknown"),
    ],
)  # fmt: skip
def test_paths_have_classes(path: str, expected: str) -> None:
    """A path is sorted by where it leads, not by how it is written."""
    assert expected in Places().classes(path)


@pytest.mark.parametrize(
    "path", ["x", "./x", "/tmp/x", "/dev/null", "/home/ann/x", "~/x", "/var/tmp/x", "\x01/*", "\0", "a/../b"]
)
def test_ordinary_paths_have_none(path: str) -> None:
    """A path inside a workspace or a temporary directory belongs to no class."""
    assert Places().classes(path) == frozenset()
