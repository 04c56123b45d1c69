"""The second hand (independent.py) against published vectors, against the product's readers, and against what the product writes."""

from __future__ import annotations

import ast
import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audit import published, quorum
from app.audit.canonical import canonical
from app.audit.cosign import MLDSA_AVAILABLE, Cosigner, Kind, open_cosignatures
from app.audit.export import export
from app.audit.note import Checkpoint, parse_checkpoint, split_note
from app.audit.proof import consistency, tlog_proof
from app.audit.static import export_tiles
from app.audit.submit import request_body
from app.audit.tiles import store_tiles
from app.kernel.errors import BadInput
from app.store.engine import Store
from tests.trail_kit import NOON, ORIGIN, SIGNER, bare_sqlite, dice, fill, mixed
from tests.vectors import independent
from tests.vectors.independent import Key, Note, Policy, Refused

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"
LOG_KEY = Key.parse(SIGNER.vkey)
SIZE, OLDER = 300, 100
W1, W2 = (Cosigner(f"saksi.example/w{n}", sha256(b"a witness for tests %d" % n).digest()) for n in (1, 2))
POLICY = f"log {SIGNER.vkey}\nwitness satu {W1.vkey}\nwitness dua {W2.vkey}\ngroup g 2 satu dua\nquorum g\n".encode()


def vectors(name: str) -> dict[str, list[dict[str, object]]]:
    return json.loads((HERE / name).read_text("utf-8"))  # type: ignore[no-any-return]


def b64(text: object) -> bytes:
    return base64.b64decode(str(text or ""))


def holds(check: Callable[[], object]) -> bool:
    """Say whether *check* passes; an error of any other kind than Refused is a fault of the checker."""
    try:
        check()
    except Refused:
        return False
    return True


# ---- it stands alone ----


def test_it_knows_neither_the_product_nor_any_library(tmp_path: Path) -> None:
    """Else it would be no second hand. It runs by itself, cut off from this checkout."""
    file = HERE / "independent.py"
    (tmp_path / "alone.py").write_bytes(file.read_bytes())

    ran = subprocess.run([sys.executable, "-I", "alone.py", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    trees = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Import | ast.ImportFrom)]

    assert ran.returncode == 0
    for node in trees:
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
        assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


# ---- published vectors ----

