"""``gardu policy check``: format → schema → lint → fixtures → matrix → mutation. A later step means little when an earlier fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path

import cedarpy

from app.kernel.errors import UnsafeStart
from app.policy.book import Book, open_book, read_book, schema_errors
from app.policy.catalog import CatalogProblem, parse_catalog
from app.policy.fixtures import FixtureProblem, Prepared, failures, prepare, read_fixtures
from app.policy.lint import lint
from app.policy.load import Folder, parse_rules, read_folder
from app.policy.matrix import Row, matrix, matrix_csv
from app.policy.mutate import survivors

# As the Cedar formatter writes them.
LINE_WIDTH, INDENT = 110, 2
MATRIX = "matrix.csv"
STEPS = ("format", "schema", "lint", "fixtures", "matrix", "mutation")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the check: its name, whether all is right, and what to say (errors, warnings, counts)."""

    name: str
    ok: bool
    messages: tuple[str, ...]


def check(path: Path, now: datetime, *, progress: Callable[[str], None] = lambda name: None) -> list[Step]:
    """Check the policy folder *path* at *now* (aware) in the order of STEPS; stops after the first step that fails.

    progress: is told the name of each step as it begins. Never raises for what is wrong in the folder.
    """
    steps: list[Step] = []
    try:
        for step in _steps(path, now, progress):
            steps.append(step)
            if not step.ok:
                break
    except (UnsafeStart, CatalogProblem) as wrong:
        steps.append(Step(STEPS[len(steps)], False, tuple(getattr(wrong, "problems", [str(wrong)]))))
    return steps


def _steps(path: Path, now: datetime, progress: Callable[[str], None]) -> Iterator[Step]:
    progress("format")
    folder = read_folder(path)
    yield _step("format", unformatted(folder))
    progress("schema")
    yield _step("schema", schema_errors(folder))
    progress("lint")
    catalog, rules = parse_catalog(folder.catalog), parse_rules(folder.cedar)
    findings = lint(folder, catalog, rules, now)
    yield Step("lint", not any(finding.error for finding in findings), tuple(str(finding) for finding in findings))
    book = open_book(folder, catalog, rules, findings)
    progress("fixtures")
    step, prepared = _fixtures(book, path)
    yield step
    progress("matrix")
    yield _step("matrix", _matrix(book, path))
    progress("mutation")
    tried, alive = survivors(book.engine, prepared)
    yield Step("mutation", not alive, (*alive, f"{tried} mutants, {len(alive)} unnoticed"))


def unformatted(folder: Folder) -> list[str]:
    """Return the Cedar files that the formatter would write otherwise."""
    found: list[str] = []
    for name, text in sorted(folder.cedar.items()):
        try:
            if cedarpy.format_policies(text, LINE_WIDTH, INDENT) != text:
                found.append(f"{name}: not as the Cedar formatter writes it ({LINE_WIDTH} columns, indent {INDENT})")
        except ValueError as wrong:
            found.append(f"{name}: {wrong}")
    return found


def matrix_differences(path: Path, text: str) -> list[str]:
    """Return where the committed ``matrix.csv`` of *path* is not *text*, line by line."""
    file = path / MATRIX
    if not file.is_file():
        return [f"{MATRIX} is missing; write it with `gardu policy matrix`"]
    pairs = zip_longest(file.read_text().splitlines(), text.splitlines(), fillvalue="(no line)")
    return [f"{MATRIX} line {number}: has {old} ; the policies give {new}" for number, (old, new) in enumerate(pairs, 1) if old != new]


def matrix_of(path: Path, now: datetime) -> list[Row]:
    """Return the whole matrix of the folder *path*, for ``matrix_csv``. Raises UnsafeStart when the folder is not safe to use."""
    book = read_book(path, now)
    return matrix(book.engine, book.catalog)


def _matrix(book: Book, path: Path) -> list[str]:
    try:
        return matrix_differences(path, matrix_csv(matrix(book.engine, book.catalog)))
    except ValueError as wrong:
        return [str(wrong)]


def _fixtures(book: Book, path: Path) -> tuple[Step, list[Prepared]]:
    try:
        cases = read_fixtures(path / "fixtures")
        prepared = prepare(book.engine, cases)
    except FixtureProblem as wrong:
        return Step("fixtures", False, tuple(wrong.problems)), []
    except ValueError as wrong:
        return Step("fixtures", False, (str(wrong),)), []
    wrong_lines = [line for one in prepared for line in failures(book.engine, one)]
    return Step("fixtures", not wrong_lines, (*wrong_lines, f"{len(cases)} cases")), prepared


def _step(name: str, problems: list[str]) -> Step:
    return Step(name, not problems, tuple(problems))
