"""The provider key inside AWS KMS, through boto3.

The context travels as KMS's *encryption context*: KMS authenticates it (AAD) and shows it in CloudTrail. It says purpose, scope and epoch of
an L1 key, nothing personal.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from app.kernel.errors import KeysDown, UnsafeStart
from app.vault.keys.extra import missing
from app.vault.keys.provider import Headed, Kind, reference

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_T = TypeVar("_T")
_REFUSED = {
    "InvalidCiphertextException": "does not open this: it is damaged, or was wrapped by another key or for another place",
    "IncorrectKeyException": "did not wrap this: another KMS key did",
    "NotFoundException": "is not there: check key and region in [keys]",
    "DisabledException": "is disabled",
    "KMSInvalidStateException": "cannot be used now: it is disabled, or waits for its deletion",
    "KeyUnavailableException": "cannot be used now",
    "ThrottlingException": "answers that there are too many requests",
    "ExpiredTokenException": "refuses the credentials: they have ended",
    "UnrecognizedClientException": "refuses the credentials",
    "AccessDeniedException": "refuses: the credentials may not use it, or another key wrapped this",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the key is. key: id or ARN, no alias. endpoint: "" for AWS's own. timeout: seconds to connect, and again to wait for bytes."""

    key: str
    region: str
    endpoint: str = ""
    timeout: float = 5.0

    @property
    def key_id(self) -> str:
        """The key's id, also when the ARN was given."""
        return self.key.rsplit("key/", 1)[-1]


class AwsKms(Headed):
    """A symmetric KMS key. Credentials come from boto3's own chain (instance role, environment, profile); Gardu keeps none."""

    kind = Kind.AWS_KMS

    def __init__(self, place: Place) -> None:
        super().__init__(reference("aws-kms", place.key_id))
        self._place = place
        self._client: tuple[int, KMSClient] | None = None

    @classmethod
    def open(cls, place: Place) -> AwsKms:
        """Return the provider after a look at its key. Raises UnsafeStart without boto3 or for a key of another kind; KeysDown otherwise."""
        try:
            import boto3  # noqa: F401  looked for here, used below
        except ImportError:
            raise missing("boto3", "aws") from None
        provider = cls(place)
        about = provider._ask(lambda kms: kms.describe_key(KeyId=place.key)["KeyMetadata"])
        if about.get("KeySpec") != "SYMMETRIC_DEFAULT" or about.get("KeyUsage", "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT":
            raise UnsafeStart(f"KMS key {place.key_id} is not a symmetric key for encrypting and decrypting")
        if not about.get("Enabled"):
            raise KeysDown(f"KMS key {place.key_id} {_REFUSED['KMSInvalidStateException']}")
        return provider

    def health(self) -> str:
        """Return a line for the operator after one round of wrapping and unwrapping."""
        self._prove()
        return f"{self.newest()} in {self._place.region}: open"

    def newest(self) -> str:
        """Return ``aws-kms:<key id>``; KMS's own yearly rotation happens below this name."""
        return f"aws-kms:{self._place.key_id}"

    def rewrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Have KMS wrap the same key anew (ReEncrypt); the key itself stays inside KMS."""
        body, bound = self._body(wrapped), _context(self._head + context)
        key = self._place.key
        return self._head + self._ask(
            lambda kms: kms.re_encrypt(
                CiphertextBlob=body,
                SourceKeyId=key,
                DestinationKeyId=key,
                SourceEncryptionContext=bound,
                DestinationEncryptionContext=bound,
            )["CiphertextBlob"]
        )

    def _seal(self, key: bytes, context: bytes) -> bytes:
        given = _context(context)
        return self._ask(lambda kms: kms.encrypt(KeyId=self._place.key, Plaintext=key, EncryptionContext=given)["CiphertextBlob"])

    def _open(self, body: bytes, context: bytes) -> bytes:
        given = _context(context)
        # The key is named although KMS would find it by itself: no other key's ciphertext opens here.
        return self._ask(lambda kms: kms.decrypt(KeyId=self._place.key, CiphertextBlob=body, EncryptionContext=given)["Plaintext"])

    def _ask(self, question: Callable[[KMSClient], _T]) -> _T:
        """Ask once, without trying again. Raises KeysDown; what AWS said is not repeated beyond its code."""
        from botocore import exceptions

        name, where = f"KMS key {self._place.key_id}", self._place.endpoint or f"AWS KMS in {self._place.region}"
        try:
            return question(self._connected())
        except exceptions.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))[:60]
            said = f"{name} {_REFUSED[code]}" if code in _REFUSED else f"{where} could not do it ({code or 'no code'})"
        except (exceptions.ConnectTimeoutError, exceptions.ReadTimeoutError):
            said = f"{where} does not answer within {self._place.timeout:g} s"
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.CredentialRetrievalError):
            said = "there are no AWS credentials: give the machine a role, or see docs/keys.md"
        except exceptions.SSLError:
            said = f"{where} has no certificate that is trusted here"
        except (exceptions.BotoCoreError, exceptions.HTTPClientError):
            said = f"{where} cannot be reached"
        raise KeysDown(said)

    def _connected(self) -> KMSClient:
        import boto3
        from botocore.config import Config

        mine = self._client
        if mine is None or mine[0] != os.getpid():
            limits = Config(
                connect_timeout=self._place.timeout, read_timeout=self._place.timeout, retries={"total_max_attempts": 1, "mode": "standard"}
            )
            made = boto3.session.Session().client(
                "kms", region_name=self._place.region, endpoint_url=self._place.endpoint or None, config=limits
            )  # fmt: skip
            # A connection does not survive a fork. Two threads may make one each; the later one stays.
            mine = self._client = (os.getpid(), made)
        return mine[1]


def _context(context: bytes) -> dict[str, str]:
    return {"gardu": context.hex()}
