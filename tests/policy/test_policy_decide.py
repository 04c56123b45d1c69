"""Decisions: the standing maxima, what fails closed, what is remembered and for how long."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.kernel.actor import NEVER
from app.kernel.errors import UnsafeStart
from app.kernel.fields import ELEMENTS, Basis, Element, Purpose, Role, Stage, Unit, View
from app.policy.decide import Act, Denied, Policies
from app.policy.load import parse_rules
from app.policy.visit import Mandate, Visit
from app.settings import shipped

NOW = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)
FOLDER = shipped("policies")
# Cedar computes in 64 bits: this product overflows, so the policy errs although the schema finds nothing wrong with it.
ERRS = "principal.umurFaktor + 9223372036854775807 > 9223372036854775807"
FORBID = (
    '@id("uji-galat") @judul("uji") @title("test") @dasar("uji") @pemilik("kpu-00/hukum") @tinjau("2027-06-30")\n'
    'forbid (principal, action in Gardu::Action::"lewat_tutup", resource) when {{ {condition} }};'
)


@pytest.fixture(scope="module")
def policies() -> Policies:
    return Policies.load(FOLDER, NOW)


def visit(role: Role = Role.KPU_KAB, **changes: object) -> Visit:
    asked = Visit(
        person="p" * 26, office="kpu-51.71", unit="data", role=role, roles=frozenset({role}), jurisdiction="51.71",
        region="51.71.01.1001", purpose=Purpose.PEMUTAKHIRAN, basis=Basis.PKPU7_2022, election="2029", stage=Stage.DPS, moment=NOW, factor_age=60,
    )  # fmt: skip
    return replace(asked, **changes)  # type: ignore[arg-type]  # a test's own choice


def liaison(**changes: object) -> Visit:
    return visit(Role.BAWASLU_KAB, office="bawaslu-51.71", purpose=Purpose.PENGAWASAN, basis=Basis.UU7_2017, **changes)


def mandate(**changes: object) -> Mandate:
    given = Mandate(
        uid="m" * 26, holder="p" * 26, approver1="a" * 26, unit1=Unit.DATA, approver2="b" * 26, unit2=Unit.HUKUM, region="51.71",
        purpose=Purpose.PENGAWASAN, stages=frozenset({Stage.DPS}), elements=frozenset(ELEMENTS), ceiling=View.UTUH,
        start=NOW - timedelta(days=1), until=NOW + timedelta(days=1),
    )  # fmt: skip
    return replace(given, **changes)  # type: ignore[arg-type]  # a test's own choice


def test_an_operator_sees_all_but_the_disability_in_full(policies: Policies) -> None:
    """Own region, own purpose, fresh code: twelve in full, disability generalised."""
    views = policies.decide(visit()).views

    assert {e for e in ELEMENTS if views[e] is View.UTUH} == set(ELEMENTS) - {Element.DISABILITAS}
    assert views[Element.DISABILITAS] is View.RINGKAS


def test_a_stale_code_masks_the_identifiers_and_offers_them(policies: Policies) -> None:
    """After 900 seconds NIK and NKK fall to masked; the grant says what a fresh code would raise."""
    fresh, stale = policies.decide(visit(factor_age=900)), policies.decide(visit(factor_age=901))

    assert fresh.views[Element.NIK] is View.UTUH and not fresh.offer
    assert stale.views[Element.NIK] is stale.views[Element.NKK] is View.SAMAR
    assert stale.offer[Element.NIK] is View.UTUH


def test_a_liaison_sees_a_mask_that_does_not_unmask_birth_date(policies: Policies) -> None:
    """NIK masked, age for birth date, name and street in full (the dispute of June 2023)."""
    views = policies.decide(liaison()).views

    assert views[Element.NIK] is View.SAMAR and views[Element.TANGGAL_LAHIR] is View.RINGKAS
    assert views[Element.NAMA] is views[Element.ALAMAT] is View.UTUH


@pytest.mark.parametrize(
    "changes",
    [
        {"region": "51.03.01.1001"},
        {"purpose": Purpose.PENGAWASAN},
        {"stage": Stage.DPT},
        {"jurisdiction": "51.03"},
        {"jurisdiction": "00"},
        {"roles": frozenset({Role.KPU_KAB, Role.ADMIN_SISTEM})},
        {"roles": frozenset({Role.KPU_KAB, Role.PENYETUJU})},
        {"roles": frozenset({Role.KPU_KAB, Role.PETUGAS_KEAMANAN})},
    ],
)
def test_elsewhere_otherwise_or_with_a_forbidden_second_role_nothing_opens(policies: Policies, changes: dict[str, object]) -> None:
    """Another region, purpose, stage or office level, or a role that must never see data: denied, with the rule named."""
    with pytest.raises(Denied) as no:
        policies.decide(visit(**changes))

    assert no.value.rules and not no.value.errors


@pytest.mark.parametrize("role", [Role.ADMIN_SISTEM, Role.PENYETUJU, Role.PROSES, Role.PETUGAS_KEAMANAN, Role.PEJABAT_PDP])
@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("stage", list(Stage))
def test_roles_without_a_view_have_none_anywhere(policies: Policies, role: Role, purpose: Purpose, stage: Stage) -> None:
    """No purpose and no stage opens anything to them without a mandate."""
    for jurisdiction in ("51.71", "00"):
        with pytest.raises(Denied):
            policies.decide(visit(role, purpose=purpose, stage=stage, jurisdiction=jurisdiction))


def test_a_mandate_opens_what_it_names_while_all_its_conditions_hold(policies: Policies) -> None:
    """NIK in full under the whole mandate; masked again when any one condition fails."""
    assert policies.decide(liaison(mandate=mandate())).views[Element.NIK] is View.UTUH
    broken: list[dict[str, object]] = [
        {"holder": "x" * 26}, {"approver1": "p" * 26}, {"approver2": "p" * 26}, {"approver2": "a" * 26}, {"unit2": Unit.DATA},
        {"region": "51.71.02"}, {"purpose": Purpose.SENGKETA}, {"stages": frozenset({Stage.DPT})}, {"ceiling": View.SAMAR},
        {"elements": frozenset({Element.DISABILITAS})}, {"start": NOW + timedelta(seconds=1)}, {"until": NOW},
    ]  # fmt: skip

    for change in broken:
        assert policies.decide(liaison(mandate=mandate(**change))).views[Element.NIK] is View.SAMAR, change


def test_a_search_needs_every_element_of_its_key_in_full(policies: Policies) -> None:
    """The operator may; a liaison may not, nor may a stale code: guessing must not unmask."""
    assert policies.permits(visit(), Act.CARI, (Element.NIK,))
    for asked in (liaison(), visit(factor_age=NEVER)):
        with pytest.raises(Denied):
            policies.permits(asked, Act.CARI, (Element.NIK,))


def test_the_import_may_match_and_write_but_never_look(policies: Policies) -> None:
    """Role proses: cocokkan on NIK and ubah in the stages of intake; not at dpt; no view ever."""
    asked = visit(Role.PROSES, purpose=Purpose.PEMUATAN, jurisdiction="00", office="kpu-00")
    assert policies.permits(asked, Act.COCOKKAN, (Element.NIK,)) and policies.permits(asked, Act.UBAH, ELEMENTS)

    for refused in (lambda: policies.decide(asked), lambda: policies.permits(replace(asked, stage=Stage.DPT), Act.UBAH, ELEMENTS)):
        with pytest.raises(Denied):
            refused()


def test_a_forbid_that_errs_denies_everything(policies: Policies) -> None:
    """Cedar would skip it and allow; the wrapper denies and says that the engine erred."""
    rules = (*policies.book.engine.rules, *parse_rules({"uji.cedar": FORBID.format(condition=ERRS)}))
    engine = policies.book.engine.with_rules(rules)

    answers = engine.ask(visit(), [("utuh", Element.NIK), ("ada", Element.NAMA)])
    assert [answer.allowed for answer in answers] == [False, False]
    assert all(answer.error for answer in answers)


def test_a_permit_past_its_review_opens_nothing_and_forbids_stay(policies: Policies) -> None:
    """The day after @tinjau every permit is locked."""
    with pytest.raises(Denied):
        policies.decide(visit(moment=datetime(2027, 7, 2, tzinfo=UTC)))


def test_a_plan_is_remembered_until_something_changes(policies: Policies) -> None:
    """The same visit a second later has the same plan; raising the generation forgets it."""
    first = policies.decide(visit())
    again = policies.decide(visit(moment=NOW + timedelta(seconds=1), factor_age=61))
    assert again.views is first.views

    policies.generation += 1
    assert policies.decide(visit()).views == first.views
    assert policies.decide(visit()).views is not first.views


def test_what_is_remembered_ends_with_the_mandate(policies: Policies) -> None:
    """A plan made under a mandate is not used at its last moment."""
    until = NOW + timedelta(seconds=10)
    assert policies.decide(liaison(mandate=mandate(until=until))).views[Element.NIK] is View.UTUH

    after = liaison(mandate=mandate(until=until), moment=until, factor_age=70)
    assert policies.decide(after).views[Element.NIK] is View.SAMAR
    assert policies.decide(liaison(mandate=mandate(until=until))).valid_until < until


def test_every_element_is_explained(policies: Policies) -> None:
    """Each of the 13 elements names a rule or says that none opens it, and what to do next, in both languages."""
    grant = policies.decide(liaison())
    for element in ELEMENTS:
        why = policies.explain(grant, element)
        assert why.title and why.sentence and why.sentence % why.params["id"] and why.sentence % why.params["en"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("access/uji.cedar", "permit (principal, action, resource);"),
        (
            "access/uji.cedar",
            '@id("x") permit (principal in Gardu::PeranAktif::"kpu_kab", action in Gardu::Action::"sampai_utuh", resource);',
        ),
        ("access/uji.cedar", FORBID.format(condition='principal.tahap != Gardu::Tahap::"dpt"')),
        ("access/uji.cedar", FORBID.format(condition="principal.umurFaktor > 123")),
        ("access/uji.cedar", FORBID.format(condition="principal.bukan_ada")),
        ("access/uji.cedar", FORBID.format(condition="false")),
        ("access/uji.cedar", "bukan cedar"),
        ("catalog/roles.toml", "bukan = toml = sama sekali"),
    ],
)
def test_an_unsafe_folder_is_refused_at_the_start(tmp_path: Path, file: str, text: str) -> None:
    """No annotations, `!=` on a stage, a threshold nobody declared, an unknown attribute, a constant: UnsafeStart that lists it."""
    folder = tmp_path / "policies"
    shutil.copytree(FOLDER, folder)
    (folder / file).write_text(text)

    with pytest.raises(UnsafeStart, match=r"policy folder|not Cedar"):
        Policies.load(folder, NOW)


def test_the_hash_is_of_every_text(tmp_path: Path, policies: Policies) -> None:
    """One changed byte in a policy or catalog changes the folder's hash, which every entry carries."""
    folder = tmp_path / "policies"
    shutil.copytree(FOLDER, folder)
    assert Policies.load(folder, NOW).hash == policies.hash

    bases = folder / "catalog" / "bases.toml"
    bases.write_text(bases.read_text() + "# satu baris\n")
    assert Policies.load(folder, NOW).hash != policies.hash
