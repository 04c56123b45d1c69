"""The shell around every page: ``install`` joins languages, headers, CSRF, errors and what the templates need."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

import structlog
from flask import Blueprint, Flask, g, request, url_for
from flask_bootstrap import Bootstrap5

from app.kernel.actor import Actor
from app.kernel.clock import Clock, SystemClock
from app.kernel.errors import N_
from app.kernel.fields import Role, View
from app.kernel.regions import NATION
from app.web import csrf, errors, headers, i18n, requests, times
from app.web.i18n import gettext as _
from app.web.requests import safe_next

__all__ = ["ROLE_LABELS", "VIEW_LABELS", "Offered", "Section", "install", "office_words", "safe_next"]

VIEW_LABELS: Mapping[str, str] = {
    View.TUTUP.word: N_("tidak dibuka"),
    View.ADA.word: N_("tercatat"),
    View.SAMAR.word: N_("disamarkan"),
    View.RINGKAS.word: N_("diringkas"),
    View.UTUH.word: N_("utuh"),
}
VIEW_MEANINGS: Mapping[str, str] = {
    View.TUTUP.word: N_("Isinya tidak dibuka untuk tugas ini, juga tidak apakah ia terisi."),
    View.ADA.word: N_("Hanya diketahui bahwa elemen ini tercatat; isinya tidak dibuka, juga bila kosong."),
    View.SAMAR.word: N_("Sebagian isinya ditutup."),
    View.RINGKAS.word: N_("Isinya diganti dengan ringkasan, misalnya usia menggantikan tanggal lahir."),
    View.UTUH.word: N_("Isinya ditampilkan seluruhnya."),
}
ROLE_LABELS: Mapping[str, str] = {
    Role.KPU_RI: N_("Petugas KPU RI"),
    Role.KPU_PROV: N_("Petugas KPU provinsi"),
    Role.KPU_KAB: N_("Operator KPU kab/kota"),
    Role.BAWASLU_RI: N_("Penghubung Bawaslu RI"),
    Role.BAWASLU_PROV: N_("Penghubung Bawaslu provinsi"),
    Role.BAWASLU_KAB: N_("Penghubung Bawaslu kab/kota"),
    Role.PENYETUJU: N_("Penyetuju"),
    Role.PETUGAS_KEAMANAN: N_("Petugas keamanan"),
    Role.PEJABAT_PDP: N_("Pejabat pelindungan data pribadi"),
    Role.ADMIN_SISTEM: N_("Admin sistem"),
    Role.PROSES: N_("Proses otomatis"),
}
_BODIES = {"kpu": "KPU", "bawaslu": "Bawaslu"}


class Section(NamedTuple):
    """An entry of the navigation that stands for several pages. label: of all; url: of the first; pages: (label, address) of each."""

    label: str
    url: str
    pages: tuple[tuple[str, str], ...]


Offered: TypeAlias = tuple[str, str] | Section


def install(
    app: Flask,
    *,
    demo: bool,
    public_origin: str,
    version: str = "",
    clock: Clock | None = None,
    place_name: Callable[[str], str | None] | None = None,
    nav: Callable[[Actor], Iterable[Offered]] | None = None,
    logger: structlog.typing.FilteringBoundLogger | None = None,
) -> None:
    """Join the shell to *app*. The caller then puts its gate, and after it ``csrf.check``, as before_request.

    demo: mark every page. public_origin: scheme and host people type. version: shown in the footer. place_name: name of a region
    code, for the office's name; without it the code is shown. nav: (label, address) of the pages an actor's role
    offers, or sections of them, already translated; home and own activity are always there. ``app.config`` must hold ``GARDU_CSRF_KEY`` (32 bytes or more)
    before the first request.
    """
    clock, logger = clock or SystemClock(), logger or requests.json_logger()
    # First in, last out: the log line is written when status and headers stand.
    requests.install(app, clock, logger)
    headers.install(app, https=urlsplit(public_origin).scheme == "https")
    csrf.install(app, public_origin=public_origin, demo=demo)
    errors.install(app, clock=clock, logger=logger)
    i18n.install(app)
    times.install(app, clock)
    _install_assets(app)
    app.jinja_env.globals.update(demo=demo, version=version, now=clock.now)
    _install_context(app, place_name or (lambda _region: None), nav or (lambda _actor: ()))


def _install_assets(app: Flask) -> None:
    """Serve our own files and Bootstrap's from this host, at addresses that carry their digest."""
    # Bootstrap-Flask builds its address from this, which is None for an app made without a static folder.
    app.static_url_path = app.static_url_path or "/static"
    app.config["BOOTSTRAP_SERVE_LOCAL"] = True
    Bootstrap5(app)
    app.register_blueprint(Blueprint("web", __name__, template_folder="templates", static_folder="static", static_url_path="/assets"))
    app.jinja_env.globals["asset"] = _asset_finder(app)


def _asset_finder(app: Flask) -> Callable[[str, str], str]:
    digests: dict[tuple[str, str], str] = {}

    def asset(room: str, filename: str) -> str:
        """Return the address of *filename* of blueprint *room*, with the first 12 hex digits of its SHA-256."""
        folder = app.blueprints[room].static_folder or ""
        if (room, filename) not in digests:
            digests[room, filename] = hashlib.sha256((Path(folder) / filename).read_bytes()).hexdigest()[:12]
        return url_for(f"{room}.static", filename=filename, v=digests[room, filename])

    return asset


def _install_context(app: Flask, place_name: Callable[[str], str | None], nav: Callable[[Actor], Iterable[Offered]]) -> None:
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        csrf_token=csrf.token, languages=i18n.LANGUAGES, role_labels=ROLE_LABELS, view_labels=VIEW_LABELS, view_meanings=VIEW_MEANINGS
    )

    @app.context_processor
    def _shell() -> dict[str, object]:
        person, actor = g.get("person"), g.get("actor")
        office = str(getattr(person, "office", "") or "")
        return {
            **_navigation(nav(actor) if isinstance(actor, Actor) else None),
            "person": person,
            "role_label": ROLE_LABELS.get(str(getattr(actor, "role", "")), ""),
            "other_roles": sorted(actor.roles - {actor.role, Role.PROSES}) if isinstance(actor, Actor) else (),
            "office": office,
            "office_label": office_words(office, place_name),
            "language": i18n.language(),
            "here": requests.here(),
        }


def office_words(office: str, place_name: Callable[[str], str | None]) -> str:
    """Return an office code as words, e.g. ``KPU Kota Denpasar`` for ``kpu-51.71``; what is no code is returned as it is."""
    body, dash, region = office.partition("-")
    if not dash:
        return office
    return f"{_BODIES.get(body, body)} {'RI' if region == NATION else place_name(region) or region}"


def _navigation(offered: Iterable[Offered] | None) -> dict[str, object]:
    """Return nav, and subnav: the pages beside this one, when it is in a section. Both as (label, address, whether this page is there)."""
    if offered is None:
        return {"nav": (), "subnav": ()}
    nav, subnav = [], list[tuple[str, str, bool]]()
    for entry in ((_("Beranda"), "/"), *offered, (_("Aktivitas saya"), "/me/activity")):
        pages = [(label, url, _is_here(url)) for label, url in entry.pages] if isinstance(entry, Section) else []
        here = _is_here(entry[1]) or any(active for _label, _url, active in pages)
        if here:
            subnav = pages
        nav.append((entry[0], entry[1], here))
    return {"nav": nav, "subnav": subnav}


def _is_here(url: str) -> bool:
    return request.path == url or (url != "/" and request.path.startswith(f"{url}/"))
