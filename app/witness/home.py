"""A witness's directory: who it is, its sealed key, the logs it watches.

``witness.json`` (verifier key, sealed seed, log keys) is written last: with it the witness counts as made. ``keyring`` holds the
key that seals the seed, itself sealed by a passphrase (``app.vault.keys.local``); ``state.json`` what was cosigned.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.audit.cosign import SEED_SIZE, Cosigner, CosignVerifier, LogKey, parse_log_key, split_key
from app.audit.note import check_name, unbase64
from app.kernel.errors import BadInput, Conflict, KeysDown, UnsafeStart
from app.vault.keys.local import LocalKeyring
from app.witness.files import read_own, write_whole
from app.witness.state import State

# The name under which systemd hands the passphrase over (LoadCredentialEncrypted=).
CREDENTIAL = "gardu-witness-passphrase"
_NAME, _KEYRING = "witness.json", "keyring"
_FORMAT = "gardu-witness@1"
_SEALED_FOR = b"gardu/1/witness-seed/"


@dataclass(frozen=True, slots=True)
class Home:
    """A witness that was made. folder: its directory. verifier: its own key. sealed: its seed, sealed. keys: of the logs it watches."""

    folder: Path
    verifier: CosignVerifier
    sealed: bytes
    keys: tuple[LogKey, ...]

    @property
    def logs(self) -> Mapping[str, Sequence[LogKey]]:
        """Origin → the keys that log may sign with."""
        return {key.name: [one for one in self.keys if one.name == key.name] for key in self.keys}

    @classmethod
    def create(cls, folder: Path, name: str, vkeys: Sequence[str], secret: str) -> Home:
        """Make a witness in *folder*, which must be empty or absent, with a new random key sealed by the passphrase *secret*.

        Raises BadInput (name, key, passphrase under 14 characters), Conflict (a key named twice), UnsafeStart (the folder is in use).
        """
        check_name(name)
        keys = _distinct([parse_log_key(vkey) for vkey in vkeys])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            made = (folder / _NAME).exists()
            what = "is a witness already" if made else "is not empty (a making that was cut off? then delete it: its key was never shown)"
            raise UnsafeStart(f"{folder} {what}; choose another --dir")
        folder.chmod(0o700)
        seed = os.urandom(SEED_SIZE)
        ring = LocalKeyring.create(folder / _KEYRING, secret)
        State.create(folder)
        home = cls(folder, Cosigner(name, seed).verifier, ring.wrap(seed, _context(name)), keys)
        home._write()
        return home

    @classmethod
    def open(cls, folder: Path) -> Home:
        """Read the witness in *folder*. Raises UnsafeStart when there is none, or its file is torn or open to others."""
        if not (folder / _NAME).exists():
            raise UnsafeStart(f"{folder} is not a witness (no {_NAME}); make one with: gardu witness init --dir {folder} …")
        try:
            read = json.loads(read_own(folder / _NAME))
            if read["format"] != _FORMAT:
                raise BadInput("another format")
            verifier = CosignVerifier.parse(read["vkey"])
            return cls(folder, verifier, unbase64(read["seed"]), _distinct([parse_log_key(vkey) for vkey in read["logs"]]))
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError, BadInput, Conflict) as wrong:
            raise UnsafeStart(f"{folder / _NAME} is torn ({wrong}): put it back from a copy") from None

    def add_log(self, vkey: str) -> Home:
        """Watch another log, or accept another key of one. Raises BadInput, Conflict (known already), OSError."""
        home = replace(self, keys=_distinct([*self.keys, parse_log_key(vkey)]))
        home._write()
        return home

    def unlock(self, secret: str) -> Cosigner:
        """Return the witness's cosigner. Raises KeysDown (wrong passphrase, torn keyring, a key that is not this witness's), UnsafeStart."""
        seed = LocalKeyring.open(self.folder / _KEYRING, secret).unwrap(self.sealed, _context(self.verifier.name))
        cosigner = Cosigner(self.verifier.name, seed)
        if cosigner.vkey != self.verifier.vkey:
            raise KeysDown("the sealed key is not that of the verifier key beside it: put witness.json back from a copy")
        return cosigner

    def _write(self) -> None:
        content = {
            "format": _FORMAT,
            "vkey": self.verifier.vkey,
            "seed": base64.b64encode(self.sealed).decode("ascii"),
            "logs": [key.vkey for key in self.keys],
        }
        write_whole(self.folder / _NAME, json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8"))


def _context(name: str) -> bytes:
    return _SEALED_FOR + name.encode("utf-8")


def _distinct(keys: list[LogKey]) -> tuple[LogKey, ...]:
    """Return *keys* when no public key stands there twice and no two share name and id. Raises Conflict."""
    if len({split_key(key.vkey)[2][1:] for key in keys}) < len(keys) or len({(key.name, key.key_id) for key in keys}) < len(keys):
        raise Conflict("this log key is watched already, perhaps under another name")
    return tuple(keys)


def passphrase(environ: Mapping[str, str], prompt: Callable[[], str] | None = None) -> str:
    """Return the passphrase: systemd credential, file descriptor, or *prompt*, in this order. Raises UnsafeStart when none is at hand."""
    if environ.get("CREDENTIALS_DIRECTORY") and (file := Path(environ["CREDENTIALS_DIRECTORY"]) / CREDENTIAL).is_file():
        return file.read_text("utf-8").rstrip("\n")
    if environ.get("GARDU_PASSPHRASE_FD", "").isdigit():
        with os.fdopen(int(environ["GARDU_PASSPHRASE_FD"]), encoding="utf-8") as stream:
            return stream.readline().rstrip("\n")
    if prompt is not None:
        return prompt()
    raise UnsafeStart(f"no passphrase: give systemd credential {CREDENTIAL!r}, GARDU_PASSPHRASE_FD, or run at a terminal")
