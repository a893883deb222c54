"""The command line as simple commands: what is found, and what is doubted."""

from __future__ import annotations

import pytest

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell import LINE_BYTES_MAX, Script, decode_ansi, parse


def words(line: str) -> list[tuple[str, ...]]:
    script = parse(line)
    assert not script.unsure, script.unsure
    return [command.words for command in script.commands if command.words]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a && b | c || d; e & f", ["a", "b", "c", "d", "e", "f"]),
        ("if a; then b; elif c; then d; else e; fi", ["a", "b", "c", "d", "e"]),
        ("while a; do b; done; until c; do d; done", ["a", "b", "c", "d"]),
        ("case $(a) in x) b;; *) c;; esac", ["a", "b", "c"]),
        ("(a); { b; }; f() { c; }; f", ["a", "b", "f", "c"]),
        ('x "$(a $(b))" `c` <(d) > >(e)', ["b", "a", "c", "d", "e", "x"]),
        ("cat <<X\n$(a)\nX\nb", ["a", "cat", "b"]),
        ("cat <<X | b && c\ntext\nX", ["cat", "b", "c"]),
        ("x=$(a) y=(1 $(b)); [[ -n $(c) ]] && echo $((1 + $(d)))", ["a", "b", "c", "d", "echo"]),
    ],
)
def test_every_command_is_found(line: str, expected: list[str]) -> None:
    """Commands are found in every construct, in the order in which they are met."""
    assert [found[0] for found in words(line)] == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("""a 'b c' "d e" f\\ g h''i""", ("a", "b c", "d e", "f g", "hi")),
        ("$'\\x61' $'\\t'", ("a", "\t")),
        ("a {b,c}d x{1,2} stash@{0} {} '{e,f}'", ("a", "bd", "cd", "x1", "x2", "stash@{0}", "{}", "{e,f}")),
        ("X='b c'; a $X \"$X\"", ("a", "b", "c", "b c")),
        ('a "$HOME/x" ~/y', ("a", "~/x", "~/y")),
        ("a $Y/z ${#Z}", ("a", f"{UNKNOWN}/z", SOME)),
        ("a > out b", ("a", "b")),
        ('a "$(echo b)" $(printf %s c)', ("a", "b", "c")),
    ],
)
def test_words_are_resolved(line: str, expected: tuple[str, ...]) -> None:
    """Quotes, escapes, braces and known variables become the words that the program would get."""
    assert words(line)[-1] == expected


@pytest.mark.parametrize(
    "line",
    [
        "sudo -u root FOO=1 t x", "env -i A=1 t x", "nice -n 5 t x", "timeout -k 1 5 t x", "nohup t x &", "time -p t x",
        "command t x", "exec t x", "find . -exec t x \\;", "echo x | xargs t", "bash -c 't x'", "sh -ec 't x'",
        "eval t x", "eval 't x'", "env -S 't x'", "su root -c 't x'", "ssh -p 22 host t x", "watch -n 1 t x",
        "bash <<< 't x'", "bash <<'E'\nt x\nE", "echo t x | sh", "cat <<E | sh -s\nt x\nE", "trap 't x' EXIT",
        "sudo env nice -n 1 bash -c 'timeout 5 t x'", "coproc t x", "! t x", "xargs -I% t % <<< x",
    ],
)  # fmt: skip
def test_wrappers_are_peeled_off(line: str) -> None:
    """The command that a wrapper or a nested shell runs is found with its words."""
    assert ("t", "x") in words(line)


@pytest.mark.parametrize(
    "line",
    [
        "r\\\nm x", "cat <<E\n`rm x`\nE", "echo ${x:-`rm x`}", "! { rm x; }", "time { rm x; }", "coproc N { rm x; }",
        "echo `echo \\`rm x\\``", "cat <<E; rm x\nfoo\nE", "cat <<A <<B\na\nA\nb\nB", "exec 3<>x", "((a); (b))",
        "{rm,-rf,/}", "{declare -x V=a; b; }", "$X a", '"$@"', "a $(", "x='$(rm)'", "cat f | sh", "source <(gen)",
        'bash -c "a $X"', "/bin/r? x",
        "echo ${x@P}", "declare -n a=b", 'echo "$ $(rm x)"', "echo \\ #; rm x", "a\0b", "xargs sh -c",
        "cat <<E\nfoo\\\nE\n'\nE\nrm x #'", "eval $X",
    ],
)  # fmt: skip
def test_what_cannot_be_proved_is_doubted(line: str) -> None:
    """Misparses, error nodes, unknown programs and unknown code leave a reason for doubt."""
    assert parse(line).unsure


def test_a_line_over_the_bound_is_not_parsed() -> None:
    """A line over 16 KiB is doubted as a whole."""
    script = parse("a " * LINE_BYTES_MAX)

    assert script.commands == ()
    assert script.unsure


@pytest.mark.parametrize(
    "line", ["(" * 5000, "$(" * 5000, "{ " * 4000, "a;" * 8000, "$((" + "(" * 5000, "`" * 9000, "f(){ f; f; };" * 900]
)
def test_monsters_end_in_doubt_or_in_commands(line: str) -> None:
    """Deep, long and broken lines come back as a script; nothing is raised."""
    assert isinstance(parse(line), Script)


def test_pipes_and_code_are_traced() -> None:
    """A command knows what came before it in its pipeline, and whose output it runs."""
    commands = parse("curl x | sudo bash").commands

    assert commands[-1].words == ("bash",)
    assert [one.program for one in commands[slice(*commands[-1].code_from)]] == ["curl"]
    assert commands[-1].prefixes == (("sudo", (9, 14)),)


def test_directories_are_followed() -> None:
    """`cd` changes where later commands stand, and a subshell does not leak it."""
    assert [c.directory for c in parse("cd /a && b; (cd c && d); e").commands if c.program != "cd"] == [
        "/a",
        "/a/c",
        "/a",
    ]


def test_a_value_that_may_not_be_assigned_is_no_certain_program() -> None:
    """A variable set on one branch only is not trusted as the name of a program."""
    assert parse("false && X=ls; $X a").unsure
    assert not parse("X=ls; $X a").unsure


def test_ansi_strings_are_decoded() -> None:
    """Hex, octal, unicode, control and named escapes all become their characters."""
    assert decode_ansi("\\x41\\102\\u0043\\n\\'\\q") == "ABC\n'\\q"
