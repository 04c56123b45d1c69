"""The report for the voter as a PDF: what this is, what happened, every entry, and how to check it. Made in memory, never on disk.

Standard fonts of every PDF reader, colours that a black-and-white printer keeps apart, one language, marked as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from io import BytesIO

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    CondPageBreak,
    Flowable,
    HRFlowable,
    KeepTogether,
    LongTable,
    Paragraph,
    Preformatted,
    SimpleDocTemplate,
    Spacer,
    Table,
)

from app.audit import seen
from app.subjects.actions import Seen
from app.subjects.views import Line, Overview
from app.subjects.words import RIGHTS
from app.web.i18n import gettext as _
from app.web.i18n import language
from app.web.pages import VIEW_LABELS, VIEW_MEANINGS
from app.web.times import local, number

# The tokens of the pages' light theme (gardu.css).
INK, SOFT, LINE, ACCENT, PALE = (HexColor(code) for code in ("#23262f", "#555a69", "#d6d8e1", "#574b74", "#edeaf4"))
MARGIN = 16 * mm
# A reportlab frame keeps this much inside its margins, in points.
FRAME = 6
WIDTH = A4[0] - 2 * MARGIN
# When, who, what, data, why: they fill WIDTH.
COLUMNS = [WIDTH * part for part in (0.15, 0.21, 0.2, 0.25, 0.19)]
# When, who, what: of the readings of the log.
THREE = [WIDTH * part for part in (0.2, 0.45, 0.35)]
TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=9.5, leading=13.5, textColor=INK, spaceAfter=5)
SMALL = ParagraphStyle("small", parent=TEXT, fontSize=8, leading=11, textColor=SOFT, spaceAfter=3)
CELL = ParagraphStyle("cell", parent=TEXT, fontSize=7.8, leading=10.2, spaceAfter=0)
HEAD = ParagraphStyle("head", parent=CELL, fontName="Helvetica-Bold", textColor=ACCENT)
TITLE = ParagraphStyle("title", parent=TEXT, fontName="Helvetica-Bold", fontSize=20, leading=24, spaceAfter=2)
UNDER = ParagraphStyle("under", parent=TEXT, fontSize=11, leading=15, textColor=SOFT, spaceAfter=2)
H2 = ParagraphStyle("h2", parent=TEXT, fontName="Helvetica-Bold", fontSize=12.5, leading=16, spaceBefore=10, spaceAfter=4, textColor=ACCENT)
LEAD = ParagraphStyle("lead", parent=TEXT, fontName="Helvetica-Bold", fontSize=11.5, leading=16, spaceAfter=6)
# Small enough for a signature on one line: a line that is broken cannot be copied.
CODE = ParagraphStyle("code", parent=TEXT, fontName="Courier", fontSize=6.3, leading=9, spaceAfter=0)
POINT = ParagraphStyle("point", parent=TEXT, leftIndent=15, bulletIndent=3, spaceAfter=3)
FIGURE = ParagraphStyle("figure", parent=TEXT, fontName="Helvetica-Bold", fontSize=15, leading=18, alignment=1, spaceAfter=0)
UNDER_FIGURE = ParagraphStyle("under-figure", parent=CELL, fontSize=7.5, leading=9.5, alignment=1, textColor=SOFT)


@dataclass(frozen=True, slots=True)
class Told:
    """What the report tells. about: entries about the voter's data; readings: of the log; newest first. by: who made it, and where."""

    seen: Seen
    overview: Overview
    about: Sequence[Line]
    readings: Sequence[Line]
    by: str
    at: datetime

    @property
    def zone(self) -> str:
        """The voter's own kab/kota: its clock is the one the voter knows."""
        return self.seen.kab


