"""Makes vault.json from docs/vault-format.md alone: imports nothing of the product.

Run ``python tests/vectors/vault/make_vault_vectors.py > tests/vectors/vault/vault.json``. All persons are invented; all random bytes
are SHAKE-256 of a label, so the output never changes by itself. argon2id, HKDF and AES-GCM come from ``cryptography``; HMAC and SHA-256
from the standard library.
"""

import hashlib
import hmac
import json
import struct
import unicodedata

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

FORMAT = SUITE = b"\x01"
KAB, UID, ELECTION, EPOCH = "51.71", "abcdefghijklmnopqrstuvwxya", "2029", 3
ROW_VALUES = [
    "1234567", "5171010203040001", "5171014102800002", "Ni Putu Ayu Lestari", "Denpasar", "1980-02-01", "S", "P",
    "Jl. Gatot Subroto Barat No. 12 A", "001", "002", "0", "S", "",
]  # fmt: skip
BLOB_VALUES = ["7654321", "517101020304000X", "", 'Gdé "Raka"', "tab\there", "31|02|1990"]
NAMES = [
    "I WAYAN  SUDIRA", "Drs. H. Moch. Soekarno, S.H., M.Kn", "MOH. NUR'AINI", "Achmad Tjokro Djojo", "Njoman Sjahrir", "José-María d’Arc",
    "Nur,Aini", "SITI, SH", ", Budi", "Ch. Anwar", "Haji", "Straße ʼN", "", "...", "Ddjj", "Muhd Tjhoeng", "KT. GST. NYM", "Ma´ruf",
]  # fmt: skip


def draw(label, size):
    return hashlib.shake_256(("gardu vault vectors: " + label).encode()).digest(size)


def u32(*numbers):
    return b"".join(struct.pack(">I", number) for number in numbers)


def name16(text):
    assert len(text) <= 16
    return text.encode("ascii") + bytes(16 - len(text))


def subkey(key, info):
    return HKDFExpand(SHA256(), 32, info).derive(key)


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def gcm(key, nonce, plain, aad):
    return AESGCM(key).encrypt(nonce, plain, aad)


def keyring():
    passphrase = "frasa sandi pe\u0301rcobaan"
    master, salt, nonce = draw("provider key", 32), draw("keyring salt", 16), draw("keyring nonce", 12)
    head = b"gardu-keyring\n" + FORMAT + b"\x01" + u32(65536, 3, 1) + salt + nonce
    secret = unicodedata.normalize("NFC", passphrase).encode()
    kek = Argon2id(salt=salt, length=32, iterations=3, lanes=1, memory_cost=65536).derive(secret)
    body = head + gcm(kek, nonce, master, head)
    return {
        "passphrase": passphrase,
        "entropy": (master + salt + nonce).hex(),
        "kek": kek.hex(),
        "file": (body + hashlib.sha256(body).digest()).hex(),
    }


def l1(purpose, scope, epoch, bits):
    secret, nonce = draw(f"l1 {purpose}", 32), draw(f"l1 nonce {purpose}", 12)
    context = b"gardu/1/l1-key/\0" + name16(purpose) + name16(scope) + u32(epoch)
    wrapped = FORMAT + nonce + gcm(draw("provider key", 32), nonce, secret + bytes([bits]), FORMAT + context)
    return {
        "purpose": purpose, "scope": scope, "epoch": epoch, "bits": bits, "secret": secret.hex(), "entropy": (secret + nonce).hex(),
        "wrapped": wrapped.hex(),
    }  # fmt: skip


def headed(purpose, scope, epoch, bits):
    """A wrapped key as the local keyring makes it now: 0x02, provider 1, reference of the provider key, box."""
    secret, nonce, master = draw(f"l1 headed {purpose}", 32), draw(f"l1 headed nonce {purpose}", 12), draw("provider key", 32)
    head = b"\x02\x01" + subkey(master, b"gardu/1/provider-key-reference")[:8]
    context = b"gardu/1/l1-key/\0" + name16(purpose) + name16(scope) + u32(epoch)
    return {
        "purpose": purpose, "scope": scope, "epoch": epoch, "bits": bits, "secret": secret.hex(), "entropy": (secret + nonce).hex(),
        "wrapped": (head + nonce + gcm(master, nonce, secret + bytes([bits]), head + context)).hex(),
    }  # fmt: skip


