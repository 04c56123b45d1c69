"""Error pages: what happened, what to do now, the request's id. Never a value, never a difference between absent and refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import structlog
from flask import Flask, Response, redirect, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response as BaseResponse

from app.kernel.clock import Clock, rfc3339
from app.kernel.errors import N_, BadInput, GarduError, NotThere, SignInNeeded, StepUpNeeded, TooMany, Unavailable, WitnessStale
from app.web import csrf
from app.web.i18n import gettext as _
from app.web.i18n import ngettext
from app.web.requests import back, here, kinds, places, request_id

# RFC 9457: problem details.
PROBLEM = "application/problem+json"
# Long enough for a restart or a failover, short enough that nobody gives up.
RETRY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Page:
    """One error page.

    title, happened, remedies: msgids. code: stable, read by machines. retry: in seconds. look: a page of ours that says more.
    """

    status: int
    code: str
    title: str
    happened: str
    remedies: tuple[str, ...]
    retry: int | None = None
    look: str = ""


_TELL = N_("Bila berulang, sampaikan nomor permintaan di bawah kepada admin sistem di satker Anda.")
_PAGES = (
    Page(
        400,
        BadInput.code,
        N_("Isian tidak dapat diproses"),
        BadInput.public,
        (N_("Kembali ke halaman sebelumnya, periksa isian, lalu kirim lagi."), _TELL),
    ),
    Page(
        403,
        "not-allowed",
        N_("Halaman ini bukan untuk peran Anda"),
        N_("Anda sudah masuk, tetapi peran Anda tidak mencakup halaman ini."),
        (N_("Buka beranda untuk melihat tugas peran Anda."), N_("Bila tugas Anda berubah, minta admin sistem menyesuaikan peran Anda.")),
    ),
    Page(
        404,
        NotThere.code,
        N_("Tidak ditemukan"),
        N_("Yang Anda minta tidak ada, atau berada di luar wilayah dan tugas Anda. Demi kerahasiaan, jawabannya sama untuk keduanya."),
        (N_("Periksa alamat atau nomor yang Anda buka."), N_("Pastikan tugas dan wilayah yang Anda pilih sudah benar, lalu cari lagi.")),
    ),
    Page(
        405,
        "method-not-allowed",
        N_("Halaman ini tidak dapat dibuka dengan cara itu"),
        N_("Alamat ini hanya menerima kiriman formulir, atau sebaliknya."),
        (N_("Jangan memuat ulang halaman ini. Buka beranda dan mulai lagi dari sana."),),
    ),
    Page(
        409,
        "conflict",
        N_("Data sudah berubah"),
        N_("Orang lain lebih dulu mengubahnya, atau permintaan ini sudah pernah diproses. Kiriman Anda tidak disimpan."),
        (N_("Kembali dan muat ulang halaman untuk melihat keadaan terbaru, lalu ulangi bila masih perlu."),),
    ),
    Page(
        413,
        "too-large",
        N_("Kiriman terlalu besar"),
        N_("Isian atau berkas yang dikirim melebihi batas. Tidak ada yang disimpan."),
        (N_("Kirim berkas yang lebih kecil, atau pecah menjadi beberapa bagian."),),
    ),
    Page(429, TooMany.code, N_("Terlalu banyak percobaan"), TooMany.public, (_TELL,), retry=300),
    Page(
        500,
        GarduError.code,
        N_("Terjadi kesalahan di dalam sistem"),
        N_("Permintaan Anda tidak selesai. Kesalahan ini sudah tercatat, tanpa isi data pemilih."),
        (N_("Coba sekali lagi beberapa saat lagi."), _TELL),
    ),
    Page(
        503,
        Unavailable.code,
        N_("Layanan berhenti sementara"),
        Unavailable.public,
        (N_("Tunggu sebentar lalu muat ulang halaman ini."), N_("Selama gangguan, tidak ada data pemilih yang ditampilkan."), _TELL),
        retry=RETRY_SECONDS,
    ),
)
PAGES: Mapping[int, Page] = {page.status: page for page in _PAGES}
_FORM_EXPIRED = Page(
    400,
    "form-expired",
    N_("Formulir sudah kedaluwarsa"),
    csrf.EXPIRED,
    (N_("Kembali ke halaman sebelumnya."), N_("Muat ulang halaman itu."), N_("Isi dan kirim sekali lagi.")),
)

_WITNESS = Page(
    503,
    WitnessStale.code,
    N_("Menunggu tanda tangan saksi"),
    WitnessStale.public,
    (
        N_(
            "Yang menunggu hanya ini: membuka data dari provinsi lain, dan perubahan yang harus dilihat saksi lebih dulu. Pekerjaan di provinsi sendiri tetap berjalan."
        ),
        N_("Tunggu sebentar lalu muat ulang halaman ini: saksi ditanya lagi setiap beberapa detik."),
        N_("Lihat di jejak audit publik kapan saksi terakhir menandatangani. Bila sudah lebih dari satu jam, beri tahu petugas keamanan."),
    ),
    retry=RETRY_SECONDS,
    look="/log",
)


def install(app: Flask, *, clock: Clock, logger: structlog.typing.FilteringBoundLogger) -> None:
    """Give every failure in *app* a page: leaves of GarduError by status, HTTP errors by code, all else as 500."""

    def log(error: Exception, code: str, status: int, detail: str = "") -> None:
        logger.error(
            "error",
            at=rfc3339(clock.now()),
            request=request_id(),
            status=status,
            code=code,
            detail=detail,
            kinds=kinds(error),
            places=places(error),
        )

    @app.errorhandler(GarduError)
    def _ours(error: GarduError) -> BaseResponse:
        if isinstance(error, SignInNeeded):
            return _sign_in(error)
        if isinstance(error, StepUpNeeded) and not _wants_json():
            return redirect(f"/step-up?{urlencode({'next': here()}, safe='/')}", 303)
        page = page_for(error)
        if page.status >= 500:
            log(error, error.code, page.status, error.detail)
        return _answer(page)

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> BaseResponse:
        page = _page_of(error.code or 500)
        if page.status >= 500:
            log(error, page.code, page.status)
        response = _answer(page)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response

    @app.errorhandler(Exception)
    def _unknown(error: Exception) -> BaseResponse:
        log(error, GarduError.code, 500)
        return _answer(PAGES[500])


def page_for(error: GarduError) -> Page:
    """Return the page that suits *error*. Absent and refused give one and the same page."""
    if isinstance(error, BadInput) and error.field == csrf.FIELD:
        return _FORM_EXPIRED
    if isinstance(error, WitnessStale):
        return _WITNESS
    page = replace(_page_of(error.status), code=error.code)
    if isinstance(error, TooMany):
        return replace(page, retry=max(1, int(error.wait)))
    # The general sentences of 403, 404 and 409 say more than the leaf's own; a sentence given by the room says more still.
    return page if error.public == type(error).public and page.status in {403, 404, 409} else replace(page, happened=error.public)


def _page_of(status: int) -> Page:
    return PAGES.get(status) or replace(PAGES[400 if 400 <= status < 500 else 500], status=status)


def _sign_in(error: SignInNeeded) -> BaseResponse:
    """Lead to the login page and back; 303 so that a form is never sent again to it."""
    if _wants_json():
        return _problem(Page(401, error.code, N_("Belum masuk"), error.public, ()))
    query = {"next": here()} | ({"expired": "1"} if error.expired else {})
    return redirect(f"/login?{urlencode(query, safe='/')}", 303)


def _answer(page: Page) -> BaseResponse:
    response = _problem(page) if _wants_json() else _html(page)
    if page.retry is not None:
        response.headers["Retry-After"] = str(page.retry)
    return response


def _html(page: Page) -> Response:
    values = {
        "status": page.status,
        "title": _(page.title),
        "happened": _(page.happened),
        "remedies": [*_waiting(page), *(_(remedy) for remedy in page.remedies)],
        "request_id": request_id(),
        "back_url": back(),
        "look": page.look,
    }
    try:
        body = render_template("error.html", **values)
    except Exception:  # whatever broke the request may break the shell (person, keys); the bare page needs nothing
        body = render_template("error_bare.html", **values)
    return Response(body, page.status, mimetype="text/html")


def _waiting(page: Page) -> list[str]:
    if page.status != TooMany.status or page.retry is None:
        return []
    minutes = -(-page.retry // 60)
    return [ngettext("Tunggu %(num)s menit, lalu coba lagi.", "Tunggu %(num)s menit, lalu coba lagi.", minutes)]


def _problem(page: Page) -> Response:
    body = {
        "type": f"urn:gardu:error:{page.code}",
        "title": _(page.title),
        "status": page.status,
        "detail": _(page.happened),
        "code": page.code,
        "request": request_id(),
    }
    return Response(json.dumps(body, ensure_ascii=False), page.status, mimetype=PROBLEM)


def _wants_json() -> bool:
    accept = request.accept_mimetypes
    best = accept.best_match(("text/html", "application/json", PROBLEM), default="text/html")
    return best != "text/html" and accept[best] > accept["text/html"]
