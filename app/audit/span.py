"""A part of the log's rows, for a walk over a range of it.

Borders cut each table by the database's own order, which is total: whatever stands in a column but NULL is in one of the spans that follow
one another, the first of which has no lower border and the last no upper one.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement

from app.audit.tiles import HEIGHT


@dataclass(frozen=True, slots=True)
class Span:
    """The entries *start* to *end* - 1 with what belongs to them: sizes *start* + 1 to *end*, tiles that such a size fills. None: no border."""

    start: int | None = None
    end: int | None = None

    def of(self, column: Column[object], level: int | None = None) -> list[ColumnElement[bool]]:
        """Return what *column* must be: an entry's number, a size, or with *level* the number of a tile."""
        shift = 0 if level is None else HEIGHT * (level + 1)
        start, end = (None if at is None else at >> shift for at in (self.start, self.end))
        if column.name == "size":
            return [*([] if start is None else [column > start]), *([] if end is None else [column <= end])]
        return [*([] if start is None else [column >= start]), *([] if end is None else [column < end])]


WHOLE = Span()
