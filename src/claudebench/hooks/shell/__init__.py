"""A command line, read as the simple commands that it would run.

`parse` follows lists, pipes, substitutions, functions, wrappers (`sudo env xargs find -exec ...`) and everything that
is handed to a shell as text (`bash -c`, `eval`, heredocs, `echo ... | sh`). What it cannot prove goes into `unsure`; a
caller must then ask. It never runs anything.

    line -> reading -> syntax (the tree) -> walk -> Script(commands, unsure)         model
                                             | each node: who reads this kind?       grammar
        statements pipelines functions declarations    what runs, perhaps, apart     scope
        commands <- words (quoting braces expansions arrays cutting) + assignments + redirects      parts
            | each program: does it run others?                                      grammar
        wrappers xargs find    shells (a text: another walk)    directories    output (what it prints)

Statements hold words, words hold substitutions, substitutions hold statements: the circle closes in the walk alone,
which is given the grammar; no import runs back.

Invariants:
- tree-sitter recovers from what it does not understand without a word, so nothing is taken on trust: every node is of a
  kind that the grammar knows, and no leaf holds a live backtick or `$(`, no word a lone brace (`residue.py`).
- Everything is bounded (`limits.py`), and whatever lies beyond a bound is a doubt.
- A variable has a value only while it is sure that the assignment happened; else its value is likely, and a name or a
  text for a shell made of it is a doubt.
"""

from claudebench.hooks.shell.grammar import is_followed
from claudebench.hooks.shell.limits import LINE_BYTES_MAX
from claudebench.hooks.shell.model import Command, Redirect, Script
from claudebench.hooks.shell.quoting import decode_ansi
from claudebench.hooks.shell.reading import parse
from claudebench.hooks.shell.shells import SHELLS

__all__ = ["LINE_BYTES_MAX", "SHELLS", "Command", "Redirect", "Script", "decode_ansi", "is_followed", "parse"]