def padded(plain):
    plain += b"\x80"
    return plain + bytes(-len(plain) % 16)


def wrapped_record(table, record, nonce):
    aad = FORMAT + SUITE + name16(table) + KAB.encode() + UID.encode() + u32(EPOCH)
    return FORMAT + nonce + gcm(draw("l1 seal", 32), nonce, record, aad)


def cell(table, record, salt, element, version, text):
    aad = FORMAT + SUITE + name16(table) + bytes([element]) + KAB.encode() + UID.encode() + u32(version, EPOCH)
    key = subkey(record, b"gardu/1/cell/" + salt)
    return FORMAT + u32(version) + salt + gcm(key, element.to_bytes(12, "big"), padded(text.encode()), aad)


def seal(record, fields):
    message = FORMAT + b"".join(u32(len(field)) for field in fields) + b"".join(fields)
    return message, mac(subkey(record, b"gardu/1/seal"), message)


def row():
    record, nonce, salt, version = draw("record key", 32), draw("record nonce", 12), draw("row salt", 8), 7
    clear = {
        "kab": KAB, "uid": UID, "kec": "51.71.01", "desa": "51.71.01.1001", "tps": "012", "election": ELECTION, "status": "aktif",
        "row_version": version, "key_epoch": EPOCH,
    }  # fmt: skip
    wrapped = wrapped_record("voter", record, nonce)
    cells = [cell("voter", record, salt, number, version, text) for number, text in enumerate(ROW_VALUES)]
    tokens = [b_nik(ROW_VALUES[2]), b_nkk(ROW_VALUES[1], 12), b_nd(ROW_VALUES[3], ROW_VALUES[5], 12)]
    texts = ["voter", *[clear[column] for column in ("kab", "uid", "kec", "desa", "tps", "election", "status")]]
    message, tag = seal(record, [*[text.encode() for text in texts], u32(version, EPOCH), wrapped, *tokens, *cells])
    return {
        "clear": clear, "values": ROW_VALUES, "entropy": (record + nonce + salt).hex(), "wrapped": wrapped.hex(),
        "b_nik": tokens[0].hex(), "b_nkk": tokens[1].hex(), "b_nd": tokens[2].hex(), "cells": [each.hex() for each in cells],
        "seal_input": message.hex(), "seal": tag.hex(),
    }  # fmt: skip


def later_row(first):
    """Change c08 at version 8 under a new salt; the other cells stay as they were."""
    record, salt, version = draw("record key", 32), draw("later salt", 8), 8
    clear = first["clear"] | {"row_version": version, "status": "dihapus"}
    cells = [bytes.fromhex(each) for each in first["cells"]]
    cells[8] = cell("voter", record, salt, 8, version, "Jl. Nangka 5")
    texts = ["voter", *[clear[column] for column in ("kab", "uid", "kec", "desa", "tps", "election", "status")]]
    stored = [bytes.fromhex(first[column]) for column in ("wrapped", "b_nik", "b_nkk", "b_nd")]
    message, tag = seal(record, [*[text.encode() for text in texts], u32(version, EPOCH), *stored, *cells])
    return {
        "clear": clear, "values": [*ROW_VALUES[:8], "Jl. Nangka 5", *ROW_VALUES[9:]], "cells": [each.hex() for each in cells],
        "seal_input": message.hex(), "seal": tag.hex(),
    }  # fmt: skip


def rewrapped(first):
    """Wrap the record key of the first row under the next seal key; key_epoch, cells and indexes stay as they were."""
    record, nonce, clear = draw("record key", 32), draw("rewrap nonce", 12), first["clear"]
    aad = FORMAT + SUITE + name16("voter") + KAB.encode() + UID.encode() + u32(EPOCH + 1)
    wrapped = FORMAT + nonce + gcm(draw("l1 headed seal", 32), nonce, record, aad)
    texts = ["voter", *[clear[column] for column in ("kab", "uid", "kec", "desa", "tps", "election", "status")]]
    stored = [bytes.fromhex(first[column]) for column in ("b_nik", "b_nkk", "b_nd")]
    cells = [bytes.fromhex(each) for each in first["cells"]]
    message, tag = seal(record, [*[text.encode() for text in texts], u32(clear["row_version"], EPOCH), wrapped, *stored, *cells])
    return {"epoch": EPOCH + 1, "entropy": nonce.hex(), "wrapped": wrapped.hex(), "seal_input": message.hex(), "seal": tag.hex()}


