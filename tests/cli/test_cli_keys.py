"""`gardu keys …`: the ceremony, the status, and the whole way from one provider to another, step by step and after a crash at each."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.main import main
from app.factory import join
from app.settings import Settings
from app.vault.keys.local import LocalKeyring, opened_master
from tests.conftest import PASSPHRASE
from tests.vault.softhsm_kit import PIN, module, needs_softhsm, token
from tests.vault.transit_kit import TOKEN, Vault, serving
from tests.walk_kit import Installed, outcomes, reopened

ORIGIN = "uji.localhost/gardu/1"


def _pipe(text: str) -> str:
    read, write = os.pipe()
    os.write(write, f"{text}\n".encode())
    os.close(write)
    return str(read)


def run(
    data: Path, *words: str, stdin: str | None = None, passphrase: str | None = PASSPHRASE, new: str | None = None, **environ: str
) -> Result:
    """Run a command as a script does: secrets through descriptors, the rest on stdin."""
    given = {**environ}
    if passphrase is not None:
        given["GARDU_PASSPHRASE_FD"] = _pipe(passphrase)
    if new is not None:
        given["GARDU_NEW_PASSPHRASE_FD"] = _pipe(new)
    result = CliRunner().invoke(main, [*words, "--data", str(data), "--json"], input=stdin, env=given)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def last(result: Result) -> dict[str, object]:
    said: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return said


def good(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    return last(result)


def shares_of(result: Result) -> list[str]:
    """The shares that were shown, put together from their numbered words."""
    parts = re.split(r"Share \d+ of \d+ .*", result.output)[1:]
    return [" ".join(re.findall(r"\b\d+ ([a-z]+)", part.split("shares were shown")[0])) for part in parts]


@pytest.fixture
def data(tmp_path: Path, installed_sqlite: Installed) -> Path:
    """An installation with a local keyring."""
    installed_sqlite.copy(tmp_path / "data").close()
    return tmp_path / "data"


@pytest.fixture
def vault() -> Iterator[Vault]:
    with serving() as made:
        yield made


def _acts(data: Path) -> list[str]:
    house = reopened(data)
    try:
        return [what for what, _ in outcomes(house) if what in {"key:open", "key:rewrap", "key:retire"}]
    finally:
        house.close()


def _table(vault: Vault, old: str = "") -> str:
    return f'\n[keys]\nprovider = "transit"\nurl = "{vault.url}"\nkey = "gardu"\n{old}'


# ---- the ceremony ----


def test_a_ceremony_before_the_installation(tmp_path: Path) -> None:
    """The keyring is made and split first; `gardu init` takes it, and the shares prove themselves against the installation."""
    made = run(tmp_path, "keys", "init", "--threshold", "2", "--of", "3", new=PASSPHRASE)
    name, shares = good(made)["key"], shares_of(made)
    assert len(shares) == 3
    good(run(tmp_path, "init", "--origin", ORIGIN, "--admin", "yusuf.admin"))
    checked = good(run(tmp_path, "keys", "shares", "check", stdin="\n".join(shares[1:]), passphrase=None))

    assert checked["key"] == name == good(run(tmp_path, "keys", "status"))["newest"]
    again = run(tmp_path, "keys", "init")
    assert (again.exit_code, last(again)["error"]) == (2, "conflict")


def test_status_says_what_is_wrapped_by_what(data: Path) -> None:
    """Purposes, epochs and the provider key; nothing that opens anything."""
    said = good(run(data, "keys", "status"))

    assert (said["provider"], said["old"], said["works"], said["line"], said["left"]) == ("local", None, True, "local keyring: open", 0)
    found = said["keys"]
    assert isinstance(found, list)
    assert {"purpose": "log", "epoch": 1, "by": said["newest"], "keys": 1} in found
    assert str(said["newest"]).startswith("local:")


def test_a_new_passphrase_leaves_the_key(data: Path) -> None:
    """The old passphrase opens nothing any more; every key does with the new one."""
    good(run(data, "keys", "passphrase", new="frasa sandi yang baru"))

    assert last(run(data, "keys", "status"))["error"] == "keys-down"
    assert good(run(data, "keys", "status", passphrase="frasa sandi yang baru"))["works"] is True


# ---- shares ----


def _made(data: Path) -> list[str]:
    made = run(data, "keys", "shares", "make", "--threshold", "2", "--of", "3")
    good(made)
    return shares_of(made)


def test_shares_restore_a_keyring_whose_passphrase_is_lost(data: Path) -> None:
    """Any two of three; the ceremony stands in the log, step by step."""
    shares, key = _made(data), (data / "keyring.json").read_bytes()
    refused = run(data, "keys", "shares", "recover", stdin="\n".join(shares[:2]), passphrase=None, new="frasa sandi pemulihan")
    assert last(refused)["error"] == "conflict"
    assert (data / "keyring.json").read_bytes() == key
    said = good(
        run(
            data,
            "keys",
            "shares",
            "recover",
            "--replace",
            stdin="\n".join((shares[2], shares[0])),
            passphrase=None,
            new="frasa sandi pemulihan",
        )
    )

    assert said["proven"] is True
    assert good(run(data, "keys", "status", passphrase="frasa sandi pemulihan"))["works"] is True
    assert (data / "keyring.json").stat().st_mode & 0o777 == 0o600
    house = join(Settings.load(data, {}), LocalKeyring.open(data / "keyring.json", "frasa sandi pemulihan"))
    assert [what for what, _ in outcomes(house)][-2:] == ["key:open", "key:open"]
    house.close()


def test_shares_restore_a_keyring_on_a_bare_machine(data: Path, tmp_path: Path) -> None:
    """Before the backup of the database is there: nothing to prove it against, and that is said."""
    shares, bare = _made(data), tmp_path / "bare"
    said = good(run(bare, "keys", "shares", "recover", stdin="\n".join(shares[:2]), passphrase=None, new=PASSPHRASE))

    assert said["proven"] is False
    assert opened_master(bare / "keyring.json", PASSPHRASE) == opened_master(data / "keyring.json", PASSPHRASE)


def test_wrong_shares_are_refused_with_the_reason(data: Path) -> None:
    """One sentence says which share and what about it; nothing is written."""
    shares, acts = _made(data), _acts(data)
    twice = run(data, "keys", "shares", "check", stdin=f"{shares[0]}\n{shares[0]}\n", passphrase=None)
    few = run(data, "keys", "shares", "check", stdin=shares[0], passphrase=None)

    assert [(each.exit_code, last(each)["detail"]) for each in (twice, few)] == [
        (2, "share 2 was given already"),
        (2, "shares: 1 given, 2 are needed"),
    ]
    assert _acts(data) == acts


def test_shares_of_another_installation_change_nothing(data: Path, tmp_path: Path) -> None:
    """They fit together, and are not ours: no file, no entry."""
    made = run(tmp_path / "other", "keys", "init", "--threshold", "2", "--of", "2", new=PASSPHRASE)
    before, acts = (data / "keyring.json").read_bytes(), _acts(data)
    result = run(data, "keys", "shares", "recover", "--replace", stdin="\n".join(shares_of(made)), passphrase=None, new="frasa sandi lain")

    assert (result.exit_code, last(result)["error"]) == (2, "keys-down")
    assert "is not this installation's" in str(last(result)["detail"])
    assert (data / "keyring.json").read_bytes() == before
    assert _acts(data) == acts


def test_shares_and_passphrases_are_kept_nowhere(data: Path) -> None:
    """Neither in a file of the installation, nor in the object that scripts read; the log says that they were made, and how many."""
    made = run(data, "keys", "shares", "make", "--threshold", "3", "--of", "5")
    shares = shares_of(made)

    assert len(shares) == 5
    assert set(last(made)) == {"key", "threshold", "count", "mark"}
    everything = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    secret = [share.split()[4:30] for share in shares]
    assert not [words for words in secret if " ".join(words[:2]).encode() in everything]
    assert PASSPHRASE.encode() not in everything
    assert opened_master(data / "keyring.json", PASSPHRASE) not in everything
    assert _acts(data)[-1] == "key:open"


# ---- from one keyring to the next ----


def test_a_local_key_is_replaced_online(data: Path) -> None:
    """Begin, move, retire; between the steps everything opens, and afterwards the old keyring opens nothing."""
    old_ring, first = (data / "keyring.json").read_bytes(), good(run(data, "keys", "status"))["newest"]
    good(run(data, "keys", "rotate", "provider", "--new-keyring"))
    between = good(run(data, "keys", "status"))
    early = run(data, "keys", "rotate", "provider", "--retire", "--yes")
    moved = good(run(data, "keys", "rotate", "provider"))
    retired = good(run(data, "keys", "rotate", "provider", "--retire", "--yes"))

    assert (between["old"], between["works"]) == ("local", True)
    assert between["left"] == moved["moved"]
    assert last(early)["error"] == "conflict"
    assert (moved["left"], retired["key"]) == (0, first)
    assert not (data / "keyring-old.json").exists()
    assert "keys_old" not in (data / "config.toml").read_text("utf-8")
    after = good(run(data, "keys", "status"))
    assert (after["left"], after["old"]) == (0, None)
    assert _acts(data)[-3:] == ["key:open", "key:rewrap", "key:retire"]
    (data / "keyring.json").write_bytes(old_ring)
    assert "the right one is not configured" in str(last(run(data, "keys", "status"))["detail"])


def test_beginning_again_after_a_crash_goes_on(data: Path) -> None:
    """We died after the old keyring got its second name, or after the settings named it: no key is lost, one new one is made."""
    old = opened_master(data / "keyring.json", PASSPHRASE)
    (data / "keyring-old.json").hardlink_to(data / "keyring.json")
    with (data / "config.toml").open("a") as config:
        config.write('\n[keys_old]\nprovider = "local"\n')
    made = good(run(data, "keys", "rotate", "provider", "--new-keyring"))
    again = good(run(data, "keys", "rotate", "provider", "--new-keyring"))

    assert made["key"] == again["key"]
    assert opened_master(data / "keyring-old.json", PASSPHRASE) == old != opened_master(data / "keyring.json", PASSPHRASE)
    assert good(run(data, "keys", "rotate", "provider"))["left"] == 0


def test_a_foreign_old_keyring_is_not_touched(data: Path) -> None:
    """A file of that name that the settings do not know may be the only copy of a key."""
    LocalKeyring.create(data / "keyring-old.json", PASSPHRASE)
    before = (data / "keyring-old.json").read_bytes()
    result = run(data, "keys", "rotate", "provider", "--new-keyring")

    assert last(result)["error"] == "conflict"
    assert (data / "keyring-old.json").read_bytes() == before


# ---- to another provider ----


def test_from_the_keyring_to_vault(data: Path, vault: Vault) -> None:
    """The settings name both; the key is made at Vault, keys move, the keyring goes. The token is in no file."""
    with (data / "config.toml").open("a") as config:
        config.write(_table(vault, '[keys_old]\nprovider = "local"\n'))
    environ = {"GARDU_TRANSIT_TOKEN": TOKEN}
    assert good(run(data, "keys", "init", **environ))["key"] == "transit:gardu v1"
    assert good(run(data, "keys", "rotate", "provider", **environ))["left"] == 0
    assert good(run(data, "keys", "rotate", "provider", "--retire", "--yes", **environ))["step"] == "retired"
    said = good(run(data, "keys", "status", passphrase=None, **environ))

    assert (said["provider"], said["old"], said["left"], said["newest"]) == ("transit", None, 0, "transit:gardu v1")
    assert not (data / "keyring.json").exists()
    assert TOKEN.encode() not in b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert last(run(data, "keys", "shares", "make", "--threshold", "2", "--of", "3", **environ))["error"] == "conflict"
    vault.sealed = True
    assert "is sealed or not ready" in str(last(run(data, "keys", "status", passphrase=None, **environ))["detail"])


def test_an_installation_that_begins_with_vault(tmp_path: Path, vault: Vault) -> None:
    """No keyring and no passphrase at all; with an unsafe table nothing is made."""
    (tmp_path / "keys.toml").write_text(_table(vault), "utf-8")
    words = ("init", "--origin", ORIGIN, "--admin", "yusuf.admin", "--keys", str(tmp_path / "keys.toml"))
    good(run(tmp_path / "data", *words, passphrase=None, GARDU_TRANSIT_TOKEN=TOKEN))

    assert not (tmp_path / "data" / "keyring.json").exists()
    assert good(run(tmp_path / "data", "keys", "status", passphrase=None, GARDU_TRANSIT_TOKEN=TOKEN))["provider"] == "transit"
    (tmp_path / "keys.toml").write_text(_table(vault).replace("127.0.0.1", "192.0.2.1"), "utf-8")
    assert last(run(tmp_path / "second", *words, passphrase=None, GARDU_TRANSIT_TOKEN=TOKEN))["error"] == "unsafe-start"
    assert not (tmp_path / "second").exists()


@needs_softhsm
def test_from_the_keyring_to_an_hsm_and_a_wrong_pin(data: Path) -> None:
    """A wrong PIN is said at once, once; what follows does not reach the token until a person looked."""
    label = token()
    table = f'\n[keys]\nprovider = "pkcs11"\nmodule = "{module()}"\ntoken = "{label}"\nkey = "gardu"\n[keys_old]\nprovider = "local"\n'
    with (data / "config.toml").open("a") as config:
        config.write(table)
    wrong = run(data, "keys", "init", GARDU_PKCS11_PIN_FD=_pipe("000000"))
    then = run(data, "keys", "init", GARDU_PKCS11_PIN_FD=_pipe("000000"))
    assert "refused the PIN; it is not tried again" in str(last(wrong)["detail"])
    assert "refused this PIN before" in str(last(then)["detail"])
    (data / "pkcs11-pin-refused").unlink()

    good(run(data, "keys", "init", GARDU_PKCS11_PIN_FD=_pipe(PIN)))
    assert good(run(data, "keys", "rotate", "provider", GARDU_PKCS11_PIN_FD=_pipe(PIN)))["left"] == 0
    assert good(run(data, "keys", "status", GARDU_PKCS11_PIN_FD=_pipe(PIN)))["newest"] == f"pkcs11:{label}/gardu"


def test_retiring_needs_somebody_who_means_it(data: Path) -> None:
    """Without an old provider there is nothing to retire; without --yes and a person nothing goes."""
    assert last(run(data, "keys", "rotate", "provider", "--retire", "--yes"))["error"] == "unsafe-start"
    good(run(data, "keys", "rotate", "provider", "--new-keyring"))
    good(run(data, "keys", "rotate", "provider"))
    result = run(data, "keys", "rotate", "provider", "--retire", stdin="n\n")

    assert result.exit_code == 1
    assert (data / "keyring-old.json").exists()
