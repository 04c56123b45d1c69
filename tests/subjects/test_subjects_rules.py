"""What may be typed, and what entries come to."""

from __future__ import annotations

import pytest

from app.audit.entry import body, parse
from app.audit.members import Entry
from app.kernel.errors import BadInput
from app.kernel.fields import Action, Outcome
from app.subjects.rules import Kind, kind_of, parse_typed, summarise, typed_again
from tests.trail_kit import ORIGIN, draft

UID = "mzxw6ytboi4dcmrtgq2tmnzyhe"
SHOWN = {"nama": "utuh", "nik": "samar"}


def said(
    action: Action, outcome: Outcome, *, actor: str = "a" * 26, office: str | None = "kpu-51.71", number: int = 0, **more: object
) -> Entry:
    return parse(
        body(
            draft(number, action=action, outcome=outcome, actor=actor, office=office, **more), None, log=ORIGIN, seq=number, prev=bytes(32)
        )
    )


@pytest.mark.parametrize(
    "typed",
    [f"51.71-{UID}", f"  51.71-{UID}\n", f"51.71-{UID.upper()}", f"51.71–{UID}", f"51.71 - {UID[:13]} {UID[13:]}", f"51.71\u2011{UID}"],
)
def test_a_number_is_read_as_people_type_it(typed: str) -> None:
    """Spaces, capitals and the dashes of word processors do not matter."""
    assert parse_typed(typed) == f"51.71-{UID}"


@pytest.mark.parametrize(
    "typed",
    ["", "51.71", UID, f"51-{UID}", f"51.71.01-{UID}", f"51.71-{UID}a", "51.71-" + "1" * 8, f"../{UID}", f"51.71-{UID[:-1]}\u00e9"],
)
def test_what_is_no_number_is_named(typed: str) -> None:
    with pytest.raises(BadInput) as wrong:
        parse_typed(typed)

    assert wrong.value.field == "subject"
    assert "Periksa ketikannya" in wrong.value.public


@pytest.mark.parametrize("typed", ["5171010101807777", "51 71 01 01 01 80 77 77", "5171.0101.0180.7777", "NIK 5171010101807777"])
def test_a_nik_is_not_taken_and_not_shown_again(typed: str) -> None:
    """Whoever types a NIK is told so; it does not come back in the form."""
    with pytest.raises(BadInput) as wrong:
        parse_typed(typed)

    assert "NIK" in wrong.value.public
    assert typed_again(typed) == ""
    assert typed_again("  51.71-salah ") == "51.71-salah"


@pytest.mark.parametrize(
    ("action", "outcome", "more", "kind"),
    [
        (Action.VOTER_REVEAL, Outcome.ALLOWED, {"fields": SHOWN}, Kind.OPENED),
        (Action.VOTER_SEARCH, Outcome.ALLOWED, {"fields": SHOWN}, Kind.OPENED),
        (Action.VOTER_REVEAL, Outcome.ALLOWED, {"fields": {"nik": "ada", "nama": "tutup"}}, Kind.UNSHOWN),
        (Action.VOTER_SEARCH, Outcome.ALLOWED, {}, Kind.COMPARED),
        (Action.VOTER_REVEAL, Outcome.DENIED, {}, Kind.REFUSED),
        (Action.VOTER_CHANGE, Outcome.DENIED, {}, Kind.REFUSED),
        (Action.VOTER_CHANGE, Outcome.FAILED, {}, Kind.FAILED),
        (Action.VOTER_REVEAL, Outcome.BROKEN, {}, Kind.BROKEN),
        (Action.VOTER_CHANGE, Outcome.DONE, {"fields": {"alamat": "utuh"}}, Kind.CHANGED),
        (Action.VOTER_IMPORT, Outcome.DONE, {}, Kind.LOADED),
        (Action.REQUEST_SUBMIT, Outcome.DONE, {}, Kind.ASKED),
        (Action.MANDATE_EXPIRE, Outcome.DONE, {}, Kind.ASKED),
        (Action.TRAIL_READ, Outcome.DENIED, {}, Kind.LOG),
        (Action.TRAIL_EXPORT, Outcome.DONE, {}, Kind.LOG),
        (Action.VOTER_RETRACT, Outcome.DONE, {}, Kind.OTHER),
        (Action.KEY_OPEN, Outcome.DONE, {}, Kind.OTHER),
    ],
)
def test_what_an_entry_meant_for_the_voter(action: Action, outcome: Outcome, more: dict[str, object], kind: Kind) -> None:
    """Only what was shown counts as opened; a refusal, a comparison and a reading of the log open nothing."""
    assert kind_of(said(action, outcome, **more)) is kind


def test_entries_come_to_numbers() -> None:
    """People and offices are counted once, in the order of their first opening; what opened nothing has no part in first and last."""
    found = summarise(
        [
            said(Action.VOTER_REVEAL, Outcome.DENIED, actor="n" * 26, office="kpu-51.03", number=9),
            said(Action.VOTER_REVEAL, Outcome.ALLOWED, actor="b" * 26, office="bawaslu-51.71", number=5, fields=SHOWN),
            said(Action.VOTER_REVEAL, Outcome.ALLOWED, number=4, fields=SHOWN),
            said(Action.VOTER_REVEAL, Outcome.ALLOWED, number=3, fields=SHOWN),
            said(Action.VOTER_IMPORT, Outcome.DONE, actor="host:0", office="kpu-00", number=1),
        ]
    )

    assert (found.opened, found.stopped, found.counts[Kind.LOADED]) == (3, 1, 1)
    assert (found.people, found.offices) == (("a" * 26, "b" * 26), ("kpu-51.71", "bawaslu-51.71"))
    assert found.first and found.last and found.first < found.last
    assert summarise([]).first is None
