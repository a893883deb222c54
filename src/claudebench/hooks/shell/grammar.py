"""Who reads what: every kind of statement, every kind of part of a word, every program that runs others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudebench.hooks.shell import (
    assignments,
    commands,
    declarations,
    directories,
    expansions,
    functions,
    pipelines,
    runners,
    shells,
    statements,
    words,
)
from claudebench.hooks.shell.find import find
from claudebench.hooks.shell.git import git
from claudebench.hooks.shell.interpreters import INTERPRETERS, interpret
from claudebench.hooks.shell.peeling import verb, wrapper
from claudebench.hooks.shell.walk import Grammar, Piece, Walk
from claudebench.hooks.shell.wrappers import VERBS, WRAPPERS
from claudebench.hooks.shell.xargs import xargs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tree_sitter import Node

    from claudebench.hooks.shell.parts import Parts

_STATEMENTS: dict[str, Callable[[Walk, Node], None]] = {
    "program": Walk.sequence,
    "command": commands.simple,
    "list": pipelines.listed,
    "pipeline": pipelines.pipeline,
    "redirected_statement": pipelines.redirected,
    "file_redirect": pipelines.bare,
    "negated_command": statements.negated,
    "subshell": statements.subshell,
    "compound_statement": statements.compound,
    "do_group": Walk.sequence,
    "if_statement": statements.conditional,
    "elif_clause": statements.conditional,
    "else_clause": statements.conditional,
    "while_statement": statements.loop,
    "c_style_for_statement": statements.loop,
    "for_statement": statements.for_each,
    "case_statement": statements.conditional,
    "case_item": statements.case_item,
    "function_definition": functions.define,
    "variable_assignment": declarations.assigned,
    "variable_assignments": declarations.assigned,
    "declaration_command": declarations.declared,
    "unset_command": declarations.declared,
    "test_command": statements.test,
    "comment": statements.comment,
    "ERROR": Walk.error,
}
_PIECES: dict[str, Piece] = {
    "word": words.plain,
    "number": words.plain,
    "concatenation": words.concatenation,
    "string": words.string,
    "string_content": words.string_content,
    "raw_string": words.raw_string,
    "ansi_c_string": words.ansi_string,
    "translated_string": words.translated,
    "simple_expansion": expansions.variable,
    "expansion": expansions.expansion,
    "arithmetic_expansion": expansions.arithmetic,
    "command_substitution": expansions.substitution,
    "process_substitution": expansions.process,
    "brace_expression": words.plain,
    "variable_name": words.plain,
    "regex": words.plain,
    "extglob_pattern": words.plain,
}
_PROGRAMS: dict[str, Callable[[Walk, Parts], None]] = {
    **dict.fromkeys(WRAPPERS, wrapper),
    **dict.fromkeys(VERBS, verb),
    "xargs": xargs,
    "git": git,
    **dict.fromkeys(INTERPRETERS, interpret),
    "parallel": runners.parallel,
    "tmux": runners.tmux,
    "screen": runners.screen,
    "flock": runners.flock,
    "ssh": runners.ssh,
    **dict.fromkeys(("at", "batch"), runners.at),
    **dict.fromkeys(("vim", "vi", "nvim", "ex", "view", "gvim", "ed"), runners.vim),
    "find": find,
    "eval": shells.evaluate,
    "source": shells.source_file,
    ".": shells.source_file,
    "trap": shells.trap,
    "alias": shells.alias,
    "cd": directories.enter,
    "pushd": directories.enter,
    "popd": directories.leave,
    **dict.fromkeys(("export", "declare", "typeset", "local", "readonly", "unset"), declarations.declare),
    "read": assignments.read,
    "mapfile": assignments.assign_lines,
    "readarray": assignments.assign_lines,
    "getopts": assignments.assign_operands,
    "printf": assignments.assign_printed,
    "let": assignments.assign_operands,
    "test": assignments.check_subscripts,
    "wait": assignments.assign_operands,
    **dict.fromkeys(("hash", "enable", "compgen"), shells.odd),
    "set": shells.set_arguments,
    "shift": shells.shift,
}
GRAMMAR = Grammar(_STATEMENTS, _PIECES, _PROGRAMS)


def is_followed(program: str) -> bool:
    """Tell whether what a program would run is read out of its words."""
    return program in _PROGRAMS or program in shells.SHELLS or program.rstrip("0123456789.") in INTERPRETERS
