"""Cosignatures: the published vectors, our own frozen ML-DSA message, and every bent key, line and time refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit import cosign
from app.audit.cosign import (
    MLDSA_AVAILABLE,
    Cosigner,
    CosignVerifier,
    Kind,
    open_cosignatures,
    parse_log_key,
    signed_message,
    split_key,
)
from app.audit.note import Checkpoint, Verifier, parse_checkpoint, split_note
from app.kernel.errors import BadInput, GarduError, SealBroken
from tests.trail_kit import ORIGIN, SIGNER

VECTORS = Path(__file__).parent.parent / "vectors"  # sources: SOURCES.json
ED25519 = json.loads((VECTORS / "cosignature-ed25519.json").read_text("utf-8"))
SIGNED_AT = datetime.fromtimestamp(ED25519["timestamp"], UTC)
SEED = sha256(b"a cosigner's seed for tests").digest()
TEXT = Checkpoint(ORIGIN, 7, bytes(range(32))).text()
NOON = 1_795_489_200
KINDS = [Kind.ED25519, pytest.param(Kind.ML_DSA_44, marks=pytest.mark.skipif(not MLDSA_AVAILABLE, reason="an older cryptography"))]


def cosigner(kind: Kind, name: str = "saksi.example/w1") -> Cosigner:
    return Cosigner(name, SEED, kind)


def raw_of(line: str) -> bytes:
    return base64.b64decode(line.split(" ")[2])


def line_of(name: str, raw: bytes) -> str:
    return f"— {name} {base64.b64encode(raw).decode()}\n"


@pytest.mark.parametrize("case", ED25519["cases"], ids=lambda case: case["desc"])
def test_the_published_cosignatures(case: dict[str, str]) -> None:
    """They verify at their time, and the same seed signs the same bytes."""
    seed = sha256(case["seed"].removeprefix('sha256("').removesuffix('")').encode()).digest()
    verifier = CosignVerifier.parse(case["vkey"])
    text, _ = split_note(case["checkpoint"])
    mine = next(line for line in case["checkpoint"].split("\n") if line.startswith(f"— {verifier.name} ")) + "\n"

    assert open_cosignatures(case["checkpoint"], [verifier]) == {case["vkey"]: SIGNED_AT}
    assert verifier.verify(text, mine) == SIGNED_AT
    assert Cosigner(verifier.name, seed).vkey == case["vkey"]
    assert Cosigner(verifier.name, seed).sign(text, ED25519["timestamp"]) == mine


def test_the_mldsa_message_is_frozen() -> None:
    """No static vector is published: these are the bytes by the text of tlog-cosignature, written out by hand."""
    by_hand = (
        b"subtree/v1\n\x00"
        + b"\x10saksi.example/w1"
        + bytes.fromhex("000000006b04c370")
        + b"\x15uji.localhost/gardu/1"
        + bytes.fromhex("0000000000000000 0000000000000007")
        + bytes(range(32))
    )

    assert signed_message(Kind.ML_DSA_44, "saksi.example/w1", TEXT, 0x6B04C370) == by_hand
    assert sha256(by_hand).hexdigest() == "9197d10458d37631e6a57afa1162c88b8a7b6e39d12eee61d08de44c96af410a"


def test_the_ed25519_message_is_two_lines_and_the_text() -> None:
    """By the text of tlog-cosignature; the name is not in it."""
    assert signed_message(Kind.ED25519, "x", TEXT, NOON) == f"cosignature/v1\ntime {NOON}\n{TEXT}".encode()


@pytest.mark.skipif(not MLDSA_AVAILABLE, reason="an older cryptography")
def test_the_log_signs_with_its_own_name() -> None:
    """A published checkpoint carries the log's ML-DSA-44 line under its origin; a verifier of the note's Ed25519 key ignores it."""
    second = Cosigner(ORIGIN, SEED, Kind.ML_DSA_44)
    note = SIGNER.sign(TEXT) + second.sign(TEXT, NOON)

    assert open_cosignatures(note, [second.verifier]) == {second.vkey: datetime.fromtimestamp(NOON, UTC)}
    assert parse_log_key(second.vkey).name == parse_log_key(SIGNER.vkey).name == ORIGIN
    assert len(raw_of(second.sign(TEXT, NOON))) == 4 + 8 + 2420


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [0, 1, NOON, 253_402_300_799])
def test_what_is_signed_verifies(kind: Kind, at: int) -> None:
    """At its time, under the key read back from its text."""
    made = cosigner(kind)

    assert CosignVerifier.parse(made.vkey).verify(TEXT, made.sign(TEXT, at)) == datetime.fromtimestamp(at, UTC)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "other",
    [
        Checkpoint(ORIGIN, 8, bytes(range(32))),
        Checkpoint(ORIGIN, 7, bytes(32)),
        Checkpoint("uji.localhost/gardu/2", 7, bytes(range(32))),
    ],
    ids=["size", "root", "origin"],
)
def test_another_checkpoint_is_not_covered(kind: Kind, other: Checkpoint) -> None:
    made = cosigner(kind)

    with pytest.raises(SealBroken):
        made.verifier.verify(other.text(), made.sign(TEXT, NOON))


@pytest.mark.parametrize("kind", KINDS)
def test_any_byte_changed_or_missing_breaks_the_line(kind: Kind) -> None:
    """Time and signature are covered; a changed key id is a stranger's line."""
    made = cosigner(kind)
    raw = raw_of(made.sign(TEXT, NOON))
    places = [*range(16), *range(16, len(raw), 97)]
    bent = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in places] + [raw[:-1], raw + b"\0", raw[:12], raw[:8]]

    for one in bent:
        with pytest.raises(SealBroken):
            made.verifier.verify(TEXT, line_of(made.name, one))


