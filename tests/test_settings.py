"""Settings refuse to be incomplete, unsafe, unknown or of the wrong type, and say which and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.errors import UnsafeStart
from app.settings import Settings, shipped

GOOD = {"origin": '"gardu.kpu.go.id/gardu/1"', "database": '"sqlite:///gardu.db"', "public_origin": '"https://gardu.kpu.go.id"'}


def _written(folder: Path, /, **changes: str | None) -> Path:
    """Write a config.toml: the good one with *changes*, each TOML text; None leaves a setting out."""
    given = {**GOOD, **changes}
    (folder / "config.toml").write_text("".join(f"{name} = {value}\n" for name, value in given.items() if value is not None), "utf-8")
    return folder


def test_three_settings_are_enough(tmp_path: Path) -> None:
    """The rest has safe defaults; a relative SQLite file lies in the data directory, whoever calls from wherever."""
    settings = Settings.load(_written(tmp_path), {})

    assert settings.database == settings.owner_database == f"sqlite:///{tmp_path.resolve() / 'gardu.db'}"
    assert (settings.workers, settings.threads, settings.demo, settings.trusted_proxies) == (2, 8, False, 0)
    assert settings.policies == shipped("policies")
    assert settings.keyring == tmp_path / "keyring.json"
    assert settings.secure_cookies


UNSAFE = [
    ({"origin": None}, "'origin' is missing"),
    ({"database": None}, "'database' is missing"),
    ({"public_origin": None}, "'public_origin' is missing"),
    ({"origin": '""'}, "'origin' is missing"),
    *(({"origin": f'"{origin}"'}, "is not <host>/gardu/<n>") for origin in (
        "gardu.kpu.go.id", "gardu.kpu.go.id/gardu/0", "gardu.kpu.go.id/gardu/01", "gardu.kpu.go.id/gardu/12345", "gardu.kpu.go.id/gardu/1/", "/gardu/1",
        "-x/gardu/1", "GARDU/gardu/1", "a b/gardu/1", "é/gardu/1", "a" * 300 + "/gardu/1", "a/gardu/1\\n",
    )),
    *(({"public_origin": f'"{site}"'}, "is not https://host") for site in (
        "gardu.kpu.go.id", "ftp://gardu.kpu.go.id", "https://", "https:///x", "https://gardu.kpu.go.id/app", "https://gardu.kpu.go.id?x=1",
        "https://gardu.kpu.go.id#x", "https://user:rahasia@gardu.kpu.go.id", "https://gardu.kpu.go.id:99999", "https://gardu.kpu.go.id:x",
        "HTTP://gardu.kpu.go.id", "javascript:alert(1)", "https://[::1",
    )),
    ({"public_origin": '"http://gardu.kpu.go.id"'}, "must be https"),
    ({"public_origin": '"http://127.0.0.1.example.com"'}, "must be https"),
    ({"public_origin": '"http://192.168.1.2:8000"'}, "must be https"),
    *(({"database": f'"{url}"'}, "database must be") for url in (
        "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///gardu.db?mode=memory&uri=true", "mysql://u:rahasia@h/d", "gardu.db", "5",
        "postgresql+asyncpg://u:rahasia@h/d", "postgres://u:rahasia@h/d",
    )),
    ({"owner_database": '"mysql://u:rahasia@h/d"'}, "database must be"),
    ({"workers": "0"}, "workers must be"), ({"workers": "65"}, "workers must be"), ({"workers": "-1"}, "workers must be"),
    ({"threads": "0"}, "threads 1"), ({"threads": "257"}, "threads 1"),
    ({"workers": '"two"'}, "'workers' must be a whole number"), ({"workers": "true"}, "'workers' must be a whole number"),
    ({"threads": "1.5"}, "'threads' must be a whole number"), ({"trusted_proxies": "[]"}, "'trusted_proxies' must be a whole number"),
    ({"trusted_proxies": "5"}, "trusted_proxies must be 0"), ({"trusted_proxies": "-1"}, "trusted_proxies must be 0"),
    ({"demo": '"yes"'}, "'demo' must be true or false"), ({"demo": "1"}, "'demo' must be true or false"),
    ({"passphrase": '"rahasia"'}, "unknown setting 'passphrase'; known are"),
    ({"data": '"/elsewhere"'}, "unknown setting 'data'"),
    ({"debug": "true"}, "unknown setting 'debug'"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), UNSAFE, ids=[str(changes) for changes, _ in UNSAFE])
def test_what_is_unsafe_or_unknown_is_refused(tmp_path: Path, changes: dict[str, str | None], words: str) -> None:
    """Each with the setting's name; a password in an address is not repeated."""
    with pytest.raises(UnsafeStart) as refused:
        Settings.load(_written(tmp_path, **changes), {})

    assert words in refused.value.detail
    if "public_origin" not in changes:
        assert "rahasia" not in refused.value.detail


