"""Which cell of a file is which DP4 column: the header, and the mapping file for headers of another name."""

from __future__ import annotations

import tomllib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.kernel.errors import N_, BadInput
from app.voters.rules.rows import COLUMNS, REQUIRED

# A header cell is shown in an error only when every required column was found: without a header the first row is a voter.
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Naming:
    """How a file names its columns. headers: the file's header by DP4 column, all 18. ignored: headers to pass over."""

    headers: Mapping[str, str]
    ignored: frozenset[str] = frozenset()


STANDARD = Naming({column: column for column in COLUMNS})


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the columns stand. width: cells per row. cells: for each of COLUMNS its cell from 0, or None when left out."""

    width: int
    cells: tuple[int | None, ...]

    def __str__(self) -> str:
        """Return it as a load keeps it, e.g. ``18:0,1,2,-,4``: width, then the cell of each of COLUMNS."""
        return f"{self.width}:{','.join('-' if cell is None else str(cell) for cell in self.cells)}"


def read_naming(content: bytes) -> Naming:
    """Return the naming that a mapping file (TOML, UTF-8) states.

    content: ``ignore = ["No"]`` and a table ``[columns]`` with lines such as ``NIK = "No. Induk"``; columns not named keep
    their DP4 names. Raises BadInput (field ``mapping``) for anything else.
    """
    try:
        data = tomllib.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad_mapping(f"not TOML in UTF-8: {error}") from None
    columns, ignored = data.pop("columns", {}), data.pop("ignore", [])
    if data or not isinstance(columns, dict) or not isinstance(ignored, list):
        raise _bad_mapping("only the table [columns] and the list ignore are known")
    if not all(isinstance(name, str) and name.strip() for name in (*columns.values(), *ignored)):
        raise _bad_mapping("a header is a text between quotes, and not empty")
    headers = {**STANDARD.headers, **_by_column(columns)}
    twice = _repeated([*map(_fold, headers.values()), *map(_fold, ignored)])
    if twice:
        raise _bad_mapping(f"one header for two columns: {', '.join(sorted(twice))}")
    return Naming(headers, frozenset(map(_fold, ignored)))


def recognised(names: Sequence[str], naming: Naming) -> int:
    """Return how many of *names* are headers of *naming*."""
    known = {_fold(header) for header in naming.headers.values()} | naming.ignored
    return len(known & set(map(_fold, names)))


def lay_out(names: Sequence[str], naming: Naming) -> Layout:
    """Return where each DP4 column stands in a file whose header cells are *names*.

    Raises BadInput for columns missing, given twice or unknown; ``field`` and ``detail`` name them.
    """
    folded = [_fold(name) for name in names]
    wanted = {column: _fold(naming.headers[column]) for column in COLUMNS}
    missing = [column for column in REQUIRED if wanted[column] not in folded]
    if missing:
        raise _missing(missing, naming)
    twice = [column for column in COLUMNS if folded.count(wanted[column]) > 1]
    if twice:
        raise BadInput(
            f"columns given twice: {', '.join(twice)}",
            field=", ".join(twice),
            public=N_("Ada judul kolom yang muncul dua kali. Hapus atau ganti nama salah satunya."),
        )
    known = {*wanted.values(), *naming.ignored}
    unknown = [f"{place} ({name.strip()[:_SHOWN]!r})" for place, name in enumerate(names, 1) if _fold(name) not in known]
    if unknown:
        raise BadInput(
            f"unknown columns at {', '.join(unknown)}",
            field=", ".join(unknown),
            public=N_("Ada kolom yang tidak dikenal. Hapus kolom itu, petakan dalam berkas pemetaan, atau sebutkan di daftar ignore."),
        )
    return Layout(len(names), tuple(folded.index(wanted[column]) if wanted[column] in folded else None for column in COLUMNS))


def propose(names: Sequence[str]) -> Layout:
    """Return where the DP4 columns stand by their own names; None for what is absent or stands twice: somebody will choose."""
    folded = [_fold(name) for name in names]
    return Layout(len(names), tuple(folded.index(one) if folded.count(one) == 1 else None for one in map(_fold, COLUMNS)))


def choose(width: int, chosen: Mapping[str, int]) -> Layout:
    """Return the layout that somebody chose: the cell (from 0) of each DP4 column; a column not named is left out.

    Raises BadInput: a required column without a cell, or one cell for two columns; ``field`` names the columns, comma-separated.
    """
    if not all(column in COLUMNS and 0 <= cell < width for column, cell in chosen.items()):
        raise BadInput("no such column or cell", field="columns")
    missing = [column for column in REQUIRED if column not in chosen]
    if missing:
        raise BadInput(f"columns missing: {', '.join(missing)}", field=", ".join(missing), public=CHOOSE_ALL)
    times = Counter(chosen.values())
    twice = [column for column in COLUMNS if column in chosen and times[chosen[column]] > 1]
    if twice:
        raise BadInput(f"one cell for two columns: {', '.join(twice)}", field=", ".join(twice), public=CHOOSE_ONCE)
    return Layout(width, tuple(chosen.get(column) for column in COLUMNS))


CHOOSE_ALL = N_("Ada kolom wajib yang belum dipilih. Pilih judul kolomnya, lalu kirim lagi.")
CHOOSE_ONCE = N_("Satu judul kolom dipilih untuk dua kolom DP4. Setiap judul hanya boleh dipilih sekali.")


def _by_column(columns: Mapping[str, str]) -> dict[str, str]:
    spelled = {column.casefold(): column for column in COLUMNS}
    unknown = [key for key in columns if key.casefold() not in spelled]
    if unknown:
        raise _bad_mapping(f"not a DP4 column: {', '.join(unknown)}; known are {', '.join(COLUMNS)}")
    chosen = [spelled[key.casefold()] for key in columns]
    if len(set(chosen)) < len(chosen):
        raise _bad_mapping(f"a column is named twice: {', '.join(sorted(_repeated(chosen)))}")
    return dict(zip(chosen, columns.values(), strict=True))


def _missing(missing: Sequence[str], naming: Naming) -> BadInput:
    if len(missing) == len(REQUIRED):
        return BadInput(
            f"no known header in the first row; expected {', '.join(naming.headers[column] for column in REQUIRED)}",
            field=", ".join(missing),
            public=N_("Baris pertama bukan judul kolom DP4. Tambahkan baris judul kolom, atau sertakan berkas pemetaan."),
        )
    return BadInput(
        f"columns missing: {', '.join(missing)}",
        field=", ".join(missing),
        public=N_("Ada kolom wajib yang tidak ditemukan. Lengkapi judul kolomnya, atau petakan namanya dalam berkas pemetaan."),
    )


def _bad_mapping(detail: str) -> BadInput:
    return BadInput(
        f"mapping file: {detail}",
        field="mapping",
        public=N_('Berkas pemetaan kolom tidak dapat dibaca. Contoh isi yang benar: [columns] lalu NIK = "No. Induk".'),
    )


def _fold(name: str) -> str:
    """Return a header name for comparing: NFC, one space between words, no case."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def _repeated(names: Sequence[str]) -> set[str]:
    return {name for name, times in Counter(names).items() if times > 1}
