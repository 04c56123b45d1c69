"""Erasing payloads: every proof stays, nothing else can be erased, and what was emptied without its entry is found."""

from __future__ import annotations

from hashlib import sha256

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.audit.erasure import Erased, count_in, erase_within, erased, erasure_text
from app.audit.note import Signer
from app.audit.proof import tlog_proof
from app.audit.single import Check, Found, prove
from app.audit.trail import Trail
from app.audit.verify import verify
from app.kernel.errors import Conflict, StoreDown
from app.kernel.fields import Action, Outcome
from app.store.engine import Store
from tests.audit.retention_kit import erase_on, erasing, guarded_owner
from tests.trail_kit import BOX, NOON, ORIGIN, SIGNER, StoredPayload, check, draft, fill, mixed, owner, run, scalar, trail_on

__all__ = ["guarded_owner", "owner"]

# Entry 6 names three voters, entry 1 one, entry 3 none; entries 0 and 4 have no payload.
SIZE = 8
REFUSED = (DBAPIError, StoreDown)


@pytest.fixture
def log(store: Store) -> Store:
    """A log of eight entries of every kind."""
    fill(store, mixed(SIZE))
    return store


def found(store: Store, seq: int) -> dict[str, str]:
    """Return what each step of an entry's proof found."""

    def open_sealed(sealed: bytes, wrapped: bytes, day: str, commitment: bytes) -> bytes:
        return BOX.open(StoredPayload(seq, day, wrapped, sealed, sha256(sealed).digest(), commitment))

    return {step.check: step.found for step in prove(store, ORIGIN, seq, SIGNER.vkey, open_sealed, BOX.token)}


def test_an_erased_payload_leaves_every_proof_valid(log: Store) -> None:
    """Key, bytes and tokens go; the whole log, the entry's own proof and its receipt stay good, and say who erased it."""
    before = tlog_proof(log, ORIGIN, 6)

    receipt = erase_on(log, 6, 1)

    assert check(log).ok and check(log, keys=False).ok
    assert scalar(log, "SELECT count(*) FROM trail_payload WHERE seq IN (1, 6) AND length(wrapped) + length(sealed) = 0") == 2
    assert scalar(log, "SELECT count(*) FROM touch_index WHERE seq IN (1, 6)") == 0
    assert erased(log, ORIGIN, 6) == Erased(ORIGIN, receipt.seq) and erased(log, ORIGIN, 2) is None
    assert tlog_proof(log, ORIGIN, 6) == before
    assert found(log, 6) == {
        **dict.fromkeys(Check, Found.GOOD), Check.PAYLOAD: Found.ERASED, Check.TOUCHES: Found.ERASED,
    }  # fmt: skip
    with log.reading() as session:
        assert count_in(session, [ORIGIN]) == 2


def test_the_text_of_an_erasure_is_the_documented_one() -> None:
    """docs/log-format.md, "Commitments inside an entry": ascending by number, each line ended."""
    assert erasure_text("l/gardu/1", [(12, "ab"), (3, "cd")]) == b"gardu/payload-erasure@1\nl/gardu/1\n3 cd\n12 ab\n"


def test_what_has_no_payload_cannot_be_erased(log: Store) -> None:
    """An entry without payload, or none at all, is named before anything happens."""
    for seq in (0, SIZE):
        with pytest.raises(Conflict, match=str(seq)):
            erasing(log, ORIGIN, [seq])


