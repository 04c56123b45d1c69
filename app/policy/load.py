"""Reads the policy folder: its texts, its hash, its rules with their annotations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path

import cedarpy
from cedarpy import pst

from app.kernel.errors import UnsafeStart
from app.policy.catalog import FILES

SCHEMA = "schema.cedarschema"
# Every policy carries these; @tahap and @title are allowed beside them.
REQUIRED = ("id", "judul", "dasar", "pemilik", "tinjau")


@dataclass(frozen=True, slots=True)
class Folder:
    """The texts of a policy folder, by path relative to it, and their hash (hex)."""

    path: Path
    texts: Mapping[str, str]
    hash: str

    @property
    def schema(self) -> str:
        """The schema's text."""
        return self.texts[SCHEMA]

    @property
    def cedar(self) -> dict[str, str]:
        """The Cedar files' texts by path."""
        return {name: text for name, text in self.texts.items() if name.endswith(".cedar")}

    @property
    def catalog(self) -> dict[str, str]:
        """The catalog's texts by file name without ``.toml``."""
        return {
            name.removeprefix("catalog/").removesuffix(".toml"): text for name, text in self.texts.items() if name.startswith("catalog/")
        }


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy. id: its @id, or ``file#n`` when it has none. review: the last day on which a permit counts, or None if unreadable."""

    id: str
    file: str
    effect: pst.Effect
    title: str
    title_en: str
    basis: str
    owner: str
    review: date | None
    annotations: Mapping[str, str]
    template: pst.Template

    @property
    def counts_until(self) -> datetime:
        """The last moment before the review is overdue: the end of the day @tinjau, UTC. Unreadable: long past."""
        return datetime.combine(self.review or date.min, time.max, UTC)

    def locked(self, moment: datetime) -> bool:
        """Say whether a permit no longer counts at *moment* (aware) for want of a review. A forbid always counts."""
        return self.effect == "permit" and moment > self.counts_until


def read_folder(path: Path) -> Folder:
    """Read schema, Cedar files and catalog of *path*. Raises UnsafeStart, naming what is missing or no text."""
    wanted = [SCHEMA, *(f"catalog/{name}.toml" for name in FILES)]
    found = sorted(
        file.relative_to(path).as_posix()
        for pattern in ("*.cedar", "*.cedarschema", "catalog/*.toml")
        for file in path.rglob(pattern)
        if file.is_file()
    )
    missing = [name for name in wanted if name not in found]
    if missing or not any(name.endswith(".cedar") for name in found):
        raise UnsafeStart(f"policy folder {path} lacks {', '.join(missing) or 'Cedar files'}")
    try:
        contents = {name: (path / name).read_bytes() for name in found}
        texts = {name: content.decode() for name, content in contents.items()}
    except (OSError, UnicodeDecodeError) as wrong:
        raise UnsafeStart(f"policy folder {path} cannot be read: {wrong}") from None
    return Folder(path, texts, folder_hash(contents))


def folder_hash(contents: Mapping[str, bytes]) -> str:
    """Return SHA-256 (hex) over the sorted relative paths and their contents, each preceded by its length (8 bytes, big-endian)."""
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        for part in (name.encode(), content):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def parse_rules(cedar: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return every policy of *cedar* (texts by path) in the order of the files. Raises UnsafeStart for a file that is not Cedar."""
    rules: list[Rule] = []
    for name, text in sorted(cedar.items()):
        try:
            parsed = cedarpy.policies_to_pst(text)
        except ValueError as wrong:
            raise UnsafeStart(f"{name} is not Cedar: {wrong}") from None
        if parsed.templates:
            raise UnsafeStart(f"{name}: templates with slots are not used here")
        in_order = sorted(parsed.static_policies.items(), key=lambda item: int(item[0].removeprefix("policy")))
        rules += [_rule(name, position, template) for position, (_, template) in enumerate(in_order, start=1)]
    return tuple(rules)


def _rule(file: str, position: int, template: pst.Template) -> Rule:
    said = dict(template.annotations)
    rule_id = said.get("id") or f"{file}#{position}"
    return Rule(
        id=rule_id,
        file=file,
        effect=template.effect,
        title=said.get("judul", ""),
        title_en=said.get("title", said.get("judul", "")),
        basis=said.get("dasar", ""),
        owner=said.get("pemilik", ""),
        review=_day(said.get("tinjau", "")),
        annotations=said,
        # Cedar numbers policies by position; from here on the policy's own @id is what a decision names.
        template=replace(template, id=rule_id),
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def policy_set(rules: Iterable[Rule]) -> cedarpy.PolicySet:
    """Return a Cedar policy set of *rules*, whose Cedar ids are the rules' ids. Raises ValueError for two rules of one id."""
    listed = list(rules)
    templates = {rule.id: rule.template for rule in listed}
    if len(templates) != len(listed):
        raise ValueError("two policies share an id")
    return cedarpy.PolicySet.from_pst(pst.PolicySet(templates={}, static_policies=templates, template_links=()))
