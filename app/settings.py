"""One frozen typed object; refuses to start incomplete or unsafe.

Order: the data directory's ``config.toml``, overridden by ``GARDU_*`` environment variables. There are no secrets in it:
the passphrase comes by prompt, file descriptor or systemd credential (``app.factory.passphrase``).
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from app.kernel.errors import UnsafeStart

# The same as in pyproject.toml; a test compares them.
VERSION = "0.1.0"
# A log's origin is `<host>/gardu/<n>`: n grows when a backup is restored, so that two histories never share a name.
_ORIGIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?/gardu/[1-9][0-9]{0,3}", re.ASCII)
# A file or a server: a database in memory forgets the log. What follows may hold a password and is never repeated in an error.
_DATABASE = re.compile(r"sqlite:///[^?]*[^?:/]|postgresql(\+psycopg)?://.*")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# An age recipient (Bech32 of an X25519 key); the vault checks the checksum when it seals.
_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}", re.ASCII)
# The same as in app/custody/backup_room.py; a test compares them.
_KEY_DAYS = 30


# What each key provider is told, and what of it must be there.
PROVIDERS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "local": (frozenset(), frozenset()),
    "transit": (frozenset({"url", "key", "mount", "namespace", "ca", "token_file", "timeout"}), frozenset({"url", "key"})),
    "pkcs11": (frozenset({"module", "token", "key", "mechanism"}), frozenset({"module", "token", "key"})),
    "aws-kms": (frozenset({"key", "region", "endpoint", "timeout"}), frozenset({"key", "region"})),
}
# In addresses, labels and headers: printable ASCII, nothing that ends or splits one.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_KMS_KEY = re.compile(r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/)?[A-Za-z0-9-]{1,64}", re.ASCII)
_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The key provider: the table ``[keys]``, and ``[keys_old]`` while keys move (docs/keys.md has every name, by provider).

    provider: local, transit, pkcs11 or aws-kms. timeout: seconds. Secrets do not stand here.
    """

    provider: str = "local"
    url: str = ""
    key: str = ""
    mount: str = "transit"
    namespace: str = ""
    ca: Path | None = None
    token_file: Path | None = None
    module: Path | None = None
    token: str = ""
    mechanism: str = "aes-gcm"
    region: str = ""
    endpoint: str = ""
    timeout: float = 5.0

    def __post_init__(self) -> None:
        for name in ("url", "endpoint"):
            if address := getattr(self, name):
                _check_address(address, name)
        for name in ("token", "mount", "region") if self.provider == "aws-kms" else ("token", "mount", "region", "key"):
            if (word := getattr(self, name)) and not _PLAIN.fullmatch(word):
                raise UnsafeStart(f"keys: {name} must be of letters, digits, . _ and -, at most 64")
        if self.provider == "aws-kms" and not _KMS_KEY.fullmatch(self.key):
            raise UnsafeStart("keys: key must be the id or the ARN of a KMS key; an alias could be pointed at another key")
        if self.mechanism not in {"aes-gcm", "aes-kwp"}:
            raise UnsafeStart("keys: mechanism must be aes-gcm or aes-kwp")
        if not 0 < self.timeout <= _LONGEST_WAIT:
            raise UnsafeStart(f"keys: timeout must be above 0 and at most {_LONGEST_WAIT:g} seconds")

    @property
    def identity(self) -> tuple[str, str, str]:
        """What tells the provider's key from others: two tables with the same one mean the same key."""
        return (self.provider, self.token, self.key.rsplit("key/", 1)[-1])

    @classmethod
    def parse(cls, given: object, data: Path, table: str) -> Keys:
        """Read one table; relative files lie in *data*. Raises UnsafeStart."""
        if not isinstance(given, dict):
            raise UnsafeStart(f"[{table}] must be a table (docs/keys.md)")
        provider = str(given.get("provider", "local"))
        if provider not in PROVIDERS:
            raise UnsafeStart(f"[{table}] provider {provider[:40]!r} is none of {', '.join(PROVIDERS)}")
        known, must = PROVIDERS[provider]
        if unknown := sorted(set(given) - known - {"provider"}):
            raise UnsafeStart(f"[{table}] unknown setting {unknown[0]!r} for {provider}; known are {', '.join(sorted(known)) or 'none'}")
        if missing := sorted(name for name in must if not given.get(name)):
            raise UnsafeStart(f"[{table}] {missing[0]!r} is missing: {provider} needs {', '.join(sorted(must))}")
        if odd := sorted(name for name, value in given.items() if not isinstance(value, float | int if name == "timeout" else str)):
            raise UnsafeStart(f"[{table}] {odd[0]!r} must be {'a number' if odd[0] == 'timeout' else 'text'}")
        files = {name: data / given[name] for name in ("ca", "token_file", "module") if given.get(name)}
        return cls(**{**given, **files})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an installation is.

    data: its directory. origin: the log's name, ``<host>/gardu/<n>``. database: SQLAlchemy URL of the application's role.
    owner_database: URL that migrations use (defaults to *database*). public_origin: ``https://host[:port]`` people reach it at
    (``http`` only on loopback). policies: the policy folder. workers, threads: of the server. demo: synthetic data, marked on
    every page. trusted_proxies: number of reverse proxies whose X-Forwarded-For is believed. embedded_jobs: the server works off the
    background queue itself; false when ``gardu worker`` does. head_guard: a file on another disk that keeps the newest signed checkpoint. timestamp_url, timestamp_roots: the time-stamping authority (RFC 3161)
    and the PEM file of the root certificates its stamps must lead to; empty and None when there is none (docs/timestamps.md).
    keys, keys_old: the key provider, and the one it replaces while keys move from it.
    backup_to, backup_recipients: where backups go, and the age public keys they are sealed to, separated by spaces; None and empty: none are
    made by themselves. backup_hour: when, 0…23 UTC. backup_keep: data archives kept. backup_key_days: days a key archive lives, 1…30
    (docs/backup.md).
    """

    data: Path
    origin: str
    database: str
    owner_database: str
    public_origin: str
    policies: Path
    workers: int = 2
    threads: int = 8
    demo: bool = False
    trusted_proxies: int = 0
    embedded_jobs: bool = True
    head_guard: Path | None = None
    timestamp_url: str = ""
    timestamp_roots: Path | None = None
    keys: Keys = Keys()
    keys_old: Keys | None = None
    backup_to: Path | None = None
    backup_recipients: str = ""
    backup_hour: int = 18
    backup_keep: int = 14
    backup_key_days: int = 30

    def __post_init__(self) -> None:
        if not _ORIGIN.fullmatch(self.origin):
            raise UnsafeStart(f"origin {self.origin!r} is not <host>/gardu/<n>, e.g. gardu.kpu.go.id/gardu/1")
        host = _host(self.public_origin)
        if self.public_origin.startswith("http:") and host not in _LOOPBACK:
            raise UnsafeStart("public_origin must be https: over plain http a session cookie and every voter would travel in clear")
        for url in (self.database, self.owner_database):
            if not _DATABASE.fullmatch(url):
                raise UnsafeStart("database must be sqlite:///FILE or postgresql://…; nothing else keeps the log durable")
        if not 1 <= self.workers <= 64 or not 1 <= self.threads <= 256:
            raise UnsafeStart("workers must be 1…64 and threads 1…256")
        if not 0 <= self.trusted_proxies <= 4:
            raise UnsafeStart("trusted_proxies must be 0…4")
        _check_timestamps(self.timestamp_url, self.timestamp_roots)
        if self.keys_old is not None and self.keys_old.identity == self.keys.identity and self.keys.provider != "local":
            raise UnsafeStart("[keys] and [keys_old] name the same key: give the new key another name")
        self._check_backups()

    def _check_backups(self) -> None:
        if (self.backup_to is None) != (not self.backup_recipients.strip()):
            raise UnsafeStart("backup_to and backup_recipients go together: set both or neither")
        for one in self.backup_recipients.split():
            if not _RECIPIENT.fullmatch(one):
                raise UnsafeStart("backup_recipients must be age public keys (age1…), separated by spaces; a secret key has no place here")
        if not 0 <= self.backup_hour <= 23:
            raise UnsafeStart("backup_hour must be 0…23 (UTC)")
        if not 1 <= self.backup_keep <= 1000 or not 1 <= self.backup_key_days <= _KEY_DAYS:
            raise UnsafeStart(
                f"backup_keep must be 1…1000, backup_key_days 1…{_KEY_DAYS}: a key archive that lives on undoes every erasure"
            )

    @property
    def secure_cookies(self) -> bool:
        """Whether cookies carry Secure and the ``__Host-`` prefix; only plain http on loopback goes without."""
        return self.public_origin.startswith("https://")

    @property
    def keyring(self) -> Path:
        """The file that holds the provider key, sealed by the passphrase."""
        return self.data / "keyring.json"

    @property
    def keyring_old(self) -> Path:
        """The keyring that the present one replaces, while keys move from one local keyring to the next or to another provider."""
        return self.data / "keyring-old.json" if self.keys.provider == "local" else self.keyring

    @classmethod
    def load(cls, data: Path, environ: Mapping[str, str] | None = None) -> Settings:
        """Read *data*/config.toml and GARDU_* variables.

        Raises UnsafeStart when the directory is no installation, or a name is unknown, missing or of the wrong type.
        """
        file = data / "config.toml"
        if not file.is_file():
            raise UnsafeStart(f"{data} is not a Gardu installation (no config.toml); make one with: gardu init --data {data} …")
        try:
            given: dict[str, object] = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise UnsafeStart(f"{file}: {error}") from None
        return cls._from(data, {**given, **_overrides(os.environ if environ is None else environ)}, file)

    @classmethod
    def _from(cls, data: Path, given: dict[str, object], file: Path) -> Settings:
        known = {field.name for field in fields(cls)} - {"data"}
        if unknown := sorted(set(given) - known):
            raise UnsafeStart(f"{file}: unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
        if missing := [name for name in ("origin", "database", "public_origin") if not given.get(name)]:
            raise UnsafeStart(f"{file}: {missing[0]!r} is missing")
        database = _database(str(given["database"]), data)
        return cls(
            data=data,
            origin=str(given["origin"]),
            database=database,
            owner_database=_database(str(given.get("owner_database") or database), data),
            public_origin=str(given["public_origin"]).rstrip("/"),
            policies=data / str(given["policies"]) if given.get("policies") else shipped("policies"),
            workers=_whole(given, "workers", 2),
            threads=_whole(given, "threads", 8),
            demo=_truth(given, "demo"),
            trusted_proxies=_whole(given, "trusted_proxies", 0),
            embedded_jobs=_truth(given, "embedded_jobs", default=True),
            head_guard=data / str(given["head_guard"]) if given.get("head_guard") else None,
            timestamp_url=str(given.get("timestamp_url") or ""),
            timestamp_roots=data / str(given["timestamp_roots"]) if given.get("timestamp_roots") else None,
            keys=Keys.parse(given.get("keys", {}), data, "keys"),
            keys_old=Keys.parse(given["keys_old"], data, "keys_old") if "keys_old" in given else None,
            backup_to=data / str(given["backup_to"]) if given.get("backup_to") else None,
            backup_recipients=str(given.get("backup_recipients") or ""),
            backup_hour=_whole(given, "backup_hour", 18),
            backup_keep=_whole(given, "backup_keep", 14),
            backup_key_days=_whole(given, "backup_key_days", _KEY_DAYS),
        )


def shipped(name: str) -> Path:
    """Return a folder that comes with Gardu: beside the sources, or where an installed wheel puts it."""
    for folder in (Path(__file__).parent.parent / name, Path(sys.prefix) / "share" / "gardu" / name):
        if folder.is_dir():
            return folder
    raise UnsafeStart(f"the folder {name}/ that comes with Gardu is not installed")


def _host(origin: str) -> str:
    """Return the host of ``https://host[:port]``. Raises UnsafeStart for anything more or less than that."""
    try:
        site = urlsplit(origin)
        host, _port = site.hostname, site.port
    except ValueError:
        host = None
    if not host or site.scheme not in {"http", "https"} or f"{site.scheme}://{site.netloc}" != origin or "@" in site.netloc:
        raise UnsafeStart(f"public_origin {origin!r} is not https://host[:port]")
    return host


