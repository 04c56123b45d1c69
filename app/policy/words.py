"""The vocabulary stands in four places (kernel, schema, catalog, code of the transforms); here they are held against each other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import cedarpy
from cedarpy import pst

from app.kernel.fields import Basis, Element, Purpose, Role, Stage, Unit, View
from app.kernel.regions import NATION
from app.policy.catalog import Catalog
from app.policy.grammar import ACTS, ANY_ACT, BEYOND, LEVEL_WORDS, UP_TO
from app.policy.load import Folder, Rule
from app.policy.views import NAMED, TRANSFORMS

_COMMENT = re.compile(r"//[^\n]*")
_ENUM = re.compile(r"entity\s+(\w+)\s+enum\s*\[([^\]]*)\]")
_WORD = re.compile(r'"([^"]*)"')
_KNOWN: dict[str, tuple[str, ...]] = {
    "Peran": tuple(Role),
    "PeranAktif": tuple(Role),
    "Tujuan": tuple(Purpose),
    "Dasar": tuple(Basis),
    "Tahap": tuple(Stage),
    "Unit": tuple(Unit),
}


def word_errors(folder: Folder, catalog: Catalog, rules: tuple[Rule, ...]) -> Iterator[str]:
    """Yield every word that one place knows and another does not."""
    yield from _enums(folder.schema, set(catalog.factor_limits) | set(catalog.classes().values()))
    yield from _transforms(catalog)
    for rule in rules:
        for uid in sorted(pst.entity_uids(rule.template), key=str):
            if uid.type.basename == "Elemen" and uid.id not in set(Element):
                yield f"{rule.file}: {rule.id} names the unknown element {uid.id!r}"
            if uid.type.basename == "Wilayah" and uid.id != NATION:
                yield f"{rule.file}: {rule.id} names the region {uid.id!r}; rules hold for every region alike"
    yield from ladder_errors(folder.schema)


def _enums(schema: str, classes: set[str]) -> Iterator[str]:
    said = {name: set(_WORD.findall(words)) for name, words in _ENUM.findall(_COMMENT.sub("", schema))}
    expected = {**{name: {str(word) for word in known} for name, known in _KNOWN.items()}, "Kelas": classes}
    for name, words in expected.items():
        for word in sorted(said.get(name, set()) ^ words):
            place = "the schema" if word not in said.get(name, set()) else "the kernel and the catalog"
            yield f"{name}::{word!r} is not in {place}"
    for name in sorted(set(said) - set(expected)):
        yield f"the schema's {name} is not a known vocabulary"


def _transforms(catalog: Catalog) -> Iterator[str]:
    for element, entry in catalog.elements.items():
        in_code = TRANSFORMS.get(element, {})
        if dict(entry.transforms) != in_code:
            yield f"catalog/elements.toml: the transforms of {element} are not those of app/policy/views.py"
        for name in entry.transforms.values():
            if name not in NAMED:
                yield f"catalog/elements.toml: {element} names the unknown transform {name!r}"


def ladder_errors(schema: str) -> list[str]:
    """Return where the schema's actions are not the ladder: asked of Cedar itself, one probing policy at a time."""
    try:
        parsed = cedarpy.Schema.from_str(schema)
        entities = cedarpy.Entities.from_json_str("[]", parsed)
    except ValueError:
        return []  # said by the schema's own check
    words = (*LEVEL_WORDS, *ACTS)
    expected = {name: set(LEVEL_WORDS[: int(View[name.removeprefix("sampai_").upper()])]) for name in UP_TO}
    expected |= {name: set(LEVEL_WORDS[int(View[name.removeprefix("lewat_").upper()]) :]) for name in BEYOND}
    expected[ANY_ACT] = set(ACTS)
    found: list[str] = []
    for group, members in expected.items():
        probe = cedarpy.PolicySet.from_str(f'permit (principal, action in Gardu::Action::"{group}", resource);')
        results = cedarpy.is_authorized_batch([_probe(word) for word in words], probe, entities, parsed)
        covered = {word for word, result in zip(words, results, strict=True) if result.allowed}
        if covered != members:
            found.append(f"the schema's {group} covers {', '.join(sorted(covered)) or 'nothing'}, not {', '.join(sorted(members))}")
    return found


def _probe(word: str) -> dict[str, object]:
    request: dict[str, object] = {
        "principal": {"type": "Gardu::Kunjungan", "id": "k"},
        "action": {"type": "Gardu::Action", "id": word},
        "resource": {"type": "Gardu::Elemen", "id": Element.NIK.value},
    }
    return request | ({"context": json.dumps({"tingkat": LEVEL_WORDS.index(word) + 1})} if word in LEVEL_WORDS else {})