def draw(told: Told) -> bytes:
    """Return the report, in the language of the request."""
    out = BytesIO()
    title = _("Siapa yang melihat data saya?")
    document = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=MARGIN - FRAME, rightMargin=MARGIN - FRAME, topMargin=15 * mm, bottomMargin=18 * mm, lang=language(),
        title=f"{title} {told.seen.public_id}", author=told.by, subject=_("Laporan akses data pemilih menurut UU 27/2022 Pasal 32"),
        creator="Gardu", displayDocTitle=True,
    )  # fmt: skip
    rules = _numbered(told.about)
    story = [*_opening(told, title), *_rights(), *_entries(told, rules), *_readings(told), *_meanings(rules), *_checking(told)]
    document.build(story, canvasmaker=_numbering(f"Gardu · {told.seen.head.log} · {told.seen.public_id}"))
    return out.getvalue()


def _opening(told: Told, title: str) -> list[Flowable]:
    """Title, whom it is about, and the whole in one sentence and six numbers."""
    made = _("Dibuat %(when)s oleh %(by)s.", when=local(told.at, told.zone), by=told.by)
    facts: list[Flowable] = [_p(told.overview.lead, LEAD)]
    if told.overview.first and told.overview.last:
        first, last = local(told.overview.first, told.zone), local(told.overview.last, told.zone)
        facts += [
            _labelled(_("Oleh"), told.overview.people),
            _labelled(_("Dari kantor"), told.overview.offices),
            _p(_("Pertama kali %(first)s, terakhir %(last)s.", first=first, last=last)),
        ]
    return [
        _p(title, TITLE),
        _p(_("Laporan untuk pemilih nomor %(id)s", id=told.seen.public_id), UNDER),
        _p(made, SMALL),
        HRFlowable(width="100%", thickness=1.2, color=ACCENT, spaceBefore=4, spaceAfter=8),
        *facts,
        _figures(told.overview.facts),
        Spacer(1, 6),
    ]


def _figures(facts: Sequence[tuple[str, str]]) -> Flowable:
    cells = [[[_p(count, FIGURE), _p(label, UNDER_FIGURE)] for label, count in facts]]
    look = [("BACKGROUND", (0, 0), (-1, -1), PALE), ("VALIGN", (0, 0), (-1, -1), "TOP"), ("INNERGRID", (0, 0), (-1, -1), 3, "white")]
    return Table(cells, colWidths=[WIDTH / len(facts)] * len(facts), style=[*look, ("TOPPADDING", (0, 0), (-1, -1), 5)])


def _rights() -> list[Flowable]:
    text = _(
        "KPU menyimpan data pemilih tersegel, setiap bagiannya sendiri-sendiri. Setiap kali seseorang membuka, mencoba membuka, atau mengubahnya, "
        "satu catatan ditulis lebih dulu di jejak audit yang tidak dapat diubah. Laporan ini memuat semua catatan yang menyebut nomor Anda. "
        "Nama, NIK, dan isi data Anda tidak ada di dalamnya."
    )
    return [_p(_("Apa ini?"), H2), _p(text), _p(_("Hak Anda"), H2), *(_point("•", _(right)) for right in RIGHTS)]


def _entries(told: Told, rules: dict[str, tuple[int, str]]) -> list[Flowable]:
    heads = [_("Kapan"), _("Siapa"), _("Yang terjadi"), _("Data"), _("Untuk apa")]
    body = [
        [_when(line, told.zone), _who(line), _what(line), _data(line), _why(line, rules)]
        for line in told.about
    ]  # fmt: skip
    note = _("Terbaru di atas. Nomor entri adalah nomor urut catatan di jejak audit. Waktu menurut jam di kab/kota Anda.")
    found: list[Flowable] = [CondPageBreak(50 * mm), _p(_("Semua yang menyentuh data Anda"), H2), _p(note, SMALL)]
    if not told.seen.whole:
        cut = _(
            "Catatan Anda sangat panjang: hanya %(count)s yang terbaru dimuat di sini. Mintalah sisanya kepada petugas.",
            count=number(seen.MOST),
        )
        found.append(_p(cut, LEAD))
    if told.seen.erased:
        found.append(_p(erased_words(told.seen.erased), SMALL))
    return [*found, _table(heads, body, COLUMNS)]


def erased_words(count: int) -> str:
    """Return what is said of entries that no longer tell whom they name."""
    return _(
        "Muatan %(count)s entri sudah dihapus menurut perintah. Siapa pemilihnya tidak tersimpan lagi, maka entri itu tidak dapat tercantum.",
        count=number(count),
    )


