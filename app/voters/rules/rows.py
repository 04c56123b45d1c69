"""Rows on their way from a DP4 file into the roll. Their text never shows in a repr, only in ``content``, which is for sealing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.voters.rules.findings import Finding

# DP4 as KPU's tools write it; the names are matched without regard to case.
COLUMNS = (
    *("DPID", "NKK", "NIK", "NAMA", "JK", "TMPT_LHR", "TGL_LHR", "STS", "ALAMAT", "RT", "RW", "DIS", "KTPel", "SUMBER", "KET"),
    *("TPS", "KECAMATAN", "DESA"),
)
# A file may leave these out: the source's own record number, where the record came from, and a remark.
OPTIONAL = frozenset({"DPID", "SUMBER", "KET"})
REQUIRED = tuple(column for column in COLUMNS if column not in OPTIONAL)


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as the file has it.

    row_no: 1 is the first row after the header. cells: text by column, untouched, all 18 of COLUMNS ("" for a column the
    file leaves out). end: offset of the byte after the row, for a progress bar.
    """

    row_no: int
    cells: Mapping[str, str] = field(repr=False)
    end: int = 0

    def content(self) -> bytes:
        """Return the row as UTF-8 JSON, for sealing into quarantine only."""
        return _json({"row": self.row_no, "cells": dict(self.cells)})


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """One row that has no cells to check: too few, too many, or torn. text: its bytes decoded, line ends included."""

    row_no: int
    text: str = field(repr=False)
    reasons: tuple[Finding, ...]
    end: int = 0

    def content(self) -> bytes:
        """Return the row as UTF-8 JSON, for sealing into quarantine only."""
        return _json({"row": self.row_no, "text": self.text})


@dataclass(frozen=True, slots=True)
class CleanRow:
    """One row that may enter the roll.

    values: the texts of cells c00…c13 in the kernel's order (DPID, then the 13 elements; birth date in ISO form).
    kec, desa: dotted codes. tps: three digits. warnings: all of level warning.
    """

    row_no: int
    values: tuple[str, ...] = field(repr=False)
    kec: str
    desa: str
    tps: str
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """One row that waits in quarantine. reasons: everything that keeps it there (at least one), never a value."""

    row_no: int
    reasons: tuple[Finding, ...]


def _json(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
