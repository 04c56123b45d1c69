"""Fixtures: visits as files, with the level the rules allow for EVERY element and the elements of every act.

The levels are those of the rules ("up to"), not of the screen: where an element has no transform at its level, the screen shows the
level below (``views.effective``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import cedarpy

from app.kernel.errors import GarduError
from app.kernel.fields import ELEMENTS, Basis, Element, Purpose, Role, Stage, Unit, View
from app.policy.engine import Engine, Question
from app.policy.grammar import ACTS, LEVEL_WORDS
from app.policy.visit import Mandate, Visit

Table = dict[str, object]
ALL = "semua"
# The act of searching is named so in fixtures, because the code adds its own condition: every element of the key in full.
SEARCH = "cari_bila_utuh"
_ACT_KEYS = {act: (SEARCH if act == "cari" else act) for act in ACTS}
QUESTIONS: tuple[Question, ...] = tuple((word, element) for word in (*LEVEL_WORDS, *ACTS) for element in ELEMENTS)
_VISIT_KEYS = {
    "petugas", "kantor", "unit", "peran", "merangkap", "yurisdiksi", "wilayah", "tujuan", "dasar", "pemilu", "tahap", "saat",
    "umur_faktor", "subjek", "subjek_disetujui",
}  # fmt: skip
_MANDATE_KEYS = {
    "uid", "pemohon", "penyetuju1", "unit1", "penyetuju2", "unit2", "wilayah", "tujuan", "tahap", "elemen", "puncak", "mulai",
    "sampai", "subjek",
}  # fmt: skip
_CASE_KEYS = {"nama", "kunjungan", "izin", "harapan", "cacat"}
_FILE_KEYS = {"kunjungan", "izin", "harapan", "cacat", "kasus"}


class FixtureProblem(ValueError):
    """A fixture file cannot be used; *problems* says each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Case:
    """One visit and, for every question, whether it is allowed."""

    name: str
    visit: Visit
    expected: Mapping[Question, bool]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A case with its parsed entities, to be asked many times."""

    case: Case
    entities: cedarpy.Entities


def read_fixtures(folder: Path) -> list[Case]:
    """Return the cases of every ``*.toml`` in *folder*. Raises FixtureProblem that lists every unusable case, or no case at all."""
    cases: list[Case] = []
    problems: list[str] = []
    for file in sorted(folder.glob("*.toml")):
        try:
            document = tomllib.loads(file.read_text())
        except (OSError, ValueError) as wrong:
            problems.append(f"{file.name}: {wrong}")
            continue
        problems += [f"{file.name}: unknown key {key!r}" for key in sorted(set(document) - _FILE_KEYS)]
        for case in _tables(document.get("kasus", [])):
            try:
                cases += _cases(file.stem, document, case)
            except (KeyError, ValueError, TypeError, GarduError) as wrong:
                problems.append(f"{file.name}: {case.get('nama', '(no name)')}: {type(wrong).__name__}: {wrong}")
    names = [case.name for case in cases]
    problems += [f"{name}: two cases carry this name" for name in sorted({name for name in names if names.count(name) > 1})]
    if problems or not cases:
        raise FixtureProblem(problems or ["no fixture at all"])
    return cases


def prepare(engine: Engine, cases: Iterable[Case]) -> list[Prepared]:
    """Parse the entities of every case once. Raises ValueError, naming the case, for a visit that the schema refuses."""
    prepared: list[Prepared] = []
    for case in cases:
        try:
            prepared.append(Prepared(case, engine.entities(case.visit)))
        except ValueError as wrong:
            raise ValueError(f"{case.name}: {wrong}") from None
    return prepared


def fails(engine: Engine, prepared: Prepared, questions: Sequence[Question] = QUESTIONS) -> bool:
    """Say whether *engine* answers one of *questions* otherwise than the case expects, or with an error."""
    case = prepared.case
    answers = engine.ask_about(prepared.entities, case.visit, questions)
    return any(answer.error or answer.allowed != case.expected[q] for q, answer in zip(questions, answers, strict=True))


def failures(engine: Engine, prepared: Prepared) -> list[str]:
    """Return, one line each, where *engine* does not answer as the case expects."""
    case = prepared.case
    answers = engine.ask_about(prepared.entities, case.visit, QUESTIONS)
    lines: list[str] = []
    for (word, element), answer in zip(QUESTIONS, answers, strict=True):
        expected = case.expected[word, element]
        if answer.error or answer.allowed != expected:
            rules = ", ".join(answer.rules) or "no rule"
            said = "an error" if answer.error else ("allowed" if answer.allowed else "denied")
            lines.append(f"{case.name}: {word} of {element} is {said} by {rules}, expected {'allowed' if expected else 'denied'}")
    return lines


def _cases(file: str, document: Table, case: Table) -> Iterator[Case]:
    """Yield the case itself and, when it says what a defective mandate leaves, one case per defect of the file."""
    _known(case, _CASE_KEYS)
    name = f"{file}: {_text(case['nama'])}"
    expectations = _table(document.get("harapan", {}))
    visit, mandate = _table(case.get("kunjungan", {})), case.get("izin")
    yield Case(name, _visit(document, [visit], mandate, []), _expected(expectations, case["harapan"]))
    if "cacat" not in case:
        return
    fallback = _expected(expectations, case["cacat"])
    for defect, change in _table(document.get("cacat", {})).items():
        _known(_table(change), {"kunjungan", "izin"})
        broken = _visit(document, [visit, _table(_table(change).get("kunjungan", {}))], mandate, [_table(_table(change).get("izin", {}))])
        yield Case(f"{name} [{defect}]", broken, fallback)


def _visit(document: Table, changes: list[Table], mandate: object, mandate_changes: list[Table]) -> Visit:
    k: Table = dict(_table(document["kunjungan"]))
    for change in changes:
        k |= change
    _known(k, _VISIT_KEYS)
    role = Role(_text(k["peran"]))
    return Visit(
        person=_text(k["petugas"]),
        office=_text(k["kantor"]),
        unit=_text(k["unit"]),
        role=role,
        roles=frozenset({role, *(Role(word) for word in _texts(k.get("merangkap", [])))}),
        jurisdiction=_text(k["yurisdiksi"]),
        region=_text(k["wilayah"]),
        purpose=Purpose(_text(k["tujuan"])),
        basis=Basis(_text(k["dasar"])),
        election=_text(k["pemilu"]),
        stage=Stage(_text(k["tahap"])),
        moment=_moment(k["saat"]),
        factor_age=_number(k["umur_faktor"]),
        mandate=None if mandate is None else _mandate(document, [_table(mandate), *mandate_changes]),
        subject=_text(k["subjek"]) or None if "subjek" in k else None,
        approved_subject=k.get("subjek_disetujui", False) is True,
    )


def _mandate(document: Table, changes: list[Table]) -> Mandate:
    z: Table = dict(_table(document["izin"]))
    for change in changes:
        z |= change
    _known(z, _MANDATE_KEYS)
    return Mandate(
        uid=_text(z["uid"]),
        holder=_text(z["pemohon"]),
        approver1=_text(z["penyetuju1"]),
        unit1=Unit(_text(z["unit1"])),
        approver2=_text(z["penyetuju2"]),
        unit2=Unit(_text(z["unit2"])),
        region=_text(z["wilayah"]),
        purpose=Purpose(_text(z["tujuan"])),
        stages=frozenset(Stage(word) for word in _texts(z["tahap"])),
        elements=_elements(z["elemen"]),
        ceiling=View[_text(z["puncak"]).upper()],
        start=_moment(z["mulai"]),
        until=_moment(z["sampai"]),
        subject=_text(z["subjek"]) or None if "subjek" in z else None,
    )


def _expected(named: Table, said: object) -> dict[Question, bool]:
    """Return what is expected for every question. Raises ValueError for an element that is not named."""
    table = dict(_table(named[said] if isinstance(said, str) else said))
    if "seperti" in table:
        table = {**_table(named[_text(table.pop("seperti"))]), **table}
    levels = {element: View[_text(table.pop(element.value)).upper()] for element in ELEMENTS if element.value in table}
    absent = [element.value for element in ELEMENTS if element not in levels]
    if absent:
        raise ValueError(f"every element is named; absent: {', '.join(absent)}")
    acts = {act: _elements(table.pop(key, [])) for act, key in _ACT_KEYS.items()}
    _known(table, set())
    expected = {(word, element): levels[element] >= level for level, word in enumerate(LEVEL_WORDS, start=1) for element in ELEMENTS}
    return expected | {(act, element): element in acts[act] for act in ACTS for element in ELEMENTS}


def _elements(said: object) -> frozenset[Element]:
    return frozenset(ELEMENTS) if said == ALL else frozenset(Element(word) for word in _texts(said))


def _known(table: Table, keys: set[str]) -> None:
    if unknown := sorted(set(table) - keys):
        raise ValueError(f"unknown keys: {', '.join(unknown)}")


def _table(value: object) -> Table:
    if not isinstance(value, dict):
        raise TypeError("a table is expected")
    return value


def _tables(value: object) -> list[Table]:
    if not isinstance(value, list):
        raise TypeError("a list of tables is expected")
    return [_table(item) for item in value]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError("a list is expected")
    return [_text(item) for item in value]


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a number is expected")
    return value


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError("a date and time with Z is expected")
    return value