@pytest.mark.parametrize("site", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:8000"])
def test_plain_http_is_for_loopback_only_and_its_cookies_say_so(tmp_path: Path, site: str) -> None:
    """A demo on the own machine needs no certificate."""
    settings = Settings.load(_written(tmp_path, public_origin=f'"{site}/"'), {})

    assert settings.public_origin == site
    assert not settings.secure_cookies


@pytest.mark.parametrize("url", ["postgresql://u@h/d", "postgresql+psycopg://u@h:5432/d?host=/run/pg", "sqlite:////var/lib/gardu/gardu.db"])
def test_a_server_or_a_file_elsewhere_is_kept_as_it_is(tmp_path: Path, url: str) -> None:
    """Only a relative SQLite file belongs to the data directory."""
    assert Settings.load(_written(tmp_path, database=f'"{url}"'), {}).database == url


@pytest.mark.parametrize("content", [b"origin = ", b"\xff\xfe", b"origin == 1", b"[origin]\n", b"\0"])
def test_a_file_that_is_no_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """The error names the file."""
    (tmp_path / "config.toml").write_bytes(content)

    with pytest.raises(UnsafeStart, match=r"config\.toml"):
        Settings.load(tmp_path, {})


def test_a_directory_that_is_no_installation_says_how_to_make_one(tmp_path: Path) -> None:
    """Also when config.toml is a directory."""
    with pytest.raises(UnsafeStart, match="gardu init"):
        Settings.load(tmp_path, {})
    (tmp_path / "config.toml").mkdir()

    with pytest.raises(UnsafeStart, match="gardu init"):
        Settings.load(tmp_path, {})


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    """GARDU_ and the setting's name; an empty variable overrides nothing."""
    environ = {
        "GARDU_ORIGIN": "other.example/gardu/2", "GARDU_DATABASE": "sqlite:///other.db", "GARDU_OWNER_DATABASE": "sqlite:///owner.db",
        "GARDU_PUBLIC_ORIGIN": "https://other.example", "GARDU_POLICIES": "/etc/gardu/policies", "GARDU_WORKERS": "4", "GARDU_THREADS": "",
        "GARDU_TRUSTED_PROXIES": "1", "HOME": "/root", "GARDU_SOMETHING": "else",
    }  # fmt: skip
    settings = Settings.load(_written(tmp_path, threads="3"), environ)

    assert (settings.origin, settings.public_origin) == ("other.example/gardu/2", "https://other.example")
    assert settings.database.endswith("/other.db")
    assert settings.owner_database.endswith("/owner.db")
    assert settings.policies == Path("/etc/gardu/policies")
    assert (settings.workers, settings.threads, settings.trusted_proxies) == (4, 3, 1)


@pytest.mark.parametrize(
    ("name", "value"), [("GARDU_WORKERS", "many"), ("GARDU_PUBLIC_ORIGIN", "http://gardu.kpu.go.id"), ("GARDU_DATABASE", "sqlite://")]
)
def test_an_unsafe_override_is_refused_too(tmp_path: Path, name: str, value: str) -> None:
    """The environment is no way around the checks."""
    with pytest.raises(UnsafeStart):
        Settings.load(_written(tmp_path), {name: value})


def test_the_environment_makes_no_demo_and_moves_no_directory(tmp_path: Path) -> None:
    """A real installation does not become a demo (with its open passphrase file) by a variable."""
    settings = Settings.load(_written(tmp_path), {"GARDU_DEMO": "true", "GARDU_DATA": "/elsewhere"})

    assert (settings.demo, settings.data) == (False, tmp_path)


def _roots(folder: Path) -> str:
    (folder / "roots.pem").write_text("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "ascii")
    return '"roots.pem"'


@pytest.mark.parametrize(
    "url", ["https://tsa.example/tsr", "https://tsa.example:8443", "http://127.0.0.1:8001/tsr", "http://[::1]/tsr?x=1"]
)
def test_an_authority_for_time_stamps_comes_with_its_roots(tmp_path: Path, url: str) -> None:
    """A relative file lies in the data directory; plain http is for an authority on this machine."""
    settings = Settings.load(_written(tmp_path, timestamp_url=f'"{url}"', timestamp_roots=_roots(tmp_path)), {})

    assert (settings.timestamp_url, settings.timestamp_roots) == (url, tmp_path / "roots.pem")
    assert Settings.load(_written(tmp_path), {}).timestamp_roots is None


STAMPS = [
    *(({"timestamp_url": f'"{url}"'}, "timestamp_url must be") for url in (
        "tsa.example", "ftp://tsa.example", "https://", "https://[::1", "https://u:rahasia@tsa.example", "https://tsa.example/#x", "https://tsa.example:x",
        "http://tsa.example/tsr", "http://127.0.0.1.example/tsr", "https://tsa.example/a b", "https://tsa.example/\\n", "https://é.example/",
        "https://tsa.example/" + "a" * 255,
    )),
    ({"timestamp_url": None}, "go together"), ({"timestamp_roots": None}, "go together"), ({"timestamp_url": '""'}, "go together"),
    ({"timestamp_roots": '"absent.pem"'}, "absent.pem: No such file"), ({"timestamp_roots": '"."'}, "timestamp_roots"),
    ({"timestamp_roots": '"config.toml"'}, "holds no certificate"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), STAMPS, ids=[str(changes) for changes, _ in STAMPS])
def test_an_authority_that_could_not_be_asked_or_checked_is_refused(tmp_path: Path, changes: dict[str, str | None], words: str) -> None:
    """At the start, not an hour later; a password in the address is not repeated."""
    given = {"timestamp_url": '"https://tsa.example/tsr"', "timestamp_roots": _roots(tmp_path), **changes}
    with pytest.raises(UnsafeStart) as refused:
        Settings.load(_written(tmp_path, **given), {})

    assert words in refused.value.detail
    assert "rahasia" not in refused.value.detail


@given(origin=st.text(max_size=40), site=st.text(max_size=40), database=st.text(max_size=40))
def test_any_text_is_either_refused_or_safe(origin: str, site: str, database: str) -> None:
    """Whatever stands there: UnsafeStart, or settings that keep their promises."""
    try:
        settings = Settings(
            data=Path("/x"), origin=origin, database=database, owner_database=database, public_origin=site, policies=Path("/x")
        )
    except UnsafeStart:
        return
    assert settings.origin.count("/gardu/") == 1
    assert settings.public_origin.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]"))
    assert settings.database.startswith(("sqlite:///", "postgresql"))


def test_a_folder_that_does_not_come_with_gardu_is_named() -> None:
    """An installed wheel without its data says so."""
    with pytest.raises(UnsafeStart, match="no-such-folder/"):
        shipped("no-such-folder")


# ---- the key provider ----

TRANSIT = 'provider = "transit"\nurl = "https://vault.kpu.go.id:8200"\nkey = "gardu"\n'
PKCS11 = 'provider = "pkcs11"\nmodule = "/usr/lib/softhsm/libsofthsm2.so"\ntoken = "kpu"\nkey = "gardu"\n'
KMS = 'provider = "aws-kms"\nkey = "arn:aws:kms:ap-southeast-3:123456789012:key/681de2eb-51d5-4319-8e49-ea6b8b5fbc6c"\nregion = "ap-southeast-3"\n'


def _with_keys(folder: Path, table: str, old: str = "") -> Settings:
    config = _written(folder) / "config.toml"
    more = f"[keys_old]\n{old}" if old else ""
    config.write_text(config.read_text("utf-8") + f"[keys]\n{table}{more}", "utf-8")
    return Settings.load(folder, {})


def test_without_a_table_the_keyring_is_the_provider(tmp_path: Path) -> None:
    """And no variable of the environment chooses another: a provider is chosen in the file."""
    settings = Settings.load(_written(tmp_path), {"GARDU_KEYS": "aws-kms", "GARDU_KEYS_OLD": "local"})

    assert (settings.keys.provider, settings.keys_old) == ("local", None)
    assert settings.keyring_old == tmp_path / "keyring-old.json"


def test_each_provider_has_its_own_names(tmp_path: Path) -> None:
    """Relative files lie in the data directory; the old keyring is the present file when keys go to another provider."""
    transit = _with_keys(tmp_path, TRANSIT + 'ca = "vault.pem"\ntoken_file = "/run/vault/token"\ntimeout = 2\n', 'provider = "local"\n')
    assert (transit.keys.mount, transit.keys.timeout, transit.keys.ca) == ("transit", 2, tmp_path / "vault.pem")
    assert transit.keys.token_file == Path("/run/vault/token")
    assert transit.keyring_old == transit.keyring
    assert _with_keys(tmp_path, PKCS11).keys.mechanism == "aes-gcm"
    assert _with_keys(tmp_path, KMS).keys.region == "ap-southeast-3"


UNSAFE_KEYS = [
    ('provider = "vault"\n', "provider 'vault' is none of local, transit, pkcs11, aws-kms"),
    ('url = "https://x"\n', "unknown setting 'url' for local; known are none"),
    (TRANSIT + 'token = "hvs.rahasia"\n', "unknown setting 'token' for transit"),
    (TRANSIT + 'pin = "1234"\n', "unknown setting 'pin'"),
    ('provider = "transit"\nkey = "gardu"\n', "'url' is missing: transit needs key, url"),
    ('provider = "pkcs11"\ntoken = "kpu"\nkey = "gardu"\n', "'module' is missing"),
    ('provider = "aws-kms"\nkey = "681de2eb"\n', "'region' is missing"),
    (TRANSIT.replace("https://vault.kpu.go.id", "http://vault.kpu.go.id"), "url must be https: over plain http the token"),
    (TRANSIT.replace("https://vault", "http://127.0.0.1.vault"), "url must be https"),
    (TRANSIT.replace("https://", "https://u:rahasia@"), "without user or password"),
    (TRANSIT.replace(":8200", ":8200?x=1"), "without user or password"),
    (TRANSIT.replace("https://", "ftp://"), "url must be https"),
    (TRANSIT.replace('"gardu"', '"gardu/../keys"'), "key must be of letters"),
    (TRANSIT + 'mount = "transit/x"\n', "mount must be of letters"),
    (TRANSIT + "timeout = 0\n", "timeout must be above 0"),
    (TRANSIT + "timeout = 61\n", "timeout must be above 0 and at most 60"),
    (TRANSIT + 'timeout = "5"\n', "'timeout' must be a number"),
    (TRANSIT + "ca = 5\n", "'ca' must be text"),
    (PKCS11 + 'mechanism = "aes-cbc"\n', "mechanism must be aes-gcm or aes-kwp"),
    (KMS.replace("key/681de2eb-51d5-4319-8e49-ea6b8b5fbc6c", "alias/gardu"), "an alias could be pointed at another key"),
    (KMS + 'endpoint = "http://kms.example"\n', "endpoint must be https"),
]


@pytest.mark.parametrize(("table", "words"), UNSAFE_KEYS, ids=[words for _, words in UNSAFE_KEYS])
def test_an_incomplete_or_unsafe_provider_does_not_start(tmp_path: Path, table: str, words: str) -> None:
    """The name that is wrong, the remedy, and no secret that somebody put there by mistake."""
    with pytest.raises(UnsafeStart) as refused:
        _with_keys(tmp_path, table)

    assert words in refused.value.detail
    assert "rahasia" not in refused.value.detail


def test_old_and_new_key_must_be_told_apart(tmp_path: Path) -> None:
    """Two clusters with a key of one name: nobody could say which key is left where."""
    with pytest.raises(UnsafeStart, match="name the same key"):
        _with_keys(tmp_path, TRANSIT, TRANSIT.replace("vault.kpu", "vault2.kpu"))
    assert _with_keys(tmp_path, TRANSIT, TRANSIT.replace('"gardu"', '"gardu-2026"')).keys_old is not None
