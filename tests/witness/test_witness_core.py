"""The decision about one request: each status of tlog-witness, and nothing but a status whatever comes in."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.cosign import MLDSA_AVAILABLE, Cosigner, Kind, open_cosignatures
from app.audit.note import Checkpoint, Signer, open_note
from app.audit.tree import EMPTY_ROOT
from app.witness.core import MAX_BODY, SIZE, Answer, Asked, Decision, Doubt, Held, decide, receive
from tests.witness.witness_kit import NAME, NOON, ORIGIN, SIGNER, Log

COSIGNER = Cosigner(NAME, bytes(32))
LOGS = {ORIGIN: [SIGNER.verifier]}
LOG, OTHER = Log(), Log("b")


def holding(size: int, log: Log = LOG) -> Held | None:
    """Return what a witness holds after cosigning *size* entries; 0: nothing yet."""
    if not size:
        return None
    note = log.note(size)
    return Held.read(note + COSIGNER.sign(log.checkpoint(size).text(), int(NOON.timestamp()) - 60), COSIGNER.verifier)


def judged(body: bytes, held: Held | None) -> Decision:
    asked = receive(body, LOGS)
    return Decision(asked) if isinstance(asked, Answer) else decide(asked, held, NOON, COSIGNER)


def signed(checkpoint: Checkpoint) -> str:
    return SIGNER.sign(checkpoint.text())


@pytest.mark.parametrize(("old", "new"), [(0, 1), (0, 7), (1, 2), (1, 7), (3, 5), (4, 8), (6, 7), (7, 7), (64, 300)])
def test_growth_that_is_proved_is_cosigned(old: int, new: int) -> None:
    """The answer is our line over that checkpoint at this moment; the note to hold carries the log's line and ours."""
    decision = judged(LOG.request(old, new), holding(old))

    assert decision.answer.status == 200
    assert COSIGNER.verifier.verify(LOG.checkpoint(new).text(), decision.answer.body) == NOON
    assert decision.keep == LOG.note(new) + decision.answer.body
    assert decision.doubt is None


def test_the_empty_tree_is_cosigned_and_grows() -> None:
    """Old 0, no proof, root of nothing; from there anything may follow without a proof."""
    first = judged(f"old 0\n\n{signed(Checkpoint(ORIGIN, 0, EMPTY_ROOT))}".encode(), None)
    held = Held.read(first.keep or "", COSIGNER.verifier)

    assert first.answer.status == 200
    assert judged(LOG.request(0, 5), held).answer.status == 200


@pytest.mark.parametrize("held", [None, 5])
def test_a_head_of_size_0_must_have_the_root_of_nothing(held: int | None) -> None:
    """Another root is a conflict; it is nobody's history."""
    decision = judged(f"old 0\n\n{signed(Checkpoint(ORIGIN, 0, bytes(32)))}".encode(), holding(held or 0))

    assert (decision.answer.status, decision.keep) == (409, None)


CONFLICTS = [(0, 0, 5, 200), (5, 0, 7, 409), (5, 3, 7, 409), (5, 6, 7, 409), (0, 3, 7, 409), (5, 0, 5, 409), (5, 3, 3, 409), (5, 5, 5, 200)]


@pytest.mark.parametrize(("held", "old", "new", "status"), CONFLICTS)
def test_another_old_size_than_ours_is_told_ours(held: int, old: int, new: int, status: int) -> None:
    """409, our size and a newline, text/x.tlog.size; nothing is kept."""
    decision = judged(LOG.request(old, new), holding(held))

    assert decision.answer.status == status
    if status == 409:
        assert decision.answer == Answer(409, f"{held}\n", SIZE)
        assert (decision.keep, decision.doubt) == (None, None)


@pytest.mark.parametrize("old", [0, 3, 5])
def test_one_size_with_two_roots_is_a_fork_whatever_old_says(old: int) -> None:
    """Only the log's key can have signed both: 409, and the pair is evidence."""
    decision = judged(OTHER.request(old, 5), holding(5))

    assert decision.answer.status == 409
    assert (decision.answer.content_type == SIZE) == (old != 5)
    assert (decision.keep, decision.doubt) == (None, Doubt.FORK)


ZEROES = [bytes(32)]
BAD_PROOFS = [
    ("none", 3, 7, []),
    ("of another pair", 3, 7, LOG.proof(4, 7)),
    ("one hash short", 3, 7, LOG.proof(3, 7)[:-1]),
    ("one hash long", 3, 7, LOG.proof(3, 7) + ZEROES),
    ("of another history", 3, 7, OTHER.proof(3, 7)),
    ("backwards", 3, 7, LOG.proof(3, 7)[::-1]),
    ("some, from nothing", 0, 7, ZEROES),
    ("some, for the same size", 5, 5, ZEROES),
    ("63 hashes", 3, 7, ZEROES * 63),
]