def _readings(told: Told) -> list[Flowable]:
    if not told.readings:
        return []
    body = [[_when(line, told.zone), _who(line), escape(f"{line.what}. {line.became}.")] for line in told.readings]
    note = _("Ini bukan pembukaan data Anda: hanya catatan tentangnya yang dibaca, misalnya untuk menjawab permintaan Anda.")
    heads = [_("Kapan"), _("Siapa"), _("Yang terjadi")]
    return [CondPageBreak(45 * mm), _p(_("Siapa yang membaca catatan ini"), H2), _p(note, SMALL), _table(heads, body, THREE)]


def _meanings(rules: dict[str, tuple[int, str]]) -> list[Flowable]:
    """What the words for views mean, and the rules by their numbers."""
    views = [f"<b>{escape(_(VIEW_LABELS[word]))}</b>: {escape(_(VIEW_MEANINGS[word]))}" for word in ("utuh", "ringkas", "samar", "ada")]
    found: list[Flowable] = [KeepTogether([_p(_("Arti kata"), H2), *(Paragraph(text, SMALL) for text in views)])]
    if rules:
        lines = [Paragraph(f"<b>{at}</b>  {escape(title)} ({escape(rule)})", SMALL) for rule, (at, title) in rules.items()]
        found += [KeepTogether([_p(_("Aturan yang memutus"), H2), *lines[:2]]), *lines[2:]]
    return found


def _checking(told: Told) -> list[Flowable]:
    """Where the log stood, and how somebody who does not trust the KPU checks it."""
    head = told.seen.head
    steps = (
        _(
            "Mintalah bukti sebuah entri (berkas tlog-proof) dan periksa dengan program pemeriksa satu berkas: verify.py receipt BERKAS --key KUNCI."
        ),
        _(
            "Salin checkpoint di bawah ini apa adanya ke sebuah berkas: verify.py checkpoint BERKAS --key KUNCI. Kelak, jejak yang diubah tidak lagi cocok dengannya."
        ),
        _(
            "Nama berkas laporan ini memuat nomor entri pembuatannya. Entri itu memuat sidik SHA-256 berkas ini: laporan yang diubah tidak lagi cocok."
        ),
        _("Program pemeriksa dan kunci jejak dapat diminta di KPU atau Bawaslu; keduanya tidak rahasia."),
    )
    missing = _(
        "Tidak tercantum: pencarian yang membandingkan data di dalam sistem tanpa menampilkannya, dan perubahan langsung di basis data di luar "
        "program ini; yang kedua ditemukan oleh pemeriksaan jejak audit."
    )
    stood = _("Saat laporan ini dibuat, jejak %(log)s memuat %(size)s entri.", log=head.log, size=number(head.size))
    return [
        CondPageBreak(70 * mm),
        _p(_("Cara memeriksa laporan ini"), H2),
        _p(stood),
        *(_point(f"{at}.", step) for at, step in enumerate(steps, 1)),
        Table(
            [[Preformatted(head.checkpoint.rstrip("\n"), CODE)]],
            colWidths=[WIDTH],
            style=[("BOX", (0, 0), (-1, -1), 0.6, LINE), ("BACKGROUND", (0, 0), (-1, -1), PALE)],
        ),
        Spacer(1, 6),
        _p(missing, SMALL),
    ]


class _Cell(Paragraph):  # type: ignore[misc]  # reportlab has no types
    """A cell of a table, laid out once: reportlab would do it anew for every page and draft, which is most of the time a report takes."""

    _laid: tuple[float, tuple[float, float]] | None = None

    def wrap(self, availWidth: float, availHeight: float) -> tuple[float, float]:  # noqa: N803  reportlab's own names
        """Return the size at this width."""
        if self._laid is None or self._laid[0] != availWidth:
            self._laid = (availWidth, super().wrap(availWidth, availHeight))
        return self._laid[1]


