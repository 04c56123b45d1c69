"""A stand-in for HashiCorp Vault's Transit engine: the paths Gardu uses, over real HTTP, with the answers of Vault's own documentation.

Derived keys are HKDF-SHA-256 over the context (Vault's ``kdf: hkdf_sha256``), messages AES-256-GCM with a random nonce, ciphertexts
``vault:v<version>:<base64>``. A key that is not derived ignores the context in silence, as Vault does.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TOKEN = "hvs.uji-coba"
_PATH = re.compile(r"/v1/transit/(keys|encrypt|decrypt|rewrap)/([\w.-]+)(/rotate|/config)?")
_SEALED = re.compile(r"vault:v(\d+):(.+)")


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


@dataclass
class NamedKey:
    """One named key, as ``GET /transit/keys/<name>`` shows it, and its secret versions."""

    derived: bool
    exportable: bool
    allow_plaintext_backup: bool
    type: str
    versions: dict[int, bytes] = field(default_factory=lambda: {1: os.urandom(32)})
    least: int = 1

    def shown(self) -> dict[str, object]:
        return {
            "derived": self.derived, "exportable": self.exportable, "allow_plaintext_backup": self.allow_plaintext_backup, "type": self.type,
            "latest_version": max(self.versions), "min_decryption_version": self.least,
        }  # fmt: skip

    def cipher(self, version: int, context: bytes) -> AESGCM:
        secret = self.versions[version]
        return AESGCM(HKDF(SHA256(), 32, None, context).derive(secret) if self.derived else secret)

    def seal(self, plain: bytes, context: bytes) -> str:
        if self.derived and not context:
            raise Refused(400, "missing 'context' for key derivation; the key was created using a derived key")
        newest, nonce = max(self.versions), os.urandom(12)
        return f"vault:v{newest}:" + base64.b64encode(nonce + self.cipher(newest, context).encrypt(nonce, plain, None)).decode()

    def open(self, sealed: str, context: bytes) -> bytes:
        found = _SEALED.fullmatch(sealed)
        if not found:
            raise Refused(400, "invalid ciphertext: no prefix")
        version = int(found[1])
        if version > max(self.versions):
            raise Refused(400, "invalid ciphertext: version is too new")
        if version < self.least:
            raise Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
        data = base64.b64decode(found[2])
        try:
            return self.cipher(version, context).decrypt(data[:12], data[12:], None)
        except (InvalidTag, ValueError):
            raise Refused(400, "cipher: message authentication failed") from None


@dataclass
class Vault:
    """The server's state, for a test to turn. delay: seconds before each answer. say: (status, text) instead of any answer. heard: every call."""

    url: str = ""
    keys: dict[str, NamedKey] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    sealed: bool = False
    delay: float = 0.0
    say: tuple[int, str] | None = None
    heard: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, token: str, body: dict[str, str]) -> dict[str, object]:
        if self.sealed:
            raise Refused(503, "Vault is sealed")
        if token not in self.tokens:
            raise Refused(403, "permission denied")
        found = _PATH.fullmatch(path)
        if not found:
            raise Refused(404, "no handler for route")
        verb, name, more = found.groups()
        if verb == "keys":
            return self._keys(method, name, more or "", body)
        key = self.keys.get(name)
        if key is None:
            # What Vault does when the policy allows "update" but not "create".
            raise Refused(400, "encryption key not found")
        context = base64.b64decode(body.get("context", ""))
        if verb == "encrypt":
            return {"data": {"ciphertext": key.seal(base64.b64decode(body["plaintext"]), context)}}
        opened = key.open(body["ciphertext"], context)
        if verb == "decrypt":
            return {"data": {"plaintext": base64.b64encode(opened).decode()}}
        return {"data": {"ciphertext": key.seal(opened, context)}}

    def _keys(self, method: str, name: str, more: str, body: dict[str, str]) -> dict[str, object]:
        if method == "GET":
            if name not in self.keys:
                raise Refused(404, "")
            return {"data": self.keys[name].shown()}
        if more == "/rotate":
            self.rotate(name)
        elif not more:
            given = {name: bool(body.get(name)) for name in ("derived", "exportable", "allow_plaintext_backup")}
            self.keys.setdefault(name, NamedKey(**given, type=str(body.get("type", "aes256-gcm96"))))
        return {}

    def rotate(self, name: str) -> None:
        key = self.keys[name]
        key.versions[max(key.versions) + 1] = os.urandom(32)


@contextmanager
def serving() -> Iterator[Vault]:
    """Serve a stand-in on loopback."""
    vault = Vault()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            vault.heard.append(f"{self.command} {self.path}")
            vault.bodies.append(text)
            time.sleep(vault.delay)
            try:
                if vault.say is not None:
                    raise Refused(*vault.say)
                said = vault.answer(self.command, self.path, self.headers.get("X-Vault-Token", ""), json.loads(text or "{}"))
                status, content = (200, json.dumps(said)) if said else (204, "")
            except Refused as refused:
                status, content = refused.status, json.dumps({"errors": [str(refused)] if str(refused) else []})
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if 300 <= status < 400:
                self.send_header("Location", "http://198.51.100.1/")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        do_GET = do_POST = do_PUT = _do  # noqa: N815  the library's names

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            """A client that gave up waiting is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    vault.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield vault
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
