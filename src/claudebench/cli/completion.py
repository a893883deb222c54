"""`claudebench completion`: the Tab key of bash, zsh and fish.

typer has options for this, which would make every run import pydantic to find out that they are not given.
"""

from __future__ import annotations

import os

import typer

from claudebench.errors import nearest

SHELLS = ("bash", "zsh", "fish")
NAME = "claudebench"
VARIABLE = "_CLAUDEBENCH_COMPLETE"
AT_ONCE = {"zsh": f'[[ $funcstack[1] == _{NAME} ]] && _{NAME}_completion "$@"\n'}
"""What is added to a script: zsh reads an installed one at the first Tab, and would only answer the second."""


def complete(shell: str, *, install: bool) -> None:
    """Print the script of a shell, or put it where that shell reads it.

    Raises:
        typer.BadParameter: the shell is none of those known.
    """
    from typer._completion_shared import get_completion_script
    from typer._completion_shared import install as put

    if shell not in SHELLS:
        near = nearest(shell, SHELLS)
        raise typer.BadParameter(
            f"{shell!r} is none of {', '.join(SHELLS)}" + (f"; did you mean {near}?" if near else "")
        )
    if not install:
        print(get_completion_script(prog_name=NAME, complete_var=VARIABLE, shell=shell))
        return
    _, path = put(shell, prog_name=NAME, complete_var=VARIABLE)
    if shell in AT_ONCE:
        path.write_text(f"{path.read_text().rstrip()}\n{AT_ONCE[shell]}")
    print(f"{path}: written; it works in the next {shell}")


def prepare() -> None:
    """Get ready to answer a shell, if one asks."""
    if VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