class _Cells:
    """Makes cells; equal texts share one, since a report says the same of many entries."""

    def __init__(self) -> None:
        self._made: dict[str, _Cell] = {}

    def __call__(self, markup: str) -> Flowable:
        """Return the cell of *markup*."""
        if markup not in self._made:
            self._made[markup] = _Cell(markup, CELL)
        return self._made[markup]


def _when(line: Line, zone: str) -> str:
    entry = _("entri %(seq)s", seq=number(line.seq)) + (f" ({line.log})" if line.log else "")
    return f"{escape(local(line.at, zone))}<br/>{_soft(entry)}"


def _who(line: Line) -> str:
    where = f"<br/>{_soft(line.where)}" if line.where else ""
    return f"<b>{escape(line.who)}</b>{where}"


def _what(line: Line) -> str:
    return f"{escape(line.what)}<br/><b>{escape(line.became)}</b>"


def _data(line: Line) -> str:
    told = [f"<b>{escape(label)}</b>: {escape(names)}" if label else escape(names) for _word, label, names in line.shown]
    return "<br/>".join(told) or "–"


def _why(line: Line, rules: dict[str, tuple[int, str]]) -> str:
    told = [escape(line.purpose)] if line.purpose else []
    told += [_soft(line.basis)] if line.basis else []
    if line.rules:
        told.append(_soft(_("aturan %(numbers)s", numbers=", ".join(str(rules[rule][0]) for rule, _title in line.rules))))
    if line.mandate:
        told.append(_soft(_("izin %(id)s", id=line.mandate)))
    return "<br/>".join(told) or "–"


def _numbered(lines: Iterable[Line]) -> dict[str, tuple[int, str]]:
    """Return rule id → (its number in this report, its title), in the order of their first mention."""
    named = {rule: title for line in lines for rule, title in line.rules}
    return {rule: (at, title) for at, (rule, title) in enumerate(named.items(), 1)}


def _table(heads: Sequence[str], body: list[list[str]], widths: list[float]) -> Flowable:
    look = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, 0), 1, ACCENT),
        ("LINEBELOW", (0, 1), (-1, -1), 0.4, LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 3),
        ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ("TOPPADDING", (0, 0), (-1, -1), 3.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
    ]
    cell = _Cells()
    rows = [[cell(markup) for markup in row] for row in body]
    # A row stays whole: an entry that is torn over two pages is read wrongly.
    return LongTable([[_p(head, HEAD) for head in heads], *rows], colWidths=widths, repeatRows=1, splitInRow=0, style=look)


def _labelled(label: str, text: str) -> Flowable:
    return Paragraph(f"{_soft(label + ':')} {escape(text)}", TEXT)


def _soft(text: str) -> str:
    return f'<font color="#555a69">{escape(text)}</font>'


def _p(text: str, style: ParagraphStyle = TEXT) -> Flowable:
    """Return a paragraph of plain text; nothing in it is markup."""
    return Paragraph(escape(text), style)


def _point(mark: str, text: str) -> Flowable:
    return Paragraph(escape(text), POINT, bulletText=mark)


def _numbering(foot: str) -> Callable[..., Canvas]:
    """Return a canvas that knows at the end how many pages there are, and writes *foot* and "page x of y" under each."""
    left, words = foot, _("Halaman %(page)s dari %(pages)s", page="{page}", pages="{pages}")

    class Numbered(Canvas):  # type: ignore[misc]  # reportlab has no types
        """Keeps the pages until their number is known."""

        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)
            self._pages: list[dict[str, object]] = []

        def showPage(self) -> None:  # noqa: N802  reportlab's own name
            """Put the page aside and begin the next."""
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            """Write every page with its foot."""
            for at, page in enumerate(self._pages, 1):
                self.__dict__.update(page)
                self.setStrokeColor(LINE)
                self.line(MARGIN, 13 * mm, A4[0] - MARGIN, 13 * mm)
                self.setFont("Helvetica", 7.5)
                self.setFillColor(SOFT)
                self.drawString(MARGIN, 9 * mm, left)
                self.drawRightString(A4[0] - MARGIN, 9 * mm, words.format(page=at, pages=len(self._pages)))
                super().showPage()
            super().save()

    return Numbered