def test_the_name_is_covered_by_mldsa_alone() -> None:
    """The difference that the format makes between the two kinds (tlog-cosignature): one Ed25519 key must not serve two cosigners."""
    assert signed_message(Kind.ED25519, "a", TEXT, 1) == signed_message(Kind.ED25519, "b", TEXT, 1)
    assert signed_message(Kind.ML_DSA_44, "a", TEXT, 1) != signed_message(Kind.ML_DSA_44, "b", TEXT, 1)


def test_a_time_after_the_year_9999_is_refused() -> None:
    """2^63-1 is a legal time, but no calendar has it: signed or not, it is refused, and never a traceback."""
    made = cosigner(Kind.ED25519)

    with pytest.raises(SealBroken, match="9999"):
        made.verifier.verify(TEXT, made.sign(TEXT, 2**63 - 1))
    for at in (-1, 2**63):
        with pytest.raises(BadInput):
            made.sign(TEXT, at)


def test_a_time_beyond_the_format_is_no_cosignature() -> None:
    """2^64-1 in the eight bytes, signed by the right key over the text that would go with it."""
    made = cosigner(Kind.ED25519)
    message = f"cosignature/v1\ntime {2**64 - 1}\n{TEXT}".encode()
    raw = made.verifier.key_id + b"\xff" * 8 + made._private.sign(message)

    with pytest.raises(SealBroken):
        made.verifier.verify(TEXT, line_of(made.name, raw))


def test_opening_counts_known_keys_and_ignores_the_rest() -> None:
    """Strangers are ignored; of two lines by one cosigner the later time counts; nobody known is no error."""
    mine, other = cosigner(Kind.ED25519), Cosigner("lain.example", bytes(32))
    note = SIGNER.sign(TEXT) + mine.sign(TEXT, NOON) + other.sign(TEXT, NOON) + mine.sign(TEXT, NOON - 5)

    assert open_cosignatures(note, [mine.verifier]) == {mine.vkey: datetime.fromtimestamp(NOON, UTC)}
    assert open_cosignatures(SIGNER.sign(TEXT), [mine.verifier]) == {}


