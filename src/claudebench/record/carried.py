"""The audit carried away: as JSON lines or CSV, with all that a third party who has the key needs to verify it.

JSON lines begin with one that names the workspace, the head and which key signed from where on. CSV has no more than
the workspace in each row. So the end of a chain in CSV, and where the rows under a lost key end, are only as good as
what somebody else knows.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from claudebench.errors import SettingsError
from claudebench.record.audit import Head, Row, Span, Standing
from claudebench.record.tampering import Chain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

    from claudebench.record.audit_key import Keys

Form = Literal["jsonl", "csv"]
FORMAT = 1
COLUMNS = ("workspace", *Row.__struct_fields__)
FIELD_MAX = 1_048_576
LOOKED_AT_ONCE = 1_000


class Opening(msgspec.Struct):
    """The first line of JSON lines."""

    audit: int
    workspace: str
    head: Head | None = None
    spans: tuple[Span, ...] = ()


_rows = msgspec.json.Decoder(Row)


class Carrier:
    """Writes an audit in one of the forms."""

    def __init__(self, file: TextIO, form: Form, workspace: str, standing: Standing) -> None:
        """Write the beginning."""
        self._file, self._workspace = file, workspace
        self._csv: Any = csv.writer(file) if form == "csv" else None
        if self._csv:
            self._csv.writerow(COLUMNS)
        else:
            self._line(Opening(FORMAT, workspace, standing.head, standing.spans))

    def write(self, rows: list[Row]) -> None:
        """Write rows."""
        for row in rows:
            if self._csv:
                self._csv.writerow((self._workspace, *(getattr(row, name) for name in Row.__struct_fields__)))
            else:
                self._line(row)

    def _line(self, told: msgspec.Struct) -> None:
        self._file.write(f"{msgspec.json.encode(told).decode()}\n")


def verify_file(path: Path, keys: Keys, tell: Callable[[int, int | None], None]) -> Chain:
    """Look at an audit that was carried away, and return what was seen.

    Raises:
        SettingsError: the file is none; the message names the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if not (first := file.read(1)):
                raise SettingsError(f"{path} is empty: that is no export of an audit")
            found = _from_csv(file) if first != "{" else _from_lines(file)
            file.seek(0)
            opening = next(found)
            assert isinstance(opening, Opening), "what is told first"
            chain = Chain(keys, opening.workspace, head=opening.head, spans=opening.spans)
            for row in found:
                assert isinstance(row, Row), "what is told then"
                chain.feed([row])
                if chain.rows % LOOKED_AT_ONCE == 0:
                    tell(chain.rows, opening.head.seq if opening.head else None)
    except (UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    except _Unread as error:
        raise SettingsError(f"{path}, {error}") from None
    return chain


class _Unread(Exception):
    """A line is no row of an audit."""


def _from_lines(file: TextIO) -> Iterator[Opening | Row]:
    for number, line in enumerate(file, 1):
        try:
            yield msgspec.json.decode(line, type=Opening) if number == 1 else _rows.decode(line)
        except msgspec.DecodeError as error:
            raise _Unread(f"line {number} is no row of an audit: {error}") from None


def _from_csv(file: TextIO) -> Iterator[Opening | Row]:
    """Yield the workspace, and the rows; a row of another workspace is none of this chain's."""
    csv.field_size_limit(FIELD_MAX)
    workspace = ""
    for number, told in enumerate(csv.DictReader(file), 2):
        if set(told) != set(COLUMNS) or None in told.values() or not told["seq"].isdigit():
            raise _Unread(f"line {number} is no row of an audit")
        if not workspace:
            workspace = told["workspace"]
            yield Opening(FORMAT, workspace)
        if told.pop("workspace") != workspace:
            raise _Unread(f"line {number} is of another workspace than the first")
        yield Row(**{**told, "seq": int(told["seq"])})  # type: ignore[arg-type]
    if not workspace:
        yield Opening(FORMAT, "")
