"""Real bash against `shell.parse`: whatever bash ran must have been seen, or the parse must have been in doubt.

Bash gets a PATH of stubs that write down how they were called, an empty environment, a directory of its own and lines
that name no real program outside that PATH, so that nothing but stubs can run.
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
REAL = ("env", "nice", "nohup", "timeout", "xargs", "bash", "sh", "cat", "find", "tee", "setsid", "stdbuf", "script")
RECORD = """#!{sh}
for word; do call="$call\x1f$word"; done; printf '%s\\036' "${{0##*/}}$call" >> "$SEEN"
"""
SECONDS_MAX = 2  # a line may loop for ever; what it ran until then counts

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
            (self.bin / name).write_text(RECORD.format(sh=shutil.which("dash") or BASH))
            (self.bin / name).chmod(0o755)
        for name in REAL:
            if where := shutil.which("bash" if name == "sh" else name):
                (self.bin / name).symlink_to(where)

    def run(self, line: str) -> list[list[str]]:
        """Return the calls of stubs that a line makes."""
        self.runs += 1
        shutil.rmtree(self.work)
        self.work.mkdir()
        (self.work / "out").touch()
        seen = self.folder / f"seen-{self.runs}"  # a new one each time: a process left behind cannot write into it
        seen.touch()
        process = subprocess.Popen(
            [BASH or "bash", "--norc", "--noprofile", "-c", line],
            cwd=self.work, env={"PATH": str(self.bin), "SEEN": str(seen), "HOME": str(self.work), "SHELL": BASH or ""},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=SECONDS_MAX)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        records = seen.read_bytes().decode("utf-8", "replace").split("\x1e")
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
    word = word.replace("~/..", "~") if word.startswith("~/..") else word
    known = ".*".join(
        re.escape(piece) for piece in re.split(f"[{UNKNOWN}{SOME}*?]|\\[.*\\]|\\$\\$|(?:^|(?<==))~", word)
    )
    return f"(\x1f{known})?" if known in ("", ".*", ".*.*") else f"\x1f{known}"


# -- the grammar: templates with holes. %L: a line; %Q: a line in quotes; %H: a line without a heredoc; %N: a name

NAMES = [
    "c1",
    "c2",
    "c3",
    "rm",
    "'c1'",
    '"c2"',
    "c\\3",
    "r''m",
    "$'\\x72m'",
    "$'c'\"1\"",
    "\\rm",
    "c\\\n1",
    "$'\\143\\061'",
]
PREFIXES = [
    "", "", "", "", "", "V=1 ", "env ", "env V=1 ", "nice -n 1 ", "timeout 5 ", "nohup ", "command ", "time ", "! ", "time -p ",
    "exec ", "builtin command ", "env -u X ", "timeout -s KILL 5 ", "exec -a x ", "env -- ", "command -- ", "nice -5 ", ">out ",
    "2>out V=1 ", "<<<x ", "V=1 W=c2 ", "setsid -w ", "stdbuf -oL ", "\\\n", "nice --adjustment=1 ", "V=(a b) ", "! ! ",
]  # fmt: skip
SUFFIXES = [
    "",
    "",
    "",
    "",
    " >out",
    " 2>&1",
    " <out",
    " <<<x",
    " >>out 2>out2",
    " &>out",
    " >|out",
    " <>out",
    " 3>&1",
    " &",
    " \\\n b",
    " #c2",
    ";",
]
WORDS = [
    "a", "-rf", "x=y", "a.b", "'a b'", '"a b"', "\\;", "a\\ b", "''", '"#"', "a#b", "{a,b}", "x{1,2}y", "{}", "'{'", "$'a\\tb'",
    '"\\$(c1)"', "'`c1`'", "%", "@", "a:b", "$V", '"$V"', "${V}", "$W", "${W:-z}", '"$@"', "$1", "${#V}", '"$*"', "a\\\nb", "$'\\''",
    "$(%L)", '"$(%L)"', '"a $( %L ) b"', "<(%L)", ">(%L)", "${V:-$(%L)}", '"${V:-$(%L)}"', "$((1 + $(%L)0))", "`%N a`", '"`%N a`"', "${V/a/$(%N)}",
    "${V:$(%N)0}", "${V%$(%N)}", "${V+$(%L)}", "{a,$(%N)}", "${A[$(%N)0]}", "${A[@]}", '"${A[@]}"', "${!V}", "${V@Q}", "${V^^}", "$(%N <<< a)",
    "$(cat <<E\n%H\nE\n)", '"$(cat <<\'E\'\n%H\nE\n)"', "$(<out)", "$(echo a b)", '"$(printf %s c)"', "x$(echo {a,b})y", '$"a"', "~", "*.none",
    '"${!A[@]}"', '"x$@y"', '"${@}"', '"${A[0]}"', "${A[*]}", '"$V $W"', '"$V ${W} $(%L)"', "${V%b}", '"${V##*/}"', '"${A[@]:1}"', '"${@:2}"', "${A[-1]}",
]  # fmt: skip
LINES = [
    *("%L" + joint + "%L" for joint in ("; ", " && ", " || ", " | ", " & ", "\n", " |& ", " # note\n", " \\\n&& ", ";\\\n", " |\n", "\n\n# '\n")),
    "( %L )", "(%L)", "{ %L; }", "{ %L\n}", "( %L ) >out", "{ %L; } 2>&1 | %N a", "! { %L; }", "time { %L; }", "coproc C { %L; }; wait", "coproc %N a; wait",
    "if %L; then %L; fi", "if ! %L; then :; else %L; fi", "if %L; then :; elif %L; then %L; fi", "until %L; do break; done", "while %L; do %L; break; done",
    "for V in a rm 'c1 c2'; do %L; done", "for V in a %N; do $V x; done", "for ((i=0; i<1; i++)); do %L; done", "for V in %N; do %L; done; $V a", "for IFS in ,; do V=c1,a; $V; done",
    "case a in b) :;; a|c) %L;; esac", "case a in a) %L;& b) %L;; esac", "case a in a) %L;;& (a) %L;; esac", "case $(%L) in *) %L; esac", "case a in $(%N)) :;; esac",
    "f1() { %L; }; f1 rm", "function f2 { %L; }; f2", "f() ( %L ); f", 'f() { "$@"; }; f %N a', 'f() { $1 "$2"; }; f %N a', "f() { shift; $1 a; }; f c2 %N", "f() { g() { %L; }; g; }; f",
    "f() { %L; }; g() { f a; }; g", "f() { %L; } >out; f", "f() { sh; }; f <<< %Q", "echo %Q | { sh; }", "f() { local V=%N; $V a; }; f", 'f() { set -- %N b; "$@"; }; f c2', "f() { %L; }; export -f f; bash -c f",
    'set -- %N a; $1 a; "$@"', "f() { %L; }; trap f EXIT", "echo() { %N a; }; $(echo c2) b", "command_not_found_handle() { %N a; }; nothing x", 'f() { eval "$1"; }; f %Q', "f() { %L; }; f() { :; }; f", 'f() { bash -c "$1"; }; f %Q',
    "V=rm; %L; $V %Q", 'W=%Q; eval "$W"', "V=; $V %N a", "V=c2; V=%N eval '$V a'", "V=%N W=V; ${!W} a", "declare -n R=V; V=%N; $R a", "readonly V=c1\nV=c2\n$V a", "declare -l V=C1; $V a", "V=C1; ${V,,} a",
    "V=c1; V+=' a'; $V", "unset V; $V %N", 'A=(%N a); "${A[@]}"', "A=(x %N); ${A[1]} a", "A[0]=%N; $A a", "declare -A M=([k]=%N); ${M[k]} a", "mapfile -t A <<< %N; ${A[0]} a", "read V <<< %N; $V a", "printf -v V %N; $V a", "V=; : ${V:=%N}; $V a",
    "V='$(%N)'; : ${V@P}", "V=c2; f() { V=%N; }; f; $V a", "V=c2; W=$(V=%N); $V a", "V=c2; (V=c1); $V a", "V=c2; echo %N | read V; $V a", "V=%N env bash -c '$V a'", "V=%Q bash -c 'eval \"$V\"'", "export V=%N; bash -c '$V a'",
    "bash -c %Q", "eval %Q", "eval -- %Q", "sh -ec %Q x y", "bash -c '\"$@\"' x %N a", "bash -xc %Q", "bash -o pipefail -c %Q", "bash -c -- %Q",
    "bash -c - %Q", "bash -c -e %Q", "eval 'eval '%Q", "eval %N a \\; %L", "builtin eval %Q", "command eval %Q", 'bash -c "eval $(echo %Q)"',
    "bash <<'EOF'\n%H\nEOF", "cat <<EOF | sh\n%H\nEOF", "cat <<EOF\n$(%H)\nEOF", "cat <<'EOF'\n%H\nEOF\nc3", 'cat <<-"EOF" && c2\n\t%H\n\tEOF', "sh <<EOF\n%H\nEOF", "sh <<-X\n\t%H\n\tX\n%L", "sh <<\\X; %N a\n%H\nX", "cat <<A; sh <<B\n%H\nA\n%H\nB",
    "cat <<A <<'B'\n$(%N)\nA\n`%N`\nB", "sh <<'A' && sh <<'B'\n%H\nA\n%H\nB", "{ sh; } <<X\n%H\nX", "while sh; do break; done <<X\n%H\nX", "cat <<X >out | %N\n%H\nX", "<<X %N a\n%H\nX", "%N <<X a\n${V:-$(%N)}\nX", "cat <<X | cat | sh\n%H\nX", 'cat <<"X Y"\n%H\nX Y\n%N a', "cat <<X\n\\$(%N) `%N`\nX",
    "sh <<< %Q", "sh 0<<< %Q", "sh 3<<< %Q <&3", "sh <<< %Q 3<<< a", "exec <<< %Q; sh", "exec 3<<< %Q; sh <&3", "sh /dev/fd/3 3<<< %Q", "sh /dev/stdin <<< %Q", ". /dev/stdin <<< %Q", "source -- /dev/stdin <<< %Q", "bash -s a <<< %Q", "bash - <<< %Q", "eval sh <<< %Q", "bash -c sh <<< %Q", "command . /dev/stdin <<< %Q", "env sh <<< %Q", "timeout 5 sh <<< %Q",
    "echo %Q | bash", "printf '%s\\n' %Q | sh -s", "printf %Q | sh", "echo -e 'c\\x31 a\\nc2' | sh", "echo -e '\\0143\\061 a' | sh", "printf 'c\\061 a' | sh", "printf '%b' '\\0143\\061 a' | sh", "printf 'c1 %s\\n' a b | sh", "echo -n %Q | sh", "echo %Q | cat | sh", "echo %Q | while :; do sh; break; done", "echo %Q | tee out | sh", "echo %Q | tee >(sh)", "echo %Q > >(sh)", "tee >(sh) <<< %Q", "cat <<< %Q | sh", "sh < <(echo %Q)", "(echo %Q; %L) | sh",
    "source <(echo %Q)", ". <(%L)", "bash <(echo %Q)", "coproc sh; echo %Q >&${COPROC[1]}; wait", "find . -maxdepth 0 -exec sh \\; <<< %Q", "time sh <<< %Q", "! sh <<< %Q", "jobs -x %N a", "mapfile -C '%N a' -c 1 X <<< b", "readarray -c1 -C%N X <<< b", "hash -p ../bin/c1 foo; foo a", "compgen -C '%N a'", "enable -n echo; %N a",
    "echo a b | xargs %N z", "echo a | xargs -I% %N % z", "xargs -0 sh -c %Q", "echo %Q | xargs -I X sh -c X", "echo %Q | xargs -0 sh -c", "xargs -a out sh -c %Q", "echo a | xargs env %N b", "xargs %N < <(echo a)", "echo a | xargs -n1 -P2 %N", "echo %N | xargs -I{} {} a", "echo %Q | xargs -d x bash -c", "xargs -i %N {} <<< a", "echo a | xargs sh -c '%N \"$0\"'", "echo %N | xargs env", "echo '%N a' | xargs nice", "xargs -a out sh <<< %Q",
    "find . -maxdepth 0 -exec %N {} \\;", "find . -maxdepth 0 -exec %N a {} +", "find . -maxdepth 0 -execdir %N {} ';'", "find . -maxdepth 0 -exec sh -c %Q \\;", "find . -maxdepth 0 -exec sh -c '%N \"$1\"' x {} +", "find . -maxdepth 0 -ok %N \\; <<< y", "find . -maxdepth 0 -exec env %N a \\; -exec %N b \\;",
    "trap %Q EXIT", "trap -- %Q EXIT INT", "trap %Q DEBUG; :", "trap %Q ERR; false", "trap %N 0", "trap %N RETURN; f() { :; }; f", "trap '%N a' exit", "shopt -s expand_aliases\nalias k=%N\nk a", "shopt -s expand_aliases; alias k=%Q; eval k", "shopt -s expand_aliases\nalias if=%N\nif a", "shopt -s expand_aliases\nBASH_ALIASES[k]=%N\nk a", "shopt -s expand_aliases\nalias k='%N ' j='rm'\nk j",
    "env -S '%N a b'", "env -S'%N a'", "env -vS '%N a'", "env --split-string='%N a'", "PROMPT_COMMAND=%Q bash --norc -i <<< :", "PS4='$(%N)' bash -xc :", "BASH_ENV='$(%N)' bash -c :", "BASH_ENV=<(echo %Q) bash -c :", "ENV='$(%N)' bash -c :", "PS1='$(%N)' bash --norc -i <<< :", "script -qc %Q out", "command -p c1 a", "bash -ic %Q",
    "[[ -n $(%L) ]]", "[[ a =~ $(%L) ]]", "[[ a == a && -z $(%L) ]] || %L", "[[ 'A[$(%N)0]' -eq 0 ]]", "((A[$(%N)0]++))", "(( $(%N) 1 )) && %L", "((1)); %L", "let 'A[$(%N)0]=1'", "test -v 'A[$(%N)0]'", "[ -v 'A[$(%N)0]' ]", "printf -v 'A[$(%N)0]' x", "read 'A[$(%N)0]' <<< x", "unset 'A[$(%N)0]'", "declare 'A[$(%N)0]=1'", "V='A[$(%N)0]'; ((V))", "echo $((V=$(%N)1))", "W='A[$(%N)0]'; echo ${V:W}", "export 'A[$(%N)0]'", "A[$(%N)0]=1", "wait -n -p 'A[$(%N)0]'", "[[ -v A[\\$(%N)0] ]]", "declare -a 'A=($(%N))'", "declare -i V='A[$(%N)0]'", "local 'A=($(%N))'", "echo $((A['$(%N)'0]))",
    "declare x=$(%L)", "x=($(%L) b)", "x=$(%L)", "x+=$(%L) %N a", "x=a$(%L)b", 'export x="$(%L)"', "x=`%N a`", "while read -r V; do %L; done <<< a", "read -r V < <(%L)", "V=$(cat <<X\n%H\nX\n); %L", "exec {fd}>out; %L", "exec 3<>out; %L", "exec %N a", "{%N,a}", "{,}%N", "c{1,2} a", "{c1,a}\\ b", "\\\n%N \\\na", "%N \\\n\\\na; \\\n%L", "%N\\\n a", "$'\\x63\\x31' a", "'' %N", "$(echo %N) a", "$(printf '%s' %N) a", "`echo %N` a", "$(cat <<< %N) a", "${V:-%N} a", "${Z-%N} a", "${V+%N} a", "V=x; ${V:+%N a}", "eval \\$V %N", '"%N" a', "%N a;%N b", "%N a&%N b", ">out;%N a", "!%N a", "((%N a); (%N b))", "( (%N a) )", "select V in a; do %L; break; done <<< 1", "set -k; %N x=y", "if [ a = a ]; then %L; fi", "test a && %L", "%N a # %L", "%N a\\ # b", "#\n%L", "echo a#b; %L", "$(:) %N a", "$(:)%N a", "<out %N a",
]  # fmt: skip
# what is set is used: in braces, so that no `||` before it takes the first without the second
STATES = [
    'A=(%N a); A+=(b "c d"); "${A[@]}"', "A=(%N); A[0]=c1; ${A[0]} a", 'A=(x %N); "${A[@]:1}" a', 'A=(x %N a b); "${A[1]}" "${A[@]:2:1}"', 'A=(a "b c" %N); for V in "${A[@]}"; do c1 "$V"; done', "A=(%N 'a b'); ${A[@]}", 'A=(%N a); c1 "${A[*]}" "${A[@]}x" "x${A[@]}"', 'A=(); "${A[@]}" %N a', 'A=(c1 a); if %L; then A=(%N); fi; "${A[@]}" b', 'A=(c1 *); "${A[0]}" a', "A=(* %N); ${A[1]} a",
    'declare -a A=(%N b); "${A[@]}"', 'f() { local A=("$@"); "${A[@]}"; }; f %N a', 'A=(%N); A=("${A[@]}" b c); "${A[@]}"', 'A=(%N); B=("${A[@]}"); unset A; "${B[@]}" a', "A=(c1 a); bash -c '\"${A[@]}\" %N b'", 'A=(c1); A+=x; "${A[@]}" a', 'declare -A M=(c1 %N); "${M[@]}" a', "readonly A=(c1); A=(%N); ${A[0]} a", 'A=(c1 [3]=%N b); "${A[@]}"', 'A=($(echo %N a)); "${A[@]}"', 'A=("$V" %N); "${A[@]}" a', "A=($V %N); ${A[0]} a", 'A=("" %N); c1 "${A[@]}" "x${A[@]}"', 'A=(%N a); A=b; "${A[@]}" c', 'V=%N; "${V[@]}" "${V[0]}" a', "A=(c1\n# note\n%N); ${A[1]} a", "A=(x %N); ${A[-1]} a", "A=(c1 %N); I=1; ${A[I]} a", 'A=(c1 %N); IFS=,; "${A[*]}"',
    'set -- %N "a b"; "$@"', 'set -- a %N; shift; "$@" b', "set -- a b %N; shift 2; $1 c", "set -- c1 a; shift 3; $1 a", 'set -e -- %N; "$1" a', "set -- %N; set -f; $1 a", 'set %N a; "$@"', 'set -- c1 a; (set -- %N); "$@"', 'f() { "$@"; }; f f %N a', 'f() { "$@"; }; f f f f f f %N a', "f() { for V; do $V a; done; }; f %N c1", 'f() { for V do c2 "$V"; done; }; f a "b c"', 'f() { while [ $# -gt 0 ]; do c1 "$1"; shift; done; }; f a "b c" d', "f() { while [ $# -gt 0 ]; do $1 a; shift; done; }; f c1 %N", 'f() { "${@:2}"; }; f a %N b', 'f() { c1 "x$@y" "${@}"; }; f a b', 'f() { c1 "$*" $* $@ "$#"; }; f a "b c"', 'f2() { "$@"; }; f() { f2 "$@" b; }; f %N a',
    "bash -c '\"$0\" \"$@\"' %N a b", "bash -s a <<< 'c1 \"$1\" \"$@\"'", "sh -c '$1 a' x %N", "bash -c 'shift; \"$@\"' x a %N b", "set -- $V %N; $1 a", "set -- * %N; $2 a", "f() { $2 a; }; f $V %N c1", 'f() { [ "$1" = a ] && set -- %N; "$@"; }; f a', "f() { $10 a; }; f c", "f() { ${1:-%N} a; }; f", 'f() { "${1:?x}" a; }; f %N', 'f() { shift; "$@"; }; f "$V" %N a', "case a in a) set -- %N;; esac; $1 a", "set -- c1; true || set -- %N; $1 a", "set -- c1 a; false && shift; $1 b", 'set -- c1 a; eval shift; "$@" %N', 'f() { set -- "$@" b; }; set -- %N a; f c; "$@"', "bash -c 'c1 \"$1\" \"$2\"' x a", 'f() { c1 "$1"; }; f; f a', 'set -- %N "$(echo a b)"; "$@"', "f() { g() { $1 a; }; g %N; $1 b; }; f c1", 'f() { bash -c \'"$@"\' x "$@"; }; f %N a', "f() { trap '$1 a' EXIT; }; f %N",
    "V=c1; command declare V=%N; $V a", "V=c1; \\export V=a; bash -c 'c1 \"$V\"'", "V=c1; builtin unset V; $V %N a", "V=a; \\readonly V; V=b; c1 $V",
    "export V=a; bash -c 'c1 \"$V\"'", "V=a; export V; sh -c 'c1 \"$V\"'", "V=a; bash -c 'c1 \"$V\" b'", "V=a; export V; export -n V; bash -c 'c1 \"$V\"'", "export V=a; V=b bash -c 'c1 \"$V\"'", "export V=a; env -i bash -c 'c1 \"$V\"'", "export V=a; env -u V bash -c 'c1 \"$V\"'", "V=a nice bash -c 'c1 \"$V\"'", "declare -x V=a; bash -c 'c1 $V'", "f() { export V=$1; }; f a; bash -c 'c1 \"$V\"'", "export V; V=a; bash -c 'c1 \"$V\"'", "f() { bash -c 'c1 \"$V\"'; }; V=a f", 'f() { :; }; V=b; V=a f; c1 "$V"', "f() { :; }; V=a f; bash -c 'c1 \"$V\"'", "env V=a W=b sh -c 'c1 \"$V\" \"$W\"'", "export V=a; (V=b; bash -c 'c1 \"$V\"')", "export V=a; unset V; bash -c 'c1 \"$V\"'", "export V='a b'; bash -c 'c1 $V'", "export A=(a b); bash -c 'c1 \"${A[@]}\" \"$A\"'", "exec -c bash -c 'c1 \"$V\"'", "set -a; V=a; bash -c 'c1 \"$V\"'", "V=a bash -c 'V=b; bash -c \"c1 \\\"\\$V\\\"\"'", "export V=%N; bash -c 'bash -c \"c1 \\$V\"'",
    'read V W <<< "%N a b"; $V "$W"', "read -r V <<< ' a b '; c1 \"$V\"", "read V <<< a; c1 $V", "echo a | while read V; do c1 $V; done", "printf '%s\\n' a 'b c' | while read -r V W; do c1 \"$V\" \"$W\"; done", "while read V; do c1 $V; done <<X\na\nb\nX", 'while IFS=, read -r V W; do c1 "$V $W"; done <<< a,b', 'IFS=: read V W <<< a:b; c1 "$V" "$W"', 'IFS=: read V W <<< a:b:; c1 "$V" "$W"', 'IFS=: read V <<< a:; c1 "$V"', 'IFS= read -r V <<< " a "; c1 "$V"', 'IFS=: read V W <<< "a b::c "; c1 "$V" "$W"', 'IFS=", " read V W <<< "a, b"; c1 "$V" "$W"', "while IFS= read -r V; do c1 $V; done <<< '%N a'", "A=(a b); for V in ${!A[@]}; do c1 $V; done", "declare -A M=([%N]=a); for V in ${!M[@]}; do $V a; done", 'printf "a\\n%s\\n" %Q | { read V; sh; }', "echo %Q | { read -n1 V; sh; }", '{ read V; read W; c1 "$W"; } <<X\na\nb\nX', 'read -n1 V <<< ab; c1 "$V"', 'read -a A <<< "%N a"; "${A[@]}"', 'read <<< a; c1 "$REPLY"', 'find . -maxdepth 0 | while read V; do c1 "$V"; done', 'read -d x V <<< axb; c1 "$V"', "read V <<< 'a\\\\b'; c1 \"$V\"", 'f() { read V; c1 "$V"; }; f <<< a', 'echo a | while read V; do read W; c1 "$V" "$W"; done', 'while read V && [ "$V" != b ]; do c1 "$V"; done <<X\na\nb\nc\nX', "for V in a b; do read W; c1 $W; done <<X\nc\nd\nX", 'until ! read V; do c1 "$V"; done <<< a', 'while read V; do cat; c1 "$V"; done <<X\na\nb\nX', "echo '%N a' | while read V W; do $V $W; done", "while read V; do c1 $V; read -n1 W; done <<X\na\nb\nc\nX", "while read V; do c1 $V; read W; done <<X\na\nb\\\\c\nd\ne\nX", "readonly V=a; read V <<< b; c1 $V", "while read V; do %L; done <<X\nX", "while read V; do while read W; do c1 $W; done; done <<X\na\nb\nc\nX", 'mapfile -t A <<< a; c1 "${A[@]}"', 'mapfile -t A <<X\n%N\na b\n\nX\n"${A[@]}"', 'mapfile -t A <<X\nX\nc1 "${A[@]}" a', 'readarray A <<< a; c1 "${A[@]}"', 'read V; c1 "$V"', "read V <<< ''; c1 \"$V\" a",
    "env =a %N a", "env -C / %N a", "env --chdir=/ %N a", "env -C / bash -c %Q", "env --chdir / -u X %N a", "env -S '-C / %N a'", "time ( %L )", "time -p (%L)", "time (%L) | %N a", '"$(cd ../bin && pwd)/%N" a', "$(cd ../bin && pwd)/%N a", "X=$(pwd); $X/../bin/c1 a", 'V=a; W=b; c1 "$V $W" "$V ${W}" "$V  $(echo c) $W"', 'V=%N; W="-rf a"; bash -c "$V $W"', 'V=%N; W=a; eval "$V ${W}"', 'V=a/b.c; c1 ${V%.c} "${V##*/}" ${V%/*} ${V#a/}', 'c1 ${HOME%/*} "${HOME##*/}" ${HOME#/}', "V=%N; ${V%x} a", 'V=a.b.c; c1 "${V%%.*}" "${V#*.}" "${V%.*}" "${V##*.}" "${V%%x*}"', "V=xrm; ${V#x} a", "W=x; V=xrm; c1 ${V#$W} ${V#?} ${V%[a-z]}",
    "find . -maxdepth 0 -exec sh -c '%N {}' \\;", "find . -maxdepth 0 -exec sh -c 'c1 \"$1\"' x {} \\;", "find . -maxdepth 0 -exec sh -c '\"$@\"' x %N {} +", "find . -maxdepth 0 -exec sh -c '$1 a' x {} \\;", "echo a | xargs sh -c 'c1 \"$@\"' x", "find . -maxdepth 0 | xargs sh -c 'c1 \"$1\"' x", "find . -maxdepth 0 | xargs -I{} sh -c 'cat \"{}\"; %N a'", "echo %N | xargs sh -c '$1 a' x", "find ../bin -name c1 | xargs sh -c '$1 a' x", "find ../bin -name c1 | xargs -I{} sh -c '{} a'", "find ../bin -name c1 | xargs -I{} sh -c 'V={}; $V a'",
]  # fmt: skip
LINES += [f"{{ {line}\n}}" for line in STATES]
HOLE = re.compile("%([LQHN])")
BASIC = {"L": "c1 a", "Q": "'c1 a'", "H": "c1 a", "N": "rm"}


def alone(template: str) -> str:
    """Return the template with the same simple thing in every hole."""
    return HOLE.sub(lambda hole: BASIC[hole[1]], template)


# what is doubted alone is doubted in any company: lines are made of the rest
FOLLOWED = [template for template in LINES if not parse(alone(template)).unsure]
OPEN = [word for word in WORDS if not parse(alone(f"c1 {word}")).unsure]
FLAT = [word for word in OPEN if "%L" not in word and "%H" not in word]
BEFORE = [prefix for prefix in PREFIXES if not parse(f"{prefix}c1").unsure]
DEPTH = 2


def filled(draw: st.DrawFn, template: str, depth: int) -> str:
    """Return the template with every hole filled."""

    def fill(hole: re.Match[str]) -> str:
        if hole[1] == "N":
            return draw(st.sampled_from(NAMES[:8]))
        line = a_line(draw, depth - 1)
        if hole[1] == "H" and "<<" in line:
            return "c1 a"
        return shlex.quote(line) if hole[1] == "Q" else line

    return HOLE.sub(fill, template)


def a_line(draw: st.DrawFn, depth: int) -> str:
    """Return a line that holds other lines, at most `depth` deep."""
    if depth > 0 and draw(st.integers(0, 2)):
        return filled(draw, draw(st.sampled_from(FOLLOWED)), depth)
    words = draw(st.lists(st.sampled_from(OPEN if depth > 0 else FLAT), max_size=3 if depth > 0 else 1))
    parts = [
        draw(st.sampled_from(BEFORE)),
        draw(st.sampled_from(NAMES)),
        " ",
        *(f"{filled(draw, word, depth)} " for word in words),
    ]
    return "".join(parts).rstrip(" ") + draw(st.sampled_from(SUFFIXES))


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A line that bash accepts, nearly always."""
    return filled(draw, draw(st.sampled_from(FOLLOWED)), DEPTH)


