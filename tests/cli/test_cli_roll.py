"""`gardu election set`, `intake dp4` and `synth dp4`: what a script reads, and what a nonsense file gets."""

from __future__ import annotations

import csv
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from random import Random

import click
import pytest
from click.testing import CliRunner, Result

from app.cli import roll
from app.factory import House
from app.kernel.fields import Stage
from app.voters import elections
from app.voters.rules.rows import COLUMNS
from tests.conftest import ELECTION, KAB, NEIGHBOUR, PASSPHRASE, VOTING_DAY, dp4_row, load_dp4, write_dp4
from tests.walk_kit import Installed, entries, outcomes, reopened, rows_of, size


@pytest.fixture
def house(installed_sqlite: Installed, tmp_path: Path) -> Iterator[House]:
    """An installation whose directory the commands open by themselves; they read the machine's clock, so its stage is an old one."""
    made = installed_sqlite.copy(tmp_path / "data")
    with made.store.writing() as session:
        elections.set_stage(session, ELECTION, VOTING_DAY, [KAB, NEIGHBOUR], Stage.DPS, "host:0", datetime(2020, 1, 1, tzinfo=UTC))
    yield made
    made.close()


def _run(house: House | None, *arguments: str) -> Result:
    """Run a command on the house's directory, with the passphrase through a pipe."""
    group, environ = click.Group(), {}
    roll.register(group)
    if house is not None:
        read, write = os.pipe()
        os.write(write, f"{PASSPHRASE}\n".encode())
        os.close(write)
        environ = {"GARDU_PASSPHRASE_FD": str(read), "GARDU_DATA": str(house.settings.data)}
    return CliRunner().invoke(group, arguments, env=environ)


def _intake(house: House, file: Path, *more: str) -> Result:
    return _run(house, "intake", "dp4", str(file), "--region", KAB, "--election", ELECTION, "--json", *more)


def _last(result: Result) -> dict[str, object]:
    said: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return said


# ---- election ----


def test_setting_a_stage_is_an_entry_and_says_how_many_changed(house: House) -> None:
    """A province's nine kab at once; the same again changes none, and is recorded all the same."""
    before = size(house)
    call = ("election", "set", ELECTION, "--voting-day", "2029-02-14", "--region", "51", "--stage", "dps", "--json")
    first, second = _last(_run(house, *call)), _last(_run(house, *call))

    # Two of them stand at dps already.
    assert (first["changed"], second["changed"]) == (7, 0)
    assert {name: first[name] for name in ("election", "stage", "region", "seq")} == {
        "election": ELECTION, "stage": "dps", "region": "51", "seq": before,
    }  # fmt: skip
    written = entries(house, before)
    assert [(one["action"], one["scope"], one["stage"], one["actor"]) for one in written] == [
        ("election:set", "51", "dps", f"host:{os.getuid()}")
    ] * 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--region": "99"}, "no kab/kota in region 99"),
        ({"--region": "bali"}, "not a Kemendagri region code"),
        ({"--voting-day": "2029-02-15"}, "has voting day 2029-02-14"),
        ({"--voting-day": "tomorrow"}, "Invalid value for '--voting-day'"),
        ({"--stage": "dpt9"}, "Invalid value for '--stage'"),
        ({"ELECTION": "pemilihan umum serentak"}, "1 to 16 letters"),
        ({"ELECTION": ""}, "1 to 16 letters"),
    ],
)
def test_a_stage_that_cannot_be_says_why(house: House, changes: dict[str, str], words: str) -> None:
    """Exit 2, nothing written, no entry."""
    given = {"ELECTION": ELECTION, "--voting-day": "2029-02-14", "--region": KAB, "--stage": "dpt", **changes}
    before = size(house)
    result = _run(house, "election", "set", given.pop("ELECTION"), *(part for pair in given.items() for part in pair), "--json")

    assert result.exit_code == 2
    assert words in result.output
    assert size(house) == before


# ---- intake ----


