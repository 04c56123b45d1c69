"""A small application around the shell: routes that show every template with made-up people, and fail in every way."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import segno
from flask import Flask, abort, g, redirect, render_template, request
from werkzeug.wrappers import Response

from app.identity.room import Card
from app.kernel.actor import Actor
from app.kernel.errors import BadInput, Conflict, NotAllowed, NotThere, SealBroken, SignInNeeded, StepUpNeeded, TooMany, TrailDown
from app.kernel.fields import Role
from app.web import csrf, i18n, pages
from app.web.requests import json_logger, safe_next

NOW = datetime(2026, 11, 24, 3, 30, 12, tzinfo=UTC)
MARK = "5171019999990001"  # what must never be in a log line
ELEMENTS = [
    ("nkk", "Nomor KK", "samar", "517101··········"),
    ("nik", "NIK", "utuh", "5171014107900001"),
    ("nama", "Nama", "utuh", "NI LUH PUTU SINTETIS DEWI ANGGRAENI"),
    ("tempat_lahir", "Tempat lahir", "ringkas", "Denpasar"),
    ("tanggal_lahir", "Tanggal lahir", "ringkas", "38 tahun pada hari pemungutan suara"),
    ("status_kawin", "Status perkawinan", "utuh", "S"),
    ("jenis_kelamin", "Jenis kelamin", "utuh", "P"),
    ("alamat", "Alamat", "utuh", "JALAN CONTOH PANJANG SEKALI GANG MAWAR NOMOR 12 BANJAR UJI"),
    ("rt", "RT", "utuh", ""),
    ("rw", "RW", "utuh", "02"),
    ("disabilitas", "Disabilitas", "tutup", None),
    ("ktp_el", "Status KTP-el", "ada", None),
    ("keterangan", "Keterangan", "ada", None),
]
TASKS = [
    ("pemutakhiran", "Pemutakhiran daftar pemilih", "Memeriksa dan memperbaiki data pemilih di wilayah Anda."),
    ("sengketa", "Sengketa", "Menyiapkan bukti untuk perkara yang sedang berjalan."),
]


class StillClock:
    """A clock that stands at NOW."""

    def now(self) -> datetime:
        return NOW


@dataclass
class FakeApp:
    """The application, what it logged, and who is signed in."""

    app: Flask
    out: io.StringIO
    signed_in: bool = True

    def lines(self) -> list[dict[str, object]]:
        """Return the log as parsed lines."""
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


def person() -> SimpleNamespace:
    return SimpleNamespace(name="I Wayan Contoh Pratama", username="wayan.contoh", language=None, office="kpu-51.71")


def actor() -> Actor:
    return Actor("a" * 26, "kpu-51.71", "data", Role.KPU_KAB, frozenset({Role.KPU_KAB, Role.PENYETUJU}), "51.71", "r" * 26)


def receipt() -> SimpleNamespace:
    return SimpleNamespace(seq=48213, leaf_hex="9f" * 32, log="demo.localhost/gardu/1", url="/me/activity/48213/receipt")


def elements() -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            element=element,
            label=label,
            view=view,
            view_label=i18n.gettext(pages.VIEW_LABELS[view]),
            value=value,
            rules=[("kpu-kab-sipil", "Operator membaca data sipil di wilayahnya")] if view != "tutup" else [],
            basis="PKPU 7/2022 pasal 15 ayat (2)",
            owner="Divisi Data dan Informasi, KPU RI",
            more="Ajukan permohonan akses dengan dasar hukum dan masa berlaku kepada pemilik data di satker Anda.",
        )
        for element, label, view, value in ELEMENTS
    ]


def activity_rows() -> list[SimpleNamespace]:
    row = SimpleNamespace(
        seq=48213,
        at=NOW - timedelta(minutes=5),
        action_label="Membuka data pemilih",
        outcome="allowed",
        outcome_label="diizinkan",
        purpose_label="Pemutakhiran daftar pemilih",
        scope_name="Kota Denpasar",
        count=1,
        receipt_url="/me/activity/48213/receipt",
    )
    login = SimpleNamespace(
        **{**vars(row), "seq": 48200, "action_label": "Masuk", "outcome": "done", "outcome_label": "selesai"},
    )
    login.purpose_label = login.scope_name = login.count = None
    denied = SimpleNamespace(**{**vars(row), "seq": 48190, "outcome": "denied", "outcome_label": "ditolak", "receipt_url": None})
    return [row, login, denied]


def result_rows() -> list[dict[str, object]]:
    cells = [("Nama", "utuh", "NI LUH PUTU SINTETIS"), ("NIK", "samar", "517101··········"), ("Jenis kelamin", "utuh", "P")]
    more = [("Tanggal lahir", "ringkas", "38"), ("Alamat", "tutup", None), ("Keterangan", "ada", None)]
    return [{"url": f"/voters/51.71-{'a' * 25}{n}", "cells": cells + more} for n in "bcd"]


def code_page(**more: object) -> dict[str, object]:
    return {"error": None, "clock_hint": False, "server_time": NOW, **more}


WRONG = "Kode ini tidak cocok atau sudah dipakai. Tunggu kode berikutnya di ponsel Anda, lalu ketik yang baru."


def qr() -> str:
    return str(segno.make("otpauth://totp/Gardu:contoh?secret=GEZDGNBVGY3TQOJQ&issuer=Gardu").svg_data_uri(scale=4, border=4))


# Every page as (path, template, signed in?, values); the axe test opens each of them.
PAGES: dict[str, tuple[str, bool, Callable[[], dict[str, object]]]] = {
    "login": ("login.html", False, lambda: {"error": None, "notice": None, "next": "/voters", "username": ""}),
    "login-wrong": (
        "login.html",
        False,
        lambda: {"error": "Nama pengguna atau kata sandi tidak cocok.", "notice": None, "next": "/", "username": "wayan"},
    ),
    "totp": ("totp.html", False, code_page),
    "totp-wrong": ("totp.html", False, lambda: code_page(error=WRONG, clock_hint=True)),
    "enrol": ("enrol.html", False, lambda: code_page(qr=qr(), secret_groups=["GEZD", "GNBV", "GY3T", "QOJQ"] * 2)),
    "step-up": ("step_up.html", True, lambda: code_page(purpose_label="Pemutakhiran daftar pemilih", next="/voters")),
    "step-up-wrong": ("step_up.html", True, lambda: code_page(purpose_label="Sengketa", next="/", error=WRONG, clock_hint=True)),
    "password": ("password.html", True, lambda: {"forced": False, "error": None, "min_length": 14}),
    "password-forced": (
        "password.html",
        False,
        lambda: {"forced": True, "error": "Kedua isian kata sandi baru tidak sama.", "min_length": 14},
    ),
    "activity": ("activity.html", True, lambda: {"rows": activity_rows(), "next_before": 48190, "zone_office": "kpu-51.71"}),
    "activity-empty": ("activity.html", True, lambda: {"rows": [], "next_before": None, "zone_office": "kpu-51.71"}),
    "home": (
        "home.html",
        True,
        lambda: {
            "cards": [
                SimpleNamespace(title="Cari pemilih", text="Pilih tugas, lalu cari.", url="/voters"),
                SimpleNamespace(title="Permohonan menunggu", text="Dua menunggu.", url="/voters", action="Buka antrean"),
            ],
            "first_steps": [],
            "waiting": [Card("/voters", "Dua permintaan menunggu", "Yang tertua sejak tiga hari.", "Putuskan", waits=True)],
        },
    ),
    "home-empty": (
        "home.html",
        True,
        lambda: {"waiting": [], "cards": [], "first_steps": [Card("/voters", "Minta admin memuat DP4.", "Lalu pilih tahapan.", "Mulai")]},
    ),
    "search-task": (
        "voters/search.html",
        True,
        lambda: {"tasks": TASKS, "task": None, "regions": [("51.71", "Kota Denpasar")], "region": "51.71", "desa": [], "error": None},
    ),
    "search": (
        "voters/search.html",
        True,
        lambda: {
            "tasks": TASKS,
            "task": "pemutakhiran",
            "regions": [("51.71", "Kota Denpasar"), ("51.03", "Kabupaten Badung")],
            "region": "51.71",
            "desa": [("51.71.01.1001", "Sesetan · Kec. Denpasar Selatan"), ("51.71.01.1002", "Pedungan · Kec. Denpasar Selatan")],
            "may_nik": True,
            "may_nkk": True,
            "may_name": True,
            "may_street": True,
            "error": "NIK terdiri dari 16 angka. Yang Anda ketik 15.",
        },
    ),
    "search-place": (
        "voters/search.html",
        True,
        lambda: {
            "tasks": TASKS[:1],
            "task": "pemutakhiran",
            "regions": [("51.71", "Kota Denpasar")],
            "region": "51.71",
            "desa": [("51.71.01.1001", "Sesetan")],
            "may_nik": False,
            "may_nkk": False,
            "may_name": False,
            "may_street": False,
            "error": None,
        },
    ),
    "results": (
        "voters/results.html",
        True,
        lambda: {
            "how": "Sesetan, TPS 012",
            "rows": result_rows(),
            "count": "3 pemilih di halaman ini.",
            "receipt": receipt(),
            "next_form": {"purpose": "pemutakhiran", "region": "51.71", "desa": "51.71.01.1001", "tps": "012", "before": "a" * 26},
            "empty": False,
            "broken": 1,
        },
    ),
    "results-empty": (
        "voters/results.html",
        True,
        lambda: {"how": "NIK", "rows": [], "count": "", "receipt": receipt(), "next_form": None, "empty": True, "broken": 0},
    ),
    "voter": (
        "voters/voter.html",
        True,
        lambda: {
            "public_id": "51.71-" + "abcdefghijklmnopqrstuvwxy2",
            "place": [("Kab/kota", "Kota Denpasar"), ("Kecamatan", "Denpasar Selatan"), ("Desa/kelurahan", "Sesetan")],
            "tps": "012",
            "election": "2029",
            "stage_label": "Daftar Pemilih Sementara (DPS)",
            "elements": elements(),
            "receipt": receipt(),
            "offer": ["Nomor KK", "Disabilitas"],
            "step_up_url": "/step-up?next=/voters/x",
            "back_url": "/voters",
        },
    ),
}
FAILURES: dict[str, Callable[[], Exception]] = {
    "bad": lambda: BadInput(MARK),
    "said": lambda: BadInput(MARK, public="NIK terdiri dari 16 angka."),
    "not-allowed": lambda: NotAllowed(MARK),
    "not-there": lambda: NotThere("absent"),
    "refused": lambda: NotThere("refused by policy"),
    "conflict": lambda: Conflict(MARK),
    "too-many": lambda: TooMany(wait=119),
    "seal": lambda: SealBroken("voter row abc cell c02"),
    "trail": lambda: TrailDown("disk full"),
    "sign-in": lambda: SignInNeeded(),
    "expired": lambda: SignInNeeded(expired=True),
    "step-up": lambda: StepUpNeeded(),
    "surprise": lambda: ValueError(MARK),
}


def make_fake(*, demo: bool = True, origin: str = "http://127.0.0.1:8000") -> FakeApp:
    """Build the application; its gate signs everybody in unless ``signed_in`` is false or the page is one from before that."""
    app, out = Flask("app.web", static_folder=None), io.StringIO()
    fake = FakeApp(app, out)
    app.config.update(GARDU_CSRF_KEY=b"k" * 32, MAX_CONTENT_LENGTH=4096)
    pages.install(
        app,
        demo=demo,
        public_origin=origin,
        version="0.1.0",
        clock=StillClock(),
        place_name={"51.71": "Kota Denpasar"}.get,
        nav=lambda _actor: [("Cari pemilih", "/voters")],
        logger=json_logger(out),
    )

    @app.before_request
    def gate() -> None:
        name = (request.view_args or {}).get("name", "")
        if name in {"totp", "totp-wrong", "enrol"}:
            g.half = person()
        if fake.signed_in and (name not in PAGES or PAGES[name][1]):
            g.person, g.actor, g.csrf_binding = person(), actor(), b"h" * 32

    app.before_request(csrf.check)
    _routes(app)
    return fake


def _routes(app: Flask) -> None:
    @app.get("/page/<name>")
    def page(name: str) -> str:
        template, _inside, values = PAGES[name]
        return render_template(template, **values())

    @app.post("/lang")
    def lang() -> Response:
        response = redirect(safe_next(request.form.get("next")), 303)
        i18n.remember(response, request.form.get("lang", ""), secure=False)
        return response

    @app.route("/fail/<name>", methods=["GET", "POST"])
    def fail(name: str) -> str:
        raise FAILURES[name]()

    @app.get("/abort/<int:status>")
    def stop(status: int) -> str:
        abort(status)

    @app.post("/save")
    def save() -> str:
        return "saved"

    @app.get("/voters")
    def voters() -> str:
        return "voters"

    @app.post("/voters/search")
    def search() -> str:
        return render_template("voters/results.html", **PAGES["results"][2]())