@pytest.mark.parametrize(("old", "new", "proof"), [one[1:] for one in BAD_PROOFS], ids=[one[0] for one in BAD_PROOFS])
def test_growth_that_is_not_proved_is_refused(old: int, new: int, proof: list[bytes]) -> None:
    """422 and nothing kept; a larger tree than ours is a doubt, but not a fork: anybody can send a wrong proof."""
    decision = judged(LOG.request(old, new, proof), holding(old))

    assert (decision.answer.status, decision.keep) == (422, None)
    assert decision.doubt is (Doubt.UNPROVEN if 0 < old < new else None)


def test_a_forked_history_never_proves_its_growth() -> None:
    """No proof that the forked log can make leads from our tree to its own, for every pair of sizes."""
    for old in range(1, 12):
        for new in range(old, 12):
            for claimed in range(1, new + 1):
                decision = judged(OTHER.request(old, new, OTHER.proof(claimed, new)), holding(old))
                assert decision.answer.status in {409, 422}
                assert decision.keep is None


GOOD = LOG.request(3, 7).decode()
NOTE = LOG.note(7)
HASH = base64.b64encode(bytes(32)).decode()
MALFORMED = [
    "",
    "\n",
    "old",
    "old 3",
    "old 3\n",
    NOTE,
    GOOD[4:],
    GOOD.replace("old 3", "old 03"),
    GOOD.replace("old 3", "old -3"),
    GOOD.replace("old 3", "old +3"),
    GOOD.replace("old 3", "old 3 "),
    GOOD.replace("old 3", "old  3"),
    GOOD.replace("old 3", "Old 3"),
    GOOD.replace("old 3", "old ３"),
    GOOD.replace("old 3", "old 1e3"),
    GOOD.replace("old 3", "old " + "9" * 4000),
    GOOD.replace("old 3", "old 8"),
    GOOD.replace("\n", "\r\n"),
    GOOD[:-1],
    GOOD + "\n",
    GOOD + "rubbish\n",
    GOOD.replace("old 3\n", "old 3\n\n"),
    GOOD.replace("old 3\n", "old 3\n \n"),
    GOOD.replace("old 3\n", f"old 3\n{HASH[:-1]}\n"),
    GOOD.replace("old 3\n", f"old 3\n{base64.b64encode(bytes(31)).decode()}\n"),
    GOOD.replace("old 3\n", "old 3\n" + f"{HASH}\n" * 64),
    GOOD.replace("\n7\n", "\n07\n"),
    GOOD.replace("\n7\n", "\n-7\n"),
    GOOD.replace("\n7\n", "\n99999999999999999999\n"),
    GOOD.replace("\n\n— ", "\n— "),
    GOOD.replace("— ", "- "),
    GOOD + f"— x {HASH}\n" * 101,
    GOOD + "x" * MAX_BODY,
    f"old 0\n\n{ORIGIN}\n\n— {ORIGIN} AAAAAAAA\n",
    f"old 0\n\n{ORIGIN}\n7\n— {ORIGIN} AAAAAAAA\n",
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_malformed_is_400(body: str) -> None:
    """One line in plain text that says what is wrong."""
    answer = receive(body.encode(), LOGS)

    assert isinstance(answer, Answer)
    assert answer.status == 400
    assert answer.body.startswith("bad request: ") and answer.body.count("\n") == 1


@pytest.mark.parametrize("raw", [b"\xff", b"old 0\n\n\xff\n7\n", GOOD.encode().replace(b"old", b"\x00ld"), GOOD.encode("utf-16")])
def test_what_is_no_text_is_400(raw: bytes) -> None:
    answer = receive(raw, LOGS)

    assert isinstance(answer, Answer)
    assert answer.status == 400


STRANGER = Signer(ORIGIN, bytes(31) + b"s")
TEXT = LOG.checkpoint(7).text()
UNSIGNED = [
    STRANGER.sign(TEXT),
    COSIGNER.sign(TEXT, 1),
    NOTE.replace(NOTE.rsplit(" ", 1)[1], LOG.note(6).rsplit(" ", 1)[1]),
    NOTE + LOG.note(6).rpartition("\n\n")[2],
    f"{TEXT}\n— {ORIGIN} {base64.b64encode(SIGNER.verifier.key_id).decode()}\n",
    f"{TEXT}\n— {ORIGIN} {base64.b64encode(SIGNER.verifier.key_id + bytes(64)).decode()}\n",
    f"{TEXT}\n— {ORIGIN} {base64.b64encode(SIGNER.verifier.key_id + bytes(63)).decode()}\n",
    f"{TEXT}\n— {ORIGIN} AAA\n",
]


@pytest.mark.parametrize("note", UNSIGNED, ids=range(len(UNSIGNED)))
def test_what_the_log_did_not_sign_is_403(note: str) -> None:
    """Strangers, cosigners, wrong and shortened signatures under the log's own name."""
    body = f"old 0\n\n{note if note.startswith(ORIGIN) else f'{TEXT}{chr(10)}{note}'}".encode()

    answer = receive(body, LOGS)

    assert isinstance(answer, Answer)
    assert answer.status == 403
    assert "invalid signature" in answer.body


def test_an_unknown_log_is_404_before_its_signature_is_looked_at() -> None:
    """Also with another case or a space more in its name, which are other names."""
    for origin in ("uji.localhost/gardu/2", "UJI.localhost/gardu/1", f"{ORIGIN} ", "x"):
        answer = receive(f"old 0\n\n{Checkpoint(origin, 7, bytes(32)).text()}\n— x {HASH}\n".encode(), LOGS)

        assert answer == Answer(404, "unknown log\n")


def test_signatures_of_strangers_are_ignored_and_not_kept() -> None:
    """What we hold and show carries the lines we checked, and no other."""
    note = STRANGER.sign(TEXT) + NOTE.rpartition("\n\n")[2] + COSIGNER.sign(TEXT, 1)

    decision = judged(f"old 0\n\n{note}".encode(), None)

    assert decision.answer.status == 200
    assert decision.keep == NOTE + decision.answer.body


@pytest.mark.skipif(not MLDSA_AVAILABLE, reason="an older cryptography")
def test_a_log_may_sign_with_two_keys() -> None:
    """Ed25519 and ML-DSA-44: either is enough, a wrong one spoils both."""
    second = Cosigner(ORIGIN, bytes(32), Kind.ML_DSA_44)
    logs = {ORIGIN: [SIGNER.verifier, second.verifier]}
    line = second.sign(TEXT, 5)
    wrong = second.sign(LOG.checkpoint(6).text(), 5)

    for note in (NOTE, f"{TEXT}\n{line}", NOTE + line):
        asked = receive(f"old 0\n\n{note}".encode(), logs)
        assert isinstance(asked, Asked)
        assert asked.note == note
    answer = receive(f"old 0\n\n{NOTE}{wrong}".encode(), logs)
    assert isinstance(answer, Answer)
    assert answer.status == 403


def test_the_same_tree_again_gets_a_fresh_time() -> None:
    """A log without new entries stays fresh; in the same second nothing needs to be written."""
    held = holding(7)

    again = judged(LOG.request(7, 7), held)
    once_more = judged(LOG.request(7, 7), Held.read(again.keep or "", COSIGNER.verifier))

    assert again.answer.status == once_more.answer.status == 200
    assert open_cosignatures(again.keep or "", [COSIGNER.verifier]) == {COSIGNER.vkey: NOON}
    assert (once_more.keep, once_more.answer) == (None, again.answer)


def test_extension_lines_are_kept_and_signed() -> None:
    """They are the log's; our Ed25519 line covers them (tlog-cosignature), the decision looks at size and root alone."""
    checkpoint = Checkpoint(ORIGIN, 7, LOG.checkpoint(7).root, "extra\n")

    decision = judged(f"old 7\n\n{signed(checkpoint)}".encode(), holding(7))

    assert decision.answer.status == 200
    assert open_note(decision.keep or "", [SIGNER.verifier]).text == checkpoint.text()


PIECES = st.sampled_from(
    [
        GOOD,
        NOTE,
        "old 3",
        "old 0",
        "\n",
        "\n\n",
        HASH,
        ORIGIN,
        "7",
        "— ",
        f"— {ORIGIN} ",
        "A",
        "=",
        " ",
        "\r",
        "\0",
        "\u2028",
        "é",
        "9" * 30,
    ]
)


@given(st.lists(PIECES, max_size=8).map("".join), st.integers(0, 600), st.integers(0, 600), st.text(max_size=3))
def test_whatever_comes_in_gets_a_status(body: str, start: int, end: int, patch: str) -> None:
    """Pieces of requests, and a good one cut and patched anywhere: never an error, and a cosignature only for what the log signed."""
    for raw in (body, GOOD[:start] + patch + GOOD[end:]):
        decision = judged(raw.encode("utf-8", "surrogatepass"), holding(3))
        assert decision.answer.status in {200, 400, 403, 404, 409, 422}
        assert (decision.answer.status == 200) == (decision.keep is not None)
        if decision.keep:
            assert open_note(decision.keep, [SIGNER.verifier]).text == TEXT


@given(st.binary(max_size=300))
def test_any_bytes_get_a_refusal(body: bytes) -> None:
    answer = receive(body, LOGS)

    assert isinstance(answer, Answer)
    assert answer.status in {400, 404}
