"""Marker values planted in voters appear nowhere but on the page that was asked for: no file, log, entry, error, repr or address."""

from __future__ import annotations

import base64
import json
import logging
import re
import tempfile
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import inspect, select, text

from app.cli.shell import host_actor
from app.factory import House
from app.kernel.errors import BadInput, Conflict, GarduError, NotThere, SealBroken, TrailDown
from app.kernel.fields import Element, Role
from app.store.engine import Store
from app.touch import SearchKey
from app.voters import actions, dp4
from app.voters.actions import Place
from app.voters.reader import rows, survey
from app.voters.rules.check import check
from app.voters.tables import Load, Quarantine, Voter
from tests.conftest import ELECTION, KAB, NEIGHBOUR, NOW, VOTING_DAY, PostgresServer, dp4_row, load_dp4, operator, task, write_dp4
from tests.walk_kit import Browser, content, entries, guard_on, person, supervision, tamper, tampered

SANUR = "51.71.01.1006"
# Distinctive values; MARK stands in every text, DIGITS in every number.
MARK, DIGITS = "ZQXJVK", "79053917"
VOTER = dp4_row(
    1, DPID=f"{MARK}-DPID", NKK=f"5171{DIGITS}0001", NIK="5171012305793917", NAMA=f"{MARK} WIDYANTARI",
    ALAMAT=f"JL. {MARK} NO. 77", TMPT_LHR=f"{MARK}PURA", TGL_LHR="23|05|1979",
)  # fmt: skip
# NIK too short, so quarantined; and a twin of the first, quarantined for its NIK.
WAITING = dp4_row(2, NIK=f"5171{DIGITS}", NAMA=f"{MARK} KARANTINA", NKK=f"5171{DIGITS}0002", ALAMAT=f"GG. {MARK}")
TWIN = dp4_row(3, NIK=VOTER["NIK"], NAMA=f"{MARK} KEMBAR")
TORN = f'4,"{MARK} SOBEK,5171{DIGITS}0003'
SECRETS = (MARK, VOTER["NIK"], VOTER["NKK"], WAITING["NIK"], WAITING["NKK"], "23|05|1979", "1979-05-23")


