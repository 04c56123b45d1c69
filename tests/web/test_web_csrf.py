"""Forms from elsewhere, from before, or without a token are refused before any view runs."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient
from web_kit import FakeApp, make_fake

OWN = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}


def token_on(client: FlaskClient, path: str = "/page/search") -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


def save(client: FlaskClient, token: str, **headers: str) -> int:
    return client.post(
        "/save", data={"csrf_token": token}, headers={name.replace("_", "-"): value for name, value in headers.items()}
    ).status_code


def test_a_form_of_ours_passes(fake: FakeApp) -> None:
    """The token of the page, sent from the page, is accepted."""
    client = fake.app.test_client()

    status = client.post("/save", data={"csrf_token": token_on(client)}, headers=OWN).status_code

    assert status == 200


@pytest.mark.parametrize("sent", ["", "x", "ä" * 43, "A" * 43])
def test_a_wrong_token_is_refused_with_a_remedy(fake: FakeApp, sent: str) -> None:
    """No token, a wrong one, and bytes that are no token give the page that says what to do."""
    response = fake.app.test_client().post("/save", data={"csrf_token": sent})

    assert response.status_code == 400
    assert "Formulir sudah kedaluwarsa" in response.text
    assert "Muat ulang halaman itu." in response.text


def test_a_token_from_before_signing_in_is_refused_after(fake: FakeApp) -> None:
    """The token is bound to the session: the one of the login page does not serve inside."""
    client = fake.app.test_client()
    before = token_on(client, "/page/login")

    assert save(client, before) == 400


def test_strangers_get_tokens_bound_to_a_cookie_of_their_own(fake: FakeApp) -> None:
    """Before signing in, another browser's token does not pass; one's own does, and the cookie is out of reach of scripts and other sites."""
    fake.signed_in = False
    mine, other = fake.app.test_client(), fake.app.test_client()
    cookie = mine.get("/page/login").headers["Set-Cookie"]
    stolen = token_on(other, "/page/login")

    assert (save(mine, stolen), save(mine, token_on(mine, "/page/login"))) == (400, 200)
    assert cookie.startswith("gardu_anon=")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_behind_https_the_cookie_is_bound_to_the_host() -> None:
    """With https the cookie is Secure and __Host-, so a sibling host cannot plant one."""
    fake = make_fake(demo=False, origin="https://gardu.example")
    fake.signed_in = False

    cookie = fake.app.test_client().get("/page/login", base_url="https://gardu.example").headers["Set-Cookie"]

    assert cookie.startswith("__Host-gardu_anon=")
    assert "Secure" in cookie


def test_a_chosen_cookie_never_stands_for_a_session(fake: FakeApp) -> None:
    """A stranger who sets the cookie to the bytes of a session's hash still gets another token."""
    inside = token_on(fake.app.test_client())
    stranger = fake.app.test_client()
    stranger.set_cookie("gardu_anon", "h" * 32)
    fake.signed_in = False

    assert token_on(stranger, "/page/login") != inside


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_the_browsers_word_about_the_sender_counts(fake: FakeApp, site: str) -> None:
    """A right token sent from another site, a sibling host included, is refused."""
    client = fake.app.test_client()

    assert save(client, token_on(client), Sec_Fetch_Site=site) == 400


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://localhost:81", "https://localhost", "null", "http://localhost.evil.example", "http://localhost:x"],
)
def test_another_origin_is_refused(fake: FakeApp, origin: str) -> None:
    """Scheme, host and port must all be ours."""
    client = fake.app.test_client()

    assert save(client, token_on(client), Origin=origin) == 400


def test_the_public_origin_counts_whatever_the_host_header_says() -> None:
    """Behind a proxy the configured origin is compared, and a rebound name in Host is not trusted."""
    fake = make_fake(demo=False, origin="https://gardu.example")
    client = fake.app.test_client()
    right = token_on(client)

    assert save(client, right, Origin="https://gardu.example") == 200
    assert save(client, right, Origin="https://gardu.example:443") == 200
    assert save(client, right, Origin="http://localhost") == 400


def test_a_demo_trusts_loopback_names_only() -> None:
    """A demo is opened as localhost or 127.0.0.1; a name rebound to us is another site's."""
    client = make_fake().app.test_client()
    right = token_on(client)

    own = client.post("/save", base_url="http://127.0.0.1:9", data={"csrf_token": right}, headers={"Origin": "http://127.0.0.1:9"})
    rebound = client.post("/save", base_url="http://evil.example", data={"csrf_token": right}, headers={"Origin": "http://evil.example"})

    assert (own.status_code, rebound.status_code) == (200, 400)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_every_changing_method_is_checked(fake: FakeApp, method: str) -> None:
    """Not only forms' POST."""
    fake.app.add_url_rule("/change", "change", lambda: "changed", methods=[method])

    response = fake.app.test_client().open("/change", method=method)

    assert response.status_code == 400


def test_without_a_key_nothing_is_drawn_that_could_be_sent(fake: FakeApp) -> None:
    """A missing key is a 503 with a page that needs no key."""
    fake.app.config["GARDU_CSRF_KEY"] = b"short"

    response = fake.app.test_client().get("/page/login")

    assert response.status_code == 503
    assert "Layanan berhenti sementara" in response.text
    assert "csrf_token" not in response.text
