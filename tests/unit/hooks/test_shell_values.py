"""Where values go: arrays, arguments, exported variables, what is read, directories; and where they may not be trusted."""

# ruff: noqa: E501 - a table, a line is a row

from __future__ import annotations

import pytest

from claudebench.hooks.paths import UNKNOWN
from claudebench.hooks.shell import parse
from claudebench.hooks.shell.cutting import cut


def ran(line: str, program: str = "t") -> list[tuple[str, ...]]:
    """Return the operands of every call of a program that a line surely makes."""
    script = parse(line)
    assert not script.unsure, script.unsure
    return [command.words[1:] for command in script.commands if command.program == program]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('a=(x "y z" ""); t "${a[@]}"', ("x", "y z", "")),
        ("a=(x 'y z'); t ${a[@]} ${a[*]}", ("x", "y", "z", "x", "y", "z")),
        ('a=(x "y z"); t "${a[*]}" "$a" "${a[0]}" "${a[1]}" "${a[-1]}"', ("x y z", "x", "x", "y z", "y z")),
        ('a=(x); a+=(y z); t "${a[@]}" "${a[@]:1}" "${a[@]:1:1}"', ("x", "y", "z", "y", "z", "y")),
        ('a=(x y); b=("${a[@]}" z); t "p${b[@]}q"', ("px", "y", "zq")),
        ('a=(); t "${a[@]}" x', ("x",)),
        ('set -- x "y z"; t "$@" $2 "$*" $#', ("x", "y z", "y", "z", "x y z", "\x01")),
        ("set -- x y z; shift; set -e; shift 1; t $1 ${1}a ${2:-d}", ("z", "za", "d")),
        ('f() { t "$@" "${@:2}" "$1"; }; f x "y z"', ("x", "y z", "y z", "x")),
        ('f() { g "$@" z; }; g() { t "$@"; }; f x', ("x", "z")),
        ("bash -c 't \"$0\" \"$@\"' n x 'y z'", ("n", "x", "y z")),
        ("sh -s x y <<< 't $2'", ("y",)),
        ("export V=x W=y; U=z; sh -c 't $V $W'", ("x", "y")),
        ("V=x; export V; V=y sh -c 't $V'", ("y",)),
        ("V=x nice env W=y sh -c 't $V $W'", ("x", "y")),
        ("declare -x V=x; bash -c \"sh -c 't \\$V'\"", ("x",)),
        ("read -r V W <<< ' x y z '; t \"$V\" \"$W\"", ("x", "y z")),
        ('IFS=, read V W <<< "x y,z"; t "$V" "$W"', ("x y", "z")),
        ('mapfile -t a <<E\nx y\nz\nE\nt "${a[@]}"', ("x y", "z")),
        ("echo 'x y' | while IFS= read -r V; do t \"$V\"; done", ("x y",)),
        ('V=x; W=y; t "$V $W" "${V}  ${W} $(echo z)"', ("x y", "x  y z")),
        ("V=a/b.tar.gz; t ${V%.gz} ${V%/*} ${V##*/} ${V##*.} ${V%%.*} ${V#a/}", ("a/b.tar", "a", "b.tar.gz", "gz", "a/b", "b.tar.gz")),
        ("V=~/a/b; t ${HOME%/*} ${V%/*}", ("~/..", "~/a")),
        ("find /x -exec sh -c 't \"$1\"' _ {} \\;", ("/x",)),
        ("find /x -exec sh -c 't {}' \\;", ("/x",)),
        ("echo x | xargs sh -c 't \"$1\"' _", ("x",)),
        ("f() { :; }; V=x; V=y f; t $V", ("x",)),
        ("f() { sh -c 't $V'; }; V=x f", ("x",)),
    ],
)  # fmt: skip
def test_a_value_arrives_where_it_is_used(line: str, expected: tuple[str, ...]) -> None:
    """Elements, arguments, exports and what is read become the words that bash would make of them."""
    assert ran(line)[-1] == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('a=(x y); for V in "${a[@]}"; do t "$V"; done', [("x",), ("y",)]),
        ("f() { for V; do t $V; done; }; f x y", [("x",), ("y",)]),
        ("f() { while [ $# -gt 0 ]; do t $1; shift; done; }; f x y", [("x",), ("y",)]),
        ("printf '%s\\n' x y | while read V; do t $V; done", [("x",), ("y",)]),
        ("while read V; do t $V; done <<E\nx\ny\nE", [("x",), ("y",)]),
        ("while read V; do t $V; read -n1 W; done <<E\nx\ny\nE", [("x",), (UNKNOWN,)]),
        ("{ read V; read W; t $W; } <<E\nx\ny\nE", [("y",)]),
    ],
)
def test_a_loop_is_followed_value_by_value(line: str, expected: list[tuple[str, ...]]) -> None:
    """Every element, argument and line that a loop goes through is judged."""
    assert [found for found in ran(line) if found != ("",)] == expected


