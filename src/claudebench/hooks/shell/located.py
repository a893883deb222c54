"""`$JAVA_HOME/bin/java`, `"$(go env GOPATH)"/bin/x`: the name of a program is known, the folder it is in is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.hooks.paths import SOME, UNKNOWN
from claudebench.hooks.shell.model import NOTHING

if TYPE_CHECKING:
    from claudebench.hooks.shell.parts import Parts
    from claudebench.hooks.shell.walk import Walk

_LOCATED = re.compile(f"[{UNKNOWN}{SOME}](/[A-Za-z0-9_.+-]+)*/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*")
_PRINT_FOLDERS = re.compile(
    r"(go env \w+|(brew|npm) (--prefix|prefix|root|bin)( -g)?|yarn (global )?(bin|dir)|git rev-parse --show-toplevel"
    r"|(cd|dirname|realpath|readlink)( .*)?|pwd( -[LP])?|mktemp -d|(pyenv|rbenv) (root|prefix)|rustc --print sysroot"
    r"|java_home( .*)?|xcode-select -p|poetry env info (-p|--path))",
    re.DOTALL,
)


def is_named(walk: Walk, parts: Parts) -> bool:
    """Whether a program that is not sure has a known name: behind a folder of the environment, or a printed one."""
    name = parts.words[0]
    if not _LOCATED.fullmatch(name.text):
        return False
    sources = (*parts.drawn, *((name.inner,) if name.inner != NOTHING else ()))
    printers = [command for span in sources for command in walk.found.commands[slice(*span)]]
    return all(_PRINT_FOLDERS.fullmatch(" ".join((one.program, *one.words[1:]))) for one in printers)
