"""What outsiders fetch: addresses of tlog-tiles, exactly as far as published; entries and proofs only with a token, and recorded."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text

from app.audit.canonical import MAX_INT
from app.audit.query import entry_at
from app.audit.static import export_tiles
from app.audit.tree import leaf_hash, root_of
from app.factory import House, web_app
from app.kernel.errors import BadInput, Conflict, NotAllowed, SignInNeeded
from app.kernel.fields import Role
from app.openlog import tokens
from app.openlog.publisher import publish
from app.store.engine import Store
from tests.openlog.openlog_kit import append, keeper
from tests.walk_kit import entries


def fetch(house: House, path: str, token: str = "") -> tuple[int, bytes, dict[str, str]]:
    """Return (status, body, headers) of a GET by somebody without a session."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = web_app(house).test_client().get(path, headers=headers, base_url=house.settings.public_origin)
    return answer.status_code, answer.data, dict(answer.headers)


def test_tiles_are_the_leaf_hashes_and_lead_to_the_checkpoint(house: House) -> None:
    """A client that reads checkpoint and tiles computes the signed root; full tiles are there as such and cut."""
    append(house, 300)
    found = publish(house.openlog, house.clock.now())
    assert found is not None
    status, note, headers = fetch(house, "/log/checkpoint")
    size = int(note.decode().split("\n")[1])
    full, rest = fetch(house, "/log/tile/0/000"), fetch(house, f"/log/tile/0/001.p/{size - 256}")
    above = fetch(house, "/log/tile/1/000.p/1")

    assert (status, size, headers["Content-Type"]) == (200, found.size, "text/plain; charset=utf-8")
    assert headers["Cache-Control"] == "no-store"
    assert (full[0], len(full[1]), rest[0]) == (200, 8192, 200)
    assert full[2]["Cache-Control"].endswith("immutable")
    leaves = [(full[1] + rest[1])[at : at + 32] for at in range(0, 32 * size, 32)]
    assert leaves[7] == leaf_hash(entry_at(house.store, house.openlog.log, 7).body)
    assert above[1] == root_of(leaves[:256])
    assert fetch(house, "/log/tile/0/000.p/200")[1] == full[1][: 200 * 32]


ELSEWHERE = (
    "0/001", "0/001.p/255", "1/000", "2/000.p/1", "0/00", "00/000", "8/000", "-1/000", "0/x000/000", "0/000.p/0", "0/000.p/256", "0/000/",
    "0/000.p/1/", "a/000", f"0/x{'9' * 30}/000",
)  # fmt: skip


def test_other_addresses_are_not_there(house: House) -> None:
    """Beyond the checkpoint, or spelled otherwise than the standard says: 404, never a traceback."""
    append(house, 300)
    publish(house.openlog, house.clock.now())

    assert [path for path in ELSEWHERE if fetch(house, f"/log/tile/{path}")[0] != 404] == []


def test_nothing_is_there_before_the_first_publishing(house: House) -> None:
    """An empty shelf is a 404."""
    assert [fetch(house, path)[0] for path in ("/log/checkpoint", "/log/tile/0/000.p/1")] == [404, 404]


def test_the_policy_names_key_and_quorum(house: House) -> None:
    """Without a witness it says so in a comment, and still is a policy."""
    told = fetch(house, "/log/policy")[1].decode()

    assert f"log {house.openlog.verifier.vkey} " in told
    assert told.endswith("quorum none\n")
    assert fetch(house, "/log/key")[1].decode().startswith(house.openlog.verifier.vkey)