@pytest.mark.parametrize(
    "line",
    [
        "V=x; sh -c 't \"$V\"'", "export V=x; sudo sh -c 't \"$V\"'", "export V=x; env -i sh -c 't \"$V\"'",
        "export V=x; env -u V sh -c 't \"$V\"'", "export V=x; export -n V; sh -c 't \"$V\"'", "export V=x; ssh h 't \"$V\"'", "V=x ssh h 't \"$V\"'", "f() { :; }; V=x f; V=y; sh -c 't \"$V\"'", "V=x sudo sh -c 't \"$V\"'",
        'a=(x); a[1]=y; t "${a[@]}"', 'declare -A a=(k x); t "${a[@]}"', 'a=([3]=x); t "${a[@]}"', 'read V; t "$V"',
        'read -n1 V <<< xy; t "$V"', 'read -d : V <<< x:y; t "$V"', "read V <<< 'x\\y'; t \"$V\"", 'readonly V=x; read V <<< y; t "$W"',
        'f() { t "$1"; }; set -- $X y; f $X y', 'set -z x; t "$1"', "IFS=', ' read V W <<< 'x, y'; t \"$V\"", 'V=$X; t "${V%/*}"',
    ],
)  # fmt: skip
def test_a_value_that_does_not_arrive_is_not_known(line: str) -> None:
    """What a shell does not inherit, and what is assigned in a way that is not followed, stays unknown."""
    assert ran(line)[-1] == (UNKNOWN,)


@pytest.mark.parametrize(
    "line",
    [
        'a=(ls); c && a=(t); "${a[@]}" x', 'a=(ls); a[0]=t; "${a[@]}"', 'a=($X t); "${a[@]}"', "a=(* t); ${a[1]}", '"${a[@]}" x',
        "set -- $X t; $2 x", "set -- ls; c && set -- t; $1 x", "set -- ls t; c && shift; $1 x", "f() { $2 x; }; f $X ls t", "set -- ls t; shift $N; $1",
        "set -x$X ls; $1", "f() { while c; do $1; shift; done; }; f ls t", 'f() { "$@"; }; f f f f f f t x', "V=ls sh -c '$V x'",
        "V=ls; command declare V=t; $V x", "echo t | while read V; do $V x; done", "V=xls; ${V#x} y", "find . -exec sh -c '$1' _ {} \\;",
        "ls | xargs sh -c '$1' _", "ls | xargs -I{} sh -c '{}'", "ls | xargs -I{} sh -c 'V={}; $V'", "ls | xargs -I{} sh -c 'python -c {}'",
        "curl u | xargs -I{} sh -c 'wc {}'", "head f | xargs -I{} sh -c 'wc {}'", "echo 'a\nt x' | { read -n1 V; sh; }", "$(cat f)/bin/t", "V=$(cat f); $V/t",
        "cat f | while read V; do $V/t; done", "$V/b*n/t*", "$V$W/t", 'ssh h "rm $D"', 'ssh h "cd $D && make"', 'ssh h "ls > $F"', 'ssh h "$C"', 'ssh h "ls $(c)"',
        'D=$(c); ssh h "ls $D"', 'bash -c "ls $D"', 'time "(ls)" $X; $X', "export{ V", "for k in ${!m[@]}; do $k; done",
    ],
)  # fmt: skip
def test_what_is_only_likely_is_no_program_and_no_code(line: str) -> None:
    """A value that may be another one leaves a doubt where it names a program or is run."""
    assert parse(line).unsure


@pytest.mark.parametrize(
    "line",
    [
        'run() { echo "+ $@"; "$@"; }; run npm test', 'c=(npm test); "${c[@]}"', 'cat f | while IFS=, read -r a b; do echo "$a $b"; done',
        "git ls-files | xargs -I{} sh -c 'wc -l \"{}\"'", "find . -name '*.md' | sort | head -3 | xargs -I{} sh -c 'cat \"{}\"'",
        "$JAVA_HOME/bin/java -version", '"$VIRTUAL_ENV/bin/python" x.py', "$(go env GOPATH)/bin/x", '"$(dirname "$0")/build.sh"', "D=$(cd .. && pwd); $D/x",
        "time (npm run build)", "time (cd a && make) > f", "ssh $HOST uptime", "ssh -p 22 $HOST ls -la /srv", 'ssh h "cd $DIR && ls"', "set -euo pipefail; ls",
        'f() { local n="$1"; shift; "$@"; echo "$n"; }; f build npm test', 'declare -A m=([a]=1); for k in "${!m[@]}"; do echo "$k"; done',
        "while [ $# -gt 0 ]; do case $1 in -v) v=1;; esac; shift; done",
    ],
)  # fmt: skip
def test_everyday_uses_leave_no_doubt(line: str) -> None:
    """Everyday lines that pass values on are understood throughout."""
    assert not parse(line).unsure


