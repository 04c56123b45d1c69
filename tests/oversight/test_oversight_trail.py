"""The trail as officers read it: filters, paging, jurisdiction, and that every reading is itself an entry."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import event

from app.audit import desk
from app.audit.desk import Filter
from app.audit.entry import draft_for
from app.kernel.fields import Action, Element, Outcome
from tests.conftest import KAB, NEIGHBOUR, NOW, operator
from tests.oversight.oversight_kit import History, text_of
from tests.walk_kit import content, entries, entry_at, size, tamper


def fill(history: History, count: int) -> None:
    """Append *count* entries, each about somebody else."""
    house = history.house
    for number in range(count):
        actor = operator(house, uid="abcdefghijklmnopqrstuvwxyz"[number % 26] * 26)
        house.guard.trail.append(draft_for(actor, Action.SESSION_LOGIN, Outcome.DONE, house.clock.now()))


def test_each_filter_finds_what_it_names(history: History) -> None:
    """One by one and together, newest first."""
    store, log, now = history.house.store, history.house.guard.log, history.house.clock.now()
    token = history.house.guard.payloads.token(history.voter)

    def found(**wanted: object) -> list[int]:
        return [one.seq for one in desk.entries(store, log, Filter(**wanted)).entries]  # type: ignore[arg-type]  # a test's own choice

    assert found(actor="b" * 26) == [history.denied]
    assert found(action="voter:change") == [history.changed]
    assert found(outcome="denied") == [history.denied]
    assert found(office="kpu-51.03") == [history.denied]
    assert found(element=Element.NIK) == [history.read]
    assert found(element=Element.NAMA) == [history.read, history.searched]
    assert found(element=Element.ALAMAT, action="voter:change") == [history.changed]
    assert found(purpose="pemuatan", outcome="done", action="voter:import") == [one for one in found(action="voter:import") if one]
    assert found(region=str(entry_at(history.house, history.read)["scope"]), action="voter:reveal") == [history.read]
    assert {entry_at(history.house, seq)["scope"] for seq in found(region="51.03")} == {"51.03"}
    assert {history.read, history.denied, history.changed, history.searched} <= set(found(subject=token))
    assert found(subject=token, actor="o" * 26, action="voter:reveal") == [history.read]
    assert found(since=now + timedelta(seconds=1)) == []
    assert found(until=now) == []
    assert found(since=now) == sorted(found(since=now), reverse=True)
    assert found(mandate="a" * 26) == []


def test_an_entry_from_before_the_column_is_judged_by_its_bytes(one: History) -> None:
    """Where ``elements`` is NULL, the entry is found only when its bytes show the element."""
    tamper(one.house, "DROP TRIGGER trail_entry_no_update", "UPDATE trail_entry SET elements = NULL")
    store, log = one.house.store, one.house.guard.log

    found = [entry.seq for entry in desk.entries(store, log, Filter(element=Element.NAMA)).entries]

    assert found == [one.read, one.searched]


def test_pages_follow_one_another_without_gap_or_repeat(one: History) -> None:
    """Also while somebody reads, which adds entries at the top."""
    fill(one, 120)
    seen: list[int] = []
    path: str | None = "/audit?range=all"
    while path:
        answer = one.get(path)
        seen += one.shown(path)
        older = [link for link in answer.text.split('href="') if link.startswith("/audit?") and "before=" in link.split('"')[0]]
        path = older[0].split('"')[0].replace("&amp;", "&") if older else None

    assert seen == sorted(set(seen), reverse=True)
    assert {*range(one.changed), one.read} <= set(seen)


@pytest.mark.parametrize(
    ("within", "sees"),
    [("00", {"read", "denied", "changed", "searched"}), ("51", {"read", "denied", "changed", "searched"}), ("51.03", {"denied"})],
)
def test_an_officer_sees_what_concerns_the_jurisdiction(history: History, within: str, sees: set[str]) -> None:
    """What is about its regions, and what its offices tried elsewhere; of the machine's work only what names no region."""
    store, log = history.house.store, history.house.guard.log

    found = {one.seq: one.members for one in desk.entries(store, log, Filter(within=within), limit=200).entries}

    assert {name for name in ("read", "denied", "changed", "searched") if getattr(history, name) in found} == sees
    if within == "51.03":
        assert all(
            one["scope"] in (None, "00") or one["scope"].startswith("51.03") or one["office"] == "kpu-51.03" for one in found.values()
        )
    assert any(one["action"] == "policy:load" for one in found.values())


