"""The laws of the house that import-linter cannot see."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
APP = ROOT / "app"
# What a class may be built in; the walk's proofs cannot be made anywhere else.
BUILDERS = {"Grant": {APP / "policy" / "decide.py"}, "Disclosure": {APP / "touch" / "walk.py"}, "Listing": {APP / "touch" / "walk.py"}}
FUNCTION_CAP, MODULE_CAP = 60, 450
# The offline verifier is one file so that a stranger can take it, read it from top to bottom and run it; it cannot be cut into rooms.
LONG = {APP / "verifier.py": 1000}


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(APP.rglob("*.py")):
        yield path, ast.parse(path.read_text("utf-8"))


def test_the_root_package_holds_a_docstring_and_nothing_else() -> None:
    """Importing ``app`` runs nothing."""
    body = ast.parse((APP / "__init__.py").read_text("utf-8")).body

    assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def test_no_room_reaches_another_by_a_name_made_at_run_time() -> None:
    """No importlib, no __import__, no ``import app`` that hides which room is meant."""
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert not any(name.split(".")[0] == "importlib" for name in names), path
                assert not (isinstance(node, ast.Import) and "app" in names), path
            if isinstance(node, ast.Name):
                assert node.id not in {"__import__", "eval", "exec"}, path


def test_unseal_is_named_in_the_touch_and_the_vault_alone() -> None:
    """Only the vault and the touch speak the word unseal."""
    allowed = {APP / "touch" / "walk.py", APP / "touch" / "change.py", APP / "vault" / "unseal.py"}
    for path, tree in modules():
        if path in allowed:
            continue
        for node in ast.walk(tree):
            words: list[str] = []
            if isinstance(node, ast.ImportFrom):
                words = (node.module or "").split(".")
            if isinstance(node, ast.alias):
                words = node.name.split(".")
            if isinstance(node, ast.Attribute):
                words = [node.attr]
            if isinstance(node, ast.Name):
                words = [node.id]
            assert "unseal" not in words, path


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_walks_proofs_are_built_in_one_place(name: str) -> None:
    """A Grant comes only from a decision, a Disclosure only out of the touch."""
    for path, tree in modules():
        if path in BUILDERS[name]:
            continue
        for node in ast.walk(tree):
            built = isinstance(node, ast.Call) and name in {getattr(node.func, "id", ""), getattr(node.func, "attr", "")}
            assert not built, f"{path} builds a {name}"


def test_functions_and_modules_keep_their_caps(capsys: pytest.CaptureFixture[str]) -> None:
    """No function over 60 lines, no module over 450 but the one-file verifier; prints where we stand."""
    functions, sizes = [], []
    for path, tree in modules():
        sizes.append((len(path.read_text("utf-8").splitlines()), str(path)))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.append(((node.end_lineno or node.lineno) - node.lineno + 1, f"{path}:{node.name}"))

    functions.sort()
    with capsys.disabled():
        print(
            f"\nfunctions: median {functions[len(functions) // 2][0]}, 9 in 10 ≤ {functions[len(functions) * 9 // 10][0]}; modules: largest {max(sizes)[0]}"
        )
    assert [f for f in functions if f[0] > FUNCTION_CAP] == []
    assert [m for m in sizes if m[0] > LONG.get(Path(m[1]), MODULE_CAP)] == []


def test_naive_time_never_enters() -> None:
    """Nobody in app/ asks the machine for the time, except the clock."""
    for path, tree in modules():
        if path == APP / "kernel" / "clock.py":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
                owner = getattr(node.value, "id", getattr(node.value, "attr", ""))
                assert owner not in {"datetime", "date", "time"}, f"{path}:{node.lineno}"


def test_migrations_import_only_tables() -> None:
    """A migration must not lean on code that will change."""
    allowed = {
        "app.audit.tables",
        "app.identity.tables",
        "app.store.keys",
        "app.voters.tables",
        "app.mandates.tables",
        "app.admin.tables",
        "app.oversight.tables",
        "app.openlog.tables",
        "app.custody.tables",
        "app.jobs.tables",
        "app.store.base",
        "app.store.engine",
    }
    for path in (ROOT / "migrations").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert {name for name in names if name.startswith("app")} <= allowed, path


def test_the_layers_hold() -> None:
    """import-linter's contracts are kept."""
    run = subprocess.run([Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout


def test_nothing_names_a_package_registry() -> None:
    """No lock file, script or doc carries the address of a registry."""
    for path in [*ROOT.glob("requirements/*"), ROOT / "pyproject.toml", ROOT / "Makefile", *ROOT.glob("docs/*.md"), ROOT / "README.md"]:
        if path.is_file():
            text = path.read_text("utf-8")
            assert "--index-url" not in text and "files.pythonhosted" not in text, path
