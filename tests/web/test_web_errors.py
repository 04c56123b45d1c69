"""Error pages say what happened and what to do, carry the request's id, and never a value."""

from __future__ import annotations

import json

import pytest
from web_kit import MARK, FakeApp, make_fake

STATUSES = {
    "bad": 400,
    "said": 400,
    "not-allowed": 403,
    "not-there": 404,
    "conflict": 409,
    "too-many": 429,
    "seal": 500,
    "surprise": 500,
    "trail": 503,
}


@pytest.mark.parametrize(("name", "status"), STATUSES.items())
def test_every_failure_has_a_page_with_a_remedy_and_the_requests_id(fake: FakeApp, name: str, status: int) -> None:
    """Status, id in page and header alike, something to do, a way out, and nothing that was in the error."""
    response = fake.app.test_client().get(f"/fail/{name}")

    assert response.status_code == status
    assert response.headers["X-Request-Id"] in response.text
    assert "Yang dapat Anda lakukan" in response.text
    assert 'href="/"' in response.text
    assert MARK not in response.text


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 413, 429, 500, 503, 418, 501])
def test_http_errors_have_pages_too(fake: FakeApp, status: int) -> None:
    """Errors of the framework look like ours, also those without a page of their own."""
    response = fake.app.test_client().get(f"/abort/{status}")

    assert response.status_code == status
    assert "Nomor permintaan" in response.text


def test_absent_and_refused_are_one_page(fake: FakeApp) -> None:
    """Byte for byte, but for the request's id and the address itself."""
    client = fake.app.test_client()
    absent, refused = client.get("/fail/not-there"), client.get("/fail/refused")

    def bare(response: object, name: str) -> str:
        return response.text.replace(response.headers["X-Request-Id"], "").replace(name, "")  # type: ignore[attr-defined]

    assert bare(absent, "not-there") == bare(refused, "refused")


def test_a_rooms_own_sentence_is_shown(fake: FakeApp) -> None:
    """What the room says to the public stands on the page."""
    assert "NIK terdiri dari 16 angka." in fake.app.test_client().get("/fail/said").text


def test_waiting_is_said_in_minutes_and_seconds(fake: FakeApp) -> None:
    """429 says how long, for people and for programs; 503 asks to come back."""
    client = fake.app.test_client()
    many, down = client.get("/fail/too-many"), client.get("/fail/trail")

    assert many.headers["Retry-After"] == "119"
    assert "Tunggu 2 menit" in many.text
    assert down.headers["Retry-After"] == "30"


def test_a_wrong_method_names_the_right_ones(fake: FakeApp) -> None:
    """405 keeps its Allow header."""
    response = fake.app.test_client().get("/save")

    assert (response.status_code, response.headers["Allow"]) == (405, "OPTIONS, POST")


def test_too_much_is_refused_with_a_page(fake: FakeApp) -> None:
    """A body over the limit is a 413 that says so, before any view."""
    response = fake.app.test_client().post("/save", data={"csrf_token": "x" * 9000})

    assert response.status_code == 413
    assert "Kiriman terlalu besar" in response.text


def test_sign_in_leads_to_the_login_page_and_back(fake: FakeApp) -> None:
    """A redirect that a form cannot follow again, with a safe way back, and word of an ended session."""
    client = fake.app.test_client()

    assert client.get("/fail/sign-in?before=9").headers["Location"] == "/login?next=/fail/sign-in%3Fbefore%3D9"
    assert client.get("/fail/expired").headers["Location"] == "/login?next=/fail/expired&expired=1"
    assert client.get("/fail/sign-in").status_code == 303


def test_an_ended_session_is_announced_on_the_login_page(fake: FakeApp) -> None:
    """Whoever was sent here because the session ended reads so."""
    assert "Sesi Anda sudah berakhir" in fake.app.test_client().get("/page/login?expired=1").text


def test_a_step_up_leads_to_its_page_and_back(fake: FakeApp) -> None:
    """What a fresh code would allow leads to where it is asked for."""
    assert fake.app.test_client().get("/fail/step-up").headers["Location"] == "/step-up?next=/fail/step-up"


@pytest.mark.parametrize(("name", "status"), [*STATUSES.items(), ("sign-in", 401), ("step-up", 403)])
def test_programs_get_problem_details(fake: FakeApp, name: str, status: int) -> None:
    """RFC 9457 when JSON is preferred: stable code, request id, no value, no redirect."""
    response = fake.app.test_client().get(f"/fail/{name}", headers={"Accept": "application/json"})
    problem = json.loads(response.text)

    assert (response.status_code, problem["status"]) == (status, status)
    assert response.content_type == "application/problem+json"
    assert problem["request"] == response.headers["X-Request-Id"]
    assert problem["type"].endswith(problem["code"])
    assert MARK not in response.text


def test_browsers_and_the_undecided_get_pages(fake: FakeApp) -> None:
    """A browser's Accept header, ``*/*`` and none at all mean a page."""
    client = fake.app.test_client()

    for accept in ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "*/*", ""):
        assert client.get("/fail/bad", headers={"Accept": accept}).mimetype == "text/html"


def test_a_surprise_is_logged_by_kind_and_place_never_by_its_words(fake: FakeApp) -> None:
    """The message of an unknown exception can hold anything, so it stays out of the log."""
    fake.app.test_client().get("/fail/surprise")
    (error,) = [line for line in fake.lines() if line["event"] == "error"]

    assert error["kinds"] == ["builtins.ValueError"]
    assert str(error["places"]).startswith("['web_kit:fail:")
    assert MARK not in fake.out.getvalue()


def test_operators_read_the_detail_of_our_own_errors(fake: FakeApp) -> None:
    """A leaf's detail never holds a value, so the log may hold it; refusals below 500 are not errors of the system."""
    client = fake.app.test_client()
    client.get("/fail/seal")
    client.get("/fail/bad")
    errors = [line for line in fake.lines() if line["event"] == "error"]

    assert [(line["code"], line["detail"]) for line in errors] == [("seal-broken", "voter row abc cell c02")]


def test_a_broken_shell_still_gives_a_page(fake: FakeApp) -> None:
    """When the shell itself fails, the bare page says what happened."""
    fake.app.jinja_env.globals["csrf_token"] = None

    response = fake.app.test_client().get("/fail/trail")

    assert response.status_code == 503
    assert "Jejak audit sedang tidak dapat ditulis" in response.text
    assert response.headers["X-Request-Id"] in response.text


def test_errors_after_the_view_leave_no_words_either(capfd: pytest.CaptureFixture[str]) -> None:
    """An exception outside every handler (here: while finishing the answer) is logged by kind and place alone."""
    fake = make_fake()

    @fake.app.after_request
    def fails(response: object) -> object:
        raise ValueError(MARK)

    response = fake.app.test_client().get("/voters")

    assert response.status_code == 500
    assert MARK not in capfd.readouterr().err + fake.out.getvalue() + response.text
