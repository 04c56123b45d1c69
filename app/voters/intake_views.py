"""What the intake pages show, made of rows: words, counts and shapes. Asks nothing of the request."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.voters import intake, loads, uploads
from app.voters.conflicts import FILE, ROLL
from app.voters.intake import Preview, Waiting
from app.voters.intake_check import Found
from app.voters.room import Roll
from app.voters.rules.findings import WHOLE_ROW, Finding, Reason
from app.voters.rules.rows import COLUMNS, OPTIONAL
from app.voters.rules.shapes import Column, header_shown, shape_of
from app.voters.tables import UNDONE, Load, Upload
from app.web.i18n import gettext as _

CSV_HEADS = (N_("Baris"), N_("Kolom"), N_("Kode"), N_("Apa yang salah"), N_("Cara memperbaiki"))
CONFLICT_HEADS = (N_("Baris"), N_("Kode"), N_("Apa yang ditemukan"))
CONFLICT_WORDS = {
    FILE: N_("NIK sama dengan baris sebelumnya di berkas ini."),
    ROLL: N_("NIK sudah ada di daftar pemilih pemilu ini."),
}
_MEANINGS: Mapping[str, str] = {
    "DPID": N_("nomor catatan dari sumber; boleh tidak ada"),
    "NKK": N_("nomor kartu keluarga, 16 angka"),
    "NIK": N_("nomor induk kependudukan, 16 angka"),
    "NAMA": N_("nama lengkap"),
    "JK": N_("jenis kelamin: L atau P"),
    "TMPT_LHR": N_("tempat lahir"),
    "TGL_LHR": N_("tanggal lahir"),
    "STS": N_("status perkawinan: B, S atau P"),
    "ALAMAT": N_("alamat"),
    "RT": N_("nomor RT"),
    "RW": N_("nomor RW"),
    "DIS": N_("kode disabilitas, 0 sampai 6"),
    "KTPel": N_("KTP-el: S atau B"),
    "SUMBER": N_("asal data; boleh tidak ada"),
    "KET": N_("kode keterangan; boleh tidak ada"),
    "TPS": N_("nomor TPS"),
    "KECAMATAN": N_("nama atau kode kecamatan"),
    "DESA": N_("nama atau kode desa/kelurahan"),
}
_STATES = {
    loads.DONE: ("ok", N_("selesai")),
    loads.RUNNING: ("info", N_("belum selesai")),
    UNDONE: ("stop", N_("dibatalkan")),
}
_TAMPERED = ("warn", N_("segel rusak"))
# A cell that begins with one of these is a formula to a spreadsheet (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class UploadRow:
    """A file sent in, as pages show it. state: of the upload; at_work: a job loads it now; job: its state; share: percent or None."""

    uid: str
    url: str
    state: str
    suffix: str
    megabytes: float
    rows_estimate: int
    who: str
    created_at: datetime
    ends_at: datetime
    at_work: bool
    job: str
    done: int
    total: int
    share: int | None
    load: str | None
    error: str


@dataclass(frozen=True, slots=True)
class LoadRow:
    """A load, as pages show it."""

    uid: str
    url: str
    started_at: datetime
    finished_at: datetime | None
    undone_at: datetime | None
    who: str
    undone_by: str
    read: int
    sealed: int
    held: int
    state: str
    mark: str
    word: str
    by_command: bool


@dataclass(frozen=True, slots=True)
class Option:
    """One header of the file. cell: from 0; label: its text, or its shape where the text may be somebody's number."""

    cell: int
    label: str


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """One DP4 column with what was chosen for it. options: every header; shape: what the chosen one's values look like."""

    name: str
    meaning: str
    required: bool
    chosen: int | None
    options: Sequence[Option]
    shape: str
    wrong: bool


def upload_row(roll: Roll, upload: Upload, people: Mapping[str, str]) -> UploadRow:
    """Return *upload* for a page. people: names by account uid."""
    job = intake.job_of(roll, upload) if upload.state == uploads.STARTED else None
    return UploadRow(
        uid=upload.uid,
        url=f"/intake/{upload.uid}",
        state=upload.state,
        suffix=upload.suffix,
        megabytes=round(upload.size / (1024 * 1024), 1),
        rows_estimate=upload.rows_estimate,
        who=people.get(upload.actor, ""),
        created_at=upload.created_at,
        ends_at=upload.created_at + uploads.LIFE,
        at_work=job is not None and not job.over,
        job=job.state if job else "",
        done=job.done if job else 0,
        total=job.total if job else 0,
        share=job.share if job else None,
        load=upload.load,
        error=_(job.error) if job and job.error else "",
    )