def test_anothers_entry_is_not_there_and_the_attempt_is_an_entry(history: History) -> None:
    """The same answer as for a number nobody has."""
    answers = [history.get(f"/audit/{seq}{more}", "badung") for seq in (history.read, 10**9) for more in ("", "/verify", "/receipt")]

    assert {answer.status_code for answer in answers} == {404}
    said = [(one["action"], one["outcome"]) for one in entries(history.house)[-6:]]
    assert said == [("trail:read", "denied")] * 6
    assert history.get(f"/audit/{history.denied}", "badung").status_code == 200


def test_the_desk_opens_with_the_last_day(one: History) -> None:
    """What is older is one click away; an empty page offers to look further."""
    one.browser()
    one.house.clock.move(hours=30)
    one.site.browsers.clear()
    again = one.get("/audit", "bali")

    assert str(one.read) not in [str(seq) for seq in one.shown("/audit", "bali")]
    assert one.read in one.shown("/audit?range=7d", "bali")
    assert again.status_code == 200
    empty = one.get("/audit?outcome=broken", "bali")
    assert "Tidak ada entri yang cocok" in text_of(empty) and "range=30d" in empty.text


def test_a_reading_is_recorded_before_it_is_shown_with_what_was_asked(history: History) -> None:
    """The filters stand in the sealed payload; a voter asked for is a subject of the reading."""
    history.get(f"/audit?range=all&subject={KAB}-{history.voter}&outcome=denied")

    last = history.last
    told = content(history.house, int(str(last["seq"])))
    assert (last["action"], last["outcome"], last["purpose"], last["scope"]) == ("trail:read", "allowed", "audit", KAB)
    assert told["query"] == {"range": "all", "outcome": "denied", "before": None}
    assert told["subjects"] == [history.voter]


def test_the_form_leads_to_an_address_without_names(one: History) -> None:
    """A username becomes an id, and empty fields fall away."""
    one.browser()
    sent = one.post("/audit", range="7d", actor="web.officer", action="session:login", outcome="", subject="")

    assert sent.status_code == 303
    assert sent.headers["Location"] == f"/audit?range=7d&actor={one.site.uids['officer']}&action=session:login"
    assert one.shown(sent.headers["Location"])


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("actor", "tidak.ada", "Tidak ada akun"),
        ("since", "kemarin", "Isi tanggal dan jam"),
        ("until", "2026-13-45T99:99", "Isi tanggal dan jam"),
        ("region", "Denpasar", "Kode wilayah tidak dikenal"),
        ("office", "kantor", "Isi kode kantor"),
        ("element", "nomor_hp", "Pilih elemen"),
        ("action", "voter:all", "Pilih kegiatan"),
        ("outcome", "baik", "Pilih hasil"),
        ("purpose", "apa saja", "Pilih tujuan"),
        ("subject", "5171010101010001", "Isi nomor pemilih"),
        ("mandate", "xyz", "Isi nomor izin"),
    ],
)
def test_what_no_entry_could_have_is_refused_with_the_remedy(one: History, field: str, value: str, says: str) -> None:
    """By the form and by an address alike; what was typed in the other fields stays."""
    by_form = one.post("/audit", range="7d", **{field: value})
    by_address = one.get(f"/audit?{field}={value}")

    for answer in (by_form, by_address):
        assert answer.status_code == 400
        assert says in text_of(answer)


def test_until_must_lie_behind_since(one: History) -> None:
    answer = one.get("/audit?since=2026-12-01T10:00&until=2026-12-01T09:00")

    assert (answer.status_code, "Waktu akhir" in text_of(answer)) == (400, True)


