"""Text that is handed to a shell: `bash -c`, `eval`, `trap`, a pipe into `sh`. It is read like the line itself."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING

from msgspec.structs import replace

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.limits import LINE_BYTES_MAX, NESTED_MAX, SOURCE_BYTES_MAX
from claudebench.hooks.shell.model import NOTHING, Span
from claudebench.hooks.shell.parts import Parts, Stdin, Word
from claudebench.hooks.shell.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Sequence

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "rbash", "mksh"})
INTERPRETERS = ("python", "node", "perl", "ruby", "php", "deno", "bun", "lua", "tclsh", "osascript", "pwsh")

_BASH_VALUES = frozenset({"-o", "-O", "+o", "+O", "--rcfile", "--init-file"})
_STDIN_FILES = ("/dev/stdin", "-", "/dev/fd/0", "/proc/self/fd/0")
_ODD_OPTIONS = {"hash": "p", "enable": "fn", "compgen": "CF", "set": "k", "shift": ""}
_DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/")
_PRINT_SETTINGS = frozenset({
    "ssh-agent", "direnv", "pyenv", "rbenv", "nodenv", "goenv", "jenv", "brew", "conda", "mamba", "micromamba",
    "mise", "rtx", "asdf", "fnm", "nvm", "starship", "zoxide", "opam", "dircolors", "lesspipe", "minikube",
    "docker-machine", "eksctl", "kubectl", "helm", "gh", "register-python-argcomplete", "rustup",
})  # fmt: skip


def nest(walk: Walk, text: str, parts: Parts, *, same_shell: bool = False) -> None:
    """Read a text that the command in `parts` hands to a shell; `same_shell`: to the one that runs it."""
    if UNKNOWN in text or SOME in text:
        walk.found.doubt("a shell is given text that is only known when it runs")
        text = text.replace(UNKNOWN, "$_").replace(SOME, "$_")
    walk.found.bytes += len(text)
    if walk.nested >= NESTED_MAX or walk.found.bytes > SOURCE_BYTES_MAX - LINE_BYTES_MAX:
        walk.found.doubt("shells are nested too deep")
        return
    scope = walk.scope if same_shell else replace(walk.scope, variables={})
    stdin, scope.stdin = scope.stdin, parts.stdin or scope.stdin
    name = parts.name if parts.words else "assignment"
    outer = Parts(wrappers=(*parts.wrappers, name), prefixes=tuple((one, None) for one, _ in parts.prefixes))
    source = text.encode("utf-8", "surrogatepass")
    Walk(source, walk.found, scope, walk.grammar, nested=walk.nested + 1, outer=outer).script()
    scope.stdin = stdin


def shell(walk: Walk, parts: Parts) -> None:
    """`bash`, `sh`: a text after -c, a script file, or what it reads."""
    how, word = _shell_code(parts.words)
    if any(not one.sure for one in takewhile(lambda one: one.text[:1] in ("-", "+"), parts.words[1:])):
        walk.found.doubt("the options of a shell are only known when it runs")
    if how == "text" and word is not None:
        _code(walk, word, parts)
    elif how == "stdin":
        reads_code(walk, parts)
    elif word is not None and word.inner != NOTHING:
        _generated(walk, word.inner)
    elif word is not None and word.text.startswith(_DESCRIPTORS):
        walk.found.doubt("a shell reads from a descriptor")


def _code(walk: Walk, word: Word, parts: Parts) -> None:
    if not word.sure:
        _generated(walk, word.inner)
    if word.sure or word.text not in (UNKNOWN, SOME):
        nest(walk, word.text, parts)


def reads_code(walk: Walk, parts: Parts) -> None:
    """Follow what the command in `parts` reads, which it runs as a shell would."""
    stdin = parts.stdin or walk.scope.stdin
    if stdin.text is not None:
        nest(walk, stdin.text, parts.without_input())
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
    """`hash -p`, `enable`, `compgen -C`, `set -k`: they run a command or change what the name of one means."""
    options = "".join(word.text for word in parts.words[1:] if re.match(r"-\w", word.text))
    if any(letter in options for letter in _ODD_OPTIONS[parts.name]):
        walk.found.doubt("it changes what the name of a command means")
    if parts.name in ("set", "shift"):
        walk.scope.forget_arguments()


def code_from(words: Sequence[Word], stdin: Stdin) -> Span:
    """Return the commands whose output this one runs as code."""
    name = words[0].text.rpartition("/")[2]
    if name in SHELLS:
        how, word = _shell_code(words)
        return stdin.source if how == "stdin" else (word.inner if word else NOTHING)
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


def _shell_code(words: Sequence[Word]) -> tuple[str, Word | None]:
    """Return where a shell takes its code from: "text", "file" or "stdin"."""
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
    operand = words[at] if at < len(words) else None
    if text:
        return "text", operand
    if operand is None or reads or operand.text in _STDIN_FILES:
        return "stdin", None
    return "file", operand