def _check_timestamps(url: str, roots: Path | None) -> None:
    """Raise UnsafeStart unless there is neither, or an address and a PEM file: a stamp nobody can check proves nothing."""
    if bool(url) != (roots is not None):
        raise UnsafeStart("timestamp_url and timestamp_roots go together: set both or neither")
    if roots is None:
        return
    try:
        site = urlsplit(url)
        host, _port = site.hostname, site.port
    except ValueError:
        host = None
    # Printable ASCII: anything else would let a line of the request be made up. 255: as wide as the column that keeps it.
    if not host or site.scheme not in {"http", "https"} or "@" in site.netloc or site.fragment or not re.fullmatch("[!-~]{1,255}", url):
        raise UnsafeStart("timestamp_url must be https://host[:port]/path, without user or password, at most 255 characters")
    if site.scheme == "http" and host not in _LOOPBACK:
        raise UnsafeStart("timestamp_url must be https: plain http is for an authority on this machine")
    try:
        pem = roots.read_bytes()
    except OSError as error:
        raise UnsafeStart(f"timestamp_roots {roots}: {error.strerror}") from None
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise UnsafeStart(f"timestamp_roots {roots} holds no certificate in PEM form")


def _check_address(address: str, name: str) -> None:
    """Raise UnsafeStart unless *address* of a key provider is https (http on loopback), without user, query or fragment."""
    try:
        site = urlsplit(address)
        host, _port = site.hostname, site.port
    except ValueError:
        host = None
    if (
        not host
        or site.scheme not in {"http", "https"}
        or "@" in site.netloc
        or site.query
        or site.fragment
        or not re.fullmatch("[!-~]{1,255}", address)
    ):
        raise UnsafeStart(f"keys: {name} must be https://host[:port], without user or password")
    if site.scheme == "http" and host not in _LOOPBACK:
        raise UnsafeStart(f"keys: {name} must be https: over plain http the token and every key would travel in clear")


def _overrides(environ: Mapping[str, str]) -> dict[str, object]:
    known = {field.name for field in fields(Settings)} - {"data", "demo", "keys", "keys_old"}
    return {name: environ[f"GARDU_{name.upper()}"] for name in known if environ.get(f"GARDU_{name.upper()}")}


def _database(url: str, data: Path) -> str:
    # A relative SQLite file belongs to the data directory, wherever the command is run from.
    prefix = "sqlite:///"
    if url.startswith(prefix) and url != prefix and not url.startswith(prefix + "/"):
        return f"{prefix}{(data / url[len(prefix) :]).resolve()}"
    return url


def _whole(given: Mapping[str, object], name: str, default: int) -> int:
    try:
        return int(str(given.get(name, default)))
    except ValueError:
        raise UnsafeStart(f"setting {name!r} must be a whole number") from None


def _truth(given: Mapping[str, object], name: str, *, default: bool = False) -> bool:
    value = given.get(name, default)
    # From the environment it comes as text.
    value = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    if not isinstance(value, bool):
        raise UnsafeStart(f"setting {name!r} must be true or false")
    return value
