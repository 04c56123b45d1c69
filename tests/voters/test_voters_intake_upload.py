"""Sending a file in: what is no DP4 leaves nothing behind, and what is kept lies sealed, everywhere."""

from __future__ import annotations

import io
import tempfile
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from flask import request
from sqlalchemy.engine import make_url

from app.factory import House, web_app
from app.kernel.errors import BadInput, Conflict, NotThere, SealBroken
from app.kernel.fields import Role, Stage
from app.voters import elections, intake, uploads
from app.voters.rules.shapes import header_shown, look_at, shape_of
from tests.conftest import ELECTION, KAB, NEIGHBOUR, NOW, VOTING_DAY, FakeClock, dp4_row, operator
from tests.voters.intake_kit import Site, count, form, loaded, registered, sent, some, table
from tests.walk_kit import content, entries, outcomes, rows_of, size, tamper


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("dp4.csv", some())
    return out.getvalue()


HEADERLESS = some(3).split(b"\r\n", 1)[1]
WRONG = {
    "a zip named .csv": (zipped(), "bukan teks CSV"),
    "a PDF": (b"%PDF-1.7 ...", "bukan teks CSV"),
    "UTF-16": (some().decode().encode("utf-16"), "UTF-16"),
    "empty": (b"", "Belum ada berkas"),
    "blank": (b"\r\n\r\n", "Berkas kosong"),
    "a header and no row": (table([]), "hanya berisi judul kolom"),
    "no header": (HEADERLESS, "Baris pertama bukan judul kolom"),
    "two encodings": (some() + "Ï".encode("cp1252") + b"\n" + "é".encode(), "Simpan ulang seluruh berkas"),
    "one column": (b"catatan\nisi\n", "Baris pertama bukan judul kolom"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_dp4_file_is_named_and_nothing_of_it_is_kept(sqlite_house: House, kind: str) -> None:
    """The sentence says what to do; the log has the refusal; no row, no part."""
    body, words = WRONG[kind]
    with pytest.raises(BadInput) as refused:
        sent(sqlite_house, body)

    assert words in refused.value.public
    assert count(sqlite_house, "upload") == count(sqlite_house, "upload_part") == count(sqlite_house, "load") == 0
    assert entries(sqlite_house)[-1]["rule"] == ["bad-input"]
    assert outcomes(sqlite_house)[-1] == ("voter:import", "failed")


def test_a_file_over_the_limit_is_refused_whole(sqlite_house: House) -> None:
    """Also when it came past the limit of the request."""
    with pytest.raises(BadInput, match="more than"):
        sent(sqlite_house, some(1) + b"\n" * uploads.LARGEST)

    assert count(sqlite_house, "upload_part") == 0


def test_a_file_lies_sealed_in_parts_with_one_entry(house: House) -> None:
    """Row, parts and entry stand together; the entry holds the keyed digest, the payload the upload's uid."""
    body = some(3000)
    uid = sent(house, body, name="C:\\Users\\Ni Luh\\DP4 Ni Luh Sekar.CSV")

    [row] = [one for one in entries(house) if one["outcome"] == "intent"]
    actor = operator(house)
    upload = intake.upload_of(house.roll, actor, uid, house.clock.now())
    assert (row["action"], row["scope"], row["purpose"], row["election"]) == ("voter:import", KAB, "pemuatan", ELECTION)
    assert row["detail"] == {"type": "file", "sha256": upload.digest.hex()}
    assert content(house, int(str(row["seq"])))["upload"] == uid
    assert (upload.suffix, upload.size, upload.rows_estimate) == ("csv", len(body), 3000)
    assert count(house, "upload_part", "upload = :uid", uid=uid) == -(-len(body) // (256 * 1024))
    assert uploads.source(house.roll, upload)().read() == body


@pytest.mark.parametrize("name", ["x.csv", "", "noextension", "a.csvcsvcsvcsv", "../../etc/x.csv", "x.=cm d", "x.\u202evsc"])
def test_of_a_name_only_what_it_ends_in_is_kept(name: str) -> None:
    """A file's name may be somebody's."""
    assert intake._suffix(name) in {"csv", ""}


def test_two_people_may_send_the_same_file_and_one_load_comes_of_it(house: House) -> None:
    """Both lie sealed; the second to be loaded is told that the first was."""
    body, actor, now = some(), operator(house), house.clock.now()
    registered(house)
    first, second = sent(house, body), sent(house, body)
    for uid in (first, second):
        intake.start(house.roll, actor, intake.upload_of(house.roll, actor, uid, now), now)

    job = intake.job_of(house.roll, intake.upload_of(house.roll, actor, second, now))
    assert job is not None
    assert (job.state, "sudah pernah dimuat" in job.error) == ("failed", True)
    assert count(house, "load") == 1
    assert count(house, "voter") == 3
    with pytest.raises(Conflict) as again:
        sent(house, body)
    assert "sudah pernah dimuat" in again.value.public


def test_without_a_stage_nothing_can_be_sent(sqlite_house: House) -> None:
    """The sentence says what is missing; the page says who sets it."""
    with pytest.raises(BadInput) as refused:
        sent(sqlite_house, some(), "51.08")

    assert "Tahapan pemilu belum ditetapkan" in refused.value.public
    buleleng = Site(sqlite_house).join(office="kpu-51.08")
    assert "gardu election set" in buleleng.get("/intake").text
    assert 'name="file"' not in buleleng.get("/intake").text


def test_at_a_stage_that_allows_no_load_it_is_refused_with_the_rule(sqlite_house: House) -> None:
    """The roll is fixed at DPT; the refusal is an entry."""
    with sqlite_house.store.writing() as session:
        elections.set_stage(session, ELECTION, VOTING_DAY, [KAB], Stage.DPT, "host:0", NOW + timedelta(seconds=1))
    clock = sqlite_house.clock
    assert isinstance(clock, FakeClock)
    clock.move(minutes=1)

    with pytest.raises(Conflict, match="no load at this stage"):
        sent(sqlite_house, some())
    assert outcomes(sqlite_house)[-1] == ("voter:import", "denied")
    assert entries(sqlite_house)[-1]["rule"]
    assert count(sqlite_house, "upload") == 0
    assert 'name="file"' not in Site(sqlite_house).join().get("/intake").text


def test_the_first_file_of_a_kab_makes_its_keys(house: House) -> None:
    """A kab/kota without keys gets them with its first file, planned for the rows it brings."""
    with house.store.writing() as session:
        elections.set_stage(session, ELECTION, VOTING_DAY, ["51.08"], Stage.DPS, "host:0", NOW)
    row = dp4_row(1, KECAMATAN="BULELENG", DESA="BANYUASRI")

    load = loaded(house, table([row]), "51.08")

    assert count(house, "load", "uid = :uid AND rows_read = 1", uid=load) == 1
    assert [one["detail"]["type"] for one in entries(house) if one["action"] == "key:create" and one["scope"] == "51.08"] == [
        "key-seal",
        "key-blind",
    ]  # type: ignore[index]


def test_a_row_of_the_upload_changed_past_gardu_is_broken(house: House) -> None:
    """Size, state, mapping, kab or key: nothing is used, and the log says so."""
    uid, actor, now = sent(house, some()), operator(house), house.clock.now()
    for change in (
        "size = size + 1",
        "state = 'done'",
        "mapping = '{}'",
        "election = '2024'",
        "actor = 'x'",
        "wrapped = digest",
        "load = uid",
    ):
        [before] = rows_of(house, "SELECT * FROM upload WHERE uid = :uid", uid=uid)
        assert tamper(house, f"UPDATE upload SET {change} WHERE uid = :uid", uid=uid) == 1
        with pytest.raises(SealBroken):
            intake.upload_of(house.roll, actor, uid, now)
        assert outcomes(house)[-1] == ("voter:import", "broken")
        columns = ", ".join(f"{name} = :{name}" for name in before)
        tamper(house, f"UPDATE upload SET {columns} WHERE uid = :uid", **before)
    assert intake.upload_of(house.roll, actor, uid, now).uid == uid


def test_what_nobody_takes_further_is_gone_after_a_day(house: House) -> None:
    """The next visit empties it: no part is left, and the page says what to do."""
    clock = house.clock
    assert isinstance(clock, FakeClock)
    uid = sent(house, some())
    clock.move(hours=23)
    assert uploads.sweep(house.roll, clock.now()) == 0
    clock.move(hours=2)

    assert uploads.sweep(house.roll, clock.now()) == 1
    assert count(house, "upload_part") == 0
    assert intake.upload_of(house.roll, operator(house), uid, clock.now()).state == uploads.GONE


def test_a_file_can_be_thrown_away(house: House) -> None:
    """Its parts go at once; a second time there is nothing to throw away."""
    actor, now = operator(house), house.clock.now()
    uid = sent(house, some())

    intake.discard(house.roll, intake.upload_of(house.roll, actor, uid, now))
    assert count(house, "upload_part") == 0
    with pytest.raises(Conflict):
        intake.discard(house.roll, intake.upload_of(house.roll, actor, uid, now))


def test_an_operator_elsewhere_does_not_find_it(house: House) -> None:
    """The neighbour gets what somebody gets who asks for nothing."""
    uid, now = sent(house, some()), house.clock.now()
    load = loaded(house, some(3, 10))

    for look in (intake.upload_of, intake.load_of):
        with pytest.raises(NotThere):
            look(house.roll, operator(house, NEIGHBOUR), uid if look is intake.upload_of else load, now)
    with pytest.raises(NotThere):
        intake.own_kab(operator(house, "51"))


# ---- over the web ----


class Counted(io.BytesIO):
    """A body that says how much of it was asked for."""

    read_bytes = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.read_bytes += len(found)
        return found


def post(site: Site, body: bytes, length: int | None = None, **cookies: str) -> tuple[int, int]:
    """Send a body to /intake by hand; return status and how many of its bytes were read."""
    stream = Counted(body)
    client = site.app.test_client()
    answer = client.post(
        "/intake", input_stream=stream, content_length=len(body) if length is None else length,
        content_type="multipart/form-data; boundary=x", base_url=site.house.settings.public_origin,
    )  # fmt: skip
    return answer.status_code, stream.read_bytes


@pytest.fixture
def site(sqlite_house: House) -> Site:
    return Site(sqlite_house)


def test_a_stranger_s_large_file_is_not_even_read(site: Site) -> None:
    """Nobody signed in: 303 to the login page, and no byte of the body came into memory."""
    assert post(site, form(b"x" * 5_000_000)) == (303, 0)


def test_a_large_file_of_another_role_is_not_read_either(site: Site) -> None:
    """403 comes before the body."""
    liaison = site.join("penghubung", "bawaslu-51.71", Role.BAWASLU_KAB)
    stream = Counted(form(b"x" * 5_000_000))
    answer = liaison.client.post(
        "/intake", input_stream=stream, content_length=5_000_000, content_type="multipart/form-data; boundary=x",
        base_url=site.house.settings.public_origin,
    )  # fmt: skip

    assert (answer.status_code, stream.read_bytes) == (403, 0)


def test_every_other_address_keeps_its_small_limit(site: Site) -> None:
    """An operator may send 20 MB in one place, 64 KiB everywhere else."""
    desk = site.join()
    uid = desk.upload(some())
    for path in ("/voters", "/lang", uid, f"{uid}/discard"):
        answer = desk.client.post(path, data={"csrf_token": "x", "note": "x" * 70_000}, base_url=site.house.settings.public_origin)
        assert answer.status_code == 413, path


def test_a_file_over_the_limit_is_answered_on_the_page(site: Site) -> None:
    """With the command that loads it; nothing is kept."""
    desk = site.join()
    answer = desk.send(b"x" * (uploads.LARGEST + 200_000))

    assert answer.status_code == 413
    assert "gardu intake dp4" in answer.text
    assert "20 MB" in answer.text
    assert count(site.house, "upload") == 0


def test_a_form_field_cannot_smuggle_a_large_text(site: Site) -> None:
    """Only the file may be large."""
    desk = site.join()
    answer = desk.client.post(
        "/intake", data={"csrf_token": desk.token(), "note": "x" * 200_000, "file": (io.BytesIO(some()), "a.csv")},
        base_url=site.house.settings.public_origin,
    )  # fmt: skip

    assert answer.status_code == 413
    assert count(site.house, "upload") == 0


def test_a_file_of_many_parts_comes_through_whole(site: Site) -> None:
    """Several megabytes, sent as a browser sends them."""
    body = some(20_000)
    uid = site.join().upload(body).rpartition("/")[2]

    actor, now = operator(site.house), site.house.clock.now()
    assert len(body) > 2_000_000
    assert uploads.source(site.house.roll, intake.upload_of(site.house.roll, actor, uid, now))().read() == body


def test_an_upload_that_breaks_off_leaves_nothing(site: Site) -> None:
    """The client hangs up in the middle: no row, no part, no entry."""
    desk = site.join()
    before, body = size(site.house), form(some(3000), desk.token())
    answer = desk.raw(body[: len(body) // 2], len(body))

    assert answer.status_code == 400
    assert count(site.house, "upload") == count(site.house, "upload_part") == 0
    assert size(site.house) == before


def test_a_wrong_file_comes_back_with_the_page_and_the_remedy(site: Site) -> None:
    """Status 400, the sentence, the form again."""
    desk = site.join()
    answer = desk.send(zipped(), "dp4.csv")

    assert answer.status_code == 400
    assert "Simpan" in answer.text or "simpan" in answer.text
    assert 'name="file"' in answer.text
    assert "Tidak ada yang disimpan dari berkas itu." in answer.text


def test_no_file_chosen_is_said(site: Site) -> None:
    """A form without a file, and a text in the file's place."""
    desk = site.join()

    assert "Belum ada berkas yang dipilih" in desk.post("/intake").text
    assert "Belum ada berkas yang dipilih" in desk.post("/intake", file="teks").text


def test_the_columns_page_shows_shapes_and_no_value(site: Site) -> None:
    """Headers are shown, values never: only how long they are and of what."""
    desk = site.join()
    rows = [dp4_row(number, ALAMAT="" if number < 4 else f"JL. RAHASIA NO. {number}") for number in range(1, 51)]
    address = desk.upload(table(rows, {"NIK": "No. Induk", "NAMA": "Nama Lengkap", "KET": "5171010101800001"}))

    page = desk.get(address).text
    assert "No. Induk" in page
    assert "16 angka" in page
    assert "3 kata, " in page
    assert "tanggal hh|bb|tttt" in page
    assert "kosong 3 dari 50" in page
    assert "5171010101800001" not in page
    assert "kolom 15 (16 angka)" in page
    for row in rows:
        for name in ("NIK", "NKK", "NAMA", "TMPT_LHR", "TGL_LHR", "ALAMAT"):
            assert not row[name] or row[name] not in page.replace("tanggal lahir", ""), name


@pytest.mark.parametrize(
    ("value", "words", "params"),
    [
        ("5171010101800001", "%(digits)s angka", {"digits": 16}),
        ("Ni Putu Ayu", "%(words)s kata, %(letters)s huruf", {"words": 3, "letters": 9}),
        ("L", "%(letters)s huruf", {"letters": 1}),
        ("01|12|1980", "tanggal %(form)s", {"form": "hh|bb|tttt"}),
        ("1980-12-01", "tanggal %(form)s", {"form": "tttt-bb-hh"}),
        ("1/2/80", "tanggal %(form)s", {"form": "hh/bb/tt"}),
        ("Jl. Nangka 5", "huruf dan angka, %(count)s karakter", {"count": 12}),
        ("5,17E+15", "huruf dan angka, %(count)s karakter", {"count": 8}),
        ("12.5", "tanda baca dan angka, %(count)s karakter", {"count": 4}),
        ("-", "tanda baca dan angka, %(count)s karakter", {"count": 1}),
        ("٣٤", "tanda baca dan angka, %(count)s karakter", {"count": 2}),
    ],
)
def test_a_shape_tells_no_character(value: str, words: str, params: dict[str, object]) -> None:
    """Numbers of characters, kinds of characters, separators of dates; nothing else."""
    shape = shape_of(value)

    assert (shape.text, shape.params) == (words, params)


def test_shapes_of_a_column_are_counted() -> None:
    """The two commonest, the rest as others, the empty ones."""
    column = look_at(["1", "2", "A", "B", "  ", "", "x y"])

    assert [count for _, count in column.shapes] == [2, 2]
    assert (column.others, column.blank, column.seen) == (1, 2, 7)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("NIK", "NIK"),
        (" No.  Induk ", "No.  Induk"),
        ("5171010101800001", None),
        ("x 123456", None),
        ("RT 12345", "RT 12345"),
        ("y" * 90, "y" * 40),
    ],
)
def test_a_header_that_may_be_a_number_is_not_shown(name: str, shown: str | None) -> None:
    """Somebody may have left the header out."""
    assert header_shown(name) == shown


def planted() -> tuple[bytes, list[bytes]]:
    """A file with values that stand nowhere else, and those values."""
    rows = [dp4_row(number, NAMA=f"ZEBRAWATI PENANDA {'X' * number}", ALAMAT="GANG PENANDA RAHASIA") for number in range(1, 6)]
    rows.append(dp4_row(7, NIK="9917171717171717", NAMA="KARANTINAWATI PENANDA"))
    marks = [row[name].encode() for row in rows for name in ("NIK", "NKK")]
    # Large enough to be spooled to disk by a framework that may.
    body = table(rows, {"NAMA": "Nama Lengkap"}) + b"\r\n" * 400_000
    return body, [*marks, b"ZEBRAWATI", b"KARANTINAWATI", b"GANG PENANDA"]


def test_no_value_stands_anywhere_but_sealed(
    house: House, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Database files, job queue, temporary files, log output, pages, addresses: the planted values are in none of them."""
    body, marks = planted()
    desk = Site(house).join()
    with monkeypatch.context() as patched:
        # No place for temporary files: whatever would be spooled to disk fails.
        patched.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
        address = desk.upload(body)
    pages = [desk.get(address).text]
    actor, now = operator(house), house.clock.now()
    chosen = uploads.mapping_of(intake.upload_of(house.roll, actor, address.rpartition("/")[2], now))
    load = desk.load_columns(address, {**chosen, "NAMA": 3})
    pages += [desk.get(path).text for path in ("/intake", f"{load}/result", f"{load}/quarantine.csv", f"{load}/undo", "/")]
    printed = "".join(capfd.readouterr())

    seen = [text.encode() for text in pages] + [printed.encode()] + [path.read_bytes() for path in files_of(house)]
    for mark in marks:
        assert not any(mark in one for one in seen), mark
    assert count(house, "voter") == 5
    assert count(house, "quarantine") == 1


def files_of(house: House) -> list[Path]:
    """The files of the installation: data directory, SQLite's database with its write-ahead log."""
    found = [path for path in house.settings.data.rglob("*") if path.is_file()]
    url = make_url(house.settings.database)
    if url.get_backend_name() == "sqlite":
        assert Path(str(url.database)) in found
    return found


def test_other_roles_have_no_business_here(site: Site) -> None:
    """Every page of the intake is 403 for everybody but operators, whatever it names."""
    for number, (role, office) in enumerate([(Role.KPU_PROV, "kpu-51"), (Role.ADMIN_SISTEM, "kpu-00"), (Role.PETUGAS_KEAMANAN, "kpu-00")]):
        desk = site.join(f"lain{number}", office, role)
        for path in (
            "/intake",
            f"/intake/{'a' * 26}",
            f"/intake/{'a' * 26}/result",
            f"/intake/{'a' * 26}/undo",
            f"/intake/{'a' * 26}/quarantine.csv",
        ):
            assert desk.get(path).status_code == 403
        assert desk.send(some()).status_code == 403


def test_the_web_application_keeps_files_in_memory(sqlite_house: House) -> None:
    """The framework's spooling to disk is switched off for every address."""
    app = web_app(sqlite_house)
    with app.test_request_context("/intake", method="POST"):
        assert isinstance(request._get_file_stream(10**9, "text/csv"), io.BytesIO)
