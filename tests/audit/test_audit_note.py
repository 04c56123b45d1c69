"""Signed notes and checkpoints, against the vectors of golang.org/x/mod and C2SP."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.note import Checkpoint, Signer, Verifier, open_note, parse_checkpoint, split_note, unbase64
from app.kernel.errors import BadInput, GarduError, SealBroken
from tests.trail_kit import SIGNER

VECTORS = Path(__file__).parent.parent / "vectors"  # sources: SOURCES.json
NOTES = json.loads((VECTORS / "signed-note.json").read_text("utf-8"))
BODIES = json.loads((VECTORS / "checkpoint-body.json").read_text("utf-8"))
REFUSED = {"malformed": BadInput, "ambiguous_key": BadInput, "unverified": SealBroken, "invalid_signature": SealBroken}


def signer_of(skey: str) -> Signer:
    """Return the signer of a key in Go's form."""
    name, _, rest = skey.removeprefix("PRIVATE+KEY+").partition("+")
    return Signer(name, base64.b64decode(rest.split("+", 1)[1])[1:])


def test_signing_gives_the_published_note() -> None:
    """The same key signs the same text to the same bytes as Go's implementation."""
    case = NOTES["sign"][0]

    signer = signer_of(case["skey"])

    assert signer.sign(case["text"]) == case["signed"]
    assert signer.vkey == NOTES["vkeys_ok"][0]
    with pytest.raises(BadInput):
        signer.sign(NOTES["sign"][1]["bad_text"])


@pytest.mark.parametrize("vkey", NOTES["vkeys_ok"])
def test_published_keys_are_understood(vkey: str) -> None:
    """A verifier key reads back to itself."""
    assert Verifier.parse(vkey).vkey == vkey


def bent_keys() -> list[str]:
    good = NOTES["vkeys_ok"][0]
    cut = [good[:end] for end in range(len(good))] + [good[start:] for start in range(1, len(good))]
    raised = [good[:at] + chr(ord(good[at]) + 1) + good[at + 1 :] for at in range(len(good))]
    return [*NOTES["vkeys_bad"], *cut, *raised, good + "\n", " " + good]


def test_every_damaged_key_is_refused() -> None:
    """Every part of a key, and every key with one character raised, is BadInput."""
    for vkey in bent_keys():
        with pytest.raises(BadInput):
            Verifier.parse(vkey)


@pytest.mark.parametrize("case", NOTES["open"], ids=lambda case: case["desc"])
def test_opening_notes(case: dict[str, object]) -> None:
    """Each published note opens, or is refused for its reason."""
    verifiers = [Verifier.parse(vkey) for vkey in case["keys"]]  # type: ignore[attr-defined]

    if case["result"] == "ok":
        assert list(open_note(str(case["note"]), verifiers).signed_by) == case["verified"]
    else:
        with pytest.raises(REFUSED[str(case["result"])]):
            open_note(str(case["note"]), verifiers)


@pytest.mark.parametrize("case", NOTES["open_malformed"], ids=range(len(NOTES["open_malformed"])))
def test_malformed_notes(case: dict[str, str]) -> None:
    """Each published malformed note is refused; what is not UTF-8 does not even become text."""
    raw = base64.b64decode(case["note_b64"])

    with pytest.raises((BadInput, UnicodeDecodeError)):
        split_note(raw.decode("utf-8"))


@pytest.mark.parametrize("name", ["c2sp_example", "real_checkpoint"])
def test_notes_of_others_open(name: str) -> None:
    """The C2SP example and a checkpoint of Go's checksum database verify under their keys."""
    case = NOTES[name]

    opened = open_note(case["note"], [Verifier.parse(case["vkey"])])

    assert opened.signed_by == (case["vkey"].partition("+")[0],)
    if name == "real_checkpoint":
        assert parse_checkpoint(opened.text).size == 35225469


@given(st.text(max_size=300))
def test_any_text_as_a_note_is_opened_or_refused(note: str) -> None:
    """Whatever is pasted in, the answer is one of ours."""
    with pytest.raises(GarduError):
        open_note(note, [SIGNER.verifier])


def test_a_huge_note_is_refused() -> None:
    """A note over 1 MB is not looked at."""
    with pytest.raises(BadInput, match="1 MB"):
        split_note("x" * 1_000_001)


def test_checkpoint_bodies_need_a_32_byte_root() -> None:
    """The published bodies that a laxer parser takes are refused for their short roots; with real roots they are understood."""
    root = base64.b64encode(bytes(range(32))).decode()
    for text, origin, size, rest in BODIES["ok"]:
        with pytest.raises(BadInput):
            parse_checkpoint(text)
        lines = text.split("\n")
        mended = "\n".join([*lines[:2], root, *lines[3:]])
        assert parse_checkpoint(mended) == Checkpoint(origin, size, bytes(range(32)), rest)
        assert parse_checkpoint(mended).text() == mended


@pytest.mark.parametrize("text", [*BODIES["bad"], *BODIES["bad_by_c2sp_text_only"]])
def test_bad_checkpoint_bodies(text: str) -> None:
    """Each published bad body is refused, also with a root of the right length."""
    lines = text.split("\n")
    mended = (
        "\n".join([*lines[:2], base64.b64encode(bytes(32)).decode(), *lines[3:]]) if len(lines) > 2 and lines[2].endswith("=") else text
    )

    for one in {text, mended} - {"Log\n123\n" + base64.b64encode(bytes(32)).decode() + "\n"}:
        with pytest.raises(BadInput):
            parse_checkpoint(one)


@pytest.mark.parametrize("text", ["YQ", "YR==", "YQ==\n", " YQ==", "YQ===", "Y-==", "é"])
def test_base64_has_one_spelling(text: str) -> None:
    """Missing padding, stray bits and white space are refused."""
    with pytest.raises(BadInput):
        unbase64(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "x" * 256])
def test_names_that_cannot_name_a_key(name: str) -> None:
    """A key's name has no space and no plus."""
    with pytest.raises(BadInput):
        Signer(name, bytes(32))
