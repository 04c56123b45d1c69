"""The wrapper around Cedar fails closed, and leaving out what cannot matter changes no answer."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import cedarpy
import pytest

from app.kernel.fields import ELEMENTS, Basis, Element, Purpose, Role, Stage, Unit, View
from app.policy.book import Book
from app.policy.decide import Act, Denied, Policies
from app.policy.engine import Engine
from app.policy.fixtures import QUESTIONS, read_fixtures
from app.policy.load import parse_rules, policy_set
from app.policy.plan import make_plan
from app.policy.visit import Mandate, Visit
from app.settings import shipped

NOW = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)
FOLDER = shipped("policies")
# Valid by the schema, yet it overflows as soon as a factor is older than 0 s: the forbid errs, and Cedar alone would skip it.
ERRING_FORBID = (
    '@id("uji-galat") forbid (principal, action in Gardu::Action::"lewat_tutup", resource) '
    "when { principal.umurFaktor * 9223372036854775807 < 0 };"
)
ERRING_ACT = ERRING_FORBID.replace("lewat_tutup", "tindakan")


@pytest.fixture(scope="module")
def policies() -> Policies:
    return Policies.load(FOLDER, NOW)


def operator(**changes: object) -> Visit:
    asked = Visit(
        person="p" * 26, office="kpu-51.71", unit="data", role=Role.KPU_KAB, roles=frozenset({Role.KPU_KAB}), jurisdiction="51.71",
        region="51.71.01.1001", purpose=Purpose.PEMUTAKHIRAN, basis=Basis.PKPU7_2022, election="2029", stage=Stage.DPS, moment=NOW, factor_age=60,
    )  # fmt: skip
    return replace(asked, **changes)  # type: ignore[arg-type]  # a test's own choice


def with_rule(policies: Policies, cedar: str) -> Policies:
    """The shipped policies and one more, as if lint had let it through."""
    book = policies.book
    engine = book.engine.with_rules((*book.engine.rules, *parse_rules({"access/uji.cedar": cedar})))
    return Policies(Book(book.folder, book.catalog, engine, ()))


def test_cedar_alone_would_skip_the_erring_forbid(policies: Policies) -> None:
    """Why the wrapper exists: the bare decision is Allow although a forbid could not be evaluated."""
    engine = with_rule(policies, ERRING_FORBID).book.engine
    request = {
        "principal": {"type": "Gardu::Kunjungan", "id": "k"},
        "action": {"type": "Gardu::Action", "id": "ada"},
        "resource": {"type": "Gardu::Elemen", "id": "nama"},
        "context": {"tingkat": 1},
    }
    bare = cedarpy.is_authorized(
        request, policy_set(engine.rules), engine.entities(operator()), cedarpy.Schema.from_str(policies.book.folder.schema)
    )

    assert bare.allowed and bare.diagnostics.errors


def test_a_decision_with_an_error_is_a_refusal_that_says_so(policies: Policies) -> None:
    """The caller learns that the policies erred, and logs it; nothing is shown."""
    with pytest.raises(Denied) as no:
        with_rule(policies, ERRING_FORBID).decide(operator())

    assert no.value.errors and no.value.rules


def test_an_act_with_an_error_is_a_refusal_that_says_so(policies: Policies) -> None:
    """The same for changing."""
    with pytest.raises(Denied) as no:
        with_rule(policies, ERRING_ACT).permits(operator(), Act.UBAH, ELEMENTS)

    assert no.value.errors


def test_what_erred_is_not_remembered(policies: Policies) -> None:
    """A visit whose factor is 0 s old does not overflow: the refusal before it has left no plan behind."""
    erring = with_rule(policies, ERRING_FORBID)
    with pytest.raises(Denied):
        erring.decide(operator())

    assert erring.decide(operator(factor_age=0)).views[Element.NIK] is View.UTUH


def test_an_exception_from_cedar_denies_everything(policies: Policies) -> None:
    """A schema that does not know an attribute refuses the visit itself: no answer, so no view."""
    book = policies.book
    blind = cedarpy.Schema.from_str(book.folder.schema.replace("    subjekDisetujui: Bool,\n", ""))
    engine = Engine(blind, book.catalog.classes(), book.engine.rules)
    with pytest.raises(ValueError, match="entity"):
        engine.entities(operator())

    with pytest.raises(Denied) as no:
        Policies(Book(book.folder, book.catalog, engine, ())).decide(operator())
    assert no.value.errors


def test_leaving_out_other_roles_permits_changes_no_answer(policies: Policies) -> None:
    """For every fixture the slice by active role and the whole policy set say the same."""
    engine = policies.book.engine
    whole, schema = policy_set(engine.rules), cedarpy.Schema.from_str(policies.book.folder.schema)
    questions = [question for question in QUESTIONS if question[1] in {Element.NIK, Element.DISABILITAS, Element.ALAMAT}]
    for case in read_fixtures(FOLDER / "fixtures"):
        entities = engine.entities(case.visit)
        answers = engine.ask_about(entities, case.visit, questions)
        bare = [cedarpy.is_authorized(request(question), whole, entities, schema) for question in questions]

        assert [answer.allowed for answer in answers] == [result.allowed for result in bare], case.name


def request(question: tuple[str, Element]) -> dict[str, object]:
    word, element = question
    asked: dict[str, object] = {
        "principal": {"type": "Gardu::Kunjungan", "id": "k"},
        "action": {"type": "Gardu::Action", "id": word},
        "resource": {"type": "Gardu::Elemen", "id": element.value},
    }
    return asked | ({"context": {"tingkat": int(View[word.upper()])}} if word.upper() in View.__members__ else {})


def test_a_visit_carries_its_region_and_what_is_above_it(policies: Policies) -> None:
    """Five codes, never the national tree."""
    entities = json.loads(str(policies.book.engine.entities(operator())))
    regions = {entity["uid"]["id"] for entity in entities if entity["uid"]["type"] == "Gardu::Wilayah"}

    assert regions == {"51.71.01.1001", "51.71.01", "51.71", "51", "00"}


@pytest.mark.parametrize(("late", "runs"), [(0, False), (400, False), (900, False), (1_000, True), (1_500, True)])
def test_a_mandate_starts_in_the_policies_when_it_starts_in_the_memory(policies: Policies, late: int, runs: bool) -> None:
    """Cedar counts milliseconds; a mandate that starts between two of them starts with the later one, for plan and memory alike."""
    given = Mandate(
        uid="m" * 26, holder="p" * 26, approver1="a" * 26, unit1=Unit.DATA, approver2="b" * 26, unit2=Unit.HUKUM, region="51.71",
        purpose=Purpose.PEMUTAKHIRAN, stages=frozenset({Stage.DPS}), elements=frozenset({Element.DISABILITAS}), ceiling=View.UTUH,
        start=NOW + timedelta(microseconds=300), until=NOW + timedelta(days=1),
    )  # fmt: skip
    visit = operator(mandate=given, moment=NOW + timedelta(microseconds=late))

    assert (given.phase(visit.moment) == 1) is runs
    assert (make_plan(policies.book.engine, visit).views[Element.DISABILITAS] is View.UTUH) is runs


def test_counting_needs_no_view_and_releasing_is_nobodys(policies: Policies) -> None:
    """KPU RI may count disability without seeing it; nobody may release anything yet."""
    nation = operator(role=Role.KPU_RI, roles=frozenset({Role.KPU_RI}), jurisdiction="00", purpose=Purpose.REKAPITULASI)
    assert policies.permits(nation, Act.HITUNG, (Element.DISABILITAS,)) == ("kpu-ri-hitung-disabilitas",)
    assert policies.decide(nation).views[Element.DISABILITAS] is View.TUTUP

    for refused in ((nation, Act.HITUNG, (Element.NAMA,)), (nation, Act.UNDUH, (Element.RT,)), (operator(), Act.UNDUH, (Element.RT,))):
        with pytest.raises(Denied):
            policies.permits(*refused)
