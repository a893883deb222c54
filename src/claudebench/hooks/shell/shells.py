"""Text that is handed to a shell: `bash -c`, `eval`, `trap`, a pipe into `sh`. It is read like the line itself."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.limits import LINE_BYTES_MAX, NESTED_MAX, SOURCE_BYTES_MAX
from claudebench.hooks.shell.model import NOTHING, Command, Span
from claudebench.hooks.shell.parts import Parts, Stdin, Word
from claudebench.hooks.shell.scope import ARGUMENTS, NOBODY_KNOWS, Scope, Value, listing
from claudebench.hooks.shell.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Sequence

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "rbash", "mksh"})
INTERPRETERS = ("python", "node", "perl", "ruby", "php", "deno", "bun", "lua", "tclsh", "osascript", "pwsh")

_BASH_VALUES = frozenset({"-o", "-O", "+o", "+O", "--rcfile", "--init-file"})
_STDIN_FILES = ("/dev/stdin", "-", "/dev/fd/0", "/proc/self/fd/0")
_ODD_OPTIONS = {"hash": "p", "enable": "fn", "compgen": "CF", "set": "k"}
_GLOB = re.compile(r"[*?\[]")
_HAND_ON = SHELLS | {"flock", "git", "hyperfine", "parallel", "script", "watch"}
_SET_OPTION = re.compile(r"[-+]([abefhkmnptuvxBCEHPT]+o?|o)")
_LOOK = frozenset({"cd", "ls", "cat", "echo", "head", "tail", "grep", "wc", "du", "df", "stat", "test", "[", "uptime"})
_DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/")
_PRINT_SETTINGS = frozenset({
    "ssh-agent", "direnv", "pyenv", "rbenv", "nodenv", "goenv", "jenv", "brew", "conda", "mamba", "micromamba",
    "mise", "rtx", "asdf", "fnm", "nvm", "starship", "zoxide", "opam", "dircolors", "lesspipe", "minikube",
    "docker-machine", "eksctl", "kubectl", "helm", "gh", "register-python-argcomplete", "rustup",
})  # fmt: skip


def values_of(words: Sequence[Word]) -> tuple[Value, ...]:
    """Return the words as values; what a glob becomes is not sure."""
    return tuple([Value(word.text, word.sure and not _GLOB.search(word.text)) for word in words])


def nest(
    walk: Walk,
    text: str,
    parts: Parts,
    *,
    same_shell: bool = False,
    arguments: Sequence[Word] | None = None,
    gentle: bool = False,
) -> None:
    """Read a text that the command in `parts` hands to a shell; `same_shell`: to the one that runs it.

    A shell of its own knows the exported variables, and `arguments` from $0 on, if they are given. With `gentle`, text
    that is not known leaves no doubt where it is but a word of a program that only looks around.
    """
    first, gaps = len(walk.found.commands), UNKNOWN in text or SOME in text
    if gaps:
        text = text.replace(UNKNOWN, "$_").replace(SOME, "$_")
        if not gentle:
            walk.found.doubt("a shell is given text that is only known when it runs")
    walk.found.bytes += len(text)
    if walk.nested >= NESTED_MAX or walk.found.bytes > SOURCE_BYTES_MAX - LINE_BYTES_MAX:
        walk.found.doubt("shells are nested too deep")
        return
    scope = walk.scope if same_shell else _scope_of(walk, parts, arguments)
    stdin, scope.stdin = scope.stdin, parts.stdin or scope.stdin
    name = parts.name if parts.words else "assignment"
    outer = Parts(
        wrappers=(*parts.wrappers, name), prefixes=tuple((one, None) for one, _ in parts.prefixes), drawn=parts.drawn
    )
    source = text.encode("utf-8", "surrogatepass")
    Walk(source, walk.found, scope, walk.grammar, nested=walk.nested + 1, outer=outer).script()
    scope.stdin = stdin
    if gaps and gentle and not all(map(_only_looks, walk.found.commands[first:])):
        walk.found.doubt("a shell is given text that is only known when it runs")


def _only_looks(command: Command) -> bool:
    """Whether a command is a harmless program, which writes no file of an unknown name."""
    told = "".join(redirect.target for redirect in command.redirects)
    return command.program in _LOOK and not any(gap in told for gap in (UNKNOWN, SOME, "$_"))


def _scope_of(walk: Walk, parts: Parts, arguments: Sequence[Word] | None) -> Scope:
    """Return what holds in a shell that the command in `parts` starts."""
    held = walk.scope
    scope = Scope({}, held.directory, held.stdin, held.upstream, held.background)
    if parts.environment is not None and (not parts.words or parts.name in _HAND_ON):
        for name in held.exported & held.variables.keys():
            value = held.variables[name]
            scope.hold(name, value if value.items is None else NOBODY_KNOWS, held.drawn_by(name))
    sources = (*parts.drawn, parts.inner) if parts.inner != NOTHING else parts.drawn
    for name, text in _assigned_before(parts):
        scope.assign(name, text, sure=False, sources=sources)
    scope.exported |= scope.variables.keys()
    if arguments is not None:
        _give(scope, parts, arguments)
    return scope


def _assigned_before(parts: Parts) -> list[tuple[str, str]]:
    """Return what is assigned before a command that hands it on."""
    return [*(parts.environment or ()), *parts.assignments] if parts.words and parts.name in _HAND_ON else []


def _give(scope: Scope, parts: Parts, arguments: Sequence[Word]) -> None:
    """Give a shell its arguments; the first of them is $0."""
    sources = tuple(word.inner for word in arguments if word.inner != NOTHING)
    values = values_of(arguments) + ((NOBODY_KNOWS,) if parts.open_ended else ())
    if values:
        scope.hold("0", values[0], sources)
    scope.hold(ARGUMENTS, listing(values[1:]), sources)


def shell(walk: Walk, parts: Parts) -> None:
    """`bash`, `sh`: a text after -c, a script file, or what it reads."""
    how, at = _shell_code(parts.words)
    word = parts.words[at] if at < len(parts.words) else None
    if any(not one.sure for one in takewhile(lambda one: one.text[:1] in ("-", "+"), parts.words[1:])):
        walk.found.doubt("the options of a shell are only known when it runs")
    if how == "text" and word is not None:
        _code(walk, word, parts, parts.words[at + 1 :])
    elif how == "stdin":
        reads_code(walk, parts, [parts.words[0], *parts.words[at:]])
    elif word is not None and word.inner != NOTHING:
        _generated(walk, word.inner)
    elif word is not None and word.text.startswith(_DESCRIPTORS):
        walk.found.doubt("a shell reads from a descriptor")


def _code(walk: Walk, word: Word, parts: Parts, arguments: Sequence[Word]) -> None:
    if not word.sure:
        _generated(walk, word.inner)
    if word.sure or word.text not in (UNKNOWN, SOME):
        nest(walk, word.text, parts, arguments=arguments)


def reads_code(walk: Walk, parts: Parts, arguments: Sequence[Word] | None = None) -> None:
    """Follow what the command in `parts` reads, which it runs as a shell would."""
    stdin = parts.stdin or walk.scope.stdin
    if stdin.text is not None:
        nest(walk, stdin.text, parts.without_input(), arguments=arguments)
    elif stdin.unknown or stdin.source != NOTHING:
        _generated(walk, stdin.source)


def _generated(walk: Walk, source: Span) -> None:
    """What other commands print is run as code: only some are known to print nothing but settings."""
    programs = [command.program for command in walk.found.commands[source[0] : source[1]]]
    if not programs or not all(program in _PRINT_SETTINGS for program in programs):
        walk.found.doubt("the output of a command is run as a script")


def evaluate(walk: Walk, parts: Parts) -> None:
    """`eval`: its words, joined, are a line of this same shell."""
    words = _behind_dashes(parts.words)
    if len(words) == 1 and words[0].inner != NOTHING and words[0].text == UNKNOWN:
        _generated(walk, words[0].inner)
    elif words:
        nest(walk, " ".join(word.text for word in words), parts, same_shell=True)


def source_file(walk: Walk, parts: Parts) -> None:
    """`source <(...)`: the output of a command is run; a plain file is like a script."""
    words = _behind_dashes(parts.words)
    if not words:
        return
    word = words[0]
    if word.inner != NOTHING:
        _generated(walk, word.inner)
    elif word.text in _STDIN_FILES:
        reads_code(walk, parts)
    elif word.text.startswith(_DESCRIPTORS):
        walk.found.doubt("a shell reads from a descriptor")


def _behind_dashes(words: Sequence[Word]) -> Sequence[Word]:
    return words[2:] if len(words) > 1 and words[1].text == "--" else words[1:]


def trap(walk: Walk, parts: Parts) -> None:
    """`trap LINE SIGNAL`: the line runs later, in a state that nobody knows."""
    operands = [word for word in parts.words[1:] if word.text not in ("-", "--", "-p", "-l")]
    if len(operands) > 1 or (operands and len(operands[0].text.split()) > 1):
        nest(walk, operands[0].text, parts)


def alias(walk: Walk, parts: Parts) -> None:
    """`alias name=LINE`: the line runs whenever the name does."""
    for word in parts.words[1:]:
        name, _, value = word.text.partition("=")
        if value:
            nest(walk, value, parts)
            walk.found.aliases.add(name)


def odd(walk: Walk, parts: Parts) -> None:
    """`hash -p`, `enable`, `compgen -C`: they run a command or change what the name of one means."""
    options = "".join(word.text for word in parts.words[1:] if re.match(r"-\w", word.text))
    if any(letter in options for letter in _ODD_OPTIONS[parts.name]):
        walk.found.doubt("it changes what the name of a command means")


def set_arguments(walk: Walk, parts: Parts) -> None:
    """`set -- a b`: the arguments are these from now on; `set -e` leaves them alone."""
    odd(walk, replace(parts, words=[parts.words[0], *takewhile(lambda one: one.text != "--", parts.words[1:])]))
    words = _behind_set_options(parts.words)
    if not words:
        return
    named = words[1:] if words[0].text in ("-", "--") else words
    if words[0].sure:
        sources = tuple(word.inner for word in named if word.inner != NOTHING)
        walk.scope.hold(ARGUMENTS, listing(values_of(named)), parts.drawn + sources)
    else:
        walk.scope.hold(ARGUMENTS, NOBODY_KNOWS, parts.drawn)


def _behind_set_options(words: Sequence[Word]) -> Sequence[Word]:
    """Return the words from the first that is no option; from an option that is not known on nobody knows them."""
    at = 1
    while at < len(words) and words[at].text[:1] in ("-", "+") and words[at].text not in ("-", "--"):
        if not words[at].sure or not _SET_OPTION.fullmatch(words[at].text):
            return [replace(words[at], sure=False)]
        at += 2 if words[at].text.endswith("o") else 1
    return words[at:]


def shift(walk: Walk, parts: Parts) -> None:
    """`shift`: the arguments move up by one, or by a number that must be known."""
    count = parts.words[1] if len(parts.words) > 1 else Word("1")
    held = walk.scope.variables.get(ARGUMENTS, NOBODY_KNOWS)
    sources = walk.scope.drawn_by("1")
    if held.items is None or not count.sure or not count.text.isdigit():
        walk.scope.hold(ARGUMENTS, NOBODY_KNOWS, sources)
    elif int(count.text) <= len(held.items) or not held.counts:
        walk.scope.hold(ARGUMENTS, listing(held.behind(int(count.text)), sure=held.sure), sources)


def code_from(words: Sequence[Word], stdin: Stdin) -> Span:
    """Return the commands whose output this one runs as code."""
    name = words[0].text.rpartition("/")[2]
    if name in SHELLS:
        how, at = _shell_code(words)
        return stdin.source if how == "stdin" else (words[at].inner if at < len(words) else NOTHING)
    if name in ("eval", "source", "."):
        return next((word.inner for word in words[1:] if word.inner != NOTHING), NOTHING)
    if name.startswith(INTERPRETERS):
        return _interpreter_code(words, stdin)
    return NOTHING


def _interpreter_code(words: Sequence[Word], stdin: Stdin) -> Span:
    for at, word in enumerate(words[1:], 1):
        if word.text in ("-c", "-e", "-r", "--eval"):
            return words[at + 1].inner if at + 1 < len(words) else NOTHING
        if word.text == "-":
            return stdin.source
        if word.text.startswith("-m") or not word.text.startswith("-"):
            return word.inner
    return stdin.source


def _shell_code(words: Sequence[Word]) -> tuple[str, int]:
    """Return where a shell takes its code from, "text", "file" or "stdin", and where its operands begin."""
    at, text, reads = 1, False, False
    while at < len(words):
        option = words[at].text
        if option[:1] not in ("-", "+"):
            break
        at += 1
        if option in ("-", "--"):
            break
        if not option.startswith("--"):
            text, reads = text or "c" in option, reads or "s" in option
        at += option in _BASH_VALUES
    if text:
        return "text", at
    if at >= len(words) or reads:
        return "stdin", at
    return ("stdin", at + 1) if words[at].text in _STDIN_FILES else ("file", at)
