"""TOML of a bounded cost: what would make the parser slow or large is refused before it is parsed.

The parser of the standard library takes time that grows with the square of the parts of a dotted key, and a table of
memory for each. So strings and comments are blanked, exactly where it would see them, and what is left is counted.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

KEY_PARTS_MAX = 4  # `rule.command` has two
MARKS_MAX = 16_384  # keys, values and tables together

# No alternative can fail once it has begun, and none gives anything back: time is linear.
_QUIET = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5})?'
    r"|'''(?:[^']|'(?!''))*+(?:'{3,5})?"
    r'|"(?:[^"\\\n]|\\[^\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|\#[^\n]*+",
    re.DOTALL,
)
_MARKS = re.compile(r"[=,.\[{]")
_LONG_KEY = re.compile(rf"(?<![\w-])[\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++){{{KEY_PARTS_MAX}}}")


def loads(text: str) -> dict[str, Any]:
    """Return the table that a TOML text is.

    Raises:
        ValueError: it is none, or more than the parser is given.
    """
    code = _QUIET.sub("_", text.replace("\r\n", "\n"))
    long = _LONG_KEY.search(code)
    if long:
        line = code.count("\n", 0, long.start()) + 1
        raise ValueError(f"a key of more than {KEY_PARTS_MAX} parts (near line {line})")
    marks = len(_MARKS.findall(code))
    if marks > MARKS_MAX:
        raise ValueError(f"more than {MARKS_MAX} keys, values and tables")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("arrays or tables that lie too deep in each other") from None
