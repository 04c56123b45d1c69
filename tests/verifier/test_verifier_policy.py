"""Policies, witnesses and quorums (C2SP tlog-policy, tlog-cosignature), as the one-file verifier counts them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import verifier
from app.audit.cosign import Cosigner, Kind
from app.audit.note import Signer
from tests.verifier.verifier_kit import BAWASLU, KAMPUS, NOW, ORIGIN, SIGNER, Check, entries, note_of, policy_of, proof_of, witness

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "cosignature-ed25519.json").read_text("utf-8"))  # source: SOURCES.json
BODIES = entries(5)
BOTH = note_of(BODIES, BAWASLU, KAMPUS)
ONE = note_of(BODIES, BAWASLU)
PQ = witness("pasca", Kind.ML_DSA_44)


def held(note: str, policy: str | None = None, **more: object) -> verifier.Report:
    """Check a checkpoint at noon, in English."""
    return verifier.check_text("checkpoint", note, policy=policy, english=True, **{"now": NOW, **more})  # type: ignore[arg-type]


# ---- published vectors ----


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["desc"][:8])
def test_published_cosignatures_are_accepted_and_no_byte_of_them_can_change(case: dict[str, str]) -> None:
    """A witness of the published vectors makes the quorum; with another tree under it, it is tampered."""
    policy = f"witness w {case['vkey']}\nquorum w\n"

    report = held(case["checkpoint"], policy)
    bent = held(case["checkpoint"].replace("\n300\n", "\n301\n"), policy)

    assert (report.code, report.facts["quorum"]) == (0, True)
    assert report.facts["witnesses"] == {"w": "2025-12-31T00:00:00Z"}
    assert bent.code == 1


# ---- the quorum ----


@pytest.mark.parametrize(
    ("quorum", "lines", "one", "both"),
    [
        ("none", (), 0, 0),
        ("bawaslu", (), 0, 0),
        ("kampus", (), 2, 0),
        ("g", ("group g any bawaslu kampus",), 0, 0),
        ("g", ("group g all bawaslu kampus",), 2, 0),
        ("g", ("group g 2 bawaslu kampus",), 2, 0),
        ("g", ("group k any kampus", "group g all k bawaslu"), 2, 0),
        ("g", ("group k any kampus", "group g 1 k bawaslu"), 0, 0),
    ],
)
def test_the_quorum_decides(quorum: str, lines: tuple[str, ...], one: int, both: int) -> None:
    """Thresholds, nested groups, one witness and none: enough is good, too few could not be checked, with no tampering claimed."""
    policy = policy_of(quorum, *lines)

    assert (held(ONE, policy).code, held(BOTH, policy).code) == (one, both)
    assert held(SIGNER.sign(BOTH.partition("\n\n")[0] + "\n"), policy).code == (0 if quorum == "none" else 2)


def test_each_witness_is_a_step_with_its_time() -> None:
    """Who signed when, who did not, and the quorum; in the facts for programs too."""
    report = held(ONE, policy_of("bawaslu"))

    assert (True, "Witness bawaslu: cosigned it at 2026-11-24T03:00:00Z.") in report.steps
    assert (None, "Witness kampus: no cosignature.") in report.steps
    assert report.steps[-1] == (True, "The quorum is reached (bawaslu, 1/2 witnesses).")
    assert report.facts["witnesses"] == {"bawaslu": "2026-11-24T03:00:00Z"}


def test_a_cosignature_of_a_known_witness_that_does_not_hold_is_tampering() -> None:
    """Even when the quorum is reached without it."""
    bent = ONE + KAMPUS.sign(note_of(entries(4)).partition("\n\n")[0] + "\n", NOW)

    report = held(bent, policy_of("bawaslu"))

    assert report.code == 1 and "kampus" in report.steps[-1][1]


def test_strangers_count_for_nothing() -> None:
    """A witness that the policy does not name, and the log's own key as a witness, do not help a quorum."""
    stranger = witness("asing")
    self_made = Cosigner(BAWASLU.name, bytes(32))

    for other in (stranger, self_made):
        assert held(note_of(BODIES, other), policy_of("bawaslu")).code == 2


@pytest.mark.parametrize(
    ("ahead", "hours", "code", "said"),
    [
        (0, None, 0, "cosigned"),
        (600, None, 0, "cosigned"),
        (601, None, 2, "in the future"),
        (2**62, None, 2, "in the future"),
        (-90 * 60, 2.0, 0, "cosigned"),
        (-150 * 60, 2.0, 2, "too old"),
        (-(10**9), None, 0, "cosigned"),
    ],
)
def test_times_ahead_or_too_old_do_not_count(ahead: int, hours: float | None, code: int, said: str) -> None:
    """Ten minutes ahead is a clock, more is flagged; older than asked for is no fresh witness."""
    report = held(note_of(BODIES, BAWASLU, at=NOW + ahead), policy_of("bawaslu"), hours=hours)

    assert report.code == code
    assert any(said in text for _, text in report.steps)