INSERTS = [
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


@st.composite
def broken(draw: st.DrawFn) -> str:
    """A line with a character put in, or taken out, somewhere: legal or not."""
    line = draw(lines())
    at = draw(st.integers(0, len(line)))
    cut = draw(st.sampled_from([0, 0, 1, 2]))
    return line[:at] + draw(st.sampled_from(INSERTS)) + line[at + cut :]


TOKENS = [
    *(
        "rm x",
        "c1",
        "c2 a",
        "==",
        "=~",
        "!=",
        "=",
        "[",
        "]",
        "[[",
        "]]",
        "((",
        "))",
        "(",
        ")",
        "{",
        "}",
        ";",
        "&",
        "&&",
    ),
    *(
        "|",
        "||",
        "\n",
        "<",
        ">",
        ">|",
        "<<<",
        "!",
        "#",
        "$'\\\\'",
        "$'a'",
        "'",
        '"',
        "`",
        "\\",
        "$",
        "$x",
        "${x",
        "${x#",
        "${x//",
    ),
    *(
        "{a,b}",
        "$(",
        "<(",
        "-f",
        "-a",
        "a=",
        "a[",
        "x+=(",
        "*",
        "?",
        "~",
        "if",
        "then",
        "fi",
        "do",
        "done",
        "for i in",
        "case a in",
    ),
    *(
        "a)",
        ";;",
        "esac",
        "while",
        "function f",
        "f()",
        "f",
        "in",
        "time",
        "coproc",
        "<<E",
        "E",
        "let",
        "declare",
        "export a=",
    ),
]


@st.composite
def soup(draw: st.DrawFn) -> str:
    """Signs and words in any order: hardly ever what anybody means, now and then what bash runs all the same."""
    return "".join(
        draw(st.lists(st.sampled_from([*TOKENS, *(f"{token} " for token in TOKENS)]), min_size=2, max_size=14))
    )


SILENT = [
    "cat <<EOF |\nEOF\n sh\nc1\nEOF",
    "cat <<EOF &&\nEOF\nc1",
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
    "c1 a\n\\\nrm x",
    "# a \\\nr\\\nm x",
    'cat <<-"EOF"# && rm x\n\ta\n\tEOF',
    "cat <<EOF\n$\nEOF\n(rm x)\nEOF",
    'while read V; do rm "x$V"; done <<X\n\n\na\nX',
    "for V in a r''\\m; do $V x; done",
    "a=(c1 r''\\m); ${a[1]} x",
    "c1 == a ==\nrm x",
    "c1 =~\nrm x",
    "c1 $'\\\\'; rm x # that's it",
    "c1 ${x//{a,b}; rm x ; c2",
    "c1 *>|${x#{a,b}==; rm x\t}",
    "[ a || rm x ]",
    "[ a | rm x ]",
    "[ a ==\nrm x ]",
    "[ -f a ]\n[ -n a\n] || rm x",
]


LEGAL_BUT_ERRORS = [
    "cat <<EOF; rm x\nfoo\nEOF",
    "cat <<A <<B; rm x\na\nA\nb\nB",
    "exec 3<>out; rm x",
    "((rm x); (c1))",
    "case a in (a|c1)) c1;& b) rm x;; esac",
    "case a in (a|b) c1;& c) rm x;; esac",
    "{rm,-rf,a}",
]


@pytest.mark.parametrize("line", SILENT + LEGAL_BUT_ERRORS)
def test_what_the_grammar_gets_wrong_is_seen(bash: Bash, line: str) -> None:
    """What the grammar swallows, or calls an error though bash runs it, is judged or doubted."""
    calls = bash.run(line)
    script = parse(line)

    assert script.unsure or (calls and all(saw(call, script.commands) for call in calls))


@pytest.mark.parametrize(
    "template", [*LINES, *(f"c3 {word}" for word in WORDS), *(f"{prefix}rm x" for prefix in PREFIXES)]
)
def test_every_construct_alone_is_seen(bash: Bash, template: str) -> None:
    """What one construct runs was found by the parser, unless it was in doubt."""
    _compare(bash, alone(template))


@settings(max_examples=500, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(line=st.one_of(lines(), lines(), broken(), soup()))
@example(line="c1 a")
def test_bash_runs_nothing_that_was_not_seen(bash: Bash, line: str) -> None:
    """Every stub that bash runs was found by the parser, with its words, unless the parser was in doubt."""
    _compare(bash, line)


@pytest.mark.soak
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(line=st.one_of(lines(), broken(), soup()))
def test_bash_runs_nothing_that_was_not_seen_for_long(bash: Bash, line: str) -> None:
    """The same promise over ten thousand lines."""
    _compare(bash, line)


def _compare(bash: Bash, line: str) -> None:
    script = parse(line)
    if script.unsure:
        return
    ran = (call for call in bash.run(line) if call[0] in STUBS)  # a stub that is sourced tells of bash
    missed = [call for call in ran if not saw(call, script.commands)]
    assert not missed, (line, missed, [command.words for command in script.commands])
