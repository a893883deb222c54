"""`cd`, `pushd`, `popd`: the directory in which the commands that follow run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claudebench.hooks.paths import UNKNOWN, relative_to

if TYPE_CHECKING:
    from claudebench.hooks.shell.parts import Parts
    from claudebench.hooks.shell.walk import Walk


def enter(walk: Walk, parts: Parts) -> None:
    """`cd`, `pushd`: go where the operand says, or home."""
    operands = [word.text for word in parts.words[1:] if not re.fullmatch(r"-[LPe@]+|--", word.text)]
    target = operands[0] if operands else "~"
    walk.scope.directory = UNKNOWN if target == "-" else relative_to(walk.scope.directory, target)


def leave(walk: Walk, parts: Parts) -> None:
    """`popd`: back to a directory that nobody knows."""
    walk.scope.directory = UNKNOWN if parts.words else walk.scope.directory
