"""Real bash against `shell.parse`: whatever bash ran must have been seen, or the parse must have been in doubt.

Bash gets a PATH of stubs that write down how they were called, an empty environment, a directory of its own and lines
without a single absolute path, so that nothing but stubs can run.
"""

# ruff: noqa: E501 - the grammar is a table, a line is a row
from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell import Command, parse

if TYPE_CHECKING:
    from pathlib import Path

BASH = shutil.which("bash")
STUBS = ("c1", "c2", "c3", "rm")
REAL = ("env", "nice", "nohup", "timeout", "xargs", "bash", "sh", "cat", "find")
RECORD = """#!{bash}
call="${{0##*/}}"; for word; do call+=$'\\x1f'"$word"; done; printf '%s\\x1e' "${{call//$'\\n'/$'\\x1d'}}" >> "$SEEN"
"""

pytestmark = pytest.mark.skipif(BASH is None, reason="there is no bash to ask")


class Bash:
    """A confined bash that remembers which stubs ran."""

    def __init__(self, folder: Path) -> None:
        """Make the stubs."""
        self.bin = folder / "bin"
        self.work = folder / "work"
        self.folder = folder
        self.runs = 0
        self.bin.mkdir()
        self.work.mkdir()
        for name in STUBS:
            (self.bin / name).write_text(RECORD.format(bash=BASH))
            (self.bin / name).chmod(0o755)
        for name in REAL:
            (self.bin / name).symlink_to(shutil.which("bash" if name == "sh" else name) or name)

    def run(self, line: str) -> list[list[str]]:
        """Return the calls of stubs that a line makes."""
        self.runs += 1
        seen = self.folder / f"seen-{self.runs}"  # a new one each time: a process left behind cannot write into it
        seen.touch()
        process = subprocess.Popen(
            [BASH or "bash", "--norc", "--noprofile", "-c", line],
            cwd=self.work, env={"PATH": str(self.bin), "SEEN": str(seen), "HOME": str(self.work)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        records = seen.read_bytes().decode("utf-8", "replace").replace("\x1d", "\n").split("\x1e")
        return [record.split("\x1f") for record in records if record]


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Bash:
    return Bash(tmp_path_factory.mktemp("oracle"))


def saw(call: list[str], commands: tuple[Command, ...]) -> bool:
    """Whether one of the commands is this call; what cannot be known matches anything."""
    return any(
        _pattern(command).fullmatch("\x1f".join(call))
        or (("find" in command.wrappers or command.program in ("bash", "sh")) and call[0] in command.words)
        for command in commands
        if command.words
    )


def _pattern(command: Command) -> re.Pattern[str]:
    more = "(\x1f.*)?" if "xargs" in command.wrappers else ""
    return re.compile(re.escape(command.program) + "".join(map(_word_pattern, command.words[1:])) + more, re.DOTALL)


def _word_pattern(word: str) -> str:
    known = ".*".join(re.escape(piece) for piece in re.split(f"[{UNKNOWN}{SOME}]", word))
    return f"(\x1f{known})?" if known == ".*" else f"\x1f{known}"


# -- the grammar

names = st.sampled_from(["c1", "c2", "c3", "rm", "'c1'", '"c2"', "c\\3", "r''m", "$'\\x72m'", "$'c'\"1\"", "\\rm"])
literals = st.sampled_from(
    [
        "a",
        "-rf",
        "x=y",
        "a.b",
        "'a b'",
        '"a b"',
        "\\;",
        "a\\ b",
        "''",
        '"#"',
        "a#b",
        "{a,b}",
        "x{1,2}y",
        "{}",
        "'{'",
        "$'a\\tb'",
        '"\\$(c1)"',
        "'`c1`'",
        "%",
        "@",
        "a:b",
    ]
)


def substitution(line: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Words that run something."""
    return st.one_of(
        line.map("$({})".format), line.map('"$({})"'.format), line.map('"a $( {} ) b"'.format), line.map("<({})".format),
        line.filter(lambda text: "`" not in text and "\\" not in text).map("`{}`".format),
        line.map("${{V:-$({})}}".format), line.map('"${{V:-$({})}}"'.format), line.map("$((1 + $({})0))".format),
    )  # fmt: skip


def simple(line: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One command with words, perhaps prefixed and redirected."""
    variables = st.sampled_from(["$V", '"$V"', "${V}", "$W", "${W:-z}", '"$@"', "$1", "${#V}"])
    words = st.lists(st.one_of(literals, literals, variables, substitution(line)), max_size=3).map(" ".join)
    prefix = st.sampled_from(
        [
            "",
            "",
            "",
            "",
            "V=1 ",
            "env ",
            "env V=1 ",
            "nice -n 1 ",
            "timeout 5 ",
            "nohup ",
            "command ",
            "time ",
            "! ",
            "time -p ",
            "exec ",
            "builtin command ",
            "env -u X ",
            "timeout -s KILL 5 ",
        ]
    )
    suffix = st.sampled_from(["", "", "", " >out", " 2>&1", " </dev/null", " <<<x", " >>out 2>out2", " &>out"]).map(
        lambda text: text.replace("/dev/null", "out")
    )
    return st.tuples(prefix, names, words, suffix).map(lambda p: f"{p[0]}{p[1]} {p[2]}{p[3]}")


def compound(line: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Everything that holds other lines."""
    two = st.tuples(line, line)
    safe = line.filter(lambda text: "EOF" not in text)
    return st.one_of(
        *(two.map(sep.join) for sep in ("; ", " && ", " || ", " | ", " & ", "\n", " |& ", " # note\n", " \\\n&& ")),
        line.map("( {} )".format), line.map("{{ {}; }}".format),
        two.map(lambda p: f"if {p[0]}; then {p[1]}; fi"), two.map(lambda p: f"if ! {p[0]}; then :; else {p[1]}; fi"),
        line.map("for V in a rm 'c1 c2'; do {}; done".format), line.map("until {}; do :; done".format),
        line.map("case a in b) :;; a|c) {};; esac".format), line.map("f1() {{ {}; }}; f1 rm".format), line.map("function f2 {{ {}; }}; f2".format),
        two.map(lambda p: f"V=rm; {p[0]}; $V {shlex.quote(p[1])}"), line.map(lambda t: f'W={shlex.quote(t)}; eval "$W"'),
        line.map(lambda t: f"bash -c {shlex.quote(t)}"), line.map(lambda t: f"eval {shlex.quote(t)}"), line.map(lambda t: f"sh -ec {shlex.quote(t)} x y"),
        safe.map("bash <<'EOF'\n{}\nEOF".format), safe.map("cat <<EOF | sh\n{}\nEOF".format), safe.map("cat <<EOF\n$({})\nEOF".format),
        safe.map("cat <<'EOF'\n{}\nEOF\nc3".format), safe.map('cat <<-"EOF" && c2\n\t{}\n\tEOF'.format),
        line.map(lambda t: f"sh <<< {shlex.quote(t)}"), line.map(lambda t: f"echo {shlex.quote(t)} | bash"), line.map(lambda t: f"printf '%s\\n' {shlex.quote(t)} | sh -s"),
        names.map("echo a b | xargs {} z".format), names.map("echo a | xargs -I% {} % z".format), names.map("find . -maxdepth 0 -exec {} {{}} \\;".format),
        line.map("trap {!r} EXIT".format), line.map("[[ -n $({}) ]]".format),
        line.map("declare x=$({})".format), line.map("x=($({}) b)".format), line.map("while read -r V; do {}; done <<< a".format),
    )  # fmt: skip


lines = st.recursive(simple(st.just("c1 a")), lambda inner: st.one_of(compound(inner), simple(inner)), max_leaves=5)
inserts = st.sampled_from(
    [
        "`",
        "$",
        "{",
        "}",
        ";",
        "&",
        "|",
        "<",
        ">",
        "\n",
        "\\",
        '"',
        "'",
        "#",
        "!",
        " ",
        "\\\n",
        "$(",
        "(",
        ")",
        "c1 ",
        "EOF",
        "\nEOF\n",
        "<<EOF",
        "\t",
        "=",
    ]
)


@st.composite
def broken(draw: st.DrawFn) -> str:
    """A line with a character put in, or taken out, somewhere: legal or not."""
    line = draw(lines)
    at = draw(st.integers(0, len(line)))
    cut = draw(st.sampled_from([0, 0, 1, 2]))
    return line[:at] + draw(inserts) + line[at + cut :]


SILENT = [
    "r\\\nm x",
    "cat <<EOF\n`rm x`\nEOF",
    "echo ${x:-`rm x`}",
    "! { rm x; }",
    "time { rm x; }",
    "coproc N { rm x; }; wait",
    "echo `echo \\`rm x\\``",
    "cat <<EOF\nfoo\\\nEOF\n'\nEOF\nrm x #'",
    "cat <<'EOF'\nfoo\\\nEOF\nrm x\nEOF",
    "# x \\\nrm x",
    "# a \\\nr\\\nm x",
    'cat <<-"EOF"# && rm x\n\ta\n\tEOF',
]


@pytest.mark.parametrize("line", SILENT)
def test_silent_misparses_are_seen(bash: Bash, line: str) -> None:
    """What the grammar swallows without an error node is judged or doubted, and bash really runs it."""
    calls = bash.run(line)
    script = parse(line)

    assert calls
    assert script.unsure or all(saw(call, script.commands) for call in calls)


@settings(max_examples=300, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(line=st.one_of(lines, lines, broken()))
@example(line="c1 a")
def test_bash_runs_nothing_that_was_not_seen(bash: Bash, line: str) -> None:
    """Every stub that bash runs was found by the parser, with its words, unless the parser was in doubt."""
    _compare(bash, line)


@pytest.mark.soak
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(line=st.one_of(lines, broken()))
def test_bash_runs_nothing_that_was_not_seen_for_long(bash: Bash, line: str) -> None:
    """The same promise over ten thousand lines."""
    _compare(bash, line)


def _compare(bash: Bash, line: str) -> None:
    if "\0" in line:
        return
    script = parse(line)
    if script.unsure:
        return
    missed = [call for call in bash.run(line) if not saw(call, script.commands)]
    assert not missed, (line, missed, [command.words for command in script.commands])
