"""Which provider is opened, and where its secret may come from."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.kernel.errors import KeysDown, UnsafeStart
from app.settings import Keys, Settings
from app.vault.keys.local import LocalKeyring
from app.vault.keys.opening import Secrets, open_keys, read_token
from app.vault.keys.pair import Pair
from tests.vault.provider_kit import CONTEXT, KEY
from tests.vault.softhsm_kit import PIN, module, needs_softhsm, token
from tests.vault.transit_kit import TOKEN, Vault, serving

OLD, NEW = "frasa sandi lama sekali", "frasa sandi baru sekali"


@pytest.fixture
def vault() -> Iterator[Vault]:
    with serving() as made:
        yield made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data=tmp_path, origin="uji.localhost/gardu/1", database="sqlite:///x.db", owner_database="sqlite:///x.db", public_origin="https://uji.localhost",
        policies=tmp_path,
    )  # fmt: skip


def _secrets(passphrase: str = NEW, prompt: Callable[[str], str] | None = None, **environ: str) -> Secrets:
    return Secrets(environ, lambda: passphrase, prompt)


def _pipe(text: str) -> str:
    read, write = os.pipe()
    os.write(write, f"{text}\n".encode())
    os.close(write)
    return str(read)


def test_a_secret_comes_from_the_credential_then_the_descriptor_then_a_person(tmp_path: Path) -> None:
    """In this order; each is taken once; from the command line never."""
    (tmp_path / "gardu-pkcs11-pin").write_text("111111\n", "utf-8")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "GARDU_PKCS11_PIN_FD": _pipe("222222")}
    assert Secrets(environ, str).demanded("pkcs11-pin", "PIN") == ("111111", False)
    del environ["CREDENTIALS_DIRECTORY"]
    through_pipe = Secrets(environ, str)
    assert [through_pipe.demanded("pkcs11-pin", "PIN") for _ in range(2)] == [("222222", False)] * 2

    assert Secrets({}, str, lambda label: f"typed {label}").demanded("pkcs11-pin", "PIN") == ("typed PIN", True)
    with pytest.raises(UnsafeStart, match="no PIN: give systemd credential 'gardu-pkcs11-pin', GARDU_PKCS11_PIN_FD"):
        Secrets({"GARDU_PKCS11_PIN": "333333"}, str).demanded("pkcs11-pin", "PIN")


def test_secrets_do_not_show_what_was_taken() -> None:
    """A log of the object has where from, not what."""
    secrets = _secrets("rahasia sekali ini", lambda label: "rahasia juga")
    secrets.keyring()
    secrets.demanded("pkcs11-pin", "PIN")

    assert "rahasia" not in repr(secrets)


def test_an_agents_token_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Readable by others, absent, empty or no text: refused with what to do."""
    file = tmp_path / "token"
    with pytest.raises(KeysDown, match="cannot be read: No such file"):
        read_token(file)
    file.write_text(f"{TOKEN}\n", "utf-8")
    file.chmod(0o640)
    with pytest.raises(UnsafeStart, match="can be read by others"):
        read_token(file)
    file.chmod(0o600)

    assert read_token(file) == TOKEN
    for content in (b"", b"\n", b"a\r\nX-Header: b", b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(KeysDown, match="there is no token in"):
            read_token(file)


def test_vault_is_opened_with_the_token_of_its_file(settings: Settings, vault: Vault) -> None:
    """And goes on when an agent puts a new one there."""
    file = settings.data / "token"
    file.write_text(TOKEN, "utf-8")
    file.chmod(0o600)
    keys = Keys(provider="transit", url=vault.url, key="gardu", token_file=file)
    provider = open_keys(replace(settings, keys=keys), _secrets(), make=True)
    vault.tokens = {"hvs.baru"}
    file.write_text("hvs.baru", "utf-8")

    assert provider.unwrap(provider.wrap(KEY, CONTEXT), CONTEXT) == KEY


def test_two_keyrings_open_with_one_passphrase_or_two(settings: Settings) -> None:
    """The old one's own is taken where it is given, and asked for where the present one does not fit."""
    moving = replace(settings, keys_old=Keys())
    old = LocalKeyring.create(settings.keyring_old, OLD)
    LocalKeyring.create(settings.keyring, NEW)
    wrapped = old.wrap(KEY, CONTEXT)

    for secrets in (_secrets(GARDU_PASSPHRASE_OLD_FD=_pipe(OLD)), _secrets(prompt=lambda label: OLD)):
        pair = open_keys(moving, secrets)
        assert isinstance(pair, Pair)
        assert pair.unwrap(wrapped, CONTEXT) == pair.unwrap(pair.rewrap(wrapped, CONTEXT), CONTEXT) == KEY
    with pytest.raises(KeysDown, match=r"the old keyring keyring-old\.json: wrong passphrase"):
        open_keys(moving, _secrets())


def test_a_key_of_the_first_form_opens_by_whichever_keyring_made_it(settings: Settings) -> None:
    """It names no key: the new one is tried, then the old one; and it counts as not yet moved, whoever made it."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    old, new = LocalKeyring(bytes(32)), LocalKeyring(bytes(range(32)))
    pair = Pair(new, old)
    for master in (bytes(32), bytes(range(32))):
        wrapped = b"\x01" + bytes(12) + AESGCM(master).encrypt(bytes(12), KEY, b"\x01" + CONTEXT)
        assert pair.unwrap(wrapped, CONTEXT) == KEY
        assert pair.key_of(wrapped) == "local:unnamed" != pair.newest()
    with pytest.raises(KeysDown, match="damaged, or was wrapped by another keyring"):
        pair.unwrap(b"\x01" + bytes(61), CONTEXT)


def test_the_pair_says_which_of_the_two_is_down(settings: Settings, vault: Vault) -> None:
    """The new one's trouble in its own words, the old one's marked as such."""
    keys = Keys(provider="transit", url=vault.url, key="gardu")
    LocalKeyring.create(settings.keyring, NEW)
    moved_back = replace(settings, keys=Keys(), keys_old=keys)
    open_keys(replace(settings, keys=keys), _secrets(GARDU_TRANSIT_TOKEN=TOKEN), make=True)
    back = open_keys(moved_back, _secrets(GARDU_TRANSIT_TOKEN_OLD=TOKEN))
    assert back.health() == f"local keyring: open; old: transit:gardu v1 at {vault.url}: open"
    vault.sealed = True

    with pytest.raises(KeysDown, match=r"the old provider: .* is sealed"):
        back.health()


@needs_softhsm
def test_an_hsms_pin_from_a_descriptor_is_believed_until_it_was_refused(settings: Settings) -> None:
    """The refusal is kept in the data directory, without the PIN; a person at the terminal may go on."""
    keys = Keys(provider="pkcs11", module=module(), token=token(), key="gardu")
    hsm = replace(settings, keys=keys)
    with pytest.raises(KeysDown, match="refused the PIN"):
        open_keys(hsm, _secrets(GARDU_PKCS11_PIN_FD=_pipe("000000")), make=True)
    with pytest.raises(KeysDown, match="refused this PIN before"):
        open_keys(hsm, _secrets(GARDU_PKCS11_PIN_FD=_pipe(PIN)), make=True)

    assert (settings.data / "pkcs11-pin-refused").read_bytes() == b""
    assert open_keys(hsm, _secrets(prompt=lambda label: PIN), make=True).health().endswith("open")
    assert not (settings.data / "pkcs11-pin-refused").exists()


@pytest.mark.parametrize(
    ("library", "extra", "keys"),
    [
        ("hvac", "vault", Keys(provider="transit", url="http://127.0.0.1:1", key="gardu", token_file=Path("/nowhere"))),
        ("pkcs11", "pkcs11", Keys(provider="pkcs11", module=Path("/nowhere"), token="kpu", key="gardu")),
        ("boto3", "aws", Keys(provider="aws-kms", key="681de2eb", region="ap-southeast-3")),
    ],
)
def test_a_missing_library_names_the_extra(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, library: str, extra: str, keys: Keys
) -> None:
    """The product starts without any of them; who chooses a provider hears what to install."""
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(UnsafeStart, match=rf"needs {library}: pip install 'gardu\[{extra}\]'"):
        open_keys(replace(settings, keys=keys), _secrets(GARDU_PKCS11_PIN_FD=_pipe(PIN)))


def test_the_product_starts_without_any_of_them() -> None:
    """A server with the local keyring imports no provider's library."""
    script = "import sys, app.cli.main, app.factory; print(sorted({'hvac', 'pkcs11', 'boto3', 'requests', 'botocore'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert said.stdout == "[]\n"
