"""Languages: msgids are Bahasa Indonesia, English comes from the catalog, read into memory at the start."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import flask_babel  # type: ignore[import-untyped]  # publishes no types; what it returns is narrowed below
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, Response, g, request

# Indonesian first, whatever the browser prefers: the law's terms and the manual are in it. English is a choice somebody makes.
DEFAULT = "id"
# Each language under its own name, so that its reader recognises it.
LANGUAGES: Mapping[str, str] = {"id": "Bahasa Indonesia", "en": "English"}
COOKIE = "gardu_lang"
# One year: a convenience for people before they sign in, nothing more.
COOKIE_SECONDS = 365 * 24 * 3600
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}
_HERE = Path(__file__).parent
CATALOG = _HERE / "translations" / "en" / "LC_MESSAGES" / "messages.po"
MAPPING = _HERE / "babel.cfg"


def gettext(text: str, /, **values: object) -> str:
    """Return *text* (a msgid) in the language of this request, with ``%(name)s`` filled from *values*."""
    return str(flask_babel.gettext(text, **values))


def ngettext(one: str, many: str, number: int, /, **values: object) -> str:
    """Return the form of a msgid that suits *number*, with ``%(num)s`` and *values* filled in."""
    return str(flask_babel.ngettext(one, many, number, **values))


_ = gettext


def known(language: object) -> str | None:
    """Return *language* when it is one of ``LANGUAGES``, else None."""
    return language if isinstance(language, str) and language in LANGUAGES else None


def choose() -> str:
    """Return the language of this request: the signed-in person's, else the cookie's, else Indonesian."""
    person = g.get("person") or g.get("half")  # half: the password is checked, the code not yet
    return known(getattr(person, "language", None)) or known(request.cookies.get(COOKIE)) or DEFAULT


def language() -> str:
    """Return the language in force, ``id`` or ``en``; Indonesian outside a request."""
    return known(str(flask_babel.get_locale())) or DEFAULT


def remember(response: Response, chosen: str, *, secure: bool) -> None:
    """Keep *chosen* in the browser for the time before signing in; a language we do not speak is ignored."""
    if known(chosen):
        response.set_cookie(COOKIE, chosen, max_age=COOKIE_SECONDS, secure=secure, httponly=True, samesite="Lax")


def read_catalog(path: Path) -> Catalog:
    """Read a .po file. Raises babel's PoFileError when it is malformed."""
    with path.open("rb") as file:
        return read_po(file, locale="en", abort_invalid=True)


@cache
def load(path: Path) -> Translations:
    """Compile the catalog at *path* in memory, once a process, so that no binary catalog has to be kept beside it."""
    compiled = io.BytesIO()
    write_mo(compiled, read_catalog(path))
    compiled.seek(0)
    return Translations(compiled)


def translator(lang: str) -> Callable[[str], str]:
    """Return what turns a msgid into *lang* outside a request, for commands; Indonesian is the msgid itself."""
    return load(CATALOG).gettext if lang == "en" else str


def install(app: Flask, catalog: Path = CATALOG) -> None:
    """Give *app* its languages."""
    babel = flask_babel.Babel(app, default_locale=DEFAULT, locale_selector=choose)
    domain = flask_babel.Domain()
    # flask-babel would look for .mo files in folders; a domain whose cache is already full never looks.
    domain.cache.update({("id", "messages"): NullTranslations(), ("en", "messages"): load(catalog)})
    babel.domain_instance = domain


def missing(po_path: Path, app_dir: Path, mapping: Path = MAPPING) -> list[str]:
    """Return, sorted, every msgid used under *app_dir* that the catalog at *po_path* does not translate well.

    Missing are: absent, empty or fuzzy ones, plurals with an empty form, and those whose placeholders differ from the msgid's.
    """
    catalog = read_catalog(po_path)
    broken = {_first(message.id) for message, errors in catalog.check() if errors}
    return sorted(msgid for msgid in used(app_dir, mapping) if msgid in broken or not _translated(catalog.get(msgid)))


def used(app_dir: Path, mapping: Path = MAPPING) -> set[str]:
    """Return every msgid marked in the Python files and templates under *app_dir*."""
    with mapping.open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file, filename=str(mapping))  # type: ignore[no-untyped-call]
    found = extract_from_dir(app_dir, method_map=methods, options_map=options, keywords=KEYWORDS)
    return {_first(message) for _file, _line, message, _comments, _context in found} - {""}


def _first(msgid: str | list[str] | tuple[str, ...]) -> str:
    return msgid if isinstance(msgid, str) else msgid[0]


def _translated(message: Message | None) -> bool:
    if message is None or message.fuzzy:
        return False
    forms = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
    return bool(forms) and all(forms)