def test_intake_prints_its_control_total_as_the_last_line(house: House, tmp_path: Path) -> None:
    """One JSON object; the log's newest entry says the same."""
    file = write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2, NIK="5171"), dp4_row(3, STS="?")])
    result = _intake(house, file)
    said = _last(result)

    assert result.exit_code == 0
    assert {name: said[name] for name in ("rows_read", "rows_sealed", "rows_quarantined", "resumed")} == {
        "rows_read": 3, "rows_sealed": 2, "rows_quarantined": 1, "resumed": False,
    }  # fmt: skip
    assert said["warnings"] == {"sts-unknown": 1}
    assert said["seq"] == size(house) - 1
    assert "3 rows read = 2 sealed + 1 quarantined" in result.stderr


@pytest.mark.parametrize(("lang", "words"), [("id", "NIK tidak terdiri dari tepat 16 angka."), ("en", "16 digits")])
def test_the_report_names_row_field_reason_and_remedy_and_no_value(house: House, tmp_path: Path, lang: str, words: str) -> None:
    """Written when asked, in the language asked; what the row says stands nowhere in it."""
    secret = dp4_row(2, NIK="517101-RAHASIA", NAMA="NAMA SANGAT RAHASIA", ALAMAT="GANG RAHASIA")
    report = tmp_path / "report.csv"
    result = _intake(house, write_dp4(tmp_path / "a.csv", [dp4_row(1), secret]), "--report", str(report), "--lang", lang)
    [row] = csv.DictReader(StringIO(report.read_text("utf-8")))

    assert (row["row"], row["field"], row["reason"]) == ("2", "NIK", "nik-shape")
    assert words in row["what"]
    assert row["remedy"]
    assert "RAHASIA" not in report.read_text("utf-8") + result.output


def test_a_mapping_file_names_other_headers(house: House, tmp_path: Path) -> None:
    """Headers of another name, and one to pass over."""
    file = write_dp4(tmp_path / "a.csv", [dp4_row(1)])
    file.write_text(file.read_text("utf-8").replace("NIK,", "No. Induk,", 1).replace("DPID", "No"), "utf-8")
    (tmp_path / "map.toml").write_text('ignore = ["No"]\n[columns]\nNIK = "No. Induk"\nDPID = "Nomor DP"\n', "utf-8")

    assert _intake(house, file).exit_code == 2
    assert _last(_intake(house, file, "--mapping", str(tmp_path / "map.toml")))["rows_sealed"] == 1


def test_the_same_file_again_is_a_conflict(house: House, tmp_path: Path) -> None:
    """Exit 2, and when it came."""
    file = write_dp4(tmp_path / "a.csv", [dp4_row(1)])
    _intake(house, file)
    result = _intake(house, file)

    assert (result.exit_code, _last(result)["error"]) == (2, "conflict")
    assert "already loaded" in str(_last(result)["detail"])
    assert len(rows_of(house, "SELECT uid FROM voter")) == 1


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("dp4.csv", ",".join(COLUMNS) + "\n" + ",".join(dp4_row(1).values()) + "\n")


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"this is no header at all\n")
        file.truncate(2 << 30)


def _huge(path: Path) -> None:
    write_dp4(path, [dp4_row(1)])
    with path.open("r+b") as file:
        file.truncate((2 << 30) + 1)


def _nul(path: Path) -> None:
    write_dp4(path, [dp4_row(1, ALAMAT="JL.\0UJI")])


def _late_nul(path: Path) -> None:
    write_dp4(path, [dp4_row(number) for number in range(1, 3000)])
    with path.open("ab") as file:
        file.write(bytes(2 << 20))


def _wrong_header(path: Path) -> None:
    path.write_text("nama;umur;kota\nWAYAN;40;DENPASAR\n", "utf-8")


def _utf16(path: Path) -> None:
    path.write_bytes((",".join(COLUMNS) + "\n").encode("utf-16"))


def _mixed(path: Path) -> None:
    write_dp4(path, [dp4_row(1, NAMA="JOSÉ")])
    with path.open("ab") as file:
        file.write(",".join(dp4_row(2, NAMA="JOSÉ").values()).encode("cp1252") + b"\n")


