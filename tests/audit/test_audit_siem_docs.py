"""docs/siem.md says what the code does: its tables, and examples that the code made."""

from __future__ import annotations

import json
import re

import pytest

from app.audit.siem import Format, record
from app.audit.siem_entry import GRAVITY
from app.audit.siem_ocsf import KINDS
from app.audit.siem_prove import Verdict
from app.audit.siem_read import differs, read
from app.kernel.fields import Action
from tests.audit.siem_kit import ROOT, example

PAGE = (ROOT / "docs" / "siem.md").read_text("utf-8")
HEADINGS = {Format.OCSF: "OCSF", Format.CEF: "CEF", Format.RFC5424: "RFC 5424", Format.JSONL: "JSON lines"}


def table(head: str) -> list[list[str]]:
    """Return the rows of the table whose first column is headed *head*, without backticks."""
    found = re.search(rf"^\| {re.escape(head)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, flags=re.M)
    assert found, head
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split(" | ")] for line in found[1].splitlines()]


def shown(form: Format) -> str:
    """Return the example of *form*."""
    found = re.search(rf"^### {HEADINGS[form]}\n.*?^```\w*\n(.*?)\n```$", PAGE, flags=re.M | re.S)
    assert found, form
    return found[1]


@pytest.mark.parametrize("form", Format)
def test_every_example_is_made_by_the_code(form: Format) -> None:
    """OCSF is shown on several lines; the byte order mark is not shown."""
    made = record(form, example(), "0.1.0")

    if form is Format.OCSF:
        assert json.loads(shown(form)) == json.loads(made)
    else:
        assert shown(form) == made.replace("\ufeff", "")
    assert differs(read(shown(form).encode()), example()) == ""


def test_every_actions_class_is_in_the_table() -> None:
    """And no other."""
    made = [
        [action.value, f"{KINDS[action].class_uid} {KINDS[action].class_name}", f"{KINDS[action].activity_id} {KINDS[action].activity}"]
        for action in Action
    ]

    assert sorted(table("Action")) == sorted(made)


def test_how_grave_an_outcome_is_stands_in_the_table() -> None:
    """Three scales."""
    assert table("Outcome") == [[outcome.value, *map(str, gravity)] for outcome, gravity in GRAVITY.items()]


def test_formats_and_verdicts_are_all_there() -> None:
    """Each once."""
    assert [row[0] for row in table("`--format`")] == [form.value for form in Format]
    assert [row[0] for row in table("Says")] == [verdict.value for verdict in Verdict]


@pytest.mark.parametrize("row", table("Member"), ids=lambda row: row[0])
def test_every_place_named_for_a_member_is_there(row: list[str]) -> None:
    """Where the table says that a member stands, the examples have something; the example has no mandate."""
    event, cef, syslog = json.loads(shown(Format.OCSF)), read(shown(Format.CEF).encode()).said, read(shown(Format.RFC5424).encode()).said
    if row[0] in {"mandate", "all others"}:
        return
    for path in re.findall(r"[a-z_]+(?:(?:\[\d*\])?\.[a-z_]+)*", row[1].partition(" (")[0].partition(", ")[0]):
        value = event
        for name in path.replace("[]", "[0]").replace("[0]", ".0").split("."):
            value = value[int(name) if name.isdigit() else name]
        assert value not in ("", None)
    assert set(re.findall(r"[A-Za-z0-9]+", row[2].partition(",")[0].partition(" (")[0])) <= set(cef)
    name = row[3].partition(",")[0]
    assert (name.lower() if name.isupper() else f"gardu@32473 {name}") in syslog