# Each: what somebody with the application's or the owner's password tries; entry 8 erased payload 6, entry 9 is a login.
ATTEMPTS = [
    "UPDATE trail_payload SET wrapped = '' WHERE seq = 2",
    "UPDATE trail_payload SET wrapped = '', sealed = '' WHERE seq = 2",
    "UPDATE trail_payload SET day = '2026-01-01' WHERE seq = 6",
    "UPDATE trail_payload SET sealed = 'x' WHERE seq = 6",
    "UPDATE trail_payload SET seq = 99, sealed = '' WHERE seq = 6",
    "DELETE FROM trail_payload WHERE seq = 6",
    "DELETE FROM touch_index WHERE seq = 2",
    "DELETE FROM trail_entry WHERE seq = 2",
    "DELETE FROM payload_erasure",
    "UPDATE payload_erasure SET by_seq = 9",
    "DELETE FROM trail_checkpoint",
    "INSERT INTO payload_erasure VALUES ('{log}', 2, '{log}', 9, '{digest}')",
    "INSERT INTO payload_erasure VALUES ('{log}', 2, '{log}', 77, '{digest}')",
    "INSERT INTO payload_erasure VALUES ('{log}', 2, '{log}', 8, 'another digest')",
    "INSERT INTO payload_erasure VALUES ('{log}', 4, '{log}', 8, '{digest}')",
    "INSERT INTO payload_erasure VALUES ('{log}', 2, 'uji.localhost/gardu/0', 8, '{digest}')",
    "INSERT OR REPLACE INTO payload_erasure VALUES ('{log}', 6, '{log}', 9, '{digest}')",
    "TRUNCATE payload_erasure",
]


@pytest.mark.parametrize("who", ["application", "owner"])
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nobody_erases_or_changes_anything_else(log: Store, guarded_owner: Store, who: str, attempt: str) -> None:
    """With the guards in force neither role can empty, change or remove what no entry erased, nor what says so."""
    if ("REPLACE" in attempt and log.dialect != "sqlite") or ("TRUNCATE" in attempt and log.dialect == "sqlite"):
        pytest.skip("not a statement of this engine")
    erase_on(log, 6)
    trail_on(log).append(draft(50))
    digest = scalar(log, "SELECT digest FROM payload_erasure")
    assert isinstance(digest, bytes | memoryview)
    literal = f"x'{bytes(digest).hex()}'" if log.dialect == "sqlite" else f"'\\x{bytes(digest).hex()}'"
    statement = attempt.replace("'{digest}'", literal).replace("{log}", ORIGIN)

    with (
        pytest.raises(REFUSED, match=r"append-only|refused|permission denied"),
        {"application": log, "owner": guarded_owner}[who].writing() as session,
    ):
        session.execute(text(statement))
    assert check(log).ok


@pytest.mark.parametrize("statement", ["INSERT INTO payload_erasure VALUES ('l', 1, 'l', 2, '')", "UPDATE trail_payload SET sealed = ''"])
def test_the_application_has_no_right_but_the_function(log: Store, statement: str) -> None:
    """On PostgreSQL the narrow role erases through the owner's function alone."""
    if log.dialect == "sqlite":
        pytest.skip("SQLite has no roles")

    with pytest.raises(REFUSED, match="permission denied"), log.writing() as session:
        session.execute(text(statement))


@pytest.mark.parametrize("seqs", [[2], [6, 2], []])
def test_the_owners_function_works_out_which_payloads_the_entry_names(log: Store, seqs: list[int]) -> None:
    """PostgreSQL itself finds that the entry named payload 6 and no other."""
    if log.dialect == "sqlite":
        pytest.skip("SQLite cannot hash; verify finds it")
    made, digest = erasing(log, ORIGIN, [6])

    with pytest.raises(REFUSED, match="does not name exactly these payloads"), log.writing() as session:
        receipt = trail_on(log).append_within(session, made)
        erase_within(session, ORIGIN, seqs, Erased(receipt.log, receipt.seq), digest)

    assert check(log).ok and check(log).size == SIZE


def test_a_table_of_the_callers_own_does_not_deceive_the_owners_function(log: Store) -> None:
    """The function trusts no search_path: a temporary table of the same name stands in nobody's way."""
    if log.dialect == "sqlite":
        pytest.skip("SQLite has no such functions")

    with pytest.raises(REFUSED), log.writing() as session:
        session.execute(text("CREATE TEMP TABLE trail_entry AS SELECT * FROM public.trail_entry"))
        session.execute(text("UPDATE pg_temp.trail_entry SET action = 'payload:erase', outcome = 'done'"))
        session.execute(text(f"SELECT gardu_erase_payload('{ORIGIN}', ARRAY[2::bigint], '{ORIGIN}', 5)"))


