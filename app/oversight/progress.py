"""What pages say of background work: the log's verifications, and exports. Asks no database and records nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.identity.room import Card
from app.jobs.desk import JobView
from app.oversight import asking, exporting, words
from app.web.i18n import gettext as _

# A log that nobody has verified for a week is asked to be (smki.md, check 2, wants more; the watch room brings it).
STALE = timedelta(days=7)


def job_row(job: JobView, who: str) -> dict[str, object]:
    """Return a verification for the page; who: the name of whoever began it."""
    return {
        "uid": job.uid, "url": f"/audit/verify/{job.uid}", "who": who, "state": job.state, "state_word": _(words.JOB_STATES[job.state]),
        "share": job.share, "done": job.done, "total": job.total, "over": job.over, "error": _(job.error) if job.error else "",
        "at": job.created_at, "finished_at": job.finished_at, "store": bool(job.detail.get("store")), "found": job.result.get("found"),
        "size": job.result.get("size"), "recorded": job.result.get("recorded", True), "checkpoint": job.result.get("checkpoint", ""),
    }  # fmt: skip


def export_row(job: JobView, now: datetime) -> dict[str, object]:
    """Return an export for the page."""
    kept = exporting.is_kept(job, now)
    return {
        "url": f"/audit/export/{job.uid}", "state": job.state, "share": job.share, "over": job.over, "error": _(job.error) if job.error else "",
        "at": job.created_at, "kept": kept, "until": job.finished_at + exporting.KEPT if kept and job.finished_at else None,
        "form": str(job.detail.get("form", "")).upper(), "rows": job.result.get("rows"), "seq": job.result.get("seq"),
        "sha256": job.result.get("sha256", ""), "back": asking.address(job_given) if isinstance(job_given := job.detail.get("given"), dict) else "/audit",
    }  # fmt: skip


def cards(jobs: Sequence[JobView], now: datetime) -> list[Card]:
    """Return what the home page says of the log's verification: running, failed, due, or good."""
    running = next((job for job in jobs if not job.over), None)
    if running is not None:
        text = _("Sudah %(share)s persen.", share=running.share) if running.share is not None else _("Menunggu giliran.")
        return [Card(f"/audit/verify/{running.uid}", _("Pemeriksaan jejak berjalan"), text)]
    last = next((job for job in jobs if job.state == "done"), None)
    if last is not None and last.result.get("found"):
        text = _("Pemeriksaan terakhir menemukan yang tidak cocok. Lihat sekarang juga.")
        return [Card(f"/audit/verify/{last.uid}", _("Jejak audit tidak cocok"), text, _("Lihat temuan"), waits=True)]
    if last is None or now - last.created_at > STALE:
        text = _("Jejak belum diperiksa seluruhnya dalam tujuh hari terakhir.")
        return [Card("/audit/verify", _("Periksa seluruh jejak"), text, _("Mulai pemeriksaan"), waits=True)]
    return [Card("/audit/verify", _("Pemeriksaan jejak"), _("Pemeriksaan terakhir: seluruhnya cocok."))]
