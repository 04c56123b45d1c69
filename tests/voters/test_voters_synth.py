"""Synthetic voters: the same every time, plausible to intake, faulty only where that is meant."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from collections import Counter
from datetime import date
from itertools import groupby

import pytest

from app.kernel.errors import BadInput
from app.places import Places
from app.voters.reader import rows, survey
from app.voters.rules.check import check
from app.voters.rules.findings import Reason
from app.voters.rules.rows import COLUMNS, CleanRow, RawRow, Rejected
from app.voters.synth import dp4, generate, write_csv
from app.voters.synth.people import VOTING_DAY

PLACES = Places()
MANY = 20_000


def made(region: str = "51.71", voters: int = 5000, seed: int = 1, *, clean: bool = False) -> list[dict[str, str]]:
    """Return the rows of one run."""
    return list(generate(region, voters, seed, clean=clean, places=PLACES))


def file_of(region: str, voters: int, seed: int) -> bytes:
    """Return the bytes of one run's file."""
    out = io.StringIO(newline="")
    assert write_csv(out, region, voters, seed, places=PLACES) == voters
    return out.getvalue().encode("ascii")


@pytest.fixture(scope="module")
def denpasar() -> list[dict[str, str]]:
    """Twenty thousand voters of Kota Denpasar."""
    return made(voters=MANY)


def test_same_region_number_and_seed_give_the_same_bytes() -> None:
    """The digest is pinned: a change of the generator must be meant, for demos and benchmarks compare over time."""
    assert file_of("51.71", 2000, 1) == file_of("51.71", 2000, 1)
    assert hashlib.sha256(file_of("51.71", 2000, 1)).hexdigest() == "dbb7bfced429337aad84f627a69ff9e8fc4eda3ae2f15f00311593e27f8b2072"


def test_another_seed_or_region_gives_others() -> None:
    """And no shared stream between regions."""
    assert len({file_of("51.71", 100, 1), file_of("51.71", 100, 2), file_of("51.03", 100, 1)}) == 3


@pytest.mark.parametrize("voters", [1, 2, 43, 500])
@pytest.mark.parametrize("clean", [False, True])
def test_as_many_rows_as_asked(voters: int, clean: bool) -> None:
    """Whatever families and duplicates do."""
    assert len(made(voters=voters, clean=clean)) == voters


@pytest.mark.parametrize("region", ["51.71", "51.03", "12.01", "32.73", "71.02", "91.71", "95.03", "35.26"])
def test_a_clean_file_is_sealed_whole(region: str) -> None:
    """Every row passes the rules, every NIK is alone, and only real life warns."""
    result = [check(RawRow(number, row), region, PLACES, VOTING_DAY) for number, row in enumerate(made(region, 1500, clean=True), 1)]

    sealed = [row for row in result if isinstance(row, CleanRow)]
    warned = {finding.reason for row in sealed for finding in row.warnings}
    assert len(sealed) == 1500
    assert len({row.values[2] for row in sealed}) == 1500
    assert warned <= {Reason.NIK_REGION_ELSEWHERE, Reason.NIK_BIRTH, Reason.NIK_SEX}


def test_the_stated_shares_are_kept(denpasar: list[dict[str, str]]) -> None:
    """Within what chance allows for twenty thousand draws (four standard deviations)."""
    result = [check(RawRow(number, row), "51.71", PLACES, VOTING_DAY) for number, row in enumerate(denpasar, 1)]
    found = Counter(f.reason for row in result for f in (row.reasons if isinstance(row, Rejected) else row.warnings))
    remarks = Counter(row["KET"] for row in denpasar)
    twice = MANY - len({row["NIK"] for row in denpasar})

    seen = {
        dp4.MOVED: found[Reason.NIK_REGION_ELSEWHERE],
        dp4.BIRTH_MISMATCH: found[Reason.NIK_BIRTH],
        dp4.SEX_MISMATCH: found[Reason.NIK_SEX],
        dp4.DECEASED: remarks["1"],
        dp4.WRONG_TPS: remarks["8"],
        dp4.DUPLICATE: twice,
        sum(share for _, share in dp4.DISABILITIES): sum(row["DIS"] != "0" for row in denpasar),
    }
    assert set(remarks) == {"", "1", "3", "8"}
    assert found[Reason.NIK_SHAPE] > 0
    assert found[Reason.BIRTH_IMPOSSIBLE] > 0
    assert [share for share, count in seen.items() if abs(count - share * MANY) > 4 * (share * MANY) ** 0.5] == []


