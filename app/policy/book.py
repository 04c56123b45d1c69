"""The opened book of policies: folder, catalog, schema, engine, and what is worth a warning. It opens only when all is right."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import cedarpy

from app.kernel.errors import UnsafeStart
from app.policy.catalog import Catalog, CatalogProblem, parse_catalog
from app.policy.engine import Engine
from app.policy.lint import Finding, lint
from app.policy.load import Folder, Rule, parse_rules, read_folder


@dataclass(frozen=True, slots=True)
class Book:
    """Everything read from one policy folder, checked. warnings: e.g. permits that are locked for want of a review."""

    folder: Folder
    catalog: Catalog
    engine: Engine
    warnings: tuple[str, ...]


def read_book(path: Path, now: datetime) -> Book:
    """Read *path* and check catalog, schema and lint. Raises UnsafeStart that lists everything found, one line each."""
    folder = read_folder(path)
    try:
        catalog = parse_catalog(folder.catalog)
    except CatalogProblem as wrong:
        raise _unsafe(path, wrong.problems) from None
    rules = parse_rules(folder.cedar)
    findings = lint(folder, catalog, rules, now)
    errors = [*schema_errors(folder), *(str(finding) for finding in findings if finding.error)]
    if errors:
        raise _unsafe(path, errors)
    return open_book(folder, catalog, rules, findings)


def open_book(folder: Folder, catalog: Catalog, rules: tuple[Rule, ...], findings: list[Finding]) -> Book:
    """Return the book of what was already checked."""
    warnings = tuple(str(finding) for finding in findings if not finding.error)
    return Book(folder, catalog, Engine(cedarpy.Schema.from_str(folder.schema), catalog.classes(), rules), warnings)


def schema_errors(folder: Folder) -> list[str]:
    """Return what the schema, or the policies judged by it, have wrong; empty when valid."""
    try:
        schema = cedarpy.Schema.from_str(folder.schema)
    except ValueError as wrong:
        return [f"schema: {wrong}"]
    found: list[str] = []
    for name, text in sorted(folder.cedar.items()):
        result = cedarpy.validate_policies(text, schema)
        names = result.id_annotations_by_policy_id
        found += [f"{name}: {names.get(error.policy_id, error.policy_id)}: {error.error}" for error in result.errors]
        if not result and not result.errors:
            found.append(f"{name}: not valid by the schema")
    return found


def _unsafe(path: Path, problems: list[str]) -> UnsafeStart:
    return UnsafeStart(f"policy folder {path} is not safe to use:\n" + "\n".join(f"  - {problem}" for problem in problems))