def test_freshness_is_not_had_from_a_quorum_of_nobody() -> None:
    """Whoever asks for fresh witnesses gets at least one, or exit 2; without a policy the question has no answer."""
    assert held(SIGNER.sign(ONE.partition("\n\n")[0] + "\n"), policy_of("none"), hours=1).code == 2
    assert held(ONE, key=SIGNER.vkey, hours=1).code == 2
    for nonsense in (0, -1, float("nan"), float("inf")):
        assert held(ONE, policy_of("bawaslu"), hours=nonsense).code == 2


def test_the_newest_of_two_cosignatures_counts_and_both_must_hold() -> None:
    """A witness may sign a checkpoint twice."""
    text = ONE.partition("\n\n")[0] + "\n"
    twice = ONE + BAWASLU.sign(text, NOW - 50)

    assert held(twice, policy_of("bawaslu")).facts["witnesses"] == {"bawaslu": "2026-11-24T03:00:00Z"}


# ---- ML-DSA-44 ----


def test_ml_dsa_cosignatures_are_checked_where_the_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signature covers name, origin, size, root and time; without the library it is said to be unchecked and is not counted."""
    policy = policy_of("pasca", f"witness pasca {PQ.vkey}")
    good, renamed = note_of(BODIES, PQ), note_of(BODIES, PQ, at=0).replace("pasca.example/w", "pasca.example/x")
    other_tree = ONE + PQ.sign(note_of(entries(4)).partition("\n\n")[0] + "\n", NOW)

    assert (held(good, policy).code, held(other_tree, policy).code, held(renamed, policy).code) == (0, 1, 2)
    monkeypatch.setattr(verifier, "MLDSA44PublicKey", None)
    report = held(good, policy)
    assert report.code == 2 and (None, "Witness pasca: ML-DSA-44 NOT checked.") in report.steps


def test_a_log_may_sign_with_ml_dsa_besides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Either key will do, a wrong one of the two is tampering, and where the library lacks it nothing is proven by it."""
    second = Cosigner(ORIGIN, bytes(range(32)), Kind.ML_DSA_44)
    text = ONE.partition("\n\n")[0] + "\n"
    good = SIGNER.sign(text) + second.sign(text, NOW)
    bent = SIGNER.sign(text) + second.sign(note_of(entries(4)).partition("\n\n")[0] + "\n", NOW)

    for key in (SIGNER.vkey, second.vkey, f"{SIGNER.vkey}\n{second.vkey}\n"):
        assert held(good, key=key).result == "good"
    assert held(bent, key=f"{SIGNER.vkey}\n{second.vkey}").code == 1
    monkeypatch.setattr(verifier, "MLDSA44PublicKey", None)
    assert held(good, key=second.vkey).result == "coherent"
    assert held(good, key=f"{SIGNER.vkey}\n{second.vkey}").result == "good"