def test_the_national_rates_of_disability_add_up() -> None:
    """1,101,178 of 204,807,222."""
    assert sum(share for _, share in dp4.DISABILITIES) * 204_807_222 == pytest.approx(1_101_178, abs=1)


def test_a_duplicate_comes_later_at_another_home(denpasar: list[dict[str, str]]) -> None:
    """Same NIK and name, own DPID; the first row is the one that intake keeps."""
    first: dict[str, dict[str, str]] = {}
    again = [(first[row["NIK"]], row) for row in denpasar if first.setdefault(row["NIK"], row) is not row]

    assert again
    assert all(one["NAMA"] == two["NAMA"] and one["DPID"] < two["DPID"] for one, two in again)


def test_stations_hold_three_hundred_at_most_and_keep_families_together(denpasar: list[dict[str, str]]) -> None:
    """The cap of Pemilu 2024; a family is not split."""
    stations = Counter((row["DESA"], row["TPS"]) for row in denpasar)
    families: dict[str, set[tuple[str, str]]] = {}
    seen: set[str] = set()
    for row in denpasar:
        if row["NIK"] not in seen:  # a duplicate is registered elsewhere: that is the fault
            families.setdefault(row["NKK"], set()).add((row["DESA"], row["TPS"]))
        seen.add(row["NIK"])

    assert max(stations.values()) <= 300
    assert {len(homes) for homes in families.values()} == {1}


def test_families_share_card_and_address(denpasar: list[dict[str, str]]) -> None:
    """Several voters per card on average."""
    sizes = [len(list(group)) for _, group in groupby(denpasar, key=lambda row: row["NKK"])]

    assert 2 < sum(sizes) / len(sizes) < 4
    assert max(sizes) <= 7


def test_under_age_rows_say_so(denpasar: list[dict[str, str]]) -> None:
    """KET 3 and a birth date below 17, nobody else."""
    for row in denpasar:
        day, month, year = map(int, row["TGL_LHR"].split("|"))
        if (day, month) != (31, 2):
            assert (date(year, month, day) > date(2012, 2, 14)) == (row["KET"] == "3")


def test_names_follow_the_region() -> None:
    """Balinese birth-order names in Bali, none in Bandung."""
    bali, bandung = made(voters=500), made("32.73", 500)

    assert sum(row["NAMA"].startswith(("I ", "NI ", "IDA ", "ANAK AGUNG ")) for row in bali) > 250
    assert sum(row["NAMA"].startswith(("I WAYAN", "NI LUH")) for row in bandung) == 0


def test_two_regions_share_no_number() -> None:
    """People who moved carry serials of their new region's own range, so files of two regions can be loaded together."""
    one, two = made(voters=MANY, clean=True), made("51.03", MANY, clean=True)

    assert not {row["NIK"] for row in one} & {row["NIK"] for row in two}
    assert not {row["NKK"] for row in one} & {row["NKK"] for row in two}


def test_the_file_is_read_back_row_for_row() -> None:
    """What the writer writes, the reader reads; pure ASCII."""
    data = file_of("51.71", 3000, 4)

    got = list(rows(lambda: io.BytesIO(data), survey(lambda: io.BytesIO(data))))

    assert [row.cells for row in got if isinstance(row, RawRow)] == made(seed=4, voters=3000)
    assert data.startswith(",".join(COLUMNS).encode())


@pytest.mark.parametrize(("region", "voters"), [("51", 10), ("99.99", 10), ("00", 10), ("51.71", 0), ("51.71", -1), ("51.71", 10**9)])
def test_what_cannot_be_made_is_refused(region: str, voters: int) -> None:
    """Only a kab/kota, only as many as its stations hold."""
    with pytest.raises(BadInput):
        generate(region, voters, 1, places=PLACES)


def test_memory_stays_flat() -> None:
    """Rows are made one by one."""
    tracemalloc.start()

    count = sum(1 for _ in generate("51.71", 10_000, 1, places=PLACES))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 10_000
    assert peak < 8_000_000