def load_row(load: Load, holds: bool, people: Mapping[str, str], actor: Actor) -> LoadRow:
    """Return *load* for a page. holds: whether its seal does. people: names by account uid."""
    mark, word = _STATES.get(load.state, _TAMPERED) if holds else _TAMPERED
    return LoadRow(
        uid=load.uid,
        url=f"/intake/{load.uid}/result",
        started_at=load.started_at,
        finished_at=load.finished_at,
        undone_at=load.undone_at,
        who=_who(load.actor, people, actor),
        undone_by=_who(load.undone_by, people, actor) if load.undone_by else "",
        read=load.rows_read,
        sealed=load.rows_sealed,
        held=load.rows_quarantined,
        state=load.state if holds else "broken",
        mark=mark,
        word=_(word),
        by_command=load.actor.startswith("host:"),
    )


def column_rows(seen: Preview, chosen: Mapping[str, int], wrong: Collection[str]) -> list[ColumnRow]:
    """Return the 18 DP4 columns. chosen: cells by column; wrong: columns to be marked."""
    options, shapes = _options(seen), [shape_words(column) for column in seen.columns]
    return [
        ColumnRow(
            name=column,
            meaning=_(_MEANINGS[column]),
            required=column not in OPTIONAL,
            chosen=chosen.get(column),
            options=options,
            shape=shapes[chosen[column]] if chosen.get(column, len(shapes)) < len(shapes) else "",
            wrong=column in wrong,
        )
        for column in COLUMNS
    ]


def file_columns(seen: Preview, chosen: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """Return every header of the file: its label, what its values look like, and the DP4 column it was chosen for ("" for none)."""
    used = {cell: column for column, cell in chosen.items()}
    return [
        (option.label, shape_words(column), used.get(option.cell, "")) for option, column in zip(_options(seen), seen.columns, strict=True)
    ]


def shape_words(column: Column) -> str:
    """Say what a column's values look like, e.g. ``16 angka; 2 kata, 14 huruf; kosong 3 dari 50``."""
    parts = [_(shape.text, **shape.params) for shape, _count in column.shapes]
    if column.others:
        parts.append(_("dan bentuk lain"))
    if column.blank:
        parts.append(_("kosong %(blank)s dari %(seen)s", blank=column.blank, seen=column.seen))
    return "; ".join(parts)


def result(load: Load, counted: Sequence[tuple[Finding, int]], waiting: Sequence[Waiting]) -> dict[str, object]:
    """Return what the result page says of warnings and quarantine, in words."""
    warned: dict[str, int] = json.loads(load.warnings)
    known = frozenset(Reason)
    return {
        "warnings": [
            (count, _(Reason(code).sentence), _(Reason(code).remedy))
            for code, count in sorted(warned.items(), key=lambda one: -one[1])
            if code in known
        ],
        "reasons": [(count, _field(one), _(one.reason.sentence), _(one.reason.remedy)) for one, count in counted],
        "quarantined": [(one.row_no, [(_field(f), _(f.reason.sentence), _(f.reason.remedy)) for f in one.findings]) for one in waiting],
    }


def safe_row(row_no: int, finding: Finding) -> list[str]:
    """Return one line of the report, no cell of which a spreadsheet could take for a formula."""
    cells = (str(row_no), _field(finding), finding.reason.value, _(finding.reason.sentence), _(finding.reason.remedy))
    return [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]


def conflict_rows(found: Found) -> list[tuple[str, str, str]]:
    """Return the lines of the list of double NIKs: row number, kind, what it means."""
    return [(str(row_no), kind, _(CONFLICT_WORDS[kind])) for row_no, kind in found.lines]


def _options(seen: Preview) -> list[Option]:
    return [Option(cell, _label(cell, name)) for cell, name in enumerate(seen.survey.names)]


def _label(cell: int, name: str) -> str:
    shown = header_shown(name)
    if shown is None:
        shape = shape_of(name.strip())
        return _("kolom %(number)s (%(shape)s)", number=cell + 1, shape=_(shape.text, **shape.params))
    return shown or _("kolom %(number)s (tanpa judul)", number=cell + 1)


def _field(finding: Finding) -> str:
    return _("seluruh baris") if finding.field == WHOLE_ROW else finding.field


def _who(uid: str, people: Mapping[str, str], actor: Actor) -> str:
    if uid == actor.uid:
        return _("Anda")
    return people.get(uid) or (_("perintah di server") if uid.startswith("host:") else _("petugas lain"))
