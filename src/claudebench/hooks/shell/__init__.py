"""A command line, read as the simple commands that it would run."""

from claudebench.hooks.shell.limits import LINE_BYTES_MAX
from claudebench.hooks.shell.model import Command, Redirect, Script
from claudebench.hooks.shell.quoting import decode_ansi
from claudebench.hooks.shell.reading import parse
from claudebench.hooks.shell.shells import SHELLS

__all__ = ["LINE_BYTES_MAX", "SHELLS", "Command", "Redirect", "Script", "decode_ansi", "parse"]