# RFC 8032 section 7.1, tests 1 to 3: public key, message, signature.
ED25519 = [
    ("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
]  # fmt: skip


@pytest.mark.parametrize("case", ED25519, ids=["empty", "one byte", "two bytes"])
def test_ed25519_verifies_the_vectors_of_rfc_8032(case: tuple[str, str, str]) -> None:
    """And no other message, no other key, no signature whose scalar was raised by the group's order."""
    public, message, signature = map(bytes.fromhex, case)
    raised = (int.from_bytes(signature[32:], "little") + independent.L).to_bytes(32, "little")

    assert independent.ed25519(public, message, signature)
    assert not independent.ed25519(public, message + b"x", signature)
    assert not independent.ed25519(bytes([public[0] ^ 1]) + public[1:], message, signature)
    assert not independent.ed25519(public, message, signature[:32] + raised)


@settings(max_examples=60, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=80), bit=st.integers(0, 8 * 96 - 1), bend=st.booleans())
def test_ed25519_agrees_with_a_library(seed: bytes, message: bytes, bit: int, bend: bool) -> None:
    """On good signatures, and on keys and signatures with one bit changed."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    both = bytearray(key.public_key().public_bytes_raw() + key.sign(message))
    both[bit // 8] ^= (1 << bit % 8) * bend
    public, signature = bytes(both[:32]), bytes(both[32:])
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        said = True
    except (InvalidSignature, ValueError):
        said = False

    assert independent.ed25519(public, message, signature) is said
    assert said is not bend


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_proofs_agree_with_every_published_vector(kind: str) -> None:
    """As test_audit_tree.py does for the product."""
    files = sorted((HERE / "merkle" / kind).rglob("*.json"))

    for file in files:
        case = json.loads(file.read_text("utf-8"))
        path = [b64(one) for one in case["proof"] or []]

        def check(case: dict[str, object] = case, path: list[bytes] = path) -> None:
            if kind == "inclusion":
                index, size = int(str(case["leafIdx"])), int(str(case["treeSize"]))
                independent.check_inclusion(b64(case["leafHash"]), index, size, path, b64(case["root"]))
            else:
                old, new = int(str(case["size1"])), int(str(case["size2"]))
                independent.check_consistency(old, new, b64(case["root1"]), b64(case["root2"]), path)

        assert holds(check) is not case["wantErr"], file
    assert len(files) > 90


def test_keys_agree_with_the_published_ones() -> None:
    """Every part of a good key, and every key with one character raised, is refused."""
    cases = vectors("signed-note.json")
    good = [str(one) for one in cases["vkeys_ok"]]
    one = good[0]
    bad = [*map(str, cases["vkeys_bad"]), *(one[:at] for at in range(len(one))), *(one[at:] for at in range(1, len(one)))]
    bad += [one[:at] + chr(ord(one[at]) + 1) + one[at + 1 :] for at in range(len(one))]

    assert all(holds(lambda vkey=vkey: Key.parse(vkey)) for vkey in good)
    assert [vkey for vkey in bad if holds(lambda vkey=vkey: Key.parse(vkey))] == []


@pytest.mark.parametrize("case", vectors("signed-note.json")["open"], ids=lambda case: case["desc"])
def test_notes_agree_with_the_published_ones(case: dict[str, object]) -> None:
    """Opened by the keys that signed, or refused."""
    keys = [Key.parse(str(one)) for one in case["keys"]]  # type: ignore[attr-defined]

    def check() -> None:
        signers = Note.parse(str(case["note"]).encode()).signers(keys)
        independent.need(signers, "nobody")
        assert {key.name for key in signers} == set(case["verified"])  # type: ignore[call-overload]

    assert holds(check) is (case["result"] == "ok")


def test_malformed_notes_and_bodies_are_refused_and_those_of_others_understood() -> None:
    """The published ones; of the laxer bodies those with a root of 32 bytes are understood."""
    notes, bodies = vectors("signed-note.json"), vectors("checkpoint-body.json")
    root = base64.b64encode(bytes(range(32))).decode()

    assert not any(holds(lambda case=case: Note.parse(b64(case["note_b64"]))) for case in notes["open_malformed"])
    assert not any(
        holds(lambda text=text: independent.checkpoint_text(str(text))) for text in (*bodies["bad"], *bodies["bad_by_c2sp_text_only"])
    )
    for text, origin, size, rest in bodies["ok"]:
        assert not holds(lambda text=text: independent.checkpoint_text(text))
        assert independent.checkpoint_text(f"{origin}\n{size}\n{root}\n{rest}") == (origin, size, bytes(range(32)))
    for name in ("c2sp_example", "real_checkpoint"):
        case: dict[str, str] = notes[name]  # type: ignore[assignment]
        assert Note.parse(case["note"].encode()).signers([Key.parse(case["vkey"])])


@pytest.mark.parametrize("case", vectors("cosignature-ed25519.json")["cases"], ids=lambda case: case["desc"])
def test_cosignatures_agree_with_the_published_ones(case: dict[str, str]) -> None:
    """Over text and time together: another size or another second is refused. The product reads the same file in test_audit_cosign.py."""
    key, raw = Key.parse(case["vkey"]), case["checkpoint"].encode()
    line = next(one for one in case["checkpoint"].split("\n") if one.startswith(f"— {key.name} "))
    later = bytearray(b64(line.split(" ")[2]))
    later[11] += 1
    moved = case["checkpoint"].replace(line, f"— {key.name} {base64.b64encode(later).decode()}")

    assert Note.parse(raw).signers([key]) == {key}
    assert not holds(lambda: Note.parse(raw.replace(b"\n300\n", b"\n301\n")).signers([key]))
    assert not holds(lambda: Note.parse(moved.encode()).signers([key]))
    if case["desc"].startswith("mirror"):
        assert independent.checkpoint_text(Note.parse(raw).text)[2] == independent.root_of(
            independent.leaf_hash(b"record %d" % n) for n in range(300)
        )


def test_requests_agree_with_the_published_sequence() -> None:
    """What a witness would sign, and what not, one after the other."""
    cases = vectors("witness-add-checkpoint.json")
    public = bytes([independent.LOG]) + bytes.fromhex(str(cases["log_public_key_hex"]))
    origin = str(cases["sequence"][0]["body"]).split("\n")[2]
    key = Key.parse(_vkey(origin, public))
    held: independent.Checkpoint | None = None

    for step in cases["sequence"]:
        try:
            held = independent.check_request(str(step["body"]).encode(), held, [key])
            said = True
        except Refused:
            said = False
        assert said is (step["status"] == 200), step["n"]
    assert held is not None
    assert held.size == 5


def _vkey(name: str, material: bytes) -> str:
    identity = sha256(name.encode() + b"\n" + material).digest()[:4].hex()
    return f"{name}+{identity}+{base64.b64encode(material).decode()}"


@pytest.mark.parametrize("name", sorted(path.stem for path in (HERE / "jcs" / "input").glob("*.json")))
def test_canonical_json_agrees_with_the_published_vectors(name: str) -> None:
    """The second hand on all; the product on what an entry may hold, and it refuses the rest instead of writing it differently."""
    given_, wanted = ((HERE / "jcs" / part / f"{name}.json").read_bytes() for part in ("input", "output"))
    hexed = bytes.fromhex((HERE / "jcs" / "outhex" / f"{name}.txt").read_text("ascii"))
    value = independent.parse_json(given_)

    assert independent.canonical(value).encode() == wanted == hexed
    assert independent.check_canonical(wanted) == value
    assert not holds(lambda: independent.check_canonical(given_))
    try:
        assert canonical(value) == wanted  # type: ignore[arg-type]  # BadInput is the answer to what it does not take
    except BadInput:
        assert name != "unicode"  # strings alone: what an entry may hold


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1e21, "1e+21"), (123456789012345680000.0, "123456789012345680000"), (1e-6, "0.000001"), (1e-7, "1e-7"),
        (5e-324, "5e-324"), (-1.5, "-1.5"), (9007199254740993.0, "9007199254740992"), (1.7976931348623157e308, "1.7976931348623157e+308"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_rfc_8785_appendix_b_does(value: float, text: str) -> None:
    """At the borders where ECMAScript changes its form."""
    assert independent.canonical(value) == text


# ---- what the product writes ----


@dataclass(frozen=True)
class Files:
    """What somebody outside would hold of one log."""

    folder: Path
    older: bytes
    newer: bytes
    request: bytes

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A log of 300 entries, with two published checkpoints and two witnesses' signatures on each."""
    store = bare_sqlite(tmp_path_factory.mktemp("log") / "gardu.db")
    fill(store, mixed(SIZE))
    store_tiles(store, ORIGIN, SIZE)
    for size in (OLDER, SIZE):
        with store.reading() as session:
            note = str(session.connection().exec_driver_sql("SELECT note FROM trail_checkpoint WHERE size = ?", (size,)).scalar_one())
        at = NOON + timedelta(seconds=size)
        lines = [(one, one.sign(split_note(note)[0], int(at.timestamp()))) for one in (W1, W2)]
        signed = [published.Cosignature(size, one.verifier.key_id.hex(), one.name, line, at) for one, line in lines]
        published.put_published(store, ORIGIN, published.Published(size, note, at), signed)
    return store