def blob():
    record, nonce, salt = draw("blob key", 32), draw("blob nonce", 12), draw("blob salt", 8)
    columns = {"election": ELECTION, "load": "bbbbbbbbbbbbbbbbbbbbbbbbbe", "row_no": 41, "reasons": "NIK:bentuk,TGL_LHR:mustahil"}
    wrapped = wrapped_record("quarantine", record, nonce)
    text = json.dumps(BLOB_VALUES, ensure_ascii=False, separators=(",", ":"))
    sealed = cell("quarantine", record, salt, 0, 1, text)
    texts = ["quarantine", KAB, UID, columns["election"], columns["load"], columns["reasons"]]
    message, tag = seal(record, [*[each.encode() for each in texts], u32(columns["row_no"], EPOCH), wrapped, sealed])
    return {
        "kab": KAB, "uid": UID, **columns, "key_epoch": EPOCH, "values": BLOB_VALUES, "entropy": (record + nonce + salt).hex(),
        "wrapped": wrapped.hex(), "cell": sealed.hex(), "seal_input": message.hex(), "seal": tag.hex(),
    }  # fmt: skip


def payload():
    log, day, content, epoch = "demo.localhost/gardu/1", "2026-11-24", b'{"subjects":["abcdefghijklmnopqrstuvwxya"]}', 2
    key, nonce = draw("payload key", 32), draw("payload nonce", 12)

    def context(what):
        return FORMAT + SUITE + name16(what) + day.encode() + hashlib.sha256(log.encode()).digest()

    sealed = FORMAT + gcm(subkey(key, b"gardu/1/payload"), bytes(12), content, context("trail_payload"))
    day_key = subkey(draw("l1 audit", 32), b"gardu/1/payload-day/" + day.encode())
    wrapped = FORMAT + u32(epoch) + nonce + gcm(day_key, nonce, key, context("payload_key") + u32(epoch))
    digest = hashlib.sha256(sealed).digest()
    return {
        "log": log, "day": day, "at": "2026-11-24T23:59:59+00:00", "content": content.hex(), "uids": [UID], "entropy": (key + nonce).hex(),
        "sealed": sealed.hex(), "wrapped": wrapped.hex(), "sha256": digest.hex(),
        "commitment": mac(subkey(key, b"gardu/1/payload-commit"), digest).hex(),
        "tokens": [mac(subkey(draw("l1 index", 32), b"gardu/1/touch-token"), UID.encode()).hex()],
    }  # fmt: skip


def seed():
    secret, nonce, version, epoch = draw("totp secret", 20), draw("seed nonce", 12), 2, 1
    aad = FORMAT + SUITE + name16("totp_seed") + UID.encode() + u32(version, epoch)
    sealed = FORMAT + u32(epoch) + nonce + gcm(draw("l1 seed", 32), nonce, secret, aad)
    return {"account": UID, "version": version, "secret": secret.hex(), "entropy": nonce.hex(), "sealed": sealed.hex()}