def test_entries_and_proofs_need_a_token_and_each_use_is_an_entry(house: House) -> None:
    """A mirror reads exactly the bytes that were hashed; who it was stands in the log before the first byte leaves."""
    append(house, 3)
    now = house.clock.now()
    token = tokens.make(house.openlog, keeper("a"), "Cermin Universitas", 30, now)
    published = publish(house.openlog, now)
    assert published is not None
    before = len(entries(house))

    refused = [fetch(house, path)[0] for path in (f"/log/tile/entries/000.p/{published.size}", "/log/proof/0")]
    status, raw, _ = fetch(house, f"/log/tile/entries/000.p/{published.size}", token)
    proof = fetch(house, "/log/proof/1", token)

    assert refused == [401, 401]
    assert (status, proof[0]) == (200, 200)
    first = int.from_bytes(raw[:2], "big")
    assert raw[2 : 2 + first] == entry_at(house.store, house.openlog.log, 0).body
    assert proof[1].startswith(b"c2sp.org/tlog-proof@v1\n")
    new = entries(house)[before:]
    assert [(str(one["actor"])[:7], one["action"], one["outcome"]) for one in new] == [("mirror:", "trail:read", "allowed")] * 2
    assert fetch(house, f"/log/proof/{MAX_INT + 1}", token)[0] == 404
    assert fetch(house, f"/log/proof/{published.size + 50}", token)[0] == 404


def test_a_token_ends_and_lapses(house: House) -> None:
    """Ended by hand, over by its date, guessed, or of a row that somebody changed: it opens nothing."""
    room, now = house.openlog, house.clock.now()
    token = tokens.make(room, keeper("a"), "Cermin", 30, now)
    uid = tokens.tokens(room)[0].uid
    header = f"Bearer {token}"
    tokens.admit(room, header, "/log/x", "r", now)

    for wrong in ("", "Basic eDp5", "Bearer", "Bearer gmt-", "Bearer gmt-" + "A" * 43, header + "x"):
        with pytest.raises(SignInNeeded):
            tokens.admit(room, wrong, "/log/x", "r", now)
    with pytest.raises(SignInNeeded):
        tokens.admit(room, header, "/log/x", "r", now + timedelta(days=30))
    tokens.end(room, keeper("b"), uid, now)
    with pytest.raises(SignInNeeded, match="ended"):
        tokens.admit(room, header, "/log/x", "r", now)
    with pytest.raises(Conflict):
        tokens.end(room, keeper("b"), uid, now)


def test_a_token_put_into_the_database_opens_nothing(house: House) -> None:
    """Rows are sealed: whoever may write to the database does not thereby read the log as a mirror."""
    room, now = house.openlog, house.clock.now()
    tokens.make(room, keeper("a"), "Cermin", 30, now)
    owner = house.store if house.store.dialect == "sqlite" else Store(house.settings.owner_database)
    with owner.writing() as session:
        session.execute(text("UPDATE mirror_token SET digest = :x"), {"x": sha256(b"gmt-mine").digest()})

    assert fetch(house, "/log/proof/0", "gmt-mine")[0] == 500


def test_only_the_security_officer_makes_tokens(house: House) -> None:
    """And only with a name and a term from the list."""
    room, now = house.openlog, house.clock.now()
    with pytest.raises(NotAllowed):
        tokens.make(room, keeper("a", Role.ADMIN_SISTEM), "Cermin", 30, now)
    for name, days in (("", 30), ("x" * 81, 30), ("Cermin", 31), ("Cermin", 10**9)):
        with pytest.raises(BadInput):
            tokens.make(room, keeper("a"), name, days, now)
    assert tokens.tokens(room) == []


def test_the_whole_log_as_a_folder(house: House, tmp_path: Path) -> None:
    """Tiles, bundles and checkpoint as files, the checkpoint last; a folder with something in it is left alone."""
    append(house, 600)
    published = publish(house.openlog, house.clock.now())
    assert published is not None
    folder = tmp_path / "log"
    export_tiles(house.store, house.openlog.log, folder, lambda _done, _total: None)

    files = {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}
    width = published.size - 512
    assert files == {
        "checkpoint", "tile/0/000", "tile/0/001", f"tile/0/002.p/{width}", "tile/1/000.p/2",
        "tile/entries/000", "tile/entries/001", f"tile/entries/002.p/{width}",
    }  # fmt: skip
    with pytest.raises(BadInput, match="not empty"):
        export_tiles(house.store, house.openlog.log, folder, lambda _done, _total: None)