def _disguises(secret: str) -> Iterator[bytes]:
    """Every form in which a careless program might write *secret*."""
    for form in {secret, secret.lower(), secret.replace("|", "/"), secret.replace("|", "-")}:
        for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
            yield form.encode(encoding)
        plain = form.encode()
        yield from (plain.hex().encode(), plain.hex().upper().encode())
        for offset in range(3):
            # Only the characters that no neighbouring byte changes: six bits each.
            first, last = -(-offset * 8 // 6), (offset + len(plain)) * 8 // 6
            yield base64.b64encode(bytes(offset) + plain)[first:last]


NEEDLES = sorted({needle for secret in SECRETS for needle in _disguises(secret) if len(needle) >= 6})


def _found(haystack: bytes) -> list[bytes]:
    return [needle for needle in NEEDLES if needle in haystack]


def test_the_search_for_markers_would_find_them() -> None:
    """Planted in each form, at each offset, they are found; so finding none below says something."""
    for secret in SECRETS:
        for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
            assert _found(b"abc" + secret.encode(encoding) + b"xyz")
        for lead in (b"", b"a", b"ab"):
            assert _found(base64.b64encode(lead + secret.encode() + b"tail"))
        assert _found(secret.encode().hex().encode())
    assert not _found(b"an innocent page of the log")


# ---- the whole walk, once, with everything that can go wrong on the way ----


def _walk(house: House, tmp_path: Path) -> tuple[list[object], list[BaseException]]:
    """Intake, search, read, fail, be tampered with; return everything whose repr somebody might log, and every error raised."""
    # Long enough for the intake to call in its second process.
    crowd = [dp4_row(number, NAMA=f"{MARK} WARGA", ALAMAT=f"{MARK} {number}", TPS="002") for number in range(10, 1110)]
    file = write_dp4(tmp_path / "marked.csv", [VOTER, WAITING, TWIN, *crowd])
    with file.open("a", encoding="utf-8") as out:
        out.write(TORN + "\n")
    made: list[object] = [load_dp4(house, file)]
    errors: list[BaseException] = []

    def fails(expected: type[GarduError], call: Callable[[], object]) -> None:
        with pytest.raises(expected) as caught:
            call()
        errors.append(caught.value)

    guard, who, now = house.guard, operator(house), NOW
    hit = actions.find_by_nik(guard, who, task(), VOTER["NIK"], now)
    uid = hit.shown[0].row.uid
    by_name = actions.find_by_name(guard, who, task(), VOTER["NAMA"], "1979-05-23", now)
    page, _ = actions.browse(guard, who, task(), Place(SANUR, "001", None, 100), now)
    miss = actions.find_by_nik(guard, who, task(), VOTER["NKK"], now)
    shown, present = actions.read_voter(guard, who, task(), uid, now)
    assert shown.values[Element.NAMA] == VOTER["NAMA"]
    made += [hit, by_name, page, miss, shown, present, who, guard, house.guard.keys]

    liaison = person(house, Role.BAWASLU_KAB, unit="pengawasan")
    fails(NotThere, lambda: actions.find_by_nik(guard, liaison, supervision(), VOTER["NIK"], now))
    fails(NotThere, lambda: actions.find_by_nik(guard, operator(house, NEIGHBOUR), task(), VOTER["NIK"], now))
    fails(BadInput, lambda: actions.find_by_nik(guard, who, task(), VOTER["NAMA"], now))
    fails(Conflict, lambda: load_dp4(house, file))
    with tampered(house, "UPDATE voter SET c03 = c08 WHERE uid = :v", v=uid):
        fails(SealBroken, lambda: actions.read_voter(guard, who, task(), uid, now))
        made.append(actions.find_by_name(guard, who, task(), VOTER["NAMA"], "1979-05-23", now))
    headless = tmp_path / "headless.csv"
    headless.write_text(",".join(VOTER.values()) + "\n", "utf-8")
    fails(BadInput, lambda: load_dp4(house, headless))
    strange = write_dp4(tmp_path / "strange.csv", [VOTER])
    strange.write_text(strange.read_text("utf-8").replace("KTPel", "KOLOM LAIN"), "utf-8")
    fails(BadInput, lambda: load_dp4(house, strange))

    down = guard_on(house, house.store, _no_space)
    fails(TrailDown, lambda: actions.read_voter(down, who, task(), uid, now))
    fails(TrailDown, lambda: dp4.Intake(down, house.places, host_actor(), house.clock, KAB, ELECTION).load(
        write_dp4(tmp_path / "late.csv", [dp4_row(5, NAMA=f"{MARK} TERLAMBAT", NIK="5171012305793918")]), None, lambda done, total: None
    ))  # fmt: skip
    down.trail.close()
    return made + _parts(house, file, uid), errors


def _no_space(at: str) -> None:
    if at == "inserted":
        raise OSError(28, "No space left on device")


def _parts(house: House, file: Path, uid: str) -> list[object]:
    """The objects on the way, from the raw row to the stored one."""
    surveyed = survey(file)
    raw = [*islice(rows(file, surveyed), 3), *deque(rows(file, surveyed), 1)]
    parts: list[object] = [surveyed, *raw, SearchKey({Element.NIK: VOTER["NIK"]}), house.guard.keys.key("seal", KAB)]
    parts += [check(one, KAB, house.places, VOTING_DAY) for one in raw[:3]]  # type: ignore[arg-type]
    with house.store.reading() as session:
        parts += actions.rows_by_uid(session, KAB, [uid])
        parts += [*session.scalars(select(Voter).limit(5)), *session.scalars(select(Quarantine)), *session.scalars(select(Load))]
        # Said while the session is open, and again after it.
        return [*parts, *map(repr, parts)]


@pytest.fixture
def quiet_temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for temporary files, so that whatever is left in it shows."""
    folder = tmp_path / "temp"
    folder.mkdir()
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_no_file_log_entry_error_or_repr_holds_a_marker(
    house: House,
    tmp_path: Path,
    quiet_temp: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    """After the whole walk: every stored byte, every log line, every error and every repr is searched."""
    start = _wal_file(house)
    with caplog.at_level(logging.DEBUG):
        made, errors = _walk(house, tmp_path)

    said = capfd.readouterr()
    assert _found(f"{said.out}{said.err}{caplog.text}".encode()) == []
    assert _found("\n".join(map(repr, made)).encode()) == []
    assert len(errors) == 9
    for error in errors:
        assert _found(_everything_said_by(error).encode()) == [], type(error)
    assert _found(json.dumps(entries(house)).encode()) == []
    for seq, entry in enumerate(entries(house)):
        if entry["payload"] is not None:
            assert _found(json.dumps(content(house, seq)).encode()) == []
    _search_rows(house)
    assert list(quiet_temp.rglob("*")) == []
    for path in house.settings.data.rglob("*"):
        if path.is_file():
            assert _found(path.read_bytes()) == [], path
    if house.store.dialect == "postgresql":
        _search_server_files(request.getfixturevalue("postgres"), house, start)


def _everything_said_by(error: BaseException) -> str:
    """Text, repr and traceback of an error and of every error it came from, hidden ones too."""
    said, one = "", error
    while one is not None:
        said += f"{one} {one!r} {getattr(one, 'detail', '')} {getattr(one, 'public', '')} {getattr(one, 'field', '')}\n"
        said += "".join(traceback.format_exception_only(one))
        one = one.__cause__ or one.__context__  # type: ignore[assignment]
    # The frames show source lines, never locals.
    return said + "".join(traceback.format_exception(error))


def _search_rows(house: House) -> None:
    """Look at every value of every table, as the owner."""
    store = Store(house.settings.owner_database)
    for table in inspect(store.engine).get_table_names():
        with store.reading() as session:
            for row in session.execute(text(f"SELECT * FROM {table}")):
                values = (value if isinstance(value, bytes) else str(value).encode() for value in row)
                assert _found(b"\n".join(values)) == [], table
    store.dispose()


def _wal_file(house: House) -> str:
    """The write-ahead log's present file, on PostgreSQL."""
    if house.store.dialect == "sqlite":
        return ""
    store = Store(house.settings.owner_database)
    with store.reading() as session:
        name = str(session.scalar(text("SELECT pg_walfile_name(pg_current_wal_lsn())")))
    store.dispose()
    return name


def _search_server_files(server: PostgresServer, house: House, start: str) -> None:
    """Look at the server's own files: this database's, the shared ones, the write-ahead log since the walk began, and logs."""
    server.run("CHECKPOINT")
    with server.admin.engine.connect() as connection:
        folder = Path(str(connection.scalar(text("SHOW data_directory"))))
        name = house.store.engine.url.database
        number = connection.scalar(text("SELECT oid FROM pg_database WHERE datname = :name"), {"name": name})
    if not folder.is_dir():
        pytest.skip("the server's files lie on another machine")
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name not in {"pg_wal"} and "base" not in path.parts]
    files += [path for path in (folder / "base" / str(number)).rglob("*") if path.is_file()]
    files += [path for path in (folder / "pg_wal").iterdir() if re.fullmatch("[0-9A-F]{24}", path.name) and path.name >= start]
    assert len(files) > 100
    for path in files:
        assert _found(path.read_bytes()) == [], path


