"""The Transit provider against a real OpenBao or Vault in development mode, where one is installed: what the stand-in stands in for."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from app.kernel.errors import KeysDown, UnsafeStart
from app.vault.keys.transit import Place, Transit
from tests.vault import provider_kit
from tests.vault.provider_kit import CONTEXT, KEY

PROGRAM = shutil.which("bao") or shutil.which("vault")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="neither bao nor vault is on the PATH: docs/keys.md, Vault or OpenBao")
ROOT = "root-uji"
POLICY = "\n".join(
    f'path "transit/{verb}/gardu" {{ capabilities = ["{right}"] }}'
    for verb, right in (("keys", "read"), ("encrypt", "update"), ("decrypt", "update"), ("rewrap", "update"))
)


@dataclass(frozen=True)
class Real:
    """A development server with TLS, and a token of the policy that docs/keys.md gives."""

    place: Place
    token: str

    def run(self, *words: str, stdin: str = "") -> str:
        environ = {**os.environ}
        for name in ("BAO", "VAULT"):
            environ |= {f"{name}_ADDR": self.place.url, f"{name}_CACERT": str(self.place.ca), f"{name}_TOKEN": ROOT}
        done = subprocess.run([str(PROGRAM), *words], env=environ, input=stdin, capture_output=True, text=True, check=True, timeout=30)
        return done.stdout.strip()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    folder = tmp_path_factory.mktemp("transit")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [
        "server",
        "-dev",
        "-dev-tls",
        f"-dev-tls-cert-dir={folder}",
        f"-dev-root-token-id={ROOT}",
        f"-dev-listen-address=127.0.0.1:{port}",
    ]
    server = subprocess.Popen(
        [str(PROGRAM), *words], env={**os.environ, "HOME": str(folder)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert server.stdout is not None
        assert any("Root Token" in line for line in server.stdout)
        time.sleep(0.2)
        made = Real(Place(f"https://127.0.0.1:{port}", "gardu", ca=folder / "vault-ca.pem"), ROOT)
        made.run("secrets", "enable", "transit")
        made.run("policy", "write", "gardu", "-", stdin=POLICY)
        Transit.open(made.place, lambda: ROOT, make=True)
        yield replace(made, token=made.run("token", "create", "-policy=gardu", "-field=token"))
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


def test_the_real_one_holds_what_the_stand_in_holds(real: Real) -> None:
    """With no more rights than docs/keys.md gives."""
    provider = Transit.open(real.place, lambda: real.token)

    provider_kit.round_trip(provider)
    provider_kit.refuses_another_place(provider)
    provider_kit.refuses_other_bytes(provider)
    provider_kit.keeps_its_secret(provider, real.token)


def test_the_real_one_fails_in_the_same_words(real: Real) -> None:
    """Certificate, token, absent key, unsafe key, forbidden version, sealed."""
    provider = Transit.open(real.place, lambda: real.token)
    old = provider.wrap(KEY, CONTEXT)
    real.run("write", "transit/keys/longgar", "type=aes256-gcm96")
    for place, token, kind, words in (
        (replace(real.place, ca=None), real.token, KeysDown, "certificate that is trusted"),
        (real.place, "hvs.salah", KeysDown, "refuses the token"),
        (replace(real.place, key="absen"), ROOT, KeysDown, "has no transit key absen"),
        (replace(real.place, key="longgar"), ROOT, UnsafeStart, "is not derived"),
    ):
        with pytest.raises(kind, match=words):
            Transit.open(place, lambda token=token: token)  # type: ignore[misc]  # the loop's own
    real.run("write", "-f", "transit/keys/gardu/rotate")
    new = provider.rewrap(old, CONTEXT)
    real.run("write", "transit/keys/gardu/config", "min_decryption_version=2")

    assert provider.unwrap(new, CONTEXT) == KEY
    assert provider.key_of(new) == provider.newest() == "transit:gardu v2"
    with pytest.raises(KeysDown, match="min_decryption_version"):
        provider.unwrap(old, CONTEXT)
    real.run("operator", "seal")
    with pytest.raises(KeysDown, match="is sealed or not ready"):
        provider.unwrap(new, CONTEXT)