def cut(full, bits):
    size = -(-bits // 8)
    number = int.from_bytes(full[:size], "big") >> (8 * size - bits) << (8 * size - bits)
    return number.to_bytes(size, "big")


def b_nik(nik, election=ELECTION):
    return mac(subkey(draw("l1 nik", 32), b"gardu/1/nik/" + election.encode()), nik.encode())[:5]


def b_nkk(nkk, bits):
    return cut(mac(subkey(draw("l1 blind", 32), b"gardu/1/nkk"), nkk.encode()), bits)


def b_nd(name, birth_date, bits):
    message = normalise(name).replace(" ", "").encode() + b"\0" + birth_date.encode()
    return cut(mac(subkey(draw("l1 blind", 32), b"gardu/1/name-date"), message), bits)


def words(text):
    return text.split()


APOSTROPHES = words("' ` ´ ‘ ’ ʻ ʼ ʿ ʾ")
DEGREES = words(
    "a ag ak amd ap ars ba cpa d farm h hum ip ked keb kep kes kn kom lc m ma mag mba md mh mhum mkes mkn mkom mm mp mpd msi mt ners ns p pd ph phd "
    "psi s sag sap se sh shi si sip skep sked skm skom sos sp spd spdi spi ssi ssos st stp t th tp"
)
MUHAMMAD = words(
    "muh moh mokh mukh mohd muhd mohamad mohammad muhamad mokhamad mokhammad mukhamad mukhammad mohamed mohammed muhamed muhammed"
)
WORDS = {"akhmad": "ahmad", "nym": "nyoman", "wyn": "wayan", "kt": "ketut", "gst": "gusti", "kmg": "komang", "kdk": "kadek"}
TITLES = words("h hj haji hajah hajjah drs dra dr drg ir prof")
SPELLING = {"oe": "u", "dj": "j", "tj": "c", "sj": "sy", "nj": "ny", "ch": "kh"}


def words_of(text):
    for step in (None, str.casefold, None):
        text = "".join(letter for letter in text if letter not in APOSTROPHES)
        text = step(text) if step else text
        text = "".join(letter for letter in unicodedata.normalize("NFKD", text) if unicodedata.category(letter) != "Mn")
    text = "".join(letter for letter in text if letter not in APOSTROPHES)
    return "".join(letter if letter.isalnum() else " " for letter in text).split()


def respell(word):
    """Rewrite old spellings left to right, again until nothing changes."""
    while True:
        out, at = "", 0
        while at < len(word):
            pair = word[at : at + 2]
            out += SPELLING.get(pair, word[at])
            at += 2 if pair in SPELLING else 1
        if out == word:
            return word
        word = out


def normalise(name):
    before, _, after = name.partition(",")
    found, tail = words_of(before), words_of(after)
    if not (found and all(word in DEGREES for word in tail)):
        found += tail
    found = [respell(word) for word in found]
    found = ["muhammad" if word in MUHAMMAD else WORDS.get(word, word) for word in found]
    while len(found) > 1 and found[0] in TITLES:
        del found[0]
    return " ".join(found)


def blind():
    nik, nkk, name, born = "5171014102800002", "5171010203040001", "Ni Putu Ayu Lestari", "1980-02-01"
    return {
        "nik": nik, "nkk": nkk, "name": name, "birth_date": born,
        "b_nik": {election: b_nik(nik, election).hex() for election in ("2029", "2024-pilkada")},
        "b_nkk": {bits: b_nkk(nkk, bits).hex() for bits in (8, 9, 12, 16, 19, 40)},
        "b_nd": {bits: b_nd(name, born, bits).hex() for bits in (8, 9, 12, 16, 19, 40)},
        "names": [[name, normalise(name)] for name in NAMES],
    }  # fmt: skip


def main():
    first = row()
    content = b"DPID,NKK,NIK\n" * 1000
    vectors = {
        "provenance": "make_vault_vectors.py, written from docs/vault-format.md; every value is invented",
        "keyring": keyring(),
        "l1": [
            l1("seal", KAB, EPOCH, 16), l1("blind", KAB, EPOCH, 12), l1("nik", "00", 1, 16), l1("audit", "00", 2, 16), l1("index", "00", 1, 16),
            l1("seed", "00", 1, 16),
        ],
        "l1_headed": [headed("seal", KAB, EPOCH + 1, 16), headed("blind", KAB, EPOCH + 1, 12)],
        "row": first,
        "later_row": later_row(first),
        "rewrapped": rewrapped(first),
        "blob": blob(),
        "payload": payload(),
        "seed": seed(),
        "blind": blind(),
        "file": {"repeat": "DPID,NKK,NIK\n", "times": 1000, "digest": mac(subkey(draw("l1 index", 32), b"gardu/1/file"), content).hex()},
    }  # fmt: skip
    print(json.dumps(vectors, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
