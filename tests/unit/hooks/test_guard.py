"""The guard: the corpus, rewrites, malformed calls, files, its own trouble, its cache."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claudebench.hooks import guard as guard_module
from claudebench.hooks.guard import Guard
from claudebench.hooks.model import Decision, ToolCall
from claudebench.hooks.rulebook import builtin
from claudebench.hooks.rulefile import read
from claudebench.hooks.rules import RuleSet
from claudebench.hooks.tools import kind_of

if TYPE_CHECKING:
    from claudebench.hooks.rules import Hit

CORPUS: dict[str, list[dict[str, str]]] = tomllib.loads((Path(__file__).parent / "corpus.toml").read_text())


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard(builtin())


def of_corpus(case: dict[str, str]) -> ToolCall:
    """Return the call of a case: one that names its folder is made by the user dev at the root of that repository."""
    within = {"cwd": case["cwd"], "root": case["cwd"], "home": "/home/dev"} if "cwd" in case else {}
    return bash(case["line"], **within)


def bash(line: object, **more: Any) -> ToolCall:
    return ToolCall("Bash", {"command": line}, **more)


@pytest.mark.parametrize("case", CORPUS["stop"], ids=lambda case: case["why"])
def test_dangerous_lines_are_stopped(guard: Guard, case: dict[str, str]) -> None:
    """Every line of the corpus that must be stopped is stopped as it says there, with a reason."""
    decision = guard.decide(of_corpus(case))

    assert decision.decision == case["expect"]
    assert decision.reason
    assert decision.rule_id


@pytest.mark.parametrize("case", CORPUS["pass"], ids=lambda case: case["why"])
def test_everyday_lines_pass(guard: Guard, case: dict[str, str]) -> None:
    """Every everyday line of the corpus is allowed: an ask would be a false stop."""
    assert guard.decide(of_corpus(case)).decision == "allow"


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("sudo apt-get install package", "apt-get install package"),
        ("sudo -u me -E FOO=1 make", "FOO=1 make"),
        ("cd x && sudo a | sudo -n b", "cd x && a | b"),
        ("echo é; sudo a", "echo é; a"),
        ("sudo sudo a", "a"),
        ("timeout 5 sudo a", "timeout 5 a"),
        ('echo "$(sudo a)"', 'echo "$(a)"'),
    ],
)
def test_sudo_is_taken_away(guard: Guard, line: str, left: str) -> None:
    """The prefix goes, the rest of the line and the other parameters stay."""
    decision = guard.decide(ToolCall("Bash", {"command": line, "timeout": 5}))

    assert decision.decision == "rewrite"
    assert decision.allow
    assert decision.modified == {"command": left, "timeout": 5}


def test_a_rewritten_line_is_judged_again(guard: Guard) -> None:
    """What stands behind sudo is denied for itself, and sudo inside another shell asks."""
    assert guard.decide(bash("sudo shutdown now")).rule_id == "power"
    assert guard.decide(bash("bash -c 'sudo a'")).decision == "ask"


@pytest.mark.parametrize(
    "params",
    [None, 5, True, [], ["rm -rf /"], {}, {"command": None}, {"command": {"a": 1}}, {"command": 7}, {"cmd": [1]},
     {"command": [[]]}, {"command": "ls", "cmd": {"x": 1}}, {"command": "ls", "script": "rm -rf /"}],
)  # fmt: skip
def test_malformed_calls_of_a_shell_are_denied(guard: Guard, params: object) -> None:
    """A shell call that is no command line is denied, however often it comes."""
    assert {guard.decide(ToolCall("Bash", params)).decision for _ in range(15)} == {"deny"}
    assert guard.decide(bash("rm -rf /home")).decision == "deny"


def test_other_shapes_of_a_command_are_judged(guard: Guard) -> None:
    """A bare string, an argument list and other field names are command lines too."""
    assert guard.decide(ToolCall("shell", "rm -rf /")).decision == "deny"
    assert guard.decide(ToolCall("shell", {"command": ["bash", "-lc", "rm -rf /"]})).decision == "deny"
    assert guard.decide(ToolCall("mcp__box__run_command", {"cmd": "rm -rf /"})).decision == "deny"
    assert guard.decide(ToolCall("shell", {"command": ["sudo", "ls", "a b"]})).modified == {"command": ["ls", "a b"]}


@pytest.mark.parametrize(
    ("tool", "params", "expected"),
    [
        ("Write", {"file_path": "/etc/passwd", "content": ""}, "deny"),
        ("write", {"file_path": "/proc/sys/x"}, "deny"),
        ("Edit", {"file_path": "/usr/bin/env", "old_string": "a", "new_string": "b"}, "deny"),
        ("file.delete", {"path": "/boot/vmlinuz"}, "deny"),
        ("Write", {"file_path": "C:\\Windows\\System32\\x"}, "deny"),
        ("Write", {"file_path": "../../../../../../etc/hosts"}, "deny"),
        ("Write", {"file_path": "~/.ssh/authorized_keys"}, "deny"),
        ("Edit", {"file_path": ".claude/settings.json"}, "ask"),
        ("apply_patch", {"input": "*** Begin Patch\n*** Update File: /etc/hosts\n"}, "deny"),
        ("NotebookEdit", {"notebook_path": "/work/x.ipynb"}, "allow"),
        ("Write", {"file_path": "/work/etc/x"}, "allow"),
        ("Write", {"file_path": "src/a.py"}, "allow"),
        ("Write", {"content": "x"}, "deny"),
        ("Write", {"file_path": 7}, "deny"),
        ("Write", None, "deny"),
        ("Read", {"file_path": "/etc/passwd"}, "allow"),
        ("WebSearch", {"query": "rm -rf /"}, "allow"),
        ("BashOutput", {"bash_id": "1"}, "allow"),
    ],
)
def test_files_are_judged_by_their_paths(guard: Guard, tool: str, params: object, expected: str) -> None:
    """Tools that write are judged by where they write; tools that do not are left alone."""
    assert guard.decide(ToolCall(tool, params, cwd="/work/repo")).decision == expected


def test_links_are_followed_when_the_directory_is_known(guard: Guard, tmp_path: Path) -> None:
    """A link into a system directory is that directory, and the answer is not kept."""
    (tmp_path / "link").mkdir()
    call = ToolCall("Write", {"file_path": "link/hosts"}, cwd=str(tmp_path))
    assert guard.decide(call).decision == "allow"
    (tmp_path / "link").rmdir()
    (tmp_path / "link").symlink_to("/etc")

    assert guard.decide(call).decision == "deny"


def test_home_and_workspace_are_those_of_the_call(guard: Guard) -> None:
    """The caller's home and directory decide what is a home and what is a parent."""
    assert guard.decide(bash("rm -rf /srv/people/ann", home="/srv/people/ann")).decision == "deny"
    assert guard.decide(bash("rm -rf /work", cwd="/work/repo")).decision == "deny"
    assert guard.decide(bash("rm -rf /work/repo", cwd="/work/repo")).decision == "ask"
    assert guard.decide(bash("rm -rf *", cwd="/")).decision == "deny"