@pytest.mark.parametrize(
    ("line", "directory"),
    [
        ("env -C /x t", "/x"), ("env --chdir=/x t", "/x"), ("cd /y; env -iC x t", "/y/x"), ("env -S '-C /x t'", "/x"), ("env -C /x sh -c t", "/x"),
        ("sudo -D /x t", "/x"), ("sudo -n --chdir /x t", "/x"), ("env -C /x t2; t", ""), ("sudo -u D t", ""), ("command cd /x; t", "/x"),
        ("git -C /x clean", "/x"), ("cd /y; git -C x -C z clean", "/y/x/z"), ("git --work-tree=/x clean", "/x"), ("git --work-tree /x clean", "/x"),
        ("GIT_WORK_TREE=/x git clean", "/x"), ("export GIT_WORK_TREE=/x; git clean", "/x"), ("GIT_WORK_TREE=/x env git clean", "/x"), ("git clean -C", ""),
        ("GIT_WORK_TREE=/x; git clean", ""), ("git -C /x clean; git clean", ""),
    ],
)  # fmt: skip
def test_options_that_change_the_directory_are_followed(line: str, directory: str) -> None:
    """`env -C`, `sudo -D`, `git -C` and `--work-tree` say where their command runs, and nothing behind it."""
    assert [one.directory for one in parse(line).commands if one.program in ("t", "git")][-1] == directory


@pytest.mark.parametrize(
    "line",
    [
        "c | while read V; do t $V; done", "while read V; do t $V; done < <(c)", "for V in $(c); do t $V; done", "mapfile -t a < <(c); t ${a[0]}",
        'a=($(c)); t "${a[@]}"', "f() { t $1; }; f $(c)", "set -- $(c); t $1", "V=$(c); t ${V%/*}", "V=$(c) sh -c 't $V'", "read V <<< $(c); t $V",
    ],
)  # fmt: skip
def test_what_printed_a_value_is_remembered(line: str) -> None:
    """A command knows the commands that the values of its words come from."""
    script = parse(line)
    command = next(one for one in script.commands if one.program == "t")
    spans = (command.upstream, command.inner, *command.drawn)

    assert "c" in [one.program for span in spans for one in script.commands[slice(*span)]]


def test_an_array_and_a_reading_loop_are_bounded() -> None:
    """What has more elements or lines than are followed is not known; what grows without end is doubted."""
    lines = "\n".join(f"x{at}" for at in range(100))

    assert ran(f'a=({lines}); t "${{a[@]}}"') == [(UNKNOWN,)]
    assert ran(f"while read V; do t $V; done <<E\n{lines}\nE") == [(UNKNOWN,)]
    assert parse('set -- x; while t; do set -- "$@" "$@"; done').unsure
    assert parse('f() { f "$@" x; t; }; f').unsure


@pytest.mark.parametrize(
    ("value", "operator", "pattern", "left"),
    [
        ("a/b/c", "%", "/*", "a/b"), ("a/b/c", "%%", "/*", "a"), ("a/b/c", "#", "*/", "b/c"), ("a/b/c", "##", "*/", "c"), ("abab", "%", "ab", "ab"),
        ("abab", "#", "ab", "ab"), ("a", "%", "/*", "a"), ("~/x.y", "%", ".y", "~/x"), ("~/x", "##", "*/", "x"), ("~", "##", "*/", UNKNOWN),
        ("~", "%%", "/*", UNKNOWN), ("~/x", "#", "*/", UNKNOWN), ("~", "%", "x", UNKNOWN), ("a", "%", "?", UNKNOWN), ("a", "%", "*a*", UNKNOWN), ("a", "#", "*", UNKNOWN),
    ],
)  # fmt: skip
def test_a_piece_is_cut_from_a_value(value: str, operator: str, pattern: str, left: str) -> None:
    """A plain suffix or prefix is taken off as bash does; for anything else nothing is known."""
    assert cut(value, operator, pattern) == left
