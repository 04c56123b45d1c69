"""Time stamps (RFC 3161): an authority that the KPU does not run says until when a published checkpoint existed.

1. *due*: the newest published checkpoint, once an hour.
2. *ask*: its note's SHA-256 and a fresh nonce go to the authority; the log itself never does.
3. *check*: the answer is granted, over this note and this nonce, signed under a configured root by a certificate for time stamps.
4. *keep*: the whole answer, as it came, beside the checkpoint; anybody can check it again (docs/timestamps.md).

A checkpoint without a stamp is as valid as before; it only has no moment but the guard's own clock. So absence is shown (``gaps``).
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from socket import SHUT_RDWR, socket
from threading import Timer
from urllib.parse import urlsplit

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app.audit.tables import TrailEntry, TrailPublished, TrailStamp
from app.kernel.clock import rfc3339
from app.kernel.errors import N_, BadInput, Conflict, SealBroken, Unavailable
from app.store.engine import Store

# An answer with a chain of four RSA certificates is about 8 KiB.
MAX_BYTES = 64 * 1024
TIMEOUT_SECONDS = 20.0
# The guard's clock is kept by NTP and an authority's by law: further apart, one of them is wrong, and an hour is not an hour.
MAX_APART = timedelta(minutes=5)
# An entry names the moment at which its work began, and stands in the log when it is done.
AT_WORK = timedelta(minutes=30)
HOUR = timedelta(hours=1)
_QUERY, _REPLY = "application/timestamp-query", "application/timestamp-reply"
# The one sentence in OpenSSL's stack of errors that is written for people.
_PLAIN = re.compile(r'Verify error: ([^"]+)"')
_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")

GARBLED = N_("Jawaban otoritas stempel waktu tidak dapat dibaca.")
REFUSED = N_("Otoritas stempel waktu tidak memberikan stempel.")
IMPRINT = N_("Stempel waktu ini bukan atas titik periksa yang diumumkan pada ukuran itu.")
NONCE = N_("Stempel waktu ini bukan jawaban atas permintaan yang dikirim.")
CHAIN = N_("Tanda tangan stempel waktu tidak sah, atau sertifikatnya tidak berpangkal pada akar yang ditetapkan.")
USAGE = N_("Penanda tangan stempel waktu tidak bersertifikat khusus untuk stempel waktu.")
EXPIRED = N_("Sertifikat stempel waktu tidak berlaku pada saat yang disebut stempelnya.")
MOMENT = N_("Saat yang dicatat di samping stempel waktu berbeda dari saat di dalam stempelnya.")
BACKDATED = N_("Ada entri sesudah stempel waktu ini yang bertanggal jauh sebelumnya: tanggalnya dimundurkan, atau jam mesin salah.")
AHEAD = N_("Ada entri dalam pohon yang distempel ini yang bertanggal sesudah stempelnya: tanggal entri atau jam mesin salah.")
ORPHAN = N_("Ada stempel waktu untuk titik periksa yang tidak pernah diumumkan.")
NO_ROOTS = N_("Berkas akar otoritas stempel waktu tidak berisi sertifikat PEM yang sah.")
SILENT = N_("Otoritas stempel waktu tidak menjawab sebagaimana mestinya. Stempel dicoba lagi kemudian.")
CLOCKS = N_("Jam mesin ini dan jam otoritas stempel waktu berselisih lebih dari lima menit. Periksa jam mesin.")


def take(store: Store, log: str, url: str, roots: bytes, now: datetime) -> datetime | None:
    """Have what is due stamped and stored, and return the moment the authority named; None when nothing is due.

    Raises Unavailable (no usable answer, or the clocks are apart), BadInput and SealBroken as ``check``, Conflict (another process
    was first), StoreDown.
    """
    published = stamp_due(store, log, now)  # (1)
    if published is None:
        return None
    query, nonce = request(published.note)
    token = fetch(url, query)  # (2)
    at = check(token, published.note, roots, nonce)  # (3)
    if abs(at - now) > MAX_APART:
        raise Unavailable(f"the time-stamping authority says {rfc3339(at)}, this machine {rfc3339(now)}", public=CLOCKS)
    store_stamp(store, log, published.size, url, token, at)  # (4)
    return at


# ---- asking ----


def request(note: str) -> tuple[bytes, int]:
    """Return a query's DER and its nonce (64 random bits): SHA-256 over the note's UTF-8 bytes, the certificate wanted with it."""
    query = TimestampRequestBuilder().data(note.encode("utf-8")).hash_algorithm(HashAlgorithm.SHA256).build()
    assert query.nonce is not None
    return query.as_bytes(), query.nonce


def fetch(url: str, query: bytes, timeout: float = TIMEOUT_SECONDS) -> bytes:
    """Send *query* and return the answer's bytes, at most 64 KiB (RFC 3161 section 3.4). No redirect is followed, no proxy asked.

    url: ``https://…``, or ``http://…`` as the settings allow it. timeout: seconds for each step and for the whole answer.
    Raises Unavailable, saying in words what came instead of an answer.
    """
    site = urlsplit(url)
    connection = (HTTPConnection if site.scheme == "http" else HTTPSConnection)(site.hostname or "", site.port, timeout=timeout)
    try:
        return _exchange(connection, f"{site.path or '/'}{'?' if site.query else ''}{site.query}", query, timeout)
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(f"time-stamping authority {site.netloc}: {error or type(error).__name__}", public=SILENT) from None
    finally:
        connection.close()


def _exchange(connection: HTTPConnection, target: str, query: bytes, timeout: float) -> bytes:
    connection.connect()
    begun = time.monotonic()
    # A timeout counts from byte to byte: without this, an answer that drips would hold us for hours.
    hang_up = Timer(timeout, _shut, [connection.sock])
    hang_up.start()
    try:
        connection.request("POST", target, query, {"Content-Type": _QUERY, "Accept": _REPLY})
        with connection.getresponse() as answer:
            kind = answer.headers.get_content_type()
            if answer.status != 200 or kind != _REPLY:
                raise HTTPException(f"answered {answer.status} {kind}, not 200 {_REPLY}")
            body = answer.read(MAX_BYTES + 1)
    except (OSError, HTTPException, ValueError):
        if time.monotonic() - begun >= timeout:
            raise TimeoutError(f"no whole answer within {timeout:g} s") from None
        raise
    finally:
        hang_up.cancel()
    if time.monotonic() - begun >= timeout:
        raise TimeoutError(f"no whole answer within {timeout:g} s")
    if len(body) > MAX_BYTES:
        raise HTTPException(f"an answer of more than {MAX_BYTES} bytes")
    return body


def _shut(line: socket) -> None:
    try:
        line.shutdown(SHUT_RDWR)
    except OSError:
        return  # closed already: there is nobody left to wait


# ---- checking ----


def check(token: bytes, note: str, roots: bytes, nonce: int | None = None) -> datetime:
    """Check an answer (DER of a TimeStampResp) over *note* and return the moment it names, aware, in UTC.

    roots: PEM; the certificates are held against the stamp's own moment, so a stamp outlives the certificate that made it.
    nonce: of the query, while it is known; None for a stored stamp. Raises BadInput when it is no answer, no stamp was granted, or
    *roots* holds none; SealBroken when the stamp does not hold: another imprint or nonce, signature, chain, usage, validity.
    """
    trusted = _roots(roots)
    answer, said = _decoded(token)
    digest = hashlib.sha256(note.encode("utf-8")).digest()
    if said.algorithm != _SHA256 or said.digest != digest:
        raise SealBroken("time stamp: imprint of something else", public=IMPRINT)
    if nonce is not None and said.nonce != nonce:
        raise SealBroken("time stamp: nonce of another query", public=NONCE)
    try:
        VerifierBuilder(roots=trusted).build().verify(answer, digest)
    except (VerificationError, ValueError) as error:
        plain = _PLAIN.search(str(error))
        words = plain[1] if plain else str(error)
        raise SealBroken(f"time stamp: {words}", public=_reason(words)) from None
    return said.at


def _roots(pem: bytes) -> list[x509.Certificate]:
    try:
        return list(dict.fromkeys(x509.load_pem_x509_certificates(pem)))
    except ValueError:
        raise BadInput("timestamp_roots holds no valid PEM certificate", field="timestamp_roots", public=NO_ROOTS) from None


@dataclass(frozen=True, slots=True)
class _Said:
    """What a stamp claims, before its signature is checked."""

    algorithm: x509.ObjectIdentifier
    digest: bytes
    nonce: int | None
    at: datetime


def _decoded(token: bytes) -> tuple[TimeStampResponse, _Said]:
    try:
        answer = decode_timestamp_response(token)
        if answer.status != PKIStatus.GRANTED:
            # The authority's own words, for operators; cut, since a stranger chose them.
            words = f"status {answer.status}, not granted: {' '.join(answer.status_string)[:200]!r}"
            raise BadInput(f"time stamp: {words}", field="token", public=REFUSED)
        info = answer.tst_info  # parsed only now, and each member when it is asked for
        imprint = info.message_imprint
        return answer, _Said(imprint.hash_algorithm, imprint.message, info.nonce, info.gen_time.astimezone(UTC))
    except ValueError as error:
        raise BadInput(f"time stamp: {error}", field="token", public=GARBLED) from None


def _reason(words: str) -> str:
    """Return the sentence for what the verifier said. Only the sentence depends on its words, never the verdict."""
    if "EKU" in words or "purpose" in words:
        return USAGE
    return EXPIRED if "expired" in words or "not yet valid" in words else CHAIN


# ---- keeping ----


def stamp_due(store: Store, log: str, now: datetime) -> TrailPublished | None:
    """Return the newest published checkpoint if it has no stamp and this hour (of the clock, UTC) has none yet. Raises StoreDown."""
    with store.reading() as session:
        query = select(TrailPublished).where(TrailPublished.log == log).order_by(TrailPublished.size.desc()).limit(1)
        published = session.scalars(query).one_or_none()
        session.expunge_all()  # the row is handed out; the end of reading would empty it
    last = newest(store, log)
    if published is None or (last is not None and (last.size >= published.size or last.at >= _hour(now))):
        return None
    return published


def store_stamp(store: Store, log: str, size: int, authority: str, token: bytes, at: datetime) -> None:
    """Keep a checked stamp for good. at: the moment it names. Raises Conflict when that checkpoint has one, StoreDown."""
    try:
        with store.writing() as session:
            session.add(TrailStamp(log=log, size=size, authority=authority, token=token, at=at))
    except IntegrityError:
        raise Conflict(f"checkpoint {size} of {log} has a time stamp already") from None


def newest(store: Store, log: str) -> TrailStamp | None:
    """Return the stamp of the largest checkpoint. Raises StoreDown."""
    with store.reading() as session:
        kept = session.scalars(select(TrailStamp).where(TrailStamp.log == log).order_by(TrailStamp.size.desc()).limit(1)).one_or_none()
        session.expunge_all()
    return kept


def gaps(store: Store, log: str, since: datetime, until: datetime) -> list[datetime]:
    """Return the beginnings of the hours in [since, until) whose entries no stamp covered by the end of the hour after.

    An hour without entries needs no stamp; one whose time is not yet up at *until* is not judged. Costs a small query an hour.
    Raises StoreDown.
    """
    found = []
    hour = _hour(since) if since == _hour(since) else _hour(since) + HOUR
    with store.reading() as session:
        kept = session.execute(select(TrailStamp.size, TrailStamp.at).where(TrailStamp.log == log, TrailStamp.at >= hour - MAX_APART)).all()
        while hour + 2 * HOUR <= until:
            within = (TrailEntry.log == log, TrailEntry.at >= hour, TrailEntry.at < hour + HOUR)
            last = session.scalar(select(TrailEntry.seq).where(*within).order_by(TrailEntry.at.desc(), TrailEntry.seq.desc()).limit(1))
            if last is not None and not any(size > last and at < hour + 2 * HOUR for size, at in kept):
                found.append(hour)
            hour += HOUR
    return found


def verify_stamps(store: Store, log: str, roots: bytes) -> Iterator[tuple[int, str | None]]:
    """Check every stored stamp against *roots*, smallest checkpoint first; yield its size, and a msgid saying what is wrong or None.

    Raises BadInput when *roots* holds no certificate, StoreDown.
    """
    _roots(roots)
    joined = (TrailPublished.log == TrailStamp.log) & (TrailPublished.size == TrailStamp.size)
    query = select(TrailStamp.size, TrailStamp.token, TrailStamp.at, TrailPublished.note).outerjoin(TrailPublished, joined)
    with store.reading() as session:
        rows = session.execute(query.where(TrailStamp.log == log).order_by(TrailStamp.size).execution_options(yield_per=200))
        for size, token, at, note in rows:
            yield size, _finding(token, note, roots, at)


def contradictions(store: Store, log: str) -> Iterator[tuple[int, str]]:
    """Yield (size, msgid) for each stamp whose moment the entries around it contradict.

    What is in the stamped tree was made before the stamp, and what came after it was not made long before: an entry dated back would
    stand in what was stamped. Reads every entry's moment once, piece by piece. Raises StoreDown.
    """
    with store.reading() as session:
        stamps = session.execute(select(TrailStamp.size, TrailStamp.at).where(TrailStamp.log == log).order_by(TrailStamp.size))
        kept: list[tuple[int, datetime | None]] = [(0, None), *((size, at) for size, at in stamps)]
        for (size, since), (end, until) in zip(kept, [*kept[1:], (2**63 - 1, None)], strict=True):
            between = (TrailEntry.log == log, TrailEntry.seq >= size, TrailEntry.seq < end)
            first, last = session.execute(select(func.min(TrailEntry.at), func.max(TrailEntry.at)).where(*between)).one()
            if since is not None and first is not None and first < since - AT_WORK:
                yield size, BACKDATED
            if until is not None and last is not None and last > until + MAX_APART:
                yield end, AHEAD


def _finding(token: bytes, note: str | None, roots: bytes, at: datetime) -> str | None:
    if note is None:
        return ORPHAN
    try:
        return None if check(token, note, roots) == at else MOMENT
    except (BadInput, SealBroken) as error:
        return error.public


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
