"""What a stranger sends in to be checked: made into text or refused in words, then handed to the one-file verifier. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from app import verifier
from app.kernel.errors import N_, BadInput

# A receipt is some kilobytes: an entry has at most 32 KiB, its base64 43; the rest is hashes and signatures.
MOST = 64 * 1024
_KEYS_MOST = 8 * 1024
_EMPTY = N_("Tempelkan isi tanda terima atau titik periksa, atau pilih berkasnya.")
LONG = N_(
    "Terlalu panjang: paling banyak 64 KiB. Tanda terima atau titik periksa hanya beberapa kilobyte; periksa ekspor dengan verify.py."
)
_PICTURE = N_("Ini bukan teks: gambar, PDF, atau arsip. Kirim berkas tanda terimanya sendiri (.tlog-proof), bukan fotonya.")
_PAGE = N_("Ini halaman web, bukan tanda terima. Unduh berkasnya lewat tautan unduh, lalu kirim berkas itu.")
_CONTROL = N_("Ada karakter kendali di dalamnya. Salin lagi dari berkas aslinya, tanpa lewat pengolah kata.")
_OTHER = N_(
    "Ini bukan tanda terima (baris pertama c2sp.org/tlog-proof@v1) dan bukan titik periksa. Bila hanya sebagian yang tersalin, salin seluruh isi berkasnya."
)
_KEY = N_("Ini bukan kunci pemeriksa. Bentuknya nama+8 heksa+base64, satu di tiap baris.")


def parse_paste(raw: bytes) -> str:
    """Return what was sent as the text of a receipt, a checkpoint or an export. Raises BadInput (field ``text``) saying what it is instead."""
    if len(raw) > MOST:
        raise _wrong("too long", LONG)
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").strip(" \t\r\n")
    except UnicodeDecodeError:
        raise _wrong("not UTF-8", _PICTURE) from None
    if not text:
        raise _wrong("empty", _EMPTY)
    if "\0" in text or text.startswith("%PDF-"):
        raise _wrong("not text", _PICTURE)
    if text[:200].lower().lstrip().startswith(("<!doctype", "<html", "<?xml", "<svg", "<")):
        raise _wrong("HTML", _PAGE)
    if any((one < " " and one not in "\n\t") or "\x7f" <= one <= "\x9f" for one in text):
        raise _wrong("a control character", _CONTROL)
    if not (text.startswith((verifier.PROOF_MAGIC, "{")) or "\n— " in text):
        raise _wrong("another kind of text", _OTHER)
    return text


def parse_keys(text: str) -> str:
    """Return verifier keys that a stranger brought, one a line, or "". Raises BadInput (field ``key``)."""
    kept = "\n".join(line.strip() for line in text[: _KEYS_MOST + 1].splitlines() if line.strip())
    if len(text) > _KEYS_MOST or any(
        verifier.parse_key(line, (verifier.LOG, verifier.ML_DSA)) is None for line in kept.split("\n") if line
    ):
        raise BadInput("not verifier keys", field="key", public=_KEY)
    return kept


def check(text: str, keys: str, policy: str | None, now: datetime, *, english: bool) -> verifier.Report:
    """Run the one-file verifier over *text* by *keys* and, unless None, a *policy*; whatever is wrong stands in the report."""
    return verifier.check_text("auto", text, key=keys, policy=policy, english=english, now=now.timestamp())


def lacks_witness(report: verifier.Report) -> bool:
    """Say whether all that is missing is a witness's signature: the log signed it, and nothing contradicts it."""
    return report.code == 2 and report.facts.get("signed") is True and report.facts.get("quorum") is False


def members(report: verifier.Report) -> Mapping[str, object] | None:
    """Return the members of the entry that *report* is about, when it did not turn out to be tampered with."""
    found = report.facts.get("entry")
    return found if isinstance(found, dict) and report.code != 1 else None


def _wrong(detail: str, public: str) -> BadInput:
    return BadInput(detail, field="text", public=public)