NONSENSE: list[tuple[str, Callable[[Path], object], str]] = [
    ("random bytes", lambda path: path.write_bytes(Random(1).randbytes(100_000)), ""),
    ("a zip called csv", _zip, "zip"),
    ("a PDF", lambda path: path.write_bytes(b"%PDF-1.7\n" + b"x" * 500), "pdf"),
    ("an HTML page", lambda path: path.write_text("<!doctype html><title>dp4</title>"), "html"),
    ("empty", lambda path: path.write_bytes(b""), "empty"),
    ("blank lines", lambda path: path.write_bytes(b"\r\n" * 50), "empty"),
    ("a header and nothing else", lambda path: write_dp4(path, []), "no row"),
    ("another table", _wrong_header, "columns missing: NKK"),
    ("UTF-16", _utf16, "UTF-16"),
    ("two encodings in one file", _mixed, "neither UTF-8 nor cp1252"),
    ("NUL bytes", _nul, "NUL"),
    ("NUL bytes far behind", _late_nul, "bytes"),
    ("2 GB of nothing after nonsense", _sparse, "NUL"),
    ("more than 2 GB after a good row", _huge, ""),
    ("one endless line", lambda path: path.write_bytes(b"x" * 3_000_000), "line"),
]


@pytest.mark.parametrize(("make", "words"), [(make, words) for _, make, words in NONSENSE], ids=[name for name, _, _ in NONSENSE])
def test_a_nonsense_file_is_refused_with_what_is_wrong(house: House, tmp_path: Path, make: Callable[[Path], object], words: str) -> None:
    """Exit 2, one clear line, no traceback, no row, no load left behind, no entry of an import."""
    file = tmp_path / "dp4.csv"
    make(file)
    before = size(house)
    begun = time.monotonic()
    result = _intake(house, file)
    file.unlink()

    assert (result.exit_code, _last(result)["error"]) == (2, "bad-input"), result.output
    assert words in str(_last(result)["detail"])
    assert "Traceback" not in result.output
    assert not [value for value in dp4_row(1).values() if len(value) > 6 and value in result.output]
    assert rows_of(house, "SELECT uid FROM load") == []
    assert ("voter:import", "done") not in outcomes(house, before)
    # Far above what it takes; reading 2 GB takes longer.
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("region", "election", "words"),
    [
        ("51", ELECTION, "not a kab/kota"),
        ("51.99", ELECTION, "not a kab/kota"),
        (KAB, "2099", "gardu election set"),
        ("x", ELECTION, "region code"),
    ],
)
def test_a_wrong_region_or_election_says_what_to_do(house: House, tmp_path: Path, region: str, election: str, words: str) -> None:
    """Before the file is read, and before any key is made."""
    before = size(house)
    file = write_dp4(tmp_path / "a.csv", [dp4_row(1)])
    result = _run(house, "intake", "dp4", str(file), "--region", region, "--election", election, "--json")

    assert result.exit_code == 2
    assert words in str(_last(result)["detail"])
    assert size(house) == before


def test_a_wrong_passphrase_says_so(house: House, tmp_path: Path) -> None:
    """Exit 2 and one clear line."""
    group = click.Group()
    roll.register(group)
    read, write = os.pipe()
    os.write(write, b"not the passphrase\n")
    os.close(write)
    file = write_dp4(tmp_path / "a.csv", [dp4_row(1)])
    result = CliRunner().invoke(
        group,
        ["intake", "dp4", str(file), "--region", KAB, "--election", ELECTION, "--json"],
        env={"GARDU_PASSPHRASE_FD": str(read), "GARDU_DATA": str(house.settings.data)},
    )

    assert (result.exit_code, _last(result)) == (2, {"error": "keys-down", "detail": "wrong passphrase"})


def test_without_any_passphrase_the_ways_to_give_one_are_named(house: House, tmp_path: Path) -> None:
    """A real installation never reads one from a file of its own."""
    group = click.Group()
    roll.register(group)
    file = write_dp4(tmp_path / "a.csv", [dp4_row(1)])
    result = CliRunner().invoke(
        group, ["intake", "dp4", str(file), "--region", KAB, "--election", ELECTION], env={"GARDU_DATA": str(house.settings.data)}
    )

    assert result.exit_code == 2
    assert "GARDU_PASSPHRASE_FD" in result.output


