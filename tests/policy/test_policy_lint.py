"""Lint and mutation: what the schema's validator lets through is found before it can decide anything."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.kernel.errors import UnsafeStart
from app.policy.book import read_book
from app.policy.fixtures import FixtureProblem, prepare, read_fixtures
from app.policy.grammar import GRANT_ALWAYS
from app.policy.lint import lint
from app.policy.load import Rule
from app.policy.mutate import mutants, survivors
from app.policy.words import ladder_errors
from app.settings import shipped

NOW = datetime(2026, 12, 1, tzinfo=UTC)
FOLDER = shipped("policies")
BOOK = read_book(FOLDER, NOW)
RULES = {rule.id: rule for rule in BOOK.engine.rules}
SAID = '@judul("uji") @title("test") @dasar("uji") @pemilik("kpu-00/data") @tinjau("2027-06-30")'
PERMIT = f'@id("uji") {SAID} permit (principal in Gardu::PeranAktif::"kpu_kab", {{action}}, resource) when {{{{ {{when}} }}}};'
STANDING = 'principal.tujuan == Gardu::Tujuan::"pemutakhiran" && principal.wilayah in principal.yurisdiksi'
STAGE = 'principal.tahap in [Gardu::Tahap::"dps"]'
UP_TO = 'action in Gardu::Action::"sampai_ada"'


def findings_of(rules: tuple[Rule, ...], moment: datetime = NOW) -> list[str]:
    return [str(finding) for finding in lint(BOOK.folder, BOOK.catalog, rules, moment) if finding.error]


def refusal(tmp_path: Path, cedar: str) -> str:
    """What a start says with one more file of policies."""
    folder = tmp_path / "policies"
    shutil.copytree(FOLDER, folder)
    (folder / "access" / "uji.cedar").write_text(cedar)
    with pytest.raises(UnsafeStart) as no:
        read_book(folder, NOW)
    return no.value.detail


def permit(when: str, action: str = UP_TO) -> str:
    return PERMIT.format(action=action, when=when)


@pytest.mark.parametrize(
    ("cedar", "said"),
    [
        ("permit (principal, action, resource);", "everything for everybody"),
        (permit(f"{STANDING} && {STAGE}").replace(SAID, ""), "@dasar is missing"),
        (permit(f"{STANDING} && {STAGE}").replace('@dasar("uji")', '@dasar(".")'), "@dasar is missing or says nothing"),
        (permit(f"{STANDING} && {STAGE}").replace("2027-06-30", "2099-01-01"), "more than two years away"),
        (permit(f"{STANDING} && {STAGE}").replace("kpu-00/data", "siapa saja"), "@pemilik is an office and a unit"),
        (permit(f"{STANDING} && {STAGE}").replace("PeranAktif", "Peran"), "exactly one active role"),
        (permit(f"{STANDING} && {STAGE}").replace('principal in Gardu::PeranAktif::"kpu_kab"', "principal"), "exactly one active role"),
        (permit(f"{STANDING} && {STAGE}", 'action in Gardu::Action::"lewat_ada"'), "a permit names exactly one of sampai_* or an act"),
        (permit(f"{STANDING} && {STAGE}", 'action == Gardu::Action::"utuh"'), "a permit names exactly one of sampai_* or an act"),
        (permit(STANDING), "names a list of stages"),
        (permit(f'principal.tujuan == Gardu::Tujuan::"pemutakhiran" && {STAGE}'), "does not bind the region"),
        (permit(f"principal.wilayah in principal.yurisdiksi && {STAGE}"), "names no purpose"),
        (permit(f"{STANDING} && {STAGE}").replace("pemutakhiran", "audit"), "does not give to kpu_kab"),
        (permit(f'{STANDING} && principal.tahap != Gardu::Tahap::"dpt"'), "open what is added later"),
        (permit(f'principal.tujuan != Gardu::Tujuan::"audit" && {STAGE}'), "open what is added later"),
        (permit(f"{STANDING} && {STAGE} && false"), "always false"),
        (permit(f'{STANDING} && {STAGE} && principal.tahap in [Gardu::Tahap::"dpt"]'), "always false"),
        (permit(f'{STANDING} && {STAGE} && principal.tujuan == Gardu::Tujuan::"audit"'), "always false"),
        (permit(f'{STANDING} && {STAGE} && resource in [Gardu::Elemen::"nik"]').replace(", resource)", ', resource in Gardu::Kelas::"sipil")'), "always false"),
        (permit(f'{STANDING} && {STAGE} && resource in [Gardu::Elemen::"agama"]'), "unknown element"),
        (permit(f"{STANDING} && {STAGE} && principal.umurFaktor <= 60"), "the limit of 60 s"),
        (permit(f"{STANDING} && {STAGE} && principal.saat > datetime(\"2026-01-01\")"), "no known shape"),
        (permit(f"{STANDING} && {STAGE} && principal.izin.puncak >= 1 && principal has izin"), "no known shape"),
        (f'@id("uji") {SAID} forbid (principal, action in Gardu::Action::"sampai_utuh", resource);', "a forbid names lewat_*"),
        (f'@id("uji") {SAID} forbid (principal in Gardu::PeranAktif::"proses", action in Gardu::Action::"lewat_ada", resource);', "roles held"),
        (permit(f"{STANDING} && {STAGE}").replace('"uji"', '"kpu-kab-ubah"', 1), "carry this @id"),
    ],
)  # fmt: skip
def test_a_dangerous_policy_is_refused_with_its_reason(tmp_path: Path, cedar: str, said: str) -> None:
    """Each policy is Cedar, most are valid by the schema; none may decide."""
    assert said in refusal(tmp_path, cedar)


@pytest.mark.parametrize("name", ["bawaslu-kab-izin", "bawaslu-prov-izin", "bawaslu-ri-izin", "pdp-permintaan-subjek", "larang-khusus"])
def test_a_mandate_without_any_one_of_its_conditions_is_refused(name: str) -> None:
    """Every condition of a mandate, dropped alone, is missed by name."""
    rule = RULES[name]
    others = tuple(other for other in BOOK.engine.rules if other is not rule)
    missed = {
        line.rsplit("condition: ", 1)[1]
        for what, mutant in mutants(rule)
        if mutant is not None and what.startswith("condition")
        for line in findings_of((*others, mutant))
        if "without its condition" in line
    }

    assert missed == {*GRANT_ALWAYS, "subject"}


def test_a_mandate_for_the_nik_must_name_what_can_be_read_off_it() -> None:
    """Without that condition the permit is refused."""
    rule = RULES["bawaslu-kab-izin"]
    others = tuple(other for other in BOOK.engine.rules if other is not rule)
    said = [
        line
        for what, mutant in mutants(rule)
        if mutant is not None and what.startswith("condition (") and "containsAll" in what
        for line in findings_of((*others, mutant))
    ]

    assert any("opens nik by mandate" in line for line in said)


def test_two_policies_that_say_the_same_are_refused() -> None:
    """Another @id does not make it another policy."""
    twin = replace(RULES["kpu-kab-ubah"], id="kembar")

    assert any("says the same" in line for line in findings_of((*BOOK.engine.rules, twin)))


def test_an_overdue_review_is_a_warning_and_no_refusal() -> None:
    """The start says it; the permit no longer counts, the forbid does."""
    found = lint(BOOK.folder, BOOK.catalog, BOOK.engine.rules, datetime(2027, 7, 1, tzinfo=UTC))

    assert not any(finding.error for finding in found)
    assert any("no longer counts" in finding.what for finding in found)
    assert any("still holds" in finding.what for finding in found)


def test_a_schema_whose_ladder_has_a_hole_is_found() -> None:
    """Cedar itself is asked what each group of actions covers."""
    assert ladder_errors(BOOK.folder.schema) == []
    wider = BOOK.folder.schema.replace("action utuh in [sampai_utuh", "action utuh in [sampai_ada, sampai_utuh")

    assert any("sampai_ada" in line for line in ladder_errors(wider))


def test_a_word_missing_from_the_schema_is_found(tmp_path: Path) -> None:
    """The vocabularies of kernel, catalog and schema are one."""
    folder = tmp_path / "policies"
    shutil.copytree(FOLDER, folder)
    schema = folder / "schema.cedarschema"
    schema.write_text(schema.read_text().replace(', "pdpb"]', "]"))

    with pytest.raises(UnsafeStart, match="pdpb"):
        read_book(folder, NOW)


def test_a_condition_that_no_fixture_guards_is_found() -> None:
    """Without the fixtures of somebody else's mandate, dropping the holder goes unnoticed, and mutation says so."""
    rule = RULES["bawaslu-kab-izin"]
    cases = [case for case in read_fixtures(FOLDER / "fixtures") if "milik orang lain" not in case.name]
    _, alive = survivors(BOOK.engine, prepare(BOOK.engine, cases), [rule])

    assert [line for line in alive if "pemohon" in line] == alive != []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('nik = "tutup"\n', "", "absent: nik"),
        ('nik = "tutup"\n', 'nik = "separuh"\n', "SEPARUH"),
        ('harapan = "operator"', 'harapan = "operator"\nizni = {}', "izni"),
        ('nama = "operator sesudah DPT ditetapkan"', 'nama = "operator di kab/kota lain"', "two cases"),
    ],
)
def test_a_fixture_that_leaves_something_open_is_an_error(tmp_path: Path, old: str, new: str, said: str) -> None:
    """One element not named, an unknown word or key, two cases of one name."""
    text = (FOLDER / "fixtures" / "kpu.toml").read_text()
    assert old in text
    (tmp_path / "kpu.toml").write_text(text.replace(old, new, 1))

    with pytest.raises(FixtureProblem, match=said):
        read_fixtures(tmp_path)
