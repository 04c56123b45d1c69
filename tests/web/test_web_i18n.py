"""Indonesian first, English by choice, and no sentence without its English."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import g
from web_kit import FakeApp

import app.web
from app.web import i18n

APP = Path(app.web.__file__).parent.parent
HEADER = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'


def test_every_sentence_has_english() -> None:
    """The build stops here while a msgid of the code or the templates is untranslated, fuzzy or has other placeholders."""
    assert i18n.missing(i18n.CATALOG, APP) == []


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A tiny tree with every way of marking a sentence."""
    (tmp_path / "web" / "templates" / "in").mkdir(parents=True)
    (tmp_path / "web" / "templates" / "in" / "a.html").write_text(
        '{{ _("dari templat %(x)s", x=1) }}{{ ngettext("%(num)s satu", "%(num)s banyak", 2) }}{% set y = {"a": _("dalam kamus")} %}'
    )
    (tmp_path / "rules.py").write_text('A = N_("dari kode")\nB = gettext("dari gettext")\nC = _("samar")\n')
    return tmp_path


def po(folder: Path, body: str) -> Path:
    path = folder / "en.po"
    path.write_text(HEADER + body, encoding="utf-8")
    return path


def test_missing_finds_sentences_of_code_and_templates(small: Path) -> None:
    """Every mark is found: _, gettext, ngettext, N_, in Python and in templates of any depth."""
    assert i18n.missing(po(small, ""), small) == [
        "%(num)s satu",
        "dalam kamus",
        "dari gettext",
        "dari kode",
        "dari templat %(x)s",
        "samar",
    ]


def test_missing_accepts_only_good_translations(small: Path) -> None:
    """Empty, fuzzy, half plurals and lost placeholders count as missing."""
    body = (
        'msgid "dari kode"\nmsgstr "from code"\n\n'
        'msgid "dari gettext"\nmsgstr ""\n\n'
        '#, fuzzy\nmsgid "samar"\nmsgstr "vague"\n\n'
        'msgid "dalam kamus"\nmsgstr "in a dict"\n\n'
        'msgid "dari templat %(x)s"\nmsgstr "from a template %(y)s"\n\n'
        'msgid "%(num)s satu"\nmsgid_plural "%(num)s banyak"\nmsgstr[0] "%(num)s one"\nmsgstr[1] ""\n'
    )

    assert i18n.missing(po(small, body), small) == ["%(num)s satu", "dari gettext", "dari templat %(x)s", "samar"]


def test_english_is_read_from_the_catalog_in_memory(fake: FakeApp, tmp_path: Path) -> None:
    """A .po is enough; its plural forms work; Indonesian needs none."""
    loaded = i18n.load(
        po(tmp_path, 'msgid "%(num)s baris"\nmsgid_plural "%(num)s baris"\nmsgstr[0] "%(num)s row"\nmsgstr[1] "%(num)s rows"\n')
    )

    assert [loaded.ungettext("%(num)s baris", "%(num)s baris", count) % {"num": count} for count in (1, 2)] == ["1 row", "2 rows"]
    with fake.app.test_request_context("/"):
        assert i18n.ngettext("%(num)s baris", "%(num)s baris", 2) == "2 baris"


@pytest.mark.parametrize(
    ("person", "half", "cookie", "accept", "expected"),
    [
        (None, None, None, "en", "id"),
        (None, None, "en", "id", "en"),
        ("id", None, "en", "en", "id"),
        ("en", None, None, "id", "en"),
        (None, "en", "id", "", "en"),
        (None, None, "xx", "en", "id"),
        ("xx", None, None, "en", "id"),
    ],
)
def test_the_language_is_the_persons_then_the_cookies_then_indonesian(
    fake: FakeApp, person: str | None, half: str | None, cookie: str | None, accept: str, expected: str
) -> None:
    """What the browser prefers does not matter: English is a choice."""
    headers = {"Accept-Language": accept, "Cookie": f"gardu_lang={cookie}" if cookie else ""}
    with fake.app.test_request_context("/", headers=headers):
        g.person = person and SimpleNamespace(language=person)
        g.half = half and SimpleNamespace(language=half)

        assert i18n.language() == expected


def test_the_switch_keeps_the_choice_and_returns(fake: FakeApp) -> None:
    """The form of the header changes the language and leads back to the page."""
    import re

    client = fake.app.test_client()
    page = client.get("/page/search").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    back = re.search(r'name="next" value="([^"]+)"', page)
    assert token and back

    response = client.post("/lang", data={"csrf_token": token[1], "next": back[1], "lang": "en"})

    assert response.headers["Location"] == "/page/search"
    assert '<html lang="en">' in client.get("/page/search").text


def test_a_language_we_do_not_speak_is_not_remembered(fake: FakeApp) -> None:
    """Only known codes reach the cookie."""
    with fake.app.test_request_context("/"):
        response = fake.app.make_response("")
        i18n.remember(response, "xx; Path=/", secure=True)

    assert "Set-Cookie" not in response.headers


def test_no_sentence_hides_inside_an_f_string() -> None:
    """The extractor of messages does not look into f-strings: a msgid there would never be translated."""
    for path in sorted(APP.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                calls = [
                    one for one in ast.walk(node) if isinstance(one, ast.Call) and getattr(one.func, "id", "") in {"_", "N_", "ngettext"}
                ]
                hidden = [one for one in calls if one.args and isinstance(one.args[0], ast.Constant)]
                assert not hidden, f"{path}:{node.lineno}"
