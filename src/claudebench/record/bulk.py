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
        """Do it for all rows, at most 256 in one statement, and yield what each statement came to."""
        for at in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[at : at + ROWS_AT_ONCE]
            if connection.dialect.name == "sqlite":
                yield connection.exec_driver_sql(self._for_sqlite(len(some)), tuple(chain.from_iterable(some)))
            else:
                yield connection.exec_driver_sql(self._for_postgresql, tuple(map(list, zip(*some, strict=True))))

    def _for_sqlite(self, count: int) -> str:
        """Return the statement for so many rows; those of a full page and of the small ones are kept."""
        if count not in self._values:
            marks = f"({', '.join('?' * len(self._columns))})"
            names = ", ".join(f"column{at} AS {each.name}" for at, each in enumerate(self._columns, 1))
            self._values[count] = self._filled(f"(SELECT {names} FROM (VALUES {', '.join([marks] * count)})) AS v")  # noqa: S608
        return self._values[count]

    @cached_property
    def _for_postgresql(self) -> str:
        arrays = ", ".join(f"${at}::{_TYPES[str(each.type)]}[]" for at, each in enumerate(self._columns, 1))
        return self._filled(f"unnest({arrays}) AS v({', '.join(each.name for each in self._columns)})")

    def _filled(self, rows: str) -> str:
        return self._template.format(columns=", ".join(each.name for each in self._columns), rows=rows)