def test_times_are_those_of_the_officers_office(one: History) -> None:
    """11.00 WITA is NOW for an officer of Bali, and an hour later for one of Jakarta."""
    at_noon = f"since={NOW:%Y-%m-%d}T11:00&until={NOW:%Y-%m-%d}T11:01"

    assert one.read in one.shown(f"/audit?{at_noon}", "bali")
    assert one.read not in one.shown(f"/audit?{at_noon}", "officer")


def test_a_spoilt_row_is_named_and_the_others_are_shown(one: History) -> None:
    """The desk is needed most when somebody has been at the database."""
    tamper(one.house, "DROP TRIGGER trail_entry_no_update", "UPDATE trail_entry SET body = x'00' WHERE seq = :seq", seq=one.read)

    answer = one.get("/audit?range=all")

    assert f"Entri {one.read} rusak" in text_of(answer)
    assert one.changed in one.shown("/audit?range=all")
    assert one.get(f"/audit/{one.read}").headers["Location"] == f"/audit/{one.read}/verify"


def statements(history: History, path: str) -> int:
    """How many statements a page takes."""
    count = 0

    def seen(*_: object) -> None:
        nonlocal count
        count += 1

    history.browser()
    engine = history.house.store.engine
    event.listen(engine, "before_cursor_execute", seen)
    try:
        assert history.get(path).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", seen)
    return count


def test_a_page_takes_as_many_statements_for_fifty_rows_as_for_few(history: History) -> None:
    """No question per row."""
    few = statements(history, "/audit?range=all")
    fill(history, 60)
    many = statements(history, "/audit?range=all")

    assert len(history.shown("/audit?range=all")) == 50
    assert many == few


def test_every_other_role_is_kept_out(one: History) -> None:
    """The pages answer 403; the trail stays unread."""
    before = size(one.house)
    paths = ["/audit", f"/audit/{one.read}", f"/audit/{one.read}/verify", f"/audit/{one.read}/receipt", "/audit/verify", "/audit/activity"]

    for name in ("liaison", "operator", "data1", "pdp"):
        one.site.person(name)
        before = size(one.house)
        assert {one.get(path, name).status_code for path in [*paths, "/audit/matrix", "/audit/verifier"]} == {403}
        assert size(one.house) == before


def test_an_entry_reads_in_words_and_shows_no_value(history: History) -> None:
    """Every member is named; who the voter is stays a pseudonym, what the voter's data are stays out."""
    page = history.get(f"/audit/{history.changed}")

    said = text_of(page)
    assert page.text.count("data-member=") == len(entry_at(history.house, history.changed))
    assert "Mengubah data pemilih" in said and "Sidik isi sebelum" in said and "Sidik isi sesudah" in said
    assert history.voter not in page.text and "RAHASIA" not in page.text and "JL. UJI" not in page.text
    token = history.house.guard.payloads.token(history.voter).hex()
    assert f"/audit?range=all&amp;subject={token}" in page.text
    assert history.changed in history.shown(f"/audit?range=all&subject={token}")


def test_a_decision_is_taken_once_more_and_comes_out_the_same(history: History) -> None:
    page = history.get(f"/audit/{history.read}")

    assert "memutuskan hal yang sama" in text_of(page)
    assert "kpu-kab-" in page.text


def test_a_refusal_names_its_rule(history: History) -> None:
    """In a sentence, with the rule's id."""
    said = text_of(history.get(f"/audit/{history.denied}"))

    assert "tidak-ada-aturan" in said and "Tidak ada aturan yang mengizinkannya." in said


def test_neighbours_of_an_entry_are_one_click_away(one: History) -> None:
    page = one.get(f"/audit/{one.read}")

    assert f'href="/audit/{one.read - 1}"' in page.text and f'href="/audit/{one.read + 1}"' in page.text
    assert 'href="/audit/-1"' not in one.get("/audit/0").text


def test_the_desk_speaks_of_the_neighbour_only_by_name(one: History) -> None:
    """An officer of one kab/kota is offered the regions of that one."""
    page = one.get("/audit", "badung")

    assert f'value="{NEIGHBOUR}"' in page.text and f'value="{KAB}"' not in page.text