def test_what_the_command_loaded_another_process_reads(house: House, tmp_path: Path) -> None:
    """The command closed its house; the rows stand, and a second file goes on from there."""
    _intake(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    other = reopened(house.settings.data)

    assert load_dp4(other, write_dp4(tmp_path / "b.csv", [dp4_row(1), dp4_row(2)])).rows_quarantined == 1
    other.close()


def test_a_check_says_which_rows_are_double_and_stores_nothing(house: House, tmp_path: Path) -> None:
    """Exit 1, numbers and kinds on the screen, in the report and as JSON; no value."""
    load_dp4(house, write_dp4(tmp_path / "roll.csv", [dp4_row(1)]))
    file, report = write_dp4(tmp_path / "a.csv", [dp4_row(number) for number in (1, 2, 2)]), tmp_path / "double.csv"
    before = rows_of(house, "SELECT count(*) AS n FROM voter")
    result = _run(house, "intake", "check", str(file), "--region", KAB, "--election", ELECTION, "--json", "--report", str(report))

    assert result.exit_code == 1
    assert _last(result) == {
        "rows": 3, "conflicts": 2, "file": 1, "roll": 1, "file_rows": [3], "roll_rows": [1], "compared": 1,
    }  # fmt: skip
    assert [(row["row"], row["kind"]) for row in csv.DictReader(report.read_text("utf-8").splitlines())] == [("1", "roll"), ("3", "file")]
    assert dp4_row(1)["NIK"] not in result.output + report.read_text("utf-8")
    assert rows_of(house, "SELECT count(*) AS n FROM voter") == before
    clean = write_dp4(tmp_path / "b.csv", [dp4_row(7)])
    assert _run(house, "intake", "check", str(clean), "--region", KAB, "--election", ELECTION).exit_code == 0


def test_a_load_may_be_told_to_stop_at_double_niks(house: House, tmp_path: Path) -> None:
    """Exit 2 and nothing stored; without the option the rows wait in quarantine."""
    file = write_dp4(tmp_path / "a.csv", [dp4_row(number) for number in (1, 2, 2)])
    stopped = _intake(house, file, "--conflicts", "stop")

    assert (stopped.exit_code, _last(stopped)["error"]) == (2, "conflict")
    assert rows_of(house, "SELECT uid FROM load") == []
    assert _last(_intake(house, file))["rows_quarantined"] == 1


# ---- synth ----


def test_synthetic_data_is_the_same_for_the_same_seed() -> None:
    """Bytes, header and number of rows; another seed or region is another file."""

    def made(*more: str) -> str:
        result = _run(None, "synth", "dp4", "--region", KAB, "--voters", "300", *more)
        assert result.exit_code == 0
        return result.stdout

    assert made("--seed", "7") == made("--seed", "7")
    assert made("--seed", "7") != made("--seed", "8")
    rows = list(csv.DictReader(io.StringIO(made())))
    assert len(rows) == 300
    assert set(rows[0]) == set(COLUMNS)


def test_synthetic_data_goes_through_intake_whole(house: House, tmp_path: Path) -> None:
    """Every row generated is read; without planted faults every one is sealed."""
    for number, more in enumerate(((), ("--clean",))):
        file = tmp_path / f"{number}.csv"
        file.write_text(
            _run(None, "synth", "dp4", "--region", KAB, "--voters", "400", "--seed", str(number + 5), *more).stdout, "utf-8", newline=""
        )
        said = _last(_intake(house, file))

        assert said["rows_read"] == 400
        assert int(str(said["rows_sealed"])) + int(str(said["rows_quarantined"])) == 400
        if more:
            assert said["rows_quarantined"] == 0


@pytest.mark.parametrize("region", ["51.99", "99", "bali"])
def test_synthetic_data_of_nowhere_is_refused(region: str) -> None:
    """Usage, exit 2."""
    assert _run(None, "synth", "dp4", "--region", region, "--voters", "5").exit_code == 2
