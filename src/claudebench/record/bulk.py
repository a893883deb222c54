"""Many rows in one statement: the driver is called once, so the server's thread gets the interpreter back sooner.

A template says what is done with the rows, as SQL that both databases understand, with `{columns}` for their names and
`{rows}` for a relation `v` of them: values on SQLite, arrays that are unnested on PostgreSQL.
"""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Column, Connection
    from sqlalchemy.engine import CursorResult

ROWS_AT_ONCE = 256
Row = tuple[Any, ...]
_TYPES = {"TEXT": "text", "BIGINT": "bigint", "INTEGER": "integer", "BOOLEAN": "boolean"}


class Bulk:
    """A statement for rows of these columns."""

    def __init__(self, template: str, columns: Iterable[Column[Any]]) -> None:
        """Take the template, and the columns in the order in which rows are given."""
        self._template = template
        self._columns = list(columns)
        self._values: dict[int, str] = {}

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Do it for all rows."""
        for _ in self.results(connection, rows):
            pass

    def results(self, connection: Connection, rows: Sequence[Row]) -> Iterator[CursorResult[Any]]:
        """Do it for all rows, many in one statement, and yield what each statement came to."""
        if connection.dialect.name != "sqlite":
            for at in range(0, len(rows), ROWS_AT_ONCE):
                arrays = tuple(map(list, zip(*rows[at : at + ROWS_AT_ONCE], strict=True)))
                yield connection.exec_driver_sql(self._for_postgresql, arrays)
            return
        at = 0
        while left := len(rows) - at:
            size = min(ROWS_AT_ONCE, 1 << left.bit_length() - 1)
            flat = tuple(chain.from_iterable(rows[at : at + size]))
            yield connection.exec_driver_sql(self._for_sqlite(size), flat)
            at += size

    def _for_sqlite(self, count: int) -> str:
        """Return the statement for so many rows, a power of two: the driver has few statements to keep prepared."""
        if count not in self._values:
            marks = f"({', '.join('?' * len(self._columns))})"
            names = ", ".join(f"column{at} AS {each.name}" for at, each in enumerate(self._columns, 1))
            rows = f"(SELECT {names} FROM (VALUES {', '.join([marks] * count)})) AS v"  # noqa: S608 - names of columns
            self._values[count] = self._filled(rows)
        return self._values[count]

    @cached_property
    def _for_postgresql(self) -> str:
        arrays = ", ".join(f"${at}::{_TYPES[str(each.type)]}[]" for at, each in enumerate(self._columns, 1))
        return self._filled(f"unnest({arrays}) AS v({', '.join(each.name for each in self._columns)})")

    def _filled(self, rows: str) -> str:
        return self._template.format(columns=", ".join(each.name for each in self._columns), rows=rows)