# ---- over the web ----


def test_pages_carry_markers_only_where_they_show_them(
    sqlite_house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Searched by form, shown on the page, and in no address, header, log line or file; a broken row's page repeats nothing."""
    load_dp4(sqlite_house, write_dp4(tmp_path / "marked.csv", [VOTER, WAITING, TWIN]))
    with caplog.at_level(logging.DEBUG):
        browser = Browser(sqlite_house)
        browser.sign_in()
        form = {"purpose": "pemutakhiran", "region": KAB}
        results = browser.post("/voters/search", **form, nik=VOTER["NIK"])
        browser.post("/voters/search", **form, name=VOTER["NAMA"], birth_date="23-05-1979")
        wrong = browser.post("/voters/search", **form, name=VOTER["NAMA"], birth_date=VOTER["NIK"])
        [address] = set(re.findall(rf'href="(/voters/{KAB}-[a-z2-7]{{26}})"', results))
        page = browser.get(address)
        tamper(sqlite_house, "UPDATE voter SET c03 = c08")
        broken = browser.get(address)

    assert VOTER["NAMA"] in results
    assert VOTER["NIK"] in page
    assert _found(broken.encode()) == []
    assert _found(wrong.encode()) == []
    assert _found("\n".join(browser.addresses).encode()) == []
    said = capfd.readouterr()
    assert '"route": "/voters/<public_id>"' in said.out + said.err + caplog.text
    assert _found(f"{said.out}{said.err}{caplog.text}".encode()) == []
    _search_rows(sqlite_house)
    for path in sqlite_house.settings.data.rglob("*"):
        assert not path.is_file() or _found(path.read_bytes()) == [], path