@pytest.fixture(scope="module")
def files(log: Store, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """An export, receipts, tiles, checkpoints and a witness's request, as the product writes them."""
    folder = tmp_path_factory.mktemp("files")
    export(log, ORIGIN, folder / "export")
    for seq in (0, 1, 77, 255, 256, SIZE - 1):
        (folder / f"receipt{seq}").write_text(tlog_proof(log, ORIGIN, seq), "utf-8")
        (folder / f"published{seq}").write_text(tlog_proof(log, ORIGIN, seq, published=True), "utf-8")
    newest = export_tiles(log, ORIGIN, folder / "tiles", lambda done, total: None)
    with log.reading() as session:
        older = published.cosigned_note(session, ORIGIN, OLDER, tlog_proof(log, ORIGIN, OLDER - 1).partition("\n\n")[2])
    (folder / "policy").write_bytes(POLICY)
    return Files(
        folder,
        older.encode(),
        (folder / "tiles/checkpoint").read_bytes(),
        request_body(newest.note, OLDER, consistency(log, ORIGIN, OLDER, SIZE)),
    )


def lines_of(raw: bytes) -> Iterator[bytes]:
    return iter(raw.splitlines(keepends=True))


def bent(raw: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Yield *raw* with one byte changed, taken out or put in, *count* times."""
    chance = dice(seed)
    for _ in range(count):
        at = chance.randrange(len(raw))
        other = bytes([raw[at] ^ 1 << chance.randrange(8)])
        yield raw[:at] + chance.choice([other, b"", raw[at : at + 1] + other]) + raw[at + 1 :]


@pytest.mark.parametrize("seq", [0, 1, 77, 255, 256, SIZE - 1])
def test_receipts_are_accepted_and_bent_ones_refused(files: Files, seq: int) -> None:
    """Against the batch's checkpoint, and against the published one with its quorum."""
    raw, whole, policy = files.read(f"receipt{seq}"), files.read(f"published{seq}"), Policy.parse(POLICY)

    independent.check_receipt(raw, [LOG_KEY])
    assert independent.check_receipt(whole, policy=policy).size in {OLDER, SIZE}
    assert [one for one in bent(raw, seq, 30) if holds(lambda one=one: independent.check_receipt(one, [LOG_KEY]))] == []
    assert [one for one in bent(whole, seq, 30) if holds(lambda one=one: independent.check_receipt(one, policy=policy))] == []
    assert not holds(lambda: independent.check_receipt(raw, policy=policy))  # the batch's checkpoint was shown to no witness


def test_the_export_is_accepted_and_a_bent_one_refused(files: Files) -> None:
    """Also one that is cut, has a line twice, or two lines the other way round."""
    raw = files.read("export")
    rows = raw.splitlines(keepends=True)
    moved = [rows[:9], rows[:-4], [*rows[:5], *rows[4:]], [*rows[:5], rows[6], rows[5], *rows[7:]], [*rows[:5], *rows[6:]]]

    assert independent.check_export(lines_of(raw), [LOG_KEY]).size == SIZE
    assert [one for one in bent(raw, 1, 25) if holds(lambda one=one: independent.check_export(lines_of(one), [LOG_KEY]))] == []
    assert not any(holds(lambda one=one: independent.check_export(iter(one), [LOG_KEY])) for one in moved)
    assert not holds(lambda: independent.check_export(lines_of(raw), [Key.parse(W1.vkey)]))


def test_checkpoints_and_the_proof_between_them_are_accepted_and_bent_ones_refused(files: Files) -> None:
    """As a witness gets them."""
    older = independent.Checkpoint.parse(files.older)

    assert independent.check_request(files.request, older, [LOG_KEY]).size == SIZE
    assert [one for one in bent(files.request, 2, 100) if holds(lambda one=one: independent.check_request(one, older, [LOG_KEY]))] == []
    assert Policy.parse(POLICY).check(independent.Checkpoint.parse(files.newer)) == 2


def test_tiles_and_bundles_are_accepted_and_a_bent_one_refused(files: Files) -> None:
    """Every file that ``gardu audit export --tiles`` writes counts: changed, cut or away, the folder is refused."""
    folder = files.folder / "tiles"
    written = sorted(path for path in folder.rglob("*") if path.is_file())

    assert independent.check_tiles(folder, [LOG_KEY])[1] == SIZE
    for number, path in enumerate(written):
        raw = path.read_bytes()
        signed = raw.split(b"\xe2\x80\x94 saksi")[0]  # lines of witnesses are not the log's
        for one in [*(bad + raw[len(signed) :] for bad in bent(signed, number, 4)), raw[:-1], b""]:
            if one == raw[:-1] and len(signed) < len(raw):
                continue
            path.write_bytes(one)
            assert not holds(lambda: independent.check_tiles(folder, [LOG_KEY])), path
        path.unlink()
        assert not holds(lambda: independent.check_tiles(folder, [LOG_KEY])), path
        path.write_bytes(raw)
    assert [str(path.relative_to(folder)) for path in written] == [
        "checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44",
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 70_000])
def test_a_tile_directory_built_by_the_specification_itself_is_accepted(tmp_path: Path, size: int) -> None:
    """Hashes alone, by the formula MTH(D[(n·256+i)·256^l : (n·256+i+1)·256^l]); 70,000 is the example of tlog-tiles."""
    hashes = [sha256(b"\0%d" % number).digest() for number in range(size)]
    (tmp_path / "checkpoint").write_text(SIGNER.sign(Checkpoint(ORIGIN, size, independent.root_of(hashes)).text()), "utf-8")
    level, count = 0, 0
    while hashes:
        for start in range(0, len(hashes), 256):
            part, number = hashes[start : start + 256], f"{start // 256:03d}"
            path = tmp_path / f"tile/{level}/{number}{'' if len(part) == 256 else f'.p/{len(part)}'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(part))
            count += 1
        hashes = [_perfect(hashes[at : at + 256]) for at in range(0, len(hashes) - 255, 256)]
        level += 1

    checkpoint, read = independent.check_tiles(tmp_path, [LOG_KEY])

    assert (checkpoint.size, read) == (size, 0)
    if size == 70_000:
        assert count == 273 + 1 + 1 + 1 + 1
    one = next(path for path in (tmp_path / "tile").rglob("*") if path.is_file())
    one.write_bytes(bytes(len(one.read_bytes())))
    assert not holds(lambda: independent.check_tiles(tmp_path, [LOG_KEY]))


def _perfect(hashes: list[bytes]) -> bytes:
    """The root of a full tile, level by level."""
    while len(hashes) > 1:
        hashes = [sha256(b"\1" + left + right).digest() for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


@pytest.mark.parametrize(("number", "path"), [(0, "000"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")])
def test_tile_paths_are_those_of_the_specification(number: int, path: str) -> None:
    """1234067 is its example."""
    assert independent.tile_path("3", number) == f"tile/3/{path}"
    assert independent.tile_path("entries", number, 7) == f"tile/entries/{path}.p/7"


def test_the_example_of_the_format_holds() -> None:
    """docs/log-format.md, as a stranger copies it from the page."""
    page = (DOCS / "log-format.md").read_text("utf-8").partition("## Example")[2]
    vkey, receipt = re.findall(r"```\n(.*?)```", page, re.DOTALL)[:2]

    assert independent.check_receipt(receipt.encode(), [Key.parse(vkey.strip())]).size == 3


# ---- entries ----

WRONG: list[Callable[[dict[str, object]], object]] = [
    lambda entry: entry.pop("mandate"), lambda entry: entry.update(extra=None), lambda entry: entry.update(v=2), lambda entry: entry.update(v=True),
    lambda entry: entry.update(seq=10**15), lambda entry: entry.update(seq=-1), lambda entry: entry.update(seq=1.5),
    lambda entry: entry.update(prev="0" * 63), lambda entry: entry.update(prev="A" * 64), lambda entry: entry.update(at=None),
    lambda entry: entry.update(at="2026-02-30T00:00:00.000000Z"), lambda entry: entry.update(at="2026-11-24T03:00:00Z"),
    lambda entry: entry.update(log="x/gardu/0"), lambda entry: entry.update(log="a+b/gardu/1"), lambda entry: entry.update(actor="dua kata"),
    lambda entry: entry.update(actor="a" * 65), lambda entry: entry.update(actor="kutip\""), lambda entry: entry.update(action="login"),
    lambda entry: entry.update(outcome="Boleh"), lambda entry: entry.update(scope="51.7"), lambda entry: entry.update(scope="51\n"),
    lambda entry: entry.update(rule=["r"] * 65), lambda entry: entry.update(rule="r"), lambda entry: entry.update(fields={"nik": 1}),
    lambda entry: entry.update(subjects={"count": 1}), lambda entry: entry.update(subjects={"count": True, "root": "0" * 64}),
    lambda entry: entry.update(assurance={"age": 1, "method": "totp"}), lambda entry: entry.update(detail={"sha256": None, "type": "rows"}),
    lambda entry: entry.update(payload={"commitment": "0" * 64, "sha256": "0" * 64, "more": 1}), lambda entry: entry.update(request="a" * 33_000),
    lambda entry: entry.update(policy="é" * 64), lambda entry: entry.update(office=""),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_an_entry_out_of_form_is_refused(files: Files, number: int) -> None:
    """In canonical JSON, and yet not an entry by docs/log-format.md."""
    entry = independent.check_entry(files.read("export").split(b"\n")[6])

    WRONG[number](entry)

    assert not holds(lambda: independent.check_entry(independent.canonical(entry).encode()))


@pytest.mark.parametrize(
    "bend",
    [
        lambda raw: raw.replace(b'"v":1', b'"v":1.0'), lambda raw: raw.replace(b'"v":1', b'"v":1e0'), lambda raw: raw.replace(b'"v":1', b'"v":1,"v":1'),
        lambda raw: raw + b" ", lambda raw: raw.replace(b":", b": ", 1), lambda raw: raw.replace(b'"seq"', b'"\\u0073eq"'),
        lambda raw: raw.replace(b'"seq":5', b'"seq":05'), lambda raw: raw.replace(b'"seq":5', b'"seq":NaN'), lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: b"[" * 32_000, lambda raw: b"null", lambda raw: b"", lambda raw: raw.decode().encode("utf-16"),
    ],
)  # fmt: skip
def test_an_entry_in_another_spelling_is_refused(files: Files, bend: Callable[[bytes], bytes]) -> None:
    """There is exactly one spelling."""
    raw = files.read("export").split(b"\n")[6]
    assert independent.check_entry(raw)["seq"] == 5

    assert bend(raw) != raw
    assert not holds(lambda: independent.check_entry(bend(raw)))


# ---- policies ----

V1, V2, VL = W1.vkey, W2.vkey, SIGNER.vkey
RENAMED = _vkey("nama.lain/w1", b64(V1.split("+", 2)[2]))
POLICIES = [
    ("quorum none\n", True), (f"witness a {V1}\nquorum a\n", True), (f"  witness\ta  {V1} https://w.example \n\n # x\nquorum a", False),
    (f"  witness\ta  {V1} https://w.example \n\n # é\nquorum a\n", True), ("", False), ("quorum none\nquorum none\n", False), ("quorum a\n", False),
    (f"quorum a\nwitness a {V1}\n", False), (f"witness a {V1}\nwitness a {V2}\nquorum a\n", False), (f"witness none {V1}\nquorum none\n", False),
    (f"witness a {V1}\nwitness b {RENAMED}\nquorum a\n", False), (f"log {VL}\nlog {VL}\nquorum none\n", False), (f"log {V1}\nquorum none\n", False),
    (f"witness a {VL}\nquorum a\n", False), (f"witness a {V1}\ngroup g 0 a\nquorum g\n", False), (f"witness a {V1}\ngroup g 2 a\nquorum g\n", False),
    (f"witness a {V1}\ngroup g any\nquorum g\n", False), (f"witness a {V1}\ngroup g any a a\nquorum g\n", False), (f"witness a {V1}\ngroup g any none\nquorum g\n", False),
    (f"witness a {V1}\ngroup g any a\ngroup h any a\nquorum h\n", False), (f"witness a {V1}\ngroup g all a\ngroup h 1 g\nquorum h\n", True),
    (f"witness a {V1}\ngroup a any a\nquorum a\n", False), (f"witness a {V1}\r\nquorum a\n", False), ("quorum none\x00\n", False), ("kuorum none\n", False),
    (f"witness a {V1} https://w.example more\nquorum a\n", False), ("quorum none none\n", False), (f"witness a {V1}\ngroup g +1 a\nquorum g\n", False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "good"), POLICIES, ids=[str(number) for number in range(len(POLICIES))])
def test_both_hands_read_the_same_policies(text: str, good: bool) -> None:
    """What tlog-policy allows, and nothing else."""
    try:
        quorum.parse_policy(text)
        product = True
    except BadInput:
        product = False

    assert holds(lambda: Policy.parse(text.encode())) is good
    assert product is good


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_both_hands_count_the_same_quorums(data: st.DataObject) -> None:
    """Of policies drawn at random, over a checkpoint that some of six witnesses signed."""
    lines, free = [f"witness w{n} {one.vkey}" for n, one in enumerate(MANY)], [f"w{n}" for n in range(len(MANY))]
    for number in range(data.draw(st.integers(1, 3))):
        members = data.draw(st.lists(st.sampled_from(free), min_size=1, unique=True))
        threshold = data.draw(st.sampled_from(["any", "all", *map(str, range(1, len(members) + 1))]))
        lines.append(f"group g{number} {threshold} {' '.join(members)}")
        free = [one for one in free if one not in members] + [f"g{number}"]
    text = "\n".join([*lines, f"quorum {data.draw(st.sampled_from(free))}", ""])
    signers = data.draw(st.sets(st.integers(0, len(MANY) - 1)))
    note = BASE_NOTE + "".join(MANY_LINES[one] for one in sorted(signers))
    policy = quorum.parse_policy(text)

    assert holds(lambda: Policy.parse(text.encode()).check(independent.Checkpoint.parse(note.encode()), [LOG_KEY])) is policy.met(
        open_cosignatures(note, policy.verifiers)
    )


MANY = [Cosigner(f"saksi.example/m{n}", sha256(b"one of many %d" % n).digest()) for n in range(6)]
BASE_NOTE = SIGNER.sign(Checkpoint(ORIGIN, 7, bytes(32)).text())
MANY_LINES = [one.sign(split_note(BASE_NOTE)[0], 1_795_489_200) for one in MANY]


@pytest.mark.skipif(not MLDSA_AVAILABLE, reason="an older cryptography")
def test_a_second_signature_of_a_kind_it_does_not_check_is_passed_over() -> None:
    """The log's ML-DSA-44 line does no harm, and counts for nothing."""
    second = Cosigner(ORIGIN, bytes(32), Kind.ML_DSA_44)
    note = BASE_NOTE + second.sign(split_note(BASE_NOTE)[0], 1_795_489_200)
    checkpoint = independent.Checkpoint.parse(note.encode())

    assert checkpoint.signed_by_log([LOG_KEY, Key.parse(second.vkey)]).size == parse_checkpoint(split_note(note)[0]).size
    assert not holds(lambda: checkpoint.signed_by_log([Key.parse(second.vkey)]))


# ---- the command ----


def test_the_command_says_what_holds_and_what_does_not(files: Files, tmp_path: Path) -> None:
    """One sentence, and an exit code for scripts."""
    (tmp_path / "older").write_bytes(files.older)
    (tmp_path / "request").write_bytes(files.request)
    (tmp_path / "entry").write_bytes(files.read("export").split(b"\n")[6])

    def says(*arguments: object, key: str = SIGNER.vkey) -> tuple[int, str]:
        command = [sys.executable, "-I", str(HERE / "independent.py"), *map(str, arguments), "--key", key]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return ran.returncode, ran.stdout.strip()

    assert says("receipt", files.folder / "receipt77") == (0, f"holds: in {ORIGIN} at 78 entries")
    assert says("receipt", files.folder / "published77", "--policy", files.folder / "policy") == (
        0,
        f"holds: in {ORIGIN} at {OLDER} entries",
    )
    assert says("export", files.folder / "export") == (0, f"holds: {ORIGIN}, all {SIZE} entries")
    assert says("tiles", files.folder / "tiles") == (0, f"holds: {ORIGIN}, {SIZE} hashes, {SIZE} entries")
    assert says("request", "request", "older") == (0, f"holds: from {OLDER} to {SIZE}")
    assert says("policy", "older", "--policy", files.folder / "policy") == (0, f"holds: {ORIGIN}, {OLDER} entries, cosigned by 2")
    assert says("checkpoint", "older") == (0, f"holds: {ORIGIN}, {OLDER} entries, cosigned by 0")
    assert says("note", "older", key=W1.vkey) == (0, f"holds: signed by {W1.name}")
    assert says("json", "entry") == (0, "holds: canonical")
    assert says("entry", "entry") == (0, "holds: entry 5")
    assert says("export", files.folder / "export", key=W1.vkey) == (1, "REFUSED: checkpoint: not signed by its log's key")
    assert says("receipt", "absent")[0] == 2