def test_a_wrong_signature_of_a_known_key_refuses_the_note() -> None:
    """Even beside a good one."""
    mine = cosigner(Kind.ED25519)
    raw = raw_of(mine.sign(TEXT, NOON))
    note = SIGNER.sign(TEXT) + mine.sign(TEXT, NOON) + line_of(mine.name, raw[:4] + bytes(len(raw) - 4))

    with pytest.raises(SealBroken):
        open_cosignatures(note, [mine.verifier])


def test_a_line_cannot_smuggle_in_a_second_text() -> None:
    """What is handed over as a line may hold an empty line and another checkpoint: it is refused."""
    made = cosigner(Kind.ED25519)
    other = Checkpoint(ORIGIN, 8, bytes(32)).text()

    with pytest.raises((BadInput, SealBroken)):
        made.verifier.verify(TEXT, "— x AAAAAAAA\n\n" + other + "\n" + made.sign(other, NOON))


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_keys_are_refused(kind: Kind) -> None:
    """Every cut, a changed id, another type, another length, white space."""
    good = cosigner(kind).vkey
    name, key_id, raw = split_key(good)
    typed = [bytes([other]) + raw[1:] for other in (0, 1, 2, 5, 0xFF)] + [raw[:-1], raw + b"\0", raw[:1]]
    bent = [f"{name}+{sha256(f'{name}{chr(10)}'.encode() + one).hexdigest()[:8]}+{base64.b64encode(one).decode()}" for one in typed]
    bent += [good[:end] for end in range(0, len(good), max(1, len(good) // 90))] + [good[1:], good + "\n", " " + good]
    bent += [good.replace(key_id.hex(), "00000000"), "", "+", "++", "a+00000000+", "x" * 5000]

    for vkey in bent:
        with pytest.raises(BadInput) as refused:
            CosignVerifier.parse(vkey)
        assert refused.value.field in {"vkey", "name"}


def test_a_witness_key_is_no_log_key() -> None:
    """Types 0x01 and 0x06 sign logs; 0x04 is for witnesses."""
    assert isinstance(parse_log_key(SIGNER.vkey), Verifier)
    with pytest.raises(BadInput, match="0x04"):
        parse_log_key(cosigner(Kind.ED25519).vkey)
    with pytest.raises(BadInput, match="0x01"):
        CosignVerifier.parse(SIGNER.vkey)


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_a_seed_of_another_length_is_refused(seed: bytes) -> None:
    with pytest.raises(BadInput, match="32"):
        Cosigner("saksi.example", seed)


def test_an_older_library_still_does_ed25519(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ML-DSA the kind is refused with a remedy, and Ed25519 works."""
    key = cosigner(Kind.ML_DSA_44).vkey if MLDSA_AVAILABLE else ""
    monkeypatch.setattr(cosign, "MLDSA_AVAILABLE", False)

    with pytest.raises(BadInput, match="upgrade"):
        cosigner(Kind.ML_DSA_44)
    if key:
        with pytest.raises(BadInput, match="upgrade"):
            CosignVerifier.parse(key)
    assert cosigner(Kind.ED25519).sign(TEXT, NOON).startswith("— saksi.example/w1 ")


@given(st.text(max_size=200))
def test_any_text_as_key_line_or_note_is_refused_cleanly(text: str) -> None:
    """Whatever is pasted in, the answer is one of ours."""
    verifier = cosigner(Kind.ED25519).verifier

    for ask in (
        lambda: CosignVerifier.parse(text),
        lambda: verifier.verify(TEXT, text),
        lambda: open_cosignatures(text, [verifier]),
    ):
        with pytest.raises(GarduError):
            ask()


def test_names_too_long_for_the_structure_are_refused() -> None:
    """255 characters may be more than 255 bytes: ML-DSA's structure has no room for them."""
    with pytest.raises(BadInput, match="255 bytes"):
        signed_message(Kind.ML_DSA_44, "é" * 200, TEXT, 0)


def test_the_checkpoint_of_others_reads_as_ours() -> None:
    """The vectors' texts are checkpoints by our parser too."""
    assert parse_checkpoint(split_note(ED25519["cases"][0]["checkpoint"])[0]).size == 300