def test_warnings_ride_on_an_allow(guard: Guard) -> None:
    """A rule that warns does not stop the call."""
    decision = guard.decide(bash("cat very-large-file.txt"))

    assert decision.allow
    assert "large file" in decision.warnings[0]


def test_the_guards_own_trouble_denies() -> None:
    """An exception while judging denies, is told, and a teller that fails changes nothing."""
    told: list[str] = []

    class Broken(RuleSet):
        def on_script(self, *_: object, **__: object) -> list[Hit]:
            raise RuntimeError("broken")

        def on_file(self, *_: object, **__: object) -> list[Hit]:
            raise RuntimeError("broken")

    def tell(_: ToolCall, error: Exception) -> None:
        told.append(str(error))
        raise ValueError("and again")

    guard = Guard(Broken([]), on_error=tell)

    assert guard.decide(bash("ls")).decision == "deny"
    assert guard.decide(ToolCall("Write", {"file_path": "x"})).decision == "deny"
    assert told == ["broken", "broken"]


def test_decisions_are_kept_within_a_bound(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision is kept by its whole call and rule set; the oldest goes when there are too many."""
    monkeypatch.setattr(guard_module, "CACHED_DECISIONS_MAX", 3)
    fresh = Guard(builtin())
    first = fresh.decide(bash("cat large-file"))
    assert fresh.decide(bash("cat large-file")) is first

    for number in range(5):
        fresh.decide(bash(f"ls {number}"))
    assert fresh.decide(bash("cat large-file")) is not first
    fresh.rules = RuleSet(
        read('[[rule]]\nid="x"\nseverity="low"\naction="deny"\nreason="r"\n[[rule.command]]\nprogram=["ls"]', "t").rules
    )
    assert fresh.decide(bash("ls 4")).decision == "deny"


@pytest.mark.parametrize(
    ("tool", "params", "expected"),
    [
        ("Monitor", {"command": "rm -rf ~"}, "deny"),
        ("run_terminal_cmd", {"command": "rm -rf ~"}, "deny"),
        ("mcp__shell__execute", {"command": "rm -rf ~"}, "deny"),
        ("mcp__desktop-commander__start_process", {"command": "rm -rf ~"}, "deny"),
        ("mcp__ssh__exec-command", {"command": "rm -rf ~"}, "deny"),
        ("functions.exec_command", {"cmd": "rm -rf ~"}, "deny"),
        ("write_stdin", {"session_id": 1, "chars": "rm -rf ~\n"}, "deny"),
        ("mcp__ide__executeCode", {"code": "import shutil; shutil.rmtree('/')"}, "deny"),
        ("run_command", {"command": "rm", "args": ["-rf", "/"]}, "deny"),
        ("mcp__filesystem__move_file", {"source": "x", "destination": "/etc/passwd"}, "deny"),
        ("shell", {"command": "rm -rf *", "workdir": "/"}, "deny"),
        ("mcp__x__anything", {"script": "rm -rf ~"}, "deny"),
        ("mcp__x__anything", {"command": "not ( a shell line"}, "allow"),
        ("mcp__x__process_refund", {"amount": 3}, "allow"),
        ("mcp__ide__executeCode", {"code": "print(1)"}, "allow"),
        ("write_stdin", {"session_id": 1, "chars": "y\n"}, "allow"),
        ("run_command", {"command": "ls", "args": ["-l"]}, "allow"),
        ("mcp__filesystem__move_file", {"source": "a", "destination": "b"}, "allow"),
        ("shell", {"command": "ls", "workdir": "sub"}, "allow"),
    ],
)
def test_tools_that_nobody_listed_are_judged_by_what_they_are_given(
    guard: Guard, tool: str, params: object, expected: str
) -> None:
    """A command line, code, a program with arguments and a folder count, whatever the tool is called."""
    assert guard.decide(ToolCall(tool, params, cwd="/work/repo", home="/home/dev")).decision == expected


async def test_a_long_call_is_judged_aside(guard: Guard) -> None:
    """A short call is answered at once, a long one in a thread, by the same rules."""
    long = f"rm -rf / {'a' * 2_000}"
    assert isinstance(guard.answer(bash("rm -rf /")), Decision)

    answer = guard.answer(bash(long))
    assert isinstance(answer, asyncio.Future)
    assert (await answer).decision == guard.decide(bash(long)).decision == "deny"


def test_kinds_of_tools() -> None:
    """Names are compared without case; of an MCP tool the last part counts."""
    assert [kind_of(name) for name in ("BASH", "mcp__x__bash", "MultiEdit", "Grep")] == [
        "shell",
        "shell",
        "write",
        "other",
    ]


def test_what_allow_means() -> None:
    """Allow and rewrite let the tool run; deny and ask do not."""
    assert [Decision(verdict).allow for verdict in ("allow", "rewrite", "deny", "ask")] == [True, True, False, False]
