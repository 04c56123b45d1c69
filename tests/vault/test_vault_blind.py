"""Blind indexes find what is equal and little else; names meet in one spelling."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.vault.blind import Blind, FileDigest, normalise_name, planned_bits, same_name
from app.vault.house import L1Key

NIK_KEY = L1Key("nik", "00", 1, b"n" * 32)
NIK = "5171014102800002"
# Letters that the rules turn into one another, beside ordinary and odd ones.
NAMES = st.text(st.sampled_from("oedjtscnyhkmudrgpw .,'-éßŉʼİﬃΣ´½")) | st.text()


def blind(bits: int = 16, kab: str = "51.71") -> Blind:
    return Blind(NIK_KEY, L1Key("blind", kab, 1, kab.encode().ljust(32, b"b"), bits))


@given(NAMES)
@example("ʼN")
@example("ddjj, SH")
@example("H. Haji Hj")
def test_normalising_twice_changes_nothing(name: str) -> None:
    """The normal form is its own normal form, whatever the name."""
    once = normalise_name(name)

    assert normalise_name(once) == once


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SOEKARNO", "Sukarno"),
        ("Djoko Tjahjadi", "joko cahjadi"),
        ("Sjafruddin", "Syafruddin"),
        ("Njoman Rai", "NYM. RAI"),
        ("Achmad", "Akhmad"),
        ("Achmad", "AHMAD"),
        ("Muh. Ali", "Muhammad Ali"),
        ("Moch Ali", "Mohd. Ali"),
        ("MOHAMMAD ALI", "Muchamad Ali"),
        ("Nur'aini", "NURAINI"),
        ("Nur Aini", "Nuraini"),
        ("Siti-Aminah", "SITI  AMINAH"),
        ("André", "Andre"),
        ("Dr. Ir. I Made Rai, M.T., Ph.D.", "I Made Rai"),
        ("Hj. Siti Aminah", "Siti Aminah"),
        ("Ketut Gde", "KT GDE"),
    ],
)
def test_spellings_of_one_name_meet(one: str, other: str) -> None:
    """Case, spacing, marks, titles and old spellings do not keep a voter from being found."""
    assert same_name(one, other)
    assert blind(40).b_nd(one, "1980-02-01") == blind(40).b_nd(other, "1980-02-01")


@pytest.mark.parametrize(
    ("one", "other"), [("M. Ali", "Muhammad Ali"), ("Hadi", "Adi"), ("Ni Made", "I Made"), ("Budi, Ali", "Budi"), ("Hasan", "Hassan")]
)
def test_different_names_stay_different(one: str, other: str) -> None:
    """An initial is not spelled out, a gender mark is not dropped, a comma does not hide a name."""
    assert not same_name(one, other)


def test_a_title_alone_stays_a_name() -> None:
    """A person called Haji keeps the name."""
    assert normalise_name("Haji") == "haji"
    assert normalise_name("") == ""


def test_the_nik_token_has_forty_bits_and_is_keyed_by_election() -> None:
    """Two elections cannot be joined by their tokens; two kab find the same token."""
    here, there = blind(), blind(kab="51.03")

    assert len(here.b_nik(NIK, "2029")) == 5
    assert here.b_nik(NIK, "2029") == there.b_nik(NIK, "2029")
    assert here.b_nik(NIK, "2029") != here.b_nik(NIK, "2024")


def test_other_tokens_are_keyed_by_kab() -> None:
    """Equality across kab does not show in NKK or name + birth date."""
    here, there = blind(40), blind(40, "51.03")

    assert here.b_nkk(NIK) != there.b_nkk(NIK)
    assert here.b_nd("Ni Made", "1980-02-01") != there.b_nd("Ni Made", "1980-02-01")
    assert here.b_nkk(NIK) != here.b_nik(NIK, "2029")


@given(st.integers(8, 40))
def test_tokens_have_exactly_the_planned_bits(bits: int) -> None:
    """A narrower token is the beginning of a wider one, with the rest of its last byte zero."""
    narrow, wide = blind(bits).b_nkk(NIK), blind(40).b_nkk(NIK)

    shift = 40 - bits
    assert len(narrow) == (bits + 7) // 8
    assert int.from_bytes(narrow.ljust(5, b"\0"), "big") == int.from_bytes(wide, "big") >> shift << shift


@given(st.integers(2048, 30_000_000))
def test_the_planner_leaves_eight_to_sixteen_strangers(rows: int) -> None:
    """From 2,048 rows on a look-up meets 8 to 16 strangers, fewer than the root of the rows."""
    strangers = rows / 2 ** planned_bits(rows)

    assert 8 <= strangers < 16 < rows**0.5


@pytest.mark.parametrize("rows", [0, 1, 500, 2047])
def test_the_planner_gives_a_small_kab_eight_bits(rows: int) -> None:
    """Fewer bits than eight are never planned."""
    assert planned_bits(rows) == 8


@pytest.mark.parametrize("number", ["", "517101410280000", "51710141028000021", "517101410280000X", "５１７１０１４１０２８０００02"])
def test_a_number_of_another_shape_has_no_token(number: str) -> None:
    """A NIK or NKK is 16 ASCII digits; the error does not repeat what was given."""
    for attempt in (lambda: blind().b_nik(number, "2029"), lambda: blind().b_nkk(number)):
        with pytest.raises(ValueError, match=r"^a NIK or NKK has 16 digits$") as caught:
            attempt()
        assert caught.value.__context__ is None


@pytest.mark.parametrize("day", ["", "01-02-1980", "19800201", "1980-W05-5", "1980-02-30", "1980-2-1", "１980-02-01"])
def test_a_date_of_another_shape_has_no_token(day: str) -> None:
    """A birth date is a possible ISO date."""
    with pytest.raises(ValueError, match=r"^a birth date is written YYYY-MM-DD$"):
        blind().b_nd("Ni Made", day)


def test_keys_for_another_purpose_are_refused() -> None:
    """A mix-up of keys is found at once."""
    with pytest.raises(ValueError, match="need a nik key"):
        Blind(L1Key("blind", "51.71", 1, bytes(32)), NIK_KEY)
    with pytest.raises(ValueError, match="index key"):
        FileDigest(NIK_KEY)


@given(st.lists(st.binary(max_size=50)))
def test_the_file_digest_does_not_depend_on_the_chunks(chunks: list[bytes]) -> None:
    """A file streamed in pieces has the digest of the whole; reading the digest early disturbs nothing."""
    key = L1Key("index", "00", 1, bytes(32))
    streamed, whole = FileDigest(key), FileDigest(key)
    for chunk in chunks:
        streamed.update(chunk)
        streamed.digest()
    whole.update(b"".join(chunks))

    assert streamed.digest() == whole.digest()
