"""What tests of records for a SIEM share: entries of every kind, a checker of OCSF events, and a syslog receiver over real TLS."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import os
import re
import signal
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from app.audit import follow as following
from app.audit.entry import body
from app.audit.follow import Cursor, Position, Source, follow
from app.audit.siem import Format, record
from app.audit.siem_entry import Item, item_of
from app.audit.siem_link import to_file
from app.audit.tree import leaf_hash
from app.kernel.fields import Action, Basis, Element, Outcome, Purpose, Role, Stage, View
from app.store.engine import Store
from tests.trail_kit import draft

ROOT = Path(__file__).parent.parent.parent
OCSF = json.loads((ROOT / "tests" / "vectors" / "ocsf-1.4.0.json").read_text("utf-8"))  # source: SOURCES.json
_CLASSES = {one["uid"]: one for one in OCSF["classes"].values()}


def example() -> Item:
    """Entry 1 of the example log in docs/log-format.md."""
    found = re.search(r"^extra (\S+)$", (ROOT / "docs" / "log-format.md").read_text("utf-8"), flags=re.M)
    assert found
    raw = base64.b64decode(found[1])
    return item_of("contoh.example/gardu/1", 1, leaf_hash(raw), raw)


def item(log: str = "uji.localhost/gardu/1", seq: int = 4, **members: object) -> Item:
    """An entry with these members."""
    raw = body(draft(**members), None, log=log, seq=seq, prev=bytes(32))  # type: ignore[arg-type]  # a test's own choice
    return item_of(log, seq, leaf_hash(raw), raw)


# ---- anything that an entry may hold ----

# An entry takes longer to draw than a number does, and a busy machine is no fault.
ENTRIES = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_TOKEN = "".join(chr(one) for one in range(0x21, 0x7F) if chr(one) not in '"\\')


def tokens(longest: int) -> st.SearchStrategy[str]:
    """Tokens, more often than not with what some format gives a meaning to."""
    return st.text(st.sampled_from(_TOKEN + "|=[]<>{}',:@#%&;$" * 4), min_size=1, max_size=longest)


def _maybe(of: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | of


_digests = st.binary(min_size=32, max_size=32)


@st.composite
def items(draw: st.DrawFn) -> Item:
    """Any entry that the log's grammar lets through, of a log with any name."""
    members = {
        "at": draw(st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001  hypothesis adds it
        "actor": draw(tokens(64)),
        "action": draw(st.sampled_from(Action)),
        "outcome": draw(st.sampled_from(Outcome)),
        "office": draw(_maybe(tokens(32))),
        "role": draw(_maybe(st.sampled_from(Role))),
        "session": draw(_maybe(tokens(64))),
        "election": draw(_maybe(tokens(16))),
        "stage": draw(_maybe(st.sampled_from(Stage))),
        "purpose": draw(_maybe(st.sampled_from(Purpose))),
        "sop": draw(_maybe(tokens(64))),
        "basis": draw(_maybe(st.sampled_from(Basis))),
        "mandate": draw(_maybe(tokens(64))),
        "policy": draw(_maybe(_digests.map(bytes.hex))),
        "rule": draw(_maybe(st.lists(tokens(64), max_size=4).map(tuple))),
        "scope": draw(_maybe(st.sampled_from(["00", "51.71", "51.71.01.1001"]))),
        "fields": draw(_maybe(st.dictionaries(st.sampled_from(Element), st.sampled_from(View).map(lambda view: view.word)))),
        "subjects": draw(_maybe(st.tuples(st.integers(0, 10**15 - 1), _digests))),
        "visit": draw(_maybe(_digests)),
        "assurance": draw(
            _maybe(
                st.fixed_dictionaries(
                    {"method": _maybe(tokens(16)), "age": _maybe(st.integers(0, 10**9)), "challenge": _maybe(_digests.map(bytes.hex))}
                )
            )
        ),
        "detail": draw(_maybe(st.tuples(st.just("account") | tokens(32), _digests))),
        "request": draw(_maybe(tokens(64))),
    }
    return item(draw(tokens(255).filter(lambda name: "+" not in name)), draw(st.integers(0, 10**15 - 1)), **members)


# ---- OCSF, as its own schema says it ----

_TYPES: dict[str, tuple[type, ...]] = {"boolean_t": (bool,), "object_t": (dict,)}
_NUMBERS = {"integer_t", "long_t", "timestamp_t", "port_t"}


def ocsf_faults(event: dict[str, object]) -> list[str]:
    """What in *event* OCSF's schema of this version does not allow: of its class, its objects, their types, words and constraints."""
    kind = _CLASSES[event["class_uid"]]
    metadata = event["metadata"]
    assert isinstance(metadata, dict)
    faults = _faults("", event, kind, set(metadata.get("profiles", [])))
    if event["category_uid"] != kind["category_uid"] or event["type_uid"] != kind["uid"] * 100 + event["activity_id"]:  # type: ignore[operator]
        faults.append("category_uid or type_uid")
    names = {"class_name": kind["caption"], "category_name": kind["category_name"]}
    words = {"activity_name": "activity_id", "severity": "severity_id", "status": "status_id"}
    names |= {name: kind["attributes"][word]["enum"].get(str(event[word])) for name, word in words.items() if event[word] != 99}
    return faults + [name for name, caption in names.items() if event[name] != caption]


def _faults(at: str, value: dict[str, object], spec: dict[str, object], profiles: set[str]) -> list[str]:
    known: dict[str, dict[str, object]] = spec["attributes"]  # type: ignore[assignment]
    allowed = {name for name, one in known.items() if one.get("profile", None) is None or one["profile"] in profiles}
    faults = [f"{at}{name} is unknown" for name in value.keys() - allowed]
    faults += [f"{at}{name} is missing" for name in allowed - value.keys() if known[name]["requirement"] == "required"]
    limits: dict[str, list[str]] = spec["constraints"]  # type: ignore[assignment]
    if "at_least_one" in limits and not value.keys() & set(limits["at_least_one"]):
        faults.append(f"{at}: none of {limits['at_least_one']}")
    for name in value.keys() & allowed:
        one = known[name]
        assert isinstance(value[name], list) == bool(one.get("is_array")), f"{at}{name}"
        for part in value[name] if isinstance(value[name], list) else [value[name]]:  # type: ignore[union-attr]
            faults += _part(f"{at}{name}", part, one, profiles)
    return faults


def _part(at: str, part: object, one: dict[str, object], profiles: set[str]) -> list[str]:
    kind = str(one["type"])
    wanted = _TYPES.get(kind, (int,) if kind in _NUMBERS else (str,))
    if type(part) not in wanted:
        return [f"{at} is no {kind}"]
    if "enum" in one and str(part) not in one["enum"]:  # type: ignore[operator]
        return [f"{at} is {part}, which is not in the schema"]
    # The object named "object" has no form: unmapped holds what it will.
    deeper = isinstance(part, dict) and one.get("object_type") not in {None, "object"}
    return _faults(f"{at}.", part, OCSF["objects"][one["object_type"]], profiles) if deeper else []  # type: ignore[arg-type]


# ---- a receiver ----


class Authority:
    """A certificate authority for tests; makes certificates for hosts and files that name them."""

    def __init__(self, folder: Path, name: str = "uji-ca") -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        made = self._builder(self._name, self._key).add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        )  # fmt: skip

    def certificate(self, host: str) -> tuple[Path, Path]:
        """Return files with a certificate of *host*, a name or an address, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        made = self._builder(subject, key).add_extension(x509.SubjectAlternativeName([name]), critical=False)
        cert, secret = self._folder / f"{host}.crt", self._folder / f"{host}.key"
        cert.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return cert, secret


class Receiver:
    """A syslog receiver over TLS (RFC 5425) in a thread: takes octet-counted frames, answers close_notify with its own.

    dies: of the next so many connections it reads *dies_after* octets and resets, keeping nothing of that connection. mute: it closes
    without close_notify; still: it closes only once *go* is set;
    hasty: it ends the session after the first octets. version: the only TLS version it speaks. clients: the authority whose certificates it demands.
    """

    def __init__(self, cert: tuple[Path, Path], *, version: ssl.TLSVersion | None = None, clients: Path | None = None) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*cert)
        if version is not None:
            self.context.minimum_version = self.context.maximum_version = version
        if clients is not None:
            self.context.load_verify_locations(clients)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.got: list[bytes] = []
        self.connections = 0
        self.dies, self.dies_after, self.mute, self.still, self.go = 0, 0, False, False, threading.Event()
        self.hasty = False
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._door.accept()
            except OSError:
                return
            self.connections += 1
            with plain:
                try:
                    self._talk(plain)
                except OSError:
                    continue

    def _talk(self, plain: socket.socket) -> None:
        plain.settimeout(10)
        with self.context.wrap_socket(plain, server_side=True) as secure:
            held, dying = b"", self.dies > 0
            while piece := secure.recv(4096):
                held += piece
                if self.hasty:
                    # Its end and its close, with octets of ours unread: as a receiver that is told to stop.
                    with contextlib.suppress(OSError):
                        secure.unwrap()
                    return
                if dying and len(held) >= self.dies_after:
                    self.dies -= 1
                    # Gone without a word, as a machine that loses power: what was read is not kept.
                    secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                    return
            if self.still:
                self.go.wait(10)
            if self.mute:
                return
            self.got += frames(held)
            secure.unwrap()

    def close(self) -> None:
        """Stop listening."""
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join(10)


def frames(raw: bytes) -> list[bytes]:
    """Take octet-counted messages apart (RFC 5425 section 4.3), by hand."""
    found = []
    while raw:
        count, _, rest = raw.partition(b" ")
        assert count.isdigit() and not count.startswith(b"0"), count[:20]
        found.append(rest[: int(count)])
        assert len(found[-1]) == int(count)
        raw = rest[int(count) :]
    return found


# ---- run in a process of its own ----


def stream_and_die(url: str, log: str, out: str, kept: str, batch: str, point: str, count: str) -> None:
    """Follow *log* into the file *out*; be killed by SIGKILL at the *count*-th passing of *point*: given, saved or ``writing``."""
    passed = Counter[str]()
    following.BATCH = int(batch)

    def here(at: str) -> None:
        passed[at] += 1
        if at == point and passed[at] == int(count):
            os.kill(os.getpid(), signal.SIGKILL)

    def give(some: Sequence[Item]) -> None:
        # Half a batch is on its way when we die: the last line is cut in the middle.
        if point == "writing" and passed["writing"] + 1 == int(count):
            half = "".join(f"{record(Format.JSONL, one)}\n" for one in some[: len(some) // 2 + 1])[:-200]
            with Path(out).open("a", encoding="utf-8") as file:
                file.write(half)
        here("writing")
        send(some)

    store, cursor, send = Store(url), Cursor(Path(kept)), to_file(Format.JSONL, Path(out))
    follow(Source(store, lambda: log, print), cursor, give, cursor.load() or Position(log, 0), threading.Event(), faults=here)
    store.dispose()