def test_an_entry_and_its_erasure_are_one_transaction(log: Store) -> None:
    """An erasure that fails takes its entry with it, and the log goes on."""
    made, digest = erasing(log, ORIGIN, [6])

    with pytest.raises(RuntimeError), log.writing() as session:
        receipt = trail_on(log).append_within(session, made)
        erase_within(session, ORIGIN, [6], Erased(receipt.log, receipt.seq), digest)
        raise RuntimeError

    assert (check(log).ok, check(log).size, erased(log, ORIGIN, 6)) == (True, SIZE, None)
    assert trail_on(log).append(draft(9)).seq == SIZE


# What a thief with the file or the superuser's password leaves behind, and the entry that verify names.
TAMPERED = [
    ("UPDATE trail_payload SET wrapped = '', sealed = '' WHERE seq = 2", 2),
    ("UPDATE trail_payload SET wrapped = '', sealed = '' WHERE seq = 2; DELETE FROM touch_index WHERE seq = 2", 2),
    ("DELETE FROM payload_erasure WHERE seq = 6", 6),
    ("DELETE FROM payload_erasure WHERE seq = 1", 1),
    ("UPDATE payload_erasure SET by_seq = 7 WHERE seq = 6", 6),
    ("UPDATE payload_erasure SET by_log = 'lain' WHERE seq = 6", 6),
    ("UPDATE payload_erasure SET by_log = 'uji.localhost/gardu/2' WHERE seq = 6", 6),
    ("UPDATE payload_erasure SET digest = (SELECT leaf FROM trail_entry WHERE seq = 0) WHERE seq = 6", 8),
    ("UPDATE payload_erasure SET seq = 2 WHERE seq = 6", 2),
    ("UPDATE payload_erasure SET log = 'lain' WHERE seq = 6", 6),
    ("DELETE FROM trail_payload WHERE seq = 6", 6),
    ("UPDATE trail_payload SET sealed = (SELECT sealed FROM trail_payload WHERE seq = 2) WHERE seq = 6", 6),
    ("UPDATE trail_payload SET day = '' WHERE seq = 6", 6),
    ("UPDATE touch_index SET seq = 6 WHERE seq = 5", 5),
    # Another payload is emptied under the name of the entry that erased 1 and 6: it names only those.
    ("INSERT INTO payload_erasure SELECT log, 2, by_log, by_seq, digest FROM payload_erasure WHERE seq = 6; "
     "UPDATE trail_payload SET wrapped = '', sealed = '' WHERE seq = 2; DELETE FROM touch_index WHERE seq = 2", 8),
    ("INSERT INTO payload_erasure SELECT log, 4, by_log, by_seq, digest FROM payload_erasure WHERE seq = 6", 4),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "seq"), TAMPERED, ids=[one[0][:60] for one in TAMPERED])
def test_an_erasure_that_no_entry_backs_is_found(log: Store, owner: Store, statements: str, seq: int) -> None:
    """Verify names the entry whose payload was emptied, put back or hidden, or the one that did not say so."""
    erase_on(log, 1, 6)
    if log.dialect == "postgresql":
        run(owner, "ALTER TABLE payload_erasure DISABLE TRIGGER USER")

    empty = "x''" if log.dialect == "sqlite" else "''"
    run(owner, *statements.replace("''", empty).split("; "))

    report = check(log)
    assert report.first is not None and report.first.seq == seq, [one.what for one in report.findings]


def test_a_later_log_erases_what_an_earlier_one_holds(log: Store) -> None:
    """After a restore the old log can have no entry more; the entry of its successor is asked for instead, and both verify."""
    later = "uji.localhost/gardu/2"
    signer = Signer(later, bytes(range(32)))
    trail = Trail(log, later, signer)
    trail.append(draft(70, action=Action.TRAIL_REOPEN, outcome=Outcome.DONE, at=NOON))
    made, digest = erasing(log, ORIGIN, [6])
    with log.writing() as session:
        receipt = trail.append_within(session, made)
        erase_within(session, ORIGIN, [6], Erased(receipt.log, receipt.seq), digest)

    assert check(log).ok
    assert verify(log, later, signer.vkey).ok
    assert erased(log, ORIGIN, 6) == Erased(later, 1)
