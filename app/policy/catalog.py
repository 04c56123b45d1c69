"""Typed access to ``policies/catalog``: labels, classes, transforms, and what belongs to a role."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from app.kernel.fields import ELEMENTS, Basis, Element, Purpose, Role, Stage, View
from app.kernel.regions import NATION

FILES = ("elements", "purposes", "bases", "stages", "roles")
LANGUAGES = ("id", "en")
Table = dict[str, object]


class Level(StrEnum):
    """How wide the office of a role is."""

    NASIONAL = "nasional"
    PROVINSI = "provinsi"
    KAB = "kab"
    APA_SAJA = "apa_saja"

    def fits(self, region: str) -> bool:
        """Say whether *region* (a code) is of this level."""
        if self is Level.APA_SAJA:
            return True
        if region == NATION:
            return self is Level.NASIONAL
        return (self is Level.PROVINSI and region.count(".") == 0) or (self is Level.KAB and region.count(".") == 1)


class CatalogProblem(ValueError):
    """The catalog cannot be used; *problems* says each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Labels:
    """The words of one language, by the exact words of the vocabulary."""

    views: Mapping[View, str]
    classes: Mapping[str, str]
    elements: Mapping[Element, str]
    purposes: Mapping[Purpose, str]
    bases: Mapping[Basis, str]
    stages: Mapping[Stage, str]
    roles: Mapping[Role, str]


@dataclass(frozen=True, slots=True)
class ElementEntry:
    """One element: its class, its transforms by view, and the elements that are read off it when it is open in full."""

    group: str
    transforms: Mapping[View, str]
    derived: frozenset[Element]


@dataclass(frozen=True, slots=True)
class BasisEntry:
    """One legal basis: its citation, who checked it (blank: nobody yet) and when it is in force."""

    citation: str
    verified_by: str
    valid_from: date | None
    valid_until: date | None


@dataclass(frozen=True, slots=True)
class RoleEntry:
    """One role: the purposes it may choose (the first is the default), its default basis, and its office's level."""

    purposes: tuple[Purpose, ...]
    basis: Basis
    level: Level

    @property
    def purpose(self) -> Purpose | None:
        """The default purpose, or None for a role that never visits voter data."""
        return self.purposes[0] if self.purposes else None


@dataclass(frozen=True, slots=True)
class Catalog:
    """The catalog, complete for every word of the kernel's vocabularies. factor_limits: seconds per class."""

    elements: Mapping[Element, ElementEntry]
    factor_limits: Mapping[str, int]
    bases: Mapping[Basis, BasisEntry]
    roles: Mapping[Role, RoleEntry]
    words: Mapping[str, Labels]

    def labels(self, lang: str) -> Labels:
        """Return the words of *lang* (``id`` or ``en``); another language falls to ``id``."""
        return self.words.get(lang, self.words["id"])

    def classes(self) -> dict[Element, str]:
        """Return the class of every element."""
        return {element: entry.group for element, entry in self.elements.items()}


def parse_catalog(texts: Mapping[str, str]) -> Catalog:
    """Return the catalog from the texts of its five files, by name without ``.toml``.

    Raises CatalogProblem when a file is missing or unreadable, a word of the kernel is absent, or a word is unknown.
    """
    try:
        tables = {name: tomllib.loads(texts[name]) for name in FILES}
    except (KeyError, tomllib.TOMLDecodeError) as wrong:
        raise CatalogProblem([f"catalog: {wrong}"]) from None
    problems = _unknown_words(tables)
    if problems:
        raise CatalogProblem(problems)
    try:
        return _catalog(tables)
    except (KeyError, ValueError, TypeError) as wrong:
        raise CatalogProblem([f"catalog: {type(wrong).__name__}: {wrong}"]) from None


def _unknown_words(tables: Mapping[str, Table]) -> list[str]:
    elements = tables["elements"]
    expected: list[tuple[str, Table, set[str]]] = [
        ("elements.toml unsur", _table(elements, "unsur"), set(Element)),
        ("elements.toml tingkat", _table(elements, "tingkat"), {view.word for view in View}),
        ("purposes.toml", tables["purposes"], set(Purpose)),
        ("bases.toml", tables["bases"], set(Basis)),
        ("stages.toml", tables["stages"], set(Stage)),
        ("roles.toml", tables["roles"], set(Role)),
    ]
    found: list[str] = []
    for name, table, words in expected:
        found += [f"{name}: unknown word {word!r}" for word in sorted(set(table) - words)]
        found += [f"{name}: {word!r} is missing" for word in sorted(words - set(table))]
    return found


def _catalog(tables: Mapping[str, Table]) -> Catalog:
    groups = _table(tables["elements"], "kelas")
    elements = {Element(word): _element(_as_table(entry)) for word, entry in _table(tables["elements"], "unsur").items()}
    strangers = {entry.group for entry in elements.values()} ^ set(groups)
    if strangers:
        raise ValueError(f"classes that are not both declared and used: {sorted(strangers)}")
    limits = {name: _number(_as_table(entry)["faktor_utuh"]) for name, entry in groups.items() if "faktor_utuh" in _as_table(entry)}
    return Catalog(
        elements={element: elements[element] for element in ELEMENTS},
        factor_limits=limits,
        bases={Basis(word): _basis(_as_table(entry)) for word, entry in tables["bases"].items()},
        roles={Role(word): _role(_as_table(entry)) for word, entry in tables["roles"].items()},
        words={lang: _labels(tables, lang) for lang in LANGUAGES},
    )


def _labels(tables: Mapping[str, Table], lang: str) -> Labels:
    def words(table: Table) -> dict[str, str]:
        return {word: _text(_as_table(entry)[lang]) for word, entry in table.items()}

    elements = tables["elements"]
    levels = words(_table(elements, "tingkat"))
    return Labels(
        views={view: levels[view.word] for view in View},
        classes=words(_table(elements, "kelas")),
        elements={Element(word): text for word, text in words(_table(elements, "unsur")).items()},
        purposes={Purpose(word): text for word, text in words(tables["purposes"]).items()},
        bases={Basis(word): text for word, text in words(tables["bases"]).items()},
        stages={Stage(word): text for word, text in words(tables["stages"]).items()},
        roles={Role(word): text for word, text in words(tables["roles"]).items()},
    )


def _element(entry: Table) -> ElementEntry:
    shapes = _as_table(entry.get("bentuk", {}))
    return ElementEntry(
        group=_text(entry["kelas"]),
        transforms={View[word.upper()]: _text(name) for word, name in shapes.items()},
        derived=frozenset(Element(word) for word in _texts(entry.get("turunan", []))),
    )


def _basis(entry: Table) -> BasisEntry:
    return BasisEntry(_text(entry["kutipan"]), _text(entry["diperiksa_oleh"]), _day(entry, "berlaku_dari"), _day(entry, "berlaku_sampai"))


def _role(entry: Table) -> RoleEntry:
    purposes = tuple(Purpose(word) for word in _texts(entry["tujuan"]))
    return RoleEntry(purposes, Basis(_text(entry["dasar"])), Level(_text(entry["tingkat"])))


def _table(table: Table, name: str) -> Table:
    return _as_table(table.get(name, {}))


def _as_table(value: object) -> Table:
    if not isinstance(value, dict):
        raise TypeError("a table is expected")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError("a list is expected")
    return [_text(item) for item in value]


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise TypeError("a positive number is expected")
    return value


def _day(entry: Table, name: str) -> date | None:
    value = entry.get(name)
    if value is not None and not isinstance(value, date):
        raise TypeError("a date is expected")
    return value
