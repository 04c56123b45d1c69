"""A time-stamping authority for tests: a real HTTP server that answers RFC 3161 queries, well or badly.

Its messages are built with asn1crypto, which the product does not know, so that the reader is not tested against its own writer.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)
POLICY = "1.3.6.1.4.1.99999.1"
# What a server may do wrong without a word about the stamp itself.
TRANSPORT = ("garbage", "slow", "drip", "large", "redirect", "error", "html", "silent")


@dataclass(frozen=True)
class Signed:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def parsed(self) -> asn1_x509.Certificate:
        return asn1_x509.Certificate.load(self.certificate.public_bytes(Encoding.DER))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def root(name: str = "Akar Uji") -> Signed:
    """Make a root certificate of twenty years."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name)).issuer_name(_name(name)).public_key(key.public_key()).serial_number(1)
        .not_valid_before(NOW - timedelta(days=3650)).not_valid_after(NOW + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )  # fmt: skip
    return Signed(builder.sign(key, hashes.SHA256()), key)


def leaf(
    above: Signed,
    *,
    usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.TIME_STAMPING,),
    critical: bool = True,
    days: int = 365,
    serial: int = 2,
) -> Signed:
    """Make a certificate under *above*, valid from a year before NOW until *days* after it; by default for time stamps alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name("Otoritas Uji")).issuer_name(above.certificate.subject).public_key(key.public_key()).serial_number(serial)
        .not_valid_before(NOW - timedelta(days=365)).not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.key.public_key()), critical=False)
    )  # fmt: skip
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical)
    return Signed(builder.sign(above.key, hashes.SHA256()), key)


class Authority:
    """Answers queries. *mode* says how: ``good``, one of TRANSPORT, or the fault that ``_token`` and ``reply`` know by that name."""

    def __init__(self, mode: str = "good", now: datetime = NOW) -> None:
        self.mode, self.now, self.asked = mode, now, 0
        self.root = root()
        self.other_root = root()
        self.tsa = leaf(self.root)
        self.server = leaf(self.root, usages=(ExtendedKeyUsageOID.SERVER_AUTH,), serial=3)

    @property
    def roots(self) -> bytes:
        """The PEM file that somebody who trusts this authority configures."""
        return self.root.certificate.public_bytes(Encoding.PEM)

    def reply(self, query: bytes) -> bytes:
        """Return the answer's DER."""
        self.asked += 1
        asked = tsp.TimeStampReq.load(query, strict=True)
        if self.mode == "rejected":
            status = {"status": "rejection", "status_string": ["kuota habis"], "fail_info": {"system_failure"}}
            return _without_token(status)
        if self.mode == "no token":
            return _without_token({"status": "granted"})
        given = {"status": "granted_with_mods" if self.mode == "mods" else "granted"}
        return bytes(tsp.TimeStampResp({"status": given, "time_stamp_token": self._token(asked)}).dump())

    def _token(self, asked: tsp.TimeStampReq) -> cms.ContentInfo:
        imprint, signer = asked["message_imprint"], self._signer()
        if self.mode == "imprint":
            imprint = tsp.MessageImprint({"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": hashlib.sha256(b"lain").digest()})
        if self.mode == "other hash":
            algorithm = {"algorithm": "sha3_256"}
            imprint = tsp.MessageImprint({"hash_algorithm": algorithm, "hashed_message": imprint["hashed_message"].native})
        info: dict[str, object] = {
            "version": "v1", "policy": POLICY, "message_imprint": imprint, "serial_number": self.asked, "gen_time": self.now,
            "nonce": asked["nonce"].native + (self.mode == "nonce"),
        }  # fmt: skip
        if self.mode == "fraction":
            info["gen_time"] = core.GeneralizedTime(contents=b"20261201030000.125Z")
        if self.mode == "no nonce":
            del info["nonce"]
        content = tsp.TSTInfo(info).dump()
        attributes = cms.CMSAttributes([
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [hashlib.sha256(content).digest()]},
            {"type": "signing_certificate_v2", "values": [_names(signer)]},
        ])  # fmt: skip
        signature = signer.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256()))
        if self.mode == "signature":
            signature = leaf(self.root).key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256()))
        certificates = [] if self.mode == "no certificate" else [signer.parsed]
        if self.mode == "smuggled":  # signed by a web server, the authority's own certificate laid beside it
            certificates.append(self.tsa.parsed)
        digest = algos.DigestAlgorithm({"algorithm": "sha256"})
        signed = cms.SignedData({
            "version": "v3", "digest_algorithms": [digest],
            "encap_content_info": {"content_type": "tst_info", "content": cms.ParsableOctetString(content)},
            "certificates": certificates,
            "signer_infos": [{
                "version": "v1", "sid": cms.SignerIdentifier({"issuer_and_serial_number": {
                    "issuer": signer.parsed.issuer, "serial_number": signer.parsed.serial_number,
                }}),
                "digest_algorithm": digest, "signed_attrs": attributes,
                "signature_algorithm": {"algorithm": "sha256_ecdsa"}, "signature": core.OctetString(signature),
            }],
        })  # fmt: skip
        return cms.ContentInfo({"content_type": "signed_data", "content": signed})

    def _signer(self) -> Signed:
        match self.mode:
            case "other root":
                return leaf(self.other_root)
            case "expired":
                return leaf(self.root, days=-1)
            case "outlived":
                return leaf(self.root, days=-360)
            case "web server" | "smuggled":
                return self.server
            case "no usage":
                return leaf(self.root, usages=())
            case "usage not critical":
                return leaf(self.root, critical=False)
            case "two usages":
                return leaf(self.root, usages=(ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH))
        return self.tsa


def _without_token(status: dict[str, object]) -> bytes:
    """Return a TimeStampResp that ends after its status; asn1crypto wants a token always, RFC 3161 does not."""
    content = tsp.PKIStatusInfo(status).dump()
    return b"\x30" + bytes([len(content)]) + content


def _names(signer: Signed) -> dict[str, object]:
    """Return the attribute that binds the signer's certificate to the signature (RFC 5816)."""
    return {"certs": [{"cert_hash": hashlib.sha256(signer.certificate.public_bytes(Encoding.DER)).digest()}]}


@contextmanager
def serving(authority: Authority) -> Iterator[str]:
    """Serve *authority* on a port of its own and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Type"] != "application/timestamp-query" or self.path != "/tsr":
                self.send_error(415)
            elif authority.mode in TRANSPORT:
                with suppress(OSError):  # the client hung up, as it should
                    _fail(self, authority.mode)
            else:
                _answer(self, authority.reply(query))

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/tsr"
    finally:
        server.shutdown()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, body: bytes, kind: str = "application/timestamp-reply", status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    if status == 302:
        handler.send_header("Location", "file:///etc/hostname")
    handler.end_headers()
    handler.wfile.write(body)


def _fail(handler: BaseHTTPRequestHandler, mode: str) -> None:
    match mode:
        case "slow":
            time.sleep(3)
        case "drip":  # always in time for the next byte, never done
            handler.send_response(200)
            handler.send_header("Content-Type", "application/timestamp-reply")
            handler.end_headers()
            for _ in range(30):
                handler.wfile.write(b"0")
                handler.wfile.flush()
                time.sleep(0.1)
        case "garbage":
            _answer(handler, b"\x30\x82 bukan stempel")
        case "large":
            _answer(handler, bytes(65 * 1024))
        case "redirect":
            _answer(handler, b"", status=302)
        case "error":
            _answer(handler, b"", status=503)
        case "html":
            _answer(handler, b"<html>", "text/html")
        case "silent":
            handler.close_connection = True