def test_consistency_is_proven_only_when_both_checkpoints_are(run: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older checkpoint whose one signature cannot be checked here leaves the answer coherent, no more."""
    second = Cosigner(ORIGIN, bytes(range(32)), Kind.ML_DSA_44)
    (tmp_path / "keys").write_text(f"{SIGNER.vkey}\n{second.vkey}\n", "utf-8")
    text = ONE.partition("\n\n")[0] + "\n"
    (tmp_path / "old").write_text(f"{text}\n{second.sign(text, NOW)}", "utf-8")
    (tmp_path / "new").write_text(SIGNER.sign(text), "utf-8")
    command = ("consistency", tmp_path / "old", tmp_path / "new", "--key", tmp_path / "keys", "--json")

    assert json.loads(run(*command)[1])["result"] == "good"
    monkeypatch.setattr(verifier, "MLDSA44PublicKey", None)
    assert json.loads(run(*command)[1])["result"] == "coherent"


# ---- the policy's form ----


@pytest.mark.parametrize(
    "text",
    [
        "",
        "quorum none",
        "quorum nobody\n",
        "quorum none\nquorum none\n",
        "quorum\n",
        "quorom none\n",
        "\x0bquorum none\n",
        "quorum none\r\n",
        f"log {SIGNER.vkey}\nlog {SIGNER.vkey}\nquorum none\n",
        f"log {BAWASLU.vkey}\nquorum none\n",
        f"log {SIGNER.vkey[:-4]}\nquorum none\n",
        f"log {SIGNER.vkey} https://a b\nquorum none\n",
        f"witness w {SIGNER.vkey}\nquorum w\n",
        f"witness none {BAWASLU.vkey}\nquorum none\n",
        f"witness a {BAWASLU.vkey}\nwitness a {KAMPUS.vkey}\nquorum a\n",
        f"witness a {BAWASLU.vkey}\nwitness b {BAWASLU.vkey}\nquorum a\n",
        f"quorum a\nwitness a {BAWASLU.vkey}\n",
        f"witness a {BAWASLU.vkey}\ngroup g any\nquorum g\n",
        f"witness a {BAWASLU.vkey}\ngroup g 0 a\nquorum g\n",
        f"witness a {BAWASLU.vkey}\ngroup g 2 a\nquorum g\n",
        f"witness a {BAWASLU.vkey}\ngroup g 01 a\nquorum g\n",
        f"witness a {BAWASLU.vkey}\ngroup g +1 a\nquorum g\n",
        f"witness a {BAWASLU.vkey}\ngroup g any a a\nquorum g\n",
        f"witness a {BAWASLU.vkey}\ngroup a any a\nquorum a\n",
        f"witness a {BAWASLU.vkey}\ngroup g any none\nquorum g\n",
        f"witness a {BAWASLU.vkey}\ngroup g any a\ngroup h any a\nquorum h\n",
        f"witness a {BAWASLU.vkey}\ngroup g any h\ngroup h any a\nquorum g\n",
    ],
)
def test_a_policy_out_of_form_is_refused_before_anything_is_checked(text: str) -> None:
    """Every rule of the policy's form has a file that breaks it; none is tampering, none is a traceback."""
    report = held(ONE, text)

    assert report.code == 2 and "signed" not in report.facts


def test_a_policy_may_be_written_as_people_write() -> None:
    """Comments, blank lines, tabs, addresses, names in any script, and unicode spaces that are no separators."""
    text = f"# log\n\n \t# x\n\tlog {SIGNER.vkey} https://gardu.example/log\nwitness saksi\u2003Ünal \t {BAWASLU.vkey}  https://x \nquorum saksi\u2003Ünal\n"

    assert held(ONE, text).code == 0


@given(st.text(alphabet="log witnesgrupqum nonay12#\n\t+", max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_text_as_a_policy_ends_in_a_report(text: str) -> None:
    """Nothing a file can hold is a traceback."""
    assert held(ONE, text).code in {0, 1, 2}


def test_the_key_and_the_policy_must_know_each_other() -> None:
    """A policy without logs takes the key's; one with logs refuses a key that it does not name."""
    bare = f"witness bawaslu {BAWASLU.vkey}\nquorum bawaslu\n"
    other = Signer(ORIGIN, bytes(32)).vkey

    assert held(ONE, bare, key=SIGNER.vkey).result == "good"
    assert held(ONE, bare).result == "coherent"
    assert held(ONE, policy_of("bawaslu"), key=other).code == 2
    assert held(ONE, policy_of("bawaslu", log=other)).code == 1


# ---- everywhere ----


def test_a_policy_is_taken_wherever_a_key_is(run: Check, tmp_path: Path) -> None:
    """On the command line, with a receipt that carries its witnesses."""
    (tmp_path / "policy").write_text(policy_of("bawaslu"), "utf-8")
    (tmp_path / "receipt").write_text(proof_of(BODIES, 2, note_of(BODIES, BAWASLU, at=1_700_000_000)), "utf-8")
    (tmp_path / "bare").write_text(proof_of(BODIES, 2, note_of(BODIES)), "utf-8")

    good = run("receipt", tmp_path / "receipt", "--policy", tmp_path / "policy", "--json")
    lacking = run("receipt", tmp_path / "bare", "--policy", tmp_path / "policy")
    old = run("receipt", tmp_path / "receipt", "--policy", tmp_path / "policy", "--max-age", "24")

    assert good[0] == 0 and json.loads(good[1])["witnesses"] == {"bawaslu": "2023-11-14T22:13:20Z"}
    assert lacking[0] == 2 and "Kuorum belum tercapai" in lacking[1] and lacking[1].endswith("TIDAK DAPAT DIPERIKSA\n")
    assert old[0] == 2 and "terlalu lama" in old[1]


def test_every_bit_of_a_cosigned_checkpoint_matters() -> None:
    """A bit turned anywhere is refused, or takes the witness away; it is never good."""
    raw = ONE.encode()
    for at in range(len(raw)):
        bent = raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1 :]
        report = held(bent.decode("utf-8", "replace"), policy_of("bawaslu"))
        assert report.code in {1, 2}, at


def test_a_cosignature_cannot_be_moved_to_another_time() -> None:
    """The time stands in what was signed."""
    line = ONE.splitlines()[-1]
    raw = bytearray(base64.b64decode(line.rpartition(" ")[2]))
    raw[11] ^= 1
    bent = ONE.replace(line.rpartition(" ")[2], base64.b64encode(bytes(raw)).decode())

    assert held(bent, policy_of("bawaslu")).code == 1
